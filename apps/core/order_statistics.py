"""Bounds that a quantile keeps with a stated chance, from the values in order alone. Pure.

Source: H. A. David and H. N. Nagaraja, "Order Statistics" (3rd edition, 2003), section 7.1. Nothing is assumed of how
the values are distributed; with ties the bounds hold at least as often as they say. Each `alpha` is the chance to be
wrong on one side.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

Bounds = tuple[float | None, float | None]
"""A lower and an upper bound; None where the figures set none."""

Histogram = Sequence[tuple[float, int]]
"""Values in order, each with how often it was seen."""


@lru_cache(maxsize=1024)
def places_of(count: int, share: float, alpha: float) -> tuple[int | None, int | None]:
    """Which of `count` values in order (from 1 on) bound the quantile from below and from above; None for none.

    That fewer than r values lie at or below it is binomial, whatever the values are distributed like.
    """
    from scipy.special import bdtr, bdtrc

    low = bisect_left(range(count + 1), alpha, key=lambda k: float(bdtr(k, count, share)))
    high = bisect_left(range(count), True, key=lambda k: float(bdtrc(k, count, share)) <= alpha)
    return low or None, high + 1 if high < count else None


def quantile_bounds(values: Histogram, share: float, alpha: float) -> Bounds:
    """Bounds of a quantile by order statistics. The upper one needs `calls_for` values."""
    low, high = places_of(sum(count for _, count in values), share, alpha)
    return (
        None if low is None else value_at(values, low),
        None if high is None else value_at(values, high),
    )


def calls_for(share: float, alpha: float) -> int:
    """How many values it takes until the largest bounds the quantile from above."""
    return math.ceil(math.log(alpha) / math.log(share))


def quantile(values: Histogram, share: float) -> float | None:
    """The quantile by nearest rank; None of nothing."""
    total = sum(count for _, count in values)
    return value_at(values, max(1, math.ceil(share * total - 1e-9))) if total else None


def value_at(values: Histogram, place: int) -> float:
    """The value at this place in order, from 1 on."""
    seen = 0
    for value, count in values:
        seen += count
        if seen >= place:
            return value
    raise IndexError(place)

"""Bounds that a figure keeps with a stated chance. Pure; each `alpha` is the chance to be wrong on one side.

Sources: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934); R. G. Newcombe, "Interval estimation for the difference
between independent proportions", Statistics in Medicine 17 (1998); G. Y. Zou and A. Donner, "Construction of confidence
limits about effect measures", Statistics in Medicine 27 (2008); E. C. Fieller, "Some problems in interval estimation",
JRSS B 16 (1954); B. L. Welch, Biometrika 34 (1947); order statistics as in H. A. David and H. N. Nagaraja, "Order
Statistics" (3rd edition, 2003), section 7.1.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Bounds = tuple[float | None, float | None]
"""A lower and an upper bound; None where the figures set none."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values there are, their mean, and their variance (of one value, from the sample)."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0


Histogram = Sequence[tuple[float, int]]
"""Values in order, each with how often it was seen."""


def spent_at(look: int, alpha: float) -> float:
    """What the look of that number (from 1 on) may spend of alpha, so that all looks together spend no more.

    By the union bound, P(any of them is wrong) <= sum of alpha / (k (k + 1)) = alpha, however many looks there will be:
    an alpha-spending rule in the sense of Lan and DeMets (Biometrika 70, 1983) that plans no last look.
    """
    return alpha / (look * (look + 1))


def share_bounds(hits: int, of: int, alpha: float) -> tuple[float, float]:
    """Clopper and Pearson's exact bounds of a share, which hold for rare events too."""
    from scipy.special import betaincinv

    low = float(betaincinv(hits, of - hits + 1, alpha)) if hits else 0.0
    return low, float(betaincinv(hits + 1, of - hits, 1 - alpha)) if hits < of else 1.0


def share_rise(before: tuple[int, int], after: tuple[int, int], alpha: float) -> tuple[float, float]:
    """Newcombe's hybrid bounds of the difference of two shares, each as hits and of how many.

    His method 10 takes Wilson's bounds; with failures of one in a hundred those are wrong too often on the
    one side that counts here, so it takes the exact ones (as Zou and Donner 2008 allow for any).
    """
    low_before, high_before = share_bounds(*before, alpha)
    low_after, high_after = share_bounds(*after, alpha)
    was, now = before[0] / before[1], after[0] / after[1]
    low = now - was - math.hypot(now - low_after, high_before - was)
    high = now - was + math.hypot(high_after - now, was - low_before)
    return max(-1.0, low), min(1.0, high)


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


def mean_change(before: Spread, after: Spread, alpha: float) -> tuple[float, float]:
    """Welch's bounds of the difference of two means."""
    was, now = _squared_error(before, after), _squared_error(after, before)
    reach = _student(before, after, was, now, alpha) * math.sqrt(was + now)
    return after.mean - before.mean - reach, after.mean - before.mean + reach


def mean_ratio(before: Spread, after: Spread, alpha: float) -> Bounds:
    """Fieller's bounds of the ratio of two means of positive values; None where the mean of before is too uncertain."""
    was, now = _squared_error(before, after), _squared_error(after, before)
    student = _student(before, after, was, now, alpha)
    if before.mean <= 0:
        return None, None
    ratio = after.mean / before.mean
    uncertain = student**2 * was / before.mean**2
    if uncertain >= 1:
        return None, None
    reach = student / before.mean * math.sqrt(max(0.0, now * (1 - uncertain) + ratio**2 * was))
    return max(0.0, (ratio - reach) / (1 - uncertain)), (ratio + reach) / (1 - uncertain)


def mean_bounds(values: Spread, alpha: float) -> tuple[float, float]:
    """Student's bounds of one mean."""
    from scipy.special import stdtrit

    reach = float(stdtrit(values.count - 1, 1 - alpha)) * math.sqrt(values.variance / values.count)
    return values.mean - reach, values.mean + reach


def _squared_error(one: Spread, other: Spread) -> float:
    """The variance of a mean. Values that happened to be all alike are taken to vary as those of both sides do."""
    variance = one.variance
    if variance <= 0:
        weight = one.count / (one.count + other.count)
        variance = (1 - weight) * other.variance + weight * (1 - weight) * (one.mean - other.mean) ** 2
    return variance / one.count


def _student(before: Spread, after: Spread, was: float, now: float, alpha: float) -> float:
    """The quantile of Student's t with the degrees of freedom of Welch and Satterthwaite."""
    from scipy.special import stdtrit

    if was + now <= 0:
        return 0.0
    freedom = (was + now) ** 2 / (was**2 / (before.count - 1) + now**2 / (after.count - 1))
    return float(stdtrit(freedom, 1 - alpha))

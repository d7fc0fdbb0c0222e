"""Which shares of a budget are reached. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

USUAL = (50, 80, 100)
MOST = 10
HIGHEST = 1_000
"""Percent."""


def reached(spent: Decimal, amount: Decimal, thresholds: Sequence[int]) -> list[int]:
    """The thresholds in percent that the spend has reached, in ascending order; exact."""
    return sorted({each for each in thresholds if spent * 100 >= amount * each})


def share(spent: Decimal, amount: Decimal) -> Decimal:
    """The spend as a share of the amount, 0 and up."""
    return spent / amount


def level_of(threshold: int) -> str:
    """How urgent a notice about it is: `bad` from 100 % on, `warn` from 80 %, else `info`."""
    return "bad" if threshold >= 100 else "warn" if threshold >= 80 else "info"

"""Bounds that a figure keeps with a stated chance. Pure; each `alpha` is the chance to be wrong on one side.

Sources: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934); R. G. Newcombe, "Interval estimation for the difference
between independent proportions", Statistics in Medicine 17 (1998); G. Y. Zou and A. Donner, "Construction of confidence
limits about effect measures", Statistics in Medicine 27 (2008); E. C. Fieller, "Some problems in interval estimation",
JRSS B 16 (1954); B. L. Welch, Biometrika 34 (1947). Bounds of quantiles are in `apps.core.order_statistics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from apps.core.order_statistics import Bounds


@dataclass(frozen=True, slots=True)
class Spread:
    """How many values there are, their mean, and their variance (of one value, from the sample)."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0


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

"""Intervals of a difference of means that hold at every look, however often somebody looks and whenever they stop.

The method is an asymptotic confidence sequence with a normal mixture: the boundary of Robbins (1970, "Statistical
methods related to the law of the iterated logarithm"), in the asymptotic form of Waudby-Smith, Arbour, Sinha, Kennedy
and Ramdas (2021, "Time-uniform central limit theory and asymptotic confidence sequences", theorem 2.2). With `n`
subjects in both arms and the standard error `s` of the difference of means, the interval is

    difference ± s · sqrt((n ρ² + 1) / (n ρ²) · log((n ρ² + 1) / α²))

The interval is tightest, against one that is looked at once, where n ρ² solves x = log((1 + x) / α²); `rho_squared`
puts that at the planned number of subjects, which has to be chosen before the first look. The p-value is one over the
mixture's likelihood ratio, so it is below α exactly when the interval leaves zero out (Johari, Pekelis and Walsh 2015).

An observation is a subject, never a call. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MINIMUM_SUBJECTS = 100
"""The asymptotics need so many subjects in an arm before anything is said."""

USUAL_PLANNED = 4_000
"""Where the interval is tightest when nobody planned a size: subjects of both arms together."""

METHOD = "asymptotic confidence sequence, normal mixture (Robbins 1970; Waudby-Smith et al. 2021)"


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one arm's subjects: how many, their mean and their unbiased variance. `is_share`: each lies between
    0 and 1, which lets the variance be guarded against what was not seen yet."""

    count: int
    mean: float
    variance: float
    is_share: bool = False

    @property
    def guarded_variance(self) -> float:
        """The variance; of shares, with one subject at 0 and one at 1 added (as Agresti and Caffo 2000 add), so that an
        arm without a single failure is not taken for one that never fails."""
        if not self.is_share:
            return self.variance
        size = self.count + 2
        mean = (self.count * self.mean + 1) / size
        squares = (self.count - 1) * self.variance + self.count * self.mean**2 + 1
        return max(0.0, squares - size * mean**2) / (size - 1)


@dataclass(frozen=True, slots=True)
class Difference:
    """Treatment minus control, with what holds at every look at level 1 - `alpha`."""

    value: float
    low: float
    high: float
    p_value: float
    alpha: float


def compare(treatment: Sample, control: Sample, *, alpha: float, planned: int | None) -> Difference | None:
    """The difference of two arms; None with too few subjects, or when nobody differs from anybody.

    `planned` counts the subjects of these two arms together.
    """
    if min(treatment.count, control.count) < MINIMUM_SUBJECTS:
        return None
    error = standard_error(treatment, control)
    if not error > 0:
        return None
    size, rho2 = treatment.count + control.count, rho_squared(planned or USUAL_PLANNED, alpha)
    value, reach = treatment.mean - control.mean, error * factor(size, rho2, alpha)
    return Difference(value, value - reach, value + reach, p_value(value / error, size, rho2), alpha)


def standard_error(treatment: Sample, control: Sample) -> float:
    """Of the difference of means. Where values have no bounds, no arm is taken to vary less than both do together: a
    small arm that has not met a rare large value yet would look both cheap and sure."""
    variances = [one.guarded_variance for one in (treatment, control)]
    if not (treatment.is_share and control.is_share):
        freedom = [one.count - 1 for one in (treatment, control)]
        pooled = sum(map(math.prod, zip(freedom, variances, strict=True))) / sum(freedom)
        variances = [max(one, pooled) for one in variances]
    return math.sqrt(variances[0] / treatment.count + variances[1] / control.count)


def rho_squared(planned: int, alpha: float) -> float:
    """The mixture's tuning that makes the interval tightest at `planned` subjects."""
    best = 2 * math.log(1 / alpha)
    for _ in range(60):
        best = math.log1p(best) + 2 * math.log(1 / alpha)
    return best / planned


def factor(size: int, rho2: float, alpha: float) -> float:
    """How many standard errors the interval reaches to each side after `size` subjects."""
    told = size * rho2
    return math.sqrt((told + 1) / told * (math.log1p(told) + 2 * math.log(1 / alpha)))


def p_value(standardized: float, size: int, rho2: float) -> float:
    """One over the mixture's likelihood ratio of a difference of so many standard errors, at most 1."""
    told = size * rho2
    return min(1.0, math.exp(0.5 * math.log1p(told) - standardized**2 * told / (2 * (told + 1))))

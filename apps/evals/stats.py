"""Intervals, tests and the worst tenth, over one number an example. Sources are in `docs/eval-statistics.md` too.

Everything here takes plain sequences of floats and gives plain floats; NumPy and SciPy do the work. This module is slow
to import and is imported where it is needed, inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from apps.evals.summary import Interval

Floats = npt.NDArray[np.float64]
Statistic = Callable[..., Any]

WORST = 0.1
"""The share of examples that is called the tail."""

AT_A_TIME = 2_000_000
"""Numbers that one batch of resamples may hold, so that memory stays small."""

MOST_FOR_BCA = 2_000
"""Beyond so many examples the correction of BCa is lost in the noise of resampling, and its jackknife is slow."""


def floats(values: Sequence[float]) -> Floats:
    """The values as an array."""
    return np.asarray(values, dtype=np.float64)


def tail_size(count: int) -> int:
    """How many examples are the worst tenth of `count`: at least one, rounded up."""
    return max(1, math.ceil(WORST * count - 1e-9))


def tail_mean(values: Floats, axis: int = -1) -> Any:
    """Mean of the worst tenth: expected shortfall, or conditional value at risk (Rockafellar and Uryasev 2000)."""
    size = tail_size(values.shape[axis])
    return np.partition(values, size - 1, axis=axis).take(range(size), axis=axis).mean(axis=axis)


def tail_parts(values: Floats) -> Floats:
    """One number an example whose mean is `tail_mean`: the minimand of Rockafellar and Uryasev at its minimum,
    q - max(q - x, 0) / share with q the best of the worst tenth. Its spread is that of the tail's mean."""
    size = tail_size(len(values))
    edge = np.partition(values, size - 1)[size - 1]
    parts: Floats = edge - np.maximum(edge - values, 0) * (len(values) / size)
    return parts


def bootstrap(
    samples: Sequence[Floats], statistic: Statistic, *, level: float, resamples: int, seed: int, method: str
) -> Interval | None:
    """An interval of a statistic of paired samples (Efron 1987; Efron and Tibshirani 1993), by SciPy. None for fewer
    than two examples. Where BCa has no answer because resamples do not differ, it is the statistic itself twice."""
    count = len(samples[0])
    if count < 2:
        return None
    if all(bool(np.all(sample == sample[0])) for sample in samples):
        value = float(statistic(*samples, axis=-1))
        return Interval(value, value, "bootstrap, all alike", level)
    kind = "percentile" if method == "BCa" and (count > MOST_FOR_BCA or _is_lopsided(samples)) else method
    found = stats.bootstrap(
        tuple(samples),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, AT_A_TIME // count),
        confidence_level=level,
        method=kind,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    if math.isnan(float(found.low)) or math.isnan(float(found.high)):
        return None
    return Interval(float(found.low), float(found.high), f"bootstrap, {kind}", level)


def _is_lopsided(samples: Sequence[Floats]) -> bool:
    """True when all values but one are the same: then BCa's acceleration is not defined in practice."""
    return all(int(np.sum(sample != np.median(sample))) < 2 for sample in samples)


def mean_interval(values: Sequence[float], *, level: float = 0.95, resamples: int = 2_000, seed: int = 0) -> Any:
    """BCa bootstrap interval of a mean; None for fewer than two values."""
    return bootstrap([floats(values)], np.mean, level=level, resamples=resamples, seed=seed, method="BCa")


def tail_interval(values: Sequence[float], *, level: float = 0.95, resamples: int = 2_000, seed: int = 0) -> Any:
    """Percentile bootstrap interval of the worst tenth's mean; None for fewer than two values."""
    return bootstrap([floats(values)], tail_mean, level=level, resamples=resamples, seed=seed, method="percentile")


def rate_interval(passed: int, of: int, *, level: float = 0.95) -> Interval | None:
    """Wilson's score interval of a rate (Wilson 1927); None of nothing."""
    if not of:
        return None
    found = stats.binomtest(passed, of).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high), "Wilson", level)


def student_interval(values: Sequence[float], *, level: float = 0.95) -> Interval | None:
    """Student's t interval of a mean; None for fewer than two values."""
    found = _student(floats(values), len(values) - 1, level)
    return None if found is None else Interval(*found, "Student t", level)


def _student(values: Floats, freedom: int, level: float) -> tuple[float, float] | None:
    if len(values) < 2 or freedom < 1:
        return None
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean - reach, mean + reach


def percentile_interval(values: Sequence[float], share: float, *, level: float = 0.95) -> Interval | None:
    """Interval of a percentile between two order statistics, exact for every distribution (Hahn and Meeker 1991): by
    SciPy's `quantile_test`. None when there are too few values for one."""
    if len(values) < 2:
        return None
    found = stats.quantile_test(floats(values), q=0, p=share).confidence_interval(level)
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return None
    return Interval(float(found.low), float(found.high), "order statistics", level)


def unseen_share(count: int, level: float) -> float:
    """The largest share of cases of which `count` examples may well have shown none: 1 - (1 - level)^(1/count), about
    three in `count` at 95 % (Hanley and Lippman-Hand 1983)."""
    return float(1 - (1 - level) ** (1 / count)) if count else 1.0


def widened(value: float, ends: Sequence[tuple[float, float]], below: float, above: float) -> tuple[float, float]:
    """The widest of some intervals, and on each side as much again as could have gone unseen, added as squares (as
    Newcombe 1998 adds what is independent)."""
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return value - math.hypot(value - low, below), value + math.hypot(high - value, above)


def cautious_mean(candidate: Floats, baseline: Floats, shown: Interval | None, *, level: float) -> Interval | None:
    """The interval of a mean difference that a verdict goes by, for graded scores: the wider of Student's and the
    bootstrap's on each side, and room for harm (or help) that so few examples need not have shown."""
    change = candidate - baseline
    student = _student(change, len(change) - 1, level)
    if student is None:
        return None
    ends = [student] if shown is None else [student, (shown.low, shown.high)]
    share, mean = unseen_share(len(change), level), float(candidate.mean())
    low, high = widened(float(change.mean()), ends, share * mean, share * (1 - mean))
    return Interval(low, high, "Student t and bootstrap, with room for the unseen", level)


def cautious_tail(candidate: Floats, baseline: Floats, shown: Interval | None, *, level: float) -> Interval | None:
    """As `cautious_mean`, of the difference of the worst tenths. Student's interval of the tails' parts has as many
    degrees of freedom as the tail has examples, less one. The upper end is one-sided at the level: it raises an alarm,
    and what has not been seen does not soothe."""
    size = tail_size(len(candidate))
    parts = tail_parts(candidate) - tail_parts(baseline)
    student = _student(parts, size - 1, level)
    one_sided = _student(parts, size - 1, 2 * level - 1)
    if student is None or one_sided is None:
        return None
    ends = [student] if shown is None else [student, (shown.low, shown.high)]
    edge = float(np.partition(candidate, size - 1)[size - 1])
    unseen = min(1.0, unseen_share(len(candidate), level) * len(candidate) / size) * edge
    low, _ = widened(float(parts.mean()), ends, unseen, 0.0)
    return Interval(low, one_sided[1], "Student t and bootstrap, with room for the unseen", level)


def cautious_rates(wins: int, losses: int, pairs: int, *, level: float) -> Interval | None:
    """The interval of (wins - losses) / pairs that a verdict goes by: exact limits of both shares (Clopper and Pearson
    1934), put together by squares (Newcombe 1998, Zou and Donner 2008) with the shares' covariance."""
    if not pairs:
        return None
    won = stats.binomtest(wins, pairs).proportion_ci(level, method="exact")
    lost = stats.binomtest(losses, pairs).proportion_ci(level, method="exact")
    up, down = wins / pairs, losses / pairs
    shared = 2 * float(stats.norm.ppf((1 + level) / 2)) ** 2 * up * down / pairs
    low = up - down - math.sqrt((up - won.low) ** 2 + (lost.high - down) ** 2 + shared)
    high = up - down + math.sqrt((won.high - up) ** 2 + (down - lost.low) ** 2 + shared)
    return Interval(max(-1.0, low), min(1.0, high), "exact shares, combined", level)


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided p-value of McNemar's and the sign test: wins among all that differ, against one half."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def sign_flips(change: Floats, *, resamples: int, seed: int) -> float:
    """Two-sided p-value of a mean difference: how often flipping signs at random gives one as large (Fisher 1935), by
    SciPy's `permutation_test`."""
    if len(change) < 2 or not np.any(change):
        return 1.0
    found = stats.permutation_test(
        (change,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, AT_A_TIME // len(change)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number by Holm's step-down method (Holm 1979), in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def quantile(values: Floats, share: float) -> float:
    """A quantile, linear between order statistics (type 7 of Hyndman and Fan 1996)."""
    return float(np.quantile(values, share))

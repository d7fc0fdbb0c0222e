"""Evidence: from the exact lengths of a set of calls to an interval for each percentile and a verdict. Pure.

The interval is that of order statistics (`apps.core.order_statistics`): it holds whatever the lengths are distributed
like, as long as the calls are alike and independent. A call that failed counts as one that never answered: it is slower
than every goal. A call whose end nobody saw (`lost`) is taken as the best for the lower bound and as the worst for the
upper one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from apps.budgets.latency_goals import SHARES, Goal, Measure
from apps.core.order_statistics import calls_for, quantile, quantile_bounds

LEVEL = Fraction(95, 100)
"""How often an interval covers the true percentile at least."""
ALPHA = float((1 - LEVEL) / 2)
"""How often it may miss on one side."""
NEEDED = calls_for(float(SHARES[99]), ALPHA)
"""The fewest calls with which the P99 has an upper bound: 0.99 ** n is then at most ALPHA."""
NEVER = math.inf


class Verdict(StrEnum):
    """What the interval says of a goal."""

    MET = "met"
    NOT_MET = "not_met"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Sample:
    """The lengths of calls, in milliseconds; how many failed without one; and how many were lost."""

    lengths: Sequence[int]
    failed: int = 0
    lost: int = 0

    @property
    def size(self) -> int:
        """The calls whose end is known."""
        return len(self.lengths) + self.failed

    @property
    def still_needed(self) -> int:
        """How many calls more it takes until anything can be said of the P99."""
        return max(0, NEEDED - self.size)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A percentile and its interval. `NEVER` is a call that failed."""

    percentile: int
    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, int | None]:
        """As JSON: whole milliseconds, None for never."""
        return {name: _whole(getattr(self, name)) for name in ("value", "low", "high")}


def _whole(value: float) -> int | None:
    return None if value == NEVER else int(value)


def bounded(sample: Sample, percentile: int) -> Bounded:
    """The percentile with its interval. The sample must be large enough."""
    share = float(SHARES[percentile])
    ordered = sorted(Counter(sample.lengths).items())
    seen = _histogram(ordered, 0, sample.failed)
    value = quantile(seen, share)
    low, _ = quantile_bounds(_histogram(ordered, sample.lost, sample.failed), share, ALPHA)
    _, high = quantile_bounds(_histogram(ordered, 0, sample.failed + sample.lost), share, ALPHA)
    assert value is not None
    assert low is not None
    assert high is not None
    return Bounded(percentile, value, low, high)


def _histogram(ordered: Sequence[tuple[float, int]], at_once: int, never: int) -> tuple[tuple[float, int], ...]:
    """The values in order, with so many before them all and so many after them all."""
    ends = (((0.0, at_once),) if at_once else ()), (((NEVER, never),) if never else ())
    return (*ends[0], *ordered, *ends[1])


def verdict(goal: Goal, found: Bounded) -> Verdict:
    """Met when even the upper bound is no slower than the goal, not met when even the lower one is slower."""
    if found.high <= goal.most_ms:
        return Verdict.MET
    return Verdict.NOT_MET if found.low > goal.most_ms else Verdict.UNDECIDED


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is frozen: per length how many calls and both percentiles, and each goal's verdict."""

    figures: dict[str, Any]
    goals: list[dict[str, Any]]
    verdict: Verdict


def judge(goals: Sequence[Goal], samples: dict[Measure, Sample]) -> Judgement:
    """Judge each goal. A length with too few calls and no goal is left out; one with a goal must have enough."""
    figures: dict[str, Any] = {}
    found: dict[tuple[Measure, int], Bounded] = {}
    for measure, sample in samples.items():
        if sample.still_needed:
            continue
        both = {percentile: bounded(sample, percentile) for percentile in SHARES}
        found |= {(measure, percentile): one for percentile, one in both.items()}
        counts = {"calls": sample.size, "failed": sample.failed, "lost": sample.lost}
        figures[measure] = counts | {f"p{percentile}": one.as_dict() for percentile, one in both.items()}
    told, said = [], []
    for goal in goals:
        one = found[goal.measure, goal.percentile]
        said.append(verdict(goal, one))
        told.append({"key": goal.key, "name": goal.name, "most_ms": goal.most_ms, **one.as_dict(), "verdict": said[-1]})
    return Judgement(figures, told, overall(said))


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Met when every goal is; not met when any is not."""
    if Verdict.NOT_MET in verdicts:
        return Verdict.NOT_MET
    return Verdict.UNDECIDED if Verdict.UNDECIDED in verdicts else Verdict.MET

"""What a latency target promises, and what calls make of the promise. Pure.

A goal is one percentile of one length: "P99 of the total is at most 2,000 ms". It leaves an error budget: of all calls
with that length, the share 1 - p may be slower. By the nearest rank, the percentile is at most the goal exactly when no
larger share is slower, so the budget and the percentile never disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Measure(StrEnum):
    """Which length of a call."""

    TTFT = "ttft"
    """Time to first token; only calls that say it."""
    TOTAL = "total"
    """From the request to the end of the answer."""


NAMES = {Measure.TTFT: "TTFT", Measure.TOTAL: "Total"}
SHARES = {50: Fraction(1, 2), 99: Fraction(99, 100)}
LONGEST_MS = 3_600_000
"""A target of more than an hour is a mistake."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One percentile (50 or 99) of one length, in whole milliseconds."""

    measure: Measure
    percentile: int
    most_ms: int

    @property
    def key(self) -> str:
        """Such as `ttft_p99`."""
        return f"{self.measure}_p{self.percentile}"

    @property
    def name(self) -> str:
        """Such as `TTFT P99`."""
        return f"{NAMES[self.measure]} P{self.percentile}"

    @property
    def allowed(self) -> Fraction:
        """The share of calls that may be slower."""
        return 1 - SHARES[self.percentile]


GOAL_KEYS = tuple((measure, percentile) for measure in (Measure.TOTAL, Measure.TTFT) for percentile in (50, 99))
FIELDS = tuple(f"{measure}_p{percentile}_ms" for measure, percentile in GOAL_KEYS)
"""The names of the fields that hold the goals, the total first."""


def goals_from(values: Mapping[str, int | None]) -> tuple[Goal, ...]:
    """The goals that are set, from fields named as in FIELDS."""
    found = ((measure, percentile, values.get(f"{measure}_p{percentile}_ms")) for measure, percentile in GOAL_KEYS)
    return tuple(Goal(measure, percentile, most) for measure, percentile, most in found if most is not None)


def fingerprint(feature: str, environment: str, goals: tuple[Goal, ...]) -> str:
    """What evidence is measured for: the SHA-256 of the place and the goals, in hexadecimal."""
    told = {"feature": feature, "environment": environment, "goals": {goal.key: goal.most_ms for goal in goals}}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls that have the length, and how many of them were slower than the goal."""

    calls: int = 0
    slow: int = 0

    @property
    def slow_share(self) -> float | None:
        """0 to 1; None without calls."""
        return self.slow / self.calls if self.calls else None

    @property
    def fast_share(self) -> float | None:
        """The share that was no slower than the goal; None without calls."""
        return None if not self.calls else 1 - self.slow / self.calls

    def keeps(self, goal: Goal) -> bool | None:
        """Whether the percentile is at most the goal; None without calls."""
        return self.slow <= goal.allowed * self.calls if self.calls else None

    def burn_rate(self, goal: Goal) -> float | None:
        """How many times as fast as it may the budget is spent: 1 spends it just within the window."""
        return float(Fraction(self.slow, self.calls) / goal.allowed) if self.calls else None

    def budget_left(self, goal: Goal) -> float | None:
        """The share of the budget that is left, below 0 when more is spent; None without calls."""
        rate = self.burn_rate(goal)
        return None if rate is None else 1 - rate

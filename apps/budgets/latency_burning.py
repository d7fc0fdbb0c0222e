"""When a budget burns too fast. Pure.

The method is that of multiple windows and burn rates: Google, "The Site Reliability Workbook" (2018), chapter 5,
"Alerting on SLOs", 6. An alarm rings when the burn rate is too high over a long window and over a short one: the long
one keeps it from ringing for nothing, the short one from ringing when it is over. It is over when the long window is
below the rate again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from apps.budgets.latency_goals import Goal, Tally

LEAST_SLOW = 10
"""With fewer slow calls in the long window nothing rings: a few calls at night are no incident."""


class Speed(StrEnum):
    """How fast the budget burns."""

    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Rings when `budget` of the whole window's budget is spent within `long`."""

    speed: Speed
    long: timedelta
    short: timedelta
    budget: Fraction

    def rate(self, goal: Goal, window_days: int) -> float:
        """The burn rate from which it rings: the workbook's, 13.4 in an hour for a window of 28 days.

        At least 1, for with less the budget lasts. At most half-way from 1 to the highest rate that there can be,
        which for a P50 is 2: there it rings when three of four calls are slow.
        """
        wished = self.budget * (timedelta(days=window_days) // timedelta(hours=1)) / (self.long // timedelta(hours=1))
        halfway = (1 + 1 / goal.allowed) / 2
        return float(max(Fraction(1), min(wished, halfway)))


ALARMS = (
    Alarm(Speed.FAST, timedelta(hours=1), timedelta(minutes=5), Fraction(2, 100)),
    Alarm(Speed.SLOW, timedelta(hours=24), timedelta(hours=6), Fraction(10, 100)),
)
WINDOWS = tuple(sorted({length for alarm in ALARMS for length in (alarm.long, alarm.short)}))
"""The lengths that are looked at, the shortest first."""


@dataclass(frozen=True, slots=True)
class Burn:
    """How one goal burns by one alarm."""

    goal: Goal
    alarm: Alarm
    threshold: float
    long: Tally
    short: Tally

    @property
    def rings(self) -> bool:
        """Whether both windows burn at the rate, with enough slow calls to say so."""
        return self._burns(self.long) and self._burns(self.short) and self.long.slow >= LEAST_SLOW

    @property
    def is_over(self) -> bool:
        """Whether an incident ends: the long window is below the rate."""
        return not self._burns(self.long)

    @property
    def long_rate(self) -> float | None:
        """The burn rate over the long window."""
        return self.long.burn_rate(self.goal)

    @property
    def short_rate(self) -> float | None:
        """The burn rate over the short window."""
        return self.short.burn_rate(self.goal)

    def _burns(self, tally: Tally) -> bool:
        rate = tally.burn_rate(self.goal)
        return rate is not None and rate >= self.threshold

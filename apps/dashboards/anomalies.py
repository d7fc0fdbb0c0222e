"""Days whose spend is out of its usual range, and what drove them. Pure.

The range of a day comes from the days before it alone, up to eight weeks. Each weekday has a factor, the median of its
days' spend over the mean of the week around them; the level is the median of the last two weeks' days divided by their
factors; the spread is 1.4826 times the median absolute deviation of the days from level and factor (a robust standard
deviation), and at least a twentieth. The usual range is level times factor, four spreads either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

LEAST_DAYS = 21
"""With a shorter history nothing is called unusual."""
MOST_DAYS = 56
LEVEL_DAYS = 14
SPREADS = 4.0
LEAST_SPREAD = 0.05
TO_DEVIATION = 1.4826
WEEK = 7
USUAL_WEEKS = 4


@dataclass(frozen=True)
class Usual:
    """What a day's spend was expected to be, in dollars."""

    low: float
    middle: float
    high: float

    def holds(self, value: float) -> bool:
        """True for a spend within the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class DaySpend:
    """One group's day: its known spend in dollars, and its calls."""

    cost_usd: float = 0.0
    calls: int = 0


@dataclass(frozen=True)
class Driver:
    """The value of a dimension that moved most in the day's direction.

    `share` is its part of the whole change; it may exceed 1 when others moved the other way. `calls_ratio` and
    `price_ratio` are its calls and its cost per call over the usual ones; None where there were none.
    """

    dimension: str
    value: str
    change_usd: float
    share: float
    calls_ratio: float | None
    price_ratio: float | None


@dataclass(frozen=True)
class Anomaly:
    """A day out of its usual range."""

    day: date
    cost_usd: float
    usual: Usual
    drivers: Sequence[Driver]

    @property
    def is_high(self) -> bool:
        """True when more was spent than usual."""
        return self.cost_usd > self.usual.high


def usual_range(history: Sequence[float], first: date) -> Usual | None:
    """The range of the day after the history, whose first day is `first`; None when it is too short or all zero."""
    days = [first + timedelta(days=place) for place in range(len(history))][-MOST_DAYS:]
    values = list(history)[-MOST_DAYS:]
    if len(values) < LEAST_DAYS or not any(values):
        return None
    around = [_mean(values[max(0, place - 3) : place + 4]) for place in range(len(values))]
    ratios = [value / mean if mean else 1.0 for value, mean in zip(values, around, strict=True)]
    factors = [_factor(ratios, days, weekday) for weekday in range(WEEK)]
    adjusted = [value / (factors[day.weekday()] or 1.0) for value, day in zip(values, days, strict=True)]
    level = median(adjusted[-LEVEL_DAYS:])
    residuals = [ratio / (factors[day.weekday()] or 1.0) - 1 for ratio, day in zip(ratios, days, strict=True)]
    middle_residual = median(residuals)
    deviation = median(abs(each - middle_residual) for each in residuals)
    spread = max(LEAST_SPREAD, TO_DEVIATION * deviation)
    middle = level * factors[(days[-1] + timedelta(days=1)).weekday()]
    return Usual(max(0.0, middle * (1 - SPREADS * spread)), middle, middle * (1 + SPREADS * spread))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _factor(ratios: Sequence[float], days: Sequence[date], weekday: int) -> float:
    """How a weekday's days compare with the weeks around them."""
    return float(median(ratio for ratio, day in zip(ratios, days, strict=True) if day.weekday() == weekday))


Course = Mapping[str, Mapping[date, DaySpend]]
"""The days of each value of one dimension; a day without calls is left out."""


def find_anomalies(
    total: Mapping[date, DaySpend], courses: Mapping[str, Course], *, first: date, last: date, judged: int
) -> list[Anomaly]:
    """The days among the last `judged` up to `last` that are out of their range, the newest first.

    `first` is the first day that was looked at; `courses` are by dimension.
    """
    begun = min((day for day, spend in total.items() if spend.calls), default=None)
    if begun is None:
        return []
    first = max(first, begun)
    values = [total.get(first + timedelta(days=place), DaySpend()).cost_usd for place in range((last - first).days + 1)]
    found = []
    for place in range(max(0, len(values) - judged), len(values)):
        usual = usual_range(values[:place], first)
        if usual is not None and not usual.holds(values[place]):
            day = first + timedelta(days=place)
            change = values[place] - usual.middle
            drivers = [drive(name, course, day, change) for name, course in courses.items()]
            found.append(Anomaly(day, values[place], usual, [driver for driver in drivers if driver is not None]))
    return found[::-1]


def drive(dimension: str, course: Course, day: date, change: float) -> Driver | None:
    """What of the dimension moved most in the change's direction, against the median of its same weekdays before."""
    best: Driver | None = None
    for value, days in course.items():
        before = [days.get(day - timedelta(weeks=weeks), DaySpend()) for weeks in range(1, USUAL_WEEKS + 1)]
        usual = DaySpend(median(each.cost_usd for each in before), int(median(each.calls for each in before)))
        now = days.get(day, DaySpend())
        moved = now.cost_usd - usual.cost_usd
        if moved * change > 0 and (best is None or abs(moved) > abs(best.change_usd)):
            calls = now.calls / usual.calls if usual.calls else None
            each_now, each_before = _each(now), _each(usual)
            price = each_now / each_before if each_now is not None and each_before else None
            best = Driver(dimension, value, moved, moved / change, calls, price)
    return best


def _each(spend: DaySpend) -> float | None:
    return spend.cost_usd / spend.calls if spend.calls else None

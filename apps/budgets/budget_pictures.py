"""Charts of spend budgets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from apps.budgets.forecasting import Forecast
from apps.core import charts

TARGETS_UP_TO = 4
"""So many lines can be told apart."""


@dataclass(frozen=True)
class Words:
    """What a chart says, in the reader's language."""

    title: str
    spent: str
    budget: str
    ahead: str = ""
    low: str = ""
    high: str = ""


def noon(day: date) -> datetime:
    """A moment within the day, so that its date is the same wherever it is drawn."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def past_chart(periods: Sequence[tuple[date, Decimal]], amount: Decimal, words: Words) -> charts.Chart:
    """A bar for each past period, with the amount across."""
    return charts.stacked_bars(
        id="budget-past",
        title=words.title,
        times=[noon(day) for day, _ in periods],
        series=[charts.Series(words.spent, [spent for _, spent in periods])],
        unit=charts.USD,
        targets=[charts.Target(amount, words.budget)],
    )


def course_chart(
    days: Sequence[tuple[date, Decimal]], forecast: Forecast | None, amount: Decimal, words: Words
) -> charts.Chart:
    """The sum from day to day within the period: what was spent, and between which bounds it goes on."""
    spent: list[charts.Value] = []
    total = Decimal(0)
    for _, cost in days:
        total += cost
        spent.append(total)
    times = [noon(day) for day, _ in days]
    lines: dict[str, list[charts.Value]] = {words.ahead: [], words.low: [], words.high: []}
    if forecast is not None and days:
        known = float(total - days[-1][1])
        times += [noon(each.day) for each in forecast.days[1:]]
        for values in lines.values():
            values += [None] * (len(days) - 1)
        for count in range(1, len(forecast.days) + 1):
            low, middle, high = forecast.total(known, count)
            for name, value in ((words.ahead, middle), (words.low, low), (words.high, high)):
                lines[name].append(value)
        spent += [None] * (len(forecast.days) - 1)
    series = [charts.Series(words.spent, spent, 1)]
    if forecast is not None:
        series += [charts.Series(name, values, 7) for name, values in lines.items()]
    return charts.lines(
        id="budget-course",
        title=words.title,
        times=times,
        series=series,
        unit=charts.USD,
        targets=[charts.Target(amount, words.budget)],
    )

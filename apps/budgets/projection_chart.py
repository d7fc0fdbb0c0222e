"""The chart of a month against its projection: what each day cost, and the band it was to lie in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from apps.budgets.projecting import Numbers
from apps.budgets.projection_drift import ActualDay, band, projected_on
from apps.core import charts


def month_chart(
    numbers: Numbers, days: Sequence[ActualDay], *, today: date, title: str, names: Sequence[str]
) -> charts.Chart:
    """By day: actual (a gap for days to come and where no price is known), projected, and the interval's ends.

    `names` are those of the four lines, in this order.
    """
    low, high = band(numbers)
    middles = [projected_on(numbers, each.day) for each in days]
    actual = [_spent(each) if each.day <= today else None for each in days]
    rows: list[list[Decimal | None]] = [
        actual,
        list(middles),
        [middle * low for middle in middles],
        [middle * high for middle in middles],
    ]
    series = [charts.Series(name, values, slot) for name, values, slot in zip(names, rows, (1, 4, 7, 2), strict=True)]
    return charts.lines(
        id="projection-days",
        title=title,
        times=[datetime(each.day.year, each.day.month, each.day.day, tzinfo=UTC) for each in days],
        series=series,
        unit=charts.USD,
    )


def _spent(day: ActualDay) -> Decimal | None:
    """Nothing on a day without calls; unknown where no call had a price."""
    return day.cost_usd if day.calls else Decimal(0)

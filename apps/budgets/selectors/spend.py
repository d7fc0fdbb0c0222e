"""What was spent within a scope: from cost records, exact at every moment, and for one user from the spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.budgets.scopes import SpendScope
from apps.budgets.spend_periods import midnight
from apps.core.clock import zone_named
from apps.projects.models import Project
from apps.telemetry.figures import FigureRequest, Interval
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.selectors.users import days_of_user, find_user

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Spend:
    """The sum of the calls whose price is known, in dollars, and how many of the `calls` have none."""

    cost_usd: Decimal
    calls: int
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class DaySpend(Spend):
    """One local day's."""

    day: date


@dataclass(frozen=True, slots=True)
class Wanted:
    """Spend that is asked for: from `start`, included, to `end`, not included."""

    scope: SpendScope
    start: datetime
    end: datetime


def read_spends(project: Project, wanted: Sequence[Wanted]) -> list[Spend]:
    """Each of them, as of the same moment: two queries for all, and one more for each that names a user."""
    from_records = [one for one in wanted if not one.scope.user_id]
    requests = [
        FigureRequest(one.start, one.end, (), Interval.NONE, one.scope.filters, has_lengths=False)
        for one in from_records
    ]
    tables = iter(read_tables(project.pk, requests) if requests else [])
    found = []
    for one in wanted:
        if one.scope.user_id:
            found.append(_of_user(project, one))
        else:
            total = next(tables).total
            found.append(Spend(total.cost_usd or ZERO, total.calls, total.unpriced_calls))
    return found


def read_spend(project: Project, scope: SpendScope, *, start: datetime, end: datetime) -> Spend:
    """What the calls of the scope cost that began in [start, end)."""
    return read_spends(project, [Wanted(scope, start, end)])[0]


def _of_user(project: Project, wanted: Wanted) -> Spend:
    summary = find_user(project.pk, wanted.scope.user_id, start=wanted.start, end=wanted.end)
    if summary is None:
        return Spend(ZERO, 0, 0)
    return Spend(summary.cost_usd or ZERO, summary.calls, summary.unpriced_calls)


def read_days(project: Project, scope: SpendScope, *, first: date, last: date) -> list[DaySpend]:
    """Each local day from `first` to `last`, both included, those without calls as zero."""
    zone = zone_named(project.timezone)
    start, end = midnight(first, zone), midnight(last + timedelta(days=1), zone)
    days = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    if scope.user_id:
        of_user = {
            each.day: DaySpend(each.cost_usd or ZERO, each.calls, 0, each.day)
            for each in days_of_user(project.pk, scope.user_id, start=start, end=end, timezone=zone.key)
        }
        return [of_user.get(day) or DaySpend(ZERO, 0, 0, day) for day in days]
    request = FigureRequest(start, end, (), Interval.DAY, scope.filters, zone, has_lengths=False)
    rows = {(row.at or start).astimezone(zone).date(): row for row in read_tables(project.pk, [request])[0].series}
    return [
        DaySpend(row.cost_usd or ZERO, row.calls, row.unpriced_calls, day)
        if (row := rows.get(day)) is not None
        else DaySpend(ZERO, 0, 0, day)
        for day in days
    ]

"""Days and months of a project's own time zone, which follow each other without gap or overlap. Pure.

A period runs from one local midnight to another, both told in UTC; so a day may have 23 or 25 hours, and the periods of
any stretch hold each moment of it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class PeriodKind(StrEnum):
    """What a budget is for."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start`, included, to `end`, not included, in UTC; the local days `first` to `last`, both included."""

    kind: PeriodKind
    first: date
    last: date
    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """As it is named in keys and the API: 2026-11-24 or 2026-11."""
        return self.first.isoformat() if self.kind is PeriodKind.DAY else f"{self.first:%Y-%m}"

    @property
    def days(self) -> list[date]:
        """Its local days in order."""
        return [self.first + timedelta(days=place) for place in range((self.last - self.first).days + 1)]


def period_of(kind: PeriodKind, day: date, zone: ZoneInfo) -> Period:
    """The period that holds this local day."""
    if kind is PeriodKind.DAY:
        return _period(kind, day, day + timedelta(days=1), zone)
    first = day.replace(day=1)
    return _period(kind, first, (first + timedelta(days=32)).replace(day=1), zone)


def period_at(kind: PeriodKind, moment: datetime, zone: ZoneInfo) -> Period:
    """The period that holds this moment."""
    return period_of(kind, moment.astimezone(zone).date(), zone)


def before(period: Period, zone: ZoneInfo) -> Period:
    """The period that ends where this one begins."""
    return period_of(period.kind, period.first - timedelta(days=1), zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When this local day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _period(kind: PeriodKind, first: date, following: date, zone: ZoneInfo) -> Period:
    return Period(kind, first, following - timedelta(days=1), midnight(first, zone), midnight(following, zone))

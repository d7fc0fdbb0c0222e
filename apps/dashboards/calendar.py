"""Days and months of a project's own time zone, each with the same stretch of the one before. Pure.

Spend of an unfinished day is compared with the day before up to the same time of day, so that a morning is not
held against a whole day; a month likewise, up to the same day and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Stretch:
    """From `start`, included, to `end`, not included, both in UTC."""

    start: datetime
    end: datetime


def today(now: datetime, zone: ZoneInfo) -> Stretch:
    """The local day so far."""
    local = now.astimezone(zone)
    return _stretch(_midnight(local), local)


def yesterday_so_far(now: datetime, zone: ZoneInfo) -> Stretch:
    """The local day before, up to the same time of day."""
    local = now.astimezone(zone)
    start = _midnight(local) - timedelta(days=1)
    return _stretch(start, local - timedelta(days=1))


def this_month(now: datetime, zone: ZoneInfo) -> Stretch:
    """The local month so far."""
    local = now.astimezone(zone)
    return _stretch(_midnight(local.replace(day=1)), local)


def last_month_so_far(now: datetime, zone: ZoneInfo) -> Stretch:
    """The local month before, up to the same day and time; all of it when it has no such day."""
    local = now.astimezone(zone)
    first = _midnight(local.replace(day=1))
    start = (first - timedelta(days=1)).replace(day=1)
    # Wall clock arithmetic: aware datetimes of one zone add days, not seconds.
    end = min(start + (local.replace(tzinfo=None) - first.replace(tzinfo=None)), first)
    return _stretch(start, end)


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _stretch(start: datetime, end: datetime) -> Stretch:
    begin, finish = start.astimezone(UTC), end.astimezone(UTC)
    return Stretch(begin, max(begin, finish))

"""The one place that reads the time. Doors call `now()` once and pass the value down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def floor_hour(moment: datetime) -> datetime:
    """The start of the UTC hour that holds the moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def floor_day(moment: datetime) -> datetime:
    """The start of the UTC day that holds the moment."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def ceil_hour(moment: datetime) -> datetime:
    """The first start of a UTC hour that is not before the moment."""
    floor = floor_hour(moment)
    return floor if floor == moment else floor + timedelta(hours=1)


def ceil_day(moment: datetime) -> datetime:
    """The first start of a UTC day that is not before the moment."""
    floor = floor_day(moment)
    return floor if floor == moment else floor + timedelta(days=1)


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name; UTC for one that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")

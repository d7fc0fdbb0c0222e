"""The stretch of time a page looks at, as it stands in the address: `?range=24h`, or `?from=…&to=…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT_RANGE = "24h"
CUSTOM = "custom"
LONGEST = timedelta(days=400)


@dataclass(frozen=True)
class Period:
    """From `start`, included, to `end`, not included; `key` is a name in RANGES or `custom`."""

    key: str
    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long the period is."""
        return self.end - self.start

    def before(self) -> Period:
        """The period of the same length that ends where this one starts."""
        return Period(self.key, self.start - self.length, self.start)


def read_period(params: Mapping[str, str], *, now: datetime, default: str = DEFAULT_RANGE) -> Period:
    """The period an address names; the default one when it names none, or one that makes no sense.

    Times without a zone are UTC. A custom period ends at `now` at the latest and is cut to its last 400 days.
    """
    start, end = read_moment(params.get("from")), read_moment(params.get("to"))
    if start is not None:
        end = min(end or now, now)
        if start < end:
            return Period(CUSTOM, max(start, end - LONGEST), end)
    key = params.get("range", default)
    key = key if key in RANGES else default
    return Period(key, now - RANGES[key], now)


def read_moment(text: str | None) -> datetime | None:
    """An ISO 8601 time, in UTC unless it says otherwise; None for anything else."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

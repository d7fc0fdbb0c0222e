"""Days and months of a time zone, and what they are compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from apps.dashboards import calendar


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "today", "yesterday"),
    [
        ("2026-03-04 12:00", "UTC", ("2026-03-04 00:00", "2026-03-04 12:00"), ("2026-03-03 00:00", "2026-03-03 12:00")),
        # New York is five hours behind: its day began at 05:00 UTC.
        (
            "2026-03-04 03:30",
            "America/New_York",
            ("2026-03-03 05:00", "2026-03-04 03:30"),
            ("2026-03-02 05:00", "2026-03-03 03:30"),
        ),
        # Kathmandu is 5:45 ahead.
        (
            "2026-03-04 12:00",
            "Asia/Kathmandu",
            ("2026-03-03 18:15", "2026-03-04 12:00"),
            ("2026-03-02 18:15", "2026-03-03 12:00"),
        ),
        # Berlin, on the day after the clocks went forward: the same wall time is an hour less.
        (
            "2026-03-30 10:00",
            "Europe/Berlin",
            ("2026-03-29 22:00", "2026-03-30 10:00"),
            ("2026-03-28 23:00", "2026-03-29 10:00"),
        ),
    ],
)
def test_compares_the_day_so_far(now: str, zone: str, today: tuple[str, str], yesterday: tuple[str, str]) -> None:
    moment, place = utc(now), ZoneInfo(zone)
    assert calendar.today(moment, place) == calendar.Stretch(*map(utc, today))
    assert calendar.yesterday_so_far(moment, place) == calendar.Stretch(*map(utc, yesterday))


@pytest.mark.parametrize(
    ("now", "zone", "month", "last_month"),
    [
        ("2026-03-04 12:00", "UTC", ("2026-03-01 00:00", "2026-03-04 12:00"), ("2026-02-01 00:00", "2026-02-04 12:00")),
        # February has no 30th: all of it.
        ("2026-03-30 12:00", "UTC", ("2026-03-01 00:00", "2026-03-30 12:00"), ("2026-02-01 00:00", "2026-03-01 00:00")),
        ("2026-01-01 00:00", "UTC", ("2026-01-01 00:00", "2026-01-01 00:00"), ("2025-12-01 00:00", "2025-12-01 00:00")),
        (
            "2026-04-02 09:00",
            "Europe/Berlin",
            ("2026-03-31 22:00", "2026-04-02 09:00"),
            ("2026-02-28 23:00", "2026-03-02 10:00"),
        ),
    ],
)
def test_compares_the_month_so_far(now: str, zone: str, month: tuple[str, str], last_month: tuple[str, str]) -> None:
    moment, place = utc(now), ZoneInfo(zone)
    assert calendar.this_month(moment, place) == calendar.Stretch(*map(utc, month))
    assert calendar.last_month_so_far(moment, place) == calendar.Stretch(*map(utc, last_month))

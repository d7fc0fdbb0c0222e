"""The stretch of time an address names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.core.periods import CUSTOM, LONGEST, Period, read_period

NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "length"),
    [("1h", timedelta(hours=1)), ("24h", timedelta(days=1)), ("7d", timedelta(days=7)), ("90d", timedelta(days=90))],
)
def test_reads_the_usual_ranges_back_from_now(key: str, length: timedelta) -> None:
    assert read_period({"range": key}, now=NOW) == Period(key, NOW - length, NOW)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"range": "5y"},
        {"from": "yesterday"},
        {"from": "2026-11-24T00:00"},
        {"from": "2026-11-23T12:00", "to": "2026-11-23T11:00"},
        {"from": "0001-01-01T00:00+23:59", "to": "0001-01-01T00:00+23:59"},
    ],
)
def test_falls_back_to_the_default_when_the_address_makes_no_sense(params: dict[str, str]) -> None:
    assert read_period(params, now=NOW, default="7d").key == "7d"


def test_reads_a_chosen_stretch_as_utc_unless_it_says_otherwise() -> None:
    period = read_period({"from": "2026-11-20T10:00", "to": "2026-11-21T10:00+02:00"}, now=NOW)
    assert period == Period(CUSTOM, datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 21, 8, tzinfo=UTC))


def test_ends_a_chosen_stretch_now_at_the_latest() -> None:
    assert read_period({"from": "2026-11-20", "to": "2030-01-01"}, now=NOW).end == NOW
    assert read_period({"from": "2026-11-20"}, now=NOW).end == NOW


def test_cuts_a_chosen_stretch_to_its_last_400_days() -> None:
    assert read_period({"from": "1999-01-01"}, now=NOW).start == NOW - LONGEST


def test_knows_the_period_before() -> None:
    period = read_period({"range": "24h"}, now=NOW)
    assert period.before() == Period("24h", NOW - timedelta(hours=48), NOW - timedelta(hours=24))

"""What a page looks at, as its address says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.dashboards.scope import read_scope
from apps.telemetry.figures import Interval

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_takes_everything_of_a_day_when_nothing_is_said() -> None:
    scope = read_scope({}, now=NOW)
    assert (scope.period.start, scope.period.end) == (NOW - timedelta(hours=24), NOW)
    assert (scope.environment, scope.feature, scope.model) == (None, None, None)
    assert not scope.is_filtered


@pytest.mark.parametrize(
    ("text", "value"), [("answers", "answers"), ("(none)", ""), ("", None), ("a\x00b", "ab"), ("' OR 1=1", "' OR 1=1")]
)
def test_reads_filters(text: str, value: str | None) -> None:
    scope = read_scope({"feature": text, "model": text}, now=NOW)
    assert (scope.feature, scope.model) == (value, value)


@pytest.mark.parametrize(("text", "value"), [("production", "production"), ("all", None), ("", None)])
def test_reads_the_environment(text: str, value: str | None) -> None:
    assert read_scope({"env": text}, now=NOW).environment == value


@pytest.mark.parametrize(
    ("length", "interval"),
    [
        (timedelta(hours=1), Interval.MINUTE),
        (timedelta(hours=3), Interval.MINUTE),
        (timedelta(hours=24), Interval.HOUR),
        (timedelta(days=3), Interval.HOUR),
        (timedelta(days=7), Interval.SIX_HOURS),
        (timedelta(days=30), Interval.DAY),
        (timedelta(days=400), Interval.DAY),
    ],
)
def test_cuts_a_period_into_readable_pieces(length: timedelta, interval: Interval) -> None:
    scope = read_scope({"from": (NOW - length).isoformat()}, now=NOW)
    assert scope.period.length == length
    assert scope.interval is interval

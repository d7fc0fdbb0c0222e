"""Numbers and times in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.core import formats

NOW = datetime(2026, 11, 23, 14, 18, 7, tzinfo=UTC)


def spaced(text: str) -> str:
    """The text with ordinary spaces, so that a table of cases can be read."""
    return text.replace(formats.SPACE, " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.4, "< 1 ms"),
        (8.25, "8.2 ms"),
        (9.97, "10 ms"),
        (842, "842 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (1240, "1.24 s"),
        (9_994, "9.99 s"),
        (9_996, "10.0 s"),
        (59_949, "59.9 s"),
        (59_951, "1.0 min"),
        (126_000, "2.1 min"),
        (3_600_000, "1.0 h"),
        (5_400_000, "1.5 h"),
        (90_000_000, "1.0 d"),
        (-110, "−110 ms"),
        (Decimal("1240.5"), "1.24 s"),
    ],
)
def test_writes_lengths_of_time(value: formats.Number | None, text: str) -> None:
    assert spaced(formats.milliseconds(value)) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (1, "100 %"),
        (0.0042, "0.42 %"),
        (0.871, "87.1 %"),
        (0.38, "38.0 %"),
        (0.9997, "99.97 %"),
        (0.99996, "> 99.99 %"),
        (0.00001, "< 0.01 %"),
        (-0.00001, "−< 0.01 %"),
        (1.046, "104.6 %"),
        (-0.031, "−3.1 %"),
        (Decimal("0.5"), "50.0 %"),
    ],
)
def test_writes_ratios_and_rounds_none_to_nothing_or_everything(ratio: formats.Number | None, text: str) -> None:
    assert spaced(formats.percent(ratio)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (842, "842"),
        (999.4, "999"),
        (999.6, "1.00 k"),
        (1_240, "1.24 k"),
        (9_996, "10.0 k"),
        (38_410, "38.4 k"),
        (999_600, "1.00 M"),
        (3_100_000, "3.10 M"),
        (12_345_678_901_234_567, "12,346 T"),
        (-1_240, "−1.24 k"),
    ],
)
def test_writes_counts_in_three_digits(value: formats.Number | None, text: str) -> None:
    assert spaced(formats.compact(value)) == text


def test_writes_tokens_with_their_unit() -> None:
    assert spaced(formats.tokens(1240)) == "1.24 k tok"
    assert formats.tokens(None) == "–"


def test_separates_thousands_and_uses_a_true_minus() -> None:
    assert formats.number(11_230) == "11,230"
    assert formats.number(-1_234.56, 1) == "−1,234.6"
    assert formats.number(-0.2) == "0"


@pytest.mark.parametrize(
    ("now", "before", "unit", "good", "text", "verdict"),
    [
        (142.18, 146.73, "relative", "down", "−3.1 %", "flat"),
        (200, 100, "relative", "down", "+100 %", "bad"),
        (50, 100, "relative", "down", "−50.0 %", "good"),
        (120, 100, "relative", "none", "+20.0 %", "flat"),
        (0.871, 0.91, "points", "up", "−3.9 pt", "flat"),
        (0.80, 0.91, "points", "up", "−11.0 pt", "bad"),
        (0.0047, 0.0042, "points", "down", "+0.05 pt", "bad"),
        (5420, 5530, "ms", "down", "−110 ms", "flat"),
        (8140, 5200, "ms", "down", "+2.94 s", "bad"),
        (38, 31, "number", "down", "+7", "bad"),
        (Decimal("2"), Decimal("1"), "relative", "up", "+100 %", "good"),
        (0, 0, "relative", "down", "0 %", "flat"),
        (5, 0, "relative", "down", "–", "unknown"),
        (None, 3, "relative", "down", "–", "unknown"),
        (3, None, "relative", "down", "–", "unknown"),
    ],
)
def test_says_how_a_figure_changed_and_whether_that_is_good(
    now: formats.Number | None,
    before: formats.Number | None,
    unit: formats.Unit,
    good: formats.Good,
    text: str,
    verdict: str,
) -> None:
    change = formats.change(now, before, unit=unit, good=good)
    assert (spaced(change.text), change.verdict) == (text, verdict)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=4), "just now"),
        (timedelta(seconds=12), "12 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(hours=22, minutes=59), "22 h"),
        (timedelta(days=3), "3 d"),
        (timedelta(days=29), "29 d"),
        (timedelta(days=40), "Oct 14"),
        (timedelta(days=400), "Oct 19, 2025"),
        (timedelta(minutes=-5), "2026-11-23 14:23:07 UTC"),
    ],
)
def test_says_how_long_ago(ago: timedelta, text: str) -> None:
    assert spaced(formats.age(NOW - ago, NOW)) == text


def test_names_a_stretch_of_time() -> None:
    start = datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert formats.span(start, datetime(2026, 11, 5, 12, 30, tzinfo=UTC), NOW) == "Nov 3 10:00 to Nov 5 12:30"
    assert spaced(formats.length(timedelta(hours=24))) == "24 h"
    assert spaced(formats.length(timedelta(days=7))) == "7 d"
    assert spaced(formats.length(timedelta(minutes=30))) == "30.0 min"

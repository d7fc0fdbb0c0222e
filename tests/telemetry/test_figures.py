"""The arithmetic of figures and the choice of records: tables of cases, no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from apps.core.histogram import pack
from apps.telemetry.coverage import Coverage, Stretch, cover, union
from apps.telemetry.figures import (
    COUNTS,
    MAX_DAYS,
    Dimension,
    FigureRequest,
    FigureTable,
    Interval,
    Piece,
    RangeError,
    bucket_starts,
)

DAY = datetime(2026, 3, 4, tzinfo=UTC)
BERLIN, KATHMANDU = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")


def at(text: str) -> datetime:
    """A moment of March 2026 in UTC, as `4 10:30`."""
    return datetime.strptime(f"2026-03-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def stretches(*texts: str) -> tuple[Stretch, ...]:
    """Stretches from texts as `4 10:30 > 4 11:00`."""
    return tuple(Stretch(*map(at, text.split(" > "))) for text in texts)


@pytest.mark.parametrize(
    ("start", "end", "interval", "zone", "starts"),
    [
        ("4 10:30", "4 12:00", Interval.NONE, UTC, ["4 10:30"]),
        ("4 10:30", "4 12:00", Interval.HOUR, UTC, ["4 10:00", "4 11:00"]),
        ("4 10:30", "4 12:01", Interval.HOUR, UTC, ["4 10:00", "4 11:00", "4 12:00"]),
        ("4 10:30", "4 12:01", Interval.HOUR, KATHMANDU, ["4 10:00", "4 11:00", "4 12:00"]),
        ("4 10:30", "4 10:32", Interval.MINUTE, UTC, ["4 10:30", "4 10:31"]),
        ("4 10:30", "6 00:00", Interval.DAY, UTC, ["4 00:00", "5 00:00"]),
        ("4 10:30", "6 00:01", Interval.DAY, UTC, ["4 00:00", "5 00:00", "6 00:00"]),
        ("4 23:30", "6 00:00", Interval.DAY, BERLIN, ["4 23:00", "5 23:00"]),
        ("4 18:14", "5 18:15", Interval.DAY, KATHMANDU, ["3 18:15", "4 18:15"]),
        # Clocks go forward on the 29th: that day has 23 hours.
        ("28 12:00", "30 12:00", Interval.DAY, BERLIN, ["27 23:00", "28 23:00", "29 22:00"]),
        ("4 10:30", "4 10:30", Interval.HOUR, UTC, ["4 10:30"]),
    ],
)
def test_cuts_a_range_into_intervals(
    start: str, end: str, interval: Interval, zone: ZoneInfo, starts: list[str]
) -> None:
    assert bucket_starts(at(start), at(end), interval, zone) == tuple(map(at, starts))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (DAY, DAY - timedelta(microseconds=1)),
        (DAY, DAY + timedelta(days=MAX_DAYS, microseconds=1)),
        (DAY.replace(tzinfo=None), DAY),
        (DAY, DAY.replace(tzinfo=None)),
    ],
)
def test_refuses_an_impossible_range(start: datetime, end: datetime) -> None:
    with pytest.raises(RangeError):
        FigureRequest(start, end)


@pytest.mark.parametrize("groups", [(Dimension.MODEL, Dimension.MODEL), tuple(Dimension)[:3]])
def test_refuses_three_groupings_and_the_same_twice(groups: tuple[Dimension, ...]) -> None:
    with pytest.raises(ValueError, match="up to 2 different"):
        FigureRequest(DAY, DAY, groups)


@pytest.mark.parametrize(
    ("request_", "dirty", "days", "hours", "spans"),
    [
        # Days, hours and edges.
        (
            FigureRequest(at("3 22:30"), at("6 02:15")),
            [],
            ["4 00:00 > 6 00:00"],
            ["3 23:00 > 4 00:00", "6 00:00 > 6 02:00"],
            ["3 22:30 > 3 23:00", "6 02:00 > 6 02:15"],
        ),
        # A dirty hour takes its day's row out of use.
        (
            FigureRequest(at("3 00:00"), at("6 00:00")),
            ["4 05:00"],
            ["3 00:00 > 4 00:00", "5 00:00 > 6 00:00"],
            ["4 00:00 > 4 05:00", "4 06:00 > 5 00:00"],
            ["4 05:00 > 4 06:00"],
        ),
        # Dirty hours outside of the range, and in its broken ends, change nothing.
        (
            FigureRequest(at("4 01:30"), at("4 04:30")),
            ["4 00:00", "4 01:00", "4 04:00", "4 05:00"],
            [],
            ["4 02:00 > 4 04:00"],
            ["4 01:30 > 4 02:00", "4 04:00 > 4 04:30"],
        ),
        # Hours are cut no finer than hours, minutes always come from spans.
        (FigureRequest(at("3 00:00"), at("5 00:00"), interval=Interval.HOUR), [], [], ["3 00:00 > 5 00:00"], []),
        (FigureRequest(at("4 00:00"), at("4 02:00"), interval=Interval.MINUTE), [], [], [], ["4 00:00 > 4 02:00"]),
        (FigureRequest(at("4 00:10"), at("4 00:50")), [], [], [], ["4 00:10 > 4 00:50"]),
        (FigureRequest(at("4 00:50"), at("4 01:10")), [], [], [], ["4 00:50 > 4 01:10"]),
        (FigureRequest(at("4 00:00"), at("4 00:00")), [], [], [], []),
        # Days of UTC have rows, days of elsewhere are made of hours, and of spans where the day begins within one.
        (FigureRequest(at("3 00:00"), at("5 00:00"), interval=Interval.DAY), [], ["3 00:00 > 5 00:00"], [], []),
        (
            FigureRequest(at("3 23:00"), at("5 23:00"), interval=Interval.DAY, timezone=BERLIN),
            [],
            [],
            ["3 23:00 > 5 23:00"],
            [],
        ),
        (
            FigureRequest(at("3 12:00"), at("4 12:00"), interval=Interval.DAY, timezone=KATHMANDU),
            [],
            [],
            ["3 12:00 > 3 18:00", "3 19:00 > 4 12:00"],
            ["3 18:00 > 3 19:00"],
        ),
    ],
)
def test_answers_each_part_of_a_range_from_the_right_record(
    request_: FigureRequest, dirty: list[str], days: list[str], hours: list[str], spans: list[str]
) -> None:
    assert cover(request_, set(map(at, dirty))) == Coverage(stretches(*days), stretches(*hours), stretches(*spans))


def test_joins_stretches_that_touch_or_overlap() -> None:
    given = stretches("4 05:00 > 4 06:00", "4 01:00 > 4 03:00", "4 02:00 > 4 04:00", "4 06:00 > 4 07:00")

    assert union(given) == stretches("4 01:00 > 4 04:00", "4 05:00 > 4 07:00")


def piece(bucket: int, group: tuple[str, ...], calls: int, cost: str | None, latencies: list[int]) -> Piece:
    """A partial answer whose calls are unpriced when it has no cost."""
    numbers = [calls, 0, calls if cost is None else 0, *[0] * (len(COUNTS) - 3)]
    return Piece(bucket, group, numbers, None if cost is None else Decimal(cost), pack(latencies), b"")


REQUEST = FigureRequest(at("4 00:00"), at("4 03:00"), (Dimension.FEATURE, Dimension.MODEL), Interval.HOUR)
TABLE = FigureTable.of_pieces(
    REQUEST,
    [
        piece(2, ("search", "large"), 2, None, [40, 50]),
        piece(0, ("answers", "small"), 1, "0.5", [10]),
        piece(0, ("answers", "small"), 1, "9999999999999999999999.000000000000000001", [20]),
        piece(0, ("answers", "large"), 3, "0.25", [30, 30, 30]),
    ],
)


def test_adds_up_pieces_without_rounding() -> None:
    rows = {(row.at, row.group): row for row in TABLE.rows}

    assert list(rows) == [
        (at("4 00:00"), ("answers", "large")),
        (at("4 00:00"), ("answers", "small")),
        (at("4 02:00"), ("search", "large")),
    ]
    small = rows[at("4 00:00"), ("answers", "small")]
    assert small.calls == 2
    assert small.cost_usd == Decimal("9999999999999999999999.500000000000000001")
    assert (small.latency.p50, small.latency.p99) == (10, 20)


def test_an_unpriced_group_has_no_cost_but_a_total_has() -> None:
    *_, unpriced = TABLE.rows

    assert unpriced.cost_usd is None
    assert unpriced.unpriced_calls == 2
    assert TABLE.total.unpriced_calls == 2
    assert TABLE.total.cost_usd == Decimal("9999999999999999999999.750000000000000001")


def test_folds_into_intervals_groups_and_fewer_dimensions() -> None:
    assert [(row.at, row.calls) for row in TABLE.series] == [(at("4 00:00"), 5), (at("4 01:00"), 0), (at("4 02:00"), 2)]
    assert TABLE.series[1].cost_usd == 0
    assert TABLE.series[1].latency.p50 is None
    assert [(row.group, row.calls) for row in TABLE.groups] == [
        (("answers", "small"), 2),
        (("answers", "large"), 3),
        (("search", "large"), 2),
    ]
    by_model = {row.group: row for row in TABLE.by(Dimension.MODEL).groups}
    assert by_model[("large",)].calls == 5
    assert by_model[("large",)].latency.count == 5
    assert by_model[("large",)].latency.p95 == 50
    with pytest.raises(ValueError, match="not in tuple"):
        TABLE.by(Dimension.SOURCE)


def test_a_table_without_calls_still_has_a_total_and_a_series() -> None:
    empty = FigureTable.of_pieces(REQUEST, [])

    assert empty.rows == empty.groups == ()
    assert empty.total.calls == 0
    assert empty.total.cost_usd == 0
    assert empty.total.error_rate is None
    assert len(empty.series) == 3

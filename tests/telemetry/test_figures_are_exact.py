"""Whatever happened before, figures are those of the spans: compared with plain Python over many histories."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.services import rollups
from tests.telemetry.calls import Call, assert_row, bucket_of, chosen, forget, make_partitions, put

PROJECT, OTHER = 7001, 7002
FIRST = date(2026, 3, 27)  # a Friday; clocks go forward in Europe on the 29th
DAYS = 5
START = datetime(2026, 3, 27, tzinfo=UTC)

ODD = "o'%s {x} \\ \""
TEXTS = {
    "environment": ["production", "staging"],
    "feature": ["", "answers", ODD],
    "provider": ["", "openai"],
    "model": ["", "gpt-4o", "häuschen"],
    "prompt_name": ["", "greet"],
    "prompt_version": ["", "1.0.0"],
    "source": ["service", "gateway"],
}
LENGTHS = st.sampled_from([None, 0, 7, 7, 199, 200, 2**32, 10**12]) | st.integers(0, 90_000)
TOKENS = st.none() | st.integers(0, 3000)
COSTS = (
    st.none()
    | st.sampled_from([Decimal("0"), Decimal("0.000000000000000001"), Decimal("999999999.5")])
    | (st.decimals(0, 1, places=12))
)
SECONDS = st.sampled_from([0, 1, 1799, 1800, 2699, 2700, 3599]) | st.integers(0, 3599)
MOMENTS = st.builds(
    lambda hour, second, micro: START + timedelta(hours=hour, seconds=second, microseconds=micro),
    # A few hours are met often, so that they hold several calls; the rest of the days are met too.
    st.sampled_from([0, 23, 24, 46, 47, 48]) | st.integers(0, DAYS * 24 - 1),
    SECONDS,
    st.sampled_from([0, 1, 999_999]),
)
CALLS = st.builds(
    Call,
    number=st.integers(1, 30),
    started_at=MOMENTS,
    counted=st.sampled_from([True, True, True, False]),
    status=st.sampled_from(["ok", "error"]),
    latency_ms=LENGTHS,
    ttft_ms=LENGTHS,
    cost_usd=COSTS,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cached_input_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    **{name: st.sampled_from(values) for name, values in TEXTS.items()},
)
FILTERS = st.just(Filters()) | st.builds(
    Filters,
    environment=st.none() | st.sampled_from(TEXTS["environment"]),
    feature=st.sampled_from([None, None, *TEXTS["feature"]]),
    provider=st.sampled_from([None, None, None, *TEXTS["provider"]]),
    model=st.sampled_from([None, None, *TEXTS["model"]]),
    prompt_version=st.sampled_from([None, None, None, "", "greet", "greet@1.0.0"]),
    source=st.sampled_from([None, None, None, *TEXTS["source"]]),
)
ZONES = st.sampled_from(
    [UTC, *map(ZoneInfo, ("Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland"))]
)
EVERYTHING = (START, START + timedelta(days=DAYS))
EDGES = MOMENTS | st.integers(-1, DAYS + 1).map(lambda day: START + timedelta(days=day))


@st.composite
def requests(draw: Any) -> FigureRequest:
    """Any range, grouping, interval and filters."""
    start, end = draw(st.just(EVERYTHING) | st.tuples(EDGES, EDGES).map(sorted).map(tuple))
    interval = draw(st.sampled_from(Interval))
    if interval is Interval.MINUTE:
        end = min(end, start + timedelta(hours=24))
    group_by = draw(st.lists(st.sampled_from(Dimension), max_size=2, unique=True).map(tuple))
    return FigureRequest(start, end, group_by, interval, draw(FILTERS), draw(ZONES))


STEPS = st.one_of(
    st.lists(CALLS, min_size=1, max_size=10).map(lambda calls: ("put", calls)),
    st.just(("roll up", None)),
    st.integers(1, 30).map(lambda number: ("forget", number)),
    st.lists(requests(), min_size=1, max_size=3).map(lambda asked: ("read", asked)),
)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=12), last=st.lists(requests(), min_size=1, max_size=4))
def test_equal_the_spans_after_any_history(steps: list[tuple[str, Any]], last: list[FigureRequest]) -> None:
    with transaction.atomic():
        make_partitions(FIRST, DAYS)
        put(OTHER, [Call(1, START + timedelta(hours=1, minutes=2))])
        history = History()
        for name, argument in steps:
            history.take(name, argument)
        history.take("read", last)
        history.take("roll up", None)
        history.take("read", last)
        transaction.set_rollback(True)


class History:
    """The calls as they should be stored by now."""

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}

    def take(self, name: str, argument: Any) -> None:
        """One step, done to the database and to the calls kept here; reads are compared."""
        if name == "put":
            self._put(argument)
        elif name == "roll up":
            rollups.roll_up()
        elif name == "forget":
            if call := self.calls.pop(argument, None):
                forget(PROJECT, call)
        else:
            for table in read_tables(PROJECT, argument):
                assert_table(table, list(self.calls.values()))

    def _put(self, calls: list[Call]) -> None:
        unique = {call.number: call for call in calls}
        for number, call in unique.items():
            # A span's start is part of its key: a report of another start would be another span.
            if held := self.calls.get(number):
                unique[number] = Call(**{**vars(call), "started_at": held.started_at})
        put(PROJECT, list(unique.values()))
        self.calls |= unique


def assert_table(table: FigureTable, calls: list[Call]) -> None:
    """Rows, series, groups and total are what these calls amount to."""
    request = table.request
    cells: dict[tuple[Any, tuple[str, ...]], list[Call]] = defaultdict(list)
    by_bucket: dict[Any, list[Call]] = defaultdict(list)
    by_group: dict[tuple[str, ...], list[Call]] = defaultdict(list)
    picked = chosen(request, calls)
    for call in picked:
        bucket = bucket_of(request, call.started_at)
        group = tuple(call.value_of(dimension) for dimension in request.group_by)
        cells[bucket, group].append(call)
        by_bucket[bucket].append(call)
        by_group[group].append(call)
    assert [(row.at, row.group) for row in table.rows] == sorted(cells, key=lambda cell: (cell[0] or START, cell[1]))
    for row in table.rows:
        assert_row(row, cells[row.at, row.group])
    for row in table.series:
        assert_row(row, by_bucket.pop(row.at, []))
    assert not by_bucket
    assert {row.group for row in table.groups} == set(by_group)
    for row in table.groups:
        assert_row(row, by_group[row.group])
    assert_row(table.total, picked)

"""Calls written straight into the span table, and the same figures worked out in plain Python to compare with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from django.db import connection, transaction

from apps.core.clock import floor_day, floor_hour
from apps.core.histogram import MAX_MS
from apps.telemetry.figures import COUNTS, STEPS, FigureRequest, FigureRow, Interval, Percentiles
from apps.telemetry.services.partitions import ensure_partitions, forget_known
from apps.telemetry.types import SPAN_COLUMNS, SpanRecord

EXACT = Context(prec=100)
PUT = f"""
INSERT INTO telemetry_span ({", ".join(SPAN_COLUMNS)}) VALUES ({", ".join(["%s"] * len(SPAN_COLUMNS))})
ON CONFLICT (project_id, trace_id, span_id, started_at) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in SPAN_COLUMNS)}
"""
MARK = "INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at) VALUES (%s, %s, %s)"


@dataclass(frozen=True)
class Call:
    """A span, by what is counted of it. `number` makes its ids."""

    number: int
    started_at: datetime
    environment: str = "production"
    feature: str = "answers"
    provider: str = "openai"
    model: str = "gpt-4o"
    prompt_name: str = ""
    prompt_version: str = ""
    source: str = "service"
    counted: bool = True
    status: str = "ok"
    latency_ms: int | None = 1200
    ttft_ms: int | None = None
    cost_usd: Decimal | None = Decimal("0.0125")
    input_tokens: int | None = 100
    output_tokens: int | None = 20
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def value_of(self, dimension: str) -> str:
        """The call's value of a dimension of the cost records."""
        if dimension != "prompt_version":
            return str(getattr(self, dimension))
        if not self.prompt_name:
            return ""
        return f"{self.prompt_name}@{self.prompt_version}" if self.prompt_version else self.prompt_name


def make_partitions(first: date, days: int) -> None:
    """The partitions of these days, looked for anew: an earlier test may have taken its own back."""
    forget_known()
    ensure_partitions(first + timedelta(days=offset) for offset in range(days))
    forget_known()


def put(project_id: int, calls: Sequence[Call]) -> None:
    """Store or replace the calls and mark their hours, in one transaction, as intake does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(PUT, [_row(project_id, call) for call in calls])
        hours = {floor_hour(call.started_at) for call in calls}
        cursor.executemany(MARK, [(project_id, hour, hour) for hour in hours])


def forget(project_id: int, call: Call) -> None:
    """Take the call away, and mark its hour."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM telemetry_span WHERE project_id = %s AND span_id = %s",
            [project_id, call.number.to_bytes(8)],
        )
        hour = floor_hour(call.started_at)
        cursor.execute(MARK, [project_id, hour, hour])


def _row(project_id: int, call: Call) -> list[Any]:
    record = SpanRecord(
        project_id=project_id,
        trace_id=call.number.to_bytes(16),
        span_id=call.number.to_bytes(8),
        client_started_at=call.started_at,
        received_at=call.started_at,
        kind="llm",
        name="call",
        digest=b"",
        **{name: getattr(call, name) for name in Call.__dataclass_fields__ if name != "number"},
    )
    return [getattr(record, name) for name in SPAN_COLUMNS]


@dataclass(frozen=True)
class Expected:
    """The figures of some calls, exactly."""

    numbers: tuple[int, ...]
    cost_usd: Decimal | None
    latencies: tuple[int, ...]
    ttfts: tuple[int, ...]


def expect(calls: Iterable[Call]) -> Expected:
    """Work the figures of these calls out."""
    counted = list(calls)
    costs = [call.cost_usd for call in counted if call.cost_usd is not None]
    total = Decimal(0)
    for cost in costs:
        total = EXACT.add(total, cost)
    tokens = (sum(getattr(call, name) or 0 for call in counted) for name in COUNTS[3:])
    return Expected(
        numbers=(
            len(counted),
            sum(call.status == "error" for call in counted),
            len(counted) - len(costs),
            *tokens,
        ),
        cost_usd=None if counted and not costs else total,
        latencies=tuple(sorted(min(call.latency_ms, MAX_MS) for call in counted if call.latency_ms is not None)),
        ttfts=tuple(sorted(min(call.ttft_ms, MAX_MS) for call in counted if call.ttft_ms is not None)),
    )


def chosen(request: FigureRequest, calls: Iterable[Call]) -> list[Call]:
    """The calls that the request is about."""
    filters = request.filters.given()
    return [
        call
        for call in calls
        if call.counted
        and request.start <= call.started_at < request.end
        and all(call.value_of(dimension) == value for dimension, value in filters.items())
    ]


def bucket_of(request: FigureRequest, moment: datetime) -> datetime | None:
    """The start of the interval that holds the moment, by the calendar."""
    if request.interval is Interval.NONE:
        return None
    if request.interval is not Interval.DAY:
        midnight = floor_day(moment)
        return midnight + (moment - midnight) // STEPS[request.interval] * STEPS[request.interval]
    local = moment.astimezone(request.timezone).date()
    return datetime(local.year, local.month, local.day, tzinfo=request.timezone).astimezone(UTC)


def assert_row(row: FigureRow, calls: Iterable[Call]) -> None:
    """The row has exactly these calls' counts and cost, and percentiles within one percent."""
    expected = expect(calls)
    assert tuple(getattr(row, name) for name in COUNTS) == expected.numbers
    assert row.cost_usd == expected.cost_usd
    assert_percentiles(row.latency, expected.latencies)
    assert_percentiles(row.ttft, expected.ttfts)


def assert_percentiles(found: Percentiles, values: Sequence[int]) -> None:
    """Nearest rank, within one percent; None for no values."""
    assert found.count == len(values)
    for answer, share in ((found.p50, "0.5"), (found.p95, "0.95"), (found.p99, "0.99")):
        if not values:
            assert answer is None
        else:
            exact = values[max(1, math.ceil(Fraction(share) * len(values))) - 1]
            assert answer is not None
            assert abs(answer - exact) * 100 <= exact, (answer, exact)


def records(table: str) -> list[tuple[Any, ...]]:
    """All rows of a table of cost records but their numbers, in order, bytes as bytes."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        assert cursor.description[0].name == "id"
        rows = [row[1:] for row in cursor.fetchall()]
    return sorted(tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows)


RECORD_TABLES = (
    "telemetry_costhour",
    "telemetry_costhourslice",
    "telemetry_costday",
    "telemetry_costdayslice",
)

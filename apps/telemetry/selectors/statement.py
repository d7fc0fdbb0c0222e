"""The one SQL statement that answers any number of figure requests from day rows, hour rows and spans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from apps.telemetry.coverage import Stretch, cover, union
from apps.telemetry.figures import STEPS, Dimension, FigureRequest, Interval
from apps.telemetry.selectors.counting import (
    ALL,
    DAY_SLICED,
    HOUR_SLICED,
    LATENCY_BUCKET,
    RECORD_COUNTS,
    SPAN_COUNTS,
    SPAN_DIMENSIONS,
    TTFT_BUCKET,
    calls_within,
    entry_of,
    moments_of,
    within,
)

MARKS = -1
"""In place of a request's number: the row tells of a dirty hour, by its epoch in place of an interval's number."""

HAS_SPANS = """NOT EXISTS (
  SELECT 1 FROM telemetry_retentionsettings AS retention
  WHERE retention.project_id = telemetry_dirtyhour.project_id AND telemetry_dirtyhour.hour < retention.spans_since
)"""
"""A dirty hour is read from spans unless they were deleted for their age: then its record is what counts."""

Part = sql.Composed

LIVE = sql.SQL(", ").join(
    [
        sql.SQL("started_at, status, cost_usd, input_tokens, output_tokens"),
        sql.SQL("cached_input_tokens, cache_write_tokens, reasoning_tokens"),
        *(sql.SQL(f"{what} AS {name}") for name, what in SPAN_DIMENSIONS.items()),
    ]
)
LIVE_LENGTHS = sql.SQL(
    f", {entry_of(LATENCY_BUCKET, '1')} AS latency_histogram, {entry_of(TTFT_BUCKET, '1')} AS ttft_histogram"
)
SPAN_SUMS = sql.SQL(", ").join(map(sql.SQL, SPAN_COUNTS.values()))
RECORD_SUMS = sql.SQL(", ").join(map(sql.SQL, RECORD_COUNTS.values()))
# Histograms may be strung together: whoever reads them adds up the entries.
LENGTHS = sql.SQL("string_agg(latency_histogram, ''::bytea), string_agg(ttft_histogram, ''::bytea)")
NO_LENGTHS = sql.SQL("''::bytea, ''::bytea")


def compose(
    project_id: int, requests: Sequence[FigureRequest], wide: Stretch, dirty: set[datetime], *, limit: int
) -> Part:
    """Rows of (request, interval's number, first group, second group, counts in order, cost, latency, TTFT).

    The hours in `dirty` are read from spans. Rows of request MARKS are the hours within `wide` that are dirty.
    """
    coverages = [cover(request, dirty) for request in requests]
    live = union(stretch for coverage in coverages for stretch in coverage.spans)
    parts = [_marks(project_id, wide)]
    for number, (request, coverage) in enumerate(zip(requests, coverages, strict=True)):
        if coverage.days:
            parts.append(_from_days(project_id, number, request, coverage.days))
        if coverage.hours:
            parts.append(_from_hours(project_id, number, request, coverage.hours))
        if coverage.spans:
            parts.append(_from_spans(number, request, coverage.spans))
    body = sql.SQL("{}\nLIMIT {}").format(sql.SQL("\nUNION ALL\n").join(parts), sql.Literal(limit))
    if not live:
        return sql.Composed([body])
    live_columns = LIVE + LIVE_LENGTHS if any(request.has_lengths for request in requests) else LIVE
    return sql.SQL("WITH live AS MATERIALIZED (SELECT {} FROM ({}) AS calls)\n{}").format(
        live_columns, calls_within(project_id, live), body
    )


def _marks(project_id: int, wide: Stretch) -> Part:
    nothing = sql.SQL(", ").join([sql.SQL("0::bigint")] * len(RECORD_COUNTS))
    return sql.SQL(
        "SELECT DISTINCT {}, date_part('epoch', hour)::bigint, ''::text, ''::text, {}, 0::numeric, "
        "''::bytea, ''::bytea FROM telemetry_dirtyhour WHERE project_id = {} AND hour >= {} AND hour < {} AND {}"
    ).format(sql.Literal(MARKS), nothing, sql.Literal(project_id), *map(sql.Literal, wide), sql.SQL(HAS_SPANS))


def _from_days(project_id: int, number: int, request: FigureRequest, stretches: Sequence[Stretch]) -> Part:
    bucket: sql.Composable = sql.SQL("0::bigint")
    if request.interval is Interval.DAY:
        bucket = sql.SQL("(day - {})::bigint").format(sql.Literal(request.buckets[0].date()))
    source, columns = _records(project_id, request, "telemetry_costday", DAY_SLICED)
    days = [(stretch.start.date(), stretch.end.date()) for stretch in stretches]
    return _summed(number, request, bucket, columns, RECORD_SUMS, source, within("day", days))


def _from_hours(project_id: int, number: int, request: FigureRequest, stretches: Sequence[Stretch]) -> Part:
    source, columns = _records(project_id, request, "telemetry_costhour", HOUR_SLICED)
    bucket = _bucket(request, "hour")
    return _summed(number, request, bucket, columns, RECORD_SUMS, source, within("hour", stretches))


def _records(
    project_id: int, request: FigureRequest, table: str, sliced: Sequence[str]
) -> tuple[Part, dict[Dimension, sql.Identifier]]:
    """Where to read, and the columns of the dimensions there: slices if they tell enough apart, else full records."""
    project, wanted = sql.Literal(project_id), request.dimensions
    if len(wanted) > 1 or not wanted <= set(sliced):
        source = sql.SQL("{} WHERE project_id = {}").format(sql.Identifier(table), project)
        return source, {dimension: sql.Identifier(dimension) for dimension in Dimension}
    name = next(iter(wanted), ALL)
    source = sql.SQL("{} WHERE project_id = {} AND dimension = {}").format(
        sql.Identifier(f"{table}slice"), project, sql.Literal(str(name))
    )
    return source, {
        Dimension.ENVIRONMENT: sql.Identifier("environment"),
        **{dimension: sql.Identifier("value") for dimension in wanted},
    }


def _from_spans(number: int, request: FigureRequest, stretches: Sequence[Stretch]) -> Part:
    columns = {dimension: sql.Identifier(dimension) for dimension in Dimension}
    source, when = sql.SQL("live WHERE true"), within("started_at", stretches)
    return _summed(number, request, _bucket(request, "started_at"), columns, SPAN_SUMS, source, when)


def _summed(
    number: int,
    request: FigureRequest,
    bucket: sql.Composable,
    columns: dict[Dimension, sql.Identifier],
    counts: sql.Composable,
    source: sql.Composable,
    when: sql.Composable,
) -> Part:
    """The sums of one source by interval and group, under the request's filters."""
    groups = [
        *(columns[dimension] for dimension in request.group_by),
        sql.SQL("''::text"),
        sql.SQL("''::text"),
    ][:2]
    filters = [
        sql.SQL("{} = {}").format(columns[dimension], sql.Literal(value))
        for dimension, value in request.filters.given().items()
    ]
    lengths = LENGTHS if request.has_lengths else NO_LENGTHS
    return sql.SQL("SELECT {}, {}, {}, {}, {}, sum(cost_usd), {} FROM {} AND {} GROUP BY 2, 3, 4").format(
        sql.Literal(number), bucket, *groups, counts, lengths, source, sql.SQL(" AND ").join([when, *filters])
    )


def _bucket(request: FigureRequest, column: str) -> sql.Composable:
    """The number of the interval that holds the moment in the column."""
    at = sql.Identifier(column)
    if request.interval is Interval.NONE:
        return sql.SQL("0::bigint")
    if request.interval is Interval.DAY:
        return sql.SQL("(width_bucket({}, {}) - 1)::bigint").format(at, moments_of(request.buckets))
    return sql.SQL("floor(date_part('epoch', {} - {}) / {})::bigint").format(
        at, sql.Literal(request.buckets[0]), sql.Literal(int(STEPS[request.interval].total_seconds()))
    )

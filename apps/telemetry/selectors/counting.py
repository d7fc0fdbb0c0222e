"""How spans are counted, in SQL. Cost records and live figures use the same words, so they cannot differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from psycopg import sql

from apps.core.histogram import bucket_sql
from apps.telemetry.coverage import Stretch
from apps.telemetry.figures import COUNTS, Dimension

DIMENSIONS = tuple(dimension.value for dimension in Dimension)
"""The columns of a cost record's key, in the order of its unique index."""

ALL = "all"
"""The slice that tells nothing apart but the environment: totals."""

DAY_SLICED = DIMENSIONS[1:]
HOUR_SLICED = (Dimension.FEATURE.value, Dimension.MODEL.value)
"""The dimensions by which days and hours are also kept one at a time, beside `all`."""

PROMPT_VERSION = """CASE WHEN prompt_name = '' THEN '' WHEN prompt_version = '' THEN prompt_name
  ELSE prompt_name || '@' || prompt_version END"""
"""A span's prompt version as the dimension has it: `name@version`, or what of it is known."""

SPAN_DIMENSIONS = {name: PROMPT_VERSION if name == "prompt_version" else name for name in DIMENSIONS}

SPAN_COUNTS = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (WHERE status = 'error')",
    "unpriced_calls": "count(*) FILTER (WHERE cost_usd IS NULL)",
    **{name: f"coalesce(sum({name}), 0)::bigint" for name in COUNTS if name.endswith("_tokens")},
}
RECORD_COUNTS = {name: f"sum({name})::bigint" for name in COUNTS}

LATENCY_BUCKET = bucket_sql("latency_ms")
TTFT_BUCKET = bucket_sql("ttft_ms")


def entry_of(bucket: str, count: str) -> str:
    """One entry of a packed histogram, as `apps.core.histogram.PAIR` lays it out; NULL for a NULL bucket."""
    return f"int2send(({bucket})::smallint) || int4send(({count})::integer)"


MANY_STRETCHES = 8
"""Up to so many stretches of spans are read one by one: the planner picks the partitions of each."""

CALLS = sql.SQL(
    "SELECT started_at, CASE WHEN finish_reason = 'error' THEN 'error' ELSE status END AS status, cost_usd, "
    "environment, feature, provider, model, prompt_name, prompt_version, source, "
    "latency_ms, ttft_ms, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens "
    "FROM telemetry_span"
)


def calls_within(project_id: int, stretches: Sequence[Stretch]) -> sql.Composed:
    """A query of the calls within the stretches, which are in order."""
    project = sql.Literal(project_id)
    if len(stretches) <= MANY_STRETCHES:
        single = sql.SQL("{} WHERE project_id = {} AND counted AND {}")
        return sql.SQL("\nUNION ALL\n").join(
            single.format(CALLS, project, within("started_at", [stretch])) for stretch in stretches
        )
    # The bounds let the planner leave out partitions, the join lets the executor leave out the others.
    joined = sql.SQL(
        "{calls}, unnest({starts}, {ends}) AS wanted (wanted_start, wanted_end) WHERE project_id = {project} "
        "AND counted AND started_at >= wanted_start AND started_at < wanted_end AND {bounds}"
    )
    return joined.format(
        calls=CALLS,
        starts=moments_of(stretch.start for stretch in stretches),
        ends=moments_of(stretch.end for stretch in stretches),
        project=project,
        bounds=within("started_at", [Stretch(stretches[0].start, stretches[-1].end)]),
    )


# Times are written out here and not one by one as psycopg would: there may be hundreds, and a time needs no escaping.


def within(column: str, stretches: Iterable[tuple[date, date]]) -> sql.SQL:
    """True when the column lies in one of the stretches."""
    conditions = (f"({column} >= {_written(start)} AND {column} < {_written(end)})" for start, end in stretches)
    return sql.SQL(f"({' OR '.join(conditions)})")


def moments_of(moments: Iterable[datetime]) -> sql.SQL:
    """An array of the moments."""
    return sql.SQL(f"'{{{','.join(moment.isoformat() for moment in moments)}}}'::timestamptz[]")


def _written(time: date) -> str:
    return f"'{time.isoformat()}'::{'timestamptz' if isinstance(time, datetime) else 'date'}"

"""Reading scores: lists, those of one trace, and figures by time and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

from django.db import connection

from apps.telemetry.figures import Dimension, Filters, Interval, bucket_starts
from apps.telemetry.scoring import ScorePoint
from apps.telemetry.selectors.traces import BadCursor

MOST_OF_TRACE = 500
TICK = timedelta(microseconds=1)
COLUMNS = (
    "score_id", "trace_id", "span_id", "session_id", "name", "data_type", "value", "label", "comment", "user_id",
    "source", "at", "received_at", "environment", "feature", "provider", "model", "prompt_version",
)  # fmt: skip
COLUMN_LIST = ", ".join(COLUMNS)
DIMENSION_COLUMNS = {dimension: dimension.value for dimension in Dimension} | {Dimension.SOURCE: "call_source"}
"""The column of a score for each dimension; its own `source` says who gave it."""


@dataclass(frozen=True, slots=True)
class ScoreView:
    """One score, its ids in hexadecimal. A value of None has no number; empty text was not said."""

    score_id: UUID
    trace_id: str | None
    span_id: str | None
    session_id: str
    name: str
    data_type: str
    value: float | None
    label: str
    comment: str
    user_id: str
    source: str
    at: datetime
    received_at: datetime
    environment: str
    feature: str
    provider: str
    model: str
    prompt_version: str


@dataclass(frozen=True, slots=True)
class ScoreFilter:
    """Which scores: only those with exactly this. None takes all."""

    name: str | None = None
    source: str | None = None
    trace_id: bytes | None = None
    span_id: bytes | None = None
    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    feature: str | None = None
    model: str | None = None
    prompt_version: str | None = None


@dataclass(frozen=True, slots=True)
class ScorePage:
    """Scores, newest first, and the cursor of the next page if there is one."""

    items: list[ScoreView]
    next_cursor: str | None


def recent_scores(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: ScoreFilter,
    limit: int = 50,
    cursor: str | None = None,
) -> ScorePage:
    """Scores given in [start, end) that match, newest first, at most `limit` of them. Raises BadCursor."""
    conditions, values = _conditions(matching)
    if cursor:
        at, score_id = _read_cursor(cursor)
        conditions += " AND (at, score_id) < (%s, %s)"
        values += [at, score_id]
        end = min(end, at + TICK)
    views = _views(
        f"project_id = %s AND at >= %s AND at < %s{conditions} ORDER BY at DESC, score_id DESC LIMIT %s",
        [project_id, start, end, *values, limit + 1],
    )
    more = f"{views[limit - 1].at.isoformat()}~{views[limit - 1].score_id}" if len(views) > limit else None
    return ScorePage(views[:limit], more)


def _conditions(matching: ScoreFilter) -> tuple[str, list[Any]]:
    given = {
        name: value for name in ScoreFilter.__slots__ if (value := getattr(matching, name)) is not None
    }  # names of our own columns, never a caller's text
    return "".join(f" AND {name} = %s" for name in given), list(given.values())


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    moment, _, score_id = cursor.partition("~")
    try:
        place = datetime.fromisoformat(moment), UUID(score_id)
    except ValueError as error:
        raise BadCursor() from error
    if place[0].tzinfo is None:
        raise BadCursor()
    return place


def _views(where: str, values: Sequence[Any]) -> list[ScoreView]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMN_LIST} FROM telemetry_score WHERE {where}", values)  # noqa: S608 -- our own words
        return [_view(row) for row in cursor.fetchall()]


def _view(row: Sequence[Any]) -> ScoreView:
    score_id, trace_id, span_id, *others = row
    return ScoreView(score_id, _hexadecimal(trace_id), _hexadecimal(span_id), *others)


def _hexadecimal(value: memoryview | None) -> str | None:
    return None if value is None else bytes(value).hex()


def scores_of_trace(project_id: int, trace_id: str, *, span_ids: Sequence[str] = ()) -> list[ScoreView]:
    """The scores of a trace and its spans, oldest first; those included that named one of these spans alone."""
    return _views(
        "project_id = %s AND (trace_id = %s OR trace_id IS NULL AND span_id = ANY (%s)) ORDER BY at, score_id LIMIT %s",
        [project_id, bytes.fromhex(trace_id), [bytes.fromhex(span_id) for span_id in span_ids], MOST_OF_TRACE],
    )


def scores_of_session(project_id: int, session_id: str) -> list[ScoreView]:
    """The scores of a session as a whole, oldest first; not those of its traces."""
    return _views(
        "project_id = %s AND session_id = %s AND session_id <> '' ORDER BY at, score_id LIMIT %s",
        [project_id, session_id, MOST_OF_TRACE],
    )


def scores_of_traces(project_id: int, trace_ids: Sequence[str]) -> dict[str, list[ScoreView]]:
    """The scores of each of these traces, for a list of them; traces without a score are left out."""
    found: dict[str, list[ScoreView]] = {}
    for view in _views(
        "project_id = %s AND trace_id = ANY (%s) ORDER BY at, score_id LIMIT %s",
        [project_id, [bytes.fromhex(trace_id) for trace_id in trace_ids], MOST_OF_TRACE],
    ):
        found.setdefault(view.trace_id or "", []).append(view)
    return found


def has_scores(project_id: int) -> bool:
    """Whether the project has any score at all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM telemetry_score WHERE project_id = %s)", [project_id])
        return bool(cursor.fetchone()[0])


# Jumps along the index from one name to the next.
NAMES = """
WITH RECURSIVE known (name) AS (
  (SELECT name FROM telemetry_score WHERE project_id = %s ORDER BY name LIMIT 1)
  UNION ALL
  SELECT (SELECT name FROM telemetry_score WHERE project_id = %s AND name > known.name ORDER BY name LIMIT 1)
  FROM known WHERE known.name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL LIMIT %s
"""
MOST_NAMES = 200


def score_names(project_id: int) -> list[str]:
    """The names of the project's scores, for filters."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [project_id, project_id, MOST_NAMES])
        return [name for (name,) in cursor.fetchall()]


# --- Figures ------------------------------------------------------------------------------------------------


def read_points(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    timezone: tzinfo,
    names: Sequence[str] | None = None,
    group_by: Sequence[Dimension] = (),
    interval: Interval = Interval.NONE,
    filters: Filters | None = None,
) -> list[ScorePoint]:
    """The scores given in [start, end), added up by name, interval and group; only where there are some."""
    where, values = _where(project_id, start, end, filters or Filters(), names)
    buckets = bucket_starts(start, end, interval, timezone)
    is_cut = interval is not Interval.NONE
    columns = "".join(f", {DIMENSION_COLUMNS[dimension]}" for dimension in group_by)
    query = f"""
      SELECT name, {"width_bucket(at, %s::timestamptz[])" if is_cut else "1"} AS bucket,
        count(*), count(value), coalesce(sum(value), 0), min(value), max(value){columns}
      FROM telemetry_score WHERE {where}
      GROUP BY name, bucket{columns}
      ORDER BY bucket, name{columns}
    """  # noqa: S608 -- names of our own columns
    with connection.cursor() as cursor:
        cursor.execute(query, [*([list(buckets)] if is_cut else []), *values])
        return [
            ScorePoint(name, buckets[bucket - 1] if is_cut else None, tuple(group), *numbers[:5])
            for name, bucket, *numbers in cursor.fetchall()
            for group in [numbers[5:]]
        ]


def _where(
    project_id: int, start: datetime, end: datetime, filters: Filters, names: Sequence[str] | None
) -> tuple[str, list[Any]]:
    where, values = "project_id = %s AND at >= %s AND at < %s", [project_id, start, end]
    if names is not None:
        where += " AND name = ANY (%s)"
        values.append(list(names))
    for dimension, value in filters.given().items():
        where += f" AND {DIMENSION_COLUMNS[dimension]} = %s"
        values.append(value)
    return where, values

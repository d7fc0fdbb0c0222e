"""Reading scores: lists, those of one trace, and figures by time and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from apps.telemetry.figures import Dimension, Filters, Interval, bucket_starts
from apps.telemetry.scoring import ScorePoint
from apps.telemetry.selectors.counting import SPAN_DIMENSIONS
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


class Course(NamedTuple):
    """The scores of a range, interval by interval, and those of the time before it, by name alone."""

    times: tuple[datetime, ...]
    now: list[ScorePoint]
    before: list[ScorePoint]


def read_course(
    project_id: int,
    *,
    before: datetime,
    start: datetime,
    end: datetime,
    interval: Interval,
    timezone: tzinfo,
    filters: Filters,
) -> Course:
    """Every score given in [start, end) by name and interval, and in [before, start) by name, in one query."""
    times = bucket_starts(start, end, interval, timezone)
    where, values = _where(project_id, before, end, filters, None)
    # The first interval may begin before the range, and what lies there belongs to the time before.
    edges = [before, start, *times[1:]]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT name, width_bucket(at, %s::timestamptz[]) AS bucket,
              count(*), count(value), coalesce(sum(value), 0), min(value), max(value)
            FROM telemetry_score WHERE {where} GROUP BY name, bucket ORDER BY bucket, name
            """,  # noqa: S608 -- names of our own columns
            [edges, *values],
        )
        rows = cursor.fetchall()
    return Course(
        times,
        [ScorePoint(name, times[bucket - 2], (), *numbers) for name, bucket, *numbers in rows if bucket > 1],
        [ScorePoint(name, None, (), *numbers) for name, bucket, *numbers in rows if bucket == 1],
    )


BREAKDOWN = (Dimension.FEATURE, Dimension.MODEL, Dimension.PROMPT_VERSION)


class Breakdown(NamedTuple):
    """The scores of one name by one dimension, now or in the time before."""

    dimension: Dimension
    is_now: bool
    point: ScorePoint


def read_breakdown(
    project_id: int, name: str, *, before: datetime, start: datetime, end: datetime, filters: Filters
) -> list[Breakdown]:
    """The scores of one name by feature, by model and by prompt version, now and in the time before, in one query."""
    where, values = _where(project_id, before, end, filters, [name])
    columns = [DIMENSION_COLUMNS[dimension] for dimension in BREAKDOWN]
    sets = ", ".join(f"(is_now, {column})" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT GROUPING({", ".join(columns)}), is_now, coalesce({", ".join(columns)}),
              count(*), count(value), coalesce(sum(value), 0), min(value), max(value)
            FROM (SELECT at >= %s AS is_now, value, {", ".join(columns)} FROM telemetry_score WHERE {where}) AS score
            GROUP BY GROUPING SETS ({sets})
            """,  # noqa: S608 -- names of our own columns
            [start, *values],
        )
        # GROUPING has a zero bit for the column that the row is of, the first column being the highest bit.
        dimensions = {7 - 2 ** (2 - place): dimension for place, dimension in enumerate(BREAKDOWN)}
        return [
            Breakdown(dimensions[mask], is_now, ScorePoint(name, None, (value,), *numbers))
            for mask, is_now, value, *numbers in cursor.fetchall()
        ]


@dataclass(frozen=True, slots=True)
class Bar:
    """So many scores with this label, or with a number from `low` to `high`, which are the same for one number."""

    label: str
    low: float | None
    high: float | None
    count: int


MOST_EXACT = 12
BUCKETS = 10


def read_distribution(
    project_id: int, name: str, *, start: datetime, end: datetime, filters: Filters, lowest: float, highest: float
) -> list[Bar]:
    """How often each number or label was given; many different numbers in ten equal steps from lowest to highest."""
    where, values = _where(project_id, start, end, filters, [name])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH scored AS MATERIALIZED (
              SELECT CASE WHEN value IS NULL THEN label ELSE '' END AS word, value, count(*) AS number
              FROM telemetry_score WHERE {where} GROUP BY word, value
            ), exact AS (
              SELECT word, value, number FROM scored ORDER BY number DESC LIMIT %s
            )
            SELECT true, word, value, number FROM exact
            UNION ALL
            SELECT false, '', least(width_bucket(value, %s, %s, %s), %s) AS step, sum(number)::bigint
            FROM scored WHERE value IS NOT NULL GROUP BY step
            """,  # noqa: S608 -- names of our own columns
            [
                *values,
                MOST_EXACT + 1,
                lowest,
                highest if highest > lowest else lowest + abs(lowest) + 1,
                BUCKETS,
                BUCKETS,
            ],
        )
        rows = cursor.fetchall()
    exact = [Bar(word, value, value, count) for is_exact, word, value, count in rows if is_exact]
    if len(exact) <= MOST_EXACT or not highest > lowest:
        return sorted(exact, key=_order)
    counts = {int(step): count for is_exact, _word, step, count in rows if not is_exact}
    width = (highest - lowest) / BUCKETS
    return [
        Bar("", lowest + width * place, lowest + width * (place + 1), counts.get(place + 1, 0))
        for place in range(BUCKETS)
    ]


def _order(bar: Bar) -> tuple[bool, float, int, str]:
    """Numbers from the highest down, then labels from the most frequent down."""
    return bar.low is None, -(bar.low or 0.0), -bar.count, bar.label


class Notable(NamedTuple):
    """Scores to look at: the lowest (or highest) ones of one name, and the newest with a comment, of any name."""

    extreme: list[ScoreView]
    said: list[ScoreView]


def read_notable(
    project_id: int, name: str, *, start: datetime, end: datetime, filters: Filters, is_highest: bool, limit: int
) -> Notable:
    """At most `limit` of either kind; of equal scores those with a comment, then the newest."""
    of_name, named = _where(project_id, start, end, filters, [name])
    of_any, values = _where(project_id, start, end, filters, None)
    direction = "DESC" if is_highest else "ASC"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            (SELECT true, {COLUMN_LIST} FROM telemetry_score WHERE {of_name} AND value IS NOT NULL
             ORDER BY value {direction}, comment = '', at DESC LIMIT %s)
            UNION ALL
            (SELECT false, {COLUMN_LIST} FROM telemetry_score WHERE {of_any} AND comment <> ''
             ORDER BY at DESC LIMIT %s)
            """,  # noqa: S608 -- names of our own columns
            [*named, limit, *values, limit],
        )
        views = [(is_extreme, _view(row)) for is_extreme, *row in cursor.fetchall()]
    sign = -1 if is_highest else 1
    extreme = sorted(
        (view for is_extreme, view in views if is_extreme),
        key=lambda view: (sign * (view.value or 0.0), not view.comment, -view.at.timestamp()),
    )
    said = sorted((view for is_extreme, view in views if not is_extreme), key=lambda view: view.at, reverse=True)
    return Notable(extreme, said)


class Coverage(NamedTuple):
    """How many traces were looked at and how many of them have a score; `is_cut` when there are more."""

    traces: int
    scored: int
    is_cut: bool

    @property
    def share(self) -> float | None:
        """The part of the traces that has a score; None without traces."""
        return self.scored / self.traces if self.traces else None


SPANS_LOOKED_AT = 5_000


def read_coverage(project_id: int, *, start: datetime, end: datetime, filters: Filters) -> Coverage:
    """Which part of the traces has a score, among the newest spans that started in [start, end)."""
    where = "project_id = %s AND started_at >= %s AND started_at < %s"
    values: list[Any] = [project_id, start, end]
    for dimension, value in filters.given().items():
        where += f" AND {SPAN_DIMENSIONS[dimension]} = %s"
        values.append(value)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH newest AS (
              SELECT trace_id FROM telemetry_span WHERE {where} ORDER BY started_at DESC LIMIT %s
            ), traces AS MATERIALIZED (
              SELECT trace_id, count(*) AS spans FROM newest GROUP BY trace_id
            )
            SELECT count(*), count(score.trace_id), coalesce(sum(spans), 0)
            FROM traces LEFT JOIN LATERAL (
              SELECT trace_id FROM telemetry_score
              WHERE project_id = %s AND trace_id = traces.trace_id LIMIT 1
            ) AS score ON true
            """,  # noqa: S608 -- names of our own columns
            [*values, SPANS_LOOKED_AT, project_id],
        )
        traces, scored, spans = cursor.fetchone()
    return Coverage(traces, scored, spans >= SPANS_LOOKED_AT)

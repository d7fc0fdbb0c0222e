"""Sessions: a list of them, and one with its traces in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.core.errors import NotFound
from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors import activity
from apps.telemetry.selectors.log_content import add_log_content
from apps.telemetry.selectors.spans import SpanView, read_spans

REACH = timedelta(days=30)
"""How far from the time in its link a session's spans are looked for."""

SUMS = {
    "calls": "count(*) FILTER (WHERE counted)",
    "errors": "count(*) FILTER (WHERE counted AND status = 'error')",
    "input_tokens": "coalesce(sum(input_tokens) FILTER (WHERE counted), 0)::bigint",
    "output_tokens": "coalesce(sum(output_tokens) FILTER (WHERE counted), 0)::bigint",
    "cost_usd": "sum(cost_usd) FILTER (WHERE counted)",
    "unpriced_calls": "count(*) FILTER (WHERE counted AND cost_usd IS NULL)",
}
"""What spans add up to; the names and the order are those of the summaries' last fields."""

PER_TRACE = ", ".join(f"{sum_} AS {name}" for name, sum_ in SUMS.items())
OVER_TRACES = ", ".join(f"sum({name})" if name == "cost_usd" else f"sum({name})::bigint" for name in SUMS)
"""Adding up by trace first needs no sorting of all spans to count the traces."""

LIST = f"""
SELECT session_id, min(at), max(last_at), count(*), sum(spans)::bigint, max(user_id),
  coalesce(array_agg(DISTINCT feature) FILTER (WHERE feature <> ''), '{{}}'), max(environment), {OVER_TRACES}
FROM (
  SELECT session_id, min(started_at) AS at, max(started_at) AS last_at, count(*) AS spans, max(user_id) AS user_id,
    max(feature) AS feature, max(environment) AS environment, {PER_TRACE}
  FROM telemetry_span WHERE project_id = %s AND session_id <> '' AND session_id = ANY (%s)
    AND started_at >= %s AND started_at < %s
  GROUP BY session_id, trace_id
) AS per_trace GROUP BY session_id
"""  # noqa: S608 -- our own sums

# One pass over the session's spans. The first row is the session as a whole, the others are some of its traces.
ONE = f"""
WITH per_trace AS MATERIALIZED (
  SELECT trace_id, min(started_at) AS at, max(started_at) AS last_at,
    coalesce(min(started_at) FILTER (WHERE parent_span_id IS NULL), min(started_at)) AS root_at,
    max(started_at) FILTER (WHERE kind = 'llm' AND counted) AS answer_at, count(*) AS spans,
    max(user_id) AS user_id, max(feature) AS feature, max(environment) AS environment,
    bool_or(status = 'error') AS has_failed, {PER_TRACE}
  FROM telemetry_span
  WHERE project_id = %s AND session_id = %s AND session_id <> ''{{bounds}} GROUP BY trace_id
), page AS (
  SELECT * FROM per_trace ORDER BY at, trace_id OFFSET %s LIMIT %s
)
SELECT count(*), NULL::bytea, min(at), max(last_at), NULL, NULL, sum(spans)::bigint, max(user_id),
  coalesce(array_agg(DISTINCT feature) FILTER (WHERE feature <> ''), '{{}}'), max(environment), bool_or(has_failed),
  {OVER_TRACES}
FROM per_trace HAVING count(*) > 0
UNION ALL
SELECT 0, trace_id, at, last_at, root_at, answer_at, spans, user_id, ARRAY[feature], environment, has_failed,
  {", ".join(SUMS)}
FROM page
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of the list, within the time looked at. A cost of None is unknown."""

    session_id: str
    first_at: datetime
    last_at: datetime
    traces: int
    spans: int
    user_id: str
    features: list[str]
    environment: str
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, the one with the newest span first, and the cursor of the next page if there is one."""

    items: list[SessionSummary]
    next_cursor: str | None


def recent_sessions(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: TraceFilter,
    limit: int = 50,
    cursor: str | None = None,
) -> SessionPage:
    """Sessions with a span that started in [start, end) and matches, with their figures of that time.

    Raises BadCursor.
    """
    places, more = activity.newest(
        "session_id", project_id, start=start, end=end, matching=matching, limit=limit, cursor=cursor
    )
    if not places:
        return SessionPage([], None)
    with connection.cursor() as database:
        database.execute(LIST, [project_id, [name for name, _at in places], start, end])
        found = {row[0]: SessionSummary(*row) for row in database.fetchall()}
    return SessionPage([found[name] for name, _at in places if name in found], more)


@dataclass(slots=True)
class Turn:
    """One trace of a session: what it adds up to, and the spans that hold its question and its answer."""

    trace_id: str
    at: datetime
    last_at: datetime
    spans: int
    user_id: str
    features: list[str]
    environment: str
    has_failed: bool
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int
    root: SpanView | None = None
    answer: SpanView | None = None


@dataclass(slots=True)
class Session:
    """One session: what all its traces add up to, and some of them in order. `first` is the place of the first shown,
    counted from 0."""

    summary: SessionSummary
    has_failed: bool
    first: int
    turns: list[Turn]


def get_session(
    project_id: int, session_id: str, *, at: datetime | None = None, first: int = 0, limit: int = 20
) -> Session:
    """The session with `limit` of its traces from place `first` on, oldest first. `at` is the time of any of its spans,
    if known; else all that is stored is looked through.

    Raises NotFound when the project has no such session.
    """
    rows = _rows_of(project_id, session_id, at, first, limit) if at is not None else []
    rows = rows or _rows_of(project_id, session_id, None, first, limit)
    if not rows:
        raise NotFound()
    whole = next(row for row in rows if row[1] is None)
    pages = sorted((row for row in rows if row[1] is not None), key=lambda row: (row[2], bytes(row[1])))
    traces, _trace, first_at, last_at, _root, _answer, spans, user_id, features, environment, has_failed, *sums = whole
    turns = [Turn(bytes(row[1]).hex(), row[2], row[3], *row[6:]) for row in pages]
    if turns:
        _add_talk(project_id, turns, pages)
    summary = SessionSummary(session_id, first_at, last_at, traces, spans, user_id, features, environment, *sums)
    return Session(summary, has_failed, first, turns)


def _rows_of(project_id: int, session_id: str, at: datetime | None, first: int, limit: int) -> list[tuple[Any, ...]]:
    bounds = "" if at is None else " AND started_at >= %s AND started_at < %s"
    times = [] if at is None else [at - REACH, at + REACH]
    with connection.cursor() as cursor:
        cursor.execute(ONE.replace("{bounds}", bounds), [project_id, session_id, *times, first, limit])
        return list(cursor.fetchall())


SPANS_AT = """
SELECT span.started_at, span.trace_id, span.span_id
FROM unnest(%s::bytea[], %s::timestamptz[], %s::boolean[]) AS wanted (t, at, is_call)
CROSS JOIN LATERAL (
  SELECT started_at, trace_id, span_id FROM telemetry_span
  WHERE project_id = %s AND trace_id = wanted.t AND started_at = wanted.at AND (NOT is_call OR kind = 'llm')
  ORDER BY parent_span_id IS NOT NULL, span_id LIMIT 1
) AS span
"""


def _add_talk(project_id: int, turns: Sequence[Turn], rows: Sequence[Sequence[Any]]) -> None:
    """Read the root and the last model call of each trace with their payloads."""
    wanted = [(bytes(row[1]), row[4], False) for row in rows]
    wanted += [(bytes(row[1]), row[5], True) for row in rows if row[5] is not None]
    with connection.cursor() as cursor:
        cursor.execute(SPANS_AT, [*(list(column) for column in zip(*wanted, strict=True)), project_id])
        places = [(at, bytes(trace), bytes(span)) for at, trace, span in cursor.fetchall()]
    views = read_spans(project_id, list(dict.fromkeys(places)))
    add_log_content(project_id, views)
    for turn in turns:
        own = [view for view in views if view.trace_id == turn.trace_id]
        turn.root = own[0] if own else None
        turn.answer = next((view for view in reversed(own) if view.kind == "llm"), None)

"""Where spans that match a filter are looked for, newest first, however rare they are.

What is common is soon found by reading the newest spans. What is not is looked up: users and sessions in their indexes
of the span table, scored and flagged traces in theirs, and everything else in the search index, in stretches of time
that grow the longer nothing is found. Every way ends in comparing the spans themselves, so they all find the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.db import connection

from apps.telemetry.filters import EQUAL_FIELDS, ScoreWish, TraceFilter
from apps.telemetry.selectors import search
from apps.telemetry.selectors.search import SpanKey

TICK = timedelta(microseconds=1)
FIRST_LOOK = 400
LARGEST_LOOK = 51_200
MOST_LOOKED_AT = 400_000
PROBE = 800
"""So many of the newest spans are compared with a filter before an index is asked."""

FIRST_STRETCH = timedelta(days=2)
GROWTH = 14
"""How much longer each stretch of the search index is than the one before, which found too little."""

MOST_SCORED = 50_000
COMMON_FIELDS = {"environment", "status", "kind", "has_session", "has_user"}
"""What most spans have; a filter by nothing else needs no index."""


Key = tuple[Any, ...]
By = Literal["trace_id", "trace_id, span_id", "session_id", "user_id"]
"""What is looked for: traces, spans, sessions or users."""


class Found(NamedTuple):
    """Something that has a span that matches, and the start of the newest of them."""

    at: datetime
    key: Key


class Haul(NamedTuple):
    """What was found, and since when it is all there is."""

    found: list[Found]
    since: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """One question: the spans of a project that started in [start, end) and match. `fresh` are those in which the text
    occurs and which are not indexed yet."""

    project_id: int
    by: By
    start: datetime
    end: datetime
    matching: TraceFilter
    fresh: tuple[SpanKey, ...]

    def conditions(self) -> tuple[str, list[Any]]:
        """A condition on the row `span`, beginning with AND, and its values."""
        return conditions(self.project_id, self.matching, self.fresh)


def prepare(project_id: int, by: By, matching: TraceFilter, *, start: datetime, end: datetime) -> Look:
    """The question, with the spans looked through that are not indexed yet."""
    fresh: Sequence[SpanKey] = ()
    if matching.text is not None:
        waiting = search.waiting_spans(project_id, start=start, end=end)
        fresh = search.those_with(matching.text, waiting) if waiting else ()
    return Look(project_id, by, start, end, matching, tuple(fresh))


def hauls(look: Look) -> Iterator[Haul]:
    """What has spans that match, in hauls from new to old; the same may come twice."""
    matching = look.matching
    marks = marks_of(matching)
    # A user's and a session's spans have an index of their own, in the order of the list.
    if matching.text is None and (matching.user_id or matching.session_id):
        yield from _by_time(look)
        return
    if not set(matching.given()) - COMMON_FIELDS:
        yield from _by_time(look)
        return
    probe = _probe(look)
    yield probe
    if probe.since <= look.start:
        return
    rest = replace(look, end=probe.since)
    if matching.score is not None or matching.is_flagged:
        yield _by_traces(rest)
    elif matching.text is not None:
        yield from _by_index(rest, marks)
    elif marks:
        since = min(max(rest.start, search.indexed_since(rest.project_id)), rest.end)
        yield from _by_index(replace(rest, start=since), marks)
        if since > rest.start:
            yield from _by_time(replace(rest, end=since))
    else:
        yield from _by_time(rest)


# --- The ways -----------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """What a query found, how many rows it looked at, and the start of the oldest of them."""

    found: list[Found]
    looked_at: int
    oldest: datetime | None


def _grouped(look: Look, query: str, values: list[Any]) -> Rows:
    """Run a query of rows with `at` and the columns looked for, these null where the row does not match."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(at), min(at), count(*), {look.by} FROM ({query}) AS looked_at GROUP BY {look.by}",  # noqa: S608
            values,
        )
        rows = cursor.fetchall()
    found = [Found(newest, _key(key)) for newest, _oldest, _count, *key in rows if key[0] is not None]
    return Rows(found, sum(row[2] for row in rows), min((row[1] for row in rows), default=None))


def _key(values: Sequence[Any]) -> Key:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in values)


def _by_time(look: Look) -> Iterator[Haul]:
    """Along the time, or along a user's or a session's."""
    condition, values = look.conditions()
    query = f"""
      SELECT started_at AS at, {look.by} FROM telemetry_span AS span
      WHERE project_id = %s AND started_at >= %s AND started_at < %s{condition}
      ORDER BY started_at DESC LIMIT %s
    """  # noqa: S608
    until, size, seen = look.end, FIRST_LOOK, 0
    while True:
        rows = _grouped(look, query, [look.project_id, look.start, until, *values, size])
        seen += rows.looked_at
        if rows.oldest is None or rows.looked_at < size or seen >= MOST_LOOKED_AT:
            yield Haul(rows.found, look.start)
            return
        since = rows.oldest + TICK
        yield Haul(rows.found, since)
        # Long traces hide others behind them.
        growth = 8 if len(rows.found) * 20 > rows.looked_at else 64
        # Many spans of one moment: the same rows again, and more of them.
        size = min(size * growth, LARGEST_LOOK) if since < until else size * growth
        until = since


def _probe(look: Look) -> Haul:
    """Those of the newest spans that match."""
    condition, values = look.conditions()
    keys = ", ".join(f"CASE WHEN matches THEN {name} END AS {name}" for name in look.by.split(", "))
    query = f"""
      SELECT at, {keys} FROM (
        SELECT started_at AS at, {look.by}, (true{condition}) AS matches FROM (
          SELECT * FROM telemetry_span WHERE project_id = %s AND started_at >= %s AND started_at < %s
          ORDER BY started_at DESC LIMIT %s
        ) AS span OFFSET 0
      ) AS compared
    """  # noqa: S608
    rows = _grouped(look, query, [*values, look.project_id, look.start, look.end, PROBE])
    is_all = rows.oldest is None or rows.looked_at < PROBE
    return Haul(rows.found, look.start if is_all or rows.oldest is None else rows.oldest + TICK)


def _by_traces(look: Look) -> Haul:
    """Through the traces that have the score or are flagged."""
    condition, values = look.conditions()
    matching = look.matching
    if matching.score is not None:
        wish, wished = _score_sql(matching.score)
        # A score is given after what it is about.
        traces = f"telemetry_score WHERE project_id = %s AND at >= %s AND trace_id IS NOT NULL{wish}"
    else:
        wished = []
        traces = "telemetry_reviewitem WHERE project_id = %s AND flagged_at >= %s"
    query = f"""
      SELECT started_at AS at, {look.by} FROM telemetry_span AS span
      WHERE project_id = %s AND started_at >= %s AND started_at < %s
        AND trace_id = ANY (ARRAY(SELECT DISTINCT trace_id FROM {traces} LIMIT {MOST_SCORED})){condition}
    """  # noqa: S608
    given = [look.project_id, look.start, look.end, look.project_id, look.start, *wished, *values]
    return Haul(_grouped(look, query, given).found, look.start)


def _by_index(look: Look, marks: list[list[str]]) -> Iterator[Haul]:
    """Through the search index, in stretches of time; first what it does not hold yet."""
    fresh = look.fresh
    if look.matching.text is None:
        fresh = tuple(search.waiting_spans(look.project_id, start=look.start, end=look.end))
    if fresh:
        yield Haul(_matching_keys(look, fresh), look.end)
    condition, values = conditions(look.project_id, look.matching.without("text"), ())
    keys = ", ".join(f"span.{name}" for name in look.by.split(", "))
    # The question is hidden from the planner (SELECT): it takes the sum over many marks for most rows, and reads all.
    query = f"""
      SELECT indexed.started_at AS at, {keys} FROM (
        SELECT trace_id, span_id, started_at FROM telemetry_search
        WHERE started_at >= %s AND started_at < %s AND words @@ (SELECT %s::tsquery)
        ORDER BY started_at DESC LIMIT %s
      ) AS indexed LEFT JOIN LATERAL (
        SELECT trace_id, span_id, session_id, user_id FROM telemetry_span AS span
        WHERE span.project_id = %s AND span.trace_id = indexed.trace_id
          AND span.span_id = indexed.span_id AND span.started_at = indexed.started_at{condition} OFFSET 0
      ) AS span ON true
    """  # noqa: S608
    question = search.question(look.project_id, look.matching.text, marks)
    until, stretch, size = look.end, FIRST_STRETCH, FIRST_LOOK
    while until > look.start:
        since = max(look.start, until - stretch)
        rows = _grouped(look, query, [since, until, question, size, look.project_id, *values])
        if rows.oldest is None or rows.looked_at < size:
            until, stretch = since, stretch * GROWTH
        else:
            size = min(size * 4, LARGEST_LOOK) if rows.oldest + TICK < until else size * 4
            until = rows.oldest + TICK
        yield Haul(rows.found, until)


def _matching_keys(look: Look, keys: Sequence[SpanKey]) -> list[Found]:
    """What has one of these spans that matches; the text is known to occur in them."""
    condition, values = conditions(look.project_id, look.matching.without("text"), ())
    columns = ", ".join(f"span.{name}" for name in look.by.split(", "))
    query = f"""
      SELECT span.started_at AS at, {columns}
      FROM unnest(%s::bytea[], %s::bytea[], %s::timestamptz[]) AS wanted (t, s, moment) CROSS JOIN LATERAL (
        SELECT * FROM telemetry_span AS span WHERE span.project_id = %s AND span.trace_id = wanted.t
          AND span.span_id = wanted.s AND span.started_at = wanted.moment{condition} OFFSET 0
      ) AS span
    """  # noqa: S608
    arrays = [[getattr(key, name) for key in keys] for name in ("trace_id", "span_id", "started_at")]
    return _grouped(look, query, [*arrays, look.project_id, *values]).found


# --- Conditions ---------------------------------------------------------------------------------------------


def marks_of(matching: TraceFilter) -> list[list[str]]:
    """The marks in the search index that a matching span has: one of each group."""
    groups = [
        [search.mark_of(name, value)]
        for name in EQUAL_FIELDS
        if name != "prompt_version" and (value := getattr(matching, name)) and (name, value) != ("status", "ok")
    ]
    if matching.prompt_name and matching.prompt_version:
        groups.append([search.version_mark(matching.prompt_name, matching.prompt_version)])
    if matching.tag:
        groups.append([search.mark_of("tag", matching.tag)])
    if matching.least_latency_ms is not None or matching.most_latency_ms is not None:
        groups.append(search.length_marks(matching.least_latency_ms, matching.most_latency_ms))
    if matching.least_cost_usd is not None:
        groups.append(search.cost_marks(matching.least_cost_usd))
    return [group for group in groups if group]


TEXT_CONDITION = """ AND (coalesce((
  SELECT found.words @@ %s::tsquery FROM telemetry_search AS found WHERE found.project_id = span.project_id
    AND found.trace_id = span.trace_id AND found.span_id = span.span_id AND found.started_at = span.started_at
), false)"""


def conditions(project_id: int, matching: TraceFilter, fresh: Sequence[SpanKey]) -> tuple[str, list[Any]]:
    """A condition on the row `span`, beginning with AND or empty, and its values. `fresh` are spans in which the text
    is known to occur."""
    parts, values = [], []
    for name in EQUAL_FIELDS:
        value = getattr(matching, name)
        if value is not None:
            parts.append(f" AND span.{name} = %s")  # a field name of ours, never a caller's text
            values.append(value)
    for condition, value in (
        (" AND %s = ANY (span.tags)", matching.tag),
        (" AND span.latency_ms >= %s", matching.least_latency_ms),
        (" AND span.latency_ms <= %s", matching.most_latency_ms),
        (" AND span.cost_usd >= %s", matching.least_cost_usd),
    ):
        if value is not None:
            parts.append(condition)
            values.append(value)
    for column, is_wanted in (("session_id", matching.has_session), ("user_id", matching.has_user)):
        if is_wanted:
            # Asked once, of an index: where there is none at all, nothing is looked through.
            any_ = f"SELECT EXISTS (SELECT 1 FROM telemetry_span WHERE project_id = %s AND {column} > '')"  # noqa: S608
            parts.append(f" AND span.{column} <> '' AND ({any_})")
            values.append(project_id)
    if matching.score is not None:
        wish, wished = _score_sql(matching.score)
        scores = "SELECT 1 FROM telemetry_score AS score WHERE score.project_id = span.project_id"
        parts.append(f" AND EXISTS ({scores} AND score.trace_id = span.trace_id{wish})")
        values += wished
    if matching.is_flagged:
        parts.append(
            " AND EXISTS (SELECT 1 FROM telemetry_reviewitem AS item WHERE item.project_id = span.project_id"
            " AND item.trace_id = span.trace_id)"
        )
    if matching.text is not None:
        parts.append(TEXT_CONDITION)
        values.append(search.question(project_id, matching.text))
        if fresh:
            parts.append(" OR (span.trace_id, span.span_id) IN (SELECT * FROM unnest(%s::bytea[], %s::bytea[]))")
            values += [[key.trace_id for key in fresh], [key.span_id for key in fresh]]
        parts.append(")")
    return "".join(parts), values


def _score_sql(wish: ScoreWish) -> tuple[str, list[Any]]:
    """A condition on a row of scores; a number is compared with the value, anything else with the label."""
    operator = {"!=": "<>"}.get(wish.operator, wish.operator)
    if wish.number is None:
        return f" AND name = %s AND label {operator} %s", [wish.name, wish.label]
    return f" AND name = %s AND value {operator} %s", [wish.name, wish.number]

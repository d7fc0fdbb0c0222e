"""Reading traces: a page of recent ones, and one whole.

Both bound the time they look at, so that only the day partitions concerned are touched: a link to a trace carries the
time of one of its spans.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.core.errors import DomainError, NotFound
from apps.telemetry.types import CALL_KINDS, PAYLOAD_COLUMNS, SPAN_COLUMNS

LONGEST_TRACE = timedelta(days=1)
"""How far from the time in its link a trace's spans are looked for."""

MOST_SPANS = 5_000
"""How many spans of one trace are read; a page says when there are more."""

Place = tuple[bytes, datetime]
"""Where a trace stands in the list: its id, and the start of its newest matching span."""

TICK = timedelta(microseconds=1)
FIRST_LOOK = 400
MOST_LOOKED_AT = 51_200


class BadCursor(DomainError):
    """The cursor was not made by this list."""

    code, http_status, message = (
        "invalid_cursor",
        422,
        "The cursor is not one of this list. Start without it.",
    )


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What a trace must have: a span that matches all of it. None means anything."""

    environment: str | None = None
    feature: str | None = None
    model: str | None = None
    provider: str | None = None
    status: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    prompt_name: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line of the list. Lengths are milliseconds; a cost of None is unknown."""

    trace_id: str
    started_at: datetime
    name: str
    kind: str
    feature: str
    environment: str
    user_id: str
    session_id: str
    status: str
    models: list[str]
    spans: int
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int
    latency_ms: int | None
    ttft_ms: int | None


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces, newest first, and the cursor of the next page if there is one."""

    items: list[TraceSummary]
    next_cursor: str | None


@dataclass(slots=True)
class SpanView:
    """One span with its payload, its ids in hexadecimal, and how deep it lies in the tree."""

    values: dict[str, Any]
    input: Any
    output: Any
    documents: list[dict[str, Any]]
    attributes: dict[str, Any]
    depth: int = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(slots=True)
class Totals:
    """What the counted spans of a trace add up to. `cost_usd` is None when no call has a known cost."""

    model_calls: int = 0
    model_errors: int = 0
    embedding_calls: int = 0
    tool_runs: int = 0
    retrievals: int = 0
    rerankings: int = 0
    agents: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    embedding_input_tokens: int = 0
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0


@dataclass(slots=True)
class Trace:
    """One trace: its spans in the order of the tree, and what they add up to."""

    trace_id: str
    spans: list[SpanView]
    totals: Totals
    is_cut: bool
    started_at: datetime = field(init=False)
    ended_at: datetime | None = field(init=False)
    status: str = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = min(span.started_at for span in self.spans)
        ends = [span.ended_at for span in self.spans if span.ended_at is not None]
        self.ended_at = max(ends) if ends else None
        self.status = "error" if any(span.status == "error" for span in self.spans) else "ok"

    @property
    def root(self) -> SpanView:
        """The first span of the tree."""
        return self.spans[0]

    @property
    def latency_ms(self) -> int | None:
        """From the first start to the last end."""
        if self.ended_at is None:
            return None
        return max(0, (self.ended_at - self.started_at) // timedelta(milliseconds=1))

    def first(self, name: str) -> str:
        """The first value of a text field that a span has, from the root on; empty when none has one."""
        return next((getattr(span, name) for span in self.spans if getattr(span, name)), "")


SUMMARY = """
SELECT trace_id, min(started_at),
  (array_agg(name ORDER BY parent_span_id IS NOT NULL, started_at))[1],
  (array_agg(kind ORDER BY parent_span_id IS NOT NULL, started_at))[1],
  coalesce((array_agg(feature ORDER BY parent_span_id IS NOT NULL, started_at) FILTER (WHERE feature <> ''))[1], ''),
  (array_agg(environment ORDER BY parent_span_id IS NOT NULL, started_at))[1],
  coalesce(max(user_id), ''), coalesce(max(session_id), ''),
  CASE WHEN bool_or(status = 'error') THEN 'error' ELSE 'ok' END,
  coalesce(array_agg(DISTINCT model ORDER BY model) FILTER (WHERE model <> ''), '{}'),
  count(*), count(*) FILTER (WHERE counted), count(*) FILTER (WHERE counted AND status = 'error'),
  coalesce(sum(input_tokens) FILTER (WHERE counted), 0)::bigint,
  coalesce(sum(output_tokens) FILTER (WHERE counted), 0)::bigint,
  sum(cost_usd) FILTER (WHERE counted), count(*) FILTER (WHERE counted AND cost_usd IS NULL),
  (extract(epoch FROM coalesce(
     max(ended_at) FILTER (WHERE NOT flags && '{clock}') - min(client_started_at) FILTER (WHERE NOT flags && '{clock}'),
     max(ended_at) - min(client_started_at))) * 1000)::bigint,
  (array_agg(ttft_ms ORDER BY started_at) FILTER (WHERE ttft_ms IS NOT NULL))[1],
  max(started_at)
FROM telemetry_span
WHERE project_id = %s AND trace_id = ANY (%s) AND started_at >= %s AND started_at < %s
GROUP BY trace_id
"""


def recent_traces(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: TraceFilter,
    limit: int = 50,
    cursor: str | None = None,
) -> TracePage:
    """Traces with a span that started in [start, end) and matches, newest first, at most `limit` of them.

    A trace stands where its newest matching span does, and on one page only. Raises BadCursor.
    """
    after = _read_cursor(cursor) if cursor else None
    found = _newest(project_id, start, end, matching, limit + 1, after)
    shown = found[:limit]
    summaries = _summaries(project_id, shown) if shown else {}
    more = _write_cursor(shown[-1]) if len(found) > limit else None
    return TracePage(items=[summaries[trace] for trace, _at in shown], next_cursor=more)


def _write_cursor(last: Place) -> str:
    return f"{last[1].isoformat()}~{last[0].hex()}"


def _read_cursor(cursor: str) -> Place:
    moment, _, trace_id = cursor.partition("~")
    try:
        place = bytes.fromhex(trace_id), datetime.fromisoformat(moment)
    except ValueError as error:
        raise BadCursor() from error
    if place[1].tzinfo is None:
        raise BadCursor()
    return place


def _conditions(matching: TraceFilter) -> tuple[str, list[Any]]:
    parts, values = [], []
    for name in TraceFilter.__dataclass_fields__:
        value = getattr(matching, name)
        if value is not None:
            parts.append(f" AND {name} = %s")  # a field name of ours, never a caller's text
            values.append(value)
    return "".join(parts), values


def _newest(
    project_id: int, start: datetime, end: datetime, matching: TraceFilter, wanted: int, after: Place | None
) -> list[Place]:
    """The newest distinct traces. Long traces hide others behind them, so the look widens until there are enough."""
    conditions, values = _conditions(matching)
    query = f"""
      SELECT trace_id, max(started_at), count(*) FROM (
        SELECT trace_id, started_at FROM telemetry_span
        WHERE project_id = %s AND started_at >= %s AND started_at < %s{conditions}
        ORDER BY started_at DESC LIMIT %s
      ) AS newest GROUP BY trace_id ORDER BY 2 DESC, 1
    """  # noqa: S608
    until = end if after is None else min(end, after[1] + TICK)
    look = FIRST_LOOK
    while True:
        with connection.cursor() as cursor:
            cursor.execute(query, [project_id, start, until, *values, look])
            rows = cursor.fetchall()
        places: list[Place] = [(bytes(trace_id), at) for trace_id, at, _count in rows]
        if after is not None:
            places = _following(project_id, places, after, end, matching)
        if len(places) >= wanted or sum(row[2] for row in rows) < look or look >= MOST_LOOKED_AT:
            return places[:wanted]
        look *= 8


def _following(project_id: int, places: list[Place], after: Place, end: datetime, matching: TraceFilter) -> list[Place]:
    """The places behind the cursor, without the traces that stand on an earlier page with a newer span."""
    behind = [(trace, at) for trace, at in places if at < after[1] or (at == after[1] and trace > after[0])]
    conditions, values = _conditions(matching)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT trace_id FROM telemetry_span WHERE project_id = %s AND trace_id = ANY (%s)"  # noqa: S608
            f" AND started_at > %s AND started_at < least(%s, %s){conditions}",
            [project_id, [trace for trace, _at in behind], after[1], end, after[1] + LONGEST_TRACE, *values],
        )
        earlier = {bytes(trace_id) for (trace_id,) in cursor.fetchall()}
    return [(trace, at) for trace, at in behind if trace not in earlier]


def _summaries(project_id: int, found: Sequence[Place]) -> dict[bytes, TraceSummary]:
    times = [at for _trace, at in found]
    with connection.cursor() as cursor:
        cursor.execute(
            SUMMARY,
            [
                project_id,
                [trace for trace, _at in found],
                min(times) - LONGEST_TRACE,
                max(times) + LONGEST_TRACE,
            ],
        )
        return {bytes(row[0]): TraceSummary(bytes(row[0]).hex(), *row[1:-1]) for row in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class SpanPage:
    """Spans, newest first, and the cursor of the next page if there is one."""

    items: list[SpanView]
    next_cursor: str | None


def recent_spans(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: TraceFilter,
    limit: int = 50,
    cursor: str | None = None,
) -> SpanPage:
    """Spans that started in [start, end) and match, newest first, payloads included. Raises BadCursor."""
    conditions, values = _conditions(matching)
    if cursor:
        span_id, at = _read_cursor(cursor)
        conditions += " AND (started_at, span_id) < (%s, %s)"
        values += [at, span_id]
        end = min(end, at + TICK)
    rows = _rows(
        f"SELECT * FROM telemetry_span WHERE project_id = %s AND started_at >= %s AND started_at < %s{conditions}"  # noqa: S608
        " ORDER BY started_at DESC, span_id DESC LIMIT %s",
        [project_id, start, end, *values, limit + 1],
        order="span.started_at DESC, span.span_id DESC",
    )
    views = [_view(row) for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        more = _write_cursor((bytes.fromhex(views[-1].span_id), views[-1].started_at))
    return SpanPage(items=views, next_cursor=more)


def get_trace(project_id: int, trace_id: str, *, at: datetime | None = None) -> Trace:
    """One trace with all its spans, payloads included. `at` is the time of any of its spans, if known.

    Raises NotFound when the project has no such trace.
    """
    try:
        raw_id = bytes.fromhex(trace_id)
    except ValueError as error:
        raise NotFound() from error
    rows = _trace_rows(project_id, raw_id, at) if at is not None else []
    rows = rows or _trace_rows(project_id, raw_id, None)
    if not rows:
        raise NotFound()
    spans = in_tree_order([_view(row) for row in rows[:MOST_SPANS]])
    return Trace(trace_id=raw_id.hex(), spans=spans, totals=add_up(spans), is_cut=len(rows) > MOST_SPANS)


def _trace_rows(project_id: int, trace_id: bytes, at: datetime | None) -> list[tuple[Any, ...]]:
    bounds = "" if at is None else " AND started_at >= %s AND started_at < %s"
    return _rows(
        f"SELECT * FROM telemetry_span WHERE project_id = %s AND trace_id = %s{bounds}"  # noqa: S608
        " ORDER BY started_at, span_id LIMIT %s",
        [project_id, trace_id, *([] if at is None else [at - LONGEST_TRACE, at + LONGEST_TRACE]), MOST_SPANS + 1],
        order="span.started_at, span.span_id",
    )


def _rows(spans: str, values: list[Any], *, order: str) -> list[tuple[Any, ...]]:
    """The spans of a query with their payloads beside them."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {", ".join(f"span.{name}" for name in SPAN_COLUMNS)},
                   {", ".join(f"payload.{name}" for name in PAYLOAD_COLUMNS)}
            FROM ({spans}) AS span LEFT JOIN telemetry_payload AS payload
              ON payload.project_id = span.project_id AND payload.trace_id = span.trace_id
             AND payload.span_id = span.span_id AND payload.started_at = span.started_at
            ORDER BY {order}
            """,  # noqa: S608 -- names of our own columns and our own queries
            values,
        )
        return list(cursor.fetchall())


def _view(row: Sequence[Any]) -> SpanView:
    values = dict(zip(SPAN_COLUMNS, row, strict=False))
    for name in ("trace_id", "span_id", "parent_span_id"):
        values[name] = bytes(values[name]).hex() if values[name] is not None else None
    payload = dict(zip(PAYLOAD_COLUMNS, row[len(SPAN_COLUMNS) :], strict=True))
    return SpanView(
        values=values,
        input=_content(payload["input"], payload["input_is_json"]),
        output=_content(payload["output"], payload["output_is_json"]),
        documents=json.loads(payload["documents"]) if payload["documents"] else [],
        attributes=json.loads(payload["attributes"]) if payload["attributes"] else {},
    )


def _content(text: str | None, is_json: bool | None) -> Any:
    """What the client sent: text, or the value behind it. JSON that was cut for its length stays text."""
    if text is None or not is_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def in_tree_order(spans: list[SpanView]) -> list[SpanView]:
    """Parents before their children, siblings by start, with `depth` set.

    A span whose parent is not here counts as a root; parents that form a ring are broken at the earliest span.
    """
    by_id = {span.span_id: span for span in spans}
    children: dict[str | None, list[SpanView]] = {}
    for span in spans:
        parent = span.parent_span_id if span.parent_span_id in by_id and span.parent_span_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    ordered: list[SpanView] = []
    placed: set[str] = set()
    for start in (*children.get(None, []), *spans):
        waiting = [(start, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.span_id in placed:
                continue
            placed.add(span.span_id)
            span.depth = depth
            ordered.append(span)
            waiting.extend((child, depth + 1) for child in reversed(children.get(span.span_id, [])))
    return ordered


def add_up(spans: Sequence[SpanView]) -> Totals:
    """The totals of a trace: usage of counted spans only, so that a wrapper does not count a call twice."""
    totals = Totals()
    for span in spans:
        totals.tool_runs += span.kind == "tool"
        totals.retrievals += span.kind == "retriever"
        totals.rerankings += span.kind == "reranker"
        totals.agents += span.kind == "agent"
        if not span.counted or span.kind not in CALL_KINDS:
            continue
        is_embedding = span.kind == "embedding"
        totals.embedding_calls += is_embedding
        totals.model_calls += not is_embedding
        totals.model_errors += not is_embedding and span.status == "error"
        if is_embedding:
            totals.embedding_input_tokens += span.input_tokens or 0
        else:
            for name in ("input", "output", "cached_input", "cache_write", "reasoning"):
                field_name = f"{name}_tokens"
                setattr(totals, field_name, getattr(totals, field_name) + (getattr(span, field_name) or 0))
        if span.cost_usd is None:
            totals.unpriced_calls += 1
        else:
            totals.cost_usd = (totals.cost_usd or Decimal(0)) + span.cost_usd
    return totals

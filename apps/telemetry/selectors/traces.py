"""Lists of traces and of spans, newest first, narrowed by a filter.

Both bound the time they look at, so that only the day partitions concerned are touched: a link to a trace carries the
time of one of its spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from apps.core.errors import DomainError
from apps.telemetry.filters import TraceFilter as TraceFilter
from apps.telemetry.selectors import candidates
from apps.telemetry.selectors.candidates import TICK as TICK
from apps.telemetry.selectors.candidates import Look
from apps.telemetry.selectors.spans import LONGEST_TRACE, SpanView, read_spans
from apps.telemetry.selectors.spans import Place as SpanPlace

Place = tuple[bytes, datetime]
"""Where a trace stands in the list: its id, and the start of its newest matching span."""


class BadCursor(DomainError):
    """The cursor was not made by this list."""

    code, http_status, message = (
        "invalid_cursor",
        422,
        "The cursor is not one of this list. Start without it.",
    )


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


# Adding up by trace and model first keeps long traces quick: no sorting of all their spans.
SUMMARY = """
WITH part AS (
  SELECT trace_id, model, min(started_at) AS started_at, max(feature) AS feature, max(user_id) AS user_id,
    max(session_id) AS session_id, bool_or(status = 'error') AS has_failed, count(*) AS spans,
    count(*) FILTER (WHERE counted) AS calls, count(*) FILTER (WHERE counted AND status = 'error') AS errors,
    sum(input_tokens) FILTER (WHERE counted) AS input_tokens,
    sum(output_tokens) FILTER (WHERE counted) AS output_tokens,
    sum(cost_usd) FILTER (WHERE counted) AS cost_usd, count(*) FILTER (WHERE counted AND cost_usd IS NULL) AS unpriced,
    max(ended_at) AS ended, min(client_started_at) AS began,
    max(ended_at) FILTER (WHERE NOT flags && '{clock}') AS right_ended,
    min(client_started_at) FILTER (WHERE NOT flags && '{clock}') AS right_began,
    min(ARRAY[extract(epoch FROM started_at)::float8, ttft_ms]) FILTER (WHERE ttft_ms IS NOT NULL) AS ttft
  FROM telemetry_span WHERE project_id = %s AND trace_id = ANY (%s) AND started_at >= %s AND started_at < %s
  GROUP BY trace_id, model
), whole AS (
  SELECT trace_id, min(started_at) AS started_at, max(feature) AS feature, max(user_id) AS user_id,
    max(session_id) AS session_id, CASE WHEN bool_or(has_failed) THEN 'error' ELSE 'ok' END AS status,
    coalesce(array_agg(model ORDER BY model) FILTER (WHERE model <> ''), '{}') AS models, sum(spans)::bigint AS spans,
    sum(calls)::bigint AS calls, sum(errors)::bigint AS errors, coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
    coalesce(sum(output_tokens), 0)::bigint AS output_tokens, sum(cost_usd) AS cost_usd,
    sum(unpriced)::bigint AS unpriced, (extract(epoch FROM coalesce(max(right_ended) - min(right_began),
      max(ended) - min(began))) * 1000)::bigint AS latency_ms, (min(ttft))[2]::bigint AS ttft_ms
  FROM part GROUP BY trace_id
)
SELECT trace_id, whole.started_at, root.name, root.kind, coalesce(nullif(root.feature, ''), whole.feature),
  root.environment, user_id, session_id, status, models, spans, calls, errors, input_tokens, output_tokens, cost_usd,
  unpriced, latency_ms, ttft_ms
FROM whole CROSS JOIN LATERAL (
  SELECT name, kind, feature, environment FROM telemetry_span AS span
  WHERE span.project_id = %s AND span.trace_id = whole.trace_id AND span.started_at >= %s AND span.started_at < %s
  ORDER BY parent_span_id IS NOT NULL, started_at LIMIT 1
) AS root
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
    until = end if after is None else min(end, after[1] + TICK)
    look = candidates.prepare(project_id, "trace_id", matching, start=start, end=until)
    found = _newest(look, limit + 1, after, end)
    shown = found[:limit]
    summaries = summarize(project_id, shown) if shown else {}
    more = _write_cursor(shown[-1]) if len(found) > limit else None
    # A trace may be deleted between the two queries.
    return TracePage(items=[summaries[trace] for trace, _at in shown if trace in summaries], next_cursor=more)


def _write_cursor(last: Place) -> str:
    return f"{last[1].isoformat()}~{last[0].hex()}"


def _read_cursor(cursor: str) -> Place:
    moment, _, identity = cursor.partition("~")
    try:
        place = bytes.fromhex(identity), datetime.fromisoformat(moment)
    except ValueError as error:
        raise BadCursor() from error
    if place[1].tzinfo is None:
        raise BadCursor()
    return place


def _newest(look: Look, wanted: int, after: Place | None, end: datetime) -> list[Place]:
    """The newest distinct traces behind the cursor."""
    places: dict[bytes, datetime] = {}
    earlier: set[bytes] = set()
    known: list[Place] = []
    for haul in candidates.hauls(look):
        for at, (trace_id,) in haul.found:
            places[trace_id] = max(at, places.get(trace_id, at))
        # Spans older than this may still come, and with them traces that stand before those seen.
        known = [(trace, at) for trace, at in places.items() if at >= haul.since and _is_behind((trace, at), after)]
        if after is not None:
            earlier |= _on_earlier_pages(look, [trace for trace, _at in known if trace not in earlier], after, end)
            known = [(trace, at) for trace, at in known if trace not in earlier]
        if len(known) >= wanted:
            break
    return sorted(known, key=lambda place: (-place[1].timestamp(), place[0]))[:wanted]


def _is_behind(place: Place, after: Place | None) -> bool:
    if after is None:
        return True
    return place[1] < after[1] or (place[1] == after[1] and place[0] > after[0])


def _on_earlier_pages(look: Look, traces: list[bytes], after: Place, end: datetime) -> set[bytes]:
    """Those of the traces that stand on an earlier page with a newer span."""
    if not traces:
        return set()
    condition, values = candidates.conditions(look.project_id, look.matching, look.fresh)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT trace_id FROM telemetry_span AS span WHERE project_id = %s AND trace_id = ANY (%s)"  # noqa: S608
            f" AND started_at > %s AND started_at < least(%s, %s){condition}",
            [look.project_id, traces, after[1], end, after[1] + LONGEST_TRACE, *values],
        )
        return {bytes(trace_id) for (trace_id,) in cursor.fetchall()}


def summarize(project_id: int, places: Sequence[Place]) -> dict[bytes, TraceSummary]:
    """What stands in the list for each of these traces, all their spans counted."""
    times = [at for _trace, at in places]
    bounds = [min(times) - LONGEST_TRACE, max(times) + LONGEST_TRACE]
    with connection.cursor() as cursor:
        cursor.execute(SUMMARY, [project_id, [trace for trace, _at in places], *bounds, project_id, *bounds])
        return {bytes(row[0]): TraceSummary(bytes(row[0]).hex(), *row[1:]) for row in cursor.fetchall()}


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
    after = _read_cursor(cursor) if cursor else None
    until = end if after is None else min(end, after[1] + TICK)
    look = candidates.prepare(project_id, "trace_id, span_id", matching, start=start, end=until)
    found = _newest_spans(look, limit + 1, after)
    views = read_spans(project_id, found[:limit])
    more = None
    if len(found) > limit:
        at, _trace, span_id = found[limit - 1]
        more = _write_cursor((span_id, at))
    return SpanPage(items=views, next_cursor=more)


def _newest_spans(look: Look, wanted: int, after: Place | None) -> list[SpanPlace]:
    spans: set[SpanPlace] = set()
    known: list[SpanPlace] = []
    for haul in candidates.hauls(look):
        spans.update((at, *key) for at, key in haul.found)
        known = [span for span in spans if span[0] >= haul.since]
        if after is not None:
            known = [span for span in known if (span[0], span[2]) < (after[1], after[0])]
        if len(known) >= wanted:
            break
    return sorted(known, key=lambda span: (span[0], span[2]), reverse=True)[:wanted]

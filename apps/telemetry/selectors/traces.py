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
from apps.telemetry.selectors.candidates import Found, Look
from apps.telemetry.selectors.spans import LONGEST_TRACE, SpanView, read_spans

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
    until = end if after is None else min(end, after[1] + TICK)
    look = candidates.prepare(project_id, matching, start=start, end=until)
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
        for span in haul.spans:
            places[span.trace_id] = max(span.at, places.get(span.trace_id, span.at))
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
        cursor.execute(SUMMARY, [project_id, [trace for trace, _at in places], *bounds])
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
    after = _read_cursor(cursor) if cursor else None
    until = end if after is None else min(end, after[1] + TICK)
    look = candidates.prepare(project_id, matching, start=start, end=until)
    found = _newest_spans(look, limit + 1, after)
    views = read_spans(project_id, [span[:3] for span in found[:limit]])
    more = None
    if len(found) > limit:
        more = _write_cursor((found[limit - 1].span_id, found[limit - 1].at))
    return SpanPage(items=views, next_cursor=more)


def _newest_spans(look: Look, wanted: int, after: Place | None) -> list[Found]:
    spans: set[Found] = set()
    known: list[Found] = []
    for haul in candidates.hauls(look):
        spans.update(haul.spans)
        known = [span for span in spans if span.at >= haul.since]
        if after is not None:
            known = [span for span in known if (span.at, span.span_id) < (after[1], after[0])]
        if len(known) >= wanted:
            break
    return sorted(known, key=lambda span: (span.at, span.span_id), reverse=True)[:wanted]

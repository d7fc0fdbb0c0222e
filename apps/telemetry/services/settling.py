"""Settling what is stored: whole traces are read, worked out (`apps.telemetry.settling`), and rows that differ written.

A batch is settled by itself before it is stored. What other batches could change is settled after the commit:

1. A transaction that stores a span whose parent it does not bring, or changes a span that is there, marks the trace
   open in `telemetry_opentrace`, before it touches a span.
2. After its commit every writer looks which traces of its batch are open, and which other traces tell of the same
   calls, and settles those. Of two writers that each hold a part of a trace, one commits last; it sees the other's mark
   (or has made its own) and reads both parts.
3. Whoever settles locks the marks of all traces concerned first, in order, so one trace is settled by one at a time.
4. A mark is settled once more a minute later by a schedule. So a process that dies in between loses nothing.
5. A trace of thousands of spans that still grows is left to the schedule from the start, since reading it whole for
   every batch would take longer than storing it; until then its spans are settled as far as their batch goes.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.core import clock
from apps.telemetry import settling
from apps.telemetry.services.fresh import append_fresh
from apps.telemetry.services.literals import bytes_array, numbers_array, times_array
from apps.telemetry.services.pricing import freeze_cost
from apps.telemetry.settling import FACT_COLUMNS, Facts
from apps.telemetry.types import SpanRecord

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder(decimal_format="number").encode

TraceKey = tuple[int, bytes]
Targets = dict[TraceKey, datetime]
"""Traces, each with the start of one of its spans."""

LONGEST_TRACE = timedelta(days=1)
TWIN_WINDOW = timedelta(hours=1)
"""Reports of one call lie this close together."""

TRACES_AT_ONCE = 200
SPANS_AT_ONCE = 5_000
SECOND_LOOK = timedelta(seconds=60)
KEEP_MARKS = timedelta(days=2)
CLOSURE_STEPS = 3
MOST_SPANS_AT_ONCE = 1_000
"""A trace with more spans is settled by the schedule alone."""

MARK = """
INSERT INTO telemetry_opentrace (project_id, trace_id, around, marked_at)
SELECT wanted.p, wanted.t, wanted.at, %s
FROM unnest(%s::text::bigint[], %s::text::bytea[], %s::text::timestamptz[]) AS wanted (p, t, at)
ORDER BY wanted.p, wanted.t
ON CONFLICT (project_id, trace_id) {conflict}
"""
MARK_ANEW = MARK.format(conflict="DO UPDATE SET marked_at = excluded.marked_at, settled_at = NULL")
# A trace that is only looked at needs a row to lock, and no second look of its own.
MARK_ONCE = MARK.format(conflict="DO NOTHING")

OPEN = """
SELECT wanted.p, wanted.t, held.around FROM unnest(%s::text::bigint[], %s::text::bytea[]) AS wanted (p, t)
CROSS JOIN LATERAL (
  SELECT around FROM telemetry_opentrace WHERE project_id = wanted.p AND trace_id = wanted.t LIMIT 1
) AS held
"""

TWINS = """
SELECT wanted.p, wanted.t, held.trace_id, held.started_at
FROM unnest(%(projects)s::text::bigint[], %(ids)s::text[], %(traces)s::text::bytea[], %(scopes)s::text[])
  AS wanted (p, id, t, scope)
CROSS JOIN LATERAL (
  (SELECT trace_id, started_at, scope FROM telemetry_span
   WHERE project_id = wanted.p AND response_id = wanted.id AND response_id <> '' AND trace_id <> wanted.t
     AND started_at >= %(first)s AND started_at < %(last)s LIMIT 8)
  UNION ALL
  (SELECT trace_id, started_at, scope FROM telemetry_span
   WHERE project_id = wanted.p AND call_id = wanted.id AND call_id <> '' AND trace_id <> wanted.t
     AND started_at >= %(first)s AND started_at < %(last)s LIMIT 8)
) AS held
-- Only reports of different instrumentations can be one call. Told apart after the limit, so that a client that gives
-- every call the same id costs no more than another.
WHERE held.scope <> wanted.scope
"""

# Failed calls without an id, near other such calls in time; there are few of them.
FAILED = """
SELECT wanted.p, wanted.t, held.trace_id, held.started_at
FROM unnest(%s::text::bigint[], %s::text::bytea[], %s::text::timestamptz[]) AS wanted (p, t, at)
CROSS JOIN LATERAL (
  SELECT trace_id, started_at FROM telemetry_span
  WHERE project_id = wanted.p AND started_at >= wanted.at - make_interval(secs => %s)
    AND started_at < wanted.at + make_interval(secs => %s)
    AND status = 'error' AND provider = ANY (%s) AND response_id = '' AND call_id = '' AND trace_id <> wanted.t
  LIMIT 8
) AS held
"""

LOCK = """
SELECT 1 FROM telemetry_opentrace AS held JOIN unnest(%s::text::bigint[], %s::text::bytea[]) AS wanted (p, t)
  ON held.project_id = wanted.p AND held.trace_id = wanted.t
ORDER BY held.project_id, held.trace_id FOR UPDATE OF held
"""

# Trace by trace: a day's partition has no statistics until it was analyzed, and for a list of traces the planner would
# then rather read everything that happened in those days.
READ = f"""
SELECT held.* FROM unnest(%s::text::bytea[]) AS wanted (t)
CROSS JOIN LATERAL (
  SELECT {", ".join(FACT_COLUMNS)} FROM telemetry_span
  WHERE project_id = %s AND trace_id = wanted.t AND started_at >= %s AND started_at < %s
) AS held
"""  # noqa: S608 -- only names of our own columns are put in

READ_IDS = f"{READ} WHERE held.response_id <> '' OR held.call_id <> '' OR held.status = 'error'"

# One look-up in the key's index for each trace; any other plan would read partitions whole.
BY_KEY = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"

WRITTEN = (
    "counted", "user_id", "session_id", "feature", "environment", "prompt_name", "prompt_version", "flags",
    "cost_usd", "price_id",
)  # fmt: skip

WRITE = f"""
UPDATE telemetry_span AS held SET {", ".join(f"{name} = told.{name}" for name in WRITTEN)}
FROM json_populate_recordset(NULL::telemetry_span, %s) AS told
WHERE held.project_id = told.project_id AND held.trace_id = told.trace_id AND held.span_id = told.span_id
  AND held.started_at = told.started_at AND held.started_at >= %s AND held.started_at <= %s
"""  # noqa: S608

DEFER = """
UPDATE telemetry_opentrace AS held SET is_deferred = true
FROM unnest(%s::text::bigint[], %s::text::bytea[], %s::text::timestamptz[]) AS wanted (p, t, at)
CROSS JOIN LATERAL (
  SELECT count(*) AS spans FROM (
    SELECT 1 FROM telemetry_span
    WHERE project_id = wanted.p AND trace_id = wanted.t AND started_at >= %s AND started_at < %s LIMIT %s
  ) AS counted_spans
) AS size
WHERE held.project_id = wanted.p AND held.trace_id = wanted.t AND size.spans = %s
RETURNING held.project_id, held.trace_id
"""

DIRTY = """
INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
SELECT *, %s::timestamptz FROM unnest(%s::bigint[], %s::timestamptz[])
"""

DUE = """
SELECT project_id, trace_id, around, marked_at FROM telemetry_opentrace
WHERE settled_at IS NULL AND (marked_at <= %s OR is_deferred) ORDER BY marked_at LIMIT %s
"""

DONE = """
UPDATE telemetry_opentrace AS held
SET is_deferred = false, settled_at = CASE WHEN held.marked_at <= %s THEN %s::timestamptz END
FROM unnest(%s::text::bigint[], %s::text::bytea[], %s::text::timestamptz[]) AS wanted (p, t, at)
WHERE held.project_id = wanted.p AND held.trace_id = wanted.t AND held.marked_at = wanted.at
"""

FORGET = "DELETE FROM telemetry_opentrace WHERE settled_at < %s"


def settle_batch(spans: Sequence[SpanRecord]) -> None:
    """Settle the spans of a batch as far as they concern each other; they are changed in place."""
    settling.settle(settling.entangled(spans))


def open_traces(spans: Iterable[SpanRecord]) -> Targets:
    """The traces with a span whose parent is not among these spans."""
    known: defaultdict[TraceKey, set[bytes]] = defaultdict(set)
    children: list[SpanRecord] = []
    for span in spans:
        known[span.project_id, span.trace_id].add(span.span_id)
        if span.parent_span_id is not None:
            children.append(span)
    return {
        (span.project_id, span.trace_id): span.started_at
        for span in children
        if span.parent_span_id not in known[span.project_id, span.trace_id]
    }


def mark_open(cursor: CursorWrapper, traces: Targets) -> None:
    """Mark these traces open, in the transaction that stores or changes spans of them and before it does."""
    if traces:
        cursor.execute(MARK_ANEW, [clock.now(), *_columns(traces), times_array(traces.values())])


def settle_stored(spans: Sequence[SpanRecord], marked: Targets) -> None:
    """Settle what the commit of these spans may have changed. A failure is left to the schedule, and logged."""
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(BY_KEY)
            targets = _without_long_ones(cursor, marked | _concerned(cursor, spans, marked))
        if targets:
            settle_traces(targets)
    except Exception:
        # What was stored is stored, and is acknowledged; the marks are there for the schedule.
        log.exception("settling traces failed")


def _without_long_ones(cursor: CursorWrapper, targets: Targets) -> Targets:
    """The traces but those of very many spans, which are left to the schedule."""
    if not targets:
        return {}
    times = list(targets.values())
    size = MOST_SPANS_AT_ONCE + 1
    bounds = [min(times) - LONGEST_TRACE, max(times) + LONGEST_TRACE]
    cursor.execute(DEFER, [*_columns(targets), times_array(times), *bounds, size, size])
    long_ones = {(project_id, bytes(trace_id)) for project_id, trace_id in cursor.fetchall()}
    return {key: at for key, at in targets.items() if key not in long_ones}


def _concerned(cursor: CursorWrapper, spans: Sequence[SpanRecord], marked: Targets) -> Targets:
    """Open traces of the batch, and traces elsewhere that may tell of the same calls as its spans do; now marked."""
    own = {(span.project_id, span.trace_id): span.started_at for span in spans}
    unmarked = {key: at for key, at in own.items() if key not in marked}
    found: Targets = {}
    if unmarked:
        cursor.execute(OPEN, _columns(unmarked))
        found = {(project_id, bytes(trace_id)): around for project_id, trace_id, around in cursor.fetchall()}
    for key, (project_id, trace_id, at) in _twins(cursor, spans).items():
        found[key] = at
        found[project_id, trace_id] = own[project_id, trace_id]
    newly = {key: at for key, at in found.items() if key not in marked}
    mark_open(cursor, newly)
    return newly


def _twins(
    cursor: CursorWrapper, spans: Sequence[SpanRecord] | Sequence[Facts]
) -> dict[TraceKey, tuple[int, bytes, datetime]]:
    """Other traces with a span that may tell of the same call as one of these: for each, whose call and when."""
    return _same_ids(cursor, spans) | _failed_together(cursor, spans)


def _failed_together(
    cursor: CursorWrapper, spans: Sequence[SpanRecord] | Sequence[Facts]
) -> dict[TraceKey, tuple[int, bytes, datetime]]:
    silent = [span for span in spans if settling.has_no_id(span)]
    if not silent:
        return {}
    longest = max((span.ended_at or span.client_started_at) - span.client_started_at for span in silent)
    near = min(max(longest, timedelta(0)) + settling.TOLERANCE, TWIN_WINDOW).total_seconds()
    keys = [(span.project_id, span.trace_id) for span in silent]
    starts = times_array(span.started_at for span in silent)
    cursor.execute(FAILED, [*_columns(keys), starts, near, near, sorted(settling.PROVIDERS_OF_LIBRARIES)])
    return {
        (project_id, bytes(other)): (project_id, bytes(trace_id), at)
        for project_id, trace_id, other, at in cursor.fetchall()
    }


def _same_ids(
    cursor: CursorWrapper, spans: Sequence[SpanRecord] | Sequence[Facts]
) -> dict[TraceKey, tuple[int, bytes, datetime]]:
    ids = [
        (span.project_id, name, span.trace_id, span.scope, span.started_at)
        for span in spans
        for name in {span.response_id, span.call_id}
        if name
    ]
    if not ids:
        return {}
    times = [at for *_names, at in ids]
    cursor.execute(
        TWINS,
        {
            "projects": numbers_array(project_id for project_id, *_rest in ids),
            "ids": [name for _project, name, *_rest in ids],
            "traces": bytes_array(trace_id for _project, _name, trace_id, *_rest in ids),
            "scopes": [scope for *_names, scope, _at in ids],
            "first": min(times) - TWIN_WINDOW,
            "last": max(times) + TWIN_WINDOW,
        },
    )
    return {
        (project_id, bytes(other)): (project_id, bytes(trace_id), at)
        for project_id, trace_id, other, at in cursor.fetchall()
    }


def settle_traces(targets: Targets) -> int:
    """Settle these traces, whose marks exist; returns how many spans changed. Safe to repeat and to run twice at once.

    Traces that tell of the same calls are settled with them.
    """
    changed = 0
    keys = sorted(targets)
    for start in range(0, len(keys), TRACES_AT_ONCE):
        portion = {key: targets[key] for key in keys[start : start + TRACES_AT_ONCE]}
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(BY_KEY)
            portion = _with_twins(cursor, portion)
            cursor.execute(LOCK, _columns(portion))
            changed += _settle(cursor, portion)
    return changed


def _with_twins(cursor: CursorWrapper, targets: Targets) -> Targets:
    """The traces, and those that share calls with them, and so on for a few steps."""
    found, latest = dict(targets), targets
    for _ in range(CLOSURE_STEPS):
        spans = [_facts(row) for _project, rows in _read(cursor, READ_IDS, latest) for row in rows]
        twins = {key: at for key, (_project, _trace, at) in _twins(cursor, spans).items() if key not in found}
        if not twins:
            break
        cursor.execute(MARK_ONCE, [clock.now(), *_columns(twins), times_array(twins.values())])
        found |= twins
        latest = twins
    return found


def _read(cursor: CursorWrapper, query: str, targets: Targets) -> Iterable[tuple[int, list[tuple[Any, ...]]]]:
    """The rows of these traces' spans, project by project."""
    projects: defaultdict[int, list[tuple[bytes, datetime]]] = defaultdict(list)
    for (project_id, trace_id), at in targets.items():
        projects[project_id].append((trace_id, at))
    for project_id, traces in projects.items():
        times = [at for _trace, at in traces]
        cursor.execute(
            query,
            [
                bytes_array(trace for trace, _at in traces),
                project_id,
                min(times) - LONGEST_TRACE,
                max(times) + LONGEST_TRACE,
            ],
        )
        yield project_id, cursor.fetchall()


def _settle(cursor: CursorWrapper, targets: Targets) -> int:
    spans = [_facts(row) for _project, rows in _read(cursor, READ, targets) for row in rows]
    counted = {id(span): span.counted for span in spans}
    changed = [span for span in settling.settle(spans) if isinstance(span, Facts)]
    if not changed:
        return 0
    for span in changed:
        if span.counted != counted[id(span)]:
            freeze_cost(span)
    _write(cursor, changed)
    hours = sorted(
        {(span.project_id, clock.floor_hour(span.started_at)) for span in changed if span.counted or counted[id(span)]}
    )
    if hours:
        cursor.execute(DIRTY, [clock.now(), *map(list, zip(*hours, strict=True))])
    append_fresh(cursor, [_key(span) for span in changed], now=clock.now())
    return len(changed)


def _write(cursor: CursorWrapper, spans: Sequence[Facts]) -> None:
    for first in range(0, len(spans), SPANS_AT_ONCE):
        portion = spans[first : first + SPANS_AT_ONCE]
        starts = [span.started_at for span in portion]
        cursor.execute(WRITE, [_encode([_row(span) for span in portion]).decode(), min(starts), max(starts)])


def _row(span: Facts) -> dict[str, Any]:
    row = {name: getattr(span, name) for name in (*WRITTEN, "project_id", "started_at")}
    return row | {"trace_id": f"\\x{span.trace_id.hex()}", "span_id": f"\\x{span.span_id.hex()}"}


def _facts(row: Sequence[Any]) -> Facts:
    values: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in row]
    return Facts(*values)


def _key(span: Facts) -> tuple[int, bytes, bytes, datetime]:
    return span.project_id, span.trace_id, span.span_id, span.started_at


def _columns(traces: Iterable[TraceKey]) -> list[str]:
    keys = list(traces)
    return [numbers_array(project_id for project_id, _trace in keys), bytes_array(trace for _project, trace in keys)]


def settle_due(*, now: datetime, limit: int = 2_000) -> int:
    """Settle once more the traces that were marked a minute ago or earlier; returns how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [now - SECOND_LOOK, limit])
        due = {(row[0], bytes(row[1])): (row[2], row[3]) for row in cursor.fetchall()}
    if due:
        settle_traces({key: around for key, (around, _marked) in due.items()})
        with connection.cursor() as cursor:
            cursor.execute(
                DONE, [now - SECOND_LOOK, now, *_columns(due), times_array(marked for _around, marked in due.values())]
            )
    return len(due)


def forget_marks(*, now: datetime) -> int:
    """Delete the marks of traces that nothing was added to for days; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [now - KEEP_MARKS])
        return int(cursor.rowcount)

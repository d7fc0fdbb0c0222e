"""Writing spans: one transaction for any number of requests, acknowledged after its commit.

Spans go by COPY straight into the day partitions. When one of them is there already, all of them go through a staging
table, where those that are known are recognised by their key. A report with the same digest is a duplicate; one that
differs is merged in Python (`merging`), so that the rule stands in one place. The same transaction marks the touched
hours dirty and books what became of every item.

Locks are taken in one order by every writer: clock look-ups, new keys (see `copying`), existing rows by key.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import UniqueViolation

from apps.core import clock
from apps.projects import services as projects
from apps.telemetry import merging
from apps.telemetry.services import scores
from apps.telemetry.services.booking import book, tally
from apps.telemetry.services.copying import ORDER, PAYLOAD_LIST, SPAN_LIST, copy_payloads, copy_spans, in_order
from apps.telemetry.services.fresh import append_fresh
from apps.telemetry.services.inserting import FEW, insert_few
from apps.telemetry.services.log_parts import days_of, insert_log_parts
from apps.telemetry.services.partitions import ensure_partitions
from apps.telemetry.services.pricing import freeze_cost
from apps.telemetry.services.settling import Targets, mark_open, open_traces, settle_batch, settle_stored
from apps.telemetry.settling import take_back
from apps.telemetry.types import (
    PAYLOAD_COLUMNS,
    SPAN_COLUMNS,
    Batch,
    Outcome,
    Payload,
    Rejection,
    SpanRecord,
)

Key = tuple[int, bytes, bytes, datetime]

KEY = "project_id, trace_id, span_id, started_at"
MERGED_COLUMNS = tuple(
    name
    for name in SPAN_COLUMNS
    if name not in {"project_id", "trace_id", "span_id", "started_at", "client_started_at"}
)

STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS stage_span (LIKE telemetry_span) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS stage_payload (LIKE telemetry_payload) ON COMMIT DELETE ROWS;
"""

HAS_SKEWED = "SELECT EXISTS (SELECT 1 FROM telemetry_skewed WHERE project_id = ANY (%s))"

REMEMBER_SKEWED = """
INSERT INTO telemetry_skewed (project_id, trace_id, span_id, client_started_at, stored_at)
SELECT project_id, trace_id, span_id, client_started_at, started_at FROM stage_span WHERE 'clock' = ANY (flags)
ORDER BY project_id, trace_id, span_id, client_started_at
ON CONFLICT DO NOTHING
"""

FIND_SKEWED = """
UPDATE stage_span AS stage SET started_at = skewed.stored_at FROM telemetry_skewed AS skewed
WHERE stage.project_id = skewed.project_id AND stage.trace_id = skewed.trace_id AND stage.span_id = skewed.span_id
  AND stage.client_started_at = skewed.client_started_at AND stage.started_at <> skewed.stored_at
RETURNING stage.project_id, stage.trace_id, stage.span_id, stage.client_started_at, stage.started_at
"""

INSERT_SPANS = f"""
WITH fresh AS (
  INSERT INTO telemetry_span ({SPAN_LIST})
  SELECT {SPAN_LIST} FROM stage_span ORDER BY {ORDER}
  ON CONFLICT DO NOTHING
  RETURNING {KEY}, counted
), marked AS (
  INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
  SELECT DISTINCT project_id, date_trunc('hour', started_at), %s::timestamptz FROM fresh WHERE counted
)
SELECT {KEY} FROM stage_span EXCEPT ALL SELECT {KEY} FROM fresh
"""  # noqa: S608 -- only names of our own columns are put in

INSERT_PAYLOADS = f"""
INSERT INTO telemetry_payload ({PAYLOAD_LIST}) SELECT {PAYLOAD_LIST} FROM stage_payload ORDER BY {ORDER}
ON CONFLICT DO NOTHING
"""  # noqa: S608

KEYS = "unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[]) AS wanted (p, t, s, at)"
MATCHES = (
    "held.project_id = wanted.p AND held.trace_id = wanted.t"
    " AND held.span_id = wanted.s AND held.started_at = wanted.at"
)

DIGESTS = (
    f"SELECT wanted.p, wanted.t, wanted.s, wanted.at, held.digest FROM {KEYS} JOIN telemetry_span AS held ON {MATCHES}"  # noqa: S608
)

LOCK = f"""
SELECT 1 FROM {KEYS} JOIN telemetry_span AS held ON {MATCHES}
ORDER BY held.project_id, held.trace_id, held.span_id, held.started_at
FOR UPDATE OF held
"""  # noqa: S608

HELD = f"""
SELECT {", ".join(f"held.{name}" for name in SPAN_COLUMNS)}, {", ".join(f"payload.{name}" for name in PAYLOAD_COLUMNS)}
FROM {KEYS} JOIN telemetry_span AS held ON {MATCHES}
LEFT JOIN telemetry_payload AS payload ON payload.project_id = wanted.p AND payload.trace_id = wanted.t
  AND payload.span_id = wanted.s AND payload.started_at = wanted.at
"""  # noqa: S608

UPDATE_SPAN = f"""
UPDATE telemetry_span SET {", ".join(f"{name} = %s" for name in MERGED_COLUMNS)}
WHERE project_id = %s AND trace_id = %s AND span_id = %s AND started_at = %s
"""  # noqa: S608

UPSERT_PAYLOAD = f"""
INSERT INTO telemetry_payload ({PAYLOAD_LIST}) VALUES ({", ".join(["%s"] * (4 + len(PAYLOAD_COLUMNS)))})
ON CONFLICT ({KEY}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in PAYLOAD_COLUMNS)}
"""  # noqa: S608


def store(batches: Sequence[Batch]) -> list[Outcome]:
    """Store the spans of these requests durably and say, request by request, what became of the items.

    When it returns, everything is committed. Raises django.db.Error and stores nothing when the database refuses;
    trying again is safe. A database error that lies in one item (DataError, IntegrityError) is raised as well: the
    caller narrows it down by storing parts.
    """
    unique = _merged_by_key(span for batch in batches for span in batch.spans)
    spans = list(unique.values())
    settle_batch(spans)
    for span in spans:
        freeze_cost(span)
    marked = open_traces(spans)
    ensure_partitions({span.started_at.astimezone(UTC).date() for span in spans} | days_of(batches))
    outcomes = _store_new(batches, unique, marked)
    if outcomes is None:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            mark_open(cursor, marked)
            fates, changed = _write_staged(cursor, unique)
            outcomes = tally(batches, fates)
            _write_beside(cursor, batches, outcomes)
            book(cursor, batches, outcomes)
            append_fresh(
                cursor, (_stored_key(span) for span in spans if fates[span.key] != "duplicate"), now=clock.now()
            )
        marked |= changed
    if spans:
        settle_stored(spans, marked)
    _learn_names(spans)
    return outcomes


def _merged_by_key(spans: Iterable[SpanRecord]) -> dict[Key, SpanRecord]:
    unique: dict[Key, SpanRecord] = {}
    for span in spans:
        earlier = unique.get(span.key)
        if earlier is None:
            unique[span.key] = span
        elif earlier.digest != span.digest:
            unique[span.key] = merging.merge(earlier, span)
    return unique


def _store_new(batches: Sequence[Batch], unique: dict[Key, SpanRecord], marked: Targets) -> list[Outcome] | None:
    """Write the spans straight into their partitions if not one of them is there yet; else nothing, and None.

    Nearly all spans are sent once, and this costs about half of what staging costs.
    """
    projects = sorted({span.project_id for span in unique.values()})
    if not unique or any(map(_repeating.is_at_it, projects)) or any("clock" in span.flags for span in unique.values()):
        return None
    spans = in_order(unique.values())
    outcomes = tally(batches, dict.fromkeys(unique, "stored"))
    is_small = len(spans) <= FEW and not any(batch.rejected or batch.scores or batch.logs for batch in batches)
    try:
        if is_small:
            is_stored = insert_few(batches, spans, outcomes, marked, now=clock.now())
        else:
            is_stored = _copy_new(batches, spans, outcomes, projects, marked)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        _repeating.note(projects)
        return None
    return outcomes if is_stored else None


def _copy_new(
    batches: Sequence[Batch],
    spans: Sequence[SpanRecord],
    outcomes: Sequence[Outcome],
    projects: list[int],
    marked: Targets,
) -> bool:
    """Store and book; False, and nothing is stored, while one of the projects has spans with an impossible clock."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(HAS_SKEWED, [projects])
        if cursor.fetchone()[0]:
            return False
        mark_open(cursor, marked)
        copy_spans(cursor, "telemetry_span", spans)
        copy_payloads(cursor, "telemetry_payload", spans)
        _write_beside(cursor, batches, outcomes)
        book(cursor, batches, outcomes, dirty=_hours(spans))
        append_fresh(cursor, map(_stored_key, spans), now=clock.now())
    return True


def _write_beside(cursor: CursorWrapper, batches: Sequence[Batch], outcomes: Sequence[Outcome]) -> None:
    """Store the scores and the log parts of these requests beside their spans, and add them to the outcomes."""
    fates = scores.insert(cursor, batches, now=clock.now())
    for outcome, fate, (new, known) in zip(outcomes, fates, insert_log_parts(cursor, batches), strict=True):
        outcome.stored += fate.stored + new
        outcome.updated += fate.updated
        outcome.duplicates += fate.duplicates + known


def _hours(spans: Iterable[SpanRecord]) -> list[tuple[int, datetime]]:
    """The hours of these spans' calls, by project."""
    hours = {(span.project_id, span.started_at.timestamp() // 3600) for span in spans if span.counted}
    return [(project_id, datetime.fromtimestamp(hour * 3600, UTC)) for project_id, hour in sorted(hours)]


class _Repeating:
    """The projects that sent something again just now: what they send next is better staged at once, since a COPY that
    meets a known key is undone and leaves dead rows behind."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def note(self, projects: Iterable[int]) -> None:
        """One of these projects sent a span that was there already."""
        until = time.monotonic() + self.SECONDS
        self._until.update(dict.fromkeys(projects, until))

    def is_at_it(self, project_id: int) -> bool:
        """True for a while after that."""
        return time.monotonic() < self._until.get(project_id, 0.0)


_repeating = _Repeating()


def _write_staged(cursor: CursorWrapper, unique: dict[Key, SpanRecord]) -> tuple[dict[Key, str], Targets]:
    """Put new spans where they belong, and merge into what is there already: each one's fate, and the traces of the
    merged ones, which are marked open."""
    if not unique:
        return {}, {}
    cursor.execute(STAGE)
    copy_spans(cursor, "stage_span", list(unique.values()))
    if any("clock" in span.flags for span in unique.values()):
        cursor.execute(REMEMBER_SKEWED)
    cursor.execute(FIND_SKEWED)
    for project_id, trace_id, span_id, client_start, stored_at in cursor.fetchall():
        unique[project_id, bytes(trace_id), bytes(span_id), client_start].started_at = stored_at
    cursor.execute(INSERT_SPANS, [clock.now()])
    present = {(row[0], bytes(row[1]), bytes(row[2]), row[3]) for row in cursor.fetchall()}
    fates = dict.fromkeys(unique, "stored")
    existing: list[SpanRecord] = []
    fresh: list[SpanRecord] = []
    for span in unique.values():
        stored_key = (span.project_id, span.trace_id, span.span_id, span.started_at)
        (existing if stored_key in present else fresh).append(span)
    if copy_payloads(cursor, "stage_payload", fresh):
        cursor.execute(INSERT_PAYLOADS)
    changed: Targets = {}
    if existing:
        merged, changed = _update(cursor, existing)
        fates |= merged
    return fates, changed


def _stored_key(span: SpanRecord) -> Key:
    return span.project_id, span.trace_id, span.span_id, span.started_at


def _key_arrays(spans: Sequence[SpanRecord]) -> list[list[Any]]:
    return [list(column) for column in zip(*map(_stored_key, spans), strict=True)]


def _update(cursor: CursorWrapper, spans: list[SpanRecord]) -> tuple[dict[Key, str], Targets]:
    """Merge reports of spans that are there already, unless they bring nothing new."""
    # Each wanted key is one look-up in one partition; any other plan would scan partitions whole.
    cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off")
    cursor.execute(DIGESTS, _key_arrays(spans))
    digests = {(p, bytes(t), bytes(s), at): bytes(digest) for p, t, s, at, digest in cursor.fetchall()}
    fates = {span.key: "duplicate" for span in spans}
    differing = [span for span in spans if digests[_stored_key(span)] != span.digest]
    traces: Targets = {(span.project_id, span.trace_id): span.started_at for span in differing}
    if differing:
        mark_open(cursor, traces)
        # Locked first and read after: a statement that waits for a lock sees the locked row anew, but the payload
        # beside it as it was before the wait, and would undo what the other writer merged into it.
        cursor.execute(LOCK, _key_arrays(differing))
        cursor.execute(HELD, _key_arrays(differing))
        held = {_stored_key(span): span for span in map(_from_row, cursor.fetchall())}
        for span in differing:
            if _merge_into(cursor, held[_stored_key(span)], span):
                fates[span.key] = "updated"
    return fates, traces


def _from_row(row: Sequence[Any]) -> SpanRecord:
    values: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in row]
    span = SpanRecord(*values[: len(SPAN_COLUMNS)])
    payload = values[len(SPAN_COLUMNS) :]
    if payload[2] is not None:
        span.payload = Payload(*payload)
    return span


def _merge_into(cursor: CursorWrapper, held: SpanRecord, report: SpanRecord) -> bool:
    """Write the merge of the two if it differs from what is held; says whether it did.

    What either has from other spans is left out of it: the trace is settled anew after the commit.
    """
    was_counted = held.counted
    take_back(held)
    take_back(report)
    merged = merging.merge(held, report)
    if merging.canonical(merged) == merging.canonical(held):
        return False
    if merged.counted != was_counted or merging.usage_of(merged) != merging.usage_of(held):
        freeze_cost(merged)
    cursor.execute(UPDATE_SPAN, [*(getattr(merged, name) for name in MERGED_COLUMNS), *_stored_key(held)])
    if merged.payload is not None and merged.payload != held.payload:
        cursor.execute(UPSERT_PAYLOAD, [*_stored_key(held), *msgspec.structs.astuple(merged.payload)])
    if merged.counted or was_counted:
        cursor.execute(
            "INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at) VALUES (%s, %s, %s)",
            [held.project_id, clock.floor_hour(held.started_at), clock.now()],
        )
    return True


def _learn_names(spans: Iterable[SpanRecord]) -> None:
    """Let features and environments that calls name for the first time exist in their projects."""
    names: dict[int, tuple[set[str], set[str]]] = {}
    for span in spans:
        features, environments = names.setdefault(span.project_id, (set(), set()))
        if span.feature:
            features.add(span.feature)
        environments.add(span.environment)
    for project_id, (features, environments) in names.items():
        projects.learn_names(project_id, features=features, environments=environments, now=clock.now())


def not_storable(position: int, error: Exception) -> Rejection:
    """The rejection of an item that the database refuses."""
    return Rejection(index=position, code="not_storable", message=f"The database refuses this item: {error}"[:500])


def part_of(batch: Batch, part: slice) -> Batch:
    """Some of a batch's spans, as a batch."""
    return msgspec.structs.replace(batch, spans=batch.spans[part], positions=batch.positions[part])


def try_spans(spans: Sequence[SpanRecord]) -> None:
    """Write the spans and take them back: raises what the database would raise, and stores nothing."""
    unique = _merged_by_key(spans)
    ensure_partitions({span.started_at.astimezone(UTC).date() for span in unique.values()})
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        _write_staged(cursor, unique)
        transaction.set_rollback(True)

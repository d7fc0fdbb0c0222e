"""Storing content that came apart from its spans, as log records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, timedelta
from typing import Any

import msgspec
from django.db.backends.utils import CursorWrapper

from apps.core import clock
from apps.telemetry.services.fresh import append_fresh
from apps.telemetry.types import Batch, LogPart

LOG_COLUMNS = LogPart.__struct_fields__
NEAR = timedelta(days=1)
"""A record is written while its span is open or soon after, so the span began within a day of it."""

INSERT = f"""
INSERT INTO telemetry_logpart ({", ".join(LOG_COLUMNS)})
SELECT {", ".join(LOG_COLUMNS)} FROM json_populate_recordset(NULL::telemetry_logpart, %s)
ORDER BY at, project_id, trace_id, span_id, digest
ON CONFLICT DO NOTHING
RETURNING project_id, trace_id, span_id, at, digest
"""  # noqa: S608 -- only names of our own columns are put in

SPANS = """
SELECT DISTINCT held.project_id, held.trace_id, held.span_id, held.started_at
FROM json_populate_recordset(NULL::telemetry_logpart, %s) AS part
JOIN telemetry_span AS held
  ON held.project_id = part.project_id AND held.trace_id = part.trace_id AND held.span_id = part.span_id
WHERE held.started_at >= %s AND held.started_at < %s
"""

_encode = msgspec.json.Encoder().encode


def days_of(batches: Iterable[Batch]) -> set[date]:
    """The UTC days whose partitions the log parts of these requests need."""
    return {part.at.astimezone(UTC).date() for batch in batches for part in batch.logs}


def insert_log_parts(cursor: CursorWrapper, batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Store the log parts of these requests in the caller's transaction: for each request, how many were new and how
    many were there already. Spans that are stored are looked through once more."""
    parts = [part for batch in batches for part in batch.logs]
    if not parts:
        return [(0, 0)] * len(batches)
    rows = _encode([_row(part) for part in parts]).decode()
    cursor.execute(INSERT, [rows])
    fresh = {(row[0], bytes(row[1]), bytes(row[2]), row[3], bytes(row[4])) for row in cursor.fetchall()}
    counts = []
    for batch in batches:
        stored = 0
        for part in batch.logs:
            key = (part.project_id, part.trace_id, part.span_id, part.at, part.digest)
            if key in fresh:
                fresh.discard(key)
                stored += 1
        counts.append((stored, len(batch.logs) - stored))
    times = [part.at for part in parts]
    cursor.execute(SPANS, [rows, min(times) - NEAR, max(times) + NEAR])
    append_fresh(cursor, [(row[0], bytes(row[1]), bytes(row[2]), row[3]) for row in cursor.fetchall()], now=clock.now())
    return counts


def _row(part: LogPart) -> dict[str, Any]:
    row = {name: getattr(part, name) for name in LOG_COLUMNS}
    return row | {name: f"\\x{row[name].hex()}" for name in ("trace_id", "span_id", "digest")}

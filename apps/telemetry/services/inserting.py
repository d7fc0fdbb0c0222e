"""A few new spans, their payloads and their account in one statement: one turn to the server, one commit.

A service that reports call by call spends nearly all its cost on turns between us and the database. The rows travel as
one JSON text, which PostgreSQL takes apart by the tables' own columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from apps.core.db import assert_no_transaction
from apps.telemetry.services.booking import COLUMNS_OF_BATCH, TYPES_OF_BATCH, lines_of
from apps.telemetry.services.copying import PAYLOAD_LIST, SPAN_LIST
from apps.telemetry.services.fresh import COLUMNS as FRESH_COLUMNS
from apps.telemetry.services.fresh import ROW, rows_of
from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS, Batch, Outcome, SpanRecord

FEW = 24
"""Up to here one statement is cheaper than COPY."""

BYTES = ("trace_id", "span_id", "digest", "parent_span_id")

INSERT = f"""
WITH clear AS (
  SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM telemetry_skewed WHERE project_id = ANY (%s))
), span AS (
  INSERT INTO telemetry_span ({SPAN_LIST})
  SELECT {SPAN_LIST} FROM clear, json_populate_recordset(NULL::telemetry_span, %s)
  RETURNING project_id, started_at, counted
), payload AS (
  INSERT INTO telemetry_payload ({PAYLOAD_LIST})
  SELECT {PAYLOAD_LIST} FROM clear, json_populate_recordset(NULL::telemetry_payload, %s)
), marked AS (
  INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
  SELECT DISTINCT project_id, date_trunc('hour', started_at), %s::timestamptz FROM span WHERE counted
), opened AS (
  INSERT INTO telemetry_opentrace (project_id, trace_id, around, marked_at)
  SELECT line.* FROM clear, unnest(%s::bigint[], %s::bytea[], %s::timestamptz[], %s::timestamptz[]) AS line
  ON CONFLICT (project_id, trace_id) DO UPDATE SET marked_at = excluded.marked_at, settled_at = NULL
), fresh AS (
  INSERT INTO telemetry_fresh ({FRESH_COLUMNS}) SELECT line.* FROM clear, (VALUES {{fresh}}) AS line
)
INSERT INTO telemetry_intakebatch ({COLUMNS_OF_BATCH}) SELECT line.* FROM clear, unnest({TYPES_OF_BATCH}) AS line
"""  # noqa: S608 -- only names of our own columns are put in

_encode = msgspec.json.Encoder(decimal_format="number").encode


def insert_few(
    batches: Sequence[Batch],
    spans: Sequence[SpanRecord],
    outcomes: Sequence[Outcome],
    open_traces: Mapping[tuple[int, bytes], datetime],
    *,
    now: datetime,
) -> bool:
    """Store these spans, none of which is there yet, and book the requests that brought them; committed on return.

    False, and nothing is stored, while one of the projects has spans with an impossible clock. Raises IntegrityError
    when one of the spans is there already.
    """
    assert_no_transaction()
    projects = sorted({span.project_id for span in spans})
    texts = [_json([_span(span) for span in spans]), _json([_payload(span) for span in spans if span.payload])]
    fresh = rows_of(((span.project_id, span.trace_id, span.span_id, span.started_at) for span in spans), now=now)
    opened = [(project_id, trace_id, at, now) for (project_id, trace_id), at in sorted(open_traces.items())]
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT.replace("{fresh}", ", ".join([ROW] * len(fresh))),
            [
                projects,
                *texts,
                now,
                *([list(column) for column in zip(*opened, strict=True)] if opened else [[]] * 4),
                *(value for row in fresh for value in row),
                *lines_of(batches, outcomes),
            ],
        )
        return bool(cursor.rowcount)


def _json(rows: list[dict[str, Any]]) -> str:
    return _encode(rows).decode()


def _span(span: SpanRecord) -> dict[str, Any]:
    row = {name: getattr(span, name) for name in SPAN_COLUMNS}
    return row | {name: _hexadecimal(row[name]) for name in BYTES}


def _payload(span: SpanRecord) -> dict[str, Any]:
    key = {
        "project_id": span.project_id,
        "trace_id": _hexadecimal(span.trace_id),
        "span_id": _hexadecimal(span.span_id),
        "started_at": span.started_at,
    }
    return key | {name: getattr(span.payload, name) for name in PAYLOAD_COLUMNS}


def _hexadecimal(value: bytes | None) -> str | None:
    return None if value is None else f"\\x{value.hex()}"

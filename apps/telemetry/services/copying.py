"""Spans and payloads as rows for COPY, in the one order in which every writer locks them.

The order is by start, project and ids. It begins with the start because COPY gathers rows by partition before it writes
them: with the rows of each day together, the keys are taken in the order in which they are given, and two writers with
spans in common wait for each other in one direction alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS, Payload, SpanRecord

ORDER = "started_at, project_id, trace_id, span_id"

SPAN_LIST = ", ".join(SPAN_COLUMNS)
PAYLOAD_LIST = ", ".join(("project_id", "trace_id", "span_id", "started_at", *PAYLOAD_COLUMNS))
WIDTH = len(SPAN_COLUMNS)
assert SPAN_COLUMNS[-2:] == ("tags", "flags")

_astuple = msgspec.structs.astuple


def in_order(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """The spans in the order in which their keys are to be locked."""
    return sorted(spans, key=_place)


def _place(span: SpanRecord) -> tuple[datetime, int, bytes, bytes]:
    return span.started_at, span.project_id, span.trace_id, span.span_id


def copy_spans(cursor: CursorWrapper, table: str, spans: Sequence[SpanRecord]) -> None:
    """Write the narrow rows of these spans into the table, which has the columns of `telemetry_span`."""
    _copy(cursor, f"COPY {table} ({SPAN_LIST}) FROM STDIN", map(_span_row, spans))


def copy_payloads(cursor: CursorWrapper, table: str, spans: Iterable[SpanRecord]) -> bool:
    """Write the payloads of those spans that have one, into a table like `telemetry_payload`; False if none has."""
    rows = [_payload_row(span, span.payload) for span in spans if span.payload is not None]
    if rows:
        _copy(cursor, f"COPY {table} ({PAYLOAD_LIST}) FROM STDIN", rows)
    return bool(rows)


def _copy(cursor: CursorWrapper, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    # Django turns the driver's errors into its own for statements, but not for what a COPY says at its end.
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _plain(values: tuple[Any, ...]) -> Any:
    """The values with times as text, which msgspec writes many times faster than Python and psycopg do."""
    return msgspec.to_builtins(values, builtin_types=(bytes, Decimal))


def _span_row(span: SpanRecord) -> Sequence[Any]:
    *values, tags, flags = _plain(_astuple(span)[:WIDTH])
    # Most spans have neither, and psycopg's way of writing a list costs as much as the rest of the row.
    return (*values, tags or "{}", flags or "{}")


def _payload_row(span: SpanRecord, payload: Payload) -> Sequence[Any]:
    return (*_plain((span.project_id, span.trace_id, span.span_id, span.started_at)), *_astuple(payload))

"""Spans of a range as JSON Lines or Parquet, written while they are read: memory does not grow with their number.

Spans are read day by day and portion by portion, each a query of its own that goes on behind the last span, so nothing
is locked while a slow client takes its time. What is stored or deleted meanwhile may or may not be in the export. A
portion is made smaller while contents are large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
from django.db import connection

from apps.core import money
from apps.telemetry.exported import FORMAT, MARK, SENT, WORKED_OUT
from apps.telemetry.selectors.retention import list_partitions
from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS

JSONL, PARQUET = "jsonl", "parquet"
MEDIA_TYPES = {JSONL: "application/x-ndjson", PARQUET: "application/vnd.apache.parquet"}

FIRST_PORTION = 200
MOST_ROWS = 1_000
PORTION_CHARS = 8_000_000
"""About how much text is held at once."""
ROWS_PER_GROUP = 5_000
"""Of a Parquet file, unless their texts are larger than PORTION_CHARS."""

MONEY_PLACES = Decimal("1e-18")
IDS = ("trace_id", "span_id", "parent_span_id")
MONEY = ("cost_usd", "client_cost_usd")
FILTERS = (
    "environment", "feature", "model", "provider", "status", "user_id", "session_id", "prompt_name", "prompt_version",
    "kind", "service",
)  # fmt: skip
"""The columns by which an export may be narrowed down."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """Which spans of a project: those that started in [start, end) and have these values."""

    project_id: int
    start: datetime
    end: datetime
    filters: tuple[tuple[str, str], ...] = ()


def write(export: Export, form: str) -> Iterator[bytes]:
    """The spans, oldest first, as the bytes of a file, piece by piece. `form` is one of MEDIA_TYPES."""
    return _parquet(_portions(export)) if form == PARQUET else _lines(_portions(export))


def _portions(export: Export) -> Iterator[list[Row]]:
    first, last = export.start.astimezone(UTC).date(), export.end.astimezone(UTC).date()
    for part in list_partitions("telemetry_span"):
        if first <= part.day <= last:
            midnight = datetime(part.day.year, part.day.month, part.day.day, tzinfo=UTC)
            yield from _day(export, max(export.start, midnight), min(export.end, midnight + timedelta(days=1)))


def _day(export: Export, start: datetime, end: datetime) -> Iterator[list[Row]]:
    """The spans of a stretch within one day."""
    after: tuple[datetime, bytes, bytes] | None = None
    limit = FIRST_PORTION
    while start < end:
        rows = _read(export, start if after is None else after[0], end, after, limit)
        if rows:
            yield rows
        if len(rows) < limit:
            return
        last = rows[-1]
        after = last["started_at"], last["trace_id"], last["span_id"]
        limit = _next_limit(limit, sum(map(_chars, rows)))


def _next_limit(limit: int, chars: int) -> int:
    if chars > PORTION_CHARS:
        return max(1, limit // 4)
    return min(MOST_ROWS, limit * 2) if chars < PORTION_CHARS // 4 else limit


def _chars(row: Row) -> int:
    return sum(len(row[name] or "") for name in ("input", "output", "documents", "attributes"))


def _read(
    export: Export, start: datetime, end: datetime, after: tuple[datetime, bytes, bytes] | None, limit: int
) -> list[Row]:
    conditions = [f"{name} = %s" for name, _ in export.filters]
    assert {name for name, _ in export.filters} <= set(FILTERS)
    values: list[Any] = [export.project_id, start, end, *(value for _, value in export.filters)]
    if after is not None:
        conditions.append("(started_at, trace_id, span_id) > (%s, %s, %s)")
        values += after
    where = "".join(f" AND {condition}" for condition in conditions)
    spans = ", ".join(f"span.{name}" for name in SPAN_COLUMNS)
    payloads = ", ".join(f"payload.{name}" for name in PAYLOAD_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {spans}, {payloads}
            FROM (
              SELECT * FROM telemetry_span WHERE project_id = %s AND started_at >= %s AND started_at < %s{where}
              ORDER BY started_at, trace_id, span_id LIMIT %s
            ) AS span LEFT JOIN telemetry_payload AS payload
              ON payload.project_id = span.project_id AND payload.trace_id = span.trace_id
             AND payload.span_id = span.span_id AND payload.started_at = span.started_at
             AND payload.started_at >= %s AND payload.started_at < %s
            ORDER BY span.started_at, span.trace_id, span.span_id
            """,  # noqa: S608 -- names of our own columns
            [*values, limit, start, end],
        )
        names = (*SPAN_COLUMNS, *PAYLOAD_COLUMNS)
        return [_row(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _row(row: Row) -> Row:
    for name in IDS:
        row[name] = bytes(row[name]) if row[name] is not None else None
    return row


# --- JSON Lines -----------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def _lines(portions: Iterator[list[Row]]) -> Iterator[bytes]:
    for rows in portions:
        yield b"".join(_encode(_line(row)) + b"\n" for row in rows)


def _line(row: Row) -> dict[str, Any]:
    """A span as one line: the native names, what was worked out, and the mark."""
    line = {name: row[name] for name in (*SENT, *WORKED_OUT)}
    for name, value in line.items():
        if value == "" and name != "name":
            line[name] = None
    for name in IDS:
        line[name] = row[name].hex() if row[name] is not None else None
    for name in MONEY:
        line[name] = money.as_json(row[name])
    for name in ("documents", "attributes"):
        line[name] = _raw(row[name]) if row[name] else None
    for name in ("input", "output"):
        if row[name] and row[f"{name}_is_json"]:
            line[name] = _raw(row[name])
        elif row[name] == "":
            line[name] = ""
    return line | {MARK: FORMAT}


def _raw(text: str) -> Any:
    """JSON as it is stored, without being taken apart; what was cut and is JSON no more is a text."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())


# --- Parquet --------------------------------------------------------------------------------------------------------

COUNTS = (
    "latency_ms", "ttft_ms", "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "attempts",
)  # fmt: skip
FLAGS = ("streamed", "counted", "input_is_json", "output_is_json")
TIMES = ("started_at", "ended_at", "client_started_at", "received_at")
LISTS = ("tags", "flags")
PARQUET_COLUMNS = (*SENT, *WORKED_OUT, "input_is_json", "output_is_json")


class _Pieces:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """What was written is still to be taken."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _parquet(portions: Iterator[list[Row]]) -> Iterator[bytes]:
    # Imported here: it is large, and most processes never export.
    import pyarrow
    import pyarrow.parquet

    schema = _schema(pyarrow)
    pieces = _Pieces()
    with pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(pieces, mode="w"), schema, compression="zstd") as writer:
        for rows in _groups(portions):
            writer.write_table(pyarrow.Table.from_pylist([_record(row) for row in rows], schema=schema))
            yield pieces.take()
    yield pieces.take()


def _schema(pyarrow: Any) -> Any:
    kinds = (
        dict.fromkeys(COUNTS, pyarrow.int64())
        | dict.fromkeys(FLAGS, pyarrow.bool_())
        | dict.fromkeys(TIMES, pyarrow.timestamp("us", tz="UTC"))
        | dict.fromkeys(MONEY, pyarrow.decimal128(38, 18))
        | dict.fromkeys(LISTS, pyarrow.list_(pyarrow.string()))
    )
    return pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in PARQUET_COLUMNS])


def _groups(portions: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """Rows for a row group each, bounded in number and text."""
    group: list[Row] = []
    chars = 0
    for rows in portions:
        for row in rows:
            group.append(row)
            chars += _chars(row)
            if len(group) >= ROWS_PER_GROUP or chars >= PORTION_CHARS:
                yield group
                group, chars = [], 0
    if group:
        yield group


def _record(row: Row) -> Row:
    record = {name: None if row[name] == "" else row[name] for name in PARQUET_COLUMNS}
    for name in IDS:
        record[name] = row[name].hex() if row[name] is not None else None
    for name in MONEY:
        record[name] = row[name].quantize(MONEY_PLACES, rounding=ROUND_HALF_EVEN) if row[name] is not None else None
    return record

"""What the search index holds of a span, and what it is asked.

A span has one row of words: those of its texts, and marks for those of its fields that lists are filtered by, so that
one look-up finds rare values among millions of spans. Each word begins with the number of its project, which keeps
tenants apart within the index. Only a sign of where to look: whoever asks compares the spans themselves.

Spans are indexed some seconds after they are stored. Until then their keys wait in `telemetry_fresh`, and a search
reads those spans too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.telemetry.search_words import MOST_CHARS, Search, texts_in, words_of

MOST_FRESH = 5_000
"""So many spans that wait for the index are looked through in one search, the newest."""

MOST_FRESH_ROWS = 2_000
AT_ONCE = 500
LARGEST_SIZE = 40
"""Sizes of lengths and costs are powers of two up to this one."""

MARKS = {
    "environment": "e", "feature": "f", "model": "m", "provider": "p", "user_id": "u", "session_id": "n", "kind": "k",
    "tool_name": "t", "agent_name": "a", "error_type": "x", "prompt_name": "q",
}  # fmt: skip
"""Fields that lists are filtered by, and how their marks begin."""


class SpanKey(NamedTuple):
    """The key of a stored span."""

    project_id: int
    trace_id: bytes
    span_id: bytes
    started_at: datetime


# OFFSET 0 keeps each look-up a look-up: any other plan would read whole partitions.
READ = f"""
SELECT wanted.p, wanted.t, wanted.s, wanted.at, span.*, payload.*, logs.*
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[]) AS wanted (p, t, s, at)
CROSS JOIN LATERAL (
  SELECT {", ".join(MARKS)}, prompt_version, status, tags, latency_ms, cost_usd, name, error_message
  FROM telemetry_span AS held WHERE held.project_id = wanted.p AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.started_at = wanted.at OFFSET 0
) AS span
LEFT JOIN LATERAL (
  SELECT left(input, {MOST_CHARS}), input_is_json, left(output, {MOST_CHARS}), output_is_json,
    left(documents, {MOST_CHARS})
  FROM telemetry_payload AS held WHERE held.project_id = wanted.p AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.started_at = wanted.at OFFSET 0
) AS payload ON true
LEFT JOIN LATERAL (
  SELECT array_agg(left(body, {MOST_CHARS})), array_agg(left(attributes, {MOST_CHARS}))
  FROM telemetry_logpart AS held WHERE held.project_id = wanted.p AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.at >= wanted.at - interval '1 day' AND held.at < wanted.at + interval '1 day'
) AS logs ON true
"""  # noqa: S608 -- names of our own columns and our own limits

WAITING = """
SELECT key.trace_id, key.span_id, key.started_at FROM (
  SELECT trace_ids, span_ids, started_ats, id FROM telemetry_fresh WHERE project_id = %s ORDER BY id DESC LIMIT %s
) AS fresh CROSS JOIN unnest(trace_ids, span_ids, started_ats) AS key (trace_id, span_id, started_at)
WHERE key.started_at >= %s AND key.started_at < %s LIMIT %s
"""


def read_words(cursor: CursorWrapper, keys: Sequence[SpanKey]) -> Iterator[tuple[SpanKey, set[str], list[str]]]:
    """The words and the marks of those of the spans that are stored."""
    for first in range(0, len(keys), AT_ONCE):
        cursor.execute(READ, [list(column) for column in zip(*keys[first : first + AT_ONCE], strict=True)])
        for project_id, trace_id, span_id, started_at, *row in cursor.fetchall():
            key = SpanKey(project_id, bytes(trace_id), bytes(span_id), started_at)
            yield key, words_of(_texts(row)), list(_marks(row))


def _texts(row: Sequence[Any]) -> Iterator[str]:
    """Every text of a row of READ in which words are looked for."""
    fields = dict(zip(MARKS, row, strict=False))
    *_, name, error_message = row[: len(MARKS) + 7]
    yield from (name, error_message, fields["tool_name"], fields["agent_name"], fields["error_type"])
    input_, input_is_json, output, output_is_json, documents, bodies, attributes = row[len(MARKS) + 7 :]
    yield from texts_in(input_, is_json=bool(input_is_json))
    yield from texts_in(output, is_json=bool(output_is_json))
    yield from texts_in(documents, is_json=True)
    for text in chain(bodies or (), attributes or ()):
        yield from texts_in(text, is_json=True)


def _marks(row: Sequence[Any]) -> Iterator[str]:
    fields = dict(zip(MARKS, row, strict=False))
    version, status, tags, latency_ms, cost_usd = row[len(MARKS) : len(MARKS) + 5]
    yield from (mark_of(name, value) for name, value in fields.items() if value)
    if fields["prompt_name"] and version:
        yield version_mark(fields["prompt_name"], version)
    if status == "error":
        yield mark_of("status", status)
    yield from (mark_of("tag", tag) for tag in tags)
    if latency_ms is not None:
        yield f"l{_size(latency_ms)}"
    if cost_usd is not None:
        yield f"c{_size(_micro_dollars(cost_usd))}"


def mark_of(field: str, value: str) -> str:
    """The mark of a field's value."""
    return f"{MARKS.get(field, field)}={value}"


def version_mark(name: str, version: str) -> str:
    """The mark of one version of a prompt."""
    return f"v={name}@{version}"


def length_marks(least: int | None, most: int | None) -> list[str]:
    """The marks that spans of such lengths have, one of them each; lengths are milliseconds."""
    return [f"l{size}" for size in _sizes(least, most)]


def cost_marks(least: Decimal | None) -> list[str]:
    """The marks that spans have which cost so much or more, one of them each."""
    return [f"c{size}" for size in _sizes(None if least is None else _micro_dollars(least), None)]


def _micro_dollars(cost: Decimal) -> int:
    return int(cost.scaleb(6))


def _size(number: int) -> int:
    return min(number.bit_length(), LARGEST_SIZE)


def _sizes(least: int | None, most: int | None) -> range:
    last = LARGEST_SIZE if most is None else _size(most)
    return range(0 if least is None else _size(least), last + 1)


# --- How far back -------------------------------------------------------------------------------------------


INDEXED_SINCE = """
SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - (payload_days - 1) * interval '1 day'
FROM telemetry_retentionsettings WHERE project_id = %s AND payload_days IS NOT NULL
"""


def indexed_since(project_id: int) -> datetime:
    """Since when the index holds the project's spans: its rows are deleted with the texts that they are made of."""
    with connection.cursor() as cursor:
        cursor.execute(INDEXED_SINCE, [project_id])
        row = cursor.fetchone()
    return row[0] if row else datetime.min.replace(tzinfo=UTC)


# --- As PostgreSQL has it -----------------------------------------------------------------------------------


def vector(project_id: int, words: Iterable[str], marks: Iterable[str]) -> str:
    """The row's words as the text of a tsvector."""
    return " ".join(chain((_word(project_id, word) for word in words), (_mark(project_id, mark) for mark in marks)))


def question(project_id: int, search: Search | None, marks: Iterable[Sequence[str]] = ()) -> str:
    """The text of a tsquery: the whole search, and one mark of each group."""
    parts = []
    if search is not None:
        parts += [_word(project_id, word) for word in search.words]
        parts += [f"{_word(project_id, beginning)}:*" for beginning in search.beginnings]
    parts += [f"({' | '.join(_mark(project_id, mark) for mark in group)})" for group in marks]
    return " & ".join(parts)


def _word(project_id: int, word: str) -> str:
    return f"'{project_id:x} {_quoted(word)}'"


def _mark(project_id: int, mark: str) -> str:
    return f"'{project_id:x}:{_quoted(mark)}'"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


# --- Spans that are not indexed yet -------------------------------------------------------------------------


def waiting_spans(project_id: int, *, start: datetime, end: datetime) -> list[SpanKey]:
    """The spans that started in [start, end) and wait to be indexed, at most MOST_FRESH of them."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [project_id, MOST_FRESH_ROWS, start, end, MOST_FRESH])
        return list(
            dict.fromkeys(SpanKey(project_id, bytes(trace), bytes(span), at) for trace, span, at in cursor.fetchall())
        )


def those_with(search: Search, keys: Sequence[SpanKey]) -> list[SpanKey]:
    """Those of the spans in which the search occurs."""
    with connection.cursor() as cursor:
        return [key for key, words, _marks in read_words(cursor, keys) if search.is_in(words)]

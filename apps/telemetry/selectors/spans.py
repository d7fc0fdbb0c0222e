"""Spans as they are shown: narrow rows by the hundred, and a few with their payloads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS

LONGEST_TRACE = timedelta(days=1)
"""How far from the time in its link a trace's spans are looked for."""

Place = tuple[datetime, bytes, bytes]
"""Where a span is: its start, its trace and its id."""

# OFFSET 0 keeps each look-up a look-up: any other plan would read whole partitions.
ROWS = f"""
SELECT {", ".join(f"span.{name}" for name in SPAN_COLUMNS)}
FROM unnest(%s::timestamptz[], %s::bytea[], %s::bytea[]) WITH ORDINALITY AS wanted (at, t, s, place)
CROSS JOIN LATERAL (
  SELECT * FROM telemetry_span AS held WHERE held.project_id = %s AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.started_at = wanted.at OFFSET 0
) AS span ORDER BY wanted.place
"""  # noqa: S608 -- names of our own columns

WITH_PAYLOADS = f"""
SELECT {", ".join(f"span.{name}" for name in SPAN_COLUMNS)}, {", ".join(f"payload.{name}" for name in PAYLOAD_COLUMNS)}
FROM unnest(%s::timestamptz[], %s::bytea[], %s::bytea[]) WITH ORDINALITY AS wanted (at, t, s, place)
CROSS JOIN LATERAL (
  SELECT * FROM telemetry_span AS held WHERE held.project_id = %s AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.started_at = wanted.at OFFSET 0
) AS span LEFT JOIN LATERAL (
  SELECT * FROM telemetry_payload AS held WHERE held.project_id = span.project_id AND held.trace_id = wanted.t
    AND held.span_id = wanted.s AND held.started_at = wanted.at OFFSET 0
) AS payload ON true ORDER BY wanted.place
"""  # noqa: S608


@dataclass(slots=True)
class SpanView:
    """One span, its ids in hexadecimal, and how deep it lies in the tree; with its payload where that was read.

    `has_log_content` says that input and output came apart from the span, as log records.
    """

    values: dict[str, Any]
    input: Any = None
    output: Any = None
    documents: list[dict[str, Any]] | Any = None
    attributes: dict[str, Any] | Any = None
    depth: int = 0
    has_log_content: bool = False

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


def read_rows(project_id: int, places: Sequence[Place]) -> list[SpanView]:
    """These spans in this order, without their payloads."""
    return [_view(row) for row in _fetch(ROWS, project_id, places)]


def read_spans(project_id: int, places: Sequence[Place]) -> list[SpanView]:
    """These spans in this order, with their payloads."""
    return [_view(row) for row in _fetch(WITH_PAYLOADS, project_id, places)]


def _fetch(query: str, project_id: int, places: Sequence[Place]) -> list[tuple[Any, ...]]:
    if not places:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, [*(list(column) for column in zip(*places, strict=True)), project_id])
        return list(cursor.fetchall())


def _view(row: Sequence[Any]) -> SpanView:
    values = dict(zip(SPAN_COLUMNS, row, strict=False))
    for name in ("trace_id", "span_id", "parent_span_id"):
        values[name] = bytes(values[name]).hex() if values[name] is not None else None
    view = SpanView(values=values, documents=[], attributes={})
    if len(row) > len(SPAN_COLUMNS):
        payload = dict(zip(PAYLOAD_COLUMNS, row[len(SPAN_COLUMNS) :], strict=True))
        view.input = _content(payload["input"], payload["input_is_json"])
        view.output = _content(payload["output"], payload["output_is_json"])
        view.documents = json.loads(payload["documents"]) if payload["documents"] else []
        view.attributes = json.loads(payload["attributes"]) if payload["attributes"] else {}
    return view


def _content(text: str | None, is_json: bool | None) -> Any:
    """What the client sent: text, or the value behind it. JSON that was cut for its length stays text."""
    if text is None or not is_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text

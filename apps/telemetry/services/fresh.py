"""The queue of spans that were stored or changed and are yet to be looked through (see `digesting`).

One row for each project of a transaction, however many spans it stored: one more row costs next to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from apps.telemetry.services.literals import bytes_array, times_array

Key = tuple[int, bytes, bytes, datetime]
"""Project, trace, span and the start it is stored under."""

COLUMNS = "project_id, at, trace_ids, span_ids, started_ats"
ROW = "(%s::bigint, %s::timestamptz, %s::text::bytea[], %s::text::bytea[], %s::text::timestamptz[])"


def rows_of(keys: Iterable[Key], *, now: datetime) -> list[list[Any]]:
    """The rows of the queue for these spans, one for each project."""
    projects: defaultdict[int, list[tuple[bytes, bytes, datetime]]] = defaultdict(list)
    for project_id, trace_id, span_id, started_at in keys:
        projects[project_id].append((trace_id, span_id, started_at))
    return [_row(project_id, now, *zip(*spans, strict=True)) for project_id, spans in projects.items()]


def _row(
    project_id: int, now: datetime, traces: Sequence[bytes], spans: Sequence[bytes], starts: Sequence[datetime]
) -> list[Any]:
    return [project_id, now, bytes_array(traces), bytes_array(spans), times_array(starts)]


def append_fresh(cursor: CursorWrapper, keys: Iterable[Key], *, now: datetime) -> None:
    """Put these spans into the queue, in the transaction that stores or changes them."""
    rows = rows_of(keys, now=now)
    if rows:
        values = ", ".join([ROW] * len(rows))
        cursor.execute(
            f"INSERT INTO telemetry_fresh ({COLUMNS}) VALUES {values}",  # noqa: S608 -- nothing but our own words
            [value for row in rows for value in row],
        )

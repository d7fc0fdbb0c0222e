"""Reading figures: exact at every moment, and quick because almost everything comes from cost records.

Why a read is exact while calls arrive and records are rewritten. One statement sees the database as it is at
one moment. At every moment, an hour without a dirty mark has a record that counts just the spans that are
there: a span is stored in the transaction that marks its hour, and a mark is removed only in a transaction that
wrote the record after it had seen the mark. So one statement reads the records of clean hours, the spans of all
others, and the list of marks. To look only into the partitions that matter, the hours to read from spans must
be known before; they are asked for first, and when the statement meets a mark on an hour that was not among
them, it is asked again with that hour added.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg.pq import Format

from apps.core.clock import ceil_hour, floor_hour
from apps.core.errors import DomainError
from apps.telemetry.coverage import Stretch
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval, Piece
from apps.telemetry.selectors.statement import HAS_SPANS, MARKS, compose

MAX_ROWS = 10_000
PIECES_PER_ROW = 3  # from day rows, hour rows and spans

DIRTY_HOURS = f"""
SELECT DISTINCT hour FROM telemetry_dirtyhour WHERE project_id = %s AND hour >= %s AND hour < %s AND {HAS_SPANS}
"""  # noqa: S608 -- a condition of our own


class TooManyRows(DomainError):
    """The intervals and groups of a request make more rows than anybody can look at."""

    code, http_status = "too_many_points", 422
    message = "This asks for more than {most} points. Ask for a shorter range, a longer interval or fewer groups."


def read_figures(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    group_by: tuple[Dimension, ...] = (),
    interval: Interval = Interval.NONE,
    filters: Filters | None = None,
    timezone: tzinfo = UTC,
    has_lengths: bool = True,
) -> FigureTable:
    """The figures of the project's calls from `start` up to, not including, `end`, in two queries.

    Raises RangeError for an impossible range and TooManyRows for more than MAX_ROWS rows.
    """
    request = FigureRequest(start, end, group_by, interval, filters or Filters(), timezone, has_lengths)
    return read_tables(project_id, [request])[0]


def read_tables(project_id: int, requests: Sequence[FigureRequest]) -> list[FigureTable]:
    """Answer all requests as of the same moment, in two queries (more only while hours become dirty meanwhile).

    Raises TooManyRows when one of them has more than MAX_ROWS rows.
    """
    start = floor_hour(min(request.start for request in requests))
    wide = Stretch(start, ceil_hour(max(request.end for request in requests)))
    dirty = _dirty_hours(project_id, wide)
    while True:
        pieces, found = _read(project_id, requests, wide, dirty)
        if found <= dirty:
            tables = [FigureTable.of_pieces(*pair) for pair in zip(requests, pieces, strict=True)]
            if any(len(table.cells) > MAX_ROWS for table in tables):
                raise TooManyRows(most=MAX_ROWS)
            return tables
        # Each turn adds an hour of the range, so this ends.
        dirty |= found


def _dirty_hours(project_id: int, wide: Stretch) -> set[datetime]:
    with connection.cursor() as cursor:
        cursor.execute(DIRTY_HOURS, [project_id, *wide])
        return {hour for (hour,) in cursor.fetchall()}


def _read(
    project_id: int, requests: Sequence[FigureRequest], wide: Stretch, dirty: set[datetime]
) -> tuple[list[list[Piece]], set[datetime]]:
    """Each request's pieces when the dirty hours are read from spans, and the hours that are dirty by then."""
    pieces: list[list[Piece]] = [[] for _ in requests]
    found = set()
    most = PIECES_PER_ROW * MAX_ROWS * len(requests)
    with _binary_cursor() as cursor:
        cursor.execute(compose(project_id, requests, wide, dirty, limit=most + 1))
        rows = cursor.fetchall()
        if len(rows) > most:
            raise TooManyRows(most=MAX_ROWS)
        for number, bucket, first, second, *numbers, cost, latency, ttft in rows:
            if number == MARKS:
                found.add(datetime.fromtimestamp(bucket, UTC))
            else:
                group = (first, second)[: len(requests[number].group_by)]
                pieces[number].append(Piece(bucket, group, numbers, cost, latency, ttft))
    return pieces, found


def _binary_cursor() -> CursorWrapper:
    """Histograms are bytes, which travel at half the size and need no parsing in PostgreSQL's binary format.

    Django's own cursors cannot ask for it. The connection must be open.
    """
    raw: Any = psycopg.Cursor(connection.connection)
    raw.format = Format.BINARY
    return connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)

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
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from django.db import connection

from apps.core.clock import ceil_hour, floor_hour
from apps.telemetry.coverage import Stretch
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval, Piece
from apps.telemetry.selectors.statement import MARKS, compose

DIRTY_HOURS = """
SELECT DISTINCT hour FROM telemetry_dirtyhour WHERE project_id = %s AND hour >= %s AND hour < %s
"""


def read_figures(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    group_by: tuple[Dimension, ...] = (),
    interval: Interval = Interval.NONE,
    filters: Filters | None = None,
    timezone: tzinfo = UTC,
) -> FigureTable:
    """The figures of the project's calls from `start` up to, not including, `end`, in two queries.

    Raises RangeError for an impossible range.
    """
    request = FigureRequest(start, end, group_by, interval, filters or Filters(), timezone)
    return read_tables(project_id, [request])[0]


@dataclass(frozen=True, slots=True)
class OverviewFigures:
    """What the Overview shows. `total`, `series` and `groups` of the tables are the rows to print."""

    series: FigureTable
    before: FigureTable
    features: FigureTable
    features_before: FigureTable
    models: FigureTable
    models_before: FigureTable
    today: FigureTable
    month: FigureTable


def read_overview_figures(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    interval: Interval,
    filters: Filters | None = None,
    timezone: tzinfo = UTC,
) -> OverviewFigures:
    """The range cut into intervals, by feature and by model; the last two and the total also for the equally long
    range before it; and the calls of this day and of this month until `now`, in the project's time zone. Two queries.
    """
    chosen, earlier = filters or Filters(), start - (end - start)
    midnight = now.astimezone(timezone).replace(hour=0, minute=0, second=0, microsecond=0)

    def ask(
        since: datetime, until: datetime, *group_by: Dimension, interval: Interval = Interval.NONE
    ) -> FigureRequest:
        return FigureRequest(since, until, group_by, interval, chosen, timezone)

    return OverviewFigures(
        *read_tables(
            project_id,
            [
                ask(start, end, interval=interval),
                ask(earlier, start),
                ask(start, end, Dimension.FEATURE),
                ask(earlier, start, Dimension.FEATURE),
                ask(start, end, Dimension.MODEL),
                ask(earlier, start, Dimension.MODEL),
                ask(midnight, now),
                ask(midnight.replace(day=1), now),
            ],
        )
    )


def read_tables(project_id: int, requests: Sequence[FigureRequest]) -> list[FigureTable]:
    """Answer all requests as of the same moment, in two queries (more only while hours become dirty meanwhile)."""
    start = floor_hour(min(request.start for request in requests))
    wide = Stretch(start, ceil_hour(max(request.end for request in requests)))
    dirty = _dirty_hours(project_id, wide)
    while True:
        pieces, found = _read(project_id, requests, wide, dirty)
        if found <= dirty:
            return [FigureTable.of_pieces(*pair) for pair in zip(requests, pieces, strict=True)]
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
    with connection.cursor() as cursor:
        cursor.execute(compose(project_id, requests, wide, dirty))
        for number, bucket, first, second, *numbers, cost, latency, ttft in cursor.fetchall():
            if number == MARKS:
                found.add(datetime.fromtimestamp(bucket, UTC))
            else:
                group = (first, second)[: len(requests[number].group_by)]
                pieces[number].append(Piece(bucket, group, numbers, cost, latency, ttft))
    return pieces, found

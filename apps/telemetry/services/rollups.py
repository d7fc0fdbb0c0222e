"""Cost records: written from the spans, hour by hour and day by day, whenever the spans of an hour changed.

Intake appends a mark to `telemetry_dirtyhour` in the transaction that stores or changes spans of that hour. Here
marks are taken, the records of their hours and days are written anew, and exactly the taken marks are deleted, all
in one transaction for each portion of a project's hours.

Why no call is missed or counted twice, at READ COMMITTED:

1. The transaction takes the project's lock first, in a statement of its own. Whoever holds it is alone, and sees
   what earlier holders committed, since every later statement takes its snapshot after the lock was granted.
2. Then it reads the marks, and then the spans. A mark that is seen was committed, and its spans with it, so the
   later snapshot has them. Spans committed between the two are counted too; their marks were not seen, so they
   stay, and the hour is written once more. Writing an hour again has the same result.
3. A reader sees the new records and the marks gone at one moment, the commit. Until then it sees the marks, and
   reads those hours from the spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from apps.core.histogram import LogHistogram
from apps.telemetry.coverage import HOUR, Stretch, union
from apps.telemetry.figures import COUNTS
from apps.telemetry.selectors.counting import (
    ALL,
    DAY_SLICED,
    DIMENSIONS,
    HOUR_SLICED,
    LATENCY_BUCKET,
    RECORD_COUNTS,
    SPAN_COUNTS,
    SPAN_DIMENSIONS,
    TTFT_BUCKET,
    calls_within,
    entry_of,
    within,
)

HOURS_PER_PORTION = 48
STRETCHES_AT_ONCE = 4
"""How many days, or runs of hours, are held in memory while their histograms are merged."""

LOCK_KEY = 0x50575255  # with the project's number, it names one roll-up of one project in the installation

SETTINGS = """
SET LOCAL statement_timeout = '200s';
-- The planner knows nothing about the sizes of intermediate results and would join them row by row.
SET LOCAL enable_nestloop = off;
SET LOCAL work_mem = '64MB'
"""

PROJECTS = "SELECT project_id FROM telemetry_dirtyhour GROUP BY project_id ORDER BY min(id)"
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s, hashint8(%s))"
LOCK = "SELECT pg_advisory_xact_lock(%s, hashint8(%s))"
# Days in the order of their oldest mark, so that no day is written again for each of its hours.
TAKE_MARKS = """
SELECT hour, array_agg(id) FROM telemetry_dirtyhour WHERE project_id = %s GROUP BY hour
ORDER BY min(min(id)) OVER (PARTITION BY date_trunc('day', hour, 'UTC')), hour LIMIT %s
"""
# What was deleted for its age is in the records alone, which stand as they are.
FLOOR = "SELECT spans_since FROM telemetry_retentionsettings WHERE project_id = %s"
DROP_MARKS = "DELETE FROM telemetry_dirtyhour WHERE id = ANY(%s)"
MARK_ALL = """
INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
SELECT %(project)s, hour, %(now)s FROM (
  SELECT date_bin('1 hour', started_at, '2000-01-01T00:00Z') AS hour FROM telemetry_span
  WHERE project_id = %(project)s
    AND started_at >= %(first)s::timestamp AT TIME ZONE 'UTC' AND started_at < %(end)s::timestamp AT TIME ZONE 'UTC'
  UNION
  SELECT hour FROM telemetry_costhour
  WHERE project_id = %(project)s
    AND hour >= %(first)s::timestamp AT TIME ZONE 'UTC' AND hour < %(end)s::timestamp AT TIME ZONE 'UTC'
  UNION
  SELECT hour FROM telemetry_costhourslice
  WHERE project_id = %(project)s
    AND hour >= %(first)s::timestamp AT TIME ZONE 'UTC' AND hour < %(end)s::timestamp AT TIME ZONE 'UTC'
  UNION
  SELECT day::timestamp AT TIME ZONE 'UTC' FROM telemetry_costday
  WHERE project_id = %(project)s AND day >= %(first)s AND day < %(end)s
  UNION
  SELECT day::timestamp AT TIME ZONE 'UTC' FROM telemetry_costdayslice
  WHERE project_id = %(project)s AND day >= %(first)s AND day < %(end)s
) AS hours
"""

Row = tuple[Any, ...]


def _listed(*columns: str) -> sql.SQL:
    return sql.SQL(", ".join(columns))


def _named(expressions: Mapping[str, str]) -> sql.SQL:
    return _listed(*(f"{what} AS {name}" for name, what in expressions.items()))


FIGURES = (*COUNTS, "cost_usd", "latency_histogram", "ttft_histogram")
HOUR_COLUMNS = ("project_id", "hour", *DIMENSIONS, *FIGURES)

# Grouping by the latency's bucket first gives the sums and the histogram in one pass over the spans.
WRITE_HOURS = """
INSERT INTO telemetry_costhour ({columns})
WITH call AS MATERIALIZED (
  SELECT date_bin('1 hour', started_at, '2000-01-01T00:00Z') AS hour, {dimensions}, status, cost_usd, {tokens},
    {latency_bucket} AS latency_bucket, {ttft_bucket} AS ttft_bucket
  FROM ({calls}) AS calls
), by_latency AS (
  SELECT hour, {key}, latency_bucket, {span_counts}, sum(cost_usd) AS cost_usd
  FROM call GROUP BY hour, {key}, latency_bucket
), by_ttft AS (
  SELECT hour, {key}, ttft_bucket, count(*) AS calls
  FROM call WHERE ttft_bucket IS NOT NULL GROUP BY hour, {key}, ttft_bucket
), summed AS (
  SELECT hour, {key}, {record_counts}, coalesce(sum(cost_usd), 0) AS cost_usd,
    coalesce(string_agg({latency_entry}, ''::bytea ORDER BY latency_bucket), '') AS latency
  FROM by_latency GROUP BY hour, {key}
), ttft AS (
  SELECT hour, {key}, string_agg({ttft_entry}, ''::bytea ORDER BY ttft_bucket) AS ttft
  FROM by_ttft GROUP BY hour, {key}
)
SELECT {project}, hour, {key}, {counts}, cost_usd, latency, coalesce(ttft, '')
FROM summed LEFT JOIN ttft USING (hour, {key})
ORDER BY hour, {key}
"""

# One reading of the hour rows gives rows of several kinds. `left_out` has a bit for each dimension that a row does not
# tell apart; the last dimension's is 1.
READ_HOURS = """
SELECT {period}, GROUPING({sliced}) AS left_out, environment, {sliced}, {record_counts}, sum(cost_usd),
  string_agg(latency_histogram, ''::bytea), string_agg(ttft_histogram, ''::bytea)
FROM telemetry_costhour WHERE project_id = {project} AND {within}
GROUP BY GROUPING SETS ({sets})
ORDER BY 1, 2, environment, {sliced}
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """Records that are made by adding up hour rows: slices by single dimensions, and full rows if there is a table."""

    period: str
    """The SQL of the time that they are kept by."""
    column: str
    dimensions: tuple[str, ...]
    slice_table: str
    full_table: str | None = None

    def sets(self) -> list[str]:
        """The groupings, with the period as column 1."""
        full = [f"(1, environment, {', '.join(self.dimensions)})"] if self.full_table else []
        return [*full, "(1, environment)", *(f"(1, environment, {name})" for name in self.dimensions)]

    def dimension_of(self, left_out: int) -> str | None:
        """The dimension that a row is a slice by; None for a full row."""
        everything = 2 ** len(self.dimensions) - 1
        slices = {everything - 2**place: name for place, name in enumerate(reversed(self.dimensions))}
        return {0: None, everything: ALL, **slices}[left_out]


HOUR_SLICES = Summary("hour", "hour", HOUR_SLICED, "telemetry_costhourslice")
DAYS = Summary("(hour AT TIME ZONE 'UTC')::date", "day", DAY_SLICED, "telemetry_costdayslice", "telemetry_costday")


class RollUpFailed(ExceptionGroup[Exception]):
    """The records of some projects could not be written; their hours stay dirty and the others are done."""


@dataclass(frozen=True, slots=True)
class RollUp:
    """What a call did: how many hours were written anew, and whether hours were left for the next call."""

    hours: int
    is_unfinished: bool


def roll_up(*, max_portions: int = 20) -> RollUp:
    """Write the records of dirty hours anew, the longest dirty first, in at most so many transactions.

    Projects take turns, and one that somebody else is rolling up is left to them. Running it again, or twice at
    once, changes nothing. Raises RollUpFailed at the end when some projects failed.
    """
    waiting, hours = _dirty_projects(), 0
    errors: list[Exception] = []
    for _ in range(max_portions):
        if not waiting:
            break
        project_id = waiting.pop(0)
        try:
            written = roll_up_portion(project_id)
        except Exception as error:
            errors.append(error)
            continue
        hours += written
        if written == HOURS_PER_PORTION:
            waiting.append(project_id)
    if errors:
        raise RollUpFailed("some projects could not be rolled up", errors)
    return RollUp(hours, bool(waiting))


def roll_up_portion(project_id: int, *, wait: bool = False) -> int:
    """Write up to HOURS_PER_PORTION of the project's dirty hours anew; returns how many were dirty.

    Hours whose spans were deleted for their age are not written: their records are all that is left of them.

    While somebody else is rolling up the project, it returns 0 at once, or waits for them first.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SETTINGS)
        cursor.execute(LOCK if wait else TRY_LOCK, [LOCK_KEY, project_id])
        if not (wait or cursor.fetchone()[0]):
            return 0
        cursor.execute(TAKE_MARKS, [project_id, HOURS_PER_PORTION])
        marks = cursor.fetchall()
        floor = _floor(cursor, project_id)
        hours = sorted(at for hour, _ in marks if (at := hour.astimezone(UTC)) >= floor)
        if hours:
            days = sorted({hour.date() for hour in hours})
            stretches = union(Stretch(hour, hour + HOUR) for hour in hours)
            _write_hours(cursor, project_id, hours, stretches)
            _write_summary(cursor, HOUR_SLICES, project_id, hours, stretches)
            _write_summary(cursor, DAYS, project_id, days, [_whole_day(day) for day in days])
        if marks:
            cursor.execute(DROP_MARKS, [[mark for _, ids in marks for mark in ids]])
    return len(marks)


def _floor(cursor: CursorWrapper, project_id: int) -> datetime:
    """The first moment from which on the project's spans are all there; records of earlier hours are not written."""
    cursor.execute(FLOOR, [project_id])
    row = cursor.fetchone()
    return row[0] if row and row[0] is not None else datetime.min.replace(tzinfo=UTC)


def rebuild(project_id: int, *, first: date, last: date, now: datetime) -> int:
    """Write every record of these UTC days, both included, anew from the spans; returns how many hours that were.

    Hours that have records but no spans lose their records, so do not begin before the spans that are kept. It is
    safe while calls arrive and roll-ups run; those may take part of the work.
    """
    values: dict[str, int | datetime | date] = {
        "project": project_id,
        "first": first,
        "end": last + timedelta(days=1),
        "now": now,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SETTINGS)
        cursor.execute(MARK_ALL, values)
        marked: int = cursor.rowcount
    while roll_up_portion(project_id, wait=True):
        pass
    return marked


def _dirty_projects() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(PROJECTS)
        return [project_id for (project_id,) in cursor.fetchall()]


def _write_hours(
    cursor: CursorWrapper, project_id: int, hours: Sequence[datetime], stretches: Sequence[Stretch]
) -> None:
    _drop(cursor, "telemetry_costhour", "hour", project_id, hours)
    cursor.execute(
        sql.SQL(WRITE_HOURS).format(
            columns=_listed(*HOUR_COLUMNS),
            dimensions=_named(SPAN_DIMENSIONS),
            tokens=_listed(*(name for name in COUNTS if name.endswith("_tokens"))),
            latency_bucket=sql.SQL(LATENCY_BUCKET),
            ttft_bucket=sql.SQL(TTFT_BUCKET),
            calls=calls_within(project_id, stretches),
            key=_listed(*DIMENSIONS),
            span_counts=_named(SPAN_COUNTS),
            record_counts=_named(RECORD_COUNTS),
            latency_entry=sql.SQL(entry_of("latency_bucket", "calls")),
            ttft_entry=sql.SQL(entry_of("ttft_bucket", "calls")),
            project=sql.Literal(project_id),
            counts=_listed(*COUNTS),
        )
    )


def _write_summary(
    cursor: CursorWrapper, summary: Summary, project_id: int, periods: Sequence[date], stretches: Sequence[Stretch]
) -> None:
    """Write the summary of these hours or days anew from the hour rows; the stretches cover the same time."""
    for table in filter(None, (summary.slice_table, summary.full_table)):
        _drop(cursor, table, summary.column, project_id, periods)
    for start in range(0, len(stretches), STRETCHES_AT_ONCE):
        cursor.execute(
            sql.SQL(READ_HOURS).format(
                period=sql.SQL(summary.period),
                sliced=_listed(*summary.dimensions),
                record_counts=_listed(*RECORD_COUNTS.values()),
                project=sql.Literal(project_id),
                within=within("hour", stretches[start : start + STRETCHES_AT_ONCE]),
                sets=_listed(*summary.sets()),
            )
        )
        _store(cursor, summary, project_id, _with_merged_histograms(cursor.fetchall()))


def _store(cursor: CursorWrapper, summary: Summary, project_id: int, rows: Sequence[Row]) -> None:
    full, slices = [], []
    for period, left_out, environment, *rest in rows:
        dimension, values = summary.dimension_of(left_out), rest[: len(summary.dimensions)]
        figures = rest[len(summary.dimensions) :]
        if dimension is None:
            full.append((project_id, period, environment, *values, *figures))
        else:
            value = "" if dimension == ALL else values[summary.dimensions.index(dimension)]
            slices.append((project_id, period, environment, dimension, value, *figures))
    columns = ("project_id", summary.column, "environment")
    _copy(cursor, summary.slice_table, (*columns, "dimension", "value", *FIGURES), slices)
    if summary.full_table:
        _copy(cursor, summary.full_table, (*columns, *summary.dimensions, *FIGURES), full)


def _whole_day(day: date) -> Stretch:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Stretch(start, start + timedelta(days=1))


def _with_merged_histograms(rows: Sequence[Row]) -> list[Row]:
    """The rows with their last two columns, histograms strung together, made one histogram each."""
    numbers = range(len(rows))
    merged = [LogHistogram.of_packed(numbers, [row[column] for row in rows], len(rows)).pack() for column in (-2, -1)]
    return [(*row[:-2], latency, ttft) for row, latency, ttft in zip(rows, *merged, strict=True)]


def _drop(cursor: CursorWrapper, table: str, column: str, project_id: int, periods: Sequence[date]) -> None:
    statement = sql.SQL("DELETE FROM {} WHERE project_id = {} AND {} = ANY({})")
    cursor.execute(
        statement.format(
            sql.Identifier(table), sql.Literal(project_id), sql.Identifier(column), sql.Literal(list(periods))
        )
    )


def _copy(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _listed(*columns))) as copy:
        for row in rows:
            copy.write_row(row)

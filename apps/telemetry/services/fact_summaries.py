"""What facts add up to by the hour, the quarter of a day and the day, written whenever they changed.

Whoever writes facts appends a mark for their hour in the same transaction (`services.trace_facts`). Here marks are
taken, the summaries of their stretches are written anew, and exactly the taken marks are deleted, in one transaction
for each portion. Writing an hour marks the quarter and the day around it; those are written once they are over, so that
the present day is not added up again and again. It is the way of the cost records (`services.rollups`, where it says
why nothing is missed): the lock first, then the marks, then the facts, each in a statement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.telemetry.coverage import HOUR, Stretch
from apps.telemetry.fact_coverage import LENGTHS, floor_stretch
from apps.telemetry.selectors.fact_cells import binary_cursor, cells_of
from apps.telemetry.tallies import Subject, packed_all

STRETCHES_PER_PORTION = 48
LOCK_KEY = 0x50574653  # with the project's number, one writer of summaries of a project at a time

PROJECTS = "SELECT DISTINCT project_id FROM telemetry_factmark ORDER BY 1"
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s, hashint8(%s))"
TAKE_MARKS = """
SELECT hours, start, array_agg(id) FROM telemetry_factmark
WHERE project_id = %s AND (hours = 1 OR start + hours * interval '1 hour' <= %s)
GROUP BY hours, start ORDER BY hours, min(id) LIMIT %s
"""
DROP_MARKS = "DELETE FROM telemetry_factmark WHERE id = ANY (%s)"
MARK = """
INSERT INTO telemetry_factmark (project_id, hours, start)
SELECT %(project)s, * FROM unnest(%(hours)s::smallint[], %(starts)s::timestamptz[]) AS longer (length, at)
WHERE NOT EXISTS (
  SELECT 1 FROM telemetry_factmark WHERE project_id = %(project)s AND start = longer.at AND hours = longer.length
)
"""
DROP = "DELETE FROM telemetry_factsummary WHERE project_id = %s AND subject = ANY (%s) AND hours = %s AND start = %s"
COPY = """
COPY telemetry_factsummary
  (project_id, subject, hours, start, slice, environment, feature, name, counts, cost_usd, histograms) FROM STDIN
"""


def summarise(*, now: datetime, max_portions: int = 20) -> int:
    """Write the summaries of changed stretches, hours first; returns how many stretches were written.

    Projects take turns; one that somebody else is writing is left to them. Running it again changes nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(PROJECTS)
        waiting = [project_id for (project_id,) in cursor.fetchall()]
    stretches = 0
    for _ in range(max_portions):
        if not waiting:
            break
        project_id = waiting.pop(0)
        written = summarise_portion(project_id, now=now)
        stretches += written
        if written:  # its hours may have marked longer stretches
            waiting.append(project_id)
    return stretches


def summarise_portion(project_id: int, *, now: datetime) -> int:
    """Write some of the project's changed stretches; returns how many, 0 also while somebody else does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '200s'")
        cursor.execute(TRY_LOCK, [LOCK_KEY, project_id])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(TAKE_MARKS, [project_id, now, STRETCHES_PER_PORTION])
        marks = cursor.fetchall()
        for hours, start, _ids in marks:
            _write(cursor, project_id, hours, start)
        cursor.execute(DROP_MARKS, [[mark for _hours, _start, ids in marks for mark in ids]])
        # After the others are gone, or a longer stretch that was written with its hours would not be marked.
        _mark_longer(cursor, project_id, [start for hours, start, _ids in marks if hours == 1])
    return len(marks)


def _mark_longer(cursor: CursorWrapper, project_id: int, starts: Iterable[datetime]) -> None:
    """Mark the quarters and days around these hours."""
    around = sorted({(hours, floor_stretch(start, hours)) for start in starts for hours in LENGTHS if hours > 1})
    if around:
        hours, at = map(list, zip(*around, strict=True))
        cursor.execute(MARK, {"project": project_id, "hours": hours, "starts": at})


def _write(cursor: CursorWrapper, project_id: int, hours: int, start: datetime) -> None:
    cursor.execute(DROP, [project_id, [subject.value for subject in Subject], hours, start])
    for subject in Subject:
        with binary_cursor() as reader:
            reader.execute(cells_of(project_id, subject, Stretch(start, start + hours * HOUR), has_full=hours > 1))
            rows = reader.fetchall()
        with cursor.copy(COPY) as copy:
            for slice_, environment, feature, name, counts, cost, _none, raw in rows:
                names = (slice_, environment, feature, name)
                copy.write_row(
                    (project_id, subject.value, hours, start, *names, counts, cost, packed_all(subject, raw))
                )

"""Looking through what was stored: the search index, and facts that need a trace as a whole.

Intake appends what it stored or changed to `telemetry_fresh`, in its own transaction. Here rows of the queue are taken,
every step is told which spans they name, and the rows are deleted in the same transaction. Each step works from what is
stored, so doing it twice, or in any order, gives the same. A row whose steps fail is tried again a few times and then
stays where the intake's health shows it.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.telemetry.services import review_rules, scores, searching, trace_facts
from apps.telemetry.services.fresh import Key

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 8
MAX_ATTEMPTS = 5
MAX_SECONDS = 20.0

Step = Callable[[CursorWrapper, int, Sequence[Key], datetime], None]
"""Told a cursor within the transaction, the project, the spans and the time."""

TAKE = """
SELECT id, project_id, trace_ids, span_ids, started_ats FROM telemetry_fresh
WHERE attempts < %s AND (attempts = 0 OR at <= %s - attempts * attempts * interval '1 minute')
ORDER BY attempts, id LIMIT %s FOR UPDATE SKIP LOCKED
"""
DROP = "DELETE FROM telemetry_fresh WHERE id = ANY (%s)"
FAILED = "UPDATE telemetry_fresh SET attempts = attempts + 1 WHERE id = ANY (%s)"


def _index(cursor: CursorWrapper, _project_id: int, keys: Sequence[Key], _now: datetime) -> None:
    searching.index(cursor, keys)


def _refresh_facts(cursor: CursorWrapper, project_id: int, keys: Sequence[Key], now: datetime) -> None:
    trace_facts.refresh(cursor, project_id, sorted({key[1] for key in keys}), now=now)


STEPS: tuple[Step, ...] = (_index, _refresh_facts, scores.refresh, review_rules.queue_spans)


def digest(*, now: datetime, max_seconds: float = MAX_SECONDS) -> int:
    """Look through what is waiting until nothing is, or the time is over; returns how many rows of the queue."""
    until = time.monotonic() + max_seconds
    done, size = 0, ROWS_AT_ONCE
    while time.monotonic() < until:
        taken = _take(size, now)
        if taken is None:
            # Rows are taken one by one from here on, so that one that fails does not keep its neighbors.
            size = 1
        elif taken == 0:
            break
        else:
            done += taken
    return done


def _take(size: int, now: datetime) -> int | None:
    """Take up to so many rows; how many that were, or None when a step failed and nothing was done."""
    ids: list[int] = []
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TAKE, [MAX_ATTEMPTS, now, size])
            projects: defaultdict[int, set[Key]] = defaultdict(set)
            for row_id, project_id, trace_ids, span_ids, starts in cursor.fetchall():
                ids.append(row_id)
                for trace_id, span_id, start in zip(trace_ids, span_ids, starts, strict=True):
                    projects[project_id].add((project_id, bytes(trace_id), bytes(span_id), start))
            for project_id, keys in sorted(projects.items()):
                for step in STEPS:
                    step(cursor, project_id, sorted(keys), now)
            cursor.execute(DROP, [ids])
    except Exception:
        if not ids:
            raise  # the database itself is at fault, not a row
        log.exception("looking through stored spans failed")
        if len(ids) == 1:
            with connection.cursor() as cursor:
                cursor.execute(FAILED, [ids])
        return None
    return len(ids)

"""Deleting what is older than its project keeps it.

A day of spans that no project keeps any more is dropped with its partition, which takes no time however many rows it
has. Where another project still keeps the day, the rows are deleted in portions. Both are done by a task that can stop
anywhere and is run again; what is due follows from the settings and the calendar alone.

Cost records live longer than the spans they were made of, so a record must not be written anew from what is left.
Before the first span of a day is deleted, the project's hours that are still dirty are rolled up, and `spans_since` is
moved behind the day under the roll-up's own lock: from then on marks on earlier hours are dropped without effect.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg import sql

from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects import services as projects
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry.models import RetentionSettings
from apps.telemetry.selectors.lifecycle import Ages, ages_of, all_ages
from apps.telemetry.selectors.retention import (
    PARTITIONED,
    PLAIN,
    Held,
    Partition,
    holding,
    is_empty,
    list_partitions,
)
from apps.telemetry.services import rollups
from apps.telemetry.services.partitions import forget_known

ROWS_PER_PORTION = 5_000
MAX_SECONDS = 200.0
LOCK_TIMEOUT = "200ms"
"""How long writers may have to wait behind a partition that is to be dropped."""
DROP_ATTEMPTS = 10
PAUSE_SECONDS = 0.2

DELETE_PORTION = """
DELETE FROM {table}
WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE project_id = {project} AND {due} LIMIT {most}))
"""
FORGET_CONTENT = """
UPDATE telemetry_reviewitem SET input = NULL, output = NULL
WHERE id = ANY (ARRAY(
  SELECT id FROM telemetry_reviewitem
  WHERE project_id = %s AND coalesce(started_at, flagged_at) < %s AND (input IS NOT NULL OR output IS NOT NULL) LIMIT %s
))
"""
HAS_MARKS = "SELECT EXISTS (SELECT 1 FROM telemetry_dirtyhour WHERE project_id = %s AND hour < %s)"
MOVE_FLOOR = """
INSERT INTO telemetry_retentionsettings (project_id, spans_since, changed_at) VALUES (%s, %s, %s)
ON CONFLICT (project_id) DO UPDATE
SET spans_since = greatest(telemetry_retentionsettings.spans_since, excluded.spans_since)
"""


class NotConfirmed(Conflict):
    """A shorter age deletes what is there."""

    code = "not_confirmed"
    message = "This deletes what is older. Look at what it is and confirm it."


@dataclass(frozen=True)
class Deletion:
    """What one step deleted: a partition as a whole (`rows` is None), or rows of a project."""

    table: str
    day: date | None
    project_id: int | None
    rows: int | None


@dataclass
class Report:
    """What a run did; `is_unfinished` says that time ran out or a lock could not be had, and the next run goes on."""

    deletions: list[Deletion] = field(default_factory=list)
    is_unfinished: bool = False


class _OutOfTime(Exception):
    """The run has used up its time."""


def change_ages(*, project: Project, ages: Ages, is_confirmed: bool, actor: Actor, now: datetime) -> Ages:
    """Set for how long the project keeps what. The next run of the task acts on it.

    Raises Invalid for ages that are out of range or in the wrong order, and NotConfirmed when one of them becomes
    shorter and `is_confirmed` is not set.
    """
    _require_order(ages)
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        held, _ = RetentionSettings.objects.select_for_update().get_or_create(pk=project.pk)
        before = ages_of(project, held)
        if ages == before:
            return ages
        if ages.shorter_than(before) and not is_confirmed:
            raise NotConfirmed()
        if ages.span_days != project.retention_days:
            projects.change_project(
                project=project,
                name=project.name,
                timezone=project.timezone,
                retention_days=ages.span_days,
                actor=actor,
                now=now,
            )
        for name in ("payload_days", "cost_days", "score_days", "account_days"):
            setattr(held, name, getattr(ages, name))
        held.changed_at = now
        held.save()
        names = [name for name in Ages.__dataclass_fields__ if getattr(ages, name) != getattr(before, name)]
        audit.record(
            actor=actor,
            action="telemetry.retention_changed",
            project=project,
            target=project,
            at=now,
            details={"changes": [f"{name}: {getattr(before, name)} → {getattr(ages, name)}" for name in names]},
        )
    return ages


def _require_order(ages: Ages) -> None:
    problems: dict[str, Any] = {}
    for name in Ages.__dataclass_fields__:
        if not 1 <= getattr(ages, name) <= Project.MAX_RETENTION_DAYS:
            problems[name] = [f"Choose from 1 to {Project.MAX_RETENTION_DAYS} days."]
    if ages.payload_days > ages.span_days:
        problems.setdefault("payload_days", []).append(
            "Contents belong to spans: keep them no longer than the spans, or keep the spans longer."
        )
    if ages.cost_days < ages.span_days:
        problems.setdefault("cost_days", []).append(
            "Cost records are made of spans: keep them at least as long as the spans, or the spans less long."
        )
    if problems:
        raise Invalid(**problems)


def run(*, now: datetime, max_seconds: float = MAX_SECONDS) -> Report:
    """Delete what is due in all projects, until nothing is or the time is over."""
    report, until = Report(), time.monotonic() + max_seconds
    ages = all_ages()
    try:
        for held in PARTITIONED:
            _delete_days(held, ages, report, until, now)
        for project_id, own in ages.items():
            for held in PLAIN:
                _delete_plain(held, project_id, own, report, until, now)
            _forget_review_content(project_id, own, report, until, now)
    except _OutOfTime:
        report.is_unfinished = True
    return report


def _delete_days(held: Held, ages: Mapping[int, Ages], report: Report, until: float, now: datetime) -> None:
    """One table that is cut into days."""
    keeps = {project_id: own.first_day(held.age, now=now) for project_id, own in ages.items()}
    newest = max(keeps.values(), default=now.date())
    due = [part for part in list_partitions(held.table) if part.day < newest]
    for project_id, first in keeps.items():
        mine = holding([part for part in due if part.day < first], project_id)
        if mine and held.moves_floor:
            move_floor(project_id, before=first, now=now)
        for part in mine:
            if any(part.day >= other for other in keeps.values()):
                _delete_rows(part, project_id, report, until)
    for part in due:
        _require_time(until)
        is_kept = any(part.day >= first for first in keeps.values())
        if is_kept and not _was_touched(part, report):
            continue
        if not drop(part, only_empty=is_kept):
            report.is_unfinished = report.is_unfinished or not is_kept
            continue
        report.deletions.append(Deletion(part.table, part.day, None, None))


def _was_touched(part: Partition, report: Report) -> bool:
    """Whether rows of the partition were deleted in this run, and none are left."""
    touched = any(done.table == part.table and done.day == part.day for done in report.deletions)
    return touched and is_empty(part)


def _delete_rows(part: Partition, project_id: int, report: Report, until: float) -> None:
    statement = sql.SQL(DELETE_PORTION).format(
        table=sql.Identifier(part.name),
        project=sql.Literal(project_id),
        due=sql.SQL("true"),
        most=sql.Literal(ROWS_PER_PORTION),
    )
    for rows in _portions(statement, until):
        report.deletions.append(Deletion(part.table, part.day, project_id, rows))


def _delete_plain(held: Held, project_id: int, own: Ages, report: Report, until: float, now: datetime) -> None:
    """One table that is not: rows of the project that are older than the first day kept."""
    first = own.first_day(held.age, now=now)
    due = sql.SQL("{} < {}").format(
        sql.Identifier(held.column), sql.Literal(first if held.is_by_day else _midnight(first))
    )
    if held.keeps_newest:
        # The deleted project's rows are found by the account, so a project never loses the last line of it.
        due = sql.SQL("{} AND id <> (SELECT max(id) FROM {} WHERE project_id = {})").format(
            due, sql.Identifier(held.table), sql.Literal(project_id)
        )
    statement = sql.SQL(DELETE_PORTION).format(
        table=sql.Identifier(held.table),
        project=sql.Literal(project_id),
        due=due,
        most=sql.Literal(ROWS_PER_PORTION),
    )
    for rows in _portions(statement, until):
        report.deletions.append(Deletion(held.table, None, project_id, rows))


def _forget_review_content(project_id: int, own: Ages, report: Report, until: float, now: datetime) -> None:
    """A flagged output stays in the queue as long as its span does, its copy of the content as long as payloads do."""
    first = _midnight(own.first_day("payload_days", now=now))
    while True:
        _require_time(until)
        with connection.cursor() as cursor:
            cursor.execute(FORGET_CONTENT, [project_id, first, ROWS_PER_PORTION])
            if cursor.rowcount < ROWS_PER_PORTION:
                return


def _portions(statement: sql.Composed, until: float) -> Iterator[int]:
    """Run the statement until it finds less than a portion, each time in a transaction of its own; rows by portion."""
    while True:
        _require_time(until)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = int(cursor.rowcount)
        if rows:
            yield rows
        if rows < ROWS_PER_PORTION:
            return


def _require_time(until: float) -> None:
    if time.monotonic() >= until:
        raise _OutOfTime


def move_floor(project_id: int, *, before: date, now: datetime) -> None:
    """Let the cost records of days before this one stand as they are from now on, whatever becomes of the spans."""
    floor = _midnight(before)
    while True:
        while rollups.roll_up_portion(project_id, wait=True):
            pass
        with transaction.atomic(), connection.cursor() as cursor:
            # Whoever rolls up holds this lock, and reads the floor after it got it.
            cursor.execute(rollups.LOCK, [rollups.LOCK_KEY, project_id])
            cursor.execute(HAS_MARKS, [project_id, floor])
            if cursor.fetchone()[0]:
                continue
            cursor.execute(MOVE_FLOOR, [project_id, floor, now])
            return


def drop(part: Partition, *, only_empty: bool = False) -> bool:
    """Drop the partition; False when its lock cannot be had for a moment without holding up writers for long, or when
    `only_empty` is set and it has rows. Raises nothing for a partition that is gone."""
    for attempt in range(DROP_ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                # Writers lock the table and then its partition, so this does too.
                cursor.execute(
                    sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(part.table))
                )
                if only_empty and not is_empty(part):
                    return False
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(part.name)))
        except OperationalError:
            continue
        forget_known()
        return True
    return False


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

"""What there is of which age, and how much of it is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import OperationalError, connection, transaction
from psycopg import sql

from apps.telemetry.selectors.lifecycle import Ages

PARTS_AT_ONCE = 100
COUNT_TIMEOUT = "10s"


@dataclass(frozen=True)
class Held:
    """A table with telemetry: the age that it is kept for, and the column that says how old a row is."""

    table: str
    column: str
    age: str
    is_by_day: bool = False
    keeps_newest: bool = False
    moves_floor: bool = False


PARTITIONED = (
    # Contents first: whoever stops half-way has deleted what matters most.
    Held("telemetry_payload", "started_at", "payload_days"),
    Held("telemetry_logpart", "at", "payload_days"),
    Held("telemetry_search", "started_at", "payload_days"),
    Held("telemetry_span", "started_at", "span_days", moves_floor=True),
)
PLAIN = (
    Held("telemetry_skewed", "stored_at", "span_days"),
    Held("telemetry_retrieval", "started_at", "span_days"),
    Held("telemetry_agenttask", "started_at", "span_days"),
    Held("telemetry_toolrun", "started_at", "span_days"),
    Held("telemetry_factsummary", "start", "span_days"),
    Held("telemetry_reviewitem", "flagged_at", "span_days"),
    Held("telemetry_tracenote", "at", "span_days"),
    Held("telemetry_score", "at", "score_days"),
    Held("telemetry_costhour", "hour", "cost_days"),
    Held("telemetry_costhourslice", "hour", "cost_days"),
    Held("telemetry_costday", "day", "cost_days", is_by_day=True),
    Held("telemetry_costdayslice", "day", "cost_days", is_by_day=True),
    Held("telemetry_intakerefusal", "hour", "account_days"),
    Held("telemetry_intakehour", "hour", "account_days"),
    Held("telemetry_intakerejection", "at", "account_days"),
    Held("telemetry_intakebatch", "at", "account_days", keeps_newest=True),
)
SHORT_LIVED = (
    "telemetry_opentrace",
    "telemetry_fresh",
    "telemetry_factmark",
    "telemetry_dirtyhour",
    "telemetry_reviewrule",
    "telemetry_reviewlabel",
    "telemetry_maskingsettings",
    "telemetry_retentionsettings",
)
"""Tables without an age: lists of what is yet to be done, and settings."""


@dataclass(frozen=True)
class Partition:
    """One UTC day of one table."""

    table: str
    day: date
    name: str


@dataclass(frozen=True)
class Due:
    """What of one table is older than it is kept, in one project. `rows` is None when counting took too long; `size` is
    an estimate in bytes."""

    table: str
    age: str
    rows: int | None
    first_at: datetime | None
    last_at: datetime | None
    size: int | None


def list_partitions(table: str) -> list[Partition]:
    """The table's partitions, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", [table]
        )
        names = [name for (name,) in cursor.fetchall()]
    return [Partition(table, datetime.strptime(name[-8:], "%Y%m%d").date(), name) for name in names]  # noqa: DTZ007


def holding(parts: Sequence[Partition], project_id: int) -> list[Partition]:
    """Those of the partitions that have a row of the project."""
    found: set[str] = set()
    for first in range(0, len(parts), PARTS_AT_ONCE):
        probes = (
            sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {} WHERE project_id = {})").format(
                sql.Literal(part.name), sql.Identifier(part.name), sql.Literal(project_id)
            )
            for part in parts[first : first + PARTS_AT_ONCE]
        )
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(" UNION ALL ").join(probes))
            found |= {name for (name,) in cursor.fetchall()}
    return [part for part in parts if part.name in found]


def is_empty(part: Partition) -> bool:
    """True when the partition has no row."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT NOT EXISTS (SELECT 1 FROM {})").format(sql.Identifier(part.name)))
        return bool(cursor.fetchone()[0])


def what_is_due(project_id: int, ages: Ages, *, now: datetime) -> list[Due]:
    """What the project would lose if these were its ages, table by table; tables that lose nothing are left out."""
    return [due for held in (*PARTITIONED, *PLAIN) if (due := _due(held, project_id, ages, now)) is not None]


def _due(held: Held, project_id: int, ages: Ages, now: datetime) -> Due | None:
    first = ages.first_day(held.age, now=now)
    before: date = first if held.is_by_day else datetime(first.year, first.month, first.day, tzinfo=UTC)
    query = sql.SQL(
        "SELECT tableoid::regclass::text, count(*), min({column})::timestamptz, max({column})::timestamptz"
        " FROM {table} WHERE project_id = {project} AND {column} < {before} GROUP BY 1"
    ).format(
        column=sql.Identifier(held.column),
        table=sql.Identifier(held.table),
        project=sql.Literal(project_id),
        before=sql.Literal(before),
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{COUNT_TIMEOUT}'")
            cursor.execute(query)
            parts = cursor.fetchall()
            size = sum(_size(name, rows) for name, rows, _first, _last in parts)
    except OperationalError:
        return Due(held.table, held.age, None, None, None, None)
    rows = sum(part[1] for part in parts)
    if not rows:
        return None
    return Due(held.table, held.age, rows, min(part[2] for part in parts), max(part[3] for part in parts), size)


def _size(table: str, rows: int) -> int:
    """About how many bytes so many rows of the table take, with their share of its indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size(%s::regclass), reltuples FROM pg_class WHERE oid = %s::regclass",
            [table, table],
        )
        size, all_rows = cursor.fetchone()
    share = min(1.0, rows / max(float(all_rows), rows, 1.0))
    return round(int(size) * share)

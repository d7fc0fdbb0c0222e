"""Day partitions of the span tables: made ahead by a schedule, and on demand for whatever arrives."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from psycopg import sql

TABLES = ("telemetry_span", "telemetry_payload", "telemetry_logpart", "telemetry_search")
"""Every table that is cut into days; one that is added here gets its missing partitions by itself."""

DAYS_AHEAD = 7
_LOCK_KEY = 0x50575F50  # one maker of partitions at a time, in the whole installation

_known: set[date] = set()
_guard = threading.Lock()


def partition_name(table: str, day: date) -> str:
    """The name of the table's partition for the UTC day."""
    return f"{table}_{day:%Y%m%d}"


def ensure_partitions(days: Iterable[date]) -> None:
    """Make the partitions of these UTC days that are missing, in a transaction of their own.

    Call it before the transaction that writes. Days seen before cost nothing; `forget_known` makes it look again.
    """
    missing = sorted(set(days) - _known)
    if not missing:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY (%s::regclass[])", [list(TABLES)]
        )
        present = {name for (name,) in cursor.fetchall()}
        for day in missing:
            for table in TABLES:
                if partition_name(table, day) not in present:
                    _make(cursor, table, day)
    with _guard:
        _known.update(missing)


def _make(cursor: object, table: str, day: date) -> None:
    """One partition, built apart and then attached, so that readers and writers of other days are not held up."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    name, parent = sql.Identifier(partition_name(table, day)), sql.Identifier(table)
    execute = cursor.execute  # type: ignore[attr-defined]
    execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(name, parent))
    execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            parent, name, sql.Literal(start), sql.Literal(start + timedelta(days=1))
        )
    )


def forget_known() -> None:
    """Look into the database again before the next write (a partition may have been dropped meanwhile)."""
    with _guard:
        _known.clear()


def keep_ahead(*, now: datetime) -> None:
    """Make today's partitions and those of the coming week."""
    today = now.astimezone(UTC).date()
    ensure_partitions(today + timedelta(days=offset) for offset in range(DAYS_AHEAD + 1))

"""The few worst facts of a range: asked for day by day along an index, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from django.db import connection
from psycopg import sql

from apps.telemetry.selectors.fact_cells import FactScope


@dataclass(frozen=True)
class Ranking:
    """How a list of the worst is made. `by` orders it; rows without a condition of theirs are left out."""

    name: str
    condition: str
    by: str
    is_by_day: bool = True
    """False for lists of what happened last, whose index is by time."""


def read_worst(
    project_id: int, scope: FactScope, *, table: str, columns: Sequence[str], rankings: Sequence[Ranking], most: int
) -> dict[str, list[tuple[Any, ...]]]:
    """For each ranking the rows, worst first, as the columns; in one query."""
    parts = [_part(project_id, scope, table, columns, each, most) for each in rankings]
    found: dict[str, list[tuple[Any, ...]]] = {each.name: [] for each in rankings}
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(parts))
        for name, _place, *values in cursor.fetchall():
            found[name].append(tuple(values))
    return found


def _part(
    project_id: int, scope: FactScope, table: str, columns: Sequence[str], ranking: Ranking, most: int
) -> sql.Composable:
    """The rows of a ranking, worst first. The range is cut at its last 400 days at most by whoever asks."""
    rows = sql.SQL(
        "SELECT {columns} FROM {table} WHERE project_id = {project} AND {condition}{day}"
        " AND started_at >= {start} AND started_at < {end}{filters} ORDER BY {by} LIMIT {most}"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier(table),
        project=sql.Literal(project_id),
        condition=sql.SQL(ranking.condition),
        day=sql.SQL(" AND day = days.day" if ranking.is_by_day else ""),
        start=sql.Literal(scope.start),
        end=sql.Literal(scope.end),
        filters=scope.conditions(),
        by=sql.SQL(ranking.by),
        most=sql.Literal(most),
    )
    if ranking.is_by_day:
        rows = sql.SQL("SELECT worst.* FROM unnest({days}::date[]) AS days (day), LATERAL ({rows}) AS worst").format(
            days=sql.Literal(list(_days(scope))), rows=rows
        )
    return sql.SQL(
        "(SELECT {name}::text, row_number() OVER (ORDER BY {by}), worst.* FROM ({rows}) AS worst"
        " ORDER BY 2 LIMIT {most})"
    ).format(name=sql.Literal(ranking.name), by=sql.SQL(ranking.by), rows=rows, most=sql.Literal(most))


def _days(scope: FactScope) -> Iterator[date]:
    day = scope.start.astimezone(UTC).date()
    while day <= scope.end.astimezone(UTC).date():
        yield day
        day += timedelta(days=1)

"""Reads of retrievals: what they add up to, the worst of them, how old the indexes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps.telemetry.models import Retrieval
from apps.telemetry.selectors.fact_cells import FactScope, FactTable, read_facts
from apps.telemetry.selectors.worst_facts import Ranking, read_worst
from apps.telemetry.tallies import Subject

MOST_WORST = 5
MOST_INDEXES = 50

COLUMNS = (
    "trace_id", "span_id", "started_at", "environment", "feature", "name", "latency_ms", "chunks", "top_score",
    "utilisation", "utilisation_method",
)  # fmt: skip
EMPTY, LOW_SCORE, UNUSED, SLOW = "empty", "low_score", "unused", "slow"
RANKINGS = (
    Ranking(EMPTY, "chunks = 0 AND kind = 'retriever'", "started_at DESC", is_by_day=False),
    Ranking(LOW_SCORE, "top_score IS NOT NULL AND kind = 'retriever'", "top_score"),
    Ranking(UNUSED, "utilisation IS NOT NULL AND kind = 'retriever'", "utilisation"),
    Ranking(SLOW, "latency_ms IS NOT NULL AND kind = 'retriever'", "latency_ms DESC"),
)

# One look-up for each index, along telemetry_retrieval_age.
AGES = """
SELECT wanted.name, latest.started_at, latest.index_age_s FROM unnest(%s::text[]) AS wanted (name), LATERAL (
  SELECT started_at, index_age_s FROM telemetry_retrieval
  WHERE project_id = %s AND name = wanted.name AND index_age_s IS NOT NULL AND started_at < %s
  ORDER BY started_at DESC LIMIT 1
) AS latest
"""


@dataclass(frozen=True)
class WorstRetrieval:
    """One of the worst retrievals. `trace_id` and `span_id` are hexadecimal."""

    trace_id: str
    span_id: str
    started_at: datetime
    environment: str
    feature: str
    name: str
    latency_ms: int | None
    chunks: int | None
    top_score: float | None
    utilisation: float | None
    utilisation_method: str


@dataclass(frozen=True)
class IndexAge:
    """When an index was last updated, as its last retrieval that told it said, and when that was."""

    updated_at: datetime
    told_at: datetime


def read_retrievals(project_id: int, scope: FactScope) -> FactTable:
    """What the retrievals of the scope add up to, in two queries."""
    return read_facts(project_id, scope, Subject.RETRIEVAL)[0]


def worst_retrievals(project_id: int, scope: FactScope, *, most: int = MOST_WORST) -> dict[str, list[WorstRetrieval]]:
    """The last empty ones, those with the lowest score, those least used and the slowest, in one query."""
    found = read_worst(project_id, scope, table="telemetry_retrieval", columns=COLUMNS, rankings=RANKINGS, most=most)
    return {
        name: [WorstRetrieval(bytes(row[0]).hex(), bytes(row[1]).hex(), *row[2:]) for row in rows]
        for name, rows in found.items()
    }


def index_ages(project_id: int, names: Sequence[str], *, until: datetime) -> dict[str, IndexAge]:
    """How old these indexes are, as far as a client told it before `until`; of the first MOST_INDEXES names."""
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(AGES, [list(names[:MOST_INDEXES]), project_id, until])
        return {
            name: IndexAge(updated_at=at - timedelta(seconds=age), told_at=at) for name, at, age in cursor.fetchall()
        }


def seen(project_id: int, feature: str, since: datetime) -> bool:
    """Whether retrievals of the feature with a known number of documents arrived since then."""
    return Retrieval.objects.filter(
        project_id=project_id, feature=feature, started_at__gte=since, chunks__isnull=False
    ).exists()


def has_any(project_id: int) -> bool:
    """Whether the project has any retrieval."""
    return Retrieval.objects.filter(project_id=project_id).exists()

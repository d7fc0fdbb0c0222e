"""Deleting all telemetry of a project that is gone.

Nothing else names a deleted project, so its telemetry is found by the account of the intake: each stored request leaves
a row in `telemetry_intakebatch` in the transaction of its spans, and those rows are deleted last. What stops half-way,
or is stored by a request that was under way when the project was deleted, is therefore found by the next sweep.
"""

from __future__ import annotations

from django.db import connection, transaction
from psycopg import sql

from apps.projects.models import Project

PARTITIONED = ("telemetry_payload", "telemetry_span", "telemetry_logpart", "telemetry_search")
PLAIN = (
    "telemetry_skewed",
    "telemetry_opentrace",
    "telemetry_fresh",
    "telemetry_retrieval",
    "telemetry_agenttask",
    "telemetry_toolrun",
    "telemetry_factsummary",
    "telemetry_factmark",
    "telemetry_score",
    "telemetry_dirtyhour",
    "telemetry_costhour",
    "telemetry_costhourslice",
    "telemetry_costday",
    "telemetry_costdayslice",
    "telemetry_reviewitem",
    "telemetry_reviewrule",
    "telemetry_reviewlabel",
    "telemetry_tracenote",
    "telemetry_maskingsettings",
    "telemetry_retentionsettings",
    "telemetry_intakerefusal",
    "telemetry_intakehour",
    "telemetry_intakerejection",
    "telemetry_intakebatch",
)

PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1"

# Jumps from one project to the next along the index instead of reading every row.
KNOWN_PROJECTS = """
WITH RECURSIVE known (id) AS (
  SELECT min(project_id) FROM telemetry_intakebatch
  UNION ALL
  SELECT (SELECT min(project_id) FROM telemetry_intakebatch WHERE project_id > known.id) FROM known
  WHERE known.id IS NOT NULL
)
SELECT id FROM known WHERE id IS NOT NULL
"""


class ProjectStillExists(RuntimeError):
    """Telemetry is deleted as a whole only when its project is gone."""


def forget_project(project_id: int) -> int:
    """Delete all telemetry of a deleted project; returns how many rows. Safe to repeat, and to stop half-way.

    Raises ProjectStillExists while there is such a project.
    """
    if Project.objects.filter(pk=project_id).exists():
        raise ProjectStillExists(f"project {project_id} is still there")
    tables = [partition for table in PARTITIONED for partition in _partitions(table)]
    return sum(_delete(table, project_id) for table in [*tables, *PLAIN])


def forget_orphans() -> list[int]:
    """Delete the telemetry of every project that is gone; returns their numbers."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN_PROJECTS)
        known = {project_id for (project_id,) in cursor.fetchall()}
    orphans = sorted(known - set(Project.objects.filter(pk__in=known).values_list("pk", flat=True)))
    for project_id in orphans:
        forget_project(project_id)
    return orphans


def _partitions(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS, [table])
        return [name for (name,) in cursor.fetchall()]


def _delete(table: str, project_id: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '200s'")
        cursor.execute(sql.SQL("DELETE FROM {} WHERE project_id = %s").format(sql.Identifier(table)), [project_id])
        return int(cursor.rowcount)

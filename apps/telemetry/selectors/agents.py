"""Reads of agents' tasks and of tool runs: what they add up to, and the worst of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.telemetry.models import AgentTask, ToolRun
from apps.telemetry.selectors.fact_cells import FactScope, FactTable, read_facts
from apps.telemetry.selectors.worst_facts import Ranking, read_worst
from apps.telemetry.tallies import Subject

MOST_WORST = 5

COLUMNS = (
    "trace_id", "span_id", "started_at", "environment", "feature", "name", "error_type", "latency_ms", "outcome",
    "steps", "tool_runs", "tools", "loop", "cost_usd",
)  # fmt: skip
LOOPED, FAILED, LONGEST = "looped", "failed", "longest"
RANKINGS = (
    Ranking(LOOPED, "loop > ''", "started_at DESC", is_by_day=False),
    Ranking(FAILED, "outcome IN ('failure', 'timeout')", "started_at DESC", is_by_day=False),
    Ranking(LONGEST, "true", "steps DESC"),
)


@dataclass(frozen=True)
class WorstTask:
    """One of the worst tasks. `trace_id` and `span_id` are hexadecimal."""

    trace_id: str
    span_id: str
    started_at: datetime
    environment: str
    feature: str
    name: str
    error_type: str
    latency_ms: int | None
    outcome: str | None
    steps: int
    tool_runs: int
    tools: list[str]
    loop: str | None
    cost_usd: Decimal | None


@dataclass(frozen=True)
class AgentTables:
    """What tasks add up to, and what runs of tools do."""

    tasks: FactTable
    tools: FactTable


def read_agents(project_id: int, scope: FactScope) -> AgentTables:
    """What the tasks and tool runs of the scope add up to, in two queries."""
    return AgentTables(*read_facts(project_id, scope, Subject.TASK, Subject.TOOL))


def worst_tasks(project_id: int, scope: FactScope, *, most: int = MOST_WORST) -> dict[str, list[WorstTask]]:
    """The last looped ones, the last that did not succeed, and those with most steps, in one query."""
    found = read_worst(project_id, scope, table="telemetry_agenttask", columns=COLUMNS, rankings=RANKINGS, most=most)
    return {
        name: [WorstTask(bytes(row[0]).hex(), bytes(row[1]).hex(), *row[2:]) for row in rows]
        for name, rows in found.items()
    }


def seen(project_id: int, feature: str, since: datetime) -> bool:
    """Whether tasks of the feature with a known outcome ended since then."""
    return AgentTask.objects.filter(
        project_id=project_id, feature=feature, started_at__gte=since, outcome__isnull=False
    ).exists()


def has_any(project_id: int) -> bool:
    """Whether the project has any task or tool run."""
    return (
        AgentTask.objects.filter(project_id=project_id).exists()
        or ToolRun.objects.filter(project_id=project_id).exists()
    )

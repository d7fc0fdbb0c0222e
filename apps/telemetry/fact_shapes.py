"""Retrievals, tasks and tool runs as the API writes them. Unknown is null, never 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apps.core import money
from apps.telemetry.fact_figures import RetrievalFigures, TaskFigures, ToolFigures
from apps.telemetry.tallies import Tally

if TYPE_CHECKING:
    from apps.telemetry.selectors.agents import AgentTables, WorstTask
    from apps.telemetry.selectors.fact_cells import FactTable
    from apps.telemetry.selectors.retrievals import IndexAge, WorstRetrieval

RETRIEVAL = ("retrievals", "failures", "counted", "empty", "empty_rate", "failure_rate")
TASK = (
    "tasks", "success", "failure", "timeout", "success_rate", "failure_rate", "timeout_rate", "loops", "loop_rate",
    "tool_runs", "handoffs",
)  # fmt: skip
TOOL = ("runs", "failure", "timeout", "failure_rate", "timeout_rate")


def retrieval_figures(tally: Tally) -> dict[str, Any]:
    """What some retrievals add up to."""
    figures = RetrievalFigures(tally)
    return {
        **_named(figures, RETRIEVAL),
        "chunks_per_retrieval": figures.chunks,
        "top_score.p10": figures.score_p10,
        "top_score.p50": figures.score_p50,
        "top_score.p90": figures.score_p90,
        "latency_ms.p50": figures.latency_p50,
        "latency_ms.p99": figures.latency_p99,
        "rerankings": figures.rerankings,
        "mean_shift": figures.mean_shift,
        "replaced_of_top3": figures.replaced_of_top3,
        "utilisation": {method: {"retrievals": count, "mean": mean} for method, count, mean in figures.utilisations},
    }


def task_figures(tally: Tally) -> dict[str, Any]:
    """What some tasks add up to."""
    figures = TaskFigures(tally)
    return {
        **_named(figures, TASK),
        "steps.p50": figures.steps_p50,
        "steps.p99": figures.steps_p99,
        "tool_runs.p50": figures.tool_runs_p50,
        "tool_runs.p99": figures.tool_runs_p99,
        "latency_ms.p50": figures.latency_p50,
        "latency_ms.p99": figures.latency_p99,
        "cost_usd": money.as_json(figures.cost_usd),
        "cost_per_task_usd": money.as_json(figures.cost_per_task),
    }


def tool_figures(tally: Tally) -> dict[str, Any]:
    """What some runs of tools add up to."""
    figures = ToolFigures(tally)
    return {
        **_named(figures, TOOL),
        "latency_ms.p50": figures.latency_p50,
        "latency_ms.p99": figures.latency_p99,
    }


def _named(figures: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in names}


def retrieval_shape(
    table: FactTable, worst: Mapping[str, Sequence[WorstRetrieval]], ages: Mapping[str, IndexAge]
) -> dict[str, Any]:
    """The answer of `/api/v1/retrieval`."""
    return {
        **_range(table),
        "total": retrieval_figures(table.total),
        "before": retrieval_figures(table.before),
        "series": [
            {"at": at, **retrieval_figures(each)} for at, each in zip(table.scope.times, table.series, strict=True)
        ],
        "features": [
            {"feature": name, **retrieval_figures(each)} for name, each in _largest(table.by_feature, "retrievals")
        ],
        "indexes": [
            {"index": name, "updated_at": ages[name].updated_at if name in ages else None, **retrieval_figures(each)}
            for name, each in _largest(table.by_name, "retrievals")
        ],
        "worst": {name: [_worst(each) for each in rows] for name, rows in worst.items()},
    }


def agents_shape(tables: AgentTables, worst: Mapping[str, Sequence[WorstTask]]) -> dict[str, Any]:
    """The answer of `/api/v1/agents`."""
    tasks, tools = tables.tasks, tables.tools
    return {
        **_range(tasks),
        "total": task_figures(tasks.total),
        "before": task_figures(tasks.before),
        "series": [{"at": at, **task_figures(each)} for at, each in zip(tasks.scope.times, tasks.series, strict=True)],
        "agents": [{"agent": name, **task_figures(each)} for name, each in _largest(tasks.by_name, "tasks")],
        "features": [{"feature": name, **task_figures(each)} for name, each in _largest(tasks.by_feature, "tasks")],
        "tools": [{"tool": name, **tool_figures(each)} for name, each in _largest(tools.by_name, "runs")],
        "worst": {name: [_worst(each) for each in rows] for name, rows in worst.items()},
    }


def _range(table: FactTable) -> dict[str, datetime | str]:
    return {"from": table.scope.start, "to": table.scope.end, "interval": table.scope.interval.value}


def _largest(groups: Mapping[str, Tally], count: str) -> list[tuple[str, Tally]]:
    kept = [(name, tally) for name, tally in groups.items() if tally[count]]
    return sorted(kept, key=lambda pair: (-pair[1][count], pair[0]))


def _worst(fact: WorstRetrieval | WorstTask) -> dict[str, Any]:
    shape = dataclasses.asdict(fact)
    if "cost_usd" in shape:
        shape["cost_usd"] = money.as_json(shape["cost_usd"])
    return shape

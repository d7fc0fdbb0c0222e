"""What telemetry tells of one deployment: calls, latencies, costs and scores of its version in its environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.core.histogram import bucket_sql
from apps.promotions.guardrail_bounds import Spread
from apps.promotions.guardrail_judging import Side
from apps.prompts.models import Deployment

NOT_TRAFFIC = ["eval", "judge", "online_eval", "playground"]
"""Sources of calls that the product made itself; they say nothing of how users are served."""

CALLS = """
SELECT max(latency_ms), count(*), count(*) FILTER (WHERE status = 'error' OR finish_reason = 'error'),
  count(cost_usd), coalesce(sum(cost_usd), 0)::float8, coalesce(sum(cost_usd::float8 ^ 2), 0)
FROM telemetry_span
WHERE project_id = %(project)s AND counted AND started_at >= %(start)s AND started_at < %(end)s
  AND environment = %(environment)s AND prompt_name = ANY (%(names)s) AND prompt_version = %(version)s
  AND source <> ALL (%(not_traffic)s) {model}
GROUP BY {bucket} ORDER BY 1 NULLS FIRST
"""
SCORES = """
SELECT name, count(*), avg(value), coalesce(var_samp(value), 0) FROM telemetry_score
WHERE project_id = %(project)s AND name = ANY (%(scores)s) AND at >= %(start)s AND at < %(end)s AND value IS NOT NULL
  AND environment = %(environment)s AND prompt_version = ANY (%(marks)s)
  AND call_source <> ALL (%(not_traffic)s) {model}
GROUP BY name
"""
ON_MODEL = "AND (model = ANY (%(models)s) OR request_model = ANY (%(models)s) OR response_model = ANY (%(models)s))"
NOT_ON_MODEL = "AND model <> ALL (%(models)s) AND request_model <> ALL (%(models)s)"


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which calls of a version: those on one of these models, or those on none of them. Empty: all."""

    models: tuple[str, ...] = ()
    is_excluded: bool = False


def side_of(
    deployment: Deployment, *, start: datetime, end: datetime, scores: tuple[str, ...], on: ModelFilter = ModelFilter()
) -> Side:
    """The deployment's side within [start, end), but for calls that the product made itself.

    A latency is told by the longest of its bucket (`apps.core.histogram`), at most one percent more. Scores count by
    the time when they were given.
    """
    prompt = deployment.prompt
    names, version = [prompt.name, *prompt.former_names], str(deployment.version.number)
    values: dict[str, Any] = {
        "project": deployment.project_id,
        "start": start,
        "end": end,
        "environment": deployment.environment.slug,
        "names": names,
        "version": version,
        "marks": [f"{name}@{version}" for name in names],
        "not_traffic": NOT_TRAFFIC,
        "models": list(on.models),
        "scores": list(scores),
    }
    with connection.cursor() as cursor:
        cursor.execute(CALLS.format(model=_on(on, CALLS), bucket=bucket_sql("latency_ms")), values)
        rows = cursor.fetchall()
        found: list[tuple[str, int, float, float]] = []
        if scores:
            cursor.execute(SCORES.format(model=_on(on, SCORES)), values)
            found = cursor.fetchall()
    return Side(
        calls=sum(row[1] for row in rows),
        errors=sum(row[2] for row in rows),
        latencies=tuple((float(row[0]), row[1]) for row in rows if row[0] is not None),
        cost=_cost(rows),
        scores={name: Spread(count, float(mean), float(variance)) for name, count, mean, variance in found},
    )


def _on(on: ModelFilter, query: str) -> str:
    """The condition on the model; scores know one name of it, calls three."""
    if not on.models:
        return ""
    if query is SCORES:
        return f"AND {'NOT ' if on.is_excluded else ''}model = ANY (%(models)s)"
    return NOT_ON_MODEL if on.is_excluded else ON_MODEL


def _cost(rows: list[tuple[Any, ...]]) -> Spread:
    count = sum(row[3] for row in rows)
    if not count:
        return Spread()
    total, squares = sum(row[4] for row in rows), sum(row[5] for row in rows)
    mean = total / count
    variance = max(0.0, squares - count * mean * mean) / (count - 1) if count > 1 else 0.0
    return Spread(count, mean, variance)


def told_apart_by(one: Deployment, other: Deployment | None) -> ModelFilter:
    """How calls of `one` are told from those of `other`: by the version, and where that is the same by the model."""
    if other is None or one.version_id != other.version_id:
        return ModelFilter()
    own = _models_of(one)
    return ModelFilter(own) if own else ModelFilter(_models_of(other), is_excluded=True)


def _models_of(deployment: Deployment) -> tuple[str, ...]:
    """The names that calls may tell of the model: with its connection, and without."""
    name = deployment.model or deployment.version.content.get("model", "")
    return tuple(dict.fromkeys((name, name.partition("/")[2] or name))) if name else ()

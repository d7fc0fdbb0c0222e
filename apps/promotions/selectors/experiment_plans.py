"""What is known of a metric before an experiment: how much it varies from subject to subject, from recent telemetry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.promotions import planning
from apps.promotions.experiment_config import Metric, read_metric
from apps.promotions.models import Experiment
from apps.promotions.selectors.exposures import COLUMNS

OVER = timedelta(days=14)
FEWEST = 30
"""Subjects from which on a variance is believed."""

VALUES = {
    "error_rate": "avg((status = 'error')::int)",
    "cost_per_call": "avg(cost_usd)",
    "latency_ms": "avg(latency_ms)",
}
VARIANCE = "SELECT count(value), var_samp(value)::float8 FROM (SELECT {value} AS value {calls}) AS subject"
CALLS = """
FROM telemetry_span AS call {scores}
WHERE call.project_id = %(project)s AND call.{column} <> '' AND call.started_at >= %(since)s
  AND call.started_at < %(until)s AND call.kind = 'llm' AND call.counted AND call.environment = %(environment)s
  AND call.prompt_name = %(prompt)s AND call.source <> ALL (%(foreign)s) GROUP BY call.{column}
"""
SCORES = """
JOIN telemetry_score AS score ON score.project_id = call.project_id AND score.trace_id = call.trace_id
  AND score.name = %(score)s AND score.value IS NOT NULL
"""
FOREIGN = ["eval", "judge", "playground"]


def variance_of(experiment: Experiment, metric: Metric, *, now: datetime) -> float | None:
    """The variance of the metric over the subjects of the prompt in the environment, over the last 14 days.

    None with fewer than 30 subjects, or where they do not differ.
    """
    value = "avg(score.value)" if metric.is_score else VALUES[metric.name]
    calls = CALLS.replace("{scores}", SCORES if metric.is_score else "").replace("{column}", COLUMNS[experiment.unit])
    statement = VARIANCE.replace("{calls}", calls).replace("{value}", value)
    told: dict[str, Any] = {
        "project": experiment.project_id,
        "since": now - OVER,
        "until": now,
        "environment": experiment.environment.slug,
        "prompt": experiment.prompt.name,
        "foreign": FOREIGN,
        "score": metric.score_name,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        subjects, variance = cursor.fetchall()[0]
    return float(variance) if subjects >= FEWEST and variance else None


def planned_of(experiment: Experiment, weights: tuple[int, ...], *, now: datetime) -> int | None:
    """Subjects of all arms that find the smallest difference that matters; None where that cannot be worked out.

    `weights` begin with the control's.
    """
    if experiment.minimum_effect is None:
        return None
    variance = variance_of(experiment, read_metric(experiment.primary_metric), now=now)
    if variance is None:
        return None
    told = planning.plan(effect=experiment.minimum_effect, variance=variance, weights=weights, alpha=experiment.alpha)
    return None if told is None else min(told.sequential, 2**31 - 1)

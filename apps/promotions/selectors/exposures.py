"""Reads of what the subjects of an experiment got: from telemetry, and from what was counted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.promotions.experiment_config import SCORE, Metric
from apps.promotions.experiment_judging import ArmCount, Moments
from apps.promotions.models import Experiment
from apps.promotions.types import Unit
from apps.prompts.models import Split

OLDEST = timedelta(days=3)
"""How long after its start a call may arrive, and after it was given a score, and still be seen at once."""

COLUMNS = {Unit.USER.value: "user_id", Unit.SESSION.value: "session_id"}

# The calls that count: those of the prompt in the environment while the experiment ran.
CALLS = """
project_id = %(project)s AND {column} <> '' AND started_at >= %(start)s AND started_at < %(end)s AND kind = 'llm'
  AND counted AND environment = %(environment)s AND prompt_name = %(prompt)s AND source <> ALL (%(foreign)s)
"""

ARRIVED = """
SELECT received_at, {column} FROM telemetry_span
WHERE {calls} AND started_at >= %(oldest)s AND received_at > %(after)s AND received_at <= %(until)s
ORDER BY received_at LIMIT %(limit)s
"""

SCORED = """
SELECT score.received_at, call.{column} FROM (
  SELECT received_at, trace_id, session_id FROM telemetry_score
  WHERE project_id = %(project)s AND name = ANY (%(names)s) AND at >= %(oldest)s
    AND received_at > %(after)s AND received_at <= %(until)s
  ORDER BY received_at LIMIT %(limit)s
) AS score LEFT JOIN LATERAL (
  SELECT {column} FROM telemetry_span WHERE {calls} AND trace_id = score.trace_id
  UNION SELECT {column} FROM telemetry_span WHERE {calls} AND session_id = score.session_id AND session_id <> ''
) AS call ON true ORDER BY 1
"""

STARTED = """
SELECT started_at, {column} FROM telemetry_span WHERE {calls} AND started_at >= %(after)s AND started_at < %(until)s
ORDER BY started_at LIMIT %(limit)s
"""

OWN = """
SELECT {column} AS subject, width_bucket(started_at, %(bounds)s::timestamptz[]) AS piece, trace_id, span_id, session_id,
  started_at, status, cost_usd, latency_ms, prompt_version, provider, model, request_model
FROM telemetry_span WHERE {calls} AND {column} = ANY (%(subjects)s)
"""

SUMS = """
SELECT subject, piece, prompt_version, provider, model, request_model, count(*),
  count(*) FILTER (WHERE status = 'error'), coalesce(sum(cost_usd), 0), count(*) FILTER (WHERE cost_usd IS NULL),
  coalesce(sum(latency_ms), 0)::bigint, count(latency_ms), min(started_at), max(started_at)
FROM ({own}) AS own GROUP BY 1, 2, 3, 4, 5, 6
"""

# A score of another call of the trace is not this prompt's; one of the trace, of a step around it or of the session is.
SCORES = """
WITH own AS MATERIALIZED ({own}), said AS (
  SELECT own.subject, own.piece, score.score_id, score.name, score.value
  FROM own JOIN telemetry_score AS score ON score.project_id = %(project)s AND score.trace_id = own.trace_id
  WHERE score.name = ANY (%(names)s) AND score.value IS NOT NULL
    AND (score.span_id IS NULL OR score.span_id = own.span_id OR NOT EXISTS (
      SELECT 1 FROM telemetry_span AS other
      WHERE other.project_id = %(project)s AND other.trace_id = score.trace_id AND other.span_id = score.span_id
        AND other.kind = 'llm' AND other.counted
        AND other.started_at >= %(start)s - interval '1 day' AND other.started_at < %(end)s + interval '1 day'))
  UNION ALL
  SELECT own.subject, own.piece, score.score_id, score.name, score.value
  FROM own JOIN telemetry_score AS score
    ON score.project_id = %(project)s AND score.session_id = own.session_id AND score.session_id <> ''
  WHERE score.name = ANY (%(names)s) AND score.value IS NOT NULL AND own.session_id <> ''
)
SELECT subject, piece, name, sum(value), count(*)
FROM (SELECT DISTINCT ON (subject, score_id) * FROM said ORDER BY subject, score_id, piece) AS once
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class CallSums:
    """The calls of a subject in one piece of time, of one version on one model, added up."""

    subject: str
    piece: int
    prompt_version: str
    provider: str
    model: str
    request_model: str
    calls: int
    errors: int
    cost_usd: Decimal
    unpriced: int
    latency_ms: int
    timed: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The values of one score of a subject in one piece of time, added up."""

    subject: str
    piece: int
    name: str
    total: float
    count: int


def score_names(experiment: Experiment) -> list[str]:
    """The scores that its metrics are made of."""
    told = [experiment.primary_metric, *experiment.guardrails]
    return sorted({one["name"].removeprefix(SCORE) for one in told if str(one.get("name", "")).startswith(SCORE)})


def served_splits(experiment: Experiment) -> list[Split]:
    """The splits that were served for the experiment, oldest first, with their arms."""
    rows = Split.objects.filter(
        prompt_id=experiment.prompt_id, environment_id=experiment.environment_id, experiment=experiment.slug
    )
    return list(rows.filter(salt=experiment.salt).prefetch_related("arms").order_by("started_at", "pk"))


Place = tuple[datetime, str | None]
"""When something came, and whose it is; None for a score of something else."""


def arrived(experiment: Experiment, *, after: datetime, until: datetime, limit: int) -> list[Place]:
    """Subjects whose calls arrived in (after, until], oldest first; at most `limit` calls."""
    return _places(ARRIVED, experiment, until, {"after": after, "oldest": after - OLDEST, "limit": limit})


def scored(experiment: Experiment, *, after: datetime, until: datetime, limit: int) -> list[Place]:
    """Subjects whose calls were scored in (after, until], oldest first; of at most `limit` scores."""
    names = score_names(experiment)
    if not names:
        return []
    told = {"after": after, "oldest": after - OLDEST, "limit": limit, "names": names}
    return _places(SCORED, experiment, until, told)


def started(experiment: Experiment, *, since: datetime, until: datetime, limit: int) -> list[Place]:
    """Subjects whose calls began in [since, until), oldest first; at most `limit` calls."""
    return _places(STARTED, experiment, until, {"after": since, "limit": limit})


def call_sums(
    experiment: Experiment, subjects: Sequence[str], *, bounds: Sequence[datetime], now: datetime
) -> list[CallSums]:
    """What these subjects got so far; piece 1 begins at the first bound."""
    return [CallSums(*row) for row in _of_subjects(SUMS, experiment, subjects, bounds, now)]


def score_sums(
    experiment: Experiment, subjects: Sequence[str], *, bounds: Sequence[datetime], now: datetime
) -> list[ScoreSums]:
    """How these subjects' calls were scored so far; empty when no metric is a score."""
    if not score_names(experiment):
        return []
    return [ScoreSums(*row) for row in _of_subjects(SCORES, experiment, subjects, bounds, now)]


def _places(statement: str, experiment: Experiment, until: datetime, told: dict[str, Any]) -> list[Place]:
    values = _values(experiment, until) | {"until": until} | told
    with connection.cursor() as cursor:
        cursor.execute(_written(statement, experiment), values)
        return list(cursor.fetchall())


def _of_subjects(
    statement: str, experiment: Experiment, subjects: Sequence[str], bounds: Sequence[datetime], now: datetime
) -> list[tuple[Any, ...]]:
    values = _values(experiment, now) | {
        "subjects": list(subjects),
        "bounds": list(bounds),
        "names": score_names(experiment),
    }
    with connection.cursor() as cursor:
        cursor.execute(_written(statement, experiment), values)
        return list(cursor.fetchall())


def _written(statement: str, experiment: Experiment) -> str:
    column = COLUMNS[experiment.unit]
    return statement.replace("{own}", OWN).replace("{calls}", CALLS).replace("{column}", column)


def _values(experiment: Experiment, now: datetime) -> dict[str, Any]:
    # What other parts of the product ask of models on their own account is nobody's answer.
    foreign = ["eval", "judge", "playground"] if experiment.is_sample else ["eval", "judge", "playground", "sample"]
    ends = [moment for moment in (experiment.ended_at, now) if moment is not None]
    return {
        "project": experiment.project_id,
        "environment": experiment.environment.slug,
        "prompt": experiment.prompt.name,
        "start": experiment.started_at,
        "end": min(ends) if experiment.ended_at is not None else max(ends) + timedelta(hours=1),
        "foreign": foreign,
    }


# --- What was counted --------------------------------------------------------------------------------------------

VALUES = {
    "error_rate": "errors::float8 / nullif(calls, 0)",
    "cost_per_call": "(cost_usd / nullif(calls - unpriced, 0))::float8",
    "latency_ms": "latency_ms::float8 / nullif(timed, 0)",
}
SCORE_VALUE = "(scores -> %s ->> 0)::float8 / nullif((scores -> %s ->> 1)::float8, 0)"

MOMENTS = """
SELECT arm_id, count(value), coalesce(avg(value), 0), coalesce(var_samp(value), 0), min(value), max(value)
FROM (SELECT arm_id, {value} AS value FROM promotions_exposure WHERE experiment_id = %s AND calls > 0) AS subject
GROUP BY arm_id
"""

COUNTS = """
SELECT arm_id, count(*), sum(calls)::bigint, sum(stray_calls)::bigint, min(first_at), max(last_at)
FROM promotions_exposure WHERE experiment_id = %s AND calls > 0 GROUP BY arm_id
"""


def moments(experiment: Experiment, metric: Metric) -> dict[int, Moments]:
    """The metric's values over the subjects of each arm, by the arm's row; arms without any are left out."""
    names = [metric.score_name] * 2 if metric.is_score else []
    value = SCORE_VALUE if metric.is_score else VALUES[metric.name]
    with connection.cursor() as cursor:
        cursor.execute(MOMENTS.replace("{value}", value), [*names, experiment.pk])
        return {row[0]: Moments(*row[1:]) for row in cursor.fetchall() if row[1]}


RECENT = "SELECT count(*) FROM promotions_exposure WHERE experiment_id = %s AND first_at >= %s AND calls > 0"


def subjects_since(experiment: Experiment, since: datetime) -> int:
    """How many subjects had their first call since then."""
    with connection.cursor() as cursor:
        cursor.execute(RECENT, [experiment.pk, since])
        return int(cursor.fetchall()[0][0])


def arm_counts(experiment: Experiment) -> dict[int, ArmCount]:
    """Subjects and calls of each arm, by the arm's row; arms without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [experiment.pk])
        return {row[0]: ArmCount(*row[1:]) for row in cursor.fetchall()}

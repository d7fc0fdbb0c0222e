"""Reads of the Optimise page: 30 days of spend, kept comparisons of models, and the newest calls with their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.dashboards.cost_selectors import price_at
from apps.dashboards.optimising import (
    DAYS,
    Chunks,
    Compared,
    Kind,
    Month,
    Sampled,
    Suggestion,
    cacheable_repeats,
    cheaper_models,
    failed_calls,
    overlong_prompts,
    prompt_caching,
    unused_chunks,
)
from apps.evals.compare import Comparison
from apps.evals.models import Comparison as ComparisonRow
from apps.projects.models import Project
from apps.providers.rates import TokenPrices
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable
from apps.telemetry.selectors.counting import PROMPT_VERSION
from apps.telemetry.selectors.figures import read_tables

SAMPLE = 2_000
TEXTS = 40
TEXT_CHARS = 24_000
MOST_COMPARED = 50
COMPARED_DAYS = 180

NEWEST = f"""
WITH newest AS (
  SELECT project_id, trace_id, span_id, started_at, feature, provider, model, {PROMPT_VERSION} AS version,
    status = 'error' OR finish_reason = 'error' AS is_failed, input_tokens, coalesce(cached_input_tokens, 0) AS cached,
    cost_usd
  FROM telemetry_span
  WHERE project_id = %(project)s AND counted AND kind = 'llm' AND source IN ('service', 'gateway')
    AND started_at >= %(start)s AND started_at < %(end)s
  ORDER BY started_at DESC LIMIT %(most)s
), numbered AS (
  SELECT newest.*, payload.input, row_number() OVER (PARTITION BY version ORDER BY newest.started_at DESC) AS place
  FROM newest LEFT JOIN telemetry_payload AS payload
    ON payload.project_id = %(project)s AND payload.trace_id = newest.trace_id AND payload.span_id = newest.span_id
    AND payload.started_at = newest.started_at AND payload.started_at >= %(start)s AND payload.started_at < %(end)s
)
SELECT feature, provider, model, version, started_at, is_failed, input_tokens, cached, cost_usd,
  coalesce(md5(input), ''), CASE WHEN place <= %(texts)s THEN coalesce(left(input, %(chars)s), '') ELSE '' END,
  coalesce(length(input), 0)
FROM numbered ORDER BY started_at DESC
"""  # noqa: S608 -- our own expression
CHUNKS = """
WITH held AS (
  SELECT project_id, trace_id, span_id, started_at, feature, chunks, utilisation,
    row_number() OVER (PARTITION BY feature ORDER BY started_at DESC) AS place
  FROM telemetry_retrieval
  WHERE project_id = %(project)s AND kind = 'retriever' AND chunks > 0 AND utilisation IS NOT NULL
    AND started_at >= %(start)s AND started_at < %(end)s
  ORDER BY started_at DESC LIMIT 20000
)
SELECT feature, count(*), sum(held.chunks)::bigint, sum(held.chunks * (1 - utilisation))::float8,
  (sum(length(payload.documents)) FILTER (WHERE place <= 100)
    / nullif(sum(held.chunks) FILTER (WHERE place <= 100 AND payload.documents IS NOT NULL), 0))::float8,
  count(payload.documents) FILTER (WHERE place <= 100)
FROM held LEFT JOIN telemetry_payload AS payload
  ON place <= 100 AND payload.project_id = %(project)s AND payload.trace_id = held.trace_id
  AND payload.span_id = held.span_id AND payload.started_at = held.started_at
  AND payload.started_at >= %(start)s AND payload.started_at < %(end)s
GROUP BY feature
"""


@dataclass(frozen=True)
class Found:
    """The suggestions, what saves most first, and what each kind had to go by."""

    suggestions: Sequence[Suggestion]
    sampled: int
    since: datetime | None
    compared: int
    retrievals: int

    def has(self, kind: Kind) -> bool:
        """Whether something of the kind is suggested."""
        return any(each.kind is kind for each in self.suggestions)


def read_suggestions(project: Project, *, now: datetime) -> Found:
    """Where the project's money of 30 days could be saved, in five queries."""
    start = now - timedelta(days=DAYS)
    month = _month(project.pk, start, now)
    sample = _sample(project.pk, start, now)
    compared = _compared(project, now)
    chunks = _chunks(project.pk, start, now)
    prices = _prices(project.pk, sample, now)
    found = [
        *cheaper_models(compared, month),
        *cacheable_repeats([call for call in sample if call.digest], month),
        *prompt_caching(sample, month, prices),
        *overlong_prompts(sample, month, prices),
        *unused_chunks(chunks, sample, prices),
        *failed_calls(sample, month),
    ]
    return Found(
        sorted(found, key=lambda each: -each.saving_usd),
        len(sample),
        sample[-1].started_at if sample else None,
        len(compared),
        sum(each.retrievals for each in chunks),
    )


def _month(project_id: int, start: datetime, now: datetime) -> Month:
    requests = [
        FigureRequest(start, now, group_by, has_lengths=False)
        for group_by in ((Dimension.FEATURE,), (Dimension.FEATURE, Dimension.MODEL), (Dimension.PROMPT_VERSION,))
    ]
    features, models, versions = read_tables(project_id, requests)
    return Month(
        {row.group[0]: (row.calls, row.cost_usd) for row in features.groups},
        {(row.group[0], row.group[1]): (row.calls, row.cost_usd) for row in models.groups},
        _single(versions),
    )


def _single(table: FigureTable) -> dict[str, tuple[int, Decimal | None]]:
    return {row.group[0]: (row.calls, row.cost_usd) for row in table.groups}


def _sample(project_id: int, start: datetime, now: datetime) -> list[Sampled]:
    values: dict[str, Any] = {
        "project": project_id,
        "start": start,
        "end": now,
        "most": SAMPLE,
        "texts": TEXTS,
        "chars": TEXT_CHARS,
    }
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, values)
        return [Sampled(*row) for row in cursor.fetchall()]


def _chunks(project_id: int, start: datetime, now: datetime) -> list[Chunks]:
    with connection.cursor() as cursor:
        cursor.execute(CHUNKS, {"project": project_id, "start": start, "end": now})
        return [Chunks(*row) for row in cursor.fetchall()]


def _compared(project: Project, now: datetime) -> list[Compared]:
    """Kept comparisons of runs that differ in their model, for a feature, the newest first."""
    rows = (
        ComparisonRow.objects.filter(
            project=project, outcome__isnull=False, made_at__gte=now - timedelta(days=COMPARED_DAYS)
        )
        .exclude(candidate__eval_set__feature="")
        .select_related("candidate__eval_set", "baseline")
        .defer("candidate__content", "candidate__summary", "baseline__content", "baseline__summary")
        .order_by("-made_at", "-pk")[:MOST_COMPARED]
    )
    found = []
    for row in rows:
        models = [run.model.rpartition("/")[2] for run in (row.candidate, row.baseline)]
        if models[0] == models[1] or not all(models):
            continue
        outcome = Comparison.from_dict(row.outcome or {})
        cost = outcome.cost
        ratio = cost.candidate / cost.baseline if cost and cost.baseline and cost.candidate is not None else None
        found.append(
            Compared(
                row.candidate.eval_set.feature,
                models[0],
                models[1],
                row.candidate.number,
                row.baseline.number,
                outcome.verdict.value,
                outcome.sentence,
                ratio,
                outcome.pairs,
            )
        )
    return found


def _prices(project_id: int, sample: Sequence[Sampled], now: datetime) -> Mapping[tuple[str, str], TokenPrices]:
    look_up = price_at(project_id)
    names = {(call.provider, call.model) for call in sample}
    found = {name: look_up(*name, now) for name in names}
    return {name: prices for name, prices in found.items() if prices is not None}

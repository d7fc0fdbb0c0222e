"""The end of a run: what is left is closed, the numbers are frozen, and the state becomes an end, once."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q

from apps.core import jobs
from apps.evals.models import EvalRun, Result, ResultScore, RunScorer
from apps.evals.scoring.registry import KINDS
from apps.evals.summary import Item, ItemScore, ScorerFacts, Summary, summarize
from apps.evals.types import ResultState, RunState, ScoreState

OPEN = (ResultState.WAITING, ResultState.CALLING, ResultState.ANSWERED)
PORTION = 2_000
LABELS_FROM = frozenset({"classification"})


class NotDone(Exception):
    """Some results are still open, so the run cannot be finished."""


def end_run(
    run_id: int, token: uuid.UUID, *, state: RunState, reason: str, sentence: str, now: datetime
) -> EvalRun | None:
    """End the run that this lease holds; None when the lease is not ours any more. Raises NotDone, for FINISHED only.

    What is left open of a run that failed fails too, so that it can be tried again; of any other it is canceled.
    """
    with transaction.atomic():
        if not _hold(run_id, token):
            return None
        left = Result.objects.filter(run_id=run_id, state__in=OPEN)
        if state is RunState.FINISHED:
            if left.exists():
                raise NotDone
        elif state is RunState.FAILED:
            left.update(
                state=ResultState.FAILED, error_code="not_called", error="The run ended before this call.", ended_at=now
            )
        else:
            left.update(state=ResultState.CANCELED, ended_at=now)
    summary = summary_of(EvalRun.objects.get(pk=run_id))
    with transaction.atomic():
        counts = Result.objects.filter(run_id=run_id).aggregate(
            done=Count("id", filter=Q(state=ResultState.DONE)), failed=Count("id", filter=Q(state=ResultState.FAILED))
        )
        ended = EvalRun.objects.filter(pk=run_id, lease_token=token, state=RunState.RUNNING).update(
            state=state,
            reason=reason[:64],
            sentence=sentence,
            summary=summary.as_dict(),
            ended_at=now,
            lease_token=None,
            lease_until=None,
            awaits_outputs=False,
            **counts,
        )
        if ended == 0:
            return None
        jobs.enqueue("evals.judge_gates")
    return EvalRun.objects.get(pk=run_id)


def _hold(run_id: int, token: uuid.UUID) -> bool:
    rows = EvalRun.objects.select_for_update(no_key=True).filter(pk=run_id, lease_token=token, state=RunState.RUNNING)
    return rows.first() is not None


def summary_of(run: EvalRun) -> Summary:
    """The run's numbers over the results that have ended and were not canceled."""
    return summarize(list(items_of(run)), facts_of(run))


def facts_of(run: EvalRun) -> list[ScorerFacts]:
    """The scorers of the run, in order."""
    rows = RunScorer.objects.filter(run=run).select_related("version", "version__scorer")
    return [
        ScorerFacts(
            slug=row.slug,
            kind=row.kind,
            title=row.version.scorer.name,
            threshold=row.threshold,
            identity=f"{row.slug}@{row.version.number}:{row.version.config_hash}",
        )
        for row in rows
    ]


def items_of(run: EvalRun) -> Iterator[Item]:
    """The results of the run as statistics take them, in the order of their ids."""
    scorers = {row.pk: row for row in RunScorer.objects.filter(run=run)}
    after = 0
    while rows := _portion(run, after):
        after = rows[-1].pk
        scores: dict[int, dict[str, ItemScore]] = defaultdict(dict)
        held = ResultScore.objects.filter(run=run, result_id__gte=rows[0].pk, result_id__lte=after)
        for score in held.only("result_id", "scorer_id", "state", "value", "label", "reason", "details").iterator():
            scorer = scorers[score.scorer_id]
            scores[score.result_id][scorer.slug] = _score(score, scorer.kind)
        for row in rows:
            yield _item(row, scores[row.pk])


def _portion(run: EvalRun, after: int) -> list[Result]:
    ended = (ResultState.DONE, ResultState.FAILED)
    rows = Result.objects.filter(run=run, pk__gt=after, state__in=ended).select_related("example").order_by("pk")
    names = ("repetition", "error_code", "latency_ms", "ttft_ms", "cost_usd", "input_tokens", "output_tokens")
    example = ("example__key", "example__content_hash", "example__slices")
    return list(rows.only(*names, "is_from_cache", "is_passed", *example)[:PORTION])


def _score(score: ResultScore, kind: str) -> ItemScore:
    is_scored = score.state == ScoreState.SCORED
    decides = kind in LABELS_FROM and kind in KINDS
    return ItemScore(
        state=ScoreState(score.state),
        value=score.value,
        label=score.label,
        reason="" if is_scored else score.reason[:500],
        expected_label=str(score.details.get("expected") or "") if decides and isinstance(score.details, dict) else "",
    )


def _item(row: Result, scores: dict[str, ItemScore]) -> Item:
    return Item(
        key=row.example.key,
        scores=scores,
        repetition=row.repetition,
        content_hash=row.example.content_hash,
        slices=tuple(row.example.slices),
        is_passed=row.is_passed,
        error_code=row.error_code,
        latency_ms=row.latency_ms,
        ttft_ms=row.ttft_ms,
        cost_usd=row.cost_usd,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        is_from_cache=row.is_from_cache,
    )

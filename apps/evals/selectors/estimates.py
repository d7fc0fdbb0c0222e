"""What a run would take, before it is started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.evals.estimating import (
    USUAL_SECONDS,
    Estimate,
    most_answer_tokens,
    scaled,
    seconds_for,
)
from apps.evals.models import Example, Result, ScorerVersion
from apps.evals.requests import Given, request_for
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors.examples import examples_at
from apps.evals.selectors.run_freezing import Frozen, freeze
from apps.evals.types import ReviewState, RunKind, RunSpec
from apps.projects.models import Project
from apps.prompts.types import Syntax
from apps.providers import tokens
from apps.providers.selectors.estimates import estimate_cost
from apps.telemetry.models import Span

SAMPLE, JINJA_SAMPLE = 50, 5
"""So many examples are rendered; Jinja's templates are rendered by a process each."""
LOOK_BACK, LOOK_BACK_AT_SPANS = timedelta(days=7), timedelta(days=1)
MOST_LOOKED_AT = 500
JUDGE_PROMPT_TOKENS, JUDGE_ANSWER_TOKENS = 500, 200
"""What a scorer that asks a model adds to what it judges, and what it answers; its own calls say more, later."""


@dataclass(frozen=True, slots=True)
class _Past:
    """What calls of a model lately took; None when there were none."""

    seconds: float | None
    answer_tokens: float | None


def estimate(project: Project, spec: RunSpec, now: datetime, *, author: User | None = None) -> Estimate:
    """Tokens, cost and time of the run that `start_run` would make. Raises what `start_run` raises."""
    frozen = freeze(project, spec, author=author, now=now)
    results = frozen.examples * spec.repetitions
    judge_calls = sum(_calls_of(version) for version, _ in frozen.scorers) * results
    if spec.kind is RunKind.OUTPUTS or frozen.content is None:
        usd = _judge_usd(project, frozen, None, None, now)
        seconds = seconds_for(judge_calls, spec.concurrency, USUAL_SECONDS)
        return Estimate(frozen.examples, 0, judge_calls, 0, 0, Decimal(0), usd, seconds, 0)
    asked, sampled = _input_tokens(frozen)
    past = _past(project, frozen.model, now)
    answer = past.answer_tokens or float(most_answer_tokens(frozen.parameters))
    given, made = scaled(asked, sampled, results), round(answer * results)
    usd = None
    if given is not None:
        usd = estimate_cost(project_id=project.pk, model=frozen.model, input_tokens=given, output_tokens=made, now=now)
    a_call = None if given is None else given / results
    return Estimate(
        examples=frozen.examples,
        calls=results,
        judge_calls=judge_calls,
        input_tokens=given,
        output_tokens=made,
        model_usd=usd,
        judge_usd=_judge_usd(project, frozen, a_call, answer, now),
        seconds=seconds_for(results, spec.concurrency, past.seconds or USUAL_SECONDS)
        + seconds_for(judge_calls, spec.concurrency, USUAL_SECONDS),
        from_examples=sampled,
    )


def _calls_of(version: ScorerVersion) -> int:
    """How many calls of models the scorer makes for one answer; those that ask a service count as none."""
    kind = KINDS.get(version.scorer.kind)
    if kind is None or kind.ask is None or not _models(version):
        return 0
    votes = version.config.get("votes") or 1
    return len(_models(version)) * (votes if isinstance(votes, int) and votes > 0 else 1)


def _models(version: ScorerVersion) -> list[str]:
    named = [version.config.get("model"), *(version.config.get("more_models") or ())]
    return [model for model in named if isinstance(model, str) and model]


def _input_tokens(frozen: Frozen) -> tuple[int, int]:
    """The input tokens of a sample of the examples, and how many were counted. One that cannot be rendered is left out:
    it will fail by itself."""
    assert frozen.content is not None
    most = JINJA_SAMPLE if frozen.content.syntax is Syntax.JINJA else SAMPLE
    total = counted = 0
    for example in _sample(frozen, most):
        given = Given(example.variables, example.messages, example.tools, example.context)
        try:
            request = request_for(frozen.content, frozen.parameters, given)
        except DomainError:
            continue
        total += tokens.count_messages(request.messages, frozen.model, tools=request.tools).tokens
        counted += 1
    return total, counted


def _sample(frozen: Frozen, most: int) -> list[Example]:
    """Some of the examples of the run, the same ones each time and not only the first by their keys."""
    rows = examples_at(frozen.eval_set, frozen.revision.number)
    rows = rows.filter(state__in=[ReviewState.APPROVED, *([ReviewState.DRAFT] if frozen.spec.with_drafts else [])])
    if frozen.spec.slices:
        rows = rows.filter(slices__overlap=list(frozen.spec.slices))
    return list(rows.order_by("content_hash", "id")[:most])


def _past(project: Project, model: str, now: datetime) -> _Past:
    """What calls of the model took in runs of the last seven days, or anywhere in the last day."""
    lately = Result.objects.filter(
        project=project, run__model=model, is_from_cache=False, started_at__gte=now - LOOK_BACK, state="done"
    ).order_by("-id")
    found = Result.objects.filter(pk__in=lately.values("pk")[:MOST_LOOKED_AT]).aggregate(
        calls=Count("id"), latency=Avg("latency_ms"), tokens=Avg("output_tokens")
    )
    if not found["calls"]:
        name = model.partition("/")[2] or model
        spans = Span.objects.filter(project_id=project.pk, request_model=name, started_at__gte=now - LOOK_BACK_AT_SPANS)
        recent = spans.filter(kind="llm", status="ok").order_by("-started_at")[:MOST_LOOKED_AT]
        rows = list(recent.values_list("latency_ms", "output_tokens"))
        return _Past(_mean([row[0] for row in rows], 1000), _mean([row[1] for row in rows], 1))
    latency = found["latency"]
    return _Past(None if latency is None else float(latency) / 1000, found["tokens"] and float(found["tokens"]))


def _mean(values: list[int | None], over: int) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) / over if known else None


def _judge_usd(
    project: Project, frozen: Frozen, input_tokens: float | None, answer_tokens: float | None, now: datetime
) -> Decimal | None:
    """What scorers that ask models cost: what they judge and their own words. None when a model has no known price."""
    total = Decimal(0)
    results = frozen.examples * frozen.spec.repetitions
    for version, _ in frozen.scorers:
        calls = _calls_of(version)
        for model in _models(version) if calls else ():
            read = (input_tokens or 0.0) + (answer_tokens or 0.0) + JUDGE_PROMPT_TOKENS
            one = estimate_cost(
                project_id=project.pk,
                model=model,
                input_tokens=round(read),
                output_tokens=JUDGE_ANSWER_TOKENS,
                now=now,
            )
            if one is None:
                return None
            total += one * results * calls / len(_models(version))
    return total

"""Rows of runs that ended, for tests that are about what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.evals.models import EvalRun, EvalSet, Result, ResultScore, RunScorer, ScorerVersion
from apps.evals.selectors.examples import examples_at
from apps.evals.summary import Item, ItemScore, ScorerFacts, summarize
from apps.evals.types import ScoreState
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts.content import content_from_dict
from apps.prompts.models import Version
from tests import factories


@dataclass(frozen=True)
class Came:
    """What came out: scores in the order of the scorers (a number, or the word `not_scored` or `error`); `error`: no
    output, for this reason."""

    scores: Sequence[float | str] = (1.0,)
    output: str = "Paris"
    error: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def make_run(
    project: Project,
    eval_set: EvalSet,
    scorers: Sequence[ScorerVersion],
    outcomes: Mapping[str, Came | Sequence[Came]],
    *,
    number: int = 1,
    **fields: Any,
) -> EvalRun:
    """A finished run over the set's newest revision; `outcomes` are by the example's key, a list for repetitions."""
    examples = {one.key: one for one in examples_at(eval_set, eval_set.head)}
    turns = {key: [came] if isinstance(came, Came) else list(came) for key, came in outcomes.items()}
    run = EvalRun.objects.create(
        **{
            "project": project,
            "number": number,
            "kind": "model",
            "prompt_name": "support/answer",
            "prompt_version": "1.0.0",
            "model": "test/steady",
            "eval_set": eval_set,
            "revision": eval_set.head,
            "revision_hash": "0" * 64,
            "source": "api",
            "actor_kind": "user",
            "actor_name": "alice@example.com",
            "state": "finished",
            "total": sum(len(one) for one in turns.values()),
            "repetitions": max((len(one) for one in turns.values()), default=1),
            "created_at": factories.NOW + timedelta(minutes=number),
            "ended_at": factories.NOW + timedelta(minutes=number + 1),
            **fields,
        }
    )
    used = [
        RunScorer.objects.create(
            project=project,
            run=run,
            version=version,
            position=place,
            slug=version.scorer.slug,
            kind=version.scorer.kind,
            threshold=version.pass_mark,
        )
        for place, version in enumerate(scorers)
    ]
    items = [
        _result(run, used, examples[key], turn, came) for key, own in turns.items() for turn, came in enumerate(own)
    ]
    facts = [ScorerFacts(one.slug, one.kind, one.slug, one.threshold, f"{one.slug}@1") for one in used]
    run.summary = summarize(items, facts).as_dict() if run.state not in ("queued", "running") else None
    run.failed = sum(bool(item.error_code) for item in items)
    run.done = len(items) - run.failed
    run.save()
    return run


def publish_answer(project: Project, now: datetime = factories.NOW, name: str = "support/answer") -> Version:
    """Version 1.0.0 of a prompt that asks the test model `echo` the example's question."""
    actor = factories.actor_of(project.memberships.order_by("pk")[0].user)
    prompt = prompts.create_prompt(project=project, name=name, actor=actor, now=now)
    content = content_from_dict(
        {
            "kind": "chat",
            "messages": [{"role": "user", "content": "{{question}}"}],
            "variables": [{"name": "question"}],
            "model": "test/echo",
        }
    )
    return prompts.publish(prompt=prompt, content=content, actor=actor, now=now)


def _result(run: EvalRun, scorers: Sequence[RunScorer], example: Any, turn: int, came: Came) -> Item:
    told = () if came.error else tuple(zip(scorers, came.scores, strict=True))
    known = [value for _, value in told if not isinstance(value, str)]
    is_whole = len(told) == len(scorers) == len(known)
    has_failed = any(value < one.threshold for one, value in told if not isinstance(value, str))
    row = Result.objects.create(
        **{
            "project_id": run.project_id,
            "run": run,
            "example": example,
            "repetition": turn,
            "state": "failed" if came.error else "done",
            "output": "" if came.error else came.output,
            "error_code": came.error,
            "error": f"The provider said {came.error}." if came.error else "",
            "latency_ms": None if came.error else 120,
            "cost_usd": None if came.error else Decimal("0.002"),
            "input_tokens": 40,
            "output_tokens": 8,
            "value": min(known) if is_whole else None,
            "is_passed": not has_failed if is_whole else None,
            **came.fields,
        }
    )
    for one, value in told:
        _score(run, row, one, value)
    return Item(
        key=example.key,
        scores={one.slug: _item_score(value) for one, value in told},
        repetition=turn,
        slices=tuple(example.slices),
        is_passed=row.is_passed,
        error_code=came.error,
        latency_ms=row.latency_ms,
        cost_usd=row.cost_usd,
        input_tokens=40,
        output_tokens=8,
    )


def _score(run: EvalRun, row: Result, scorer: RunScorer, value: float | str) -> None:
    state = value if isinstance(value, str) else "scored"
    ResultScore.objects.create(
        project_id=run.project_id,
        run=run,
        result=row,
        scorer=scorer,
        state=state,
        value=None if isinstance(value, str) else value,
        reason=f"{scorer.slug} says {value}",
    )


def _item_score(value: float | str) -> ItemScore:
    if isinstance(value, str):
        return ItemScore(ScoreState(value), None, reason="nothing is expected")
    return ItemScore(ScoreState.SCORED, value)

"""Evals of sample projects: recorded answers of two models, scored and judged by a gate. They are made by the same
services as anybody's."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from apps.evals.brought import Output
from apps.evals.examples import ExampleBody
from apps.evals.models import EvalRun, EvalSet, Gate
from apps.evals.sample import MODELS, Problem, problems
from apps.evals.selectors.sample import GATE, SET, list_samples_without_sets, list_unjudged
from apps.evals.services import gates, runs, scorers, set_changes, sets
from apps.evals.types import ExampleOrigin, ReviewState, RunKind, RunSource, RunSpec, ScorerChoice
from apps.projects.models import Project
from apps.projects.types import Actor

ACTOR = Actor(kind="system", id=None, name="sample data")
SCORER = "final-number"
ABOUT = (
    "Sample data: 150 word problems of GSM8K (MIT) with the answers that two models really gave to them "
    "(RouteLLM, Apache-2.0)."
)


def fill_samples(*, now: datetime) -> None:
    """Give every sample project without an eval set the sample's, and judge the sample's runs that have ended."""
    for project in list_samples_without_sets():
        fill_sample(project, now=now)
    for gate, run in list_unjudged():
        gates.check_gate(gate=gate, run=run, actor=ACTOR, now=now)


@transaction.atomic
def fill_sample(project: Project, *, now: datetime) -> None:
    """The sample's set, scorer, gate, and a queued run of recorded answers for each model.

    A project that has a set, or is gone, is left as it is.
    """
    locked = Project.objects.select_for_update(no_key=True).filter(pk=project.pk, is_sample=True).first()
    if locked is None or EvalSet.objects.filter(project=locked).exists():
        return
    found = list(problems())
    eval_set = _make_set(locked, found)
    scorers.create_scorer(
        project=locked,
        slug=SCORER,
        name="Final number",
        kind="numeric",
        config={},
        description="The number an answer ends with, against the one that is right.",
        actor=ACTOR,
        now=locked.created_at,
        is_sample=True,
    )
    made = [_start(locked, model, found, now) for model in MODELS]
    gate = gates.create_gate(
        project=locked,
        gate=gates.NewGate(
            name="Can it count?",
            slug=GATE,
            eval_set=eval_set,
            description="Sample data: three quarters right, by the lower bound of the interval.",
            config={"scorers": [{"slug": SCORER, "minimum_mean": 0.75}], "minimum_examples": 100},
        ),
        actor=ACTOR,
        is_admin=False,
        now=now,
    )
    EvalSet.objects.filter(pk=eval_set.pk).update(is_sample=True)
    Gate.objects.filter(pk=gate.pk).update(is_sample=True)
    EvalRun.objects.filter(pk__in=[run.pk for run in made]).update(is_sample=True)


def _make_set(project: Project, found: list[Problem]) -> EvalSet:
    """The set, whose examples came in two portions, so that it has a history."""
    began = project.created_at - timedelta(days=40)
    eval_set = sets.create_set(
        project=project,
        name="Word problems",
        slug=SET,
        actor=ACTOR,
        now=began,
        settings=sets.SetChange(description=ABOUT),
    )
    adds = [
        set_changes.Add(
            body=ExampleBody(
                variables={"question": one.question},
                expected=one.answer,
                slices=(one.slice,),
                metadata={"from": "GSM8K"},
            ),
            key=one.key,
            state=ReviewState.APPROVED,
            origin=ExampleOrigin.SAMPLE,
        )
        for one in found
    ]
    for days, portion, note in ((0, adds[:60], "The first sixty"), (12, adds[60:], "Enough to tell models apart")):
        set_changes.change_examples(
            eval_set=eval_set,
            changes=set_changes.Changes(adds=tuple(portion)),
            actor=ACTOR,
            note=note,
            now=began + timedelta(days=days),
        )
    return eval_set


def _start(project: Project, model: str, found: list[Problem], now: datetime) -> EvalRun:
    run = runs.start_run(
        project=project,
        spec=RunSpec(
            eval_set=SET,
            scorers=(ScorerChoice(SCORER),),
            kind=RunKind.OUTPUTS,
            model=model,
            name=f"Recorded answers of {model}",
        ),
        actor=ACTOR,
        source=RunSource.SAMPLE,
        now=now,
    )
    outputs = [Output(key=one.key, text=one.answers[model], model=model) for one in found]
    runs.add_outputs(run=run, outputs=outputs, now=now)
    return run

"""A new run: choose, see what it will take, start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.evals.estimating import Estimate
from apps.evals.models import EvalRun, RunScorer
from apps.evals.run_forms import NewRunForm, ScorerRow, choices_of, typed_scorers
from apps.evals.selectors import estimates, gates, runs, scorers, sets
from apps.evals.services import runs as running
from apps.evals.types import RunSource, RunSpec
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.providers.selectors.connections import offered_models


@project_page(role=Role.EDITOR)
def run_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Choose what to measure; the estimate says what it takes before anything is spent."""
    form, rows = _read(request, project)
    estimate, refusal = None, ""
    if request.method == "POST":
        spec = _spec(form, rows)
        if spec is not None and request.POST.get("do") == "estimate":
            estimate, refusal = _estimated(request, project, spec)
        elif spec is not None:
            run = _started(request, project, form, spec)
            if run is not None:
                return redirect("eval_run", project=project.slug, number=run.number)
    context = {
        "project": project,
        "tab": "runs",
        "form": form,
        "scorers": rows,
        **_told(estimate, refusal),
        "prompts": runs.prompt_names(project),
        "models": [one for one in offered_models(project, now=clock.now()) if not one.is_embedding],
    }
    return render(request, "evals/run_new.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
@require_POST
def run_estimate(request: ProjectRequest, project: Project) -> HttpResponse:
    """What the run that is typed would take, as a part of the page."""
    form, rows = _read(request, project)
    spec = _spec(form, rows)
    estimate, refusal = (None, "") if spec is None else _estimated(request, project, spec)
    return render(request, "evals/_run_estimate.html", {"project": project, **_told(estimate, refusal)})


def _told(estimate: Estimate | None, refusal: str) -> dict[str, Any]:
    """The estimate as the template shows it."""
    seconds = None if estimate is None else estimate.seconds
    return {
        "estimate": estimate,
        "refusal": refusal,
        "estimate_ms": None if seconds is None else round(seconds * 1000),
    }


def _read(request: ProjectRequest, project: Project) -> tuple[NewRunForm, list[ScorerRow]]:
    """The form and the scorers, as typed, or as the address asks for."""
    rows = [
        ScorerRow(
            line.scorer.slug,
            line.scorer.name,
            line.scorer.kind,
            line.version.pass_mark,
            line.kind is not None and line.kind.is_judge,
        )
        for line in scorers.list_scorers(project)
        if line.kind is not None and not line.kind.is_pairwise
    ]
    own_sets = [(one.slug, one.name) for one in sets.choosable_sets(project)]
    own_gates = runs.gate_names(project)
    if request.method == "POST":
        form = NewRunForm(request.POST, sets=own_sets, gates=own_gates)
        return form, typed_scorers(rows, request.POST)
    initial, chosen = _suggested(request, project)
    if len(own_sets) == 1:
        initial.setdefault("eval_set", own_sets[0][0])
    form = NewRunForm(None, sets=own_sets, gates=own_gates, initial=initial)
    if not chosen and len(rows) == 1:
        chosen = {rows[0].slug: ""}
    return form, [replace(row, is_chosen=row.slug in chosen, threshold=chosen.get(row.slug, "")) for row in rows]


def _spec(form: NewRunForm, rows: list[ScorerRow]) -> RunSpec | None:
    """What is asked for; None when a field needs a change."""
    problems = [sentence for row in rows for sentence in row.problems]
    is_valid = form.is_valid() and not problems
    if problems:
        form.add_error(None, problems)
    return form.spec(choices_of(rows)) if is_valid else None


def _estimated(request: ProjectRequest, project: Project, spec: RunSpec) -> tuple[Estimate | None, str]:
    """What the run would take, or why it cannot be started."""
    try:
        return estimates.estimate(project, spec, clock.now(), author=request.user), ""
    except DomainError as error:
        return None, error.text


def _started(request: ProjectRequest, project: Project, form: NewRunForm, spec: RunSpec) -> EvalRun | None:
    """The run; None when it was refused, which the form then says beside its fields."""
    now = clock.now()
    try:
        estimate = estimates.estimate(project, spec, now, author=request.user)
        return running.start_run(
            project=project,
            spec=spec,
            actor=request.actor,
            source=RunSource.PAGE,
            now=now,
            author=request.user,
            estimate=estimate,
        )
    except DomainError as error:
        show_error(form, error)
        return None


# --- What the address asks for ------------------------------------------------------------------------------


def _suggested(request: ProjectRequest, project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """Fields as the address names them, and the scorers with their thresholds."""
    asked = request.GET
    try:
        if asked.get("again"):
            return _again(*runs.run_with_scorers(project, asked["again"]))
        if asked.get("gate"):
            initial, chosen = _for_gate(project, asked["gate"])
        else:
            initial, chosen = {}, {}
    except NotFound:
        initial, chosen = {}, {}
    for name, field in (("prompt", "prompt"), ("version", "version"), ("model", "model"), ("set", "eval_set")):
        if asked.get(name):
            initial[field] = asked[name]
    return initial, chosen | dict.fromkeys(asked.getlist("scorer"), "")


def _for_gate(project: Project, slug: str) -> tuple[dict[str, Any], dict[str, str]]:
    gate = gates.get_gate(project, slug)
    config = gates.config_of(gate)
    initial = {
        "gate": gate.slug,
        "eval_set": gate.eval_set.slug,
        "model": config.model,
        "repetitions": config.repetitions,
        "budget_usd": config.budget_usd,
    }
    return initial, {one.slug: "" if one.threshold is None else str(one.threshold) for one in config.scorers}


def _again(run: EvalRun, used: list[RunScorer]) -> tuple[dict[str, Any], dict[str, str]]:
    """The same once more, over the same revision."""
    initial: dict[str, Any] = {
        "prompt": run.prompt_name,
        "version": run.prompt_version,
        "model": run.model,
        "eval_set": run.eval_set.slug,
        "revision": run.revision,
        "slices": ", ".join(run.slices),
        "with_drafts": run.with_drafts,
        "repetitions": run.repetitions,
        "concurrency": run.concurrency,
        "budget_usd": run.budget_usd,
        "use_cache": run.use_cache,
        "gate": "" if run.gate is None else run.gate.slug,
        "name": run.name or _("run %(number)s again") % {"number": run.number},
    }
    if run.parameters:
        initial["parameters"] = run.parameters
    return initial, {one.slug: f"{one.threshold:g}" for one in used}

"""Pages of comparisons: two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.evals import compare_charts
from apps.evals.compare import ChangedExample, Comparison
from apps.evals.comparison_forms import SHOWS, CompareForm, UpgradeForm
from apps.evals.comparison_words import measures, scorer_lines, words_of
from apps.evals.models import EvalRun
from apps.evals.selectors import comparisons as selectors
from apps.evals.selectors.runs import get_run, progress_of
from apps.evals.selectors.scorers import list_scorers
from apps.evals.selectors.sets import choosable_sets
from apps.evals.services.comparisons import RunNotOver, comparison_of, start_upgrade
from apps.evals.upgrades import answer, monthly_cost
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts.selectors import list_prompts
from apps.providers.selectors.connections import offered_models

PAGE_SIZE = 12


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """A changed example with both answers."""

    example: ChangedExample
    answers: selectors.AnswerPair


@dataclass(frozen=True, slots=True)
class ExamplesShown:
    """One page of changed examples."""

    rows: tuple[ExampleRow, ...]
    total: int
    page: int
    before: int | None
    following: int | None


@project_page()
@require_safe
def compare_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Is it better?"""
    form = CompareForm(request.GET)
    form.is_valid()
    told = form.cleaned_data
    context: dict[str, Any] = {"project": project, "tab": "compare", "told": told, "settings": form.settings()}
    try:
        sides = [get_run(project, told[name]) if told.get(name) else None for name in ("candidate", "baseline")]
    except NotFound as error:
        sides, context["problem"] = [None, None], error.text
    candidate, baseline = sides
    if candidate is None or baseline is None:
        return _choose(request, project, context, candidate, baseline)
    try:
        found = comparison_of(candidate, baseline, form.settings(), clock.now())
    except DomainError as error:
        return _choose(request, project, {**context, "problem": error.text}, candidate, baseline)
    context |= {"candidate": candidate, "baseline": baseline, "found": found.outcome}
    if found.outcome is None:
        return render(request, "evals/compare_waiting.html", context)
    context |= shown(found.outcome, candidate, baseline, told)
    return render(request, "evals/compare.html", context)


def _choose(
    request: ProjectRequest,
    project: Project,
    context: dict[str, Any],
    candidate: EvalRun | None,
    baseline: EvalRun | None,
) -> HttpResponse:
    runs = selectors.ended_runs(project)
    context |= {"candidate": candidate, "baseline": baseline, "runs": runs}
    return render(request, "evals/compare_choose.html", context, status=422 if context.get("problem") else 200)


def shown(found: Comparison, candidate: EvalRun, baseline: EvalRun, told: dict[str, Any]) -> dict[str, Any]:
    """What the parts of a comparison's page show."""
    overall = found.overall
    return {
        "words": words_of(found),
        "scorers": scorer_lines(found),
        "measures": measures(found),
        "forest": compare_charts.forest(found),
        "tail": compare_charts.tail_plot(found),
        "balance": compare_charts.balance(overall.wins, overall.ties, overall.losses),
        "examples": examples_shown(found, candidate, baseline, told),
        "shows": SHOWS,
    }


def examples_shown(found: Comparison, candidate: EvalRun, baseline: EvalRun, told: dict[str, Any]) -> ExamplesShown:
    """The page of changed examples that was asked for, with the answers of both runs."""
    chosen = _filtered(found.examples, told.get("show") or "", told.get("slice") or "")
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    page = min(told.get("page") or 1, pages)
    part = chosen[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    answers = selectors.answers_of(candidate, baseline, [example.key for example in part])
    rows = tuple(ExampleRow(example, answers[example.key]) for example in part)
    return ExamplesShown(rows, len(chosen), page, page - 1 if page > 1 else None, page + 1 if page < pages else None)


def _filtered(examples: Sequence[ChangedExample], show: str, slice_: str) -> list[ChangedExample]:
    return [
        example
        for example in examples
        if (not show or example.became == show) and (not slice_ or slice_ in example.slices)
    ]


@project_page(unsafe=Role.EDITOR)
def model_upgrade(request: ProjectRequest, project: Project) -> HttpResponse:
    """Is the new model an upgrade for this prompt?"""
    if request.method == "GET" and request.GET.get("candidate") and request.GET.get("baseline"):
        return _upgrade_shown(request, project)
    form = _upgrade_form(request, project)
    if request.method == "POST" and form.is_valid():
        try:
            runs = start_upgrade(
                project=project, wish=form.wish(), actor=request.actor, author=request.user, now=clock.now()
            )
        except DomainError as error:
            show_error(form, error)
        else:
            query = urlencode({"candidate": runs[0].number, "baseline": runs[1].number})
            return redirect(f"{reverse('model_upgrade', kwargs={'project': project.slug})}?{query}")
    context = {
        "project": project,
        "tab": "upgrade",
        "form": form,
        "prompts": [line.name for line in list_prompts(project, limit=500).items],
        "models": [one for one in offered_models(project, now=clock.now()) if not one.is_embedding],
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "evals/upgrade.html", context, status=422 if form.errors else 200)


def _upgrade_form(request: ProjectRequest, project: Project) -> UpgradeForm:
    own_sets = [(one.slug, one.name) for one in choosable_sets(project)]
    lines = [line for line in list_scorers(project) if line.kind is not None and not line.kind.is_pairwise]
    own_scorers = [(line.scorer.slug, line.scorer.name) for line in lines]
    data = request.POST if request.method == "POST" else None
    initial = {name: request.GET[name] for name in ("prompt", "version", "eval_set") if name in request.GET}
    return UpgradeForm(data, sets=own_sets, scorers=own_scorers, initial=initial)


def _upgrade_shown(request: ProjectRequest, project: Project) -> HttpResponse:
    """The answer, or how far the two runs are."""
    form = CompareForm(request.GET)
    form.is_valid()
    told, now = form.cleaned_data, clock.now()
    candidate, baseline = get_run(project, told["candidate"]), get_run(project, told["baseline"])
    context: dict[str, Any] = {
        "project": project,
        "tab": "upgrade",
        "told": told,
        "candidate": candidate,
        "baseline": baseline,
        "progress": [(run, progress_of(run, now)) for run in (baseline, candidate)],
    }
    try:
        found = comparison_of(candidate, baseline, form.settings(), now).outcome
    except RunNotOver:
        return render(request, "evals/upgrade_waiting.html", context)
    except DomainError as error:
        return render(request, "evals/upgrade_waiting.html", {**context, "problem": error.text}, status=422)
    if found is None:
        return render(request, "evals/upgrade_waiting.html", context)
    traffic = selectors.traffic_of(project, candidate.feature or candidate.eval_set.feature, now)
    month = None if traffic is None else monthly_cost(found, traffic.calls, traffic.cost_usd)
    context |= {"found": found, "answer": answer(found), "traffic": traffic, "month": month}
    return render(request, "evals/upgrade_shown.html", context | shown(found, candidate, baseline, told))

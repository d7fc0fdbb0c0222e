"""Pages of runs: the list, one run while it goes on and when it ended, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.charts import Chart
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment, wants_fragment
from apps.evals import run_charts
from apps.evals.models import EvalRun
from apps.evals.run_forms import STATE_WORDS, RunsForm, read_filter
from apps.evals.selectors import results, runs
from apps.evals.selectors.results import ResultFilter
from apps.evals.selectors.runs import RunFilter
from apps.evals.services import runs as running
from apps.evals.summary import Reason, Summary
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role

WORST_SHOWN = 8
SNIPPET = """\
export PRODWORTHY_URL=https://prodworthy.example.com
export PRODWORTHY_KEY=...
evals run --set golden --prompt support/answer --scorer exact"""


# --- The list -----------------------------------------------------------------------------------------------


@project_page()
def runs_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What was measured, and how did it come out?"""
    chosen = read_filter(RunsForm(request.GET))
    where = RunFilter(
        eval_set=chosen["set"] or "",
        prompt=chosen["prompt"] or "",
        model=chosen["model"] or "",
        state=chosen["state"] or "",
    )
    page = runs.list_runs(project, where=where, before=chosen["before"])
    context = {
        "project": project,
        "tab": "runs",
        "page": page,
        "chosen": chosen,
        "is_filtered": not where.is_empty or chosen["before"] is not None,
        "is_empty": not page.items and where.is_empty and chosen["before"] is None,
        "is_live": any(line.is_open for line in page.items),
        "choices": runs.run_choices(project),
        "states": [(state.value, words) for state, words in STATE_WORDS.items()],
        "snippet": SNIPPET,
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return page_or_fragment(request, "evals/runs.html", "evals/_run_list.html", context)


# --- One run ------------------------------------------------------------------------------------------------


@project_page()
def run_page(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Did it pass? While it goes on: how far is it?"""
    run = runs.get_run(project, number)
    line = runs.run_line(run)
    if wants_fragment(request):
        return _progress(request, run, is_over=not line.is_open)
    comparable = runs.comparable_runs(run)
    context = {
        **run_frame(request, project, run),
        "line": line,
        "summary": line.summary,
        "progress": runs.progress_of(run, clock.now()),
        "scorers": runs.scorers_of(run),
        "comparable": comparable,
        "baseline": runs.baseline_of(run, comparable),
        "links": {name: page_of(name, run) for name in ("run_gate", "eval_compare", "model_upgrade")},
    }
    if line.summary is not None:
        context |= _ended(run, line.summary, context["scorers"])
    return render(request, "evals/run.html", context)


def run_frame(request: ProjectRequest, project: Project, run: EvalRun) -> dict[str, Any]:
    """What every page of the run shows around itself."""
    return {
        "project": project,
        "tab": "runs",
        "run": run,
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }


def page_of(name: str, run: EvalRun) -> str:
    """The address of a page that another part of the product may have; empty while there is none."""
    for kwargs in ({"project": run.project.slug, "number": run.number}, {"project": run.project.slug}):
        try:
            return reverse(name, kwargs=kwargs)
        except NoReverseMatch:
            continue
    return ""


def _progress(request: ProjectRequest, run: EvalRun, *, is_over: bool) -> HttpResponse:
    """The part of the page that moves. When the run is over, the browser is told to load the whole page."""
    context = {**run_frame(request, run.project, run), "progress": runs.progress_of(run, clock.now())}
    response = render(request, "evals/_run_progress.html", context)
    if is_over:
        response["HX-Refresh"] = "true"
    return response


@dataclass(frozen=True, slots=True)
class Missing:
    """Why results have no score, or no output: by whom, how often, why."""

    by: str
    reason: Reason


def _ended(run: EvalRun, summary: Summary, scorers: list[Any]) -> dict[str, Any]:
    """What a run that ended shows besides."""
    page = results.list_results(run, scorers, where=ResultFilter(), limit=WORST_SHOWN)
    worst = [line for line in page.items if not line.result.is_passed]
    missing = [Missing("", reason) for reason in summary.failures]
    missing += [Missing(one.slug, reason) for one in summary.scorers for reason in one.reasons]
    return {
        "overall": summary.overall,
        "worst": worst,
        "missing": missing,
        "is_silent": summary.overall.scored == 0,
        "is_passed_whole": summary.overall.passed == summary.examples,
        "charts": _charts(run, summary),
        "classes": [one for one in summary.scorers if one.labels],
    }


def _charts(run: EvalRun, summary: Summary) -> list[tuple[Chart, str]]:
    """The charts of a run that has scores, each with the name of its table's first column."""
    if not summary.overall.examples:
        return []
    spread = run_charts.distribution(
        id="chart-spread",
        title=_("How are the scores spread?"),
        subtitle=_("Examples by score"),
        column=_("Examples"),
        bins=summary.overall.histogram,
    )
    tail = run_charts.worst_first(
        id="chart-tail",
        title=_("How bad are the worst?"),
        subtitle=_("Score, worst examples first"),
        column=_("Score"),
        worst=_("worst tenth"),
        values=results.worst_first(run),
    )
    return [(spread, _("Score")), (tail, _("Percentile of examples"))]


# --- What can be done with a run ----------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
@require_POST
def run_cancel(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """End the run early; what was measured until then stays."""
    run = runs.get_run(project, number)
    try:
        running.cancel_run(run=run, actor=request.actor, now=clock.now())
    except DomainError as error:
        messages.error(request, error.text)
    else:
        messages.success(request, _("The run ends within seconds. What it measured until then stays."))
    return redirect("eval_run", project=project.slug, number=number)


@project_page(role=Role.EDITOR)
@require_POST
def run_retry(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Try the examples that failed once more."""
    run = runs.get_run(project, number)
    try:
        running.retry_failed(run=run, actor=request.actor, now=clock.now())
    except DomainError as error:
        messages.error(request, error.text)
    else:
        messages.success(request, _("What failed is tried once more. The rest stays as it is."))
    return redirect("eval_run", project=project.slug, number=number)


# --- Runs of a prompt ---------------------------------------------------------------------------------------


@project_page()
def prompt_evals(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """How did each version of the prompt do?"""
    context = {
        "project": project,
        "tab": "runs",
        "prompt_name": prompt,
        "versions": runs.runs_of_prompt(project, prompt),
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return page_or_fragment(request, "evals/run_prompt.html", "evals/_prompt_evals.html", context)

"""Pages of runs: the list, a new one, one run while it goes on and when it ended."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from apps.core import clock
from apps.core.http import page_or_fragment
from apps.evals.run_forms import STATE_WORDS, RunsForm, read_filter
from apps.evals.selectors import runs
from apps.evals.selectors.runs import RunFilter
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role

SNIPPET = """\
export PRODWORTHY_URL=https://prodworthy.example.com
export PRODWORTHY_KEY=...
evals run --set golden --prompt support/answer --scorer exact"""


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


@project_page()
def run_page(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Did it pass?"""
    run = runs.get_run(project, number)
    context = {
        "project": project,
        "tab": "runs",
        "run": run,
        "line": runs.run_line(run),
        "progress": runs.progress_of(run, clock.now()),
    }
    return render(request, "evals/run.html", context)

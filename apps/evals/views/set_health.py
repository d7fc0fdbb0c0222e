"""The page of a set's health: what it lacks, and what to do about each thing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import charts, clock, formats
from apps.core.charts import Chart
from apps.core.errors import DomainError
from apps.core.http import wants_fragment
from apps.core.navigation import address
from apps.evals import health
from apps.evals.health import Action, Health, Line, Standing
from apps.evals.models import EvalSet
from apps.evals.selectors import set_health as selectors
from apps.evals.selectors.sets import get_set, newest_revision
from apps.evals.services import set_health
from apps.evals.set_import_forms import KeepForm
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role

LOOKS = {
    Standing.OK: ("ok", "OK"),
    Standing.LOOK: ("warn", "Look"),
    Standing.BAD: ("fail", "Bad"),
    Standing.UNKNOWN: ("unset", "Not measured"),
}
EXAMPLES = charts.Unit(formats.number, ((1e4, 1e3, " k"), (0, 1, "")))


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table, with its look and the link that would help."""

    line: Line
    look: str
    word: str
    url: str
    act: str


@project_page()
@require_safe
def health_page(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """How far the set can be relied on. What takes long is worked out by a task; the page follows it by itself."""
    eval_set = get_set(project, slug)
    now = clock.now()
    row = set_health.ask(eval_set=eval_set, now=now)
    is_waiting = row.asked_at is not None
    found = selectors.figures_of(row)
    if wants_fragment(request):
        context = {"project": project, "eval_set": eval_set, "row": row, "is_waiting": is_waiting}
        response = render(request, "evals/_health_state.html", context)
        if not is_waiting:
            response["HX-Refresh"] = "true"
        return response
    context = {
        "project": project,
        "eval_set": eval_set,
        "revision": newest_revision(eval_set),
        "set_tab": "health",
        "may_write": request.membership.rank.allows(Role.EDITOR),
        "row": row,
        "is_waiting": is_waiting,
        "health": found,
        "is_behind": row.revision != eval_set.head,
        "rows": [] if found is None else _rows(project, eval_set, found),
        "chart": None if found is None else _chart(found),
        "add_url": address("eval_example_add", project.slug),
        "may_change": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "evals/health.html", context)


def _rows(project: Project, eval_set: EvalSet, found: Health) -> list[_Row]:
    rows = []
    for line in health.lines(found):
        look, word = LOOKS[line.standing]
        url, act = _act(line.action, project, eval_set)
        rows.append(_Row(line, look, _(word), url, act))
    return rows


def _act(action: Action, project: Project, eval_set: EvalSet) -> tuple[str, str]:
    """Where to go, and in which words; empty when there is nothing to do or no page for it."""
    runs, traces = address("eval_runs", project.slug) or "", address("traces", project.slug) or ""
    base = f"{address('eval_sets', project.slug) or ''}/{eval_set.slug}"
    places = {
        Action.ADD: (f"{base}/import", _("Import examples")),
        Action.REVIEW: (base, _("Review examples")),
        Action.SLICE: (base, _("Put them in slices")),
        Action.RUN: (runs, _("Start a run")),
        Action.FEATURE: (base, _("Name a feature")),
        Action.DUPLICATES: ("#health-duplicates", _("Keep one of each")),
        Action.TRAFFIC: ("#health-uncovered", _("Add what is missing")),
        Action.HARDER: (traces, _("Look for harder ones")),
    }
    return places.get(action, ("", ""))


def _chart(found: Health) -> Chart:
    times = [datetime.fromisoformat(point.at) for point in found.growth]
    series = [
        charts.Series(_("approved"), [point.approved for point in found.growth], 1),
        charts.Series(_("all"), [point.examples for point in found.growth], 2),
    ]
    return charts.lines(
        id="growth",
        title=_("Does the set grow?"),
        times=times,
        series=series,
        unit=EXAMPLES,
        subtitle=_("Examples over time"),
        targets=[charts.Target(found.minimum_examples, _("needed"))],
    )


@project_page(role=Role.EDITOR)
@require_POST
def health_keep(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Keep one of several examples that ask the same, and remove the others."""
    form = KeepForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose which example to keep."))
        return redirect("eval_set_health", project=project.slug, slug=slug)
    try:
        revision = set_health.keep_one(
            eval_set=get_set(project, slug),
            key=form.cleaned_data["key"],
            others=form.cleaned_data["other"],
            actor=request.actor,
            now=clock.now(),
        )
    except DomainError as error:
        messages.error(request, error.text)
    else:
        messages.success(
            request,
            _("Revision %(number)s is made: %(removed)s removed.")
            % {"number": revision.number, "removed": revision.removed},
        )
    return redirect("eval_set_health", project=project.slug, slug=slug)

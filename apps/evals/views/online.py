"""Pages of online evals: the list, one with its coverage, the form, pausing and trying again."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from apps.core import charts, clock, formats
from apps.core.errors import DomainError
from apps.evals.models import OnlineEval
from apps.evals.online import Coverage
from apps.evals.online_forms import OnlineForm
from apps.evals.selectors import gates as gate_selectors
from apps.evals.selectors import online as selectors
from apps.evals.selectors import scorers as scorer_selectors
from apps.evals.services import online as services
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role

SCORE = charts.Unit(lambda value: formats.number(value, 3), ((0, 1, ""),))
STATES = {"waiting", "done", "not_scored", "failed"}


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {"project": project, "tab": "online", "may_write": request.membership.rank.allows(Role.EDITOR)}


@project_page()
def online_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Which production calls are scored, and how many were?"""
    lines = selectors.list_online_evals(project, now=clock.now())
    return render(request, "evals/online.html", {**_frame(request, project), "lines": lines})


@project_page()
def online_eval(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """How much was scored, how well, and why was the rest not?"""
    online = selectors.get_online_eval(project, uuid)
    line = selectors.online_line(online, now=clock.now())
    state = request.GET.get("state", "")
    context = {
        **_frame(request, project),
        "online": online,
        "line": line,
        "coverage": line.coverage,
        "charts": _charts(line.coverage),
        "state": state if state in STATES else "",
        "page": selectors.list_items(online, state=state if state in STATES else "", before=_before(request)),
    }
    return render(request, "evals/online_eval.html", context)


def _before(request: ProjectRequest) -> int | None:
    given = request.GET.get("cursor", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else None


def _charts(found: Coverage) -> list[charts.Chart]:
    times = [datetime.combine(day.day, time(), UTC) for day in found.days]
    counts = [
        charts.Series(str(_("Scored")), [day.scored for day in found.days], 1),
        charts.Series(str(_("Not scored")), [day.not_scored for day in found.days], 7),
        charts.Series(str(_("Failed")), [day.failed for day in found.days], 8),
        charts.Series(str(_("Waiting")), [day.waiting for day in found.days], 5),
    ]
    means = [charts.Series(str(_("Mean")), [day.mean for day in found.days], 1)]
    return [
        charts.stacked_bars(
            id="coverage", title=str(_("How much was scored?")), subtitle=str(_("scores a day, UTC")),
            times=times, series=counts, unit=charts.COUNT,
        ),
        charts.lines(
            id="trend", title=str(_("How good were the answers?")), subtitle=str(_("mean score a day")),
            times=times, series=means, unit=SCORE,
        ),
    ]  # fmt: skip


@project_page(role=Role.EDITOR)
def online_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say which calls shall be scored."""
    form = _form(request, project, {})
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_online_eval(project=project, spec=form.spec(), actor=request.actor, now=clock.now())
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("Calls that arrive from now on are sampled."))
            return redirect("online_eval", project=project.slug, uuid=made.uuid)
    return _show_form(request, project, form, None)


@project_page(role=Role.EDITOR)
def online_edit(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Change what is scored from now on."""
    online = selectors.get_online_eval(project, uuid)
    line = selectors.online_line(online, now=clock.now(), days=1)
    initial = {
        **online.filters,
        "name": online.name,
        "percent": online.percent.normalize(),
        "most_a_day": online.most_a_day,
        "budget_usd_a_day": online.budget_usd_a_day and online.budget_usd_a_day.normalize(),
        "scorers": [one.version.scorer.slug for one in line.scorers],
    }
    form = _form(request, project, initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_online_eval(online=online, spec=form.spec(), actor=request.actor, now=clock.now())
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("Changed."))
            return redirect("online_eval", project=project.slug, uuid=online.uuid)
    return _show_form(request, project, form, online)


def _form(request: ProjectRequest, project: Project, initial: dict[str, Any]) -> OnlineForm:
    return OnlineForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        lines=scorer_selectors.list_scorers(project),
        environments=gate_selectors.list_environments(project),
    )


def _show_form(request: ProjectRequest, project: Project, form: OnlineForm, online: OnlineEval | None) -> HttpResponse:
    context = {
        **_frame(request, project),
        "form": form,
        "online": online,
        "has_scorers": bool(form.fields["scorers"].choices),  # type: ignore[attr-defined]
    }
    return render(request, "evals/online_edit.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
@require_POST
def online_pause(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Stop, or go on."""
    online = selectors.get_online_eval(project, uuid)
    services.pause(online=online, is_on=not online.is_on, actor=request.actor, now=clock.now())
    return redirect("online_eval", project=project.slug, uuid=online.uuid)


@project_page(role=Role.EDITOR)
@require_POST
def online_retry(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Try again what failed."""
    online = selectors.get_online_eval(project, uuid)
    count = services.retry_failed(online=online, actor=request.actor, now=clock.now())
    text = ngettext("%(count)s score is tried again.", "%(count)s scores are tried again.", count)
    messages.success(request, text % {"count": count})
    return redirect("online_eval", project=project.slug, uuid=online.uuid)


@project_page(role=Role.EDITOR)
@require_POST
def online_delete(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Forget it; scores in telemetry stay."""
    online = selectors.get_online_eval(project, uuid)
    services.delete_online_eval(online=online, actor=request.actor, now=clock.now())
    messages.success(request, _("The online eval is removed. Its scores stay."))
    return redirect("online_evals", project=project.slug)

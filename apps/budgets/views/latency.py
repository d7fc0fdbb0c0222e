"""Pages of latency targets: the list, setting one, one with its course, and measuring it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.budgets import latency_pictures as pictures
from apps.budgets.latency_forms import LatencyTargetForm, MeasureForm
from apps.budgets.latency_goals import FIELDS, Measure
from apps.budgets.latency_judging import NEEDED
from apps.budgets.models import LatencyTarget
from apps.budgets.selectors import latency as selectors
from apps.budgets.services import latency_evidence, latency_targets
from apps.core import charts, clock
from apps.core.errors import DomainError
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.selectors import list_environments, list_features
from apps.projects.types import Role
from apps.prompts.selectors.releases import releases_in

MOST_NAMED_RELEASES = 3


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "tab": "latency_targets",
        "is_admin": request.membership.rank.allows(Role.ADMIN),
        "may_measure": request.membership.rank.allows(Role.EDITOR),
        "needed": NEEDED,
    }


@project_page()
@require_safe
def latency_targets_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is promised, is it kept, and was it measured?"""
    now = clock.now()
    targets = selectors.list_targets(project)
    newest = selectors.newest_by_target(project, targets)
    lines = [
        {"state": state, "look": selectors.look_of(state.target, newest.get(state.target.pk), now)}
        for state in selectors.read_states(project, targets, now)
    ]
    return render(request, "budgets/latency_targets.html", {**_frame(request, project), "lines": lines})


@project_page(role=Role.ADMIN)
def latency_target_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Promise something."""
    initial = {name: request.GET[name] for name in ("feature", "environment") if name in request.GET}
    form = _form(request, project, None, {"window_days": 28, "environment": "production", **initial})
    if request.method == "POST" and form.is_valid():
        told = form.cleaned_data
        new = latency_targets.NewTarget(told["feature"], told["environment"], form.goals, told["window_days"])
        try:
            target = latency_targets.create_target(project=project, target=new, actor=request.actor, now=clock.now())
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The target is set. Its budget is looked at each minute."))
            return redirect("latency_target", project=project.slug, uuid=target.uuid)
    return _edit_page(request, project, form, None)


@project_page(role=Role.ADMIN)
def latency_target_edit(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Promise something else."""
    target = selectors.get_target(project, uuid)
    initial = {name: getattr(target, name) for name in ("feature", "environment", "window_days", *FIELDS)}
    form = _form(request, project, target, initial)
    if request.method == "POST" and form.is_valid():
        try:
            latency_targets.change_target(
                target=target,
                goals=form.goals,
                window_days=form.cleaned_data["window_days"],
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The target is changed. Evidence for other goals counts no more."))
            return redirect("latency_target", project=project.slug, uuid=target.uuid)
    return _edit_page(request, project, form, target)


def _form(
    request: ProjectRequest, project: Project, target: LatencyTarget | None, initial: dict[str, Any]
) -> LatencyTargetForm:
    return LatencyTargetForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        environments=list_environments(project),
        is_placed=target is not None,
    )


def _edit_page(
    request: ProjectRequest, project: Project, form: LatencyTargetForm, target: LatencyTarget | None
) -> HttpResponse:
    context = {
        **_frame(request, project),
        "form": form,
        "target": target,
        "features": [feature.slug for feature in list_features(project)],
    }
    return render(request, "budgets/latency_target_edit.html", context, status=422 if form.errors else 200)


@project_page(role=Role.ADMIN)
@require_POST
def latency_target_remove(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Promise nothing any more."""
    target = selectors.get_target(project, uuid)
    latency_targets.remove_target(target=target, actor=request.actor, now=clock.now())
    messages.success(request, _("The target is gone."))
    return redirect("latency_targets", project=project.slug)


@project_page()
@require_safe
def latency_target(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """One target: is it kept, how does its budget burn, and what was measured?"""
    form = MeasureForm(initial={"environment": "staging", "days": 7}, environments=list_environments(project))
    return _target_page(request, project, selectors.get_target(project, uuid), form)


@project_page(role=Role.EDITOR)
@require_POST
def latency_measure(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Measure real calls for a target."""
    target, now = selectors.get_target(project, uuid), clock.now()
    form = MeasureForm(request.POST, environments=list_environments(project))
    if form.is_valid():
        try:
            latency_evidence.take_evidence(
                target=target,
                environment=form.cleaned_data["environment"],
                start=now - timedelta(days=form.cleaned_data["days"]),
                end=now,
                actor=request.actor,
                now=now,
            )
        except DomainError as error:
            form.add_error(None, error.text)
        else:
            messages.success(request, _("Measured. The evidence is kept with its numbers."))
            return redirect("latency_target", project=project.slug, uuid=target.uuid)
    return _target_page(request, project, target, form)


def _target_page(request: ProjectRequest, project: Project, target: LatencyTarget, form: MeasureForm) -> HttpResponse:
    now = clock.now()
    state, course = selectors.read_target(project, target, now)
    start = now - timedelta(days=target.window_days)
    evidence = selectors.list_evidence(project, target=target, limit=20)
    context = {
        **_frame(request, project),
        "target": target,
        "state": state,
        "kept_days": [(goal, *course.kept_days(goal)) for goal in target.goals],
        "charts": _charts(project, target, course, start, now),
        "incidents": selectors.list_incidents(target),
        "look": selectors.look_of(target, evidence[0] if evidence else None, now),
        "evidence": [(one, selectors.why_not_current(one, target, now)) for one in evidence],
        "form": form,
    }
    return render(request, "budgets/latency_target.html", context, status=422 if form.errors else 200)


def _charts(
    project: Project, target: LatencyTarget, course: selectors.Course, start: Any, now: Any
) -> list[charts.Chart]:
    releases = releases_in(project, start, now, environment=target.environment, feature=target.feature)
    events = [
        charts.Event(
            one.at, f"{one.prompt.rpartition('/')[2]} {one.version}" if place < MOST_NAMED_RELEASES else "", place
        )
        for place, one in enumerate(releases)
    ]
    measures = dict.fromkeys([Measure.TOTAL, *(goal.measure for goal in target.goals)])
    drawn = [pictures.percentiles(course, target.goals, measure) for measure in measures]
    middle = start + (now - start) / 2
    return [
        charts.with_events(one, events, middle=middle) for one in [*drawn, pictures.slow_shares(course, target.goals)]
    ]

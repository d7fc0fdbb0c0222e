"""Pages of gates: the list, one gate with its verdicts, its form, a report, and the part of a run's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment
from apps.evals.gate_config import GateConfig
from apps.evals.gate_forms import CheckForm, GateForm, initial_of
from apps.evals.gating import described
from apps.evals.models import Gate
from apps.evals.selectors import gates as selectors
from apps.evals.selectors import runs as run_selectors
from apps.evals.selectors import scorers as scorer_selectors
from apps.evals.selectors import sets as set_selectors
from apps.evals.services import gates as services
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "tab": "gates",
        "may_write": request.membership.rank.allows(Role.EDITOR),
        "is_admin": request.membership.rank.allows(Role.ADMIN),
    }


@project_page()
def gates_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What must a candidate meet, and did the last one?"""
    with_archived = request.GET.get("archived") == "yes"
    lines = selectors.list_gates(project, with_archived=with_archived)
    context = {**_frame(request, project), "lines": lines, "with_archived": with_archived}
    return render(request, "evals/gates.html", context)


@project_page()
def gate_page(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """What does this gate ask for, and what did it say of runs?"""
    gate = selectors.get_gate(project, slug)
    config = selectors.config_of(gate)
    context = {
        **_frame(request, project),
        "gate": gate,
        "config": config,
        "conditions": described(config),
        "reports": selectors.list_reports(gate),
        "runs": selectors.checkable_runs(gate),
    }
    return render(request, "evals/gate.html", context)


@project_page(role=Role.EDITOR)
def gate_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say what a candidate must meet."""
    wanted = request.GET.get("set", "")
    initial = {**initial_of(GateConfig(scorers=())), "eval_set": wanted, "minimum_pass_rate": 90}
    form = _form(request, project, initial)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            made = services.create_gate(
                project=project,
                gate=services.NewGate(
                    name=typed["name"],
                    slug=typed["slug"],
                    eval_set=set_selectors.get_set(project, typed["eval_set"]),
                    config=form.config(),
                    description=typed["description"],
                ),
                actor=request.actor,
                is_admin=request.membership.rank.allows(Role.ADMIN),
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The gate is made. Check a run by it."))
            return redirect("gate", project=project.slug, slug=made.slug)
    return _show_form(request, project, form, None)


@project_page(role=Role.EDITOR)
def gate_edit(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Change what a candidate must meet; reports by the old conditions do not hold any more."""
    gate = selectors.get_gate(project, slug)
    initial = {
        **initial_of(selectors.config_of(gate)),
        "name": gate.name,
        "slug": gate.slug,
        "description": gate.description,
        "eval_set": gate.eval_set.slug,
    }
    form = _form(request, project, initial)
    for name in ("slug", "eval_set"):
        form.fields[name].disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            services.change_gate(
                gate=gate,
                actor=request.actor,
                is_admin=request.membership.rank.allows(Role.ADMIN),
                now=clock.now(),
                config=form.config(),
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The gate is changed."))
            return redirect("gate", project=project.slug, slug=gate.slug)
    return _show_form(request, project, form, gate)


def _form(request: ProjectRequest, project: Project, initial: dict[str, Any]) -> GateForm:
    return GateForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        scorers=scorer_selectors.list_scorers(project),
        sets=set_selectors.choosable_sets(project),
        environments=selectors.list_environments(project),
    )


def _show_form(request: ProjectRequest, project: Project, form: GateForm, gate: Gate | None) -> HttpResponse:
    context = {
        **_frame(request, project),
        "form": form,
        "gate": gate,
        "scorer_rows": form.scorer_rows(),
        "has_sets": bool(form.fields["eval_set"].choices),  # type: ignore[attr-defined]
    }
    return render(request, "evals/gate_edit.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
@require_POST
def gate_check(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Judge a run and show the report."""
    gate = selectors.get_gate(project, slug)
    form = CheckForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a run."))
        return redirect("gate", project=project.slug, slug=gate.slug)
    run = run_selectors.get_run(project, form.cleaned_data["run"])
    try:
        report = services.check_gate(gate=gate, run=run, actor=request.actor, now=clock.now())
    except DomainError as error:
        messages.error(request, error.text)
        return redirect("gate", project=project.slug, slug=gate.slug)
    return redirect("gate_report", project=project.slug, uuid=report.uuid)


@project_page(role=Role.EDITOR)
@require_POST
def gate_archive(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Take the gate off the list, or put it back."""
    gate = selectors.get_gate(project, slug)
    is_archived = gate.archived_at is None
    services.archive_gate(gate=gate, actor=request.actor, now=clock.now(), is_archived=is_archived)
    messages.success(request, _("The gate is archived.") if is_archived else _("The gate is back on the list."))
    return redirect("gate", project=project.slug, slug=gate.slug)


@project_page()
def gate_report(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Did it pass, and by which numbers?"""
    view = selectors.get_report(project, uuid)
    context = {
        **_frame(request, project),
        "view": view,
        "report": view.report,
        "run": view.report.run,
        "gate": view.report.gate,
        "currency": services.is_current(view.report),
    }
    return render(request, "evals/gate_report.html", context)


@project_page()
def run_gate(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """What do the gates over this run's set say of it?"""
    run = run_selectors.get_run(project, number)
    context = {
        **_frame(request, project),
        "run": run,
        "is_over": not run_selectors.run_line(run).is_open,
        "gates": selectors.gates_of_run(run),
    }
    return page_or_fragment(request, "evals/gate_run.html", "evals/_run_gate.html", context)

"""Pages of projections: the list, making one with its result beside the form, one with its approval, what-ifs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.reauthentication import is_fresh
from apps.budgets.models import Projection
from apps.budgets.projecting import Inputs, WhatIf
from apps.budgets.projection_chart import month_chart
from apps.budgets.projection_drift import ActualDay
from apps.budgets.projection_forms import DecideForm, ProjectionForm, initial_of
from apps.budgets.selectors import projection_inputs
from apps.budgets.selectors import projections as selectors
from apps.budgets.services import projections as services
from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.selectors import list_environments, list_features
from apps.projects.types import Role


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "tab": "projections",
        "may_make": request.membership.rank.allows(Role.EDITOR),
    }


@project_page()
@require_safe
def projections_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What may each feature cost, who approved it, and does it hold?"""
    lines = selectors.list_lines(project, person=request.user, role=_role(request), now=clock.now())
    lines.sort(key=lambda line: not line.waits_for_me)
    return render(request, "budgets/projections.html", {**_frame(request, project), "lines": lines})


def _role(request: ProjectRequest) -> Role:
    return Role(request.membership.role)


# --- Making one ---------------------------------------------------------------------------------------------


def _form(project: Project, data: Any, revises: Projection | None) -> ProjectionForm:
    initial: dict[str, Any] = dict(ProjectionForm.USUAL)
    if revises is not None:
        initial = initial_of(revises.name, revises.feature, revises.environment, Inputs.of_json(revises.inputs))
    environments = [one.slug for one in list_environments(project)]
    features = [one.slug for one in list_features(project)]
    return ProjectionForm(data, initial=initial, environments=environments, features=features)


def _revised(project: Project, told: Any) -> Projection | None:
    """The projection that the address names; None where it names none. Raises NotFound."""
    try:
        return selectors.get_projection(project, UUID(told["revises"])) if told.get("revises") else None
    except ValueError:
        return None


@project_page(unsafe=Role.EDITOR)
def projection_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """What will a month cost? With the result beside the form."""
    told = request.POST if request.method == "POST" else request.GET
    revises = _revised(project, told)
    form = _form(project, told if "model" in told else None, revises)
    result: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        try:
            if request.method == "POST":
                made = _make(request, project, form, revises)
                return redirect("projection", project=project.slug, uuid=made.uuid)
            result = _result(project, form)
        except DomainError as error:
            if request.method == "POST":
                show_error(form, error)
            result = {"problem": error.text}
    models = projection_inputs.known_models(project, now=clock.now())
    context = {**_frame(request, project), "form": form, "revises": revises, "models": models, **result}
    return render(request, "budgets/projection_new.html", context, status=422 if form.errors else 200)


def _make(request: ProjectRequest, project: Project, form: ProjectionForm, revises: Projection | None) -> Projection:
    return services.make_projection(
        project=project,
        name=form.cleaned_data["name"],
        feature=form.cleaned_data["feature"],
        environment=form.cleaned_data["environment"],
        inputs=form.inputs(),
        actor=request.actor,
        person=request.user,
        now=clock.now(),
        revises=revises,
    )


def _result(project: Project, form: ProjectionForm) -> dict[str, Any]:
    told, now = form.cleaned_data, clock.now()
    found = projection_inputs.gather(
        project, feature=told["feature"], environment=told["environment"], inputs=form.inputs(), now=now
    )
    return {"numbers": found.numbers, "price": found.price}


@project_page(role=Role.EDITOR)
@require_safe
def projection_result(request: ProjectRequest, project: Project) -> HttpResponse:
    """What do these inputs come to?"""
    form = _form(
        project, {"name": "-", **request.GET.dict(), **({} if request.GET.get("name") else {"name": "-"})}, None
    )
    context: dict[str, Any] = {"project": project, "form": form}
    if form.is_valid():
        try:
            context |= _result(project, form)
        except DomainError as error:
            context["problem"] = error.text
    return render(request, "budgets/_projection_result.html", context)


# --- One ----------------------------------------------------------------------------------------------------


@project_page()
@require_safe
def projection_page(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """What may it cost, who answers for that, and what did it cost?"""
    return _show(request, project, uuid)


def _show(
    request: ProjectRequest, project: Project, uuid: UUID, *, status: int = 200, form: Any = None
) -> HttpResponse:
    now = clock.now()
    projection, revisions = selectors.with_revisions(project, uuid)
    course: dict[str, Any] = {}
    if projection.state == Projection.State.APPROVED:
        found = selectors.course_of(project, projection, now=now)
        chart = _chart(project, projection, found.days, now)
        course = {"comparison": found.comparison, "months": found.months, "chart": chart}
    why_not = selectors.why_may_not_decide(projection, request.user, _role(request))
    context = {
        **_frame(request, project),
        "projection": projection,
        "numbers": selectors.numbers_of(projection),
        "inputs": Inputs.of_json(projection.inputs),
        "is_expired": projection.valid_until is not None and projection.valid_until <= now,
        "revisions": revisions,
        **course,
        "may_decide": why_not is None,
        "why_not": why_not if projection.state == Projection.State.ASKED else "",
        "decide_form": form or DecideForm(),
        "hash_holds": services.hash_of(projection) == projection.content_hash,
    }
    return render(request, "budgets/projection.html", context, status=status)


def _chart(project: Project, projection: Projection, days: list[ActualDay], now: datetime) -> Any:
    today = now.astimezone(ZoneInfo(project.timezone)).date()
    return month_chart(
        selectors.numbers_of(projection),
        days,
        today=today,
        title=_("Does each day cost what was projected?"),
        names=(_("spent"), _("projected"), _("low"), _("high")),
    )


@project_page(role=Role.EDITOR)
@require_POST
def projection_decide(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Ask for approval, approve, or reject. Approving asks who it is, where that was not proved lately."""
    projection = selectors.get_projection(project, uuid)
    form = DecideForm(request.POST)
    if not form.is_valid():
        return _show(request, project, uuid, status=422, form=form)
    decision, reason = form.cleaned_data["decision"], form.cleaned_data["reason"]
    if decision == "approve" and not is_fresh(request):
        raise ReauthenticationRequired
    try:
        messages.success(request, _decide(request, projection, decision, reason))
    except DomainError as error:
        if error.http_status == 422:
            show_error(form, error)
            return _show(request, project, uuid, status=422, form=form)
        messages.error(request, error.text)
    return redirect(reverse("projection", kwargs={"project": project.slug, "uuid": uuid}))


def _decide(request: ProjectRequest, projection: Projection, decision: str, reason: str) -> str:
    acting: Any = {"projection": projection, "actor": request.actor, "person": request.user, "now": clock.now()}
    if decision == "ask":
        services.ask(**acting)
        return _("It waits for a reviewer.")
    if decision == "reject":
        services.reject(**acting, reason=reason)
        return _("It is rejected, with your reason.")
    services.approve(**acting, reason=reason)
    return _("It is approved for 90 days, and compared with what is spent from tomorrow on.")


@project_page()
@require_safe
def projection_what_if(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """What would it cost with another model, or with more read from a cache?"""
    projection, now = selectors.get_projection(project, uuid), clock.now()
    chosen = request.GET.get("model", "").strip().replace("\x00", "")[:128]
    provider, slash, name = chosen.partition("/")
    models = projection_inputs.known_models(project, now=now)
    if chosen:
        models.insert(0, (provider, name) if slash else ("", chosen))
    rows = projection_inputs.what_ifs(
        project,
        inputs=Inputs.of_json(projection.inputs),
        calls=selectors.sample_of(projection),
        by_weekday=selectors.numbers_of(projection).calls_by_weekday,
        now=now,
        models=models,
    )
    context = {
        **_frame(request, project),
        "projection": projection,
        "chosen": chosen,
        "rates": projection_inputs.CACHE_RATES[1:],
        "rows": [(row[0], [(cell, _bar(cell, rows)) for cell in row]) for row in rows],
    }
    return page_or_fragment(request, "budgets/projection_what_if.html", "budgets/_projection_what_if.html", context)


def _bar(cell: WhatIf, rows: list[list[WhatIf]]) -> float:
    """Its cost as a share of the dearest, for the bar."""
    known = [each.numbers.month_usd for row in rows for each in row if each.numbers is not None]
    most = max(known, default=Decimal(0))
    return float(cell.numbers.month_usd / most) if cell.numbers is not None and most else 0.0

"""Pages of spend budgets: the list, making one with a preview on the past, and one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.budgets.budget_forms import BudgetForm, initial_of
from apps.budgets.budget_pictures import Words, course_chart, past_chart
from apps.budgets.models import Budget
from apps.budgets.selectors import budgets as selectors
from apps.budgets.services import budgets as services
from apps.budgets.spend_periods import PeriodKind
from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.selectors import list_environments, list_features
from apps.projects.types import Role


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {"project": project, "tab": "budgets", "is_admin": request.membership.rank.allows(Role.ADMIN)}


@project_page()
@require_safe
def budgets_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Does the spend stay within what was promised?"""
    statuses = selectors.read_statuses(project, selectors.list_budgets(project), now=clock.now())
    statuses.sort(key=lambda each: -each.share)
    return render(request, "budgets/budgets.html", {**_frame(request, project), "statuses": statuses})


def _form(project: Project, data: Any, budget: Budget | None) -> BudgetForm:
    initial = BudgetForm.USUAL if budget is None else initial_of(budget)
    environments = {one.slug for one in list_environments(project)} | ({budget.environment} if budget else set())
    features = {one.slug for one in list_features(project)} | ({budget.feature} if budget else set())
    return BudgetForm(data, initial=initial, environments=sorted(environments - {""}), features=sorted(features - {""}))


@project_page(role=Role.ADMIN)
def budget_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """What may be spent, and who hears of it? With the past beside the form."""
    return _edit(request, project, None)


@project_page(role=Role.ADMIN)
def budget_edit(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Say anew what the budget says."""
    return _edit(request, project, selectors.get_budget(project, uuid))


def _edit(request: ProjectRequest, project: Project, budget: Budget | None) -> HttpResponse:
    told = request.POST if request.method == "POST" else request.GET
    form = _form(project, told if "amount_usd" in told else None, budget)
    context: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        if request.method == "POST":
            try:
                saved = _save(request, project, form, budget)
            except DomainError as error:
                show_error(form, error)
            else:
                messages.success(request, _("The budget is saved and evaluated from now on."))
                return redirect("budget", project=project.slug, uuid=saved.uuid)
        else:
            context = _past(project, form)
    context |= {**_frame(request, project), "form": form, "budget": budget}
    return render(request, "budgets/budget_edit.html", context, status=422 if form.errors else 200)


def _save(request: ProjectRequest, project: Project, form: BudgetForm, budget: Budget | None) -> Budget:
    told = form.cleaned_data
    promise = services.Promise(
        told["name"], form.kind(), told["amount_usd"], told["is_hard"], told["told_at"], form.scope()
    )
    if budget is None:
        return services.make_budget(project=project, promise=promise, actor=request.actor, now=clock.now())
    return services.change_budget(budget=budget, promise=promise, actor=request.actor, now=clock.now())


def _past(project: Project, form: BudgetForm) -> dict[str, Any]:
    """The past as the budget of this form would have seen it."""
    amount, at = form.cleaned_data["amount_usd"], form.cleaned_data["told_at"]
    found = selectors.preview(project, scope=form.scope(), kind=form.kind(), amount_usd=amount, at=at, now=clock.now())
    words = Words(_("What did each period cost?"), _("spent"), _("budget"))
    bars = [(each.period.first, each.spent_usd) for each in found.periods]
    return {
        "preview": found,
        "chart": past_chart(bars, amount, words),
        "times": [(each, found.times(each)) for each in at],
    }


@project_page(role=Role.ADMIN)
@require_safe
def budget_preview(request: ProjectRequest, project: Project) -> HttpResponse:
    """What would such a budget have told in the past?"""
    data = request.GET.copy()
    data["name"] = data.get("name") or "-"
    form = _form(project, data, None)
    context: dict[str, Any] = {"project": project, "form": form}
    if form.is_valid():
        context |= _past(project, form)
    return render(request, "budgets/_budget_preview.html", context)


@project_page()
@require_safe
def budget_page(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """How much is spent, where does it lead, and what was told?"""
    now = clock.now()
    budget = selectors.get_budget(project, uuid)
    past = selectors.preview(
        project,
        scope=budget.scope,
        kind=PeriodKind(budget.period),
        amount_usd=budget.amount_usd,
        at=budget.thresholds,
        now=now,
    )
    status = past.status_of(budget)
    outlook = selectors.look_ahead(project, budget, status.period, status.spend, now=now, already=past.days)
    words = Words(_("Where does this month's spend lead?"), _("spent"), _("budget"), _("forecast"), _("low"), _("high"))
    past_words = Words(_("What did each period cost?"), _("spent"), _("budget"))
    bars = [(each.period.first, each.spent_usd) for each in past.periods]
    context = {
        **_frame(request, project),
        "budget": budget,
        "status": status,
        "outlook": outlook,
        "course": course_chart(
            [(each.day, each.cost_usd) for each in outlook.days], outlook.forecast, budget.amount_usd, words
        )
        if outlook.days
        else None,
        "past": past_chart(bars, budget.amount_usd, past_words),
        "matches": past.matches,
        "told": selectors.list_told(budget),
    }
    return render(request, "budgets/budget.html", context)


@project_page(role=Role.ADMIN)
@require_POST
def budget_archive(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """End it."""
    budget = selectors.get_budget(project, uuid)
    services.archive_budget(budget=budget, actor=request.actor, now=clock.now())
    messages.success(request, _("The budget is archived. What it told stays in the notices."))
    return redirect("budgets", project=project.slug)

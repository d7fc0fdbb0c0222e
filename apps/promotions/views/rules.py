"""Pages of release rules: what must be shown where, and their form."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock
from apps.core.errors import DomainError
from apps.evals.selectors.runs import prompt_names
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.selectors import list_environments
from apps.projects.types import Role
from apps.promotions.models import ReleaseRule
from apps.promotions.rule_forms import RuleForm, initial_of
from apps.promotions.selectors import rule_pages
from apps.promotions.selectors import rules as selectors
from apps.promotions.services import rules as services
from apps.prompts.selectors import get_prompt
from apps.prompts.selectors.versions import get_environment

RULE_FIELDS = ("feature", "approvals_needed", "asks_on_merge", "guardrails", "rolls_back", "watch_hours")


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {"project": project, "tab": "rules", "is_admin": request.membership.rank.allows(Role.ADMIN)}


@project_page()
@require_safe
def release_rules(request: ProjectRequest, project: Project) -> HttpResponse:
    """What must a candidate show before it goes live, and which prompt has no rule?"""
    context = {**_frame(request, project), "places": rule_pages.places_of(project)}
    return render(request, "promotions/rules.html", context)


@project_page(role=Role.ADMIN)
def release_rule_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say what must be shown before something goes live."""
    wanted = {name: request.GET[name] for name in ("environment", "prompt", "feature") if name in request.GET}
    return _edit(request, project, None, {**initial_of(None), **wanted})


@project_page(role=Role.ADMIN)
def release_rule(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Change a rule. What waits for a decision is judged by the new one."""
    rule = selectors.get_rule(project, uuid)
    return _edit(request, project, rule, initial_of(rule, selectors.gates_of(rule)))


def _edit(request: ProjectRequest, project: Project, rule: ReleaseRule | None, initial: dict[str, Any]) -> HttpResponse:
    form = _form(request, project, rule, initial)
    if request.method == "POST" and form.is_valid():
        try:
            _set(request, project, rule, form.cleaned_data)
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The rule is set. What is open is judged by it when somebody decides."))
            return redirect("release_rules", project=project.slug)
    context = {**_frame(request, project), "form": form, "rule": rule}
    return render(request, "promotions/rule_edit.html", context, status=422 if form.errors else 200)


def _form(request: ProjectRequest, project: Project, rule: ReleaseRule | None, initial: dict[str, Any]) -> RuleForm:
    own = [] if rule is None else selectors.gates_of(rule)
    names = prompt_names(project)
    if rule is not None and rule.prompt is not None and rule.prompt.name not in names:
        names.append(rule.prompt.name)
    form = RuleForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        environments=[one for one in list_environments(project) if selectors.is_guarded(one)],
        prompts=names,
        gates=rule_pages.list_gates(project, besides=own),
    )
    if rule is not None:
        for name in ("environment", "prompt", "feature"):
            form.fields[name].disabled = True
    return form


def _set(request: ProjectRequest, project: Project, rule: ReleaseRule | None, told: dict[str, Any]) -> None:
    name = told["prompt"]
    prompt = (get_prompt(project, name) if name else None) if rule is None else rule.prompt
    new = services.NewRule(
        environment=get_environment(project, told["environment"]),
        gates=rule_pages.gates_named(project, told["gates"]),
        prompt=prompt,
        **{field: told[field] for field in RULE_FIELDS},
    )
    services.set_rule(project=project, rule=new, actor=request.actor, now=clock.now())


@project_page(role=Role.ADMIN)
@require_POST
def release_rule_remove(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Take a rule away: a more general one counts then, and without one nothing gets there."""
    services.remove_rule(rule=selectors.get_rule(project, uuid), actor=request.actor, now=clock.now())
    messages.success(request, _("The rule is gone."))
    return redirect("release_rules", project=project.slug)

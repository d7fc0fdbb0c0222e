"""Settings: environments and features."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.projects import selectors, services
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import EnvironmentChangeForm, EnvironmentForm, FeatureForm, NewFeatureForm, show_error
from apps.projects.models import Environment, Project, Role


@project_page(unsafe=Role.ADMIN)
def settings_environments(request: ProjectRequest, project: Project) -> HttpResponse:
    """The environments in their order, and a form for another."""
    form = EnvironmentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.add_environment(project=project, actor=request.actor, now=clock.now(), **form.cleaned_data)
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("%(name)s is added.") % {"name": made.slug})
            return redirect("settings_environments", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "environments": selectors.list_environments(project),
        "may_change": request.membership.rank.allows(Role.ADMIN),
    }
    return render(request, "settings/environments.html", context, status=422 if form.errors else 200)


@project_page(role=Role.ADMIN)
@require_POST
def environment_change(request: ProjectRequest, project: Project) -> HttpResponse:
    """Move, protect or remove one environment."""
    form = EnvironmentChangeForm(request.POST)
    if not form.is_valid():
        raise NotFound
    environment = selectors.get_environment(project=project, name=form.cleaned_data["name"])
    try:
        _change(request, project, environment, form.cleaned_data["action"])
    except services.EnvironmentInUse as error:
        messages.error(request, error.text)
    return redirect("settings_environments", project=project.slug)


def _change(request: ProjectRequest, project: Project, environment: Environment, action: str) -> None:
    now = clock.now()
    if action in {"up", "down"}:
        services.move_environment(project=project, environment=environment, up=action == "up")
    elif action == "remove":
        services.remove_environment(project=project, environment=environment, actor=request.actor, now=now)
        messages.success(request, _("%(name)s is removed.") % {"name": environment.slug})
    else:
        services.protect_environment(
            project=project,
            environment=environment,
            is_protected=action == "protect",
            actor=request.actor,
            now=now,
        )


@project_page(unsafe=Role.EDITOR)
def settings_features(request: ProjectRequest, project: Project) -> HttpResponse:
    """The features, and a form for another."""
    members = [membership.user for membership in selectors.list_members(project)]
    form = NewFeatureForm(request.POST or None, members=members)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.add_feature(
                project=project,
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                owner=form.owner_chosen(),
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("%(name)s is added.") % {"name": made.slug})
            return redirect("settings_features", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "features": selectors.list_features(project),
        "may_change": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "settings/features.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
def feature_edit(request: ProjectRequest, project: Project) -> HttpResponse:
    """Describe the feature that `?name=` names, and say who answers for it."""
    feature = selectors.get_feature(project=project, name=request.GET.get("name", ""))
    members = [membership.user for membership in selectors.list_members(project)]
    form = FeatureForm(
        request.POST or None,
        members=members,
        initial={"description": feature.description, "owner": str(feature.owner_id or "")},
    )
    if request.method == "POST" and form.is_valid():
        services.describe_feature(
            project=project,
            feature=feature,
            description=form.cleaned_data["description"],
            owner=form.owner_chosen(),
            actor=request.actor,
            now=clock.now(),
        )
        messages.success(request, _("Saved."))
        return redirect("settings_features", project=project.slug)
    context = {"project": project, "form": form, "feature": feature}
    return render(request, "settings/feature_edit.html", context, status=422 if form.errors else 200)

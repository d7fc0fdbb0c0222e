"""Settings: the project itself."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.reauthentication import fresh_sign_in_required
from apps.core import clock
from apps.core.errors import Invalid
from apps.projects import services
from apps.projects.access import LAST_PROJECT, ProjectRequest, project_page
from apps.projects.forms import DeleteProjectForm, GeneralForm, show_error
from apps.projects.models import Project, Role


@project_page(unsafe=Role.ADMIN)
def settings_general(request: ProjectRequest, project: Project) -> HttpResponse:
    """Name and time zone."""
    form = GeneralForm(request.POST or None, initial={"name": project.name, "timezone": project.timezone})
    if request.method == "POST" and form.is_valid():
        try:
            services.change_project(project=project, actor=request.actor, now=clock.now(), **form.cleaned_data)
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("settings_general", project=project.slug)
    return _page(request, project, form, DeleteProjectForm())


@project_page(role=Role.ADMIN)
@fresh_sign_in_required
@require_POST
def settings_delete(request: ProjectRequest, project: Project) -> HttpResponse:
    """Delete the project, after its name was typed."""
    form = DeleteProjectForm(request.POST)
    if form.is_valid():
        try:
            services.delete_project(project=project, actor=request.actor, now=clock.now(), **form.cleaned_data)
        except Invalid as error:
            show_error(form, error)
        else:
            request.session.pop(LAST_PROJECT, None)
            messages.success(request, _("%(project)s is deleted.") % {"project": project.name})
            return redirect("home")
    general = GeneralForm(initial={"name": project.name, "timezone": project.timezone})
    return _page(request, project, general, form)


def _page(request: ProjectRequest, project: Project, form: GeneralForm, delete_form: DeleteProjectForm) -> HttpResponse:
    context = {"project": project, "form": form, "delete_form": delete_form, "may_change": _may_change(request)}
    return render(request, "settings/general.html", context, status=422 if form.errors or delete_form.errors else 200)


def _may_change(request: ProjectRequest) -> bool:
    return request.membership.rank.allows(Role.ADMIN)

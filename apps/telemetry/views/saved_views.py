"""Keeping the filters of a list under a name."""

from __future__ import annotations

from urllib.parse import parse_qsl
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.telemetry.list_filters import KEPT
from apps.telemetry.models import SavedView
from apps.telemetry.selectors import saved_views as selectors
from apps.telemetry.services import saved_views as services

PAGES = ("traces", "sessions", "users")


@project_page()
def saved_views(request: ProjectRequest, project: Project) -> HttpResponse:
    """Which views are there? Those of the person and those that are shared; sending the form keeps another."""
    if request.method == "POST":
        return _save(request, project)
    may_change_others = request.membership.rank.allows(Role.ADMIN)
    views = [
        (view, reverse(view.page, kwargs={"project": project.slug}), _is_changeable(request, view, may_change_others))
        for view in selectors.all_views(project, request.user)
    ]
    return render(request, "telemetry/saved_views.html", {"project": project, "views": views})


def _is_changeable(request: ProjectRequest, view: SavedView, may_change_others: bool) -> bool:
    return view.owner_id == request.user.pk or (view.is_shared and may_change_others)


def _save(request: ProjectRequest, project: Project) -> HttpResponse:
    page = request.POST.get("page", "")
    page = page if page in PAGES else PAGES[0]
    parameters = [pair for pair in parse_qsl(request.POST.get("query", "").lstrip("?")) if pair[0] in KEPT]
    query = request.POST.get("query", "")
    try:
        view = services.save_view(
            project,
            request.user,
            page=page,
            name=request.POST.get("name", ""),
            parameters=parameters,
            is_shared=request.POST.get("is_shared") == "1",
            now=clock.now(),
        )
    except DomainError as error:
        messages.error(request, error.text)
    else:
        messages.success(request, _("Saved as “%(name)s”.") % {"name": view.name})
        query = f"?{view.query}"
    return _back(project, page, query)


def _back(project: Project, page: str, query: str) -> HttpResponseRedirect:
    address = reverse(page, kwargs={"project": project.slug})
    return HttpResponseRedirect(f"{address}{query if query.startswith('?') else ''}")


@project_page()
@require_POST
def saved_view_change(request: ProjectRequest, project: Project, view: UUID) -> HttpResponse:
    """Rename a view, and say whether others see it."""
    may_change_others = request.membership.rank.allows(Role.ADMIN)
    found = selectors.get_view(project, request.user, view, may_change_others=may_change_others)
    try:
        services.change_view(found, name=request.POST.get("name", ""), is_shared=request.POST.get("is_shared") == "1")
        messages.success(request, _("Changed."))
    except DomainError as error:
        messages.error(request, error.text)
    return redirect("saved_views", project=project.slug)


@project_page()
@require_POST
def saved_view_delete(request: ProjectRequest, project: Project, view: UUID) -> HttpResponse:
    """Delete a view; the traces it showed stay."""
    may_change_others = request.membership.rank.allows(Role.ADMIN)
    found = selectors.get_view(project, request.user, view, may_change_others=may_change_others)
    services.delete_view(found)
    messages.success(request, _("Deleted “%(name)s”.") % {"name": found.name})
    return redirect("saved_views", project=project.slug)

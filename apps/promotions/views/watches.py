"""Pages of watches: the list, one, and the part of a promotion's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.http import page_or_fragment, wants_fragment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.promotions.selectors import watch_views
from apps.promotions.selectors import watches as selectors
from apps.promotions.types import WatchState


@project_page()
@require_safe
def watches_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What went live lately, and is it healthy?"""
    wanted = request.GET.get("state", "")
    state = wanted if wanted in [one.value for one in WatchState] else ""
    now = clock.now()
    context = {
        "project": project,
        "tab": "watches",
        "state": state,
        "states": [one.value for one in WatchState],
        "views": [watch_views.view_of(one, now=now) for one in selectors.list_watches(project, state=state)],
    }
    return render(request, "promotions/watches.html", context)


@project_page()
@require_safe
def watch_page(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """One watch with each guardrail."""
    watch = selectors.get_watch(project, uuid)
    context: dict[str, Any] = {
        "project": project,
        "tab": "watches",
        "view": watch_views.view_of(watch, now=clock.now()),
        "charts": watch_views.charts_of(watch),
    }
    return page_or_fragment(request, "promotions/watch.html", "promotions/_watch_body.html", context)


@project_page()
@require_safe
def watch_state(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """The watch of a promotion as a fragment; without htmx, the page of the watch or of the promotion."""
    watch = selectors.watch_of(project, number)
    if not wants_fragment(request):
        if watch is None:
            return redirect("promotion", project=project.slug, number=number)
        return redirect("watch", project=project.slug, uuid=watch.uuid)
    view = None if watch is None else watch_views.view_of(watch, now=clock.now())
    return render(request, "promotions/_watch_state.html", {"project": project, "number": number, "view": view})

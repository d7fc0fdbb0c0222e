"""Pages of what is live everywhere, what happened to it, and what changed before a moment."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.http import page_or_fragment
from apps.core.periods import read_moment
from apps.core.shell import ALL_ENVIRONMENTS
from apps.evals.selectors.runs import prompt_names
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.promotions.change_words import change_of, lead
from apps.promotions.deployment_forms import MomentForm, TimelineForm
from apps.promotions.selectors.changes import changes_before, feature_slugs
from apps.promotions.selectors.deployments import read_timeline


@project_page()
@require_safe
def deployments(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is live where now, and what happened to it, newest first; for htmx the timeline alone."""
    form = TimelineForm(request.GET, prompts=prompt_names(project), environments=_environments(request))
    where = form.where()
    cursor = request.GET.get("cursor", "")
    try:
        found = read_timeline(project, where, cursor=cursor, with_live=not cursor)
    except Invalid:
        cursor, found = "", read_timeline(project, where, with_live=True)
    context = {
        "project": project,
        "tab": "deployments",
        "form": form,
        "where": where,
        "live": found.live,
        "events": [change_of(event, event.at) for event in found.events],
        "next": found.next,
        "cursor": cursor,
    }
    return page_or_fragment(request, "promotions/deployments.html", "promotions/_deployments_timeline.html", context)


@project_page()
@require_safe
def changes(request: ProjectRequest, project: Project) -> HttpResponse:
    """Everything that changed in the hours before a moment, nearest first; for htmx the list alone."""
    at = read_moment(request.GET.get("at")) or clock.now()
    environments, features = _environments(request), feature_slugs(project)
    given: Any = request.GET.copy()
    if "env" in given and "environment" not in given and given["env"] != ALL_ENVIRONMENTS:
        given["environment"] = given["env"]
    given["at"] = f"{at:%Y-%m-%dT%H:%M:%S}"
    given.setdefault("hours", "24")
    form = MomentForm(given, prompts=prompt_names(project), environments=environments, features=features)
    where = form.where(at)
    found = changes_before(project, where, at=at)
    context = {
        "project": project,
        "tab": "changes",
        "form": form,
        "where": where,
        "at": at,
        "found": found,
        "lead": lead(found.nearest, form.hours_back),
        "has_features": bool(features),
        "later": _later(project, given),
    }
    return page_or_fragment(request, "promotions/changes.html", "promotions/_changes.html", context)


def _environments(request: HttpRequest) -> tuple[str, ...]:
    """The environments that the top bar offers; they were read with it."""
    shell = getattr(request, "shell", None)
    return shell.environments if shell is not None else ()


def _later(project: Project, given: Any) -> str:
    """The page for now, with everything else as it is."""
    kept = {name: given[name] for name in ("environment", "prompt", "feature", "hours") if given.get(name)}
    return f"{reverse('changes', kwargs={'project': project.slug})}?{urlencode(kept)}"

"""Pages of sample projects."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import Conflict
from apps.core.http import page_or_fragment
from apps.projects.access import LAST_PROJECT, PersonRequest, ProjectRequest, actor_of, person_page, project_page
from apps.projects.models import Project, Role
from apps.telemetry.selectors.sample import sample_state
from apps.telemetry.services import sample as samples


@person_page
@require_POST
def sample_create(request: PersonRequest) -> HttpResponse:
    """A sample project for whoever asks, or the one they have."""
    project = samples.create_sample(owner=request.user, actor=actor_of(request.user), now=clock.now())
    return redirect("overview", project=project.slug)


@project_page()
def sample(request: ProjectRequest, project: Project) -> HttpResponse:
    """What of the sample is real and what is invented; as a fragment, how far it is filled."""
    state = sample_state(project.pk)
    if state is None:
        raise Http404
    context = {"project": project, "state": state}
    return page_or_fragment(request, "telemetry/sample.html", "telemetry/_sample_state.html", context)


@project_page(role=Role.ADMIN)
@require_POST
def sample_remove(request: ProjectRequest, project: Project) -> HttpResponse:
    """Remove the sample project with everything in it."""
    try:
        samples.remove_sample(project=project, actor=request.actor, now=clock.now())
    except Conflict as error:
        messages.error(request, error.text)
        return redirect("overview", project=project.slug)
    request.session.pop(LAST_PROJECT, None)
    messages.success(request, _("The sample data is removed."))
    return redirect("home")

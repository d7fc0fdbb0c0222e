"""Pages of what is live: where, since when, by whom; making another version live; going back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment
from apps.projects import selectors as projects
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts import selectors
from apps.prompts import services as prompts
from apps.prompts.live_forms import DeployForm, WithdrawForm
from apps.prompts.live_places import Change, LivePlace, change_of, places_of
from apps.prompts.models import Prompt, Version
from apps.prompts.views.prompts import prompt_frame

MOST_HISTORY = 100
MOST_VERSIONS = 200
SHOWN_IN_REGION = 5


@project_page()
def prompt_live(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What is live in each environment, since when and by whom, and what was before; as a page or as a region."""
    found = selectors.get_prompt(project, prompt)
    history = selectors.list_deployments(found, limit=MOST_HISTORY)
    context = {
        **prompt_frame(request, project, found, "live"),
        "places": places_of(projects.list_environments(project), history),
        "history": history,
        "latest": selectors.latest_version(found),
    }
    return page_or_fragment(request, "prompts/live.html", "prompts/_live.html", context)


@project_page(role=Role.EDITOR)
def prompt_deploy(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Say what making a version live changes, for whom, and how to undo it; with `confirm`, do it.

    The address of a GET, or the form of a POST, may name `version` and `environment`.
    """
    found = selectors.get_prompt(project, prompt)
    history = selectors.list_deployments(found, limit=MOST_HISTORY)
    places = places_of(projects.list_environments(project), history)
    versions = selectors.list_versions(found, limit=MOST_VERSIONS)
    open_places = [place for place in places if not place.is_protected]
    given = request.POST if request.method == "POST" else request.GET
    form = DeployForm(
        given if "version" in given else None,
        versions=versions,
        environments=[place.environment for place in open_places],
        initial={"environment": given.get("environment", ""), "reason": given.get("reason", "")},
    )
    change = _change(form, open_places, versions)
    if request.method == "POST" and request.POST.get("confirm") and change is not None:
        try:
            _carry_out(request, found, change, form.cleaned_data["reason"])
        except DomainError as error:
            show_error(form, error)
        else:
            return redirect("prompt", project=project.slug, prompt=found.name)
    context = {
        **prompt_frame(request, project, found, "live"),
        "form": form,
        "change": change,
        "places": open_places,
        "has_versions": bool(versions),
    }
    return render(request, "prompts/live_deploy.html", context, status=422 if form.errors else 200)


def _change(form: DeployForm, places: list[LivePlace], versions: list[Version]) -> Change | None:
    """What the form asks for; None until it names a version and a place that there are."""
    if not form.is_bound or not form.is_valid():
        return None
    typed = form.cleaned_data
    place = next(one for one in places if one.environment.slug == typed["environment"])
    version = next(one for one in versions if str(one.number) == typed["version"])
    return change_of(place, version)


def _carry_out(request: ProjectRequest, prompt: Prompt, change: Change, reason: str) -> None:
    environment, number = change.place.environment, str(change.version.number)
    prompts.deploy(
        prompt=prompt,
        version=change.version,
        environment=environment,
        actor=request.actor,
        now=clock.now(),
        reason=reason,
    )
    messages.success(
        request,
        _("%(environment)s answers %(version)s, within five seconds everywhere.")
        % {"environment": environment.slug, "version": number},
    )


@project_page(role=Role.EDITOR)
def prompt_withdraw(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Say what it changes that nothing of the prompt is live in an environment any more, then do it."""
    found = selectors.get_prompt(project, prompt)
    given = request.POST if request.method == "POST" else request.GET
    slug = given.get("environment", "")
    environment = selectors.get_environment(project, slug)
    form = WithdrawForm(request.POST if request.method == "POST" else None, initial={"environment": slug})
    if request.method == "POST" and form.is_valid():
        try:
            prompts.withdraw(
                prompt=found,
                environment=environment,
                actor=request.actor,
                now=clock.now(),
                reason=form.cleaned_data["reason"],
            )
        except DomainError as error:
            show_error(form, error)
        else:
            text = _("Nothing of this prompt is live in %(environment)s any more.")
            messages.success(request, text % {"environment": slug})
            return redirect("prompt", project=project.slug, prompt=found.name)
    context = {
        **prompt_frame(request, project, found, "live"),
        "form": form,
        "environment": environment,
        "live": next((one for one in selectors.live_deployments(found) if one.environment_id == environment.pk), None),
    }
    return render(request, "prompts/live_withdraw.html", context, status=422 if form.errors else 200)

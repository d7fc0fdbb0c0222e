"""Puts the shell on each request: who looks, at which project, and which others they may switch to."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import User
from apps.core.shell import ProjectLink, Shell, waiting_counts
from apps.projects import selectors
from apps.projects.access import LAST_PROJECT
from apps.projects.models import Project


class ShellMiddleware:
    """Sets `request.shell`. It is worked out when a template first asks, so that API calls and fragments pay
    nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.shell = SimpleLazyObject(lambda: build_shell(request))  # type: ignore[attr-defined]
        return self.get_response(request)


def build_shell(request: HttpRequest) -> Shell | None:
    """The shell of whoever is signed in; None for anybody else."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return None
    projects = [membership.project for membership in selectors.list_memberships(user=user)]
    project: Project | None = getattr(request, "project", None)
    if project is None:  # a page of the person alone keeps the rail of the project they came from
        last = request.session.get(LAST_PROJECT)
        project = next((one for one in projects if one.slug == last), None)
    return Shell(
        person_name=str(user),
        person_initials=user.initials,
        person_email=user.email,
        theme=user.theme,
        project=None if project is None else _link(project),
        projects=tuple(_link(one) for one in projects),
        environments=()
        if project is None
        else tuple(environment.slug for environment in selectors.list_environments(project)),
        counts={} if project is None else waiting_counts(project.pk, user.pk),
    )


def _link(project: Project) -> ProjectLink:
    return ProjectLink(
        name=project.name,
        slug=project.slug,
        url=reverse("overview", kwargs={"project": project.slug}),
        is_sample=project.is_sample,
    )

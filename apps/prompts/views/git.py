"""Pages of prompts in git: how each stands, connecting a repository, deciding where both sides differ."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.reauthentication import fresh_before_typing
from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts import selectors as prompts
from apps.prompts.git import program
from apps.prompts.git.sides import sides
from apps.prompts.git.standing import State
from apps.prompts.git_forms import ChoiceForm, RemoteForm
from apps.prompts.models import GitRemote
from apps.prompts.selectors import git as selectors
from apps.prompts.services import git

SHOWN_LINES = 500


@project_page(role=Role.EDITOR)
def prompts_git(request: ProjectRequest, project: Project) -> HttpResponse:
    """How every prompt stands between here and the repository, what happened lately, and how to clone."""
    remote = selectors.find_remote(project)
    lines = selectors.in_git(remote) if remote is not None else []
    counts = Counter(line.state for line in lines)
    pushes = selectors.list_pushes(remote) if remote is not None else []
    context = {
        "project": project,
        "remote": remote,
        "has_git": program.is_available(),
        "may_connect": request.membership.rank.allows(Role.ADMIN),
        "clone": f"git clone {settings.PUBLIC_URL}/git/{project.slug}.git",
        "lines": sorted(lines, key=lambda line: (not line.needs_a_person, line.name))[:SHOWN_LINES],
        "counts": [(state, counts[state]) for state in State if counts[state]],
        "waiting": [line for line in lines if line.needs_a_person],
        "requests": [(push, selectors.request_link(remote, push)) for push in pushes] if remote is not None else [],
        "notes": selectors.list_notes(remote) if remote is not None else [],
        "now": clock.now(),
    }
    return render(request, "prompts/git.html", context)


@project_page(role=Role.ADMIN)
@fresh_before_typing
def prompts_git_connect(request: ProjectRequest, project: Project) -> HttpResponse:
    """Connect a repository, or change how it is connected."""
    remote = selectors.find_remote(project)
    form = RemoteForm(request.POST or None, remote=remote)
    if request.method == "POST" and form.is_valid():
        try:
            git.connect(project=project, wishes=_wishes(form), actor=request.actor, now=clock.now())
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("Connected. The repository is being looked at."))
            return redirect("prompts_git", project=project.slug)
    context = {"project": project, "form": form, "remote": remote, "has_git": program.is_available()}
    return render(request, "prompts/git_connect.html", context, status=422 if form.errors else 200)


def _wishes(form: RemoteForm) -> git.Wishes:
    told = form.cleaned_data
    is_key = told["credential"] == GitRemote.Credential.SSH_KEY
    return git.Wishes(
        url=told["url"],
        branch=told["branch"],
        prefix=told["folder"],
        credential=told["credential"],
        user=told["user"],
        secret=told["secret"] if is_key else told["secret"].strip(),
        known_hosts=told["known_hosts"],
        edits=told["edits"],
        publishing=told["publishing"],
    )


@project_page(role=Role.ADMIN)
def prompts_git_disconnect(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say what disconnecting changes, then do it."""
    remote = selectors.get_remote(project)
    if request.method == "POST":
        git.disconnect(remote=remote, actor=request.actor, now=clock.now())
        messages.success(request, _("The repository is no longer connected. Nothing in it was changed."))
        return redirect("prompts_git", project=project.slug)
    return render(request, "prompts/git_disconnect.html", {"project": project, "remote": remote})


@project_page(role=Role.EDITOR)
@require_POST
def prompts_git_sync(request: ProjectRequest, project: Project) -> HttpResponse:
    """Have the repository looked at now."""
    git.ask_for_sync(remote=selectors.get_remote(project), now=clock.now())
    messages.success(request, _("The repository is being looked at. Reload in a moment."))
    return redirect("prompts_git", project=project.slug)


@project_page(role=Role.EDITOR)
def prompts_git_compare(request: ProjectRequest, project: Project) -> HttpResponse:
    """Both texts of a prompt, and the choices where nothing goes on by itself."""
    remote = selectors.get_remote(project)
    form = ChoiceForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        return _decided(request, project, form.cleaned_data["name"], form.cleaned_data["choice"])
    line = selectors.get_line(remote, request.GET.get("name", "") or request.POST.get("name", ""))
    ours, theirs = sides(git.text_of(line), line.file.text if line.file is not None else "")
    context: dict[str, Any] = {
        "project": project,
        "remote": remote,
        "line": line,
        "ours": ours,
        "theirs": theirs,
        "may_take": line.file is not None and not line.file.problem and line.state is not State.IN_SYNC,
        "may_push": line.latest is not None and line.state is not State.IN_SYNC,
    }
    return render(request, "prompts/git_compare.html", context)


def _decided(request: ProjectRequest, project: Project, name: str, choice: str) -> HttpResponse:
    now = clock.now()
    try:
        if choice == ChoiceForm.DRAFT:
            draft = git.take_as_draft(project=project, name=name, actor=request.actor, now=now)
            messages.success(request, _("Git's text waits as a draft of %(name)s.") % {"name": draft.prompt.name})
        else:
            push = git.push_ours(project=project, name=name, actor=request.actor, now=now)
            messages.success(request, _("Our version goes to the branch %(branch)s.") % {"branch": push.branch})
    except DomainError as error:
        messages.error(request, error.text)
    return redirect("prompts_git", project=project.slug)


@project_page()
def prompt_git_state(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """How one prompt stands, as a region of its page."""
    found = prompts.get_prompt(project, prompt)
    remote = selectors.find_remote(project)
    line = selectors.get_in_git(remote, found) if remote is not None else None
    push = line.push if line is not None else None
    context = {
        "project": project,
        "prompt": found,
        "remote": remote,
        "line": line,
        "request_link": selectors.request_link(remote, push) if remote is not None and push is not None else "",
        "may_write": request.membership.rank.allows(Role.EDITOR),
        "page": reverse("prompts_git", kwargs={"project": project.slug}),
    }
    return render(request, "prompts/_prompt_git_state.html", context)

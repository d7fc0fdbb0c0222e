"""Pages of prompts: the list, one prompt, its versions, what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment
from apps.projects import selectors as projects
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts import editing, fetching, names, selectors, semver
from apps.prompts import services as prompts
from apps.prompts.content import Content
from apps.prompts.forms import NewPromptForm, RenameForm, SearchForm, SettingsForm
from apps.prompts.live_places import places_of
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.semver import Number
from apps.prompts.types import Kind

VERSIONS_SHOWN = 8
VERSIONS_ON_A_PAGE = 50
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


# --- The list -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Folder:
    """A line of the tree of folders."""

    path: str
    name: str
    depth: int
    is_open: bool


@project_page()
def prompts_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What do we tell the model, and what of it is live where?"""
    form = SearchForm(request.GET)
    chosen = form.cleaned_data if form.is_valid() else dict.fromkeys(form.fields, "")
    page = selectors.list_prompts(
        project,
        words=chosen["q"],
        folder=chosen["folder"],
        tag=chosen["tag"],
        with_archived=bool(chosen["archived"]),
        after=chosen["after"],
    )
    is_filtered = any(chosen[name] for name in ("q", "folder", "tag", "archived", "after"))
    folders = selectors.list_folders(project)
    context = {
        "project": project,
        "page": page,
        "chosen": chosen,
        "is_filtered": is_filtered,
        "is_empty": not page.items and not is_filtered,
        "folders": [_folder(path, chosen["folder"].rstrip("/")) for path in folders],
        "trail": _trail(chosen["folder"]),
        "tags": selectors.list_tags(project),
        "may_write": request.membership.rank.allows(Role.EDITOR),
        "snippets": fetching.snippets(address_of(request), "support/answer", "development"),
    }
    return page_or_fragment(request, "prompts/prompts.html", "prompts/_prompt_list.html", context)


def _folder(path: str, chosen: str) -> Folder:
    return Folder(path, path.rpartition("/")[2], path.count("/"), chosen == path)


def _trail(folder: str) -> list[tuple[str, str]]:
    """Each folder on the way to this one: its name and its path."""
    parts = [part for part in folder.split("/") if part]
    return [(part, "/".join(parts[: depth + 1])) for depth, part in enumerate(parts)]


def address_of(request: ProjectRequest) -> str:
    """Where services ask: the configured address, or on one's own machine the one that the browser used."""
    if urlsplit(settings.PUBLIC_URL).hostname in LOCAL_HOSTS:
        return f"{request.scheme}://{request.get_host()}"
    return str(settings.PUBLIC_URL)


@project_page(role=Role.EDITOR)
def prompt_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Name a prompt, then write it."""
    sent = request.POST if request.method == "POST" else None
    form = NewPromptForm(sent, initial={"name": _suggested_name(request)})
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            prompt = prompts.create_prompt(
                project=project,
                name=typed["name"],
                description=typed["description"],
                owner=request.user,
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            edit = reverse("prompt_edit", kwargs={"project": project.slug, "prompt": prompt.name})
            return redirect(f"{edit}?kind={typed['kind']}")
    return render(
        request, "prompts/prompt_new.html", {"project": project, "form": form}, status=422 if form.errors else 200
    )


def _suggested_name(request: ProjectRequest) -> str:
    folder = request.GET.get("folder", "").strip("/")
    return f"{folder}/" if folder and names.fault_of(folder) is None else ""


# --- One prompt ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A version with where it is live, and the one before it to compare with."""

    version: Version
    live_in: tuple[str, ...]
    before: Number | None

    @property
    def compare(self) -> str:
        """The query of the page that shows what changed; empty for the first version."""
        if self.before is None:
            return ""
        return "?" + urlencode({"from": str(self.before), "to": str(self.version.number)})


@project_page()
def prompt_page(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What does this prompt say, since when, and where is it live?"""
    found = selectors.get_prompt(project, prompt)
    if found.name != prompt:
        return redirect("prompt", project=project.slug, prompt=found.name)
    deployments = selectors.list_deployments(found)
    live = [deployment for deployment in deployments if deployment.ended_at is None]
    versions = selectors.list_versions(found, limit=VERSIONS_SHOWN + 1)
    drafts = selectors.list_drafts(found)
    latest = versions[0] if versions else None
    context = {
        **prompt_frame(request, project, found, "overview"),
        **_said(latest),
        "latest": latest,
        "places": places_of(projects.list_environments(project), deployments),
        "deployments": deployments,
        "history": _history(versions, live)[:VERSIONS_SHOWN],
        "has_more": len(versions) > VERSIONS_SHOWN,
        "drafts": [draft for draft in drafts if draft.author_id != request.user.pk],
        "own_draft": next((draft for draft in drafts if draft.author_id == request.user.pk), None),
        "snippets": fetching.snippets(address_of(request), found.name, _environment_to_ask(live)),
        "published": _just_published(request, versions),
    }
    return render(request, "prompts/prompt.html", context)


def prompt_frame(request: ProjectRequest, project: Project, prompt: Prompt, tab: str) -> dict[str, Any]:
    """What every page of the prompt shows around itself."""
    return {
        "project": project,
        "prompt": prompt,
        "tab": tab,
        "trail": _trail(prompt.folder),
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }


def _said(version: Version | None) -> dict[str, Any]:
    """The content of a version in the shapes that the page shows."""
    if version is None:
        return {"content": None}
    content = version.body
    typed = editing.typed_from_content(content)
    return {
        "content": content,
        "typed": typed,
        "variables": list(zip(content.variables, typed.variables, strict=True)),
        "tools": _tool_lines(content),
        "includes": version.includes,
    }


def _tool_lines(content: Content) -> list[tuple[str, str]]:
    """The name and the description of each tool."""
    functions = [tool["function"] for tool in content.tools]
    return [(str(one["name"]), str(one.get("description") or "")) for one in functions]


def _history(versions: Sequence[Version], live: Sequence[Deployment]) -> list[HistoryLine]:
    """The versions with the one before each; the last of them has none."""
    lines = []
    for at, version in enumerate(versions):
        where = tuple(one.environment.slug for one in live if one.version_id == version.pk)
        before = versions[at + 1].number if at + 1 < len(versions) else None
        lines.append(HistoryLine(version, where, before))
    return lines


def _environment_to_ask(live: Sequence[Deployment]) -> str:
    """The environment that the example asks: one where something is live, the least public one first."""
    return live[-1].environment.slug if live else "development"


def _just_published(request: ProjectRequest, versions: Sequence[Version]) -> Version | None:
    """The version that the person published a moment ago, as the address says."""
    wanted = semver.parse(request.GET.get("published", ""))
    return next((version for version in versions if version.number == wanted), None)


@project_page()
def prompt_versions(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Every version, newest first."""
    found = selectors.get_prompt(project, prompt)
    before = semver.parse(request.GET.get("before", ""))
    versions = selectors.list_versions(found, before=before, limit=VERSIONS_ON_A_PAGE + 1)
    history = _history(versions, selectors.live_deployments(found))[:VERSIONS_ON_A_PAGE]
    context = {
        **prompt_frame(request, project, found, "versions"),
        "history": history,
        "next": history[-1].version.number if len(versions) > VERSIONS_ON_A_PAGE else None,
        "is_first": before is None,
    }
    return render(request, "prompts/versions.html", context)


@project_page()
def prompt_version(request: ProjectRequest, project: Project, prompt: str, version: str) -> HttpResponse:
    """One version as it was published, for ever."""
    found = selectors.get_prompt(project, prompt)
    shown = selectors.get_version(found, version)
    older = selectors.list_versions(found, before=shown.number, limit=1)
    latest = selectors.latest_version(found)
    live = selectors.live_deployments(found)
    context = {
        **prompt_frame(request, project, found, "versions"),
        **_said(shown),
        "version": shown,
        "line": _history([shown, *older], live)[0],
        "latest": latest,
        "is_expanded": shown.resolved != shown.content["messages"],
    }
    return render(request, "prompts/version.html", context)


# --- Around the versions ------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def prompt_settings(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What it is for, whose it is, its tags, its name; and taking it off the lists."""
    found = selectors.get_prompt(project, prompt)
    members = [membership.user for membership in projects.list_members(project)]
    action = request.POST.get("do", "") if request.method == "POST" else ""
    is_admin = request.membership.rank.allows(Role.ADMIN)
    sent = request.POST if action == "change" else None
    around = SettingsForm(sent, members=members, is_admin=is_admin, initial=_around(found))
    rename = RenameForm(request.POST if action == "rename" else None, initial={"name": found.name})
    if action:
        done = _carry_out(request, found, action, around, rename)
        if done is not None:
            return redirect("prompt_settings", project=project.slug, prompt=done.name)
    context = {
        **prompt_frame(request, project, found, "settings"),
        "form": around,
        "rename": rename,
        "features": [feature.slug for feature in projects.list_features(project)],
    }
    is_refused = bool(around.errors or rename.errors)
    return render(request, "prompts/prompt_settings.html", context, status=422 if is_refused else 200)


def _around(prompt: Prompt) -> dict[str, Any]:
    return {
        "description": prompt.description,
        "owner": prompt.owner_id or "",
        "tags": ", ".join(prompt.tags),
        "feature": prompt.feature,
    }


def _carry_out(
    request: ProjectRequest, prompt: Prompt, action: str, around: SettingsForm, rename: RenameForm
) -> Prompt | None:
    """Do what a form asks for and say so. None when it was refused, which its form then shows."""
    form = rename if action == "rename" else around
    if form.is_bound and not form.is_valid():
        return None
    given: dict[str, Any] = {"prompt": prompt, "actor": request.actor, "now": clock.now()}
    try:
        if action == "change":
            typed = around.cleaned_data
            done = prompts.change_prompt(
                **given,
                description=typed["description"],
                owner=around.owner_chosen(),
                tags=around.tags_typed(),
                feature=typed["feature"],
                is_admin=request.membership.rank.allows(Role.ADMIN),
            )
            words = _("Saved.")
        elif action == "rename":
            done = prompts.rename_prompt(**given, name=rename.cleaned_data["name"])
            words = _("The prompt is called %(name)s. Its former names still work.") % {"name": done.name}
        elif action == "archive":
            done = prompts.archive_prompt(**given)
            words = _("%(name)s is off the lists. Its versions stay.") % {"name": done.name}
        else:
            done = prompts.restore_prompt(**given)
            words = _("%(name)s is back on the lists.") % {"name": done.name}
    except DomainError as error:
        if form.is_bound:
            show_error(form, error)
            return None
        messages.error(request, error.text)
        return prompt
    messages.success(request, words)
    return done


def kind_asked(request: ProjectRequest) -> Content:
    """The empty content of the kind that the address asks for."""
    return editing.EMPTY_TEXT if request.GET.get("kind") == Kind.TEXT.value else editing.EMPTY_CHAT

"""The editor: a plain form that saves a draft, with a preview beside it. Nothing that was typed is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.core.http import wants_fragment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts import diff_lines, editing, linting, rebasing, selectors
from apps.prompts import services as prompts
from apps.prompts.content import ROLES, BadContent, Content
from apps.prompts.editing import Problems, Typed
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.selectors.previews import findings_of, preview
from apps.prompts.types import Syntax, VariableType
from apps.prompts.views.prompts import kind_asked, prompt_frame
from apps.providers.selectors.connections import offered_models


@dataclass(frozen=True)
class Sheet:
    """The editor as it is to be shown: what is typed, the draft it belongs to, and what is to be said about it."""

    typed: Typed
    revision: int | None
    base: str
    problems: Problems = field(default_factory=dict)
    saved_at: datetime | None = None
    stored: Draft | None = None
    """The draft that was saved from elsewhere, when saving met one."""
    aside: Typed | None = None
    """A text that gave way to the one shown, and can be put back."""
    clashes: tuple[str, ...] = ()
    is_unsaved: bool = False
    """True for a text that a button changed and nobody has saved."""
    note: str = ""
    """What was noted with the draft elsewhere, for the page that publishes it."""
    source: str = ""
    """Where the text comes from when it is nobody's draft yet, in words."""

    @property
    def content(self) -> Content | None:
        """What is typed as a content; None while it is none."""
        try:
            return editing.content_of(self.typed)
        except BadContent:
            return None


# --- The page -----------------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def prompt_edit(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Write the prompt. A post saves the draft, or does what its button says, and keeps what was typed."""
    found = selectors.get_prompt(project, prompt)
    if request.method != "POST":
        around = _around(found)
        return _shown(request, project, found, _opened(request, found, around), around=around)
    sheet = _sent(request)
    action = request.POST.get("do", "save")
    if action in {"save", "publish", "try"} or action.startswith("keep:"):
        return _save(request, project, found, sheet, action)
    if action == "theirs":
        return _shown(request, project, found, _theirs(request, found, sheet))
    if action == "swap" and sheet.aside is not None:
        return _shown(request, project, found, _with(sheet, typed=sheet.aside, aside=sheet.typed, is_unsaved=True))
    if action.startswith("fix:"):
        return _shown(request, project, found, _mended(project, sheet, action))
    if action == "rebase":
        return _rebase(request, project, found, sheet)
    return _shown(request, project, found, _with(sheet, typed=editing.changed(sheet.typed, action), is_unsaved=True))


def _with(sheet: Sheet, **changes: Any) -> Sheet:
    kept = {name: getattr(sheet, name) for name in ("typed", "revision", "base", "aside", "note")}
    return Sheet(**{**kept, **changes})


class Around(NamedTuple):
    """Everybody's drafts and the newest version, read once for a page."""

    drafts: list[Draft]
    latest: Version | None

    def own(self, user: User) -> Draft | None:
        """This person's draft."""
        return next((draft for draft in self.drafts if draft.author_id == user.pk), None)


def _around(prompt: Prompt) -> Around:
    return Around(selectors.list_drafts(prompt), selectors.latest_version(prompt))


def _opened(request: ProjectRequest, prompt: Prompt, around: Around) -> Sheet:
    """The person's draft; or else what the address names, the newest version, or nothing yet."""
    draft, latest = around.own(request.user), around.latest
    if draft is not None:
        wanted = request.GET.get("from") or request.GET.get("take")
        source = _("You have a draft already, and this is it. Throw it away to begin with the other text.")
        return _of_draft(draft, source=source if wanted else "")
    base = "" if latest is None else str(latest.number)
    content, source = _start(request, prompt, latest)
    return Sheet(editing.typed_from_content(content), None, base, source=source)


def _of_draft(draft: Draft, **more: Any) -> Sheet:
    base = "" if draft.base is None else str(draft.base.number)
    typed = editing.typed_from_content(draft.body)
    return Sheet(typed, draft.revision, base, saved_at=draft.updated_at, note=draft.note, **more)


def _start(request: ProjectRequest, prompt: Prompt, latest: Version | None) -> tuple[Content, str]:
    """What a new draft begins with, and words for where that comes from."""
    if request.GET.get("from"):
        older = selectors.get_version(prompt, request.GET["from"])
        return older.body, _("Begins with version %(number)s.") % {"number": older.number}
    if request.GET.get("take"):
        draft = _draft_named(prompt, request.GET["take"])
        who = _("git") if draft.author is None else str(draft.author)
        return draft.body, _("Begins with the draft of %(who)s.") % {"who": who}
    return (kind_asked(request), "") if latest is None else (latest.body, "")


def _draft_named(prompt: Prompt, uuid: str) -> Draft:
    """A draft of the prompt by its id. Raises NotFound."""
    try:
        wanted = UUID(uuid)
    except ValueError as error:
        raise NotFound from error
    for draft in selectors.list_drafts(prompt):
        if draft.uuid == wanted:
            return draft
    raise NotFound


def _sent(request: ProjectRequest) -> Sheet:
    """The form as it was posted."""
    data = request.POST
    revision = data.get("revision", "")
    aside = editing.from_json(data["aside"]) if data.get("aside") else None
    typed = editing.typed_from_form(dict(data.lists()))
    known = int(revision) if revision.isdecimal() and len(revision) < 10 else None
    note = data.get("note", "").replace("\x00", "")
    return Sheet(typed, known, data.get("base", "")[:32], aside=aside, note=note)


# --- Saving -------------------------------------------------------------------------------------------------


def _stored(request: ProjectRequest, prompt: Prompt, sheet: Sheet, revision: int | None) -> Draft:
    """Save what was typed as the person's draft. Raises BadContent and DraftConflict.

    What another window saved is no conflict when it is the same.
    """
    content = editing.content_of(sheet.typed)
    base = None if not sheet.base else selectors.get_version(prompt, sheet.base)
    try:
        return prompts.save_draft(
            prompt=prompt,
            author=request.user,
            content=content,
            revision=revision,
            base=base,
            note=sheet.note,
            now=clock.now(),
        )
    except prompts.DraftConflict as conflict:
        if editing.same_content(conflict.draft.body, content):
            return conflict.draft
        raise


def _save(request: ProjectRequest, project: Project, prompt: Prompt, sheet: Sheet, action: str) -> HttpResponse:
    """Save, and go on to where the button leads; or show the form as it was, with what is wrong."""
    keeps = action.startswith("keep:")
    revision = int(action[5:]) if keeps and action[5:].isdecimal() and len(action) < 15 else sheet.revision
    given_way = selectors.get_draft(prompt, request.user) if keeps else None
    try:
        draft = _stored(request, prompt, sheet, revision)
    except BadContent as error:
        return _shown(request, project, prompt, _with(sheet, problems=error.details, is_unsaved=True), status=422)
    except prompts.DraftConflict as conflict:
        return _shown(request, project, prompt, _with(sheet, stored=conflict.draft), status=409)
    if given_way is not None and not editing.same_content(given_way.body, draft.body):
        return _shown(request, project, prompt, _of_draft(draft, aside=editing.typed_from_content(given_way.body)))
    if action == "try":
        query = urlencode({"prompt": prompt.name, "draft": "1"}, safe="/")
        return redirect(f"{reverse('playground', kwargs={'project': project.slug})}?{query}")
    page = "prompt_publish" if action == "publish" else "prompt_edit"
    return redirect(page, project=project.slug, prompt=prompt.name)


def _mended(project: Project, sheet: Sheet, action: str) -> Sheet:
    """With the fix of one finding applied, named by its place in the list and its code."""
    _verb, at, code = (*action.split(":", 2), "", "")[:3]
    content = sheet.content
    findings = [] if content is None else findings_of(project, content)
    if content is None or not at.isdecimal() or len(at) > 4 or int(at) >= len(findings):
        return sheet
    finding = findings[int(at)]
    if finding.code != code:
        return sheet
    return _with(sheet, typed=editing.typed_from_content(linting.fixed(content, finding)), is_unsaved=True)


def _theirs(request: ProjectRequest, prompt: Prompt, sheet: Sheet) -> Sheet:
    """What is stored, with what was typed here kept beside it."""
    draft = selectors.get_draft(prompt, request.user)
    return sheet if draft is None else _of_draft(draft, aside=sheet.typed)


def _rebase(request: ProjectRequest, project: Project, prompt: Prompt, sheet: Sheet) -> HttpResponse:
    """Bring what was typed onto the newest version and save it."""
    latest = selectors.latest_version(prompt)
    try:
        mine = editing.content_of(sheet.typed)
    except BadContent as error:
        return _shown(request, project, prompt, _with(sheet, problems=error.details), status=422)
    if latest is None or str(latest.number) == sheet.base:
        return _shown(request, project, prompt, sheet)
    base = selectors.get_version(prompt, sheet.base).body if sheet.base else mine
    merged = rebasing.rebase(base, mine, latest.body)
    typed = editing.typed_from_content(merged.content)
    moved = _with(sheet, typed=typed, base=str(latest.number), aside=sheet.typed, clashes=merged.clashes)
    try:
        draft = _stored(request, prompt, moved, sheet.revision)
    except prompts.DraftConflict as conflict:
        return _shown(request, project, prompt, _with(sheet, stored=conflict.draft), status=409)
    return _shown(request, project, prompt, _of_draft(draft, aside=sheet.typed, clashes=merged.clashes))


@project_page(role=Role.EDITOR)
def prompt_draft(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Save while somebody types, or throw the draft away; asked, say what happened elsewhere meanwhile."""
    found = selectors.get_prompt(project, prompt)
    if request.method != "POST":
        return render(request, "prompts/_draft_news.html", _news(request, project, found))
    if request.POST.get("do") == "discard":
        return _discard(request, project, found)
    sheet, status = _sent(request), 200
    try:
        draft = _stored(request, found, sheet, sheet.revision)
        sheet = Sheet(sheet.typed, draft.revision, sheet.base, saved_at=draft.updated_at)
    except BadContent as error:
        sheet, status = _with(sheet, problems=error.details), 422
    except prompts.DraftConflict as conflict:
        sheet, status = _with(sheet, stored=conflict.draft), 422
    if not wants_fragment(request):
        return _shown(request, project, found, sheet, status=status)
    context = {"project": project, "prompt": found, "sheet": sheet, **_conflict(sheet), "is_autosave": True}
    return render(request, "prompts/_draft_state.html", context, status=status)


def _discard(request: ProjectRequest, project: Project, prompt: Prompt) -> HttpResponse:
    draft = selectors.get_draft(prompt, request.user)
    revision = request.POST.get("revision", "")
    try:
        if draft is not None:
            known = int(revision) if revision.isdecimal() and len(revision) < 10 else None
            prompts.discard_draft(draft=draft, revision=known)
            messages.success(request, _("The draft is thrown away."))
    except DomainError as error:
        messages.warning(request, error.text)
        return redirect("prompt_edit", project=project.slug, prompt=prompt.name)
    return redirect("prompt", project=project.slug, prompt=prompt.name)


def _conflict(sheet: Sheet) -> dict[str, Any]:
    """What is stored beside what was typed."""
    if sheet.stored is None:
        return {}
    mine = sheet.content
    difference = None if mine is None else diff_lines.shown(sheet.stored.body, mine)
    return {"stored": sheet.stored, "difference": difference, "shape": "unified"}


def _news(request: ProjectRequest, project: Project, prompt: Prompt) -> dict[str, Any]:
    """What others do with the prompt, and what was published since this draft began."""
    base, revision = request.GET.get("base", ""), request.GET.get("revision", "")
    return {"project": project, "prompt": prompt, **_elsewhere(request, _around(prompt), base, revision)}


def _elsewhere(request: ProjectRequest, around: Around, base: str, revision: str) -> dict[str, Any]:
    own, latest = around.own(request.user), around.latest
    moved = latest is not None and str(latest.number) != base
    return {
        "others": [draft for draft in around.drafts if draft.author_id != request.user.pk],
        "newer": latest if moved else None,
        "base": base,
        "saved_elsewhere": own if own is not None and revision and str(own.revision) != revision else None,
    }


# --- The preview --------------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
@require_POST
def prompt_preview(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What is typed, rendered with its sample values; what is wrong with it, and what it would cost."""
    found = selectors.get_prompt(project, prompt)
    context = {"project": project, "prompt": found, **_preview(project, _sent(request).typed)}
    return render(request, "prompts/_preview.html", context)


def _preview(project: Project, typed: Typed) -> dict[str, Any]:
    try:
        content = editing.content_of(typed)
    except BadContent as error:
        sentences = [(place, told) for place, group in error.details.items() for told in group]
        return {"preview": None, "unreadable": sentences}
    return {"preview": preview(project, content, now=clock.now()), "unreadable": []}


# --- Showing ------------------------------------------------------------------------------------------------


def _shown(
    request: ProjectRequest,
    project: Project,
    prompt: Prompt,
    sheet: Sheet,
    *,
    around: Around | None = None,
    status: int = 200,
) -> HttpResponse:
    typed, problems = sheet.typed, sheet.problems
    others = _elsewhere(request, around or _around(prompt), sheet.base, "")
    context = {
        **prompt_frame(request, project, prompt, "edit"),
        **others,
        **_conflict(sheet),
        **_preview(project, typed),
        "sheet": sheet,
        "typed": typed,
        "problems": problems,
        "general": problems.get("", ()),
        "message_rows": editing.message_rows(typed, problems),
        "variable_rows": editing.variable_rows(typed, problems),
        "blank_message": editing.Row(0, editing.TypedMessage("user", ""), {}, 2),
        "blank_variable": editing.Row(0, editing.TypedVariable(""), {}, 2),
        "roles": ROLES,
        "types": list(VariableType),
        "syntaxes": list(Syntax),
        "models": [model for model in offered_models(project, now=clock.now()) if not model.is_embedding],
        "aside_json": "" if sheet.aside is None else editing.as_json(sheet.aside),
        "draft_url": reverse("prompt_draft", kwargs={"project": project.slug, "prompt": prompt.name}),
        "page_keys": "prompts/editor_keys.html",
    }
    return render(request, "prompts/editor.html", context, status=status)

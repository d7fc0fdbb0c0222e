"""What changed between two versions, or between a version and somebody's draft."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from apps.core.errors import NotFound
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.prompts import bumping, diff_lines, selectors
from apps.prompts.content import Content
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.views.prompts import prompt_frame

SHAPES = ("unified", "split")


@project_page()
def prompt_diff(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Words and structure, from `from` to `to`; or with `draft` from the newest version to that draft."""
    found = selectors.get_prompt(project, prompt)
    versions = selectors.list_versions(found, limit=100)
    draft = _draft(found, request.GET.get("draft", ""))
    old = _chosen(found, versions, request.GET.get("from", ""), default=0 if draft is not None else 1)
    new = None if draft is not None else _chosen(found, versions, request.GET.get("to", ""), default=0)
    content = draft.body if draft is not None else None if new is None else new.body
    shape = request.GET.get("as", "")
    context = {
        **prompt_frame(request, project, found, "versions"),
        "versions": versions,
        "old": old,
        "new": new,
        "draft": draft,
        "shape": shape if shape in SHAPES else SHAPES[0],
        **compared(None if old is None else old.body, content),
    }
    return render(request, "prompts/diff.html", context)


def _draft(prompt: Prompt, uuid: str) -> Draft | None:
    """The draft with this id; None when none is asked for. Raises NotFound."""
    if not uuid:
        return None
    for draft in selectors.list_drafts(prompt):
        if str(draft.uuid) == uuid:
            return draft
    raise NotFound


def _chosen(prompt: Prompt, versions: list[Version], number: str, *, default: int) -> Version | None:
    """The version that is asked for, or the one so far from the newest. Raises NotFound."""
    if number:
        return selectors.get_version(prompt, number)
    return versions[default] if default < len(versions) else None


def compared(old: Content | None, new: Content | None) -> dict[str, Any]:
    """What the template of a comparison needs; None where there is nothing to compare with."""
    if old is None or new is None:
        return {"suggestion": None, "difference": None}
    return {"suggestion": bumping.suggest(old, new), "difference": diff_lines.shown(old, new)}

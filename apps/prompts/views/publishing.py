"""Publishing: what will change, how large a step it is and why, and what must be mended first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts import selectors, semver
from apps.prompts import services as prompts
from apps.prompts.content import BadContent
from apps.prompts.forms import PublishForm
from apps.prompts.linting import Finding
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.selectors.previews import findings_of
from apps.prompts.services import Plan
from apps.prompts.types import Bump
from apps.prompts.views.diffs import compared
from apps.prompts.views.prompts import prompt_frame

LEAKED = "leaked_secret"


@dataclass(frozen=True, slots=True)
class Step:
    """A size of step that can be chosen, and the number it leads to."""

    bump: Bump
    number: semver.Number
    is_suggested: bool
    is_lower: bool
    """Smaller than what a breaking change needs."""


@project_page(role=Role.EDITOR)
def prompt_publish(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Look at what changes, say why, and make it the next version."""
    found = selectors.get_prompt(project, prompt)
    draft = selectors.get_draft(found, request.user)
    if draft is None:
        return render(request, "prompts/publish_nothing.html", prompt_frame(request, project, found, "edit"))
    sent = request.POST if request.method == "POST" else None
    form = PublishForm(sent, initial={"revision": draft.revision, "note": draft.note})
    findings = findings_of(project, draft.body)
    if request.method == "POST" and form.is_valid() and _may_publish(form, draft, findings):
        version = _publish(request, found, draft, form)
        if version is not None:
            url = reverse("prompt", kwargs={"project": project.slug, "prompt": found.name})
            return redirect(f"{url}?published={version.number}")
    context = {
        **prompt_frame(request, project, found, "edit"),
        **_planned(found, draft),
        "draft": draft,
        "form": form,
        "content": draft.body,
        "findings": findings,
        "secrets": _secrets(findings),
        "chosen": form["bump"].value() or "",
        "page_keys": "prompts/publish_keys.html",
    }
    return render(request, "prompts/publish.html", context, status=422 if form.errors else 200)


def _secrets(findings: list[Finding]) -> list[Finding]:
    """What looks like a key or a password in the text."""
    return [finding for finding in findings if finding.code == LEAKED]


def _may_publish(form: PublishForm, draft: Draft, findings: list[Finding]) -> bool:
    """False, with a sentence on the form, for a draft that was not the one seen, or that seems to hold a secret."""
    if form.cleaned_data["revision"] != draft.revision:
        form.add_error(None, _("The draft was saved again since this page was opened. Look at it as it is now."))
    elif _secrets(findings) and not form.cleaned_data["no_secret"]:
        form.add_error("no_secret", _("This seems to hold a secret, which every reader of the prompt would see."))
    return not form.errors


def _publish(request: ProjectRequest, prompt: Prompt, draft: Draft, form: PublishForm) -> Version | None:
    """Publish the draft and say so. None when it was refused, which the form then shows."""
    typed = form.cleaned_data
    try:
        version = prompts.publish(
            prompt=prompt,
            content=draft.body,
            actor=request.actor,
            now=clock.now(),
            note=typed["note"],
            bump=Bump(typed["bump"]) if typed["bump"] in list(Bump) else None,
            lowered_because=typed["lowered_because"],
            author=request.user,
            base=draft.base,
            checks_base=True,
        )
    except prompts.BreakingLowered as error:
        form.add_error("lowered_because", error.text)
    except BadContent as error:
        form.add_error(None, [sentence for told in error.details.values() for sentence in told])
    except DomainError as error:
        show_error(form, error)
    else:
        messages.success(request, _("%(version)s is published.") % {"version": version})
        return version
    return None


def _planned(prompt: Prompt, draft: Draft) -> dict[str, Any]:
    """What publishing the draft would do, or why it cannot be done."""
    try:
        plan = prompts.plan(prompt=prompt, content=draft.body)
    except BadContent as error:
        latest = selectors.latest_version(prompt)
        told = compared(None if latest is None else latest.body, draft.body)
        return {"plan": None, "latest": latest, "faults": error.details, **told}
    latest = plan.latest
    return {
        "plan": plan,
        "latest": latest,
        "steps": _steps(plan),
        "has_moved": latest is not None and draft.base_id != latest.pk,
        **compared(None if latest is None else latest.body, draft.body),
    }


def _steps(plan: Plan) -> list[Step]:
    """The sizes of step to choose from; none for the first version."""
    if plan.latest is None:
        return []
    needed = plan.suggestion.bump
    latest = plan.latest.number
    return [
        Step(bump, latest.after(bump), bump is needed, needed is Bump.MAJOR and bump.rank < needed.rank)
        for bump in Bump
    ]

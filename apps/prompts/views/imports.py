"""Importing prompt files: upload, look at what they would become, confirm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render

from apps.core import clock
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.prompts.content import Content
from apps.prompts.files import detect, templates
from apps.prompts.files.plan import Action, Plan, Step
from apps.prompts.import_forms import ConfirmForm, UploadForm
from apps.prompts.selectors import imports as selectors
from apps.prompts.selectors.previews import Preview, preview
from apps.prompts.services import imports
from apps.prompts.services.imports import Mode, Status

MOST_RENDERED = 25
"""Prompts that are shown rendered; the others show what the file says."""
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the plan as the page shows it."""

    place: int
    step: Step
    look: Preview | None
    content: Content

    @property
    def is_open(self) -> bool:
        """True when something would be made of it."""
        return self.step.makes_something


@project_page(role=Role.EDITOR)
def prompt_import(request: ProjectRequest, project: Project) -> HttpResponse:
    """Choose files, or paste a text."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        now = clock.now()
        imports.forget_uploads(now=now)
        job = imports.keep_upload(project=project, author=request.user, files=form.uploaded(), now=now)
        return redirect("prompt_import_job", project=project.slug, job=job.uuid)
    context = {"project": project, "form": form, "most_files": detect.MAX_FILES}
    return render(request, "prompts/import.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
def prompt_import_job(request: ProjectRequest, project: Project, job: UUID) -> HttpResponse:
    """What the files would become; after the confirmation, what became of them."""
    now = clock.now()
    upload = selectors.get_import(project, request.user, job, now=now)
    if upload.outcome is not None:
        done = [one for one in upload.outcome if one["status"] in (Status.CREATED, Status.PUBLISHED, Status.DRAFTED)]
        context = {"project": project, "outcome": upload.outcome, "done": len(done)}
        return render(request, "prompts/import_done.html", context)
    plan = imports.plan_import(project=project, files=imports.files_of(upload))
    form = ConfirmForm(request.POST or None, steps=len(plan.steps))
    if request.method == "POST" and form.is_valid():
        imports.confirm_upload(
            job=upload,
            mode=Mode(form.cleaned_data["mode"]),
            author=request.user,
            actor=request.actor,
            now=now,
            note=form.cleaned_data["note"],
            chosen=frozenset(form.cleaned_data["step"]),
        )
        return redirect("prompt_import_job", project=project.slug, job=upload.uuid)
    context = {
        "project": project,
        "job": upload,
        "form": form,
        "plan": plan,
        "lines": _lines(project, plan, now),
        "counts": {action.value: plan.count(action) for action in Action},
        "will_make": any(step.makes_something for step in plan.steps),
    }
    return render(request, "prompts/import_preview.html", context, status=422 if form.errors else 200)


def _lines(project: Project, plan: Plan, now: datetime) -> list[Line]:
    """Each step with a look at its prompt; the first ones rendered with their samples."""
    lines = []
    rendered = 0
    for place, step in enumerate(plan.steps):
        content = _short(step.found.content)
        look = None
        if step.makes_something and rendered < MOST_RENDERED and not _waits_for_others(content, plan):
            look = preview(project, content, now=now)
            rendered += 1
        lines.append(Line(place, step, look, content))
    return lines


def _short(content: Content) -> Content:
    """The content with texts of a length that a page can show."""
    messages = tuple(
        message
        if len(message.content) <= MOST_CHARACTERS
        else replace(message, content=message.content[:MOST_CHARACTERS] + " …")
        for message in content.messages
    )
    return replace(content, messages=messages)


def _waits_for_others(content: Content, plan: Plan) -> bool:
    """True when it includes a prompt that is not there before the import."""
    made = [(step.name, str(step.number)) for step in plan.steps if step.makes_something]
    texts = [message.content for message in content.messages]
    return any(templates.include(name, content.syntax, number) in text for name, number in made for text in texts)

"""Pages of importing examples: upload, say what the columns mean, look at what would change, confirm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.core.http import page_or_fragment
from apps.evals.importing.found import BadFile
from apps.evals.importing.writing import MEDIA_TYPES
from apps.evals.models import EvalSet, SetImport, StagedExample
from apps.evals.near_duplicates import input_text
from apps.evals.selectors import set_imports as selectors
from apps.evals.selectors.sets import get_revision, get_set
from apps.evals.services import set_imports
from apps.evals.set_downloads import streamed
from apps.evals.set_import_forms import ConfirmImportForm, MappingForm, SetUploadForm
from apps.evals.types import Json, ReviewState
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role

SHOWN = 160
"""Characters of a text in a table."""


@project_page(role=Role.EDITOR)
def import_page(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Choose a file; the imports of the last days."""
    eval_set = get_set(project, slug)
    form = SetUploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        filename, pieces = form.given()
        try:
            upload = set_imports.receive(
                eval_set=eval_set,
                filename=filename,
                pieces=pieces,
                wish=form.wish(),
                author=request.user,
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            form.add_error("upload" if form.cleaned_data["upload"] else "text", error.text)
        else:
            return redirect("eval_set_import_job", project=project.slug, slug=slug, job=upload.uuid)
    context = {
        "project": project,
        "eval_set": eval_set,
        "form": form,
        "imports": [_Line.of(one) for one in selectors.list_imports(eval_set)],
    }
    return render(request, "evals/import_new.html", context, status=422 if form.errors else 200)


@dataclass(frozen=True, slots=True)
class _Line:
    """An import in the list."""

    upload: SetImport
    look: str
    word: str

    @classmethod
    def of(cls, upload: SetImport) -> _Line:
        """The import with the look and the word of its state."""
        looks = {
            "uploading": ("run", _("Uploading")),
            "mapping": ("waiting", _("Columns to be chosen")),
            "reading": ("run", _("Reading")),
            "ready": ("waiting", _("To be confirmed")),
            "done": ("pass", _("Done")),
            "failed": ("fail", _("Failed")),
            "expired": ("off", _("Expired")),
        }
        return cls(upload, *looks[upload.state])


@project_page(role=Role.EDITOR)
def import_job(request: ProjectRequest, project: Project, slug: str, job: UUID) -> HttpResponse:
    """Where an import stands, and what it waits for; as a fragment, how far it is read."""
    upload = selectors.get_import(get_set(project, slug), job)
    if upload.state == "mapping" or (upload.state == "ready" and "columns" in request.GET):
        return _choose_columns(request, project, upload)
    if upload.state == "ready":
        return _confirm(request, project, upload)
    context = {"project": project, "eval_set": upload.eval_set, "line": _Line.of(upload), "job": upload}
    response = page_or_fragment(request, "evals/import_state.html", "evals/_import_progress.html", context)
    if upload.state not in {"uploading", "reading"} and "HX-Request" in request.headers:
        response["HX-Refresh"] = "true"
    return response


def _choose_columns(request: ProjectRequest, project: Project, upload: SetImport) -> HttpResponse:
    try:
        head = selectors.head_of(upload)
    except BadFile as error:
        messages.error(request, error.text)
        return redirect("eval_set_import", project=project.slug, slug=upload.eval_set.slug)
    mode = "replace" if upload.replaces_all else "update"
    form = MappingForm(
        request.POST or None,
        columns=head.columns,
        mapping=upload.mapping,
        initial={"state": upload.default_state, "mode": mode},
    )
    if request.method == "POST" and form.is_valid():
        set_imports.begin_reading(
            upload=upload,
            mapping=form.mapping,
            state=ReviewState(form.cleaned_data["state"]),
            replaces_all=form.cleaned_data["mode"] == "replace",
            now=clock.now(),
        )
        return _to_job(project, upload)
    context = {
        "project": project,
        "eval_set": upload.eval_set,
        "job": upload,
        "form": form,
        "lines": form.lines(head.rows),
        "rows": len(head.rows),
    }
    return render(request, "evals/import_mapping.html", context, status=422 if form.errors else 200)


def _to_job(project: Project, upload: SetImport) -> HttpResponse:
    return redirect("eval_set_import_job", project=project.slug, slug=upload.eval_set.slug, job=upload.uuid)


def _confirm(request: ProjectRequest, project: Project, upload: SetImport) -> HttpResponse:
    form = ConfirmImportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            outcome = set_imports.publish_staged(
                upload=upload, actor=request.actor, note=form.cleaned_data["note"], now=clock.now()
            )
        except DomainError as error:
            form.add_error(None, error.text)
        else:
            messages.success(request, _said(outcome))
            return _to_job(project, upload)
    context = {
        "project": project,
        "eval_set": upload.eval_set,
        "job": upload,
        "form": form,
        "tally": selectors.shown_tally(upload),
        "rejected": upload.counts.get("rejected", 0),
        "looks_near": "looked_near" not in upload.counts,
        "samples": [_Sample.of(one) for one in selectors.first_staged(upload)],
    }
    return render(request, "evals/import_preview.html", context, status=422 if form.errors else 200)


def _said(outcome: set_imports.Outcome) -> str:
    if outcome.revision is None:
        return _("The set holds just this already; there is no new revision.")
    return _("Revision %(number)s is made.") % {"number": outcome.revision.number}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A row that was read, in a line of a table."""

    row: int
    key: str
    asked: str
    expected: str
    slices: list[str]

    @classmethod
    def of(cls, staged: StagedExample) -> _Sample:
        """The row, its texts cut to a length that fits."""
        told: dict[str, Json] = staged.example
        asked = _short(input_text(told["variables"], told["messages"]))
        expected = told["expected"]
        text = "" if expected is None else expected if isinstance(expected, str) else str(expected)
        return cls(staged.row, staged.key, asked, _short(text), told["slices"])


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


@project_page(role=Role.EDITOR)
@require_POST
def import_discard(request: ProjectRequest, project: Project, slug: str, job: UUID) -> HttpResponse:
    """Throw an upload away that was not confirmed."""
    upload = selectors.get_import(get_set(project, slug), job)
    set_imports.discard(upload=upload, now=clock.now())
    messages.success(request, _("The upload was thrown away. The set is as it was."))
    return redirect("eval_set_import", project=project.slug, slug=slug)


@project_page()
@require_safe
def export_page(request: ProjectRequest, project: Project, slug: str) -> StreamingHttpResponse:
    """The examples as a file: `?format=` jsonl, json or csv, `?revision=` an older one."""
    eval_set: EvalSet = get_set(project, slug)
    form = request.GET.get("format", "jsonl")
    asked: Any = request.GET.get("revision", "")
    if form not in MEDIA_TYPES:
        raise NotFound
    number = get_revision(eval_set, int(asked)).number if asked.isdecimal() and len(asked) < 10 else eval_set.head
    return streamed(eval_set, number, form)

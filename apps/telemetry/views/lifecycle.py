"""Settings: what is kept of telemetry and how long, masking, erasing a user, exporting."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.http import page_or_fragment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.telemetry.downloads import streamed
from apps.telemetry.lifecycle_forms import AgesForm, EraseForm, ExportForm, MaskingForm, TryForm, own_lines
from apps.telemetry.models import MaskingSettings
from apps.telemetry.selectors import lifecycle
from apps.telemetry.selectors.lifecycle import Ages
from apps.telemetry.selectors.retention import Due, what_is_due
from apps.telemetry.services import erasing, exporting, masking, retention

DEFAULT_EXPORT = timedelta(days=6)
AGE_LABELS = {
    "payload_days": gettext_lazy("Contents"),
    "span_days": gettext_lazy("Spans"),
    "score_days": gettext_lazy("Scores"),
    "cost_days": gettext_lazy("Cost records"),
    "account_days": gettext_lazy("Account of the intake"),
}


@project_page(unsafe=Role.ADMIN)
def settings_data(request: ProjectRequest, project: Project) -> HttpResponse:
    """For how long what is kept. A shorter age is saved after one has seen what it deletes."""
    now = clock.now()
    ages = lifecycle.ages_of(project)
    form = AgesForm(request.POST or None, initial={name: getattr(ages, name) for name in Ages.__dataclass_fields__})
    losses: list[dict[str, Any]] | None = None
    if request.method == "POST" and form.is_valid():
        try:
            retention.change_ages(
                project=project,
                ages=form.ages(),
                is_confirmed="confirmed" in request.POST,
                actor=request.actor,
                now=now,
            )
        except retention.NotConfirmed:
            losses = _losses(what_is_due(project.pk, form.ages(), now=now))
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("Saved. What is older is deleted within the hour."))
            return redirect("settings_data", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "losses": losses,
        "changes": [] if losses is None else _changes(ages, form.ages()),
        "may_change": request.membership.rank.allows(Role.ADMIN),
    }
    return render(request, "telemetry/settings_data.html", context, status=422 if form.errors else 200)


def _changes(before: Ages, after: Ages) -> list[dict[str, Any]]:
    """The ages that would change."""
    return [
        {"label": label, "before": getattr(before, name), "after": getattr(after, name)}
        for name, label in AGE_LABELS.items()
        if getattr(before, name) != getattr(after, name)
    ]


def _losses(due: list[Due]) -> list[dict[str, Any]]:
    """What is due, by age: rows, size, and the days it is of."""
    losses = []
    for name, label in AGE_LABELS.items():
        tables = [one for one in due if one.age == name]
        if not tables:
            continue
        starts = [one.first_at for one in tables if one.first_at]
        ends = [one.last_at for one in tables if one.last_at]
        losses.append(
            {
                "label": label,
                "rows": None if any(one.rows is None for one in tables) else sum(one.rows or 0 for one in tables),
                "megabytes": sum(one.size or 0 for one in tables) / 1_000_000,
                "first_at": min(starts, default=None),
                "last_at": max(ends, default=None),
            }
        )
    return losses


@project_page(role=Role.ADMIN)
def settings_masking(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is taken out of telemetry before it is stored."""
    held = lifecycle.masking_settings(project.pk)
    form = MaskingForm(request.POST or None, initial=_initial(held))
    if request.method == "POST" and form.is_valid():
        rules = form.rules()
        try:
            masking.change_masking(
                project=project,
                kinds=rules.kinds,
                own=rules.own,
                capture=rules.capture,
                hashes_users=rules.hashes_users,
                actor=request.actor,
                now=clock.now(),
            )
        except Invalid as error:
            show_error(form, error)
        else:
            messages.success(request, _("Saved. It holds within five seconds, for what arrives from then on."))
            return redirect("settings_masking", project=project.slug)
    return _masking_page(request, project, form, TryForm(initial=_initial(held)))


def _initial(held: MaskingSettings) -> dict[str, Any]:
    return {
        "kinds": held.kinds,
        "own": own_lines(held.own),
        "capture": held.capture,
        "hashes_users": held.hashes_users,
    }


def _masking_page(
    request: ProjectRequest, project: Project, form: MaskingForm, trial: TryForm, stored: str | None = None
) -> HttpResponse:
    context = {"project": project, "form": form, "trial": trial, "stored": stored, "capture": form["capture"].value()}
    status = 422 if form.errors else 200
    return page_or_fragment(
        request, "telemetry/settings_masking.html", "telemetry/_masking_result.html", context, status=status
    )


@project_page(role=Role.ADMIN)
@require_POST
def settings_masking_try(request: ProjectRequest, project: Project) -> HttpResponse:
    """What would be stored of a text, with the rules as they stand in the form. Stores nothing."""
    trial = TryForm(request.POST)
    form = MaskingForm(request.POST)
    stored = None
    if trial.is_valid() and form.is_valid():
        try:
            stored = masking.try_out(project_id=project.pk, rules=trial.rules(), text=trial.cleaned_data["text"])
        except Invalid as error:
            show_error(form, error)
    return _masking_page(request, project, form, trial, stored)


@project_page(role=Role.ADMIN)
def settings_erasures(request: ProjectRequest, project: Project) -> HttpResponse:
    """Erase what names a user, after one has seen how much that is; the receipts of earlier times."""
    form = EraseForm(request.POST or None)
    found: tuple[int, int] | None = None
    if request.method == "POST" and form.is_valid():
        user_id = form.cleaned_data["user_id"]
        if "confirmed" in request.POST:
            erasing.request_erasure(project=project, user_id=user_id, actor=request.actor, now=clock.now())
            messages.success(request, _("The erasure has begun. Its receipt is below."))
            return redirect("settings_erasures", project=project.slug)
        found = erasing.count_traces(project.pk, user_id)
    context = {
        "project": project,
        "form": form,
        "found": found,
        "most": erasing.MOST_COUNTED,
        "erasures": lifecycle.list_erasures(project.pk),
    }
    return render(request, "telemetry/settings_erasures.html", context, status=422 if form.errors else 200)


@project_page(role=Role.ADMIN)
@require_safe
def settings_erasure_receipt(request: ProjectRequest, project: Project, erasure: UUID) -> HttpResponse:
    """The receipt as a JSON file."""
    found = lifecycle.get_erasure(project.pk, erasure)
    body = json.dumps({"project": project.slug, **erasing.receipt(found)}, indent=2)
    response = HttpResponse(body + "\n", content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="erasure-{found.uuid}.json"'
    return response


@project_page()
@require_safe
def settings_export(request: ProjectRequest, project: Project) -> HttpResponseBase:
    """Download spans of some days as a file."""
    now = clock.now()
    form = ExportForm(request.GET if "form" in request.GET else None, initial=_last_days(now))
    if form.is_bound and form.is_valid():
        start, end = form.stretch()
        export = exporting.Export(project.pk, start, end, form.filters())
        return streamed(export, form.cleaned_data["form"], project.slug)
    context = {"project": project, "form": form}
    return render(request, "telemetry/settings_export.html", context, status=422 if form.errors else 200)


def _last_days(now: datetime) -> dict[str, Any]:
    return {"first": (now - DEFAULT_EXPORT).date(), "last": now.date()}

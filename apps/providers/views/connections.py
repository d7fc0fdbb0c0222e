"""Settings: connections to providers. A key is typed in here and never shown again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.reauthentication import fresh_before_typing
from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.providers import checking, presets, services
from apps.providers.forms import CheckForm, ConnectionForm
from apps.providers.models import Connection
from apps.providers.selectors import connections


@project_page()
def settings_providers(request: ProjectRequest, project: Project) -> HttpResponse:
    """The connections, and the test model that needs none."""
    offered = connections.offered_models(project, now=clock.now())
    context = {
        "project": project,
        "lines": connections.list_connections(project),
        "unpriced": [model.name for model in offered if not model.is_price_known],
        "test_models": list(presets.TEST_MODELS.items()),
        "presets": presets.PRESETS,
        "may_change": request.membership.rank.allows(Role.ADMIN),
    }
    return render(request, "providers/connections.html", context)


@project_page(role=Role.ADMIN)
@fresh_before_typing
def connection_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """A form for another connection, filled with what is known of the chosen provider."""
    preset = presets.BY_KEY.get(request.GET.get("preset", ""), presets.PRESETS[0])
    form = ConnectionForm(request.POST or None, initial=_from_preset(preset))
    if request.method == "POST" and form.is_valid():
        try:
            made = services.add_connection(
                project=project,
                slug=form.cleaned_data["slug"],
                values=form.values(),
                secret=form.new_secret() or "",
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("%(name)s is added. Test it now.") % {"name": made.name})
            return redirect("settings_providers", project=project.slug)
    context = {"project": project, "form": form, "preset": preset, "presets": presets.PRESETS}
    return render(request, "providers/connection_new.html", context, status=422 if form.errors else 200)


def _from_preset(preset: presets.Preset) -> dict[str, Any]:
    return {
        "name": preset.name if preset.base_url or preset.provider else "",
        "slug": preset.key if preset.provider else "",
        "protocol": preset.protocol.value,
        "provider": preset.provider,
        "base_url": preset.base_url,
        "models": "\n".join(preset.models),
    }


@project_page(role=Role.ADMIN)
@fresh_before_typing
def connection_edit(request: ProjectRequest, project: Project, connection: str) -> HttpResponse:
    """A form for all of a connection but its short name."""
    row = connections.get_connection(project, connection)
    values = services.fields_of(row)
    form = ConnectionForm(request.POST or None, initial={**asdict(values), "models": "\n".join(values.models)})
    if request.method == "POST" and form.is_valid():
        try:
            changed = services.change_connection(
                connection=row,
                values=form.values(),
                secret=form.new_secret(),
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
        else:
            _say_changed(request, row, changed)
            return redirect("settings_providers", project=project.slug)
    context = {"project": project, "form": form, "line": connections.line_of(row)}
    return render(request, "providers/connection_edit.html", context, status=422 if form.errors else 200)


def _say_changed(request: ProjectRequest, before: Connection, after: Connection) -> None:
    if before.sealed_secret and not after.sealed_secret and before.base_url != after.base_url:
        text = _("%(name)s is changed. Its key belonged to the old address and was removed: type in one for the new.")
        messages.warning(request, text % {"name": after.name})
        return
    messages.success(request, _("%(name)s is changed.") % {"name": after.name})


@project_page(role=Role.ADMIN)
@require_POST
def connection_check(request: ProjectRequest, project: Project, connection: str) -> HttpResponse:
    """Call one of its models with the saved key at the saved address, and say what came of it."""
    row = connections.get_connection(project, connection)
    form = CheckForm(request.POST)
    model = form.cleaned_data["model"] if form.is_valid() else next(iter(row.model_names), "")
    if not model:
        messages.error(request, _("List a model of this connection first: a test calls one."))
        return redirect("connection_edit", project=project.slug, connection=row.slug)
    try:
        target = connections.connection_target(row, model)
    except DomainError as error:
        messages.error(request, error.text)
        return redirect("settings_providers", project=project.slug)
    found = checking.check(target, is_embedding="embed" in model.lower())
    services.note_check(connection=row, is_ok=found.is_ok, note=found.note, actor=request.actor, now=clock.now())
    tell = messages.success if found.is_ok else messages.error
    tell(request, f"{row.name}: {found.note}")
    return redirect("settings_providers", project=project.slug)


@project_page(role=Role.ADMIN)
def connection_remove(request: ProjectRequest, project: Project, connection: str) -> HttpResponse:
    """Say what disabling or removing changes, then do it; enabling is done at once."""
    row = connections.get_connection(project, connection)
    if request.method == "POST":
        now, action = clock.now(), request.POST.get("action", "")
        if action in {"enable", "disable"}:
            services.switch_connection(connection=row, is_enabled=action == "enable", actor=request.actor, now=now)
            said = _("%(name)s is enabled.") if action == "enable" else _("%(name)s is disabled.")
        else:
            services.remove_connection(connection=row, actor=request.actor, now=now)
            said = _("%(name)s and its key are removed.")
        messages.success(request, said % {"name": row.name})
        return redirect("settings_providers", project=project.slug)
    context = {"project": project, "line": connections.line_of(row)}
    return render(request, "providers/connection_remove.html", context)

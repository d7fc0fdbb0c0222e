"""Settings: API keys."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.reauthentication import fresh_sign_in_required
from apps.core import clock
from apps.core.errors import Forbidden, Invalid
from apps.projects import selectors, services, shown_once
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import KeyForm, show_error
from apps.projects.models import ApiKey, Project, Role
from apps.projects.types import ROLE_SCOPES

NEW_KEY = "new_key"


@project_page(unsafe=Role.EDITOR)
@fresh_sign_in_required
def settings_keys(request: ProjectRequest, project: Project) -> HttpResponse:
    """The keys, and a form for another; a new key is shown once."""
    allowed = ROLE_SCOPES[request.membership.rank]
    form = KeyForm(request.POST or None, allowed=allowed)
    now = clock.now()
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_key(
                project=project,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                allowed=allowed,
                created_by_id=request.user.pk,
                actor=request.actor,
                now=now,
                expires_at=form.expires_at(now),
            )
        except Invalid as error:
            show_error(form, error)
        else:
            shown_once.keep(request.session, NEW_KEY, made.raw, now=now)
            return redirect("settings_keys", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "new_key": shown_once.take(request.session, NEW_KEY, now=now) if not form.errors else None,
        "keys": selectors.key_rows(project, viewer=request.membership, now=now),
        "may_make": bool(allowed),
    }
    return render(request, "settings/keys.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
@fresh_sign_in_required
@require_POST
def key_rotate(request: ProjectRequest, project: Project, key: UUID) -> HttpResponse:
    """A successor for the key, shown once; the old one works for another day."""
    found = _own_key(request, project, key)
    now = clock.now()
    try:
        made = services.rotate_key(
            key=found,
            allowed=ROLE_SCOPES[request.membership.rank],
            created_by_id=request.user.pk,
            actor=request.actor,
            now=now,
        )
    except services.KeyNotUsable as error:
        messages.error(request, error.text)
    else:
        shown_once.keep(request.session, NEW_KEY, made.raw, now=now)
    return redirect("settings_keys", project=project.slug)


@project_page(role=Role.EDITOR)
def key_revoke(request: ProjectRequest, project: Project, key: UUID) -> HttpResponse:
    """Say what revoking the key changes, then do it."""
    found = _own_key(request, project, key)
    if request.method == "POST":
        services.revoke_key(key=found, actor=request.actor, now=clock.now())
        messages.success(request, _("%(key)s is revoked and stops within five seconds.") % {"key": found.name})
        return redirect("settings_keys", project=project.slug)
    return render(request, "settings/key_revoke.html", {"project": project, "key": found})


def _own_key(request: ProjectRequest, project: Project, uuid: UUID) -> ApiKey:
    """The key, if it is the person's own or they are an admin. Raises NotFound or Forbidden."""
    found = selectors.get_key(project=project, uuid=uuid)
    if not selectors.may_manage_key(found, viewer=request.membership):
        raise Forbidden("Only admins may change keys that others made.")
    return found

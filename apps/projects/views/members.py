"""Settings: who belongs to the project."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts.reauthentication import fresh_sign_in_required
from apps.core import clock
from apps.core.errors import Invalid
from apps.projects import selectors, services, shown_once
from apps.projects.access import LAST_PROJECT, ProjectRequest, project_page
from apps.projects.forms import InviteForm, RoleForm, show_error
from apps.projects.models import Project, Role

log = logging.getLogger(__name__)
NEW_LINK = "new_invitation_link"


@project_page(unsafe=Role.ADMIN)
def settings_members(request: ProjectRequest, project: Project) -> HttpResponse:
    """Members and open invitations; inviting somebody shows the link once."""
    form = InviteForm(request.POST or None)
    now = clock.now()
    if request.method == "POST" and form.is_valid():
        try:
            made = services.invite(
                project=project,
                email=form.cleaned_data["email"],
                role=Role(form.cleaned_data["role"]),
                invited_by=request.user,
                actor=request.actor,
                now=now,
            )
        except Invalid as error:
            show_error(form, error)
        else:
            link = settings.PUBLIC_URL + reverse("invitation", kwargs={"token": made.token})
            shown_once.keep(request.session, NEW_LINK, link, now=now)
            _mail(request, made, link)
            return redirect("settings_members", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "new_link": shown_once.take(request.session, NEW_LINK, now=now) if not form.errors else None,
        "members": selectors.list_members(project),
        "roles": Role.choices,
        "invitations": selectors.list_open_invitations(project, now=now),
        "may_change": request.membership.rank.allows(Role.ADMIN),
    }
    return render(request, "settings/members.html", context, status=422 if form.errors else 200)


def _mail(request: ProjectRequest, made: services.NewInvitation, link: str) -> None:
    """Send the link where mail is set up; say what became of it."""
    if not settings.SENDS_MAIL:
        messages.success(request, _("Copy the link and send it to %(email)s.") % {"email": made.invitation.email})
        return
    try:
        services.mail_invitation(invitation=made.invitation, link=link)
    except (OSError, SMTPException):
        log.exception("the mail server did not take an invitation")
        messages.warning(request, _("The mail server did not take the mail. Send the link yourself."))
    else:
        messages.success(request, _("Mailed to %(email)s.") % {"email": made.invitation.email})


@project_page(role=Role.ADMIN)
@fresh_sign_in_required
@require_POST
def member_role(request: ProjectRequest, project: Project, member: UUID) -> HttpResponse:
    """Give a member another role."""
    membership = selectors.get_member(project=project, uuid=member)
    form = RoleForm(request.POST)
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        try:
            services.change_role(membership=membership, role=role, actor=request.actor, now=clock.now())
        except services.LastAdmin as error:
            messages.error(request, error.text)
        else:
            words = {"person": membership.user, "role": role.label}
            messages.success(request, _("%(person)s is now %(role)s.") % words)
    else:
        messages.error(request, _("Choose a role from the list."))
    return redirect("settings_members", project=project.slug)


@project_page(role=Role.ADMIN)
@fresh_sign_in_required
def member_remove(request: ProjectRequest, project: Project, member: UUID) -> HttpResponse:
    """Say what removing a member changes, then do it."""
    membership = selectors.get_member(project=project, uuid=member)
    if request.method == "POST":
        try:
            revoked = services.remove_member(membership=membership, actor=request.actor, now=clock.now())
        except services.LastAdmin as error:
            messages.error(request, error.text)
        else:
            words = {"person": membership.user, "keys": revoked}
            messages.success(request, _("%(person)s is removed, and %(keys)d of their keys revoked.") % words)
        return redirect("settings_members", project=project.slug)
    context = {
        "project": project,
        "member": membership,
        "keys": selectors.list_usable_keys_of(project=project, user=membership.user, now=clock.now()),
    }
    return render(request, "settings/member_remove.html", context)


@project_page()
def leave_project(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say what leaving changes, then leave."""
    if request.method == "POST":
        try:
            services.remove_member(membership=request.membership, actor=request.actor, now=clock.now())
        except services.LastAdmin as error:
            messages.error(request, error.text)
            return redirect("settings_members", project=project.slug)
        request.session.pop(LAST_PROJECT, None)
        messages.success(request, _("You have left %(project)s.") % {"project": project.name})
        return redirect("home")
    keys = selectors.list_usable_keys_of(project=project, user=request.user, now=clock.now())
    return render(request, "settings/leave.html", {"project": project, "keys": keys})


@project_page(role=Role.ADMIN)
@require_POST
def invitation_revoke(request: ProjectRequest, project: Project, invitation: UUID) -> HttpResponse:
    """Stop an invitation that nobody has accepted yet."""
    found = selectors.get_invitation(project=project, uuid=invitation)
    services.revoke_invitation(invitation=found, actor=request.actor, now=clock.now())
    messages.success(request, _("The invitation of %(email)s is revoked.") % {"email": found.email})
    return redirect("settings_members", project=project.slug)

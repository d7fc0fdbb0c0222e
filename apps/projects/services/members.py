"""Who belongs to a project: invitations, roles, leaving."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.core.db import assert_no_transaction
from apps.core.errors import Conflict, DomainError, Invalid
from apps.projects import audit, selectors
from apps.projects.models import ApiKey, Invitation, Membership, Project, Role
from apps.projects.services.api_keys import revoke_key
from apps.projects.types import Actor

INVITATION_LIFETIME = timedelta(days=7)


class LastAdmin(Conflict):
    """A project is never without an admin."""

    code = "last_admin"
    message = "This is the project's last admin. Make somebody else an admin first."


class InvitationInvalid(DomainError):
    """The link was never made, was used or revoked, or has run out."""

    code, http_status = "invitation_invalid", 404
    message = "This invitation does not work any more. Ask whoever sent it for a new one."


class NewInvitation(NamedTuple):
    """An invitation and the one moment its token is known."""

    invitation: Invitation
    token: str


def _lock(project_id: int) -> Project:
    """Lock the project's row: changes of members go one at a time, so two admins cannot demote each other."""
    return Project.objects.select_for_update(no_key=True).get(pk=project_id)


@transaction.atomic
def invite(*, project: Project, email: str, role: Role, invited_by: User, actor: Actor, now: datetime) -> NewInvitation:
    """A link, good for seven days, that lets one person join. An earlier open invitation to the address is
    revoked.

    Raises Invalid when the address belongs to a member.
    """
    email = User.objects.normalize_email(email)
    _lock(project.pk)
    if project.memberships.filter(user__email=email).exists():
        raise Invalid(email=["This person is a member already."])
    Invitation.objects.filter(project=project, email=email, accepted_at=None, revoked_at=None).update(revoked_at=now)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        email=email,
        role=role,
        token_hash=selectors.token_hash(token),
        invited_by=invited_by,
        created_at=now,
        expires_at=now + INVITATION_LIFETIME,
    )
    audit.record(
        actor=actor,
        action="projects.member_invited",
        project=project,
        target=invitation,
        at=now,
        details={"role": role.value},
    )
    return NewInvitation(invitation=invitation, token=token)


def mail_invitation(*, invitation: Invitation, link: str) -> None:
    """Send the link to the invited address. Call it after the invitation is committed.

    Raises OSError or SMTPException when the mail server does not take it.
    """
    assert_no_transaction()
    context = {"invitation": invitation, "link": link, "project": invitation.project}
    EmailMessage(
        subject=render_to_string("projects/mail/invitation_subject.txt", context).strip(),
        body=render_to_string("projects/mail/invitation.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[invitation.email],
    ).send()


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: Actor, now: datetime) -> None:
    """Stop an open invitation; one that was accepted or revoked stays as it is."""
    open_ones = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    if open_ones.update(revoked_at=now):
        audit.record(
            actor=actor,
            action="projects.invitation_revoked",
            project=invitation.project,
            target=invitation,
            at=now,
        )


@transaction.atomic
def accept_invitation(*, token: str, user: User, now: datetime) -> Membership:
    """Join the project in the invited role; somebody who is in already keeps the higher of both roles.

    Raises InvitationInvalid unless this is the first use within its time.
    """
    invitation = selectors.find_open_invitation(token, now=now)
    if invitation is None:
        raise InvitationInvalid
    _lock(invitation.project_id)
    spent = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None, expires_at__gt=now)
    if spent.update(accepted_at=now) != 1:
        raise InvitationInvalid
    role = Role(invitation.role)
    membership, is_new = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": role, "created_at": now}
    )
    if not is_new and role.rank > membership.rank.rank:
        membership.role = role
        membership.save(update_fields=["role"])
    audit.record(
        actor=Actor(kind="user", id=user.pk, name=user.email),
        action="projects.invitation_accepted",
        project=invitation.project,
        target=membership,
        at=now,
        details={"invited": invitation.email, "role": membership.role},
    )
    return membership


@transaction.atomic
def join_with_new_account(*, token: str, name: str, password: str, now: datetime) -> Membership:
    """An account for the invited address, and its membership.

    Raises InvitationInvalid, or Invalid for a password that breaks the rules or an address that has an
    account.
    """
    invitation = selectors.find_open_invitation(token, now=now)
    if invitation is None:
        raise InvitationInvalid
    user = accounts.create_account(
        email=invitation.email, name=name, password=password, words=[invitation.project.name], now=now
    )
    return accept_invitation(token=token, user=user, now=now)


@transaction.atomic
def change_role(*, membership: Membership, role: Role, actor: Actor, now: datetime) -> None:
    """Give the member another role. Their keys do at once no more than the new role allows.

    Raises LastAdmin when nobody else would be an admin.
    """
    project = _lock(membership.project_id)
    membership = selectors.get_member(project=project, uuid=membership.uuid)
    before = membership.role
    if before == role:
        return
    _require_other_admin(membership)
    membership.role = role
    membership.save(update_fields=["role"])
    audit.record(
        actor=actor,
        action="projects.role_changed",
        project=project,
        target=membership,
        at=now,
        details={"from": before, "to": role.value},
    )


def _require_other_admin(membership: Membership) -> None:
    """Raise LastAdmin when this member is an admin and no other active person is."""
    if membership.role != Role.ADMIN:
        return
    others = Membership.objects.filter(project_id=membership.project_id, role=Role.ADMIN, user__is_active=True)
    if not others.exclude(pk=membership.pk).exists():
        raise LastAdmin


@transaction.atomic
def remove_member(*, membership: Membership, actor: Actor, now: datetime) -> int:
    """End the membership and revoke the keys that the person made here; returns how many keys.

    Access is looked up with each request, so it ends at once. Raises LastAdmin.
    """
    project = _lock(membership.project_id)
    membership = selectors.get_member(project=project, uuid=membership.uuid)
    _require_other_admin(membership)
    their_keys = list(ApiKey.objects.filter(project=project, created_by_id=membership.user_id, revoked_at=None))
    for key in their_keys:
        revoke_key(key=key, actor=actor, now=now, reason="its maker left the project")
    left = actor.kind == "user" and actor.id == membership.user_id
    audit.record(
        actor=actor,
        action="projects.member_left" if left else "projects.member_removed",
        project=project,
        target=membership,
        at=now,
        details={"role": membership.role, "keys_revoked": len(their_keys)},
    )
    membership.delete()
    return len(their_keys)

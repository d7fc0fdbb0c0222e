"""Reads of projects, members, keys, environments, features and the audit trail. The project comes first."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, TextChoices, prefetch_related_objects

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.projects.models import ApiKey, AuditEntry, Environment, Feature, Invitation, Membership, Project, Role
from apps.projects.types import KeyIdentity


def get_project(project_id: int) -> Project:
    """The project. Raises NotFound."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise NotFound
    return project


def get_membership(*, user: User, slug: str) -> Membership:
    """The person's membership with its project. Raises NotFound alike for no such project and for not a
    member.
    """
    found = Membership.objects.select_related("project", "user").filter(user=user, project__slug=slug).first()
    if found is None:
        raise NotFound
    return found


def list_memberships(*, user: User) -> list[Membership]:
    """All memberships of the person, by the projects' names."""
    rows = Membership.objects.select_related("project", "user").filter(user=user)
    return list(rows.order_by("project__name", "project_id"))


def role_of_active(user_id: int, project_id: int) -> Role | None:
    """The role of a person whose account is active; None for anybody else."""
    roles = Membership.objects.filter(user_id=user_id, project_id=project_id, user__is_active=True)
    role = roles.values_list("role", flat=True).first()
    return None if role is None else Role(role)


def keys_by_prefix(prefix: str) -> list[ApiKey]:
    """The keys with this visible prefix: one, but for an accident of chance."""
    return list(ApiKey.objects.select_related("project").filter(prefix=prefix))


def get_member(*, project: Project, uuid: UUID) -> Membership:
    """The membership with this id in the project. Raises NotFound."""
    found = project.memberships.select_related("user", "project").filter(uuid=uuid).first()
    if found is None:
        raise NotFound
    return found


def find_member(project: Project, email: str) -> Membership | None:
    """The membership of the person with this address."""
    return project.memberships.select_related("user").filter(user__email__iexact=email).first()


def list_members(project: Project) -> list[Membership]:
    """All members, by name."""
    return list(project.memberships.select_related("user").order_by("user__name", "user__email"))


def token_hash(token: str) -> bytes:
    """What is kept of an invitation's token: its SHA-256. A token is random, so a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def find_open_invitation(token: str, *, now: datetime) -> Invitation | None:
    """The invitation with this token while it can be accepted."""
    invitations = Invitation.objects.select_related("project", "invited_by")
    return invitations.filter(
        token_hash=token_hash(token), accepted_at=None, revoked_at=None, expires_at__gt=now
    ).first()


def list_open_invitations(project: Project, *, now: datetime) -> list[Invitation]:
    """Invitations that can still be accepted, newest first."""
    rows = project.invitations.select_related("invited_by")
    return list(rows.filter(accepted_at=None, revoked_at=None, expires_at__gt=now).order_by("-created_at"))


def get_invitation(*, project: Project, uuid: UUID) -> Invitation:
    """The invitation with this id in the project. Raises NotFound."""
    found = project.invitations.select_related("project").filter(uuid=uuid).first()
    if found is None:
        raise NotFound
    return found


def list_keys(project: Project) -> list[ApiKey]:
    """All keys of the project, newest first."""
    return list(project.api_keys.select_related("created_by").order_by("-created_at", "-pk"))


def get_key(*, project: Project, uuid: UUID) -> ApiKey:
    """The key with this id in the project. Raises NotFound."""
    found = project.api_keys.select_related("project", "created_by").filter(uuid=uuid).first()
    if found is None:
        raise NotFound
    return found


def list_environments(project: Project) -> list[Environment]:
    """The environments in their order. They stay with this `project`: a page and the frame round it read them once."""
    prefetch_related_objects([project], "environments")
    return list(project.environments.all())


def get_environment(*, project: Project, name: str) -> Environment:
    """The environment of this name. Raises NotFound."""
    found = project.environments.filter(slug=name).first()
    if found is None:
        raise NotFound
    return found


def list_features(project: Project) -> list[Feature]:
    """The features by name."""
    return list(project.features.select_related("owner"))


def get_feature(*, project: Project, name: str) -> Feature:
    """The feature of this name. Raises NotFound."""
    found = project.features.select_related("owner").filter(slug=name).first()
    if found is None:
        raise NotFound
    return found


def is_open_invitation(digest: bytes, *, now: datetime) -> bool:
    """True while the invitation whose token has this hash can be accepted."""
    open_ones = Invitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=now)
    return open_ones.filter(token_hash=digest).exists()


class KeyState(TextChoices):
    """What a key can do now, in one word."""

    WORKS = "works"
    ENDING = "ending"
    EXPIRED = "expired"
    REVOKED = "revoked"


def key_state(key: ApiKey, *, now: datetime) -> KeyState:
    """Revoked before expired before replaced (and working until its overlap ends)."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return KeyState.EXPIRED
    return KeyState.ENDING if key.rotated_to_id else KeyState.WORKS


def may_manage_key(key: ApiKey, *, viewer: Membership) -> bool:
    """True for an admin, and for an editor or reviewer with keys of their own."""
    if viewer.rank.allows(Role.ADMIN):
        return True
    return viewer.rank.allows(Role.EDITOR) and key.created_by_id == viewer.user_id


class KeyRow(NamedTuple):
    """A key as the settings page lists it."""

    key: ApiKey
    scopes: list[str]
    state: KeyState
    may_rotate: bool
    may_revoke: bool


def key_rows(project: Project, *, viewer: Membership, now: datetime) -> list[KeyRow]:
    """All keys, newest first, with what the viewer may do to each."""
    rows = []
    for key in list_keys(project):
        state = key_state(key, now=now)
        mine = may_manage_key(key, viewer=viewer)
        rows.append(
            KeyRow(
                key=key,
                scopes=list(key.scopes),
                state=state,
                may_rotate=mine and state == KeyState.WORKS,
                may_revoke=mine and state in {KeyState.WORKS, KeyState.ENDING},
            )
        )
    return rows


def list_usable_keys_of(*, project: Project, user: User, now: datetime) -> list[ApiKey]:
    """The keys the person made here that still work: what stops when they leave."""
    return [
        key
        for key in list_keys(project)
        if key.created_by_id == user.pk and key_state(key, now=now) in {KeyState.WORKS, KeyState.ENDING}
    ]


class AuditPage(NamedTuple):
    """A stretch of the audit trail, newest first. `next` is the cursor of what follows, None at the end."""

    items: list[AuditEntry]
    next: int | None


def list_audit(
    project: Project,
    *,
    people: bool = False,
    action: str = "",
    actor: str = "",
    before: int | None = None,
    limit: int = 50,
) -> AuditPage:
    """The project's entries, or with `people` those of the installation that concern its members.

    `action` is the beginning of an action's name, `actor` a part of the actor's; `before` is a cursor.
    """
    entries = AuditEntry.objects.filter(project_id=project.pk)
    if people:
        ids = list(project.memberships.values_list("user_id", flat=True))
        by_member = Q(actor_kind="user", actor_id__in=ids)
        of_member = Q(target_kind="user", target_id__in=[str(one) for one in ids])
        entries = AuditEntry.objects.filter(by_member | of_member, project_id=None)
    if action:
        entries = entries.filter(action__startswith=action)
    if actor:
        entries = entries.filter(actor_name__icontains=actor)
    if before is not None:
        entries = entries.filter(number__lt=before)
    found = list(entries.order_by("-number")[: limit + 1])
    return AuditPage(items=found[:limit], next=found[limit - 1].number if len(found) > limit else None)


def person_behind(user: object, identity: KeyIdentity | None) -> User | None:
    """The person who answers for the call; None where none stands behind the key."""
    if identity is None:
        return user if isinstance(user, User) else None
    if identity.created_by_id is None:
        return None
    return User.objects.filter(pk=identity.created_by_id).first()

"""Making, rotating and revoking API keys."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit, keys
from apps.projects.models import ApiKey, Project, Scope
from apps.projects.types import Actor

DEFAULT_LIFETIME = timedelta(days=180)
ROTATION_OVERLAP = timedelta(hours=24)
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


class ScopeBeyondMaker(Forbidden):
    """A key may do no more than whoever makes it."""

    code = "scope_beyond_maker"
    message = "You cannot give a key more than you may do yourself. Leave out: {beyond}."


class KeyNotUsable(Conflict):
    """The key was revoked, has expired or was already rotated."""

    code, message = (
        "key_not_usable",
        "This key is revoked, expired or already rotated. Make a new one instead.",
    )


class NewKey(NamedTuple):
    """A key that was just made, and the one moment its text is known."""

    key: ApiKey
    raw: str


@transaction.atomic
def create_key(
    *,
    project: Project,
    name: str,
    scopes: Collection[str],
    allowed: Collection[str],
    created_by_id: int | None,
    actor: Actor,
    now: datetime,
    expires_at: datetime | None,
) -> NewKey:
    """A new key. `allowed` are the scopes that the maker may give; `expires_at` None means never.

    Raises ScopeBeyondMaker, or Invalid for no scope or an end that is already past.
    """
    wanted = [scope.value for scope in Scope if scope in set(scopes)]
    if not wanted:
        raise Invalid(scopes=["Choose at least one scope."])
    _require_allowed(wanted, allowed)
    if expires_at is not None and expires_at <= now:
        raise Invalid(expires_at=["Choose a time that is still to come."])
    made = _insert(project, name, wanted, created_by_id=created_by_id, now=now, expires_at=expires_at)
    audit.record(
        actor=actor,
        action="projects.key_created",
        project=project,
        target=made.key,
        at=now,
        details={"prefix": made.key.prefix, "scopes": wanted, "expires_at": _minute(expires_at)},
    )
    return made


def _require_allowed(wanted: Collection[str], allowed: Collection[str]) -> None:
    beyond = [] if Scope.ADMIN in allowed else [scope for scope in wanted if scope not in allowed]
    if beyond:
        raise ScopeBeyondMaker(beyond=", ".join(beyond))


def _insert(
    project: Project,
    name: str,
    scopes: list[str],
    *,
    created_by_id: int | None,
    now: datetime,
    expires_at: datetime | None,
) -> NewKey:
    raw = keys.make(kind=keys.kind_of(scopes), place=_place())
    key = ApiKey.objects.create(
        project=project,
        name=name,
        prefix=keys.visible_prefix(raw),
        key_hash=keys.fingerprint(raw, pepper=settings.KEY_PEPPER),
        scopes=scopes,
        created_by_id=created_by_id,
        created_at=now,
        expires_at=expires_at,
    )
    return NewKey(key=key, raw=raw)


def _place() -> str:
    """Whether people elsewhere can reach this installation: then a leaked key matters more."""
    return "local" if urlsplit(settings.PUBLIC_URL).hostname in LOCAL_HOSTS else "live"


def _minute(moment: datetime | None) -> str | None:
    """As the audit trail writes it."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def make_first_key(*, project: Project, created_by_id: int, actor: Actor, now: datetime) -> NewKey:
    """The ingest key that the empty Overview shows in its first example."""
    return create_key(
        project=project,
        name="First key",
        scopes=[Scope.INGEST],
        allowed=[Scope.INGEST],
        created_by_id=created_by_id,
        actor=actor,
        now=now,
        expires_at=now + DEFAULT_LIFETIME,
    )


@transaction.atomic
def rotate_key(
    *, key: ApiKey, allowed: Collection[str], created_by_id: int | None, actor: Actor, now: datetime
) -> NewKey:
    """A successor with the same name, scopes and length of life; the old key works for another 24 hours.

    Raises KeyNotUsable or ScopeBeyondMaker.
    """
    old = ApiKey.objects.select_for_update().get(pk=key.pk)
    if old.revoked_at or old.rotated_to_id or (old.expires_at is not None and old.expires_at <= now):
        raise KeyNotUsable
    _require_allowed(old.scopes, allowed)
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    made = _insert(
        old.project,
        old.name,
        list(old.scopes),
        created_by_id=created_by_id,
        now=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    overlap_end = now + ROTATION_OVERLAP
    old.expires_at = overlap_end if old.expires_at is None else min(old.expires_at, overlap_end)
    old.rotated_to = made.key
    old.save(update_fields=["expires_at", "rotated_to"])
    audit.record(
        actor=actor,
        action="projects.key_rotated",
        project=old.project,
        target=old,
        at=now,
        details={
            "prefix": old.prefix,
            "new_prefix": made.key.prefix,
            "old_works_until": _minute(old.expires_at),
        },
    )
    return made


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor, now: datetime, reason: str = "by hand") -> None:
    """Stop the key, everywhere within five seconds. A key that is revoked already stays as it is."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        audit.record(
            actor=actor,
            action="projects.key_revoked",
            project=key.project,
            target=key,
            at=now,
            details={"prefix": key.prefix, "reason": reason},
        )


def note_key_use(*, key_id: int, now: datetime, every: timedelta) -> None:
    """Write down that the key was used, unless somebody did so within `every`."""
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - every)
    ApiKey.objects.filter(stale, pk=key_id).update(last_used_at=now)

"""Who sends an API key. All doors, the hot ones included, decide through these three functions.

A key found good is remembered for two seconds in each process, so that a busy service costs one look-up every
two seconds and a revoked key stops within five everywhere.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from django.conf import settings

from apps.core.errors import Forbidden, Unauthenticated
from apps.projects import keys, selectors, services
from apps.projects.types import ROLE_SCOPES, KeyIdentity, Scope

REMEMBER = timedelta(seconds=2)
USE_NOTED_EVERY = timedelta(minutes=1)
MOST_REMEMBERED = 10_000
REMEMBER_WHILE_AWAY = timedelta(minutes=10)
_known: dict[bytes, tuple[KeyIdentity, datetime]] = {}
_found_good: dict[bytes, tuple[KeyIdentity, datetime]] = {}
"""Keys with the time at which the database last said that they are good; only `identity_while_away` asks for them."""


def key_from_headers(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries, or None. Header names are expected in lower case.

    Accepted are `Authorization: Bearer <key>`, HTTP Basic with the key in either field, and `x-api-key`. A
    credential that cannot be read comes back as it is, so that it is refused and not taken for no credential.
    """
    authorization = headers.get("authorization", "").strip()
    if not authorization:
        return headers.get("x-api-key", "").strip() or None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _key_from_basic(value.strip())
    return authorization


def _key_from_basic(value: str) -> str:
    """The field of a Basic credential that looks like a key; the password when neither does."""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return value
    return name if keys.looks_like_a_key(name) and not keys.looks_like_a_key(password) else password


def refuse_key_in_query(query: str) -> None:
    """Raise Unauthenticated when the query string carries a key: addresses end up in logs and histories."""
    if f"{keys.PRODUCT}_" not in query:
        return
    if any(keys.SHAPE.search(value) for _, value in parse_qsl(query, keep_blank_values=True)):
        raise Unauthenticated(
            "A key was sent in the address, where logs keep it. Send it as 'Authorization: Bearer <key>', "
            "and revoke the one you sent."
        )


def cached_identity(raw: str | None, *, now: datetime) -> KeyIdentity | None:
    """The identity if this process found the key good within the last two seconds; never asks the database."""
    if not raw or not keys.is_well_formed(raw):
        return None
    return _remembered(keys.fingerprint(raw, pepper=settings.KEY_PEPPER), now=now)


def _remembered(fingerprint: bytes, *, now: datetime) -> KeyIdentity | None:
    """What this process found less than two seconds ago."""
    found = _known.get(fingerprint)
    if found is None or not found[1] - REMEMBER <= now < found[1]:
        return None
    return found[0]


def identity_while_away(raw: str | None, *, now: datetime) -> KeyIdentity | None:
    """The identity if this process found the key good within the last ten minutes and it has not expired.

    Only for reads, and only while the database cannot be asked: as soon as it answers, a revoked key is refused.
    """
    if not raw or not keys.is_well_formed(raw):
        return None
    found = _found_good.get(keys.fingerprint(raw, pepper=settings.KEY_PEPPER))
    if found is None or not found[1] <= now < found[1] + REMEMBER_WHILE_AWAY:
        return None
    identity = found[0]
    return identity if identity.expires_at is None or now < identity.expires_at else None


def identify_key(raw: str | None, *, now: datetime) -> KeyIdentity:
    """The identity behind the key. Raises Unauthenticated, in words, for a key that is missing or not usable."""
    if not raw:
        raise Unauthenticated
    if not keys.is_well_formed(raw):
        raise Unauthenticated("That is not a key of this product, or a character is wrong or missing.")
    fingerprint = keys.fingerprint(raw, pepper=settings.KEY_PEPPER)
    remembered = _remembered(fingerprint, now=now)
    if remembered is not None:
        return remembered
    try:
        identity = _look_up(raw, fingerprint, now=now)
    except Unauthenticated:
        _found_good.pop(fingerprint, None)
        raise
    if len(_known) >= MOST_REMEMBERED:
        _known.clear()
    if len(_found_good) >= MOST_REMEMBERED:
        _found_good.clear()
    _found_good[fingerprint] = (identity, now)
    until = now + REMEMBER
    if identity.expires_at is not None:
        until = min(until, identity.expires_at)
    _known[fingerprint] = (identity, until)
    return identity


def _look_up(raw: str, fingerprint: bytes, *, now: datetime) -> KeyIdentity:
    """The identity from the database; notes the use at most once a minute."""
    for key in selectors.keys_by_prefix(keys.visible_prefix(raw)):
        if not hmac.compare_digest(bytes(key.key_hash), fingerprint):
            continue
        if key.revoked_at is not None:
            raise Unauthenticated("This key was revoked.")
        if key.expires_at is not None and key.expires_at <= now:
            raise Unauthenticated(f"This key expired on {key.expires_at:%Y-%m-%d at %H:%M} UTC.")
        scopes = frozenset(key.scopes)
        if key.created_by_id is not None:
            role = selectors.role_of_active(key.created_by_id, key.project_id)
            scopes &= ROLE_SCOPES[role] if role is not None else frozenset()
        if not scopes:
            raise Unauthenticated("Whoever made this key may no longer do what it does.")
        if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
            services.note_key_use(key_id=key.pk, now=now, every=USE_NOTED_EVERY)
        return KeyIdentity(
            key_id=key.pk,
            key_name=key.name,
            project_id=key.project_id,
            project_slug=key.project.slug,
            scopes=scopes,
            expires_at=key.expires_at,
            created_by_id=key.created_by_id,
            retention_days=key.project.retention_days,
        )
    raise Unauthenticated("This key is not known here.")


def require_scope(identity: KeyIdentity, scope: Scope) -> None:
    """Raise Forbidden unless the key has the scope, or `admin`, which holds all others."""
    if scope not in identity.scopes and Scope.ADMIN not in identity.scopes:
        raise Forbidden(f"This key may not do that: it lacks the scope '{scope.value}'.", needed=scope.value)


def forget_remembered_keys() -> None:
    """Empty this process's memory of keys."""
    _known.clear()
    _found_good.clear()

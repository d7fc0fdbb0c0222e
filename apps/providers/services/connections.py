"""Changing connections. A key goes in and never comes out; it stays with the address it was given for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from apps.core import egress, ids, sealing
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import litellm_keys
from apps.providers.calls import Protocol
from apps.providers.models import Connection
from apps.providers.names import providers_of
from apps.providers.presets import TEST

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
RESERVED = frozenset({TEST, "new"})
"""The test model's names, and the address of the page that adds a connection."""
HINT_FROM = 12
HINT_CHARACTERS = 4
MOST_SECRET_CHARACTERS = 8192
MOST_MODELS = 200
MOST_MODEL_CHARACTERS = 200
MOST_CONNECTIONS = 50
RANGES = {
    "connect_seconds": (1, 60),
    "first_byte_seconds": (1, 600),
    "idle_seconds": (1, 600),
    "total_seconds": (1, 3600),
    "attempts": (1, 5),
}
SPEAKABLE = (Protocol.OPENAI, Protocol.ANTHROPIC, Protocol.LITELLM)


class ConnectionExists(Conflict):
    """The project has a connection with this slug."""

    code = "connection_exists"
    message = "There already is a connection called {slug}. Choose another short name."


class ConnectionChanged(Conflict):
    """Somebody changed or removed the connection."""

    code = "connection_changed"
    message = "Somebody changed this connection meanwhile. Reload and try again."


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """All of a connection that people set, but its slug and its key."""

    name: str
    protocol: str
    provider: str = ""
    base_url: str = ""
    models: tuple[str, ...] = ()
    connect_seconds: int = 5
    first_byte_seconds: int = 30
    idle_seconds: int = 30
    total_seconds: int = 300
    attempts: int = 2


def fields_of(row: Connection) -> ConnectionFields:
    """What is set now, to be changed with `dataclasses.replace`."""
    return ConnectionFields(
        name=row.name,
        protocol=row.protocol,
        provider=row.provider,
        base_url=row.base_url,
        models=tuple(row.model_names),
        connect_seconds=row.connect_seconds,
        first_byte_seconds=row.first_byte_seconds,
        idle_seconds=row.idle_seconds,
        total_seconds=row.total_seconds,
        attempts=row.attempts,
    )


def add_connection(
    *, project: Project, slug: str, values: ConnectionFields, secret: str, actor: Actor, now: datetime
) -> Connection:
    """A new connection. An empty slug is made from the name. Raises Invalid with the field, or ConnectionExists."""
    values = _checked(values)
    secret = _checked_secret(values, secret)
    row = Connection(project=project, slug=_checked_slug(slug or ids.slugify(values.name, limit=60)), created_at=now)
    _take_over(row, values, now)
    _seal(row, secret)
    try:
        with transaction.atomic():
            if Connection.objects.filter(project=project).count() >= MOST_CONNECTIONS:
                raise Invalid(name=[f"A project has at most {MOST_CONNECTIONS} connections. Remove one first."])
            row.save(force_insert=True)
            audit.record(
                actor=actor,
                action="providers.connection_added",
                project=project,
                target=row,
                at=now,
                details={
                    "protocol": row.protocol,
                    "provider": row.provider,
                    "base_url": row.base_url,
                    "models": list(row.model_names),
                    "key": "set" if secret else "none",
                },
            )
    except IntegrityError as error:
        raise ConnectionExists(slug=row.slug) from error
    return row


@transaction.atomic
def change_connection(
    *, connection: Connection, values: ConnectionFields, secret: str | None, actor: Actor, now: datetime
) -> Connection:
    """Change what is set. `secret` None keeps the key, empty removes it, any other text replaces it.

    A change of the protocol or of the address, and with LiteLLM of the provider, clears a key that is not given anew:
    it belongs to the place it was typed in for. What was found by checking is forgotten when the place or the key
    changes. Raises Invalid with the field, or ConnectionChanged when somebody else changed or removed it since
    `connection` was read.
    """
    row = _locked(connection)
    if row.changed_at != connection.changed_at:
        raise ConnectionChanged
    return _change(row, values, secret, actor, now)


@transaction.atomic
def set_secret(*, connection: Connection, secret: str, actor: Actor, now: datetime) -> Connection:
    """Replace the key, or remove it with an empty text. Raises Invalid or ConnectionChanged."""
    row = _locked(connection)
    return _change(row, fields_of(row), secret, actor, now)


def _change(row: Connection, values: ConnectionFields, secret: str | None, actor: Actor, now: datetime) -> Connection:
    """As `change_connection`, with the row locked."""
    values, before = _checked(values), fields_of(row)
    changed = [one.name for one in fields(values) if getattr(values, one.name) != getattr(before, one.name)]
    is_elsewhere = _destination(values) != _destination(before)
    key = _what_becomes_of_key(secret, is_elsewhere=is_elsewhere, had_secret=bool(row.sealed_secret))
    if not changed and key == "kept":
        return row
    _take_over(row, values, now)
    if key != "kept":
        _seal(row, _checked_secret(values, secret or ""))
    if is_elsewhere or key != "kept":
        row.last_checked_at, row.last_check_ok, row.last_check_note = None, None, ""
    row.save()
    audit.record(
        actor=actor,
        action="providers.connection_changed",
        project=row.project,
        target=row,
        at=now,
        details={"changed": changed, "base_url": row.base_url, "key": key},
    )
    return row


@transaction.atomic
def switch_connection(*, connection: Connection, is_enabled: bool, actor: Actor, now: datetime) -> Connection:
    """Enable or disable it; nothing happens when it already is so. A disabled one keeps its key and is never called."""
    row = _locked(connection)
    if (row.disabled_at is None) == is_enabled:
        return row
    row.disabled_at, row.changed_at = (None if is_enabled else now), now
    row.save(update_fields=["disabled_at", "changed_at"])
    action = "providers.connection_enabled" if is_enabled else "providers.connection_disabled"
    audit.record(actor=actor, action=action, project=row.project, target=row, at=now)
    return row


@transaction.atomic
def remove_connection(*, connection: Connection, actor: Actor, now: datetime) -> None:
    """Remove it with its key, for good. Raises ConnectionChanged when it is gone already."""
    row = _locked(connection)
    audit.record(
        actor=actor,
        action="providers.connection_removed",
        project=row.project,
        target=row,
        at=now,
        details={"base_url": row.base_url, "models": list(row.model_names)},
    )
    row.delete()


@transaction.atomic
def note_check(*, connection: Connection, is_ok: bool, note: str, actor: Actor, now: datetime) -> bool:
    """Write down what a call over this connection brought, unless it was changed since; True when written.

    The note must hold no key.
    """
    same = Connection.objects.filter(pk=connection.pk, changed_at=connection.changed_at)
    if not same.update(last_checked_at=now, last_check_ok=is_ok, last_check_note=note[:300]):
        return False
    audit.record(
        actor=actor,
        action="providers.connection_checked",
        project=connection.project,
        target=connection,
        at=now,
        details={"works": is_ok},
    )
    return True


def _locked(connection: Connection) -> Connection:
    row = Connection.objects.select_for_update().filter(pk=connection.pk).first()
    if row is None:
        raise ConnectionChanged
    return row


def _destination(values: ConnectionFields) -> tuple[str, str, str]:
    """Where the key goes. Without an address of its own, LiteLLM's provider decides that."""
    return values.protocol, values.base_url, values.provider if values.protocol == Protocol.LITELLM else ""


def _what_becomes_of_key(secret: str | None, *, is_elsewhere: bool, had_secret: bool) -> str:
    """As the audit trail says it: kept, set, replaced, removed, or cleared because it belongs elsewhere."""
    if secret and secret.strip():
        return "replaced" if had_secret else "set"
    if not had_secret:
        return "kept"
    if secret is not None:
        return "removed"
    return "cleared" if is_elsewhere else "kept"


def _take_over(row: Connection, values: ConnectionFields, now: datetime) -> None:
    row.name, row.protocol, row.provider, row.base_url = values.name, values.protocol, values.provider, values.base_url
    row.model_names = list(values.models)
    row.connect_seconds, row.first_byte_seconds = values.connect_seconds, values.first_byte_seconds
    row.idle_seconds, row.total_seconds = values.idle_seconds, values.total_seconds
    row.attempts, row.changed_at = values.attempts, now


def _seal(row: Connection, secret: str) -> None:
    """An empty key is no key."""
    row.sealed_secret = sealing.seal(secret, place=row.place) if secret else ""
    shows_end = len(secret) >= HINT_FROM and not secret.startswith("{")
    row.secret_hint = secret[-HINT_CHARACTERS:] if shows_end else ""


# --- Checks
# ---------------------------------------------------------------------------------------------------------


def _checked(values: ConnectionFields) -> ConnectionFields:
    """The values, tidied. Raises Invalid with every field that has to change."""
    wrong: dict[str, list[str]] = {}
    name, provider = " ".join(values.name.split()), values.provider.strip()
    if not name or len(name) > 120 or not name.isprintable():
        wrong["name"] = ["A name has 1 to 120 characters."]
    if values.protocol not in SPEAKABLE:
        wrong["protocol"] = [f"Choose one of {', '.join(SPEAKABLE)}."]
    elif values.protocol == Protocol.LITELLM:
        if provider not in litellm_keys.PROVIDERS:
            wrong["provider"] = [f"Through LiteLLM there are: {', '.join(litellm_keys.PROVIDERS)}."]
    elif provider:
        known = providers_of(provider)
        if len(known) != 1 or len(known[0]) > 64 or known[0] == TEST:
            wrong["provider"] = ["Name one provider as the price book does, or leave it empty."]
        else:
            provider = known[0]
    base_url = values.base_url.strip().rstrip("/")
    sentences = _wrong_with_address(base_url, is_needed=values.protocol != Protocol.LITELLM)
    if sentences:
        wrong["base_url"] = sentences
    models = tuple(dict.fromkeys(filter(None, (model.strip() for model in values.models))))
    sentences = _wrong_with_models(models, values.protocol)
    if sentences:
        wrong["models"] = sentences
    for field, (low, high) in RANGES.items():
        if not low <= getattr(values, field) <= high:
            wrong[field] = [f"From {low} to {high}."]
    if wrong:
        raise Invalid(None, **wrong)
    return ConnectionFields(
        name,
        str(values.protocol),
        provider,
        base_url,
        models,
        values.connect_seconds,
        values.first_byte_seconds,
        values.idle_seconds,
        values.total_seconds,
        values.attempts,
    )


def _wrong_with_address(base_url: str, *, is_needed: bool) -> list[str]:
    if not base_url:
        return ["Give the address, such as https://api.example.com/v1."] if is_needed else []
    if len(base_url) > 500:
        return ["An address has at most 500 characters."]
    try:
        egress.check_url(base_url)
    except egress.EgressRefused as error:
        return [error.text]
    parts = urlsplit(base_url)
    if parts.query or parts.fragment or "?" in base_url or "#" in base_url:
        return ["Leave out everything from ? or # on."]
    return []


def _wrong_with_models(models: Sequence[str], protocol: str) -> list[str]:
    if len(models) > MOST_MODELS:
        return [f"At most {MOST_MODELS} models."]
    bad = [model for model in models if len(model) > MOST_MODEL_CHARACTERS or not model.isprintable()]
    if protocol == Protocol.LITELLM:
        bad += [model for model in models if model not in bad and not litellm_keys.MODEL.fullmatch(model)]
    return [f"Not a model's name: {', '.join(model[:60] for model in bad)}."] if bad else []


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        raise Invalid(slug=["Up to 64 lower-case letters, digits and hyphens, and neither test nor new."])
    return slug


def _checked_secret(values: ConnectionFields, secret: str) -> str:
    """The key without the blanks around it. Raises Invalid, never with the key."""
    secret = secret.strip()
    if len(secret) > MOST_SECRET_CHARACTERS:
        raise Invalid(secret=[f"A key has at most {MOST_SECRET_CHARACTERS} characters."])
    if values.protocol == Protocol.LITELLM and secret:
        try:
            litellm_keys.arguments(values.provider, secret)
        except litellm_keys.KeyNotUsable as error:
            raise Invalid(secret=[str(error)]) from None
    is_object = values.protocol == Protocol.LITELLM and values.provider == litellm_keys.BEDROCK
    if not is_object and not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise Invalid(secret=["A key has only letters, digits and signs, no blanks and no line breaks."])
    return secret

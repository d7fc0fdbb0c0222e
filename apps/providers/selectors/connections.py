"""Reading connections: lists for people, and where a call of a model goes."""

from __future__ import annotations

from datetime import datetime

from apps.core import sealing
from apps.core.errors import DomainError, NotFound
from apps.projects.models import Project
from apps.providers.calls import Limits, Protocol, Target
from apps.providers.models import Connection
from apps.providers.presets import TEST, TEST_EMBEDDING_MODELS, TEST_MODELS
from apps.providers.selectors.prices import price_book
from apps.providers.types import ConnectionLine, ConnectionState, OfferedModel

TEST_CONNECTION = "Test model"
MOST_NAMED = 20


class NoConnection(DomainError):
    """No connection of the project offers the model."""

    code, http_status = "no_connection", 422


class KeyUnreadable(DomainError):
    """The stored key was sealed with an encryption key that this installation does not have."""

    code, http_status = "key_unreadable", 422
    message = (
        "The key of the connection {connection} cannot be read: it was sealed with another encryption key."
        " Enter it again under Settings, Providers."
    )


def list_connections(project: Project) -> list[ConnectionLine]:
    """The project's connections, oldest first: the order in which a bare model name looks for one."""
    return [line_of(row) for row in _rows(project)]


def get_connection(project: Project, slug: str) -> Connection:
    """The project's connection with this slug. Raises NotFound."""
    row = Connection.objects.filter(project=project, slug=slug).first()
    if row is None:
        raise NotFound
    return row


def line_of(row: Connection) -> ConnectionLine:
    """What may be shown of it."""
    return ConnectionLine(
        uuid=row.uuid,
        slug=row.slug,
        name=row.name,
        protocol=row.protocol,
        provider=row.provider,
        base_url=row.base_url,
        has_secret=bool(row.sealed_secret),
        secret_hint=row.secret_hint,
        models=tuple(row.model_names),
        connect_seconds=row.connect_seconds,
        first_byte_seconds=row.first_byte_seconds,
        idle_seconds=row.idle_seconds,
        total_seconds=row.total_seconds,
        attempts=row.attempts,
        state=_state(row),
        created_at=row.created_at,
        changed_at=row.changed_at,
        last_checked_at=row.last_checked_at,
        last_check_note=row.last_check_note,
        disabled_at=row.disabled_at,
    )


def target_for(project: Project, model: str) -> Target:
    """Where a call of this model goes, with the key unsealed.

    `<slug>/<model>` names the connection, which may be asked for any model; a bare name takes the oldest enabled
    connection that lists it; `test/<model>` is always the test model. Raises NoConnection or KeyUnreadable.
    """
    name = model.strip()
    if name.startswith(f"{TEST}/"):
        return _test_target(name.removeprefix(f"{TEST}/"))
    enabled = [row for row in _rows(project) if row.disabled_at is None]
    slug, slash, rest = name.partition("/")
    for row in enabled:
        if slash and rest and row.slug == slug:
            return connection_target(row, rest)
    for row in enabled:
        if name in row.model_names:
            return connection_target(row, name)
    raise _nothing_for(project, name)


def connection_target(row: Connection, model: str) -> Target:
    """Where a call over this very connection goes, disabled or not. Raises KeyUnreadable."""
    try:
        secret = sealing.unseal(row.sealed_secret, place=row.place) if row.sealed_secret else ""
    except sealing.CannotOpen as error:
        raise KeyUnreadable(connection=row.slug) from error
    limits = Limits(
        connect_seconds=row.connect_seconds,
        first_byte_seconds=row.first_byte_seconds,
        idle_seconds=row.idle_seconds,
        total_seconds=row.total_seconds,
        attempts=row.attempts,
    )
    return Target(
        protocol=Protocol(row.protocol),
        provider=row.provider,
        model=model,
        base_url=row.base_url,
        secret=secret,
        limits=limits,
        connection=row.name,
    )


def offered_models(project: Project, *, now: datetime) -> list[OfferedModel]:
    """What pickers offer: the models that enabled connections list, then the test model's. `now` decides which
    prices count as known."""
    found = []
    for row in _rows(project):
        if row.disabled_at is not None:
            continue
        for model in row.model_names:
            priced = price_book.price_for(project.pk, row.provider or None, model, now)
            found.append(
                OfferedModel(
                    name=f"{row.slug}/{model}",
                    model=model,
                    connection=row.name,
                    provider=row.provider,
                    is_test=False,
                    is_embedding="embed" in model.lower(),
                    is_price_known=priced is not None,
                )
            )
    return found + [_offered_test_model(model) for model in TEST_MODELS]


def _offered_test_model(model: str) -> OfferedModel:
    return OfferedModel(
        name=f"{TEST}/{model}",
        model=model,
        connection=TEST_CONNECTION,
        provider=TEST,
        is_test=True,
        is_embedding=model in TEST_EMBEDDING_MODELS,
        is_price_known=True,
    )


def _rows(project: Project) -> list[Connection]:
    return list(Connection.objects.filter(project=project).order_by("created_at", "id"))


def _state(row: Connection) -> ConnectionState:
    if row.disabled_at is not None:
        return ConnectionState.DISABLED
    if row.last_check_ok is None:
        return ConnectionState.UNCHECKED
    return ConnectionState.WORKS if row.last_check_ok else ConnectionState.FAILS


def _test_target(model: str) -> Target:
    if model not in TEST_MODELS:
        known = ", ".join(f"{TEST}/{name}" for name in TEST_MODELS)
        raise NoConnection(
            f"There is no test model called {TEST}/{model}. There are: {known}.", model=f"{TEST}/{model}"
        )
    return Target(protocol=Protocol.TEST, provider=TEST, model=model)


def _nothing_for(project: Project, model: str) -> NoConnection:
    """What exists, and what to do."""
    rows = _rows(project)
    slug = model.partition("/")[0]
    if any(row.slug == slug and row.disabled_at is not None for row in rows):
        return NoConnection(
            f"The connection {slug} is disabled. Enable it under Settings, Providers, or choose another model.",
            model=model,
        )
    offered = [f"{row.slug}/{name}" for row in rows if row.disabled_at is None for name in row.model_names]
    more = f" and {len(offered) - MOST_NAMED} more" if len(offered) > MOST_NAMED else ""
    has = f"It has {', '.join(offered[:MOST_NAMED])}{more}." if offered else "It has no connection with models yet."
    return NoConnection(
        f"No connection of this project offers {model or 'a model without a name'}. {has}"
        f" Add one under Settings, Providers, or use {TEST}/steady, which needs no key.",
        model=model,
        offered=offered[:MOST_NAMED],
    )

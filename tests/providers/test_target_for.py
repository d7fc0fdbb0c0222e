"""Which connection a model's name leads to, and what is offered."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import presets, services
from apps.providers.calls import Limits, Protocol
from apps.providers.models import Connection
from apps.providers.selectors import connections, price_book
from apps.providers.selectors.connections import KeyUnreadable, NoConnection, offered_models, target_for
from tests.factories import NOW
from tests.providers.conftest import Sync

ACTOR = Actor(kind="system", id=None, name="tests")


def add(project: Project, slug: str, *models: str, minutes: int = 0, **values: object) -> Connection:
    """A connection of a project, added some minutes after NOW."""
    secret = str(values.pop("secret", f"sk-{slug}-0123456789abcdef"))
    fields = {
        "name": slug.title(),
        "protocol": "openai",
        "provider": "openai",
        "base_url": f"https://{slug}.example.com/v1",
        **values,
    }
    return services.add_connection(
        project=project,
        slug=slug,
        values=services.ConnectionFields(models=models, **fields),
        secret=secret,
        actor=ACTOR,
        now=NOW + timedelta(minutes=minutes),
    )


def switch(row: Connection, *, is_enabled: bool) -> None:
    """Enable or disable."""
    services.switch_connection(connection=row, is_enabled=is_enabled, actor=ACTOR, now=NOW)


def test_takes_the_connection_that_the_slug_names(project: Project) -> None:
    add(project, "first", "gpt-4o")
    add(project, "second", "gpt-4o", minutes=1, provider="azure", total_seconds=60, attempts=3)
    target = target_for(project, "second/gpt-4o")
    assert (target.base_url, target.secret, target.model, target.provider, target.connection) == (
        "https://second.example.com/v1",
        "sk-second-0123456789abcdef",
        "gpt-4o",
        "azure",
        "Second",
    )
    assert target.protocol is Protocol.OPENAI
    assert target.limits == Limits(total_seconds=60, attempts=3)


def test_lets_the_slug_name_a_model_that_is_not_listed(project: Project) -> None:
    add(project, "router", "gpt-4o")
    assert target_for(project, "router/meta-llama/Llama-3.3-70B").model == "meta-llama/Llama-3.3-70B"


def test_takes_the_oldest_enabled_connection_that_lists_a_bare_name(project: Project) -> None:
    first = add(project, "zeta", "gpt-4o")
    add(project, "alpha", "gpt-4o", minutes=1)
    assert target_for(project, "gpt-4o").connection == "Zeta"
    switch(first, is_enabled=False)
    assert target_for(project, "gpt-4o").connection == "Alpha"
    switch(first, is_enabled=True)
    assert target_for(project, "gpt-4o").connection == "Zeta"


def test_finds_a_listed_name_with_a_slash(project: Project) -> None:
    add(project, "router", "openai/gpt-4o")
    assert target_for(project, "openai/gpt-4o").connection == "Router"
    add(project, "openai", minutes=1)
    assert target_for(project, "openai/gpt-4o").connection == "Openai", "a slug goes before a listed name"


@pytest.mark.parametrize("name", ["", "gpt-4o", "nowhere/gpt-4o", "/gpt-4o", "router/", "ROUTER/gpt-4o"])
def test_says_what_there_is_and_what_to_do(project: Project, name: str) -> None:
    add(project, "router", "gpt-4.1")
    with pytest.raises(NoConnection) as caught:
        target_for(project, name)
    assert (caught.value.code, caught.value.http_status) == ("no_connection", 422)
    assert "router/gpt-4.1" in caught.value.text
    assert "Settings, Providers" in caught.value.text
    assert "test/steady" in caught.value.text


def test_says_that_a_connection_is_disabled(project: Project) -> None:
    switch(add(project, "openai", "gpt-4o"), is_enabled=False)
    with pytest.raises(NoConnection, match="The connection openai is disabled. Enable it"):
        target_for(project, "openai/gpt-4o")
    with pytest.raises(NoConnection, match="has no connection with models"):
        target_for(project, "gpt-4o")


def test_never_finds_the_connection_of_another_project(project: Project, other_project: Project) -> None:
    add(other_project, "openai", "gpt-4o")
    for name in ("openai/gpt-4o", "gpt-4o"):
        with pytest.raises(NoConnection) as caught:
            target_for(project, name)
        assert "openai/gpt-4o" not in caught.value.text.replace(f"offers {name}", "")


@pytest.mark.parametrize("model", presets.TEST_MODELS)
def test_always_has_the_test_model(project: Project, model: str) -> None:
    target = target_for(project, f"test/{model}")
    assert (target.protocol, target.provider, target.model, target.secret) == (Protocol.TEST, "test", model, "")


def test_names_the_test_models_there_are(project: Project) -> None:
    with pytest.raises(NoConnection, match="test/steady, test/echo"):
        target_for(project, "test/gpt-4o")


def test_does_not_open_a_key_that_was_moved_to_another_row(project: Project, other_project: Project) -> None:
    mine, theirs = add(project, "openai", "gpt-4o"), add(other_project, "openai", "gpt-4o")
    Connection.objects.filter(pk=theirs.pk).update(sealed_secret=mine.sealed_secret)
    with pytest.raises(KeyUnreadable, match="The key of the connection openai cannot be read"):
        target_for(other_project, "openai/gpt-4o")
    assert target_for(project, "openai/gpt-4o").secret == "sk-openai-0123456789abcdef"


def test_keeps_the_key_out_of_what_is_printed(project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    target = target_for(project, "gpt-4o")
    for printed in (repr(target), repr(row), str(row), repr(connections.line_of(row)), row.sealed_secret):
        assert target.secret not in printed


def test_offers_models_of_enabled_connections_then_the_test_model(project: Project, sync: Sync, now: datetime) -> None:
    sync()
    add(project, "openai", "gpt-4o", "gpt-unknown", "text-embedding-3-small")
    switch(add(project, "old", "gpt-4o", minutes=1), is_enabled=False)
    offered = offered_models(project, now=now)
    assert [(one.name, one.is_test, one.is_embedding, one.is_price_known) for one in offered[:4]] == [
        ("openai/gpt-4o", False, False, True),
        ("openai/gpt-unknown", False, False, False),
        ("openai/text-embedding-3-small", False, True, False),
        ("test/steady", True, False, True),
    ]
    assert [one.name for one in offered[3:]] == [f"test/{model}" for model in presets.TEST_MODELS]
    assert {one.connection for one in offered} == {"Openai", "Test model"}
    for one in offered:
        assert target_for(project, one.name).model == one.model


def test_offers_the_test_model_to_an_empty_project(project: Project, now: datetime) -> None:
    assert {one.provider for one in offered_models(project, now=now)} == {"test"}


@pytest.mark.parametrize(
    ("provider", "model", "is_free"),
    [
        ("test", "steady", True),
        ("test", "test/steady", True),
        ("test", "gpt-4o", False),
        (None, "steady", False),
        ("openai", "test/steady", False),
    ],
)
def test_charges_nothing_for_the_test_model_alone(
    project: Project, provider: str | None, model: str, is_free: bool, now: datetime
) -> None:
    priced = price_book.price_for(project.pk, provider, model, now)
    assert (priced is not None) is is_free
    assert priced is None or (priced.price_id, priced.source, priced.rates.per_request) == (0, "test", 0)


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda preset: preset.key)
def test_has_presets_that_can_be_saved(project: Project, preset: presets.Preset, settings: object) -> None:
    """Each but those with an address to fill in, once the operator has allowed this machine's own servers."""
    settings.EGRESS_ALLOW = ["localhost"]  # type: ignore[attr-defined]
    row = services.add_connection(
        project=project,
        slug=preset.key,
        values=services.ConnectionFields(
            name=preset.name,
            protocol=preset.protocol,
            provider=preset.provider,
            base_url=preset.base_url or ("" if preset.protocol is Protocol.LITELLM else "https://own.example.com/v1"),
            models=preset.models,
        ),
        secret="",
        actor=ACTOR,
        now=NOW,
    )
    assert (row.slug, row.provider, tuple(row.model_names)) == (preset.key, preset.provider, preset.models)

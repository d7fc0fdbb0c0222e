"""Settings, Providers: adding, changing, testing and removing connections, and what never appears there."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project
from apps.providers.models import Connection
from apps.providers.selectors.connections import target_for
from tests.conftest import page_client, sign_in
from tests.fakes.provider import KEY, FakeProvider, Fault, Script
from tests.providers.test_target_for import add

CANARY = "sk-canary-7Zq1mVd5RfYp8Lc2HgN6"
QUERIES_AT_MOST = 12


def page(project: Project, rest: str = "") -> str:
    """The address of the page."""
    return f"/p/{project.slug}/settings/providers{rest}"


def typed(**changes: Any) -> dict[str, Any]:
    """A form, filled in."""
    return {
        "name": "OpenAI",
        "slug": "openai",
        "protocol": "openai",
        "base_url": "https://api.example.com/v1",
        "provider": "openai",
        "secret": CANARY,
        "models": "gpt-4o\r\n gpt-4o-mini \r\n\r\ngpt-4o",
        "connect_seconds": "5",
        "first_byte_seconds": "30",
        "idle_seconds": "30",
        "total_seconds": "300",
        "attempts": "2",
        **changes,
    }


def main_of(content: bytes) -> str:
    """What stands between the tags of the main part."""
    return content.decode().split("<main")[1].split("</main>")[0]


def everything_stored() -> str:
    """All rows of all tables, but the column that is for ciphertext, and what of that can be read."""
    with database.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        dump = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t LIMIT 5000')
            dump += [row for (row,) in cursor.fetchall()]
    sessions = [str(session.get_decoded()) for session in Session.objects.all()]
    return "\n".join(dump + sessions)


def test_shows_the_test_model_to_everybody(bob_client: Client, project: Project) -> None:
    answer = bob_client.get(page(project))
    text = main_of(answer.content)
    assert "test/steady" in text
    assert "Deterministic, free, not a real model" in text
    assert "<form" not in text


def test_adds_a_connection_from_a_preset(alice_client: Client, project: Project) -> None:
    form = alice_client.get(page(project, "/new?preset=mistral"))
    assert b'value="https://api.mistral.ai/v1"' in form.content
    answer = alice_client.post(page(project, "/new?preset=mistral"), typed(slug="mistral"))
    assert (answer.status_code, answer.url) == (302, page(project))
    row = Connection.objects.get()
    assert (row.project_id, row.slug, row.model_names) == (project.pk, "mistral", ["gpt-4o", "gpt-4o-mini"])
    assert row.secret_hint == CANARY[-4:]
    assert CANARY not in row.sealed_secret
    assert target_for(project, "mistral/gpt-4o").secret == CANARY
    entry = AuditEntry.objects.get(action="providers.connection_added")
    assert (entry.actor_name, entry.details["key"]) == ("alice@example.com", "set")
    shown = main_of(alice_client.get(page(project)).content)
    assert f"…{CANARY[-4:]}" in shown
    assert "Not tested" in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "This field is required"),
        ({"slug": "test"}, "neither test nor new"),
        ({"slug": "Open AI"}, "lower-case letters"),
        ({"base_url": ""}, "Give the address"),
        ({"base_url": "http://api.example.com/v1"}, "Only https is allowed"),
        ({"base_url": "https://169.254.169.254/v1"}, "is not on the public internet"),
        ({"base_url": "https://localhost:11434/v1"}, "is not on the public internet"),
        ({"base_url": "https://user:pass@api.example.com"}, "must not hold a name or password"),
        ({"base_url": "https://api.example.com/v1?key=1"}, "Leave out everything from ?"),
        ({"protocol": "litellm", "provider": "sagemaker"}, "Through LiteLLM there are"),
        ({"protocol": "litellm", "provider": "bedrock", "base_url": ""}, "is a JSON object"),
        ({"protocol": "litellm", "provider": "xai", "models": "../../evil"}, "Not a model"),
        ({"provider": "google"}, "Name one provider"),
        ({"secret": "sk with blanks"}, "no blanks"),
        ({"attempts": "6"}, "less than or equal to 5"),
    ],
)
def test_says_what_is_wrong_and_stores_nothing(
    alice_client: Client, project: Project, changes: dict[str, Any], said: str
) -> None:
    answer = alice_client.post(page(project, "/new"), typed(**changes))
    assert answer.status_code == 422
    assert said in answer.content.decode().replace("&#x27;", "'")
    assert CANARY not in answer.content.decode()
    assert not Connection.objects.exists()


def test_refuses_a_second_one_with_the_same_short_name(alice_client: Client, project: Project) -> None:
    add(project, "openai")
    answer = alice_client.post(page(project, "/new"), typed())
    assert answer.status_code == 422
    assert b"There already is a connection called openai" in answer.content
    assert Connection.objects.count() == 1


def test_changes_everything_but_the_short_name_and_keeps_the_key(alice_client: Client, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    form = alice_client.get(page(project, "/openai")).content.decode()
    assert CANARY not in form
    assert 'name="slug"' not in form
    answer = alice_client.post(
        page(project, "/openai"),
        typed(name="New name", slug="other", secret="", base_url="https://openai.example.com/v1/", models="gpt-5"),
    )
    assert answer.status_code == 302
    row = Connection.objects.get()
    assert (row.name, row.slug, row.model_names) == ("New name", "openai", ["gpt-5"])
    assert target_for(project, "gpt-5").secret == CANARY
    assert AuditEntry.objects.get(action="providers.connection_changed").details == {
        "changed": ["name", "models"],
        "base_url": "https://openai.example.com/v1",
        "key": "kept",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://evil.example.net/v1"},
        {"base_url": "https://openai.example.com/v2"},
        {"base_url": "https://openai.example.com:443/v1"},
        {"protocol": "anthropic"},
    ],
)
def test_a_new_address_loses_the_key(alice_client: Client, project: Project, changes: dict[str, str]) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    filled = typed(secret="", base_url="https://openai.example.com/v1")
    answer = alice_client.post(page(project, "/openai"), {**filled, **changes}, follow=True)
    assert target_for(project, "openai/gpt-4o").secret == ""
    assert Connection.objects.get().sealed_secret == ""
    assert AuditEntry.objects.get(action="providers.connection_changed").details["key"] == "cleared"
    assert "base_url" not in changes or b"Its key belonged to the old address" in answer.content


def test_a_new_address_takes_a_new_key_along(alice_client: Client, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret="sk-old-0123456789abcdef")
    alice_client.post(page(project, "/openai"), typed(base_url="https://new.example.com/v1"))
    target = target_for(project, "openai/gpt-4o")
    assert (target.base_url, target.secret) == ("https://new.example.com/v1", CANARY)


def test_removes_the_key_alone(alice_client: Client, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    filled = typed(secret="", base_url="https://openai.example.com/v1", removes_secret="on")
    alice_client.post(page(project, "/openai"), filled)
    row = Connection.objects.get()
    assert (row.sealed_secret, row.secret_hint) == ("", "")


def test_shows_no_end_of_a_short_key(project: Project) -> None:
    assert add(project, "local", secret="elevenchars").secret_hint == ""
    assert add(project, "longer", secret="twelve-chars").secret_hint == "hars"


def test_tests_the_saved_connection(alice_client: Client, project: Project, provider: FakeProvider) -> None:
    add(project, "fake", "fake-1", base_url=provider.url, secret=KEY)
    answer = alice_client.post(page(project, "/fake/check"), {"base_url": "https://evil.example.net"}, follow=True)
    assert "fake-1 answered after" in answer.content.decode()
    (call,) = provider.calls
    assert call.headers["authorization"] == f"Bearer {KEY}"
    row = Connection.objects.get()
    assert (row.last_check_ok, row.last_checked_at is not None) == (True, True)
    assert "Works" in main_of(answer.content)
    assert AuditEntry.objects.get(action="providers.connection_checked").details == {"works": True}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script(Fault.ECHO_KEY), "does not accept the key"),
        (Script(Fault.STATUS, status=404), "no such model"),
        (Script(Fault.CLOSE), "could not be reached"),
        (Script(Fault.REDIRECT, location="http://127.0.0.1:1/"), "a redirect"),
        (Script(Fault.NOT_HTTP), "cannot be read"),
    ],
    ids=lambda value: value.fault if isinstance(value, Script) else "",
)
def test_says_how_a_test_failed_without_the_key(
    alice_client: Client, project: Project, provider: FakeProvider, script: Script, said: str
) -> None:
    add(project, "fake", "fake-1", base_url=provider.url, secret=KEY)
    provider.script(script)
    answer = alice_client.post(page(project, "/fake/check"), follow=True)
    text = answer.content.decode()
    assert said in text
    assert KEY not in text
    row = Connection.objects.get()
    assert row.last_check_ok is False
    assert KEY not in row.last_check_note
    assert len(provider.calls) == 1, "a test tries once"


def test_tests_nothing_without_a_model(alice_client: Client, project: Project, provider: FakeProvider) -> None:
    add(project, "fake", base_url=provider.url)
    answer = alice_client.post(page(project, "/fake/check"), follow=True)
    assert b"List a model of this connection first" in answer.content
    assert not provider.calls


def test_forgets_a_test_when_the_address_changes(
    alice_client: Client, project: Project, provider: FakeProvider
) -> None:
    add(project, "fake", "fake-1", base_url=provider.url, secret=KEY)
    alice_client.post(page(project, "/fake/check"))
    alice_client.post(page(project, "/fake"), typed())
    row = Connection.objects.get()
    assert (row.last_check_ok, row.last_checked_at, row.last_check_note) == (None, None, "")


def test_disables_enables_and_removes(alice_client: Client, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    assert "every prompt and test that names openai" in main_of(
        alice_client.get(page(project, "/openai/remove")).content
    )
    alice_client.post(page(project, "/openai/remove"), {"action": "disable"})
    assert Connection.objects.get().disabled_at is not None
    alice_client.post(page(project, "/openai/remove"), {"action": "enable"})
    assert Connection.objects.get().disabled_at is None
    alice_client.post(page(project, "/openai/remove"), {"action": "remove"})
    assert not Connection.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="providers.").order_by("number")
    assert [entry.action.removeprefix("providers.connection_") for entry in actions] == [
        "added",
        "disabled",
        "enabled",
        "removed",
    ]


@pytest.mark.parametrize("rest", ["/new", "/openai", "/openai/check", "/openai/remove"])
def test_keeps_viewers_and_strangers_out(
    bob_client: Client, charlie_client: Client, project: Project, rest: str
) -> None:
    row = add(project, "openai", "gpt-4o")
    assert bob_client.post(page(project, rest), typed()).status_code == 403
    assert charlie_client.post(page(project, rest), typed()).status_code == 404
    row.refresh_from_db()
    assert (row.name, row.last_checked_at) == ("Openai", None)
    assert Connection.objects.count() == 1


def test_finds_no_connection_of_another_project(alice_client: Client, project: Project, other_project: Project) -> None:
    add(other_project, "openai", "gpt-4o")
    for rest in ("/openai", "/openai/remove"):
        assert alice_client.get(page(project, rest)).status_code == 404
    assert alice_client.post(page(project, "/openai/check")).status_code == 404


@pytest.mark.parametrize("rest", ["/new", "/openai"])
def test_asks_who_it_is_before_a_key_can_be_typed(alice: User, project: Project, rest: str) -> None:
    add(project, "openai", "gpt-4o")
    client = page_client()
    sign_in(client, alice, seconds_ago=3600)
    assert client.get(page(project, rest)).url.startswith("/accounts/reauthenticate/")
    answer = client.post(page(project, rest), typed(slug="second"))
    assert answer.url.startswith("/accounts/reauthenticate/")
    assert Connection.objects.count() == 1
    assert CANARY not in everything_stored(), "what was typed does not wait in the session"


def test_needs_few_queries(
    alice_client: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        add(project, f"c-{number}", "gpt-4o", "gpt-4o-mini", minutes=number)
    alice_client.get(page(project))
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        assert alice_client.get(page(project)).status_code == 200


def test_shows_the_key_nowhere(
    alice_client: Client, project: Project, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A canary in the one slot for secrets, through every page and every failure."""
    caplog.set_level(logging.DEBUG)
    answers = [alice_client.post(page(project, "/new"), typed(base_url=provider.url, models="fake-1"))]
    for script in (Script(Fault.ECHO_KEY), Script(Fault.STATUS), Script(Fault.NOT_HTTP), Script(Fault.MALFORMED)):
        provider.script(script)
        answers.append(alice_client.post(page(project, "/openai/check"), follow=True))
    for rest in ("", "/openai", "/openai/remove", "/new"):
        answers.append(alice_client.get(page(project, rest)))
    answers.append(alice_client.post(page(project, "/openai"), typed(attempts="9")))
    answers.append(alice_client.get(f"/p/{project.slug}/settings/audit"))
    assert any(call.headers.get("authorization") == f"Bearer {CANARY}" for call in provider.calls), "it was used"
    assert CANARY not in "".join(answer.content.decode() for answer in answers)
    assert CANARY not in everything_stored()
    assert CANARY not in caplog.text
    assert not re.search(r"Bearer sk-", caplog.text)

"""`/api/v1/connections`: what goes in, and that a key never comes out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project
from apps.providers.models import Connection
from apps.providers.selectors.connections import target_for
from tests.conftest import Api, sign_in
from tests.providers.test_connections_page import everything_stored
from tests.providers.test_target_for import add

CONNECTIONS = "/api/v1/connections"
CANARY = "sk-canary-7Zq1mVd5RfYp8Lc2HgN6"


def body(**changes: Any) -> dict[str, Any]:
    """A new connection."""
    return {
        "name": "OpenAI",
        "protocol": "openai",
        "provider": "openai",
        "base_url": "https://api.example.com/v1",
        "secret": CANARY,
        "models": ["gpt-4o"],
        **changes,
    }


def patch(api: Api, slug: str, /, **changes: Any) -> Any:
    """PATCH a connection."""
    return api.patch(f"{CONNECTIONS}/{slug}", changes)


def test_adds_a_connection_without_showing_its_key(key_api: Api, project: Project) -> None:
    answer = key_api.post(CONNECTIONS, body(total_seconds=60))
    assert answer.status_code == 201, answer.content
    made = answer.json()
    row = Connection.objects.get()
    assert made == {
        "id": str(row.uuid),
        "slug": "openai",
        "name": "OpenAI",
        "protocol": "openai",
        "provider": "openai",
        "base_url": "https://api.example.com/v1",
        "has_secret": True,
        "secret_hint": CANARY[-4:],
        "models": ["gpt-4o"],
        "connect_seconds": 5,
        "first_byte_seconds": 30,
        "idle_seconds": 30,
        "total_seconds": 60,
        "attempts": 2,
        "state": "unchecked",
        "created_at": made["created_at"],
        "changed_at": made["changed_at"],
        "last_checked_at": None,
        "last_check_note": "",
        "disabled_at": None,
    }
    assert target_for(project, "gpt-4o").secret == CANARY
    assert key_api.get(f"{CONNECTIONS}/openai").json() == made
    assert key_api.get(CONNECTIONS).json() == {"items": [made], "next": None}
    assert AuditEntry.objects.get(action="providers.connection_added").actor_kind == "key"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "\x00"}, "name"),
        ({"name": "漢字"}, "slug"),
        ({"slug": "test"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"protocol": "test"}, "protocol"),
        ({"protocol": "grpc"}, "protocol"),
        ({"provider": "test"}, "provider"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "ftp://api.example.com"}, "base_url"),
        ({"base_url": "https://10.0.0.1/v1"}, "base_url"),
        ({"base_url": "https://[::ffff:127.0.0.1]/v1"}, "base_url"),
        ({"base_url": "https://0x7f000001/v1"}, "base_url"),
        ({"base_url": "https://api.example.com/v1#x"}, "base_url"),
        ({"secret": "two words"}, "secret"),
        ({"secret": "line\nbreak"}, "secret"),
        ({"secret": "ключ"}, "secret"),
        ({"secret": "x" * 8193}, "secret"),
        ({"models": "gpt-4o"}, "models"),
        ({"models": ["x" * 201]}, "models"),
        ({"models": ["a\nb"]}, "models"),
        ({"models": ["x"] * 201}, "models"),
        ({"attempts": 0}, "attempts"),
        ({"total_seconds": 3601}, "total_seconds"),
        ({"project": "other"}, "project"),
        ({"sealed_secret": "v1.x"}, "sealed_secret"),
        ({"disabled_at": None}, "disabled_at"),
    ],
)
def test_names_the_bad_field_and_stores_nothing(
    key_api: Api, project: Project, changes: dict[str, Any], field: str
) -> None:
    answer = key_api.post(CONNECTIONS, body(**changes))
    assert answer.status_code == 422, answer.content
    assert field in answer.json()["error"]["details"]
    assert not Connection.objects.exists()
    assert CANARY not in answer.content.decode()
    assert CANARY not in everything_stored()


def test_answers_a_repeated_call_with_a_conflict(key_api: Api) -> None:
    key_api.post(CONNECTIONS, body())
    answer = key_api.post(CONNECTIONS, body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "connection_exists")
    assert Connection.objects.count() == 1
    assert AuditEntry.objects.filter(action="providers.connection_added").count() == 1


def test_keeps_the_key_while_the_address_stays(key_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    answer = patch(key_api, "openai", name="Ours", models=["gpt-5", "gpt-5"], attempts=1)
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["models"], answer.json()["has_secret"]) == ("Ours", ["gpt-5"], True)
    assert target_for(project, "gpt-5").secret == CANARY


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://evil.example.net/v1"},
        {"base_url": "https://openai.example.com.evil.example.net/v1"},
        {"base_url": "https://openai.example.com/other"},
        {"protocol": "anthropic"},
        {"protocol": "litellm", "provider": "xai", "base_url": ""},
    ],
)
def test_clears_the_key_with_a_new_address(key_api: Api, project: Project, changes: dict[str, str]) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    answer = patch(key_api, "openai", **changes)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["has_secret"], answer.json()["secret_hint"]) == (False, "")
    assert target_for(project, "openai/gpt-4o").secret == ""
    assert AuditEntry.objects.get(action="providers.connection_changed").details["key"] == "cleared"
    back = patch(key_api, "openai", base_url="https://openai.example.com/v1", protocol="openai")
    assert back.json()["has_secret"] is False, "and it does not come back with the old address"


def test_clears_the_key_with_another_provider_behind_litellm(key_api: Api, project: Project) -> None:
    add(project, "other", "x", protocol="litellm", provider="xai", base_url="", secret=CANARY)
    assert patch(key_api, "other", provider="cohere").json()["has_secret"] is False


def test_keeps_the_key_when_only_the_price_books_name_changes(key_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    assert patch(key_api, "openai", provider="azure").json()["has_secret"] is True


def test_takes_a_new_key_along_with_a_new_address(key_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret="sk-old-0123456789abcdef")
    answer = patch(key_api, "openai", base_url="https://new.example.com/v1", secret=CANARY)
    assert answer.json()["has_secret"] is True
    assert (target_for(project, "gpt-4o").base_url, target_for(project, "gpt-4o").secret) == (
        "https://new.example.com/v1",
        CANARY,
    )
    assert AuditEntry.objects.get(action="providers.connection_changed").details["key"] == "replaced"


@pytest.mark.parametrize("secret", ["", None, "  "])
def test_removes_the_key(key_api: Api, project: Project, secret: str | None) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    assert patch(key_api, "openai", secret=secret).json()["has_secret"] is False
    assert AuditEntry.objects.get(action="providers.connection_changed").details["key"] == "removed"


def test_a_refused_change_changes_nothing(key_api: Api, project: Project) -> None:
    row = add(project, "openai", "gpt-4o", secret=CANARY)
    assert patch(key_api, "openai", base_url="https://127.0.0.1/v1").status_code == 422
    assert patch(key_api, "openai", base_url="https://new.example.com", secret="two words").status_code == 422
    assert patch(key_api, "openai", slug="other").status_code == 422
    after = Connection.objects.get()
    assert (after.base_url, after.sealed_secret, after.changed_at) == (row.base_url, row.sealed_secret, row.changed_at)
    assert not AuditEntry.objects.filter(action="providers.connection_changed").exists()


def test_changes_nothing_twice(key_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    for _ in range(2):
        assert patch(key_api, "openai", name="Ours", enabled=False).status_code == 200
    assert AuditEntry.objects.filter(action="providers.connection_changed").count() == 1
    assert AuditEntry.objects.filter(action="providers.connection_disabled").count() == 1


def test_disables_enables_and_removes(key_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o", secret=CANARY)
    assert patch(key_api, "openai", enabled=False).json()["state"] == "disabled"
    again = patch(key_api, "openai", enabled=True).json()
    assert (again["state"], again["disabled_at"], again["has_secret"]) == ("unchecked", None, True)
    assert key_api.delete(f"{CONNECTIONS}/openai").status_code == 204
    assert key_api.delete(f"{CONNECTIONS}/openai").status_code == 404
    assert not Connection.objects.exists()
    assert AuditEntry.objects.filter(action="providers.connection_removed").count() == 1


def test_lets_readers_read_and_no_more(read_key: str, bob_api: Api, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    for api in (Api(key=read_key), bob_api):
        assert api.get(CONNECTIONS).status_code == 200
        assert api.get(f"{CONNECTIONS}/openai").status_code == 200
        assert api.post(CONNECTIONS, body(slug="second")).status_code == 403
        assert patch(api, "openai", name="Mine").status_code == 403
        assert api.delete(f"{CONNECTIONS}/openai").status_code == 403
    assert Connection.objects.get().name == "Openai"


def test_asks_for_a_key_and_the_right_scope(ingest_key: str, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    assert Api().get(CONNECTIONS).status_code == 401
    assert Api(key=ingest_key).get(CONNECTIONS).status_code == 403


def test_finds_no_connection_of_another_project(key_api: Api, other_key: str, project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    stranger = Api(key=other_key)
    assert stranger.get(CONNECTIONS).json()["items"] == []
    assert stranger.get(f"{CONNECTIONS}/openai").status_code == 404
    assert patch(stranger, "openai", name="Mine").status_code == 404
    assert stranger.delete(f"{CONNECTIONS}/openai").status_code == 404
    row.refresh_from_db()
    assert row.name == "Openai"


def test_asks_people_to_prove_themselves_before_they_change_a_key(alice: User, project: Project) -> None:
    add(project, "openai", "gpt-4o")
    api = Api(user=alice)
    sign_in(api, alice, seconds_ago=3600)
    for answer in (api.post(CONNECTIONS, body(slug="second")), patch(api, "openai", secret=CANARY)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sign_in_again")
    assert Connection.objects.count() == 1
    sign_in(api, alice)
    assert patch(api, "openai", secret=CANARY).status_code == 200


def test_shows_the_key_in_no_answer(key_api: Api, project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answers = [
        key_api.post(CONNECTIONS, body()),
        key_api.post(CONNECTIONS, body()),
        key_api.post(CONNECTIONS, body(slug="x", attempts=99)),
        key_api.post(CONNECTIONS, body(slug="y", secret=[CANARY])),
        key_api.post(CONNECTIONS, body(slug="z", secret={CANARY: 1})),
        key_api.post(CONNECTIONS, body(slug="litellm", protocol="litellm", provider="bedrock", base_url="")),
        patch(key_api, "openai", secret=CANARY + "x", name=""),
        patch(key_api, "openai", secret=CANARY, name="Ours"),
        key_api.get(CONNECTIONS),
        key_api.get(f"{CONNECTIONS}/openai"),
        key_api.get("/api/v1/audit"),
        key_api.get("/api/schema/"),
    ]
    assert target_for(project, "openai/gpt-4o").secret == CANARY
    assert all(CANARY not in answer.content.decode() for answer in answers)
    assert CANARY not in everything_stored()
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "grpc"},
        {"base_url": ""},
        {"sealed_secret": "", "secret_hint": "abcd"},
        {"attempts": 9},
    ],
)
def test_the_database_keeps_the_rules_too(project: Project, changes: dict[str, Any]) -> None:
    row = add(project, "openai", "gpt-4o")
    with pytest.raises(IntegrityError), transaction.atomic():
        Connection.objects.filter(pk=row.pk).update(**changes)

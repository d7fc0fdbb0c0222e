"""`/api/v1/keys`: making, listing, rotating and revoking keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core import clock
from apps.projects import keys
from apps.projects.models import ApiKey, AuditEntry, Membership, Project, Role, Scope
from tests import factories
from tests.conftest import Api, sign_in

KEYS = "/api/v1/keys"


def test_makes_a_key_and_shows_it_once(alice_api: Api, project: Project, alice: User) -> None:
    answer = alice_api.post(KEYS, {"name": "worker"})
    assert answer.status_code == 201
    body = answer.json()
    assert keys.is_well_formed(body["key"])
    assert (body["name"], body["scopes"], body["state"], body["created_by"]) == (
        "worker",
        ["ingest"],
        "works",
        "alice@example.com",
    )
    row = ApiKey.objects.get()
    assert (row.project_id, row.created_by_id, str(row.uuid)) == (project.pk, alice.pk, body["id"])
    assert row.expires_at is not None
    assert abs(row.expires_at - clock.now() - timedelta(days=180)) < timedelta(minutes=1)
    entry = AuditEntry.objects.get(action="projects.key_created")
    assert (entry.actor_name, entry.details["prefix"]) == ("alice@example.com", row.prefix)
    assert body["key"] not in alice_api.get(KEYS).content.decode()


def test_makes_a_key_that_works(alice_api: Api) -> None:
    made = alice_api.post(KEYS, {"name": "reader", "scopes": ["admin"], "expires_at": None}).json()
    assert Api(key=made["key"]).get(KEYS).status_code == 200
    assert made["expires_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes"),
        ({"name": "x", "scopes": "ingest"}, "scopes"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "project": "other"}, "project"),
        ({"name": "x", "created_by": 1}, "created_by"),
        ({"name": "x", "key_hash": "00"}, "key_hash"),
    ],
)
def test_names_the_field_that_is_wrong(alice_api: Api, body: dict[str, object], field: str) -> None:
    answer = alice_api.post(KEYS, body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["details"]
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("role", "scopes", "status"),
    [
        (Role.VIEWER, ["ingest"], 403),
        (Role.EDITOR, ["ingest", "gateway", "prompts:write"], 201),
        (Role.EDITOR, ["promotions"], 403),
        (Role.EDITOR, ["ingest", "admin"], 403),
        (Role.REVIEWER, ["promotions"], 201),
        (Role.REVIEWER, ["admin"], 403),
        (Role.ADMIN, ["admin"], 201),
    ],
)
def test_gives_a_key_no_more_than_its_maker_may_do(
    bob: User, bob_api: Api, role: Role, scopes: list[str], status: int
) -> None:
    Membership.objects.filter(user=bob).update(role=role)
    assert bob_api.post(KEYS, {"name": "x", "scopes": scopes}).status_code == status
    assert ApiKey.objects.count() == (1 if status == 201 else 0)


def test_gives_a_key_made_by_a_key_the_same_maker(key_api: Api, alice: User) -> None:
    made = key_api.post(KEYS, {"name": "child", "scopes": ["read"]})
    assert made.status_code == 201
    assert ApiKey.objects.get(name="child").created_by_id == alice.pk
    assert AuditEntry.objects.latest("pk").actor_kind == "key"


def test_refuses_keys_that_are_not_admin(ingest_key: str) -> None:
    answer = Api(key=ingest_key).post(KEYS, {"name": "x"})
    assert answer.status_code == 403
    assert answer.json()["error"]["details"] == {"needed": "admin"}


def test_wants_a_fresh_sign_in_from_people(alice: User, project: Project) -> None:
    api = Api(user=alice)
    sign_in(api, alice, seconds_ago=901)
    answer = api.post(KEYS, {"name": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sign_in_again")
    assert not ApiKey.objects.exists()


def test_rotates_a_key(key_api: Api, ingest_key: str) -> None:
    old = ApiKey.objects.get(scopes=["ingest"])
    answer = key_api.post(f"{KEYS}/{old.uuid}/rotate")
    assert answer.status_code == 201
    assert keys.is_well_formed(answer.json()["key"])
    old.refresh_from_db()
    assert old.rotated_to is not None
    assert str(old.rotated_to.uuid) == answer.json()["id"]
    again = key_api.post(f"{KEYS}/{old.uuid}/rotate")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "key_not_usable")
    states = {row["id"]: row["state"] for row in key_api.get(KEYS).json()["items"]}
    assert states[str(old.uuid)] == "ending"


def test_revokes_a_key_and_stays_quiet_when_asked_again(key_api: Api, ingest_key: str) -> None:
    key = ApiKey.objects.get(scopes=["ingest"])
    first = key_api.post(f"{KEYS}/{key.uuid}/revoke")
    second = key_api.post(f"{KEYS}/{key.uuid}/revoke")
    assert first.status_code == second.status_code == 200
    assert first.json()["revoked_at"] == second.json()["revoked_at"]
    assert AuditEntry.objects.filter(action="projects.key_revoked").count() == 1


def test_lets_an_editor_change_only_keys_of_their_own(bob: User, bob_api: Api, project: Project, alice: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.EDITOR)
    factories.make_key(project, Scope.INGEST, name="hers", created_by=alice)
    factories.make_key(project, Scope.INGEST, name="his", created_by=bob)
    hers, his = ApiKey.objects.get(name="hers"), ApiKey.objects.get(name="his")
    assert bob_api.post(f"{KEYS}/{hers.uuid}/revoke").status_code == 403
    assert bob_api.post(f"{KEYS}/{his.uuid}/revoke").status_code == 200


def test_refuses_changes_without_a_csrf_token(alice: User, project: Project) -> None:
    browser = Client(enforce_csrf_checks=True)
    sign_in(browser, alice)
    answer = browser.post(KEYS, {"name": "x"}, content_type="application/json")
    assert answer.status_code == 403
    assert not ApiKey.objects.exists()
    browser.get("/account/")  # a page puts the token into the session
    token = browser.get(f"/p/{project.slug}/settings/keys").content.decode().split('X-CSRFToken": "')[1].split('"')[0]
    answer = browser.post(KEYS, {"name": "x"}, content_type="application/json", headers={"X-CSRFToken": token})
    assert answer.status_code == 201


def test_wants_to_know_which_project(alice: User, alice_api: Api) -> None:
    factories.make_project("Second", creator=alice)
    answer = alice_api.get(KEYS)
    assert answer.status_code == 422
    assert "X-Project" in answer.json()["error"]["message"]
    assert alice_api.get(f"{KEYS}?project=second").status_code == 200
    assert alice_api.get(KEYS, headers={"X-Project": "second"}).status_code == 200


def test_refuses_a_body_that_is_not_json(alice_api: Api) -> None:
    answer = alice_api.generic("POST", KEYS, "{")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_uses_utc_in_answers(alice_api: Api) -> None:
    made = alice_api.post(KEYS, {"name": "x", "expires_at": "2099-06-01T12:00:00+02:00"}).json()
    assert datetime.fromisoformat(made["expires_at"]) == datetime(2099, 6, 1, 10, tzinfo=UTC)
    assert made["expires_at"].endswith("Z")

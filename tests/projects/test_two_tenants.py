"""What belongs to one project cannot be read, changed or noticed from another."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.projects import services
from apps.projects.models import ApiKey, AuditEntry, Environment, Feature, Invitation, Membership, Project, Role, Scope
from tests import factories
from tests.conftest import Api
from tests.factories import NOW, actor_of

CANARY = "canary-of-charlie"


@dataclass
class Theirs:
    """One of each thing in the other project, each with the canary in its name."""

    key: ApiKey
    membership: Membership
    invitation: Invitation
    environment: Environment
    feature: Feature


@pytest.fixture
def theirs(other_project: Project, charlie: User) -> Theirs:
    by = {"project": other_project, "actor": actor_of(charlie), "now": NOW}
    guest = factories.make_user(f"guest@{CANARY}.net", name=CANARY)
    factories.make_key(other_project, Scope.READ, name=CANARY, created_by=charlie)
    return Theirs(
        key=ApiKey.objects.get(project=other_project),
        membership=factories.make_member(other_project, guest, role=Role.EDITOR),
        invitation=services.invite(email=f"next@{CANARY}.net", role=Role.VIEWER, invited_by=charlie, **by).invitation,
        environment=services.add_environment(name=CANARY, is_protected=False, **by),
        feature=services.add_feature(name=CANARY, description=CANARY, owner=None, **by),
    )


def everything() -> str:
    """All rows that a foreign request could have changed, as text."""
    models = (Project, ApiKey, Membership, Invitation, Environment, Feature)
    return json.dumps([list(model.objects.order_by("pk").values()) for model in models], default=str)


def test_refuses_foreign_ids_under_ones_own_project(alice_client: Client, project: Project, theirs: Theirs) -> None:
    base = f"/p/{project.slug}/settings"
    before = everything()
    for path, data in (
        (f"{base}/keys/{theirs.key.uuid}/rotate", {}),
        (f"{base}/keys/{theirs.key.uuid}/revoke", {}),
        (f"{base}/members/{theirs.membership.uuid}/role", {"role": "admin"}),
        (f"{base}/members/{theirs.membership.uuid}/remove", {}),
        (f"{base}/invitations/{theirs.invitation.uuid}/revoke", {}),
        (f"{base}/environments/change", {"name": CANARY, "action": "remove"}),
        (f"{base}/features/edit?name={CANARY}", {"description": "mine", "owner": ""}),
    ):
        answer = alice_client.post(path, data)
        assert answer.status_code == 404, path
        assert CANARY not in answer.content.decode().replace(path, "")
    assert everything() == before


def test_refuses_foreign_ids_through_the_api(key_api: Api, alice_api: Api, theirs: Theirs) -> None:
    assert key_api.get("/api/v1/keys").status_code == 200  # its use is noted now
    before = everything()
    for api in (key_api, alice_api):
        for verb in ("rotate", "revoke"):
            answer = api.post(f"/api/v1/keys/{theirs.key.uuid}/{verb}")
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "not_found"
    assert everything() == before


def test_answers_alike_for_a_foreign_and_a_missing_id(key_api: Api, theirs: Theirs) -> None:
    foreign = key_api.post(f"/api/v1/keys/{theirs.key.uuid}/revoke")
    missing = key_api.post("/api/v1/keys/00000000-0000-4000-8000-000000000000/revoke")
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


def test_shows_nothing_of_another_project(
    alice_client: Client, project: Project, theirs: Theirs, key_api: Api, django_user_model: type[User]
) -> None:
    pages = ["general", "members", "keys", "environments", "features", "audit", "audit?of=people", "leave"]
    for page in pages:
        answer = alice_client.get(f"/p/{project.slug}/settings/{page}")
        assert answer.status_code == 200
        assert CANARY not in answer.content.decode(), page
    for path in ("/api/v1/keys", "/api/v1/audit"):
        assert CANARY not in key_api.get(path).content.decode()
    assert CANARY in "".join(AuditEntry.objects.values_list("target_name", flat=True))


def test_gives_no_owner_from_outside(alice_client: Client, project: Project, theirs: Theirs) -> None:
    answer = alice_client.post(
        f"/p/{project.slug}/settings/features",
        {"name": "answers", "description": "", "owner": str(theirs.membership.user_id)},
    )
    assert answer.status_code == 422
    assert not Feature.objects.filter(project=project).exists()


def test_takes_no_field_that_is_not_offered(alice_client: Client, project: Project) -> None:
    answer = alice_client.post(
        f"/p/{project.slug}/settings/general",
        {"name": "New", "timezone": "UTC", "retention_days": 30, "slug": "stolen", "is_sample": "on", "id": 1},
    )
    assert answer.status_code == 302
    project.refresh_from_db()
    assert (project.name, project.slug, project.is_sample) == ("New", "support-desk", False)

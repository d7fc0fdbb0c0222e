"""Going back: two clicks or one call, what is said to whoever cannot, and two people at once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections
from django.test import Client

from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.models import AuditEntry, Project
from apps.projects.types import Scope
from apps.promotions.models import Rollback
from apps.promotions.services import rollbacks
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, Prompt, Version
from tests import factories
from tests.conftest import Api, page_client
from tests.promotions import making
from tests.promotions.test_promotion_races import at_once

API = f"/api/v1/prompts/{making.NAME}/rollback"


def live_one_by_one(project: Project, count: int = 3) -> list[Version]:
    """So many versions, each made live in staging after the other; the last is live."""
    versions = [making.make_version(project, f"{making.GOOD}{' ' * place}") for place in range(count)]
    began = clock.now() - timedelta(hours=1)
    for place, version in enumerate(versions):
        prompts.deploy(
            prompt=version.prompt,
            version=version,
            environment=making.environment(project, "staging"),
            actor=factories.actor_of(making.owner_of(project)),
            now=began + timedelta(minutes=place),
        )
    return versions


def live_number(prompt: Prompt) -> str:
    """What is live in staging."""
    return str(Deployment.objects.get(prompt=prompt, environment__slug="staging", ended_at=None).version.number)


def page_of(project: Project) -> str:
    return f"/p/{project.slug}/prompts/{making.NAME}/-/rollback?environment=staging"


def chosen_in(page: str) -> dict[str, str]:
    """What the form sends when nothing is touched."""
    to = re.search(r'name="to" value="([^"]+)"[^>]* checked', page)
    live = re.search(r'name="live" value="([^"]+)"', page)
    assert to, page
    assert live, page
    return {"to": to[1], "live": live[1], "reason": "Wrong tone"}


@pytest.mark.django_db
def test_two_clicks_go_back_to_the_last_healthy_version(
    project: Project, settings: Any, django_assert_max_num_queries: Any
) -> None:
    """With Redis away. What was rolled back is not chosen the next time, and a click on an old page changes nothing."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    versions = live_one_by_one(project)
    prompt = versions[0].prompt
    editor = page_client(making.ed(project))
    overview = editor.get(f"/p/{project.slug}/prompts/{making.NAME}").content.decode()
    assert "/-/rollback?environment=staging" in overview
    with django_assert_max_num_queries(16):
        page = editor.get(page_of(project)).content.decode()
    sent = chosen_in(page)
    assert f"Roll back staging to {versions[1].number}?" in page
    done = editor.post(page_of(project), sent)
    assert done.status_code == 302, done.content.decode()
    rollback = Rollback.objects.get()
    assert done["Location"] == f"/p/{project.slug}/rollbacks/{rollback.uuid}"
    assert live_number(prompt) == str(versions[1].number)
    assert (rollback.bad.version, rollback.restored.version) == (versions[2], versions[1])
    assert (rollback.restored.evidence_kind, rollback.reason) == ("return", "Wrong tone")
    entry = AuditEntry.objects.get(action="promotions.rolled_back")
    assert entry.details["before"] == str(versions[2].number)
    with django_assert_max_num_queries(16):
        told = editor.get(done["Location"]).content.decode()
    assert "No process was serving this project" in told
    with django_assert_max_num_queries(16):
        listed = editor.get(f"/p/{project.slug}/rollbacks").content.decode()
    assert str(rollback.uuid) in listed
    assert "This is live by now" in editor.post(page_of(project), sent).content.decode()
    first = Deployment.objects.get(version=versions[0])
    stale = editor.post(page_of(project), {**sent, "to": str(first.uuid)})
    assert stale.status_code == 409
    assert f"{versions[1].number} is live in staging by now" in stale.content.decode()
    again = editor.get(page_of(project)).content.decode()
    assert f"Roll back staging to {versions[0].number}?" in again
    assert "It was rolled back." in again
    assert Rollback.objects.count() == 1


@pytest.mark.django_db
def test_one_call_and_refusals_in_clear_words(project: Project, bob_api: Api, bob_client: Client) -> None:
    versions = live_one_by_one(project, 2)
    writer = Api(key=factories.make_key(project, Scope.PROMPTS_WRITE, Scope.READ, created_by=making.ed(project)))

    def refusal(api: Api, **body: Any) -> tuple[int, str, str]:
        answer = api.post(API, {"environment": "staging", **body})
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    never = making.make_version(project, making.BAD)
    assert refusal(bob_api)[:2] == (403, "forbidden")
    assert bob_client.get(page_of(project)).status_code == 403
    assert refusal(writer, environment="nowhere")[0] == 404
    assert refusal(writer, to="9.9.9")[0] == 404
    assert refusal(writer, to=str(never.number))[:2] == (422, "never_live")
    assert refusal(writer, away_from="1.0.0")[:2] == (409, "moved_on")
    assert refusal(writer, environment="production")[:2] == (403, "reviewer_needed")
    reviewer = Api(user=making.rita(project))
    status, code, words = refusal(reviewer, environment="production")
    assert (status, code) == (409, "nothing_before")
    assert words.startswith(f"Nothing else of {making.NAME} was live in production")
    assert not Rollback.objects.exists()
    nothing = page_client(making.ed(project)).get(page_of(project).replace("staging", "production")).content.decode()
    assert "There is nothing to go back to in production" in nothing

    done = writer.post(API, {"environment": "staging", "reason": "Slow"})
    assert done.status_code == 201, done.content
    told = done.json()
    assert (told["version"], told["rollback"]["bad"]["version"]) == tuple(str(one.number) for one in versions)
    same = writer.post(API, {"environment": "staging", "to": told["version"]})
    assert same.json()["rollback"]["id"] == told["rollback"]["id"]
    assert Rollback.objects.count() == 1
    one = writer.get(f"/api/v1/rollbacks/{told['rollback']['id']}").json()
    assert (one["state"], one["reason"], one["everywhere_after_seconds"]) == ("measuring", "Slow", None)
    assert [row["id"] for row in writer.get("/api/v1/rollbacks?limit=1").json()["items"]] == [one["id"]]


@pytest.mark.django_db
def test_a_bad_cursor_is_said_and_no_fault(project: Project, alice_client: Client, key_api: Api) -> None:
    live_one_by_one(project, 2)
    unknown = "00000000-0000-4000-8000-000000000000"
    for what in ("rollbacks", "drills"):
        assert key_api.get(f"/api/v1/{what}?cursor={unknown}").status_code == 422
        assert key_api.get(f"/api/v1/{what}?cursor=x").status_code == 422
        for cursor in (unknown, "x", ""):
            assert alice_client.get(f"/p/{project.slug}/{what}?cursor={cursor}").status_code == 200, (what, cursor)


@pytest.mark.django_db(transaction=True)
def test_two_who_click_at_once_go_back_once(project: Project) -> None:
    """Four people saw the same version live; one goes back, the others are told or get that rollback."""
    versions = live_one_by_one(project)
    prompt, staging = versions[0].prompt, making.environment(project, "staging")
    seen = Deployment.objects.get(prompt=prompt, environment=staging, ended_at=None)
    actor = factories.actor_of(making.ed(project))

    def click() -> Rollback:
        close_old_connections()
        return rollbacks.roll_back(
            prompt=prompt, environment=staging, away_from=seen, actor=actor, now=clock.now(), reason="Both saw it"
        )

    outcomes = at_once([click] * 4)
    assert {type(one) for one in outcomes if isinstance(one, DomainError)} == {rollbacks.MovedOn}, outcomes
    (done,) = [one for one in outcomes if isinstance(one, Rollback)]
    assert Rollback.objects.get() == done
    assert done.committed_at is not None
    assert done.committed_at >= done.asked_at
    assert live_number(prompt) == str(versions[1].number)

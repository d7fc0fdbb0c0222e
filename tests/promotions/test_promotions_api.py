"""Promotions by the JSON API: asked for, read with their evidence, decided by people behind keys."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project
from apps.projects.types import Scope
from apps.promotions.models import Decision, Promotion
from apps.prompts.models import Deployment
from tests import factories
from tests.conftest import Api
from tests.promotions import making

pytestmark = pytest.mark.django_db

PATH = "/api/v1/promotions"


def key_of(project: Project, person: User, *scopes: Scope) -> Api:
    """The API with a key that this person made."""
    return Api(key=factories.make_key(project, *(scopes or (Scope.PROMOTIONS,)), created_by=person))


def wish(version: Any, **changes: Any) -> dict[str, Any]:
    """What asks for the version in production."""
    told = {"prompt": version.prompt.name, "version": str(version.number), "environment": "production", "why": "Better"}
    return told | changes


def test_from_asking_to_live(project: Project, django_assert_max_num_queries: Any) -> None:
    """A key that may write prompts asks; its maker's other key is not another person; a reviewer's key approves."""
    version = making.make_version(project)
    gate = making.make_gate(project)
    making.make_rule(project, gates=[gate])
    making.passed_report(gate, version)
    editor, reviewer = making.ed(project), making.rita(project)
    asking = key_of(project, editor, Scope.PROMPTS_WRITE)

    asked = asking.post(PATH, wish(version))
    assert asked.status_code == 201, asked.json()
    told = asked.json()
    number = told["number"]
    assert (told["state"], told["sentence"].startswith("Gate passed")) == ("waiting", True), told
    report = told["gates"][0]["report"]
    assert (report["verdict"], report["run"]) == ("passed", told["gates"][0]["run"])
    assert {one["state"] for one in report["conditions"]} == {"passed"}
    assert told["rule"]["gates"][0]["slug"] == gate.slug
    assert told["evidence_problems"] == []
    assert told["url"].endswith(f"/p/{project.slug}/promotions/{number}")
    again = asking.post(PATH, wish(version))
    assert (again.status_code, again.json()["number"], Promotion.objects.count()) == (200, number, 1)

    reading = key_of(project, reviewer, Scope.READ)
    with django_assert_max_num_queries(60):
        first = reading.get(f"{PATH}/{number}")
    assert first.status_code == 200
    same = reading.get(f"{PATH}/{number}", headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content) == (304, b"")

    approve = f"{PATH}/{number}/approve"
    assert asking.post(approve).status_code == 403, "prompts:write does not decide"
    assert reading.post(approve).status_code == 403
    rita = key_of(project, reviewer)
    assert rita.post(f"{PATH}/{number}/comments", {"text": "I read all of them"}).status_code == 201
    live = rita.post(approve, {"reason": "Looked at"})
    assert live.status_code == 200, live.json()
    told = live.json()
    assert (told["state"], told["is_live_now"], told["approvals"]) == ("live", True, 1)
    assert told["decisions"][0]["by_key"] is True
    assert [one["text"] for one in told["comments"]] == ["I read all of them"]
    assert told["history"][0]["kind"] == "asked"
    assert Decision.objects.get().person == reviewer
    assert Deployment.objects.get(ended_at=None).version == version
    assert AuditEntry.objects.filter(action="promotions.asked").count() == 1
    assert rita.post(approve).json()["error"]["code"] == "not_waiting"
    assert reading.get(f"{PATH}/{number}", headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_refuses_whoever_may_not_decide(project: Project, alice: User, bob: User, other_key: str) -> None:
    """Author, requester by any key, a viewer, a stranger; and what is typed wrongly leaves nothing."""
    promotion = making.waiting(project)
    path = f"{PATH}/{promotion.number}"
    reviewer = making.rita(project)
    mine = making.ask(making.make_version(project, making.BAD), by=reviewer)
    author, asker = key_of(project, alice), key_of(project, reviewer)

    assert author.post(f"{path}/approve").json()["error"]["code"] == "may_not_decide"
    assert Api(user=alice).post(f"{path}/approve").json()["error"]["code"] == "may_not_decide"
    assert Api(user=bob).post(f"{path}/approve").status_code == 403
    assert Api(user=bob).get(path).status_code == 200
    assert Api().get(path).status_code == 401
    assert Api(key=other_key).get(path).status_code == 404
    assert Api(key=other_key).post(f"{path}/approve").status_code == 404
    assert asker.get(f"{PATH}/999").status_code == 404
    assert asker.get(f"{path}/approve").status_code == 405
    assert asker.post(f"{path}/reject", {"reason": " "}).status_code == 422
    assert asker.post(f"{path}/approve", {"because": "x"}).status_code == 422
    assert asker.post(f"{path}/follow-up", {"finding": "x"}).status_code == 404
    assert asker.post(f"{path}/check").json()["number"] == promotion.number
    assert not Decision.objects.exists()

    rejected = asker.post(f"{path}/reject", {"reason": "It promises refunds"})
    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    assert "It promises refunds" in rejected.json()["sentence"]
    withdrawn = asker.post(f"{PATH}/{mine.number}/withdraw")
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")
    assert asker.post(f"{PATH}/{mine.number}/withdraw").json()["error"]["code"] == "not_open"
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"environment": "staging"}, 409, "not_protected"),
        ({"environment": "nowhere"}, 404, "not_found"),
        ({"version": "9.9.9"}, 404, "not_found"),
        ({"prompt": "no/such"}, 404, "not_found"),
        ({"purpose": "fun"}, 422, "invalid"),
        ({"kind": "override", "why": ""}, 422, "invalid"),
        ({"wy": "typo"}, 422, "invalid"),
    ],
)
def test_refuses_to_ask_for(project: Project, changes: dict[str, Any], status: int, code: str) -> None:
    version = making.make_version(project)
    answer = key_of(project, making.rita(project)).post(PATH, wish(version) | changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.json()
    assert not Promotion.objects.exists()


def test_lists_by_filter_and_page(project: Project, django_assert_max_num_queries: Any) -> None:
    """Without a rule all are refused, with the reason; the newest come first."""
    versions = [making.make_version(project, f"{{{{question}}}} {place}") for place in range(3)]
    api = key_of(project, making.rita(project))
    for version in versions:
        asked = api.post(PATH, wish(version))
        assert asked.json()["state"] == "refused", asked.json()
        assert asked.json()["reasons"]
    with django_assert_max_num_queries(8):
        page = api.get(f"{PATH}?limit=2&state=refused&environment=production&prompt={making.NAME}").json()
    assert ([one["number"] for one in page["items"]], page["next"]) == ([3, 2], 2)
    assert page["items"][0]["sentence"].startswith("Refused:")
    rest = api.get(f"{PATH}?limit=2&cursor=2").json()
    assert ([one["number"] for one in rest["items"]], rest["next"]) == ([1], None)
    assert api.get(f"{PATH}?state=live").json()["items"] == []
    assert api.get(f"{PATH}?state=odd").status_code == 422
    assert api.get(f"{PATH}?stat=live").status_code == 422

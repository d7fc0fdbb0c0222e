"""Release rules through their pages and the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.projects.models import AuditEntry, Project
from apps.projects.types import Scope
from apps.promotions.models import ReleaseRule
from tests import factories
from tests.conftest import Api
from tests.promotions import making

pytestmark = pytest.mark.django_db

PATH = "/api/v1/release-rules"
TYPED = {
    "environment": "production",
    "prompt": "",
    "feature": "",
    "gates": ["ship"],
    "approvals_needed": "2",
    "watch_hours": "6",
    "error_rise": "3",
    "latency_ratio": "",
    "cost_ratio": "1.5",
    "scores": "helpful, 0.1",
    "minimum_calls": "30",
    "rolls_back": "on",
}


def test_the_api_sets_changes_and_removes(project: Project, key_api: Api, read_key: str, other_key: str) -> None:
    making.make_gate(project)
    version = making.make_version(project)
    body = {"environment": "production", "gates": ["ship"], "approvals_needed": 2, "prompt": version.prompt.name}
    made = key_api.post(PATH, body)
    assert made.status_code == 201, made.json()
    told = made.json()
    assert (told["prompt"], told["gates"], told["guardrails"]) == (making.NAME, ["ship"], {})
    again = key_api.post(PATH, body | {"approvals_needed": 3})
    assert (again.json()["id"], again.json()["approvals_needed"]) == (told["id"], 3)
    one = f"{PATH}/{told['id']}"
    body_now = {"gates": ["ship"], "guardrails": {"error_rate": {"most_rise": 0.01}}}
    changed = key_api.put(one, body_now, content_type="application/json")
    assert changed.json()["approvals_needed"] == 1
    assert changed.json()["guardrails"]["error_rate"] == {"most_rise": 0.01, "most": None}

    reader = Api(key=read_key)
    assert [one["id"] for one in reader.get(PATH).json()["items"]] == [told["id"]]
    assert reader.get(one, headers={"If-None-Match": reader.get(one)["ETag"]}).status_code == 304
    promoter = Api(key=factories.make_key(project, Scope.PROMOTIONS, created_by=making.rita(project)))
    assert promoter.get(one).status_code == 200
    assert promoter.delete(one).status_code == 403
    assert Api(user=making.ed(project)).post(PATH, body).status_code == 403
    assert Api(key=other_key).get(one).status_code == 404
    assert Api().get(one).status_code == 401
    assert key_api.patch(one).status_code == 405
    for wrong, field in (
        ({"gates": []}, "gates"),
        ({"gates": ["none"]}, "gates"),
        ({"approvals_needed": 9}, "approvals_needed"),
        ({"environment": "staging"}, "environment"),
        ({"guardrails": {"latency": {}}}, "latency"),
        ({"feature": "x"}, "feature"),
    ):
        refused = key_api.post(PATH, body | wrong)
        assert (refused.status_code, field in refused.json()["error"]["details"]) == (422, True), refused.json()
    assert key_api.delete(one).status_code == 204
    assert key_api.delete(one).status_code == 404
    assert not ReleaseRule.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="promotions.rule").values_list("action", flat=True)
    assert sorted(actions) == ["promotions.rule_changed"] * 3 + ["promotions.rule_removed"]


def test_the_pages_set_and_tell_rules(
    project: Project, alice_client: Client, bob_client: Client, django_assert_max_num_queries: Any
) -> None:
    """The list names prompts without a rule; the form reads guardrails in percent, and keeps what was typed wrongly."""
    base = f"/p/{project.slug}/release-rules"
    making.make_gate(project)
    making.make_version(project)
    bare = alice_client.get(base).content.decode()
    assert "nothing gets in" in bare
    assert making.NAME in bare
    assert bob_client.get(f"{base}/new").status_code == 403

    wrong = alice_client.post(f"{base}/new", TYPED | {"cost_ratio": "0.5", "approvals_needed": "2"})
    assert wrong.status_code == 422
    assert 'value="0.5"' in wrong.content.decode()
    assert not ReleaseRule.objects.exists()
    assert alice_client.post(f"{base}/new", TYPED | {"gates": []}).status_code == 422
    made = alice_client.post(f"{base}/new", TYPED)
    assert made.status_code == 302, made.content.decode()
    rule = ReleaseRule.objects.get()
    assert (rule.approvals_needed, rule.watch_hours, rule.rolls_back, rule.asks_on_merge) == (2, 6, True, False)
    assert rule.guardrails["error_rate"]["most_rise"] == pytest.approx(0.03)
    assert rule.guardrails["latency_p99"] is None
    assert rule.guardrails["scores"] == [{"name": "helpful", "most_drop": 0.1}]
    bob_client.get(base)
    with django_assert_max_num_queries(12):
        shown = bob_client.get(base).content.decode()
    assert "watched for 6 hours" in shown
    assert making.NAME not in shown
    form = alice_client.get(f"{base}/{rule.uuid}").content.decode()
    assert 'value="3"' in form
    assert "helpful, 0.1" in form
    alice_client.post(f"{base}/{rule.uuid}", TYPED | {"environment": "staging", "approvals_needed": "1"})
    rule.refresh_from_db()
    assert (rule.environment.slug, rule.approvals_needed) == ("production", 1), "for what it is does not change"
    assert bob_client.post(f"{base}/{rule.uuid}/remove").status_code == 403
    assert alice_client.post(f"{base}/{rule.uuid}/remove").status_code == 302
    assert not ReleaseRule.objects.exists()

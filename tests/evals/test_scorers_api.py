"""Scorers over the API: made, versioned, tried, calibrated; services of one's own; keys that stay where they belong."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from apps.core.errors import Invalid
from apps.evals.models import Calibration, Scorer, ScorerSecret, ScorerVersion
from apps.evals.selectors.scorers import resolve_choices
from apps.evals.types import ScorerChoice
from apps.projects.models import Project
from apps.telemetry.services.partitions import forget_known
from tests.conftest import Api
from tests.fakes.provider import FakeProvider

HTTP = {"name": "Ours", "kind": "http", "secret": "key-0123456789"}


@pytest.fixture(autouse=True)
def _no_partitions_remembered() -> None:
    """Those that an earlier test made are gone with it."""
    forget_known()


def test_makes_versions_and_keeps_what_does_not_differ(evals_api: Api, project: Project) -> None:
    made = evals_api.post("/api/v1/scorers", {"name": "Answer", "kind": "exact"})
    assert (made.status_code, made.json()["slug"], made.json()["newest"]["version"]) == (201, "answer", 1)
    versions = "/api/v1/scorers/answer/versions"
    second = evals_api.post(versions, {"config": {"strip": False}, "note": "exactly"}).json()
    assert (second["version"], second["config"]["strip"]) == (2, False)
    assert evals_api.post(versions, {"config": {"strip": False}}).json()["version"] == 2
    assert evals_api.post(versions, {"config": {"strip": False}, "pass_mark": 1}).json()["version"] == 3
    assert [one["version"] for one in evals_api.get(versions).json()["items"]] == [3, 2, 1]
    with pytest.raises(DatabaseError), transaction.atomic():
        ScorerVersion.objects.filter(number=1).update(pass_mark=0.1)
    chosen = resolve_choices(project, (ScorerChoice("answer"), ScorerChoice("answer", 1, 0.9)))
    assert [(version.number, mark) for version, mark in chosen] == [(3, 1.0), (1, 0.9)]
    assert evals_api.patch("/api/v1/scorers/answer", {"is_archived": True}).json()["is_archived"] is True
    assert evals_api.get("/api/v1/scorers").json()["items"] == []
    with pytest.raises(Invalid, match="archived"):
        resolve_choices(project, (ScorerChoice("answer"),))


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "x", "kind": "nothing"}, 422, "kind"),
        ({"name": "x", "kind": "exact", "config": {"nothing": 1}}, 422, "nothing"),
        ({"name": "x", "kind": "judge", "config": {"rubric": "r"}}, 422, "model"),
        ({"name": "x", "kind": "exact", "pass_mark": 2}, 422, "pass_mark"),
        ({"name": "x", "kind": "exact", "slug": "new"}, 422, "slug"),
        ({"name": "x", "kind": "http", "config": {"url": "ftp://a"}}, 422, "url"),
    ],
)
def test_names_what_is_wrong(evals_api: Api, body: dict[str, Any], status: int, field: str) -> None:
    answer = evals_api.post("/api/v1/scorers", body)
    assert answer.status_code == status
    assert field in answer.json()["error"]["details"]
    assert not Scorer.objects.exists()


def _say(answer: object, body: object) -> object:
    return answer


def test_asks_a_service_with_its_key_and_no_other_address(
    evals_api: Api, project: Project, provider: FakeProvider
) -> None:
    said: dict[str, Any] = {"score": 0.25, "reason": "meh"}
    provider.doors = {"/score": lambda body: said, "/other": lambda body: said}
    made = evals_api.post("/api/v1/scorers", {**HTTP, "config": {"url": f"{provider.root}/score"}})
    assert made.json()["newest"]["config"]["secret"] == "set"
    row = ScorerSecret.objects.get()
    assert "key-0123456789" not in row.sealed_secret + made.content.decode()
    try_it, case = "/api/v1/scorers/ours/try", {"case": {"variables": {"q": "?"}, "output": "x"}}
    tried = evals_api.post(try_it, case).json()
    assert (tried["state"], tried["value"], tried["is_passed"]) == ("scored", 0.25, False)
    assert provider.calls[-1].headers["authorization"] == "Bearer key-0123456789"
    assert provider.calls[-1].body["output"] == "x"
    for answer, state in (
        ({"score": None, "reason": "not for me"}, "not_scored"),
        ({"score": 2, "reason": "x"}, "error"),
        ({"score": True, "reason": "x"}, "error"),
        ({"score": 1}, "error"),
        ([1], "error"),
    ):
        provider.doors["/score"] = partial(_say, answer)
        assert evals_api.post(try_it, case).json()["state"] == state, answer
    evals_api.post("/api/v1/scorers/ours/versions", {"config": {"url": f"{provider.root}/other"}})
    assert evals_api.post(try_it, case).json()["value"] == 0.25
    assert "authorization" not in provider.calls[-1].headers
    gone = evals_api.post("/api/v1/scorers/ours/versions", {"config": {"url": f"{provider.root}/none"}})
    assert gone.status_code == 201
    assert evals_api.post(try_it, case).json()["state"] == "error"


def test_judges_with_the_shipped_test_model(evals_api: Api, project: Project) -> None:
    """Every kind that asks works without a key: the test model's verdicts are well formed, whatever they say."""
    documents = [{"id": "1", "content": "Paris."}, {"id": "2", "content": "Lyon."}]
    case = {"variables": {"q": "?"}, "output": "Paris", "expected": "Paris", "context": documents, "other_output": "L"}
    for kind in ("judge", "judge_pairwise", "faithfulness", "context_precision", "context_recall", "answer_relevance"):
        config = {"model": "test/json", **({"rubric": "Good?"} if kind.startswith("judge") else {})}
        body = {"name": kind, "kind": kind, "config": config}
        slug = evals_api.post("/api/v1/scorers", body).json()["slug"]
        tried = evals_api.post(f"/api/v1/scorers/{slug}/try", {"case": case}).json()
        assert (tried["state"], tried["cost_usd"]) == ("scored", "0.000000000000"), (kind, tried["reason"])


def test_begins_a_calibration_and_keeps_other_projects_out(evals_api: Api, other_key: str, project: Project) -> None:
    config = {"model": "test/json", "rubric": "Good?"}
    evals_api.post("/api/v1/scorers", {"name": "Judge", "kind": "judge", "config": config})
    address = "/api/v1/scorers/judge/calibrations"
    bad = evals_api.post(address, {"rows": [{"output": "x", "label": "maybe"}]})
    assert bad.json()["error"]["details"] == {"rows": ["Row 1: The label maybe is none of: no, yes."]}
    assert evals_api.post(address, {}).status_code == 422
    made = evals_api.post(address, {"rows": [{"q": "?", "output": "x", "label": True}]})
    assert (made.status_code, made.json()["state"], made.json()["items"]) == (202, "queued", 1)
    assert evals_api.get(address).json()["items"][0]["is_licensed"] is False
    assert Calibration.objects.get().project_id == project.pk
    stranger = Api(key=other_key)
    assert stranger.get(address).status_code == 404
    assert stranger.post("/api/v1/scorers/judge/try", {"case": {"output": "x"}}).status_code == 404

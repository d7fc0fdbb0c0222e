"""The API of runs: started once, outputs brought along and scored, results and reports read back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from apps.evals.models import EvalRun, EvalSet, Result
from apps.projects.models import Project
from tests.conftest import Api
from tests.evals import making, run_making
from tests.evals.run_making import Came, publish_answer

RUNS = "/api/v1/eval-runs"


@pytest.fixture
def body(project: Project, golden: EvalSet) -> dict[str, Any]:
    """What a run of a model can be started with."""
    making.make_scorer(project)
    publish_answer(project)
    return {"eval_set": "golden", "prompt": "support/answer", "scorers": [{"slug": "exact", "threshold": 0.9}]}


def test_a_run_is_started_once_for_its_key(evals_api: Api, body: dict[str, Any]) -> None:
    """The same key and body find the same run; another body is refused, and starts nothing."""
    first = evals_api.post(RUNS, body, headers={"Idempotency-Key": "build-1"})
    again = evals_api.post(RUNS, body, headers={"Idempotency-Key": "build-1"})
    other = evals_api.post(RUNS, {**body, "name": "other"}, headers={"Idempotency-Key": "build-1"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert first.json()["id"] == again.json()["id"]
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert EvalRun.objects.count() == 1
    told = first.json()
    assert (told["total"], told["state"], told["verdict"], told["version"]) == (3, "queued", None, "1.0.0")
    assert told["scorers"] == [{"slug": "exact", "kind": "exact", "version": 1, "threshold": 0.9}]


def test_a_refused_start_leaves_its_key_free(evals_api: Api, body: dict[str, Any]) -> None:
    """What was wrong may be mended under the same key."""
    refused = evals_api.post(RUNS, {**body, "eval_set": "nobody"}, headers={"Idempotency-Key": "k"})
    assert refused.status_code == 404
    assert evals_api.post(RUNS, body, headers={"Idempotency-Key": "k"}).status_code == 201


def test_an_estimate_starts_nothing(evals_api: Api, body: dict[str, Any]) -> None:
    """It says calls and cost."""
    told = evals_api.post(f"{RUNS}/estimate", {**body, "repetitions": 2}).json()
    assert (told["examples"], told["calls"]) == (3, 6)
    assert not EvalRun.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"budget_usd": "0"}, "budget_usd"),
        ({"repetitions": 99}, "repetitions"),
        ({"scorers": [{"slug": "exact", "threshold": 2}]}, "scorers"),
        ({"scorers": [{"slug": "nobody"}]}, "scorers"),
        ({"budgt": "1"}, "budgt"),
    ],
)
def test_a_bad_field_is_named(evals_api: Api, body: dict[str, Any], change: dict[str, Any], field: str) -> None:
    """A typo in a budget costs money."""
    answer = evals_api.post(RUNS, {**body, **change})
    assert answer.status_code == 422
    assert field in answer.json()["error"]["details"]
    assert not EvalRun.objects.exists()


def test_outputs_are_brought_all_or_none(evals_api: Api, body: dict[str, Any]) -> None:
    """A run of outputs waits for them; a bad one is named, an example without one has no output."""
    run = evals_api.post(RUNS, {"kind": "outputs", "eval_set": "golden", "scorers": body["scorers"]}).json()
    assert run["awaits_outputs"]
    doors = f"{RUNS}/{run['number']}"
    good = {"key": "fr", "output": "Paris", "latency_ms": 12, "cost_usd": "0.5"}
    bad = evals_api.post(f"{doors}/outputs", {"outputs": [good, {"key": "jp", "output": 7}]})
    assert bad.status_code == 422
    assert "output" in bad.json()["error"]["details"]["outputs.1"]
    unknown = evals_api.post(f"{doors}/outputs", {"outputs": [good, {"key": "nobody", "output": "x"}]})
    assert unknown.status_code == 422
    assert set(Result.objects.values_list("state", flat=True)) == {"waiting"}
    assert evals_api.post(f"{doors}/outputs", {"outputs": [good]}).json()["taken"] == 1
    assert evals_api.post(f"{doors}/finish").json()["failed"] == 2
    told = evals_api.get(f"{doors}/results?key=fr").json()["items"][0]
    assert (told["output"], told["latency_ms"], told["cost_usd"], told["state"]) == ("Paris", 12, "0.5", "answered")
    assert evals_api.post(f"{doors}/outputs", {"outputs": [good]}).status_code == 409


@pytest.fixture
def ended(project: Project, golden: EvalSet) -> EvalRun:
    """Run 1: one passed, one failed with a text that is no XML, one without an output."""
    outcomes = {"fr": Came(), "jp": Came((0.0,), output="<&\x01 | Kyoto"), "pe": Came(error="rate_limited")}
    return run_making.make_run(project, golden, [making.make_scorer(project)], outcomes)


def test_results_come_worst_first_over_pages(evals_api: Api, ended: EvalRun) -> None:
    """Each once, with its scores."""
    found, cursor = [], ""
    while cursor is not None:
        page = evals_api.get(f"{RUNS}/{ended.uuid}/results", {"limit": 1, "cursor": cursor}).json()
        found += page["items"]
        cursor = page["next"]
    assert [(one["key"], one["is_passed"]) for one in found] == [("pe", None), ("jp", False), ("fr", True)]
    assert found[1]["scores"][0]["reason"] == "exact says 0.0"
    assert evals_api.get(f"{RUNS}/1/results?cursor=nonsense").status_code == 422


def test_a_run_is_written_for_a_build_server_and_a_pull_request(evals_api: Api, ended: EvalRun) -> None:
    """JUnit counts what has no output as an error; Markdown names it; neither can be broken by what a model wrote."""
    suite = ET.fromstring(evals_api.get(f"{RUNS}/1?format=junit").content)[0]  # noqa: S314 - written by the product
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert {case.get("name"): [child.tag for child in case] for case in suite} == {
        "pe": ["error"],
        "jp": ["failure"],
        "fr": [],
    }
    text = evals_api.get(f"{RUNS}/1?format=markdown").content.decode()
    assert text.startswith("### Eval failed: 1 of 3 examples pass")
    assert "rate\\_limited" in text
    told = evals_api.get(f"{RUNS}/1")
    assert told.json()["verdict"] == "failed"
    assert evals_api.get(f"{RUNS}/1", headers={"If-None-Match": told.headers["ETag"]}).status_code == 304


def test_other_tenants_and_other_scopes_see_nothing(other_key: str, ended: EvalRun, read_key: str) -> None:
    """404 for a stranger, 403 for a key without the scope."""
    for address in (f"{RUNS}/{ended.uuid}", f"{RUNS}/1/results"):
        assert Api(other_key).get(address).status_code == 404
        assert Api(read_key).get(address).status_code == 403
    assert Api(other_key).get(RUNS).json()["items"] == []

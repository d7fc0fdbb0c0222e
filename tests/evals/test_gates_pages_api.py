"""Gates through their doors: conditions, verdicts that are frozen and bound, pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.evals.models import (
    EvalRun,
    EvalSet,
    Example,
    Gate,
    GateReport,
    Result,
    ResultScore,
    Revision,
    RunScorer,
    ScorerVersion,
)
from apps.projects.models import AuditEntry, Project
from tests import factories
from tests.conftest import Api, sign_in
from tests.evals import making

pytestmark = pytest.mark.django_db

EXAMPLES = [
    {"key": f"e{place:03}", "variables": {"n": place}, "expected": "x", "slices": ["odd"] if place % 2 else ["even"]}
    for place in range(120)
]


def make_run(
    eval_set: EvalSet, version: ScorerVersion, number: int, *, failing: set[int] = frozenset(), **fields: Any
) -> EvalRun:
    """A finished run of outputs: the examples at these places fail, the others pass."""
    revision = Revision.objects.get(eval_set=eval_set, number=eval_set.head)
    now = timezone.now()
    run = EvalRun.objects.create(
        **{
            "project": eval_set.project, "number": number, "kind": "outputs", "eval_set": eval_set,
            "revision": revision.number, "revision_hash": revision.content_hash, "source": "api",
            "actor_kind": "user", "actor_name": "alice", "state": "finished", "ended_at": now, "model": "test/echo",
            **fields,
        }
    )  # fmt: skip
    scorer = RunScorer.objects.create(
        project=eval_set.project, run=run, version=version, position=0, slug=version.scorer.slug,
        kind=version.scorer.kind, threshold=version.pass_mark,
    )  # fmt: skip
    rows = list(Example.objects.filter(eval_set=eval_set, until=None).order_by("key"))
    common = {"project": eval_set.project, "run": run}
    results = Result.objects.bulk_create(
        Result(**common, example=row, state="done", output="x", latency_ms=100 + place, cost_usd="0.001")
        for place, row in enumerate(rows)
    )
    ResultScore.objects.bulk_create(
        ResultScore(**common, result=one, scorer=scorer, state="scored", value=0.0 if place in failing else 1.0)
        for place, one in enumerate(results)
    )
    return run


@pytest.fixture
def large(project: Project) -> EvalSet:
    """A set of 120 examples."""
    return making.make_set(project, "large", examples=EXAMPLES)


@pytest.fixture
def exact(project: Project) -> ScorerVersion:
    """A scorer."""
    return making.make_scorer(project, "exact")


CONDITIONS: dict[str, Any] = {
    "scorers": [{"slug": "exact", "minimum_mean": 0.9}],
    "minimum_pass_rate": 0.9,
    "critical_slices": ["odd"],
    "maximum_latency_p99_ms": 500,
    "maximum_cost_per_call_usd": "0.01",
}


def body(**changes: Any) -> dict[str, Any]:
    """What makes a gate."""
    return {"name": "Ship", "eval_set": "large", "conditions": {**CONDITIONS, **changes}}


def test_a_gate_judges_a_run_and_what_changes_voids_it(
    project: Project, large: EvalSet, exact: ScorerVersion, evals_api: Api
) -> None:
    """Met and not met with numbers, frozen, bound to what was judged; empty and partial runs never pass."""
    made = evals_api.post("/api/v1/gates", body())
    assert made.status_code == 201, made.json()
    assert made.json()["slug"] == "ship"
    assert made.json()["conditions"]["minimum_examples"] == 100

    good, bad = (
        make_run(large, exact, 1),
        make_run(large, exact, 2, failing={1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}),
    )
    report = evals_api.post("/api/v1/gates/ship/check", {"run": "1"})
    assert report.status_code == 201, report.json()
    assert report.json()["verdict"] == "passed", report.json()
    failed = evals_api.post("/api/v1/gates/ship/check", {"run": str(bad.uuid), "baseline": "1"}).json()
    states = {one["name"]: one["state"] for one in failed["conditions"]}
    assert failed["verdict"] == "failed"
    # 12 of 120 fail: exactly at the floor, and the interval is below it.
    assert states["pass_rate"] == "cannot_tell"
    assert (states["critical"], states["examples"], states["latency_p99"]) == ("failed", "passed", "passed")
    rate = next(one for one in failed["conditions"] if one["name"] == "pass_rate")
    assert (rate["number"], rate["target"]) == (0.9, 0.9)
    assert rate["low"] < 0.9 < rate["high"]

    one = GateReport.objects.get(uuid=report.json()["id"])
    with pytest.raises(DatabaseError), transaction.atomic():
        GateReport.objects.filter(pk=one.pk).update(verdict="failed")
    address = f"/api/v1/gate-reports/{one.uuid}"
    assert evals_api.get(address).json()["is_current"] is True
    making.make_examples(large, [{"key": "e000", "variables": {"n": -1}, "expected": "y"}])
    making.make_scorer(project, "exact", config={"other": True})
    Gate.objects.filter(slug="ship").update(config_hash="0" * 64)
    stale = evals_api.get(address).json()
    assert stale["is_current"] is False
    assert len(stale["why_not_current"]) == 3
    again = evals_api.post("/api/v1/gates/ship/check", {"run": str(good.number)}).json()
    states = {one["name"]: one["state"] for one in again["conditions"]}
    assert (states["set"], states["scorer:exact"], again["verdict"]) == ("failed", "failed", "failed")

    listed = evals_api.get("/api/v1/gates/ship/reports?limit=2").json()
    assert [len(listed["items"]), listed["items"][0]["id"] == again["id"]] == [2, True]
    rest = evals_api.get(f"/api/v1/gates/ship/reports?limit=2&cursor={listed['next']}").json()
    assert [one["id"] for one in rest["items"]] == [report.json()["id"]]
    xml = evals_api.get(f"{address}?format=junit")
    assert 'failures="0" errors="0"' in xml.content.decode()
    text = evals_api.get(f"/api/v1/gate-reports/{failed['id']}?format=markdown").content.decode()
    assert "| not met | No critical failure | 1 |" in text
    actions = set(AuditEntry.objects.filter(project_id=project.pk).values_list("action", flat=True))
    assert {"evals.gate_created", "evals.gate_checked"} <= actions


def test_runs_that_say_too_little_do_not_pass(
    project: Project, large: EvalSet, exact: ScorerVersion, evals_api: Api
) -> None:
    """Over budget, a part of the set, still going on, scorers missing, no baseline, an unlicensed judge."""
    judge = making.make_scorer(project, "tone", kind="judge")
    evals_api.post("/api/v1/gates", body())
    live = {"kind": "live", "environment": "production"}
    evals_api.post("/api/v1/gates", {**body(baseline=live), "name": "Live"})
    make_run(large, exact, 1, state="over_budget")
    make_run(large, exact, 2, slices=["odd"])
    make_run(large, exact, 3, state="running", ended_at=None)
    partial = make_run(large, exact, 4)
    ResultScore.objects.filter(run=partial, value=1.0, result__example__slices__contains=["odd"]).update(
        state="not_scored", value=None
    )
    make_run(large, judge, 5)
    make_run(large, exact, 6)

    def check(gate: str, run: int) -> tuple[int, str, set[str]]:
        answer = evals_api.post(f"/api/v1/gates/{gate}/check", {"run": str(run)})
        told = answer.json()
        open_ = {one["name"] for one in told.get("conditions", []) if one["state"] != "passed"}
        return answer.status_code, told.get("verdict", ""), open_

    assert check("ship", 1) == (201, "failed", {"complete"})
    assert check("ship", 2)[1:] == ("failed", {"set"})
    assert check("ship", 3)[0] == 202
    assert check("ship", 4)[1:] == ("failed", {"critical", "examples", "not_scored:exact"})
    assert "scorer:exact" in check("ship", 5)[2]
    assert check("live", 6)[1:] == ("cannot_tell", {"baseline", "baseline_tail"})
    tone = {**body(scorers=[{"slug": "tone", "minimum_mean": 0.5}]), "name": "Tone"}
    evals_api.post("/api/v1/gates", tone)
    assert check("tone", 5)[1:] == ("failed", {"licensed:tone"})
    making.make_set(project, "other", examples=making.CAPITALS)
    assert evals_api.post("/api/v1/gates/ship/check", {"run": "99"}).status_code == 404


def test_conditions_are_read_strictly_and_lowering_takes_an_admin(
    project: Project, alice: User, large: EvalSet, exact: ScorerVersion, evals_api: Api
) -> None:
    """Each bad field is named; fewer than 100 examples is for admins, audited and on every report."""
    bad = {
        "scorers": [{"slug": "exact", "minimum_mean": 2}, {"slug": "exact"}],
        "minimum_pas_rate": 1,
        "by": "luck",
        "baseline": {"kind": "live"},
        "slices": [{"name": "odd"}],
    }
    answer = evals_api.post("/api/v1/gates", {**body(), "conditions": bad})
    assert answer.status_code == 422
    assert set(answer.json()["error"]["details"]) == {
        "scorers.0.minimum_mean", "minimum_pas_rate", "by", "baseline.environment", "slices.0.minimum_pass_rate",
    }  # fmt: skip
    toothless = {**body(), "conditions": {"scorers": [{"slug": "exact"}]}}
    assert "minimum_pass_rate" in evals_api.post("/api/v1/gates", toothless).json()["error"]["details"]
    unknown = evals_api.post("/api/v1/gates", body(scorers=[{"slug": "nope"}]))
    assert (unknown.status_code, list(unknown.json()["error"]["details"])) == (422, ["scorers"])

    assert evals_api.post("/api/v1/gates", body()).status_code == 201
    assert evals_api.post("/api/v1/gates", body()).status_code == 409
    fewer = {"conditions": {**CONDITIONS, "minimum_examples": 20}}
    assert evals_api.patch("/api/v1/gates/ship", fewer).json()["error"]["code"] == "admin_needed"
    key = Api(factories.make_key(project, "admin", created_by=alice))
    assert key.patch("/api/v1/gates/ship", fewer).status_code == 200
    # Once lowered, an editor may change the rest, and may raise it.
    assert evals_api.patch("/api/v1/gates/ship", {"name": "Ship it"}).status_code == 200
    entry = AuditEntry.objects.filter(project_id=project.pk, action="evals.gate_changed").order_by("number").first()
    assert entry is not None
    assert entry.details["minimum_examples"] == [100, 20]
    make_run(large, exact, 1)
    notes = evals_api.post("/api/v1/gates/ship/check", {"run": "1"}).json()["notes"]
    assert "20 examples only" in notes[0]
    assert evals_api.delete("/api/v1/gates/ship").status_code == 204
    assert evals_api.post("/api/v1/gates/ship/check", {"run": "1"}).json()["error"]["code"] == "gate_archived"


def test_pages_of_gates(
    client: Any, project: Project, alice: User, bob: User, large: EvalSet, exact: ScorerVersion,
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    """Make one by the form, change it, check a run, read the report; a viewer reads and does nothing."""
    sign_in(client, alice)
    base = f"/p/{project.slug}"
    assert b"No gates yet" in client.get(f"{base}/gates").content
    form = client.get(f"{base}/gates/new").context["form"]
    typed = {name: "" if (value := form[name].value()) in (None, False) else value for name in form.fields}
    typed |= {"name": "Nightly", "eval_set": "large", "scorer-exact-use": "on", "slices": "odd, 95, 0.5, 10"}
    typed = {name: value for name, value in typed.items() if value != ""}
    answer = client.post(f"{base}/gates/new", {**typed, "slices": "odd, many"})
    assert answer.status_code == 422
    assert client.post(f"{base}/gates/new", typed).url == f"{base}/gates/nightly"
    gate = Gate.objects.get(slug="nightly")
    assert gate.config["slices"] == [
        {"name": "odd", "minimum_pass_rate": 0.95, "minimum_mean": 0.5, "minimum_examples": 10}
    ]
    before = gate.config
    form = client.get(f"{base}/gates/nightly/edit").context["form"]
    typed = {name: value for name in form.fields if (value := form[name].value()) not in (None, False, "")}
    assert client.post(f"{base}/gates/nightly/edit", typed).status_code == 302
    gate.refresh_from_db()
    assert gate.config == before

    make_run(large, exact, 7, failing=set(range(40)))
    report = client.post(f"{base}/gates/nightly/check", {"run": 7})
    with django_assert_max_num_queries(12):
        page = client.get(report.url)
    assert "Gate failed, 2 of" in page.content.decode()
    for address in (f"{base}/gates", f"{base}/gates/nightly", f"{base}/eval-runs/7/gate"):
        with django_assert_max_num_queries(12):
            assert b"Failed" in client.get(address).content
    sign_in(client, bob)
    assert client.get(f"{base}/gates/nightly").status_code == 200
    assert client.post(f"{base}/gates/nightly/check", {"run": 7}).status_code == 403
    assert client.get(f"{base}/gates/nightly/edit").status_code == 403

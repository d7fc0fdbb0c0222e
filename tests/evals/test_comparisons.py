"""Comparisons and model upgrades through their doors."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.evals.models import Comparison, EvalRun, EvalSet
from apps.evals.services import comparisons
from apps.projects.models import Project
from tests import factories
from tests.conftest import Api, sign_in
from tests.evals import making, running
from tests.evals.run_making import Came, make_run

pytestmark = pytest.mark.django_db

EXAMPLES = [
    {"key": f"e{place:03}", "variables": {"n": place}, "expected": "x", "slices": ["odd" if place % 2 else "even"]}
    for place in range(200)
]


@pytest.fixture
def large(project: Project) -> EvalSet:
    """200 examples."""
    return making.make_set(project, "large", examples=EXAMPLES, feature="answers")


@pytest.fixture
def tail_case(project: Project, large: EvalSet) -> tuple[EvalRun, EvalRun]:
    """A candidate and its baseline: a tenth better on average, a third worse in the worst tenth."""
    scorer = making.make_scorer(project, "quality")
    dice = random.Random(5)
    old = {one["key"]: dice.betavariate(5, 2) for one in EXAMPLES}
    new = {
        key: value * 0.35 if place % 10 == 3 else value + (1 - value) * 0.45
        for place, (key, value) in enumerate(old.items())
    }
    baseline, candidate = (
        make_run(project, large, [scorer], {key: Came((value,)) for key, value in side.items()}, number=number, **told)
        for number, side, told in ((1, old, {"model": "test/old"}), (2, new, {"model": "test/new"}))
    )
    return candidate, baseline


def test_a_better_mean_with_a_worse_tail_is_no_upgrade(
    evals_api: Api, tail_case: tuple[EvalRun, EvalRun], api_for_stranger: Api
) -> None:
    query = "/api/v1/comparisons?candidate=2&baseline=1"
    told = evals_api.get(query).json()
    assert told["verdict"] == "worse_in_the_tail"
    assert told["sentence"].startswith("Not an upgrade: ")
    assert "% better on average" in told["sentence"]
    assert "% worse in the worst tenth" in told["sentence"]
    overall = told["figures"]["overall"]
    assert overall["pairs"] == 200
    assert overall["wins"] + overall["losses"] + overall["ties"] == 200
    became = [example["became"] for example in told["figures"]["examples"]]
    assert became[0] == "failing"
    assert became == sorted(became, key=["failing", "passing", ""].index)
    assert {one["name"] for one in told["figures"]["slices"]} == {"odd", "even"}

    assert evals_api.get(query).json() == told
    assert Comparison.objects.count() == 1, "kept, and not computed again"
    assert api_for_stranger.get(query).status_code == 404


@pytest.fixture
def api_for_stranger(db: None) -> Api:
    """A key of another project."""
    from apps.projects.types import Scope

    return Api(factories.make_key(factories.make_project(slug="elsewhere"), Scope.EVALS))


def test_runs_that_cannot_be_compared_say_why(evals_api: Api, project: Project, golden: EvalSet) -> None:
    scorer = making.make_scorer(project)
    other = making.make_set(project, "other", examples=making.CAPITALS)
    outcomes = {one["key"]: Came() for one in making.CAPITALS}
    make_run(project, golden, [scorer], outcomes, number=1)
    make_run(project, other, [scorer], outcomes, number=2)
    make_run(project, golden, [scorer], outcomes, number=3, state="running")

    def refused(candidate: int, baseline: int) -> tuple[int, str]:
        answer = evals_api.get(f"/api/v1/comparisons?candidate={candidate}&baseline={baseline}")
        return answer.status_code, answer.json()["error"]["code"]

    assert refused(2, 1) == (422, "runs_not_comparable")
    assert refused(1, 1) == (422, "runs_not_comparable")
    assert refused(3, 1) == (409, "run_open")
    assert refused(9, 1) == (404, "not_found")


def test_examples_that_changed_between_revisions_are_left_out(
    evals_api: Api, project: Project, golden: EvalSet
) -> None:
    scorer = making.make_scorer(project)
    outcomes = {one["key"]: Came() for one in making.CAPITALS}
    make_run(project, golden, [scorer], outcomes, number=1)
    making.make_examples(golden, [{"key": "fr", "variables": {"question": "Capital of France now?"}, "expected": "P"}])
    make_run(project, golden, [scorer], {**outcomes, "jp": Came(error="timeout")}, number=2)
    told = evals_api.get("/api/v1/comparisons?candidate=2&baseline=1").json()
    figures = told["figures"]
    assert (figures["left_out"], figures["pairs"], figures["overall"]["missing_candidate"]) == (1, 1, 1)
    assert told["verdict"] == "cannot_tell"


def test_the_page_answers_first_and_shows_both_outputs(
    client: Client,
    alice: User,
    project: Project,
    tail_case: tuple[EvalRun, EvalRun],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    sign_in(client, alice)
    url = f"/p/{project.slug}/eval-runs/-/compare"
    assert b"Candidate" in client.get(url).content
    assert client.get(f"{url}?candidate=2&baseline=77").status_code == 422
    client.get(f"{url}?candidate=2&baseline=1")
    with django_assert_max_num_queries(12):
        page = client.get(f"{url}?candidate=2&baseline=1")
    text = page.content.decode()
    assert "<h1>Not an upgrade: " in text
    assert text.count("<pre") >= 2
    assert "Newly failing" in text
    odd = client.get(f"{url}?candidate=2&baseline=1&show=failing&slice=odd").content.decode()
    assert "e004" not in odd
    assert "e063" in odd
    upgrade = client.get(f"/p/{project.slug}/eval-runs/-/upgrade?candidate=2&baseline=1").content.decode()
    assert "<h1>Not an upgrade: " in upgrade
    assert "telemetry has no calls of it" in upgrade


def test_large_runs_are_compared_by_a_worker(
    evals_api: Api, tail_case: tuple[EvalRun, EvalRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(comparisons, "MOST_AT_ONCE", 100)
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda name, **told: asked.append({"name": name, **told}))
    query = "/api/v1/comparisons?candidate=2&baseline=1&margin=0.05"
    assert evals_api.get(query).json()["state"] == "computing"
    assert evals_api.get(query).json()["verdict"] is None
    assert [one.pop("name") for one in asked] == ["evals.compare"], "asked once"
    comparisons.compute_kept(**asked[0], now=timezone.now())
    told = evals_api.get(query).json()
    assert (told["state"], told["verdict"]) == ("done", "worse_in_the_tail")
    assert told["figures"]["settings"]["margin"] == 0.05


def test_an_upgrade_starts_what_is_missing_and_answers(
    client: Client, alice: User, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)
    sign_in(client, alice)
    running.publish(project)
    eval_set = making.make_set(project, examples=making.CAPITALS)
    making.make_scorer(project, "exact", "exact", {})
    url = f"/p/{project.slug}/eval-runs/-/upgrade"
    wish = {
        "prompt": "ask",
        "eval_set": eval_set.slug,
        "current_model": "test/echo",
        "new_model": "test/steady",
        "scorers": ["exact"],
    }
    same = client.post(url, {**wish, "new_model": "test/echo"})
    assert same.status_code == 422
    started = client.post(url, wish)
    assert started.status_code == 302, started.content.decode()[-3000:]
    assert sorted(EvalRun.objects.values_list("source", "model")) == [
        ("upgrade", "test/echo"),
        ("upgrade", "test/steady"),
    ]
    assert "refreshes itself" in client.get(started["Location"]).content.decode()
    again = client.post(url, wish)
    assert again["Location"] == started["Location"], "runs that fit are used again"

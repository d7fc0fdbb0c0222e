"""Optimise: a suggestion appears with its evidence, with a saving that can be worked out by hand, and not without."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.dashboards.optimising import Chunks, Sampled, unused_chunks
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers.rates import TokenPrices
from apps.providers.services import add_own_price
from tests.conftest import Api
from tests.dashboards.conftest import NOW, Send, calls
from tests.dashboards.pages import Page
from tests.evals import making
from tests.evals.run_making import Came, make_run

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.fixture
def api(alice: User) -> Api:
    return Api(user=alice)


def suggestions(api: Api, project: Project) -> dict[str, Any]:
    told = api.get(f"/api/v1/costs/suggestions?project={project.slug}").json()
    return {"not_found": told["not_found"]} | {each["kind"]: each for each in told["items"]}


def compare(api: Api, project: Project, *, worse: bool) -> None:
    """Two runs of 200 examples: the new model costs a quarter, and is about as good, or clearly worse."""
    examples = [{"key": f"e{place}", "variables": {"n": place}, "expected": "x"} for place in range(200)]
    eval_set = making.make_set(project, examples=examples, feature="support-answers")
    scorer = making.make_scorer(project, "quality")
    dice = random.Random(7)
    old = {one["key"]: dice.betavariate(5, 2) for one in examples}
    runs = [("acme/atlas-large", "0.04", 1.0), ("acme/atlas-mini", "0.01", 0.6 if worse else 1.0)]
    for number, (model, cost, factor) in enumerate(runs, 1):
        outcomes = {key: Came((value * factor,), fields={"cost_usd": Decimal(cost)}) for key, value in old.items()}
        make_run(project, eval_set, [scorer], outcomes, number=number, model=model)
    answer = api.get(f"/api/v1/comparisons?project={project.slug}&candidate=2&baseline=1")
    assert answer.status_code == 200, answer.json()


def test_suggests_the_cheaper_model_that_was_not_worse(
    api: Api, alice_client: Client, project: Project, send: Send
) -> None:
    send(project, *calls(120, hours_ago=5, cost_usd="0.50"))
    assert suggestions(api, project)["not_found"]["cheaper_model"].startswith("Not enough data")
    compare(api, project, worse=False)
    found = suggestions(api, project)["cheaper_model"]
    # $60 in 30 days, at a quarter of the cost on the same examples.
    assert Decimal(found["saving_usd"]) == Decimal("45")
    assert (found["facts"]["from_model"], found["facts"]["to_model"]) == ("atlas-large", "atlas-mini")
    assert "Not worse than run 1 on 200 examples" in found["method"]
    page = Page(alice_client.get(f"/p/{project.slug}/costs/optimise"))
    with CaptureQueriesContext(connection) as asked:
        alice_client.get(f"/p/{project.slug}/costs/optimise")
    assert len(asked) <= 12
    assert page.answer == "One change could save $45.00 in 30 days."
    assert page.link("support-answers: atlas-mini in place of atlas-large").endswith("/eval-runs/2")


def test_is_silent_about_a_cheaper_model_that_was_worse(api: Api, project: Project, send: Send) -> None:
    send(project, *calls(120, hours_ago=5, cost_usd="0.50"))
    compare(api, project, worse=True)
    assert "cheaper_model" not in suggestions(api, project)


def test_suggests_to_keep_answers_only_where_inputs_come_again(api: Api, project: Project, send: Send) -> None:
    send(
        project,
        *(call | {"input": f"question {place % 80}"} for place, call in enumerate(calls(160, hours_ago=5))),
        *(
            call | {"input": f"another {place}", "feature": "search"}
            for place, call in enumerate(calls(160, hours_ago=5))
        ),
    )
    found = suggestions(api, project)["cacheable_repeats"]
    assert found["subject"] == "support-answers"
    assert (found["facts"]["sampled"], found["facts"]["repeats"]) == (160, 80)
    assert Decimal(found["saving_usd"]) == Decimal("0.80")


def price(project: Project, alice: User) -> None:
    add_own_price(
        project=project,
        provider="acme",
        model="atlas-large",
        rates={"input": "10", "output": "20", "cached_read": "1"},
        starts_on=NOW.date().replace(day=1),
        actor=Actor(kind="user", id=alice.pk, name=alice.email),
        now=NOW,
    )


def test_suggests_to_cache_a_long_common_beginning(api: Api, project: Project, alice: User, send: Send) -> None:
    price(project, alice)
    always = "The rules of this house. " * 400  # 10,000 characters
    asked = {"prompt_name": "greet", "prompt_version": "1.0.0", "input_tokens": 3000}
    send(
        project,
        *(
            call | asked | {"input": f"{always}{place:02}{'x' * 4998}"}
            for place, call in enumerate(calls(40, hours_ago=5))
        ),
    )
    found = suggestions(api, project)["prompt_caching"]
    assert found["subject"] == "greet@1.0.0"
    # Two thirds of 3,000 tokens (and the first digit, now and then), 40 calls, 9 dollars a million less.
    assert found["facts"]["prefix_tokens"] == 2000
    assert Decimal(found["saving_usd"]) == Decimal("0.72")


def test_says_why_it_has_nothing_to_say(alice_client: Client, api: Api, project: Project) -> None:
    found = suggestions(api, project)
    assert set(found["not_found"]) == {
        "cheaper_model",
        "cacheable_repeats",
        "prompt_caching",
        "overlong_prompts",
        "unused_chunks",
        "failed_calls",
    }
    assert all(reason.startswith("Not enough data") for reason in found["not_found"].values())
    page = Page(alice_client.get(f"/p/{project.slug}/costs/optimise"))
    assert page.answer == "Nothing to suggest by the evidence there is."


def test_suggests_to_stop_paying_for_failures_and_to_shorten(
    api: Api, project: Project, alice: User, send: Send
) -> None:
    price(project, alice)
    asked = {"prompt_name": "greet", "prompt_version": "1.0.0", "request_model": "atlas-large", "output_tokens": 0}
    send(
        project,
        *calls(90, hours_ago=5, input_tokens=1000, **asked),
        *calls(10, hours_ago=4, input_tokens=10_000, status="error", error_type="boom", **asked),
    )
    found = suggestions(api, project)
    # 10 × 10,000 of 190,000 tokens at 10 dollars a million; and what goes beyond 2,000 tokens ten times.
    assert Decimal(found["failed_calls"]["saving_usd"]).quantize(Decimal("1e-9")) == Decimal("1")
    assert Decimal(found["overlong_prompts"]["saving_usd"]) == Decimal("0.8")
    assert found["failed_calls"]["facts"]["failed"] == 10


def test_prices_chunks_that_go_unused_by_hand() -> None:
    call = Sampled("answers", "acme", "large", "", NOW, False, 900, 0, Decimal("0.01"), "", "", 0)
    prices = {("acme", "large"): TokenPrices(input=Decimal(10))}
    found = Chunks("answers", retrievals=40, chunks=200, unused=150.0, chars_per_chunk=800.0, sampled=40)
    (suggestion,) = unused_chunks([found], [call], prices)
    # 150 chunks of 200 tokens at 10 dollars a million.
    assert suggestion.saving_usd == Decimal("0.3")
    assert unused_chunks([replace(found, retrievals=29)], [call], prices) == []
    assert unused_chunks([replace(found, unused=90.0)], [call], prices) == []
    assert unused_chunks([found], [call], {}) == []

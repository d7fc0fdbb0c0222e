"""The numbers of a prompt's versions: joined with calls by name and version, from the cost records."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.projects.models import Environment, Project
from apps.projects.types import SYSTEM, Scope
from apps.prompts import services as prompts
from apps.prompts.content import content_from_dict
from apps.prompts.models import Prompt
from apps.prompts.semver import Number
from apps.telemetry.services.rollups import roll_up
from tests import factories
from tests.conftest import Api
from tests.dashboards.conftest import NOW, Send, calls
from tests.dashboards.pages import Page

PAGE = "/p/support-desk/prompts/support/answer/-/numbers"
NUMBERS = "/api/v1/prompts/support/answer/numbers"


def told(version: str, name: str = "support/answer") -> dict[str, Any]:
    return {"prompt_name": name, "prompt_version": version}


@pytest.fixture
def prompt(project: Project) -> Prompt:
    """`support/answer` with 1.0.0 and 1.1.0; 1.1.0 is live in staging."""
    made = prompts.create_prompt(project=project, name="support/answer", actor=SYSTEM, now=NOW)
    for number, model in ((Number(1, 0, 0), "atlas-small"), (Number(1, 1, 0), "atlas-large")):
        content = content_from_dict({"messages": [{"role": "user", "content": "Hello"}], "model": model})
        version = prompts.publish(prompt=made, content=content, number=number, actor=SYSTEM, now=NOW)
    staging = Environment.objects.get(project=project, slug="staging")
    prompts.deploy(prompt=made, version=version, environment=staging, actor=SYSTEM, now=NOW)
    return made


@pytest.fixture
def called(prompt: Prompt, project: Project, send: Send, at_noon: Any) -> Prompt:
    """Calls of both versions, of one that was never published here, of another prompt, and of a prompt alone."""
    send(project, *calls(4, hours_ago=50, latency_ms=1000, **told("1.0.0")))
    send(project, *calls(1, hours_ago=49, latency_ms=9000, status="error", error_type="timeout", **told("1.0.0")))
    send(project, *calls(3, hours_ago=2, latency_ms=2000, cost_usd="0.04", **told("1.1.0")))
    send(project, *calls(2, hours_ago=1, **told("0.9.0-beta")))
    send(project, *calls(1, hours_ago=1, prompt_name="support/answer"))
    send(project, *calls(5, hours_ago=1, **told("1.0.0", "support/answer-2")))
    return prompt


def rows(api: Api, **query: str) -> dict[str, dict[str, Any]]:
    answer = api.get(NUMBERS, query)
    assert answer.status_code == 200, answer.content
    return {one["told"]: one for one in answer.json()["items"]}


def test_tells_each_version_what_its_calls_told(called: Prompt, read_key: str) -> None:
    found = rows(Api(read_key))
    assert list(found) == [
        "support/answer@1.1.0",
        "support/answer@1.0.0",
        "support/answer@0.9.0-beta",
        "support/answer",
    ]
    old = found["support/answer@1.0.0"]
    assert (old["calls"], old["errors"], old["error_rate"]) == (5, 1, 0.2)
    assert (old["cost_usd"], old["cost_per_call_usd"]) == ("0.05", "0.01")
    assert (old["input_tokens"], old["output_tokens"]) == (500, 50)
    assert old["latency_ms"]["p50"] == pytest.approx(1000, rel=0.01)
    assert old["latency_ms"]["p99"] == pytest.approx(9000, rel=0.01)
    assert (old["is_published"], old["live_in"]) == (True, [])
    new = found["support/answer@1.1.0"]
    assert (new["calls"], new["cost_per_call_usd"], new["live_in"]) == (3, "0.04", ["staging"])
    beta = found["support/answer@0.9.0-beta"]
    assert (beta["calls"], beta["is_published"], beta["published_at"]) == (2, False, None)
    assert (found["support/answer"]["version"], found["support/answer"]["calls"]) == ("", 1)


def test_says_when_each_was_first_and_last_called(called: Prompt, read_key: str) -> None:
    roll_up()
    found = rows(Api(read_key))
    day = (NOW - timedelta(hours=50)).date().isoformat()
    assert (found["support/answer@1.0.0"]["first_call_on"], found["support/answer@1.0.0"]["last_call_on"]) == (day, day)
    assert found["support/answer@1.1.0"]["last_call_on"] == NOW.date().isoformat()
    assert rows(Api(read_key)) == found


def test_looks_at_the_range_and_the_environment_asked_for(called: Prompt, read_key: str) -> None:
    recent = rows(Api(read_key), **{"from": (NOW - timedelta(hours=24)).isoformat()})
    assert recent["support/answer@1.0.0"]["calls"] == 0
    assert recent["support/answer@1.0.0"]["cost_per_call_usd"] is None
    assert recent["support/answer@1.0.0"]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    elsewhere = rows(Api(read_key), environment="staging")
    assert {row["calls"] for row in elsewhere.values()} == {0}


def test_keeps_calls_under_a_former_name_apart(called: Prompt, read_key: str) -> None:
    prompts.rename_prompt(prompt=called, name="help/answer", actor=SYSTEM, now=NOW)
    found = rows(Api(read_key))
    assert found["support/answer@1.0.0"]["calls"] == 5
    assert found["support/answer@1.0.0"]["is_published"]


def test_shows_the_scores_of_each_version(called: Prompt, project: Project, admin_key: str, send: Send) -> None:
    span = calls(1, hours_ago=3, **told("1.1.0"))[0]
    send(project, span)
    answer = Api(admin_key).post(
        "/api/v1/scores", [{"trace_id": span["trace_id"], "span_id": span["span_id"], "name": "thumbs", "value": 1}]
    )
    assert answer.status_code in {200, 201}, answer.content
    found = rows(Api(admin_key))
    assert found["support/answer@1.1.0"]["scores"] == {"thumbs": {"count": 1, "mean": 1.0}}
    assert found["support/answer@1.0.0"]["scores"] == {}


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-05T00:00:00Z", "to": "2026-03-04T00:00:00Z"},
        {"from": "2020-01-01T00:00:00Z"},
        {"from": "yesterday"},
        {"colour": "red"},
    ],
)
def test_refuses_a_range_it_does_not_understand(called: Prompt, read_key: str, query: dict[str, str]) -> None:
    assert Api(read_key).get(NUMBERS, query).status_code == 422


def test_is_for_members_and_keys_that_may_read(
    called: Prompt, project: Project, ingest_key: str, other_key: str, bob: Any
) -> None:
    assert Api().get(NUMBERS).status_code == 401
    assert Api(ingest_key).get(NUMBERS).status_code == 403
    assert Api(factories.make_key(project, Scope.PROMPTS_READ)).get(NUMBERS).status_code == 403
    assert Api(other_key).get(NUMBERS).status_code == 404
    assert Api(user=bob).get(NUMBERS).status_code == 200


def test_shows_a_table_with_links_to_the_traces(called: Prompt, bob_client: Client) -> None:
    page = Page(bob_client.get(PAGE))
    assert page.answer == "How does each version of support/answer do?"
    table = page.table("table-prompt-numbers")
    assert list(table) == ["1.1.0 staging", "1.0.0", "0.9.0-beta not published here", "no version not published here"]
    old = table["1.0.0"]
    assert (old["Calls"], old["Errors"], old["A call"], old["Tokens"]) == ("5", "20.0 %", "$0.0100", "100 / 10")
    assert "prompt=support%2Fanswer%401.1.0" in page.link("3")
    fragment = bob_client.get(PAGE, headers={"HX-Request": "true"}).content.decode().strip()
    assert fragment.startswith('<section class="panel" id="prompt-numbers">')


def test_says_so_when_nobody_called(prompt: Prompt, bob_client: Client, at_noon: Any) -> None:
    page = Page(bob_client.get(PAGE))
    assert page.table("table-prompt-numbers")["1.0.0"]["Calls"] == "none"
    assert "Send prompt_name and prompt_version" in page.text


def test_needs_few_queries(called: Prompt, bob_client: Client, django_assert_max_num_queries: Any) -> None:
    bob_client.get(PAGE)
    with django_assert_max_num_queries(12):
        bob_client.get(PAGE)

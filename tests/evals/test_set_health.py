"""How far a set can be relied on: the lines, over the API and on the page, from rows of runs and production calls."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core import clock
from apps.evals import health
from apps.evals.models import EvalRun, EvalSet, Example, Result, Revision, SetHealth
from apps.evals.services import set_health
from apps.projects.models import Project
from tests import factories
from tests.conftest import Api
from tests.dashboards.conftest import Send, a_call
from tests.dashboards.conftest import send as send
from tests.evals import making

NOW = factories.NOW
HEALTH = "/api/v1/eval-sets/golden/health"


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every door reads noon of one day as the time."""
    monkeypatch.setattr(clock, "now", lambda: NOW)


def look(golden: EvalSet, api: Api) -> dict[str, Any]:
    """The health as it is worked out now, with its lines by name."""
    api.get(HEALTH)
    set_health.work_out(golden.pk, now=NOW)
    told: dict[str, Any] = api.get(HEALTH).json()
    return told | {"by_name": {line["name"]: line for line in told["lines"]}}


def make_run(golden: EvalSet, passed: dict[str, bool], number: int, **fields: Any) -> EvalRun:
    """A finished run with these outcomes by key."""
    run = EvalRun.objects.create(
        project=golden.project, number=number, kind="model", eval_set=golden, revision=golden.head, revision_hash="",
        source="api", actor_kind="key", actor_name="k", state="finished", created_at=NOW, **fields,
    )  # fmt: skip
    rows = {row.key: row for row in Example.objects.filter(eval_set=golden, until=None)}
    for key, is_passed in passed.items():
        Result.objects.create(project=golden.project, run=run, example=rows[key], state="done", is_passed=is_passed)
    return run


def test_tells_what_a_set_lacks(golden: EvalSet, evals_api: Api, send: Send) -> None:
    """Every line from rows that are there: size, slices, traffic, versions, age, outcomes, duplicates, growth."""
    EvalSet.objects.filter(pk=golden.pk).update(feature="support-answers", minimum_examples=4, minimum_per_slice=2)
    golden.refresh_from_db()
    old = NOW - timedelta(days=400)
    again = [
        {"key": "fr2", "variables": {"q": "capital of FRANCE"}, "slices": ["europe"]},
        {"key": "old", "variables": {"q": "Which rivers flow through Vienna?"}, "made_at": old},
        {"key": "draft", "variables": {"q": "?"}, "state": "draft"},
    ]
    making.make_examples(golden, again)
    for number in range(3):
        make_run(golden, {"fr": True, "jp": number > 0, "pe": False}, number, prompt_name="a", prompt_version="1.0.0")
    make_run(golden, {"old": True}, 9)
    asked = ["What is the capital of Peru?", "Do you ship boots abroad, and how?"]
    calls = [
        a_call(input=[{"role": "user", "content": text}], prompt_name="a", prompt_version=version)
        for text, version in zip(asked, ("1.0.0", "2.0.0"), strict=True)
    ]
    send(golden.project, *calls, a_call(input="ours"), a_call(input="other", feature="else"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE telemetry_span SET source = 'eval' WHERE input_tokens = 100 AND prompt_name = ''")
    told = look(golden, evals_api)
    found = {name: (line["standing"], line["number"]) for name, line in told["by_name"].items()}
    assert found == {
        "Approved examples": ("ok", "5"),
        "Slices": ("bad", "1 of 3 slices"),
        "Traffic that looks like it": ("look", "50%"),
        "Versions in production": ("look", "50%"),
        "Staleness": ("look", "20%"),
        "Examples nothing ever fails": ("ok", "33%"),
        "Examples that always fail": ("look", "33%"),
        "Duplicates": ("bad", "1"),
        "Growth": ("ok", "+6"),
    }
    assert (told["standing"], told["is_current"], told["text_coverage"]) == ("bad", True, 0.5)
    figures = told["figures"]
    assert [one["text"] for one in figures["uncovered"]] == [asked[1]]
    assert [one["keys"] for one in figures["duplicates"]] == [["fr", "fr2"]]
    assert (figures["outcomes"]["passed_keys"], figures["outcomes"]["failed_keys"]) == (["fr"], ["pe"])
    assert [(one["version"], one["is_evaluated"]) for one in figures["versions"]] == [
        ("a@1.0.0", True),
        ("a@2.0.0", False),
    ]
    assert json.loads(json.dumps(health.from_dict(figures).as_dict())) == figures


def test_says_unknown_of_what_was_not_measured(project: Project, evals_api: Api) -> None:
    """An empty set without a feature: nothing is claimed that nobody looked at."""
    golden = making.make_set(project)
    first = evals_api.get(HEALTH).json()
    assert (first["standing"], first["is_current"], first["lines"], first["figures"]) == ("unknown", False, [], None)
    told = look(golden, evals_api)
    unknown = {line["name"] for line in told["lines"] if line["standing"] == "unknown"}
    assert unknown == {
        "Traffic that looks like it", "Versions in production", "Staleness", "Examples nothing ever fails",
        "Examples that always fail",
    }  # fmt: skip
    assert told["by_name"]["Approved examples"] == told["by_name"]["Approved examples"] | {
        "number": "0",
        "standing": "bad",
    }
    assert (told["text_coverage"], told["version_coverage"]) == (None, None)


def test_works_out_once_for_many_who_ask(golden: EvalSet, evals_api: Api) -> None:
    """Until it is done there is one task; a change of the set or an hour asks for another."""
    evals_api.get(HEALTH)
    evals_api.get(HEALTH)
    set_health.work_out(golden.pk, now=NOW)
    row = SetHealth.objects.get()
    set_health.work_out(golden.pk, now=NOW + timedelta(minutes=5))  # nobody asked: nothing is done
    assert SetHealth.objects.get().computed_at == row.computed_at == NOW
    assert evals_api.get(HEALTH).json()["is_current"] is True
    making.make_examples(golden, [{"key": "more", "variables": {"q": "more"}}])
    assert evals_api.get(HEALTH).json()["is_current"] is False
    SetHealth.objects.update(lease_until=NOW + timedelta(minutes=1))
    set_health.work_out(golden.pk, now=NOW)  # somebody is at it
    assert SetHealth.objects.get().revision == 1


def test_keeps_one_of_a_group_on_the_page(
    alice_client: Client, bob_client: Client, project: Project, golden: EvalSet
) -> None:
    """The page shows lines and groups in few queries; keeping one removes the others in one revision."""
    making.make_examples(golden, [{"key": "fr/2", "variables": {"q": "Capital of France!"}}])
    page = f"/p/{project.slug}/eval-sets/golden/health"
    assert b"being worked out" in alice_client.get(page).content
    set_health.work_out(golden.pk, now=NOW)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        shown = alice_client.get(page)
    assert len(queries) <= 12
    assert b"Keep this one" in shown.content
    assert b"Keep this one" not in bob_client.get(page).content
    assert bob_client.post(f"{page}/keep", {"key": "fr", "other": "fr/2"}).status_code == 403
    assert alice_client.post(f"{page}/keep", {"key": "fr"}).status_code == 302
    assert golden.revisions.count() == 2
    alice_client.post(f"{page}/keep", {"key": "fr/2", "other": ["fr"]})
    revision = Revision.objects.get(eval_set=golden, number=3)
    assert (revision.removed, "fr/2" in revision.note) == (1, True)
    assert not Example.objects.filter(eval_set=golden, key="fr", until=None).exists()
    assert "HX-Refresh" not in alice_client.get(page, headers={"HX-Request": "true"})
    set_health.work_out(golden.pk, now=NOW)
    assert alice_client.get(page, headers={"HX-Request": "true"})["HX-Refresh"] == "true"

"""Online evals on real intake: what is sampled, what is scored, and what is said of the rest."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.core import clock
from apps.evals.models import OnlineEval, OnlineItem, OnlineTally
from apps.evals.online import is_chosen
from apps.evals.services import online_scoring, scorers
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import services as providers
from apps.telemetry.models import Score
from apps.telemetry.services.partitions import forget_known
from tests.conftest import Api, sign_in
from tests.evals.judge_scripts import verdict
from tests.fakes.provider import KEY, FakeProvider
from tests.fakes.wording import Answer
from tests.telemetry.conftest import Intake, make_span
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import intake as intake
from tests.telemetry.conftest import span_tables as span_tables

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = Actor(kind="system", id=None, name="tests")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrived is looked at without waiting; partitions of earlier tests are gone with them."""
    monkeypatch.setattr(online_scoring, "LAG", timedelta(0))
    forget_known()


def polite(project: Project) -> str:
    """A scorer that computes: does the answer say please?"""
    scorers.create_scorer(
        project=project, name="polite", kind="regex", config={"pattern": "please"}, actor=ACTOR, now=clock.now()
    )
    return "polite"


def judge(project: Project, provider: FakeProvider) -> str:
    """A judge that asks the fake provider."""
    fields = providers.ConnectionFields(
        name="Fake", protocol="openai", provider="openai", base_url=provider.url, models=("judge",), attempts=1
    )
    providers.add_connection(project=project, slug="fake", values=fields, secret=KEY, actor=ACTOR, now=clock.now())
    config = {"rubric": "Is the answer helpful?", "model": "fake/judge"}
    scorers.create_scorer(project=project, name="helpful", kind="judge", config=config, actor=ACTOR, now=clock.now())
    return "helpful"


def call(**changes: Any) -> dict[str, Any]:
    """A call with its content."""
    told = {"input": [{"role": "user", "content": "Where is it?"}], "output": "On its way, please wait."}
    return make_span(**{**told, **changes})


def begin(api: Api, *slugs: str, **changes: Any) -> str:
    """An online eval of everything in production; its address."""
    told = {
        "name": "Answers",
        "scorers": [{"slug": slug} for slug in slugs],
        "filters": {"environment": "production"},
        "percent": "100",
        **changes,
    }
    answer = api.post("/api/v1/online-evals", told)
    assert answer.status_code == 201, answer.json()
    return f"/api/v1/online-evals/{answer.json()['id']}"


def test_scores_what_arrives_once_and_says_why_not(project: Project, intake: Intake, evals_api: Api) -> None:
    """Real traffic alone, late spans too, each call once though two workers race; reasons for what has no score."""
    there = begin(evals_api, polite(project))
    late = (datetime.now(UTC) - timedelta(hours=30)).isoformat()
    good, rude, old = call(), call(output="No."), call(started_at=late)
    silent, failed = make_span(), make_span(status="error", error_type="Timeout")
    others = [call(environment="staging"), make_span(kind="tool", output="please")]
    intake.post([good, rude, old, silent, failed, *others])

    def work() -> int:
        try:
            return online_scoring.work()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(lambda _: work(), range(2))) == 5
    assert work() == 0
    intake.post([good])
    online_scoring.work()
    found = evals_api.get(there).json()["coverage"]
    assert [found[name] for name in ("sampled", "scored", "not_scored", "failed", "waiting")] == [5, 3, 2, 0, 0]
    assert {(why["reason"], why["count"]) for why in found["whys"]} == {("no_output", 1), ("call_failed", 1)}
    scores = {bytes(one.span_id).hex(): one for one in Score.objects.filter(project_id=project.pk, name="polite")}
    assert {span: one.value for span, one in scores.items()} == {
        good["span_id"]: 1.0, rude["span_id"]: 0.0, old["span_id"]: 1.0,
    }  # fmt: skip
    assert {(one.source, one.feature) for one in scores.values()} == {("online_eval", "support-answers")}
    items = evals_api.get(f"{there}/items?trace={silent['trace_id']}").json()["items"]
    assert [(one["state"], one["reason"]) for one in items] == [("not_scored", "no_output")]
    assert OnlineItem.objects.count() == 5


def test_judges_keep_to_the_budget_and_failures_can_be_tried_again(
    project: Project, intake: Intake, evals_api: Api, provider: FakeProvider
) -> None:
    """Nonsense and outages are failures with a sentence; a spent budget refuses; a retry scores what failed."""
    there = begin(evals_api, judge(project, provider), most_a_day=3)
    provider.answers = lambda body: Answer(pieces=("I would rather not say.",))
    intake.post([call() for _ in range(5)])
    online_scoring.work()
    found = evals_api.get(there).json()["coverage"]
    counted = [found[name] for name in ("matched", "sampled", "left_out", "scored", "failed")]
    assert counted == [5, 5, 2, 0, 3]
    assert "3 failed: " in found["sentence"]

    def honest(body: Mapping[str, Any]) -> Answer:
        return Answer(pieces=(verdict(body["messages"], "yes"),))

    provider.answers = honest
    assert evals_api.post(f"{there}/retry").json() == {"retried": 3}
    online_scoring.work()
    found = evals_api.get(there).json()["coverage"]
    assert (found["scored"], found["failed"]) == (3, 0), found
    assert Score.objects.filter(project_id=project.pk, name="helpful", source="online_eval").count() == 3

    asked = provider.count
    evals_api.patch(there, {"budget_usd_a_day": "0.5", "most_a_day": 100})
    OnlineItem.objects.update(cost_usd=Decimal("0.2"))
    intake.post([call(), call()])
    online_scoring.work()
    assert provider.count == asked
    whys = evals_api.get(there).json()["coverage"]["whys"]
    assert [(why["reason"], why["count"]) for why in whys] == [("over_budget", 2)]
    evals_api.patch(there, {"is_on": False})
    intake.post([call()])
    assert online_scoring.work() == 0
    assert OnlineTally.objects.get().matched == 7


def test_a_trace_is_always_in_or_out() -> None:
    """About the share that was asked for; more percent keeps what fewer chose; another eval chooses others."""
    traces = [secrets.token_bytes(16) for _ in range(4000)]
    few, more = (
        {trace for trace in traces if is_chosen(trace, key=b"a" * 16, percent=Decimal(share))} for share in ("5", "20")
    )
    assert few < more
    assert 600 < len(more) < 1000
    assert few != {trace for trace in traces if is_chosen(trace, key=b"b" * 16, percent=Decimal(5))}
    assert all(is_chosen(trace, key=b"a" * 16, percent=Decimal(100)) for trace in traces)


def test_pages_and_refusals(
    client: Any,
    project: Project,
    alice: User,
    bob: User,
    evals_api: Api,
    other_key: str,
    django_assert_max_num_queries: Any,
) -> None:
    """Made by the form, paused, changed, removed; bad fields and scorers that need an answer are refused."""
    polite(project)
    scorers.create_scorer(project=project, name="exact", kind="exact", config={}, actor=ACTOR, now=clock.now())
    sign_in(client, alice)
    base = f"/p/{project.slug}/online-evals"
    assert b"No production calls are scored yet" in client.get(base).content
    typed = {"name": "Answers", "percent": "5", "most_a_day": 10, "scorers": ["polite"], "environment": "production"}
    assert client.post(f"{base}/new", {**typed, "percent": "0"}).status_code == 422
    assert client.post(f"{base}/new", {**typed, "scorers": ["exact"]}).status_code == 422
    page = client.post(f"{base}/new", typed).url
    online = OnlineEval.objects.get()
    OnlineTally.objects.create(project=project, online_eval=online, day=clock.now().date(), matched=40, sampled=2)
    for shown in (base, page):
        with django_assert_max_num_queries(12):
            assert b"40" in client.get(shown).content
    assert client.post(f"{page}/edit", {**typed, "name": "All"}).url == page
    client.post(f"{page}/pause")
    online.refresh_from_db()
    assert (online.name, online.is_on) == ("All", False)
    sign_in(client, bob)
    assert client.get(page).status_code == 200
    assert client.post(f"{page}/pause").status_code == 403

    told = {"name": "Bad", "scorers": [{"slug": "exact"}], "percent": "5"}
    refused = evals_api.post("/api/v1/online-evals", told)
    assert (refused.status_code, list(refused.json()["error"]["details"])) == (422, ["scorers"])
    unknown = evals_api.post("/api/v1/online-evals", {**told, "filters": {"user": "x"}})
    assert "filters" in unknown.json()["error"]["details"]
    there = f"/api/v1/online-evals/{online.uuid}"
    assert Api(other_key).get(there).status_code == 404
    assert evals_api.delete(there).status_code == 204
    assert not OnlineEval.objects.exists()

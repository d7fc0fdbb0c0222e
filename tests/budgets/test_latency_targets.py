"""Latency targets through the API: what they promise, what calls make of it, and evidence that counts or does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db import connection

from apps.alerts.models import Notice
from apps.budgets.latency_burning import ALARMS
from apps.budgets.latency_goals import Goal, Measure
from apps.budgets.latency_judging import NEEDED, Sample, bounded, judge
from apps.budgets.models import LatencyEvidence, LatencyIncident, LatencyTarget
from apps.budgets.selectors import latency as selectors
from apps.budgets.selectors.latency import EvidenceState
from apps.budgets.services import latency_targets, latency_watching
from apps.core.histogram import highest_like
from apps.projects.models import AuditEntry, Project
from apps.telemetry import wire
from apps.telemetry.services import store
from apps.telemetry.types import Batch
from tests import factories
from tests.conftest import Api, page_client
from tests.dashboards.conftest import NOW, a_call
from tests.dashboards.conftest import at_noon as at_noon
from tests.dashboards.conftest import send as send
from tests.telemetry.conftest import span_tables as span_tables

TARGETS, EVIDENCE = "/api/v1/latency-targets", "/api/v1/latency-evidence"
FEATURE = "support-answers"
Send = Callable[..., Any]


def made(amount: int, *, ago: timedelta, latency: Any = 500, environment: str = "staging", **more: Any) -> list[Any]:
    """So many calls, a second apart, the first so long ago; `latency` may be a list."""
    each = latency if isinstance(latency, list) else [latency] * amount
    return [
        a_call(
            started_at=(NOW - ago + timedelta(milliseconds=100 * place)).isoformat(),
            latency_ms=int(each[place]),
            environment=environment,
            **more,
        )
        for place in range(amount)
    ]


def a_target(admin: Api, **changes: Any) -> dict[str, Any]:
    body = {"feature": FEATURE, "environment": "production", "total_p50_ms": 800, "total_p99_ms": 1200, **changes}
    answer = admin.post(TARGETS, body)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def measure(admin: Api, target: str, *, days: int = 7) -> Any:
    start = (NOW - timedelta(days=days)).isoformat()
    return admin.post(EVIDENCE, {"target": target, "environment": "staging", "start": start})


@pytest.fixture
def admin(admin_key: str, at_noon: datetime) -> Api:
    return Api(admin_key)


def test_sets_changes_and_removes_a_target_with_a_trail(admin: Api, read_key: str, other_key: str) -> None:
    target = a_target(admin)
    place = f"{TARGETS}/{target['id']}"
    assert admin.post(TARGETS, {**target, "id": None}).status_code in {400, 422}, "unknown fields are refused"
    again = {"feature": FEATURE, "environment": "production", "ttft_p99_ms": 300}
    assert admin.post(TARGETS, again).json()["error"]["code"] == "latency_target_exists"
    for bad in ({"total_p50_ms": 900, "total_p99_ms": 800}, {}, {"total_p99_ms": 0}, {"environment": "moon"}):
        body = {"feature": "other", "environment": "production", **bad}
        assert admin.post(TARGETS, body).status_code in {400, 422}, bad
    assert Api(read_key).put(place, {"total_p99_ms": 1000}, content_type="application/json").status_code == 403
    assert Api(other_key).get(place).status_code == 404
    changed = admin.put(place, {"total_p99_ms": 1000}, content_type="application/json")
    assert changed.json()["total_p50_ms"] is None
    assert changed.json()["fingerprint"] != target["fingerprint"]
    assert Api(read_key).get(place).json()["goals"][0]["is_kept"] is None, "nothing was called, so nothing is said"
    assert admin.delete(place).status_code == 204
    assert admin.get(place).status_code == 404
    actions = list(AuditEntry.objects.filter(action__startswith="budgets.latency").values_list("action", flat=True))
    assert sorted(actions) == [f"budgets.latency_target_{what}" for what in ("changed", "removed", "set")]
    a_target(admin)  # the place is free again


def test_agrees_with_a_direct_count_of_the_spans(admin: Api, project: Project, send: Send) -> None:
    dice = np.random.default_rng(7)
    lengths = [int(one) for one in dice.lognormal(6.6, 0.4, 600)]
    send(project, *made(600, ago=timedelta(days=3), latency=lengths, environment="production"))
    send(project, *made(9, ago=timedelta(days=3), latency=9_000))  # staging is not production
    target = a_target(admin)
    goals = {one["key"]: one for one in admin.get(f"{TARGETS}/{target['id']}").json()["goals"]}
    for key, most in (("total_p50", 800), ("total_p99", 1200)):
        assert goals[key]["calls"] == 600
        assert goals[key]["slow_calls"] == sum(one > highest_like(most) for one in lengths)
        assert (
            sum(one > most * 1.0101 for one in lengths)
            <= goals[key]["slow_calls"]
            <= sum(one > most for one in lengths)
        )
    assert goals["total_p99"]["is_kept"] is (goals["total_p99"]["slow_calls"] <= 6)
    assert goals["total_p99"]["budget_left"] == pytest.approx(1 - goals["total_p99"]["slow_calls"] / 6)


def test_cuts_the_days_where_the_project_lives(admin: Api, project: Project, send: Send) -> None:
    """22:30 UTC is the next day in Berlin."""
    Project.objects.filter(pk=project.pk).update(timezone="Europe/Berlin")
    project.refresh_from_db()
    late = NOW.replace(hour=23, minute=30) - timedelta(days=2)
    send(project, *made(5, ago=NOW - late, latency=5_000, environment="production"))
    a_target(admin)
    target = LatencyTarget.objects.get()
    _state, course = selectors.read_target(project, target, NOW)
    goal = target.goals[1]
    (place,) = [place for place, tally in enumerate(course.tallies[goal.key]) if tally.calls]
    local = course.days[place].astimezone(ZoneInfo("Europe/Berlin"))
    assert (local.date(), local.hour) == ((NOW - timedelta(days=1)).date(), 0)
    assert course.kept_days(goal) == (0, 1)


def test_refuses_too_few_calls_and_says_how_many_more(admin: Api, project: Project, send: Send) -> None:
    target = a_target(admin)
    assert (NEEDED, 0.99**NEEDED <= 0.025, 0.99 ** (NEEDED - 1) > 0.025) == (368, True, True)
    send(project, *made(300, ago=timedelta(hours=5)))
    answer = measure(admin, target["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_few_calls")
    assert answer.json()["error"]["details"]["still_needed"] == 68
    look = selectors.latest_evidence(project, FEATURE, "staging", NOW)
    assert (look.state, look.still_needed, look.is_met) == (EvidenceState.TOO_FEW, 68, False)
    assert not LatencyEvidence.objects.exists()
    send(project, *made(68, ago=timedelta(hours=4)))
    told = measure(admin, target["id"]).json()
    assert (told["verdict"], told["calls"], told["models"]) == ("met", 368, ["atlas-large"])


def test_counts_evidence_until_it_is_old_or_the_target_changes(admin: Api, project: Project, send: Send) -> None:
    target = a_target(admin)
    send(project, *made(400, ago=timedelta(hours=5)))
    assert measure(admin, target["id"]).json()["is_current"] is True
    look = selectors.latest_evidence(project, FEATURE, "staging", NOW)
    assert (look.state, look.is_met) == (EvidenceState.ACCEPTED, True)
    assert selectors.latest_evidence(project, FEATURE, "staging", NOW + timedelta(days=30)).state == "stale"
    assert selectors.latest_evidence(project, FEATURE, "staging", NOW + timedelta(days=29)).state == "accepted"
    assert selectors.latest_evidence(project, FEATURE, "production", NOW).state == "none"
    other = {"total_p50_ms": 800, "total_p99_ms": 1100}
    assert admin.put(f"{TARGETS}/{target['id']}", other, content_type="application/json").status_code == 200
    look = selectors.latest_evidence(project, FEATURE, "staging", NOW)
    assert (look.state, look.is_met, "changed" in look.reason) == (EvidenceState.STALE, False, True)
    (told,) = admin.get(EVIDENCE).json()["items"]
    assert (told["is_current"], told["goals"][1]["most_ms"]) == (False, 1200), "the numbers of then stay"


def test_takes_a_failed_call_for_one_that_never_answered() -> None:
    goal = Goal(Measure.TOTAL, 99, 1_000)
    fast = [100] * 990
    assert judge([goal], {Measure.TOTAL: Sample(fast)}).verdict == "met"
    assert judge([goal], {Measure.TOTAL: Sample(fast, failed=10)}).verdict == "undecided"
    assert judge([goal], {Measure.TOTAL: Sample(fast, failed=40)}).verdict == "not_met"
    assert judge([goal], {Measure.TOTAL: Sample(fast, lost=40)}).verdict == "undecided"


@pytest.mark.parametrize("kind", ["lognormal", "mixture", "ties"])
def test_covers_the_true_p99_at_its_level(kind: str) -> None:
    dice = np.random.default_rng(20)

    def draw(size: int) -> Any:
        lengths = dice.lognormal(6.5, 0.6, size)
        if kind == "mixture":
            lengths = np.where(dice.random(size) < 0.03, lengths * 8, lengths)
        return np.rint(lengths / 250) * 250 if kind == "ties" else np.rint(lengths)

    truth = float(np.quantile(draw(1_000_000), 0.99, method="inverted_cdf"))
    turns, covered = 600, 0
    for _ in range(turns):
        found = bounded(Sample(draw(500).astype(int).tolist()), 99)
        covered += found.low <= truth <= found.high
    # Four standard errors below 95 %: chance alone would end there once in thirty thousand.
    assert covered / turns >= 0.95 - 4 * (0.95 * 0.05 / turns) ** 0.5


def test_rings_from_the_rate_of_the_workbook_on() -> None:
    fast, slow = ALARMS
    p99, p50 = Goal(Measure.TOTAL, 99, 1_000), Goal(Measure.TOTAL, 50, 500)
    assert fast.rate(p99, 30) == pytest.approx(14.4), "2 % of the budget of 30 days in an hour"
    assert slow.rate(p99, 30) == pytest.approx(3.0), "10 % of the budget of 30 days in a day"
    assert (fast.rate(p50, 30), slow.rate(p99, 7)) == (1.5, 1.0)


@pytest.mark.django_db(transaction=True)
def test_tells_a_burning_budget_once_however_many_look(span_tables: None, alice: Any) -> None:
    """Twelve evaluators at each of three moments; then it is over; then it burns anew and is told anew."""
    project = factories.make_project("Burning", creator=alice)

    def arrive(spans: list[dict[str, Any]], now: datetime) -> None:
        items = wire.read_body(json.dumps({"spans": spans}).encode(), max_items=5_000).spans
        records, positions, rejected = wire.read_spans(
            items, project_id=project.pk, received_at=now, keep_since=now - timedelta(days=90)
        )
        store([Batch(project.pk, None, "tests", now, len(items), records, positions, rejected)])

    new = latency_targets.NewTarget(FEATURE, "production", {"total_p99_ms": 1_000})
    latency_targets.create_target(project=project, target=new, actor=factories.actor_of(alice), now=NOW)
    arrive(made(100, ago=timedelta(minutes=30), environment="production"), NOW)
    latency_watching.look(now=NOW)
    assert not LatencyIncident.objects.exists()

    arrive(made(60, ago=timedelta(minutes=3), latency=4_000, environment="production"), NOW)

    def race(now: datetime) -> None:
        start = threading.Barrier(12)

        def one() -> None:
            start.wait()
            try:
                latency_watching.look(now=now)
            finally:
                connection.close()

        threads = [threading.Thread(target=one) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for minutes in (1, 2, 3):
        race(NOW + timedelta(minutes=minutes))
    told = LatencyIncident.objects.order_by("speed").values_list("speed", "goal", "ended_at")
    assert list(told) == [("fast", "total_p99", None), ("slow", "total_p99", None)]
    assert Notice.objects.filter(project=project, kind="latency").count() == 2
    assert "60 of 160 calls" in LatencyIncident.objects.get(speed="fast").sentence

    latency_watching.look(now=NOW + timedelta(hours=2))
    assert list(LatencyIncident.objects.filter(ended_at=None).values_list("speed", flat=True)) == ["slow"]
    assert Notice.objects.filter(kind="latency").count() == 2


def test_shows_measures_and_edits_a_target_on_its_pages(
    admin: Api, project: Project, alice: Any, bob: Any, send: Send, django_assert_max_num_queries: Any
) -> None:
    send(project, *made(400, ago=timedelta(hours=5)), *made(50, ago=timedelta(hours=3), environment="production"))
    pages, base = page_client(alice), f"/p/{project.slug}/latency/targets"
    assert b"Nothing is promised yet" in pages.get(base).content
    typed = {"feature": FEATURE, "environment": "production", "total_p99_ms": "1200", "window_days": "28"}
    assert pages.post(f"{base}/new", {**typed, "total_p99_ms": ""}).status_code == 422
    assert pages.post(f"{base}/new", typed).status_code == 302
    place = f"{base}/{LatencyTarget.objects.get().uuid}"
    assert b"no upper bound" in pages.get(place).content
    few = pages.post(f"{place}/measure", {"environment": "production", "days": "7"})
    assert (few.status_code, b"318 more are needed" in few.content) == (422, True)
    assert pages.post(f"{place}/measure", {"environment": "staging", "days": "7"}).status_code == 302
    for address in (base, place, f"{place}/edit"):
        with django_assert_max_num_queries(12):
            answer = pages.get(address)
        assert answer.status_code == 200
    shown = pages.get(place).content.decode()
    assert "500\N{NO-BREAK SPACE}ms" in shown or "500 ms" in shown
    assert "400" in shown
    viewer = page_client(bob)
    assert (viewer.get(place).status_code, viewer.get(f"{place}/edit").status_code) == (200, 403)
    assert viewer.post(f"{place}/measure", {"environment": "staging", "days": "7"}).status_code == 403
    assert pages.post(f"{place}/edit", {"total_p99_ms": "400", "window_days": "7"}).status_code == 302
    assert "The target has changed" in pages.get(place).content.decode()
    assert pages.post(f"{place}/remove").status_code == 302
    assert pages.get(place).status_code == 404

"""What went live is watched: a breach is told of once, and goes back by itself once where the rule says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.alerts.models import Notice
from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.promotions.models import Promotion, Rollback, Watch
from apps.promotions.services import deciding, watching
from apps.prompts.models import Deployment
from tests import factories
from tests.conftest import Api, page_client
from tests.dashboards.conftest import Send, a_call
from tests.dashboards.conftest import send as send
from tests.promotions import making

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
Traffic = Callable[..., None]


def go_live(project: Project, **changes: Any) -> Promotion:
    """A new version, promoted by the one way there is."""
    version = making.make_version(project, parameters=changes) if changes else making.make_version(project)
    rule = making.ReleaseRule.objects.get(project=project)
    making.passed_report(rule.gates.get(), version)
    rita = making.rita(project)
    asked = making.ask(version)
    return deciding.approve(promotion=asked, actor=factories.actor_of(rita), person=rita, now=clock.now())


def two_live(project: Project, **rule: Any) -> tuple[Promotion, Watch]:
    """One version after the other; the second one with its watch."""
    making.make_version(project)
    making.make_rule(project, **rule)
    go_live(project)
    second = go_live(project, temperature=0.5)
    assert second.deployment is not None
    return second, Watch.objects.get(deployment=second.deployment)


@pytest.fixture
def traffic(send: Send, project: Project) -> Traffic:
    """Sends calls of a version in production that began at a moment, a tenth of a second apart."""

    def sender(version: str, start: datetime, amount: int, *, errors: int = 0, **changes: Any) -> None:
        spans = [
            a_call(
                prompt_name=making.NAME,
                prompt_version=version,
                started_at=(start + timedelta(seconds=place / 10)).isoformat(),
                status="error" if place < errors else "ok",
                **({"environment": "production"} | changes),
            )
            for place in range(amount)
        ]
        told = send(project, *spans, now=start + 5 * MINUTE)
        assert not told.rejected

    return sender


def live_number(project: Project) -> str:
    deployment = Deployment.objects.get(project=project, environment__slug="production", ended_at=None)
    return str(deployment.version.number)


def test_a_breach_goes_back_by_itself_once(project: Project, traffic: Traffic) -> None:
    """Whoever looks second, at the same moment or later, finds it done."""
    promotion, watch = two_live(project, rolls_back=True)
    began = watch.deployment.started_at
    before, after = str(watch.before.version.number), str(promotion.version.number)  # type: ignore[union-attr]
    traffic(before, began - timedelta(hours=2), 300, errors=6)
    traffic(after, began, 40, errors=30)
    assert watching.look(now=began + MINUTE) == 1
    watch.refresh_from_db()
    assert (watch.state, live_number(project)) == ("watching", after), "40 calls are too few to say anything"
    assert {one["state"] for one in watch.figures["report"]["rails"]} <= {"too_few", "not_measured"}

    traffic(after, began + MINUTE, 200, errors=80)
    now = began + 3 * MINUTE
    assert watching.look(now=now) == 1
    assert live_number(project) == before
    watch.refresh_from_db()
    rollback = Rollback.objects.get()
    assert (watch.state, watch.rollback, rollback.is_automatic) == ("breached", rollback, True)
    assert (rollback.bad, rollback.restored.version) == (watch.deployment, watch.before.version)  # type: ignore[union-attr]
    assert "rror" in rollback.reason
    assert rollback.reason == watch.breach

    stale = Watch.objects.get(pk=watch.pk)
    assert watching.go_back(stale, now=now + MINUTE) is False
    assert watching.look(now=now + 10 * MINUTE) == 0
    assert Rollback.objects.count() == 1
    assert Notice.objects.filter(kind="watch_breached", level="bad").count() == 1
    entry = AuditEntry.objects.get(action="promotions.rolled_back")
    assert entry.details["reason"] == watch.breach
    api = Api(user=making.ed(project))
    told = api.get(f"/api/v1/watches/{watch.uuid}").json()
    assert (told["state"], told["rollback"]) == ("breached", str(rollback.uuid))
    broken = next(one for one in told["guardrails"] if one["state"] == "breached")
    assert broken["key"] == "error_rate"
    assert broken["low"] > broken["limit"] == 0.02
    page = page_client(making.ed(project)).get(f"/p/{project.slug}/watches/{watch.uuid}").content.decode()
    assert "It was rolled back by itself" in page


@pytest.mark.parametrize(
    ("after", "key"),
    [
        ({"errors": 90}, "error_rate"),
        ({"latency_ms": 9_000}, "latency_p99"),
        ({"cost_usd": "0.05"}, "cost_per_call"),
    ],
)
def test_without_the_setting_people_are_told(
    project: Project, traffic: Traffic, after: dict[str, Any], key: str
) -> None:
    promotion, watch = two_live(project)
    began = watch.deployment.started_at
    traffic(str(watch.before.version.number), began - timedelta(hours=2), 1_200)  # type: ignore[union-attr]
    traffic(str(promotion.version.number), began, 400, **after)
    watching.look(now=began + 3 * MINUTE)
    watch.refresh_from_db()
    assert watch.state == "breached", watch.figures["report"]
    assert [one["key"] for one in watch.figures["report"]["rails"] if one["state"] == "breached"] == [key]
    assert not Rollback.objects.exists()
    assert live_number(project) == str(promotion.version.number)
    notice = Notice.objects.get(kind="watch_breached")
    assert "Nothing was changed" in notice.text
    assert promotion.events.filter(kind="breached").count() == 1


def test_a_release_that_keeps_within_is_healthy_in_the_end(project: Project, traffic: Traffic) -> None:
    """Calls of other versions and environments count for nothing."""
    promotion, watch = two_live(project, rolls_back=True, watch_hours=1)
    began, number = watch.deployment.started_at, str(promotion.version.number)
    traffic(str(watch.before.version.number), began - timedelta(hours=2), 400, errors=8)  # type: ignore[union-attr]
    traffic(number, began, 300, errors=6)
    traffic(number, began, 300, errors=300, environment="staging")
    traffic("9.9.9", began, 300, errors=300)
    watching.look(now=began + 2 * MINUTE)
    watch.refresh_from_db()
    assert watch.state == "watching"
    assert watch.figures["report"]["after_calls"] == 300
    watching.look(now=began + timedelta(hours=1))
    watch.refresh_from_db()
    assert watch.state == "healthy"
    assert watching.look(now=began + timedelta(hours=2)) == 0
    assert not Notice.objects.filter(kind="watch_breached").exists()
    assert promotion.events.filter(kind="watched").count() == 1


def test_with_nothing_to_go_back_to_it_is_told_once(project: Project, traffic: Traffic) -> None:
    making.make_version(project)
    ceiling = {"error_rate": {"most": 0.1}, "latency_p99": None, "cost_per_call": None}
    making.make_rule(project, rolls_back=True, guardrails=ceiling)
    promotion = go_live(project)
    watch = Watch.objects.get()
    began = watch.deployment.started_at
    traffic(str(promotion.version.number), began, 200, errors=150)
    for minutes in (3, 5, 30):
        watching.look(now=began + minutes * MINUTE)
    watch.refresh_from_db()
    assert (watch.state, watch.rollback) == ("breached", None)
    assert live_number(project) == str(promotion.version.number)
    notice = Notice.objects.get(kind__startswith="watch_")
    assert "Nothing was live before" in notice.text


def test_what_replaces_it_ends_its_watch(project: Project, traffic: Traffic) -> None:
    """Only what is live is watched, and a return to what was live before is not."""
    _, watch = two_live(project, rolls_back=True)
    third = go_live(project, temperature=0.9)
    watch.refresh_from_db()
    assert watch.state == "ended"
    latest = Watch.objects.get(deployment=third.deployment)
    assert latest.before == watch.deployment
    reviewer = Api(user=making.rita(project))
    assert reviewer.post(f"/api/v1/prompts/{making.NAME}/rollback", {"environment": "production"}).status_code == 201
    watching.look(now=clock.now() + MINUTE)
    latest.refresh_from_db()
    assert latest.state == "ended"
    assert Watch.objects.count() == 3

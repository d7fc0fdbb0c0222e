"""Deciding on promotions: who counts, what an approval holds for, and what becomes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.alerts.models import Notice
from apps.core import clock
from apps.core.errors import DomainError
from apps.projects.models import AuditEntry, Membership, Project, Role
from apps.promotions.models import Promotion, PromotionEvent, Watch
from apps.promotions.selectors.decisions import why_may_not_decide
from apps.promotions.services import deciding
from apps.promotions.types import Purpose
from apps.prompts.models import Deployment
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db


def say(verb: str, promotion: Promotion, person: User | None, **more: Any) -> Promotion:
    """Approve, reject or withdraw it as that person."""
    actor = factories.actor_of(person) if person else factories.Actor(kind="key", id=1, name="a key of nobody's")
    done: Promotion = getattr(deciding, verb)(promotion=promotion, actor=actor, person=person, now=clock.now(), **more)
    return done


def live_of(promotion: Promotion) -> Deployment | None:
    """What is live of its prompt in its environment."""
    return Deployment.objects.filter(prompt=promotion.prompt, environment=promotion.environment, ended_at=None).first()


def kinds(promotion: Promotion) -> list[str]:
    """Its history, in words of one."""
    return list(PromotionEvent.objects.filter(promotion=promotion).order_by("pk").values_list("kind", flat=True))


def test_an_approval_by_somebody_else_brings_it_to_production_with_all_that_is_told(project: Project) -> None:
    """One call: the decision with its hashes, the deployment with its evidence, history, audit, notice."""
    promotion = making.waiting(project, why="It answers better.")
    rita = making.rita(project)
    assert why_may_not_decide(promotion, rita) is None
    done = say("approve", promotion, rita, reason="I looked at ten answers.")
    live = live_of(promotion)
    assert live is not None
    assert (done.state, done.deployment) == ("live", live)
    assert (live.version_id, live.evidence_kind, live.evidence_id) == (
        promotion.version_id,
        "promotion",
        promotion.uuid,
    )
    decision = done.decisions.get()
    assert (decision.person, decision.reason) == (rita, "I looked at ten answers.")
    report = promotion.checks.get().report
    assert report is not None
    assert decision.bound_to == {
        "content": promotion.version.content_hash,
        "model": "",
        "rule": promotion.rule_hash,
        "reports": {"ship": {"report": str(report.uuid), "bound_to": report.bound_to}},
    }
    assert kinds(promotion)[-2:] == ["approved", "went_live"]
    actions = AuditEntry.objects.filter(project_id=project.pk).order_by("-number").values_list("action", flat=True)
    assert list(actions[:3]) == ["promotions.went_live", "prompts.deployed", "promotions.approved"]
    notice = Notice.objects.get(kind="promotion_live")
    assert promotion.prompt.name in notice.title
    with pytest.raises(deciding.NotWaiting):
        say("approve", promotion, making.rob(project))


def test_two_approvals_are_two_people(project: Project) -> None:
    """The first approval changes nothing, the same person again counts for nothing, the second person brings it live;
    a rejection by anybody ends it."""
    making.make_rule(project, approvals_needed=2)
    promotion = making.waiting(project)
    rita, rob = making.rita(project), making.rob(project)
    assert say("approve", promotion, rita).state == "waiting"
    assert live_of(promotion) is None
    with pytest.raises(deciding.DecidedAlready):
        say("approve", promotion, rita)
    with pytest.raises(deciding.DecidedAlready):
        say("reject", promotion, rita, reason="I thought again.")
    assert say("approve", promotion, rob).state == "live"
    other = making.waiting(project, f" {making.GOOD}")
    say("approve", other, rita)
    assert say("reject", other, rob, reason="The tone is off.").reasons == ["The tone is off."]
    assert live_of(other) == live_of(promotion)


WHO = ("author", "requester", "viewer", "editor", "stranger", "switched off", "nobody")


def test_who_may_not_decide_leaves_no_trace(project: Project, charlie: User) -> None:
    """Everybody who has no say, by name: neither verb works, and nothing is written."""
    author = making.make_person(project, "wendy", Role.REVIEWER)
    requester = making.make_person(project, "asker", Role.ADMIN)
    gone = making.make_person(project, "gone", Role.REVIEWER)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    gone.refresh_from_db()
    viewer = making.make_person(project, "vic", Role.VIEWER)
    version = making.make_version(project, author=author)
    rule = making.make_rule(project)
    making.passed_report(rule.gates.get(), version)
    promotion = making.ask(version, by=requester)
    assert promotion.state == "waiting", promotion.reasons
    people: dict[str, User | None] = dict(
        zip(WHO, (author, requester, viewer, making.ed(project), charlie, gone, None), strict=True)
    )
    before = (AuditEntry.objects.count(), PromotionEvent.objects.count())
    for who, person in people.items():
        assert why_may_not_decide(promotion, person), who
        for verb in ("approve", "reject"):
            with pytest.raises(deciding.MayNotDecide), transaction.atomic():
                say(verb, promotion, person, reason="because")
    assert not promotion.decisions.exists()
    assert (AuditEntry.objects.count(), PromotionEvent.objects.count()) == before
    assert say("approve", promotion, making.rita(project)).state == "live"


@pytest.mark.django_db(transaction=True)
def test_that_it_is_void_is_kept_although_the_call_fails(project: Project) -> None:
    """An approver who lost the role by the time the second one approves: 409 with the reasons, and the state stays."""
    making.make_rule(project, approvals_needed=2)
    promotion = making.waiting(project)
    rita = making.rita(project)
    say("approve", promotion, rita)
    Membership.objects.filter(project=project, user=rita).update(role=Role.EDITOR)
    with pytest.raises(deciding.PromotionVoid) as caught:
        say("approve", promotion, making.rob(project))
    assert caught.value.http_status == 409
    assert caught.value.as_dict()["error"]["code"] == "promotion_void"
    promotion.refresh_from_db()
    assert promotion.state == "void"
    assert promotion.reasons == caught.value.details["reasons"]
    assert "Rita's approval does not count any more" in promotion.reasons[0]
    assert live_of(promotion) is None
    assert kinds(promotion)[-2:] == ["approved", "voided"]
    assert AuditEntry.objects.filter(project_id=project.pk, action="promotions.voided").count() == 1


def test_what_went_live_meanwhile_voids_the_others(project: Project) -> None:
    """Two wait; the second was judged against what is not live any more. Its history said so before anybody tried."""
    first, second = making.waiting(project), making.waiting(project, f"{making.GOOD} ")
    rita = making.rita(project)
    say("approve", first, rita)
    assert kinds(second)[-1] == "overtaken"
    with pytest.raises(deciding.PromotionVoid, match="went live in production since it was checked"):
        say("approve", second, rita)
    second.refresh_from_db()
    assert second.state == "void"
    live = live_of(first)
    assert live is not None
    assert live.version_id == first.version_id


def test_for_an_experiment_an_approval_ends_without_going_live(project: Project) -> None:
    """It may be an arm then, and nothing else."""
    promotion = making.waiting(project, purpose=Purpose.EXPERIMENT)
    assert say("approve", promotion, making.rita(project)).state == "approved"
    assert live_of(promotion) is None
    assert not Watch.objects.exists()


def test_withdrawing_and_commenting(project: Project, now: datetime) -> None:
    """The requester and an admin take a request back, others do not; words are possible at any time."""
    promotion = making.waiting(project)
    with pytest.raises(deciding.MayNotDecide):
        say("withdraw", promotion, making.rita(project))
    assert say("withdraw", promotion, making.ed(project), reason="Not yet.").state == "withdrawn"
    with pytest.raises(deciding.NotOpen):
        say("withdraw", promotion, making.owner_of(project))
    actor = factories.actor_of(making.rita(project))
    later = now + timedelta(days=1)
    assert deciding.comment(promotion=promotion, actor=actor, now=later, text=" Pity. ").text == "Pity."
    for text in ("", "x" * 10_001, "a\x00b"):
        with pytest.raises(DomainError):
            deciding.comment(promotion=promotion, actor=actor, now=later, text=text)
    another = making.waiting(project, f"{making.GOOD} ")
    assert say("withdraw", another, making.owner_of(project)).state == "withdrawn"

"""Emergencies: two people, a reason, an alarm that nobody misses, and a review that somebody else signs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from apps.accounts.models import User
from apps.alerts.models import Notice
from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.projects.models import AuditEntry, Membership, Project, Role
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.services import deciding, overriding
from apps.prompts.models import Deployment
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db


def override(project: Project, by: User | None, **more: Any) -> Promotion:
    """Ask for a version that no gate ever saw."""
    version = making.make_version(project, making.BAD)
    told: dict[str, Any] = {"why": "The shop is down.", **more}
    return overriding.ask_override(
        prompt=version.prompt,
        version=version,
        environment=making.environment(project),
        actor=factories.actor_of(by or making.ed(project)),
        person=by,
        now=clock.now(),
        **told,
    )


def approve(promotion: Promotion, person: User) -> Promotion:
    """Approve it."""
    return deciding.approve(
        promotion=promotion, actor=factories.actor_of(person), person=person, now=clock.now(), reason="It burns."
    )


def test_an_override_takes_two_people_and_is_not_silent(project: Project) -> None:
    """A reviewer asks, an admin who is neither author nor requester lets it in; everybody is told, a review is due."""
    rita, boss = making.rita(project), making.make_person(project, "boss", Role.ADMIN)
    author = making.owner_of(project)
    for person in (making.ed(project), None):
        with pytest.raises(overriding.MayNotOverride):
            override(project, person)
    with pytest.raises(Invalid):
        override(project, rita, why=" ")
    promotion = override(project, rita)
    assert (promotion.state, promotion.kind) == ("waiting", "override")
    assert Notice.objects.get(kind="promotion_override_asked").level == "bad"
    for person in (making.rob(project), rita, author):  # a reviewer, its requester, the author (an admin)
        with pytest.raises(deciding.MayNotDecide):
            approve(promotion, person)
    assert not Deployment.objects.exists()
    done = approve(promotion, boss)
    live = Deployment.objects.get(ended_at=None)
    assert (done.state, live.evidence_id, live.reason) == ("live", promotion.uuid, "The shop is down.")
    notice = Notice.objects.get(kind="promotion_override")
    assert (notice.level, notice.role) == ("bad", "viewer")
    assert "The shop is down." in notice.text
    entry = AuditEntry.objects.get(project_id=project.pk, action="promotions.overridden")
    assert entry.details["approved_by"] == ["boss@example.com"]
    follow_up = FollowUp.objects.get(promotion=promotion)
    assert follow_up.done_at is None
    assert follow_up.due_at - live.started_at == timedelta(days=3)


def test_the_review_is_signed_once_by_somebody_else_with_a_finding(project: Project) -> None:
    """Not by who asked, not without words, not twice; not even by rows."""
    rita, boss = making.rita(project), making.make_person(project, "boss", Role.ADMIN)
    promotion = approve(override(project, rita), boss)
    follow_up = promotion.follow_up

    def sign(person: User | None, finding: str = "It was right.") -> FollowUp:
        actor = factories.actor_of(person or rita)
        return overriding.sign_follow_up(
            follow_up=follow_up, actor=actor, person=person, now=clock.now(), finding=finding
        )

    for person, finding in ((rita, "Fine."), (making.ed(project), "Fine."), (None, "Fine."), (boss, " ")):
        with pytest.raises(DomainError):
            sign(person, finding)
    for values in (
        {"done_at": clock.now(), "done_by": rita, "finding": "Fine."},
        {"done_at": clock.now(), "done_by": boss},
        {"due_at": clock.now() + timedelta(days=300)},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            FollowUp.objects.filter(pk=follow_up.pk).update(**values)
    assert sign(boss).done_by == boss
    assert promotion.events.last().kind == "reviewed"
    with pytest.raises(overriding.SignedAlready):
        sign(making.rob(project))


def test_an_override_of_somebody_who_lost_the_role_is_void(project: Project) -> None:
    """Two people with a say answer for it, at the moment in which it goes live."""
    rita, boss = making.rita(project), making.make_person(project, "boss", Role.ADMIN)
    promotion = override(project, rita)
    Membership.objects.filter(project=project, user=rita).update(role=Role.EDITOR)
    with pytest.raises(deciding.PromotionVoid, match="no say in the project any more"):
        approve(promotion, boss)
    assert not Deployment.objects.exists()
    assert not FollowUp.objects.exists()

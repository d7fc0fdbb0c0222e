"""Many people at once, with real commits: one release, no deadlock, and a history of every attempt."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import ProgrammingError, close_old_connections, connection

from apps.core import clock
from apps.core.errors import DomainError
from apps.projects import audit
from apps.projects.models import Membership, Project, Role
from apps.promotions.models import Promotion, PromotionEvent
from apps.promotions.services import deciding
from apps.prompts.models import Deployment
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 16


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call gave back or raised; all of them begin at the same moment."""
    barrier, outcomes = threading.Barrier(len(calls)), [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        close_old_connections()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            barrier.wait(30)
            outcomes[place] = call()
        except Exception as error:  # the test looks at it
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "somebody waits for ever"
    return outcomes


def approval(promotion: Promotion, person: Any) -> Callable[[], Promotion]:
    """A call that approves it."""
    actor = factories.actor_of(person)
    return lambda: deciding.approve(promotion=promotion, actor=actor, person=person, now=clock.now())


def ask_for_many(project: Project, count: int, start: int) -> list[Promotion]:
    """So many promotions that wait, each of another version."""
    return [making.waiting(project, f"{making.GOOD}{' ' * (start + place)}") for place in range(count)]


def test_of_sixteen_promotions_at_once_exactly_one_goes_live(project: Project) -> None:
    """Three rounds, each with another interleaving; whoever comes later is void, and all of it is told."""
    rita, rob = making.rita(project), making.rob(project)
    waiting = ask_for_many(project, MANY, 0)
    for turn in range(3):
        if turn:
            for one in waiting:
                one.refresh_from_db()
            voids = [one for one in waiting if one.state == "void"]
            waiting = [making.ask(one.version) for one in voids]
            assert {one.state for one in waiting} == {"waiting"}
        order = waiting[turn * 5 :] + waiting[: turn * 5]
        outcomes = at_once([approval(one, (rita, rob)[place % 2]) for place, one in enumerate(order)])
        errors = [one for one in outcomes if isinstance(one, Exception)]
        assert {type(one) for one in errors} <= {deciding.PromotionVoid}, errors
        states = Counter(Promotion.objects.filter(pk__in=[one.pk for one in order]).values_list("state", flat=True))
        assert states == {"live": 1, "void": len(order) - 1}
        (live,) = Deployment.objects.filter(project=project, environment__slug="production", ended_at=None)
        winner = Promotion.objects.get(pk__in=[one.pk for one in order], state="live")
        assert (winner.deployment, live.evidence_id) == (live, winner.uuid)
        assert Deployment.objects.filter(project=project).count() == turn + 1
        for one in order:
            kinds = list(PromotionEvent.objects.filter(promotion=one).order_by("pk").values_list("kind", flat=True))
            assert kinds[-1] == ("went_live" if one.pk == winner.pk else "voided")
            assert one.decisions.count() == 1
    assert audit.verify_chain(project.pk).problems == []


def test_two_approvals_of_one_promotion_at_once(project: Project) -> None:
    """With one approval needed the second one comes too late; with two, both count and it goes live once."""
    rita, rob = making.rita(project), making.rob(project)
    promotion = making.waiting(project)
    outcomes = at_once([approval(promotion, rita), approval(promotion, rob), approval(promotion, rita)])
    assert sorted(type(one).__name__ for one in outcomes) == ["NotWaiting", "NotWaiting", "Promotion"]
    making.make_rule(project, gates=[promotion.checks.get().gate], approvals_needed=2)
    second = making.waiting(project, f"{making.GOOD} ")
    outcomes = at_once([approval(second, rita), approval(second, rob)])
    assert [type(one) for one in outcomes] == [Promotion, Promotion]
    assert second.deployment is None
    second.refresh_from_db()
    assert (second.state, second.decisions.count()) == ("live", 2)
    assert Deployment.objects.filter(evidence_id=second.uuid).count() == 1


def is_guard(outcome: object) -> bool:
    """True for the refusal of the trigger that looks at who decides."""
    return isinstance(outcome, ProgrammingError) and "only a reviewer or an admin" in str(outcome)


def test_approving_races_with_losing_the_role_and_with_taking_it_back(project: Project) -> None:
    """Whichever is first, it is whole: live with an approval that counted, or not live at all."""
    rita = making.rita(project)
    promotion = making.waiting(project)
    ed = making.ed(project)

    def withdraw() -> Promotion:
        actor = factories.actor_of(ed)
        return deciding.withdraw(promotion=promotion, actor=actor, person=ed, now=clock.now())

    def demote() -> int:
        return Membership.objects.filter(project=project, user=rita).update(role=Role.EDITOR)

    outcomes = at_once([approval(promotion, rita), withdraw, demote])
    # The role is taken by hand, past the lock that the product takes: then the database's own guard may refuse.
    assert all(isinstance(one, Promotion | int | DomainError) or is_guard(one) for one in outcomes), outcomes
    promotion.refresh_from_db()
    live = Deployment.objects.filter(project=project, ended_at=None).count()
    assert (promotion.state, live) in {("live", 1), ("withdrawn", 0), ("void", 0)}

"""Deciding on promotions: approving, rejecting, withdrawing, commenting.

Locks: project, prompt, environment, promotion, then rule, gates and sets; the audit trail comes last.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.types import Actor
from apps.promotions import deciding
from apps.promotions.models import Decision, Promotion, PromotionComment
from apps.promotions.selectors import decisions as selectors
from apps.promotions.services import checking, going_live, history
from apps.promotions.types import DecisionKind, PromotionState
from apps.prompts.services.prompts import locked as locked_prompt

LONGEST_REASON, LONGEST_COMMENT = 2_000, 10_000


class MayNotDecide(Forbidden):
    """This person's decision does not count here."""

    code = "may_not_decide"


class NotWaiting(Conflict):
    """It is not waiting for a decision."""

    code, message = "not_waiting", "It is {state}, and only what waits for a decision is decided on."


class DecidedAlready(Conflict):
    """A person decides once."""

    code, message = "decided_already", "You have decided on it already. Each person decides once."


class NotOpen(Conflict):
    """It has ended, so there is nothing to take back."""

    code, message = "not_open", "It is {state} already; there is nothing to take back."


class PromotionVoid(Conflict):
    """What it was judged by changed. That it is void is kept, although the call fails."""

    code = "promotion_void"
    message = "It is void, and nothing went live. {what} Ask for it again."


def approve(*, promotion: Promotion, actor: Actor, person: User | None, now: datetime, reason: str = "") -> Promotion:
    """Approve it as that person. With enough approvals it goes live at once, or may be an arm.

    Raises MayNotDecide (403), NotWaiting (409), DecidedAlready (409), and PromotionVoid (409) when what it was judged
    by changed. That it is void is committed; so call this outside of transactions.
    """
    promotion = _approve(promotion, actor, person, now, reason)
    if promotion.state == PromotionState.VOID.value:
        raise PromotionVoid(what=" ".join(promotion.reasons), reasons=promotion.reasons)
    return promotion


@transaction.atomic
def _approve(promotion: Promotion, actor: Actor, person: User | None, now: datetime, reason: str) -> Promotion:
    """The promotion after the decision: waiting for more, live, approved, or void."""
    promotion = locked(promotion)
    # Before anything is written to the audit trail, which is the last lock that anybody takes.
    checking.hold_evidence(promotion)
    _decide(promotion, DecisionKind.APPROVED, actor, person, now, reason)
    needed, there = selectors.approvals_needed(promotion), len(selectors.approvals_of(promotion))
    if there < needed:
        count = f"{there} of {needed} approvals"
        history.note(
            promotion=promotion, kind="approved", sentence=f"{actor.name} approved: {count}.", actor=actor, now=now
        )
        return promotion
    history.note(promotion=promotion, kind="approved", sentence=f"{actor.name} approved.", actor=actor, now=now)
    return going_live.settle(promotion=promotion, actor=actor, now=now)


@transaction.atomic
def reject(*, promotion: Promotion, actor: Actor, person: User | None, now: datetime, reason: str) -> Promotion:
    """Reject it as that person, with a reason. Raises MayNotDecide, NotWaiting, DecidedAlready, and Invalid."""
    if not reason.strip():
        raise Invalid(reason=["Say why, so that whoever asked knows what to change."])
    promotion = locked(promotion)
    decision = _decide(promotion, DecisionKind.REJECTED, actor, person, now, reason)
    going_live.move(promotion, PromotionState.REJECTED, now, [decision.reason])
    sentence = f"{actor.name} rejected it: {decision.reason}"
    history.note(promotion=promotion, kind="rejected", sentence=sentence, actor=actor, now=now)
    going_live.tell(
        promotion, kind="rejected", title=f"Promotion {promotion.number} was rejected", text=sentence, now=now
    )
    return promotion


@transaction.atomic
def withdraw(*, promotion: Promotion, actor: Actor, person: User | None, now: datetime, reason: str = "") -> Promotion:
    """Take the request back: its requester, or an admin. Raises MayNotDecide, NotOpen, and Invalid."""
    promotion = locked(promotion)
    standing = selectors.standing_of(promotion, person)
    is_requester = standing.person is not None and standing.person == promotion.requester_id
    if not standing.is_active or standing.role is None or not (is_requester or standing.role == "admin"):
        raise MayNotDecide("Whoever asked for it takes it back, or an admin.")
    state = PromotionState(promotion.state)
    if not state.is_open:
        raise NotOpen(state=state.value)
    reason = _clean_reason(reason)
    going_live.move(promotion, PromotionState.WITHDRAWN, now, [reason] if reason else [])
    sentence = f"{actor.name} withdrew it{f': {reason}' if reason else '.'}"
    history.note(promotion=promotion, kind="withdrawn", sentence=sentence, actor=actor, now=now)
    going_live.record(promotion, "promotions.withdrawn", actor, now, {"reason": reason or None})
    return promotion


@transaction.atomic
def comment(*, promotion: Promotion, actor: Actor, now: datetime, text: str) -> PromotionComment:
    """Write something about it, in any state. Raises Invalid for an empty or overlong text."""
    text = text.strip()
    if not text or len(text) > LONGEST_COMMENT or "\x00" in text:
        raise Invalid(text=[f"Write 1 to {LONGEST_COMMENT:,} characters."])
    return PromotionComment.objects.create(
        promotion=promotion, actor_kind=actor.kind, actor_name=actor.name[:254], text=text, written_at=now
    )


def locked(promotion: Promotion) -> Promotion:
    """The promotion as it is now, with project, prompt and environment locked before it until the transaction ends.

    The project's lock keeps roles, keys and release rules as they are meanwhile.
    """
    Project.objects.select_for_update(no_key=True).get(pk=promotion.project_id)
    prompt = locked_prompt(promotion.prompt)
    environment = Environment.objects.select_for_update(no_key=True).get(pk=promotion.environment_id)
    rows = Promotion.objects.select_for_update(no_key=True, of=("self",))
    found = rows.select_related("project", "version", "live_before", "rule").get(pk=promotion.pk)
    found.prompt, found.environment = prompt, environment
    return found


def _decide(
    promotion: Promotion, kind: DecisionKind, actor: Actor, person: User | None, now: datetime, reason: str
) -> Decision:
    """Keep the person's decision and what it holds for. Raises MayNotDecide, NotWaiting and DecidedAlready."""
    standing = selectors.standing_of(promotion, person)
    if not standing.is_active or standing.role is None or standing.role not in deciding.DECIDERS:
        # Who has no say is not told how far it is.
        raise MayNotDecide(deciding.why_no_say(selectors.case_of(promotion), standing))
    if promotion.state != PromotionState.WAITING.value:
        raise NotWaiting(state=promotion.state)
    if standing.has_decided:
        raise DecidedAlready
    fault = deciding.why_no_say(selectors.case_of(promotion), standing)
    if fault is not None or person is None:
        raise MayNotDecide(fault)
    decision = Decision.objects.create(
        promotion=promotion,
        kind=kind.value,
        person=person,
        actor_kind=actor.kind,
        actor_name=actor.name[:254],
        reason=_clean_reason(reason),
        bound_to=selectors.binding_of(promotion),
        decided_at=now,
    )
    told: dict[str, audit.Detail] = {"reason": decision.reason or None, "person": person.email}
    going_live.record(promotion, f"promotions.{kind.value}", actor, now, told)
    return decision


def _clean_reason(reason: str) -> str:
    reason = reason.strip()
    if len(reason) > LONGEST_REASON or "\x00" in reason:
        raise Invalid(reason=[f"At most {LONGEST_REASON:,} characters."])
    return reason

"""Emergencies: going live without passed gates. Two people, a reason, an alarm, and a review that is due.

An override waits for one admin, who is neither its requester nor the version's author, by `deciding.approve`.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects.models import Environment
from apps.projects.selectors import role_of_active
from apps.projects.types import Actor, Role
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.services import asking, checking, going_live, history
from apps.promotions.types import PromotionKind, PromotionOrigin, Purpose
from apps.prompts.models import Prompt, Version

LONGEST_FINDING = 10_000


class MayNotOverride(Forbidden):
    """An override takes a person with a say."""

    code = "may_not_override"
    message = "Only a reviewer or an admin of the project asks to go without a gate."


class MayNotSign(Forbidden):
    """The review is done by somebody else than who asked for the override."""

    code = "may_not_sign"
    message = "A reviewer or an admin signs the review, and not whoever asked for the override."


class SignedAlready(Conflict):
    """A review is signed once."""

    code, message = "signed_already", "This review is signed already."


def ask_override(
    *,
    prompt: Prompt,
    version: Version,
    environment: Environment,
    actor: Actor,
    person: User | None,
    now: datetime,
    why: str,
    model: str = "",
    origin: PromotionOrigin = PromotionOrigin.PAGE,
) -> Promotion:
    """Ask for a candidate to go live without passed gates, because of `why`; everybody is told.

    Raises MayNotOverride (403) unless a reviewer or an admin asks, and what `asking.ask` raises.
    """
    if person is None or not _has_a_say(person, prompt.project_id):
        raise MayNotOverride
    promotion = asking.ask(
        prompt=prompt,
        version=version,
        environment=environment,
        actor=actor,
        person=person,
        now=now,
        model=model,
        why=why,
        purpose=Purpose.LIVE,
        kind=PromotionKind.OVERRIDE,
        origin=origin,
    )
    where = promotion.environment.slug
    title = f"{actor.name} asks to bring {checking.name_of(promotion)} to {where} without a passed gate"
    going_live.tell(promotion, kind="override_asked", title=title, text=promotion.why, now=now, level="bad")
    return promotion


@transaction.atomic
def sign_follow_up(*, follow_up: FollowUp, actor: Actor, person: User | None, now: datetime, finding: str) -> FollowUp:
    """Close the review that an override owes, with what was found. Not for its requester.

    Raises MayNotSign (403), SignedAlready (409), and Invalid without a finding.
    """
    finding = finding.strip()
    if not finding or len(finding) > LONGEST_FINDING or "\x00" in finding:
        raise Invalid(finding=[f"Say what was found, in 1 to {LONGEST_FINDING:,} characters."])
    rows = FollowUp.objects.select_for_update(no_key=True, of=("self",))
    related = ("promotion__project", "promotion__prompt", "promotion__environment", "promotion__version")
    follow_up = rows.select_related(*related).get(pk=follow_up.pk)
    promotion = follow_up.promotion
    if person is None or person.pk == promotion.requester_id or not _has_a_say(person, promotion.project_id):
        raise MayNotSign
    if follow_up.done_at is not None:
        raise SignedAlready
    follow_up.done_at, follow_up.done_by, follow_up.finding = now, person, finding
    follow_up.save(update_fields=["done_at", "done_by", "finding"])
    sentence = f"{actor.name} signed the review of going without a gate: {finding}"
    history.note(promotion=promotion, kind="reviewed", sentence=sentence, actor=actor, now=now)
    going_live.record(promotion, "promotions.override_reviewed", actor, now, {"finding": finding[:500]})
    return follow_up


def _has_a_say(person: User, project_id: int) -> bool:
    role = role_of_active(person.pk, project_id)
    return role is not None and role.allows(Role.REVIEWER)

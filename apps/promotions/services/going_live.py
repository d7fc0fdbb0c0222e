"""The moment in which a promotion goes live: everything is looked at once more, under the locks that deciding took."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from apps.alerts.services.notices import notify
from apps.core.errors import Conflict
from apps.core.navigation import address
from apps.projects import audit
from apps.projects.models import Membership
from apps.projects.types import Actor
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.selectors import decisions, evidence
from apps.promotions.services import checking, history, watching
from apps.promotions.services.checking import name_of
from apps.promotions.types import OPEN, PromotionKind, PromotionState, Purpose
from apps.prompts.models import Deployment
from apps.prompts.services import deploying
from apps.prompts.types import Evidence, EvidenceKind

REVIEW_WITHIN = timedelta(days=3)
"""After an override, somebody reviews it within this time."""


def settle(*, promotion: Promotion, actor: Actor, now: datetime) -> Promotion:
    """Take a promotion that has enough approvals to its end: live, approved for an experiment, or void.

    The prompt, the environment and the promotion are locked by the caller, in this order.
    """
    _hold_roles(promotion)
    problems = problems_of(promotion)
    if problems:
        return _make_void(promotion, list(problems), actor, now)
    move(promotion, PromotionState.APPROVED, now)
    if promotion.purpose == Purpose.EXPERIMENT.value:
        sentence = "It may be an arm of an experiment."
        history.note(promotion=promotion, kind="arm_approved", sentence=sentence, actor=actor, now=now)
        record(promotion, "promotions.approved_for_experiment", actor, now)
        return promotion
    return _go_live(promotion, actor, now)


def problems_of(promotion: Promotion) -> tuple[str, ...]:
    """Why it cannot go live at this moment, each as a sentence; empty when it can."""
    problems = decisions.approval_problems(promotion)
    if len(decisions.approvals_of(promotion)) < decisions.approvals_needed(promotion):
        problems += ("It has too few approvals.",)
    problems += tuple(evidence.evidence_problems(promotion))
    return problems


def _hold_roles(promotion: Promotion) -> None:
    """Let nobody's role change between now and the end of the transaction."""
    people = [one.person_id for one in decisions.approvals_of(promotion)] + [promotion.requester_id]
    rows = Membership.objects.filter(project_id=promotion.project_id, user_id__in=[one for one in people if one])
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _go_live(promotion: Promotion, actor: Actor, now: datetime) -> Promotion:
    is_override = promotion.kind == PromotionKind.OVERRIDE.value
    if is_override:
        FollowUp.objects.create(promotion=promotion, due_at=now + REVIEW_WITHIN, created_at=now)
    deployment = deploying.deploy(
        prompt=promotion.prompt,
        version=promotion.version,
        environment=promotion.environment,
        actor=actor,
        now=now,
        reason=promotion.why,
        model=promotion.model,
        evidence=Evidence(EvidenceKind.PROMOTION, promotion.uuid),
    )
    move(promotion, PromotionState.LIVE, now, deployment=deployment)
    where = promotion.environment.slug
    sentence = f"{name_of(promotion)} is live in {where}."
    if is_override:
        sentence += f" No gate was passed; the review of this is due by {now + REVIEW_WITHIN:%-d %B %Y}."
    history.note(promotion=promotion, kind="went_live", sentence=sentence, actor=actor, now=now)
    _say_it_is_overtaken(promotion, actor, now)
    record(promotion, "promotions.overridden" if is_override else "promotions.went_live", actor, now)
    watching.start_watch(deployment=deployment, promotion=promotion, rule=promotion.rule, now=now)
    if is_override:
        title = f"{promotion.prompt.name} went live in {where} without a passed gate"
        text = f"{promotion.requester_name} asked and {actor.name} approved. The reason: {promotion.why}"
        tell(promotion, kind="override", title=title, text=text, now=now, level="bad")
    else:
        title = f"{name_of(promotion)} is live in {where}"
        tell(promotion, kind="live", title=title, text=f"{actor.name} approved it.", now=now)
    return promotion


def _say_it_is_overtaken(promotion: Promotion, actor: Actor, now: datetime) -> None:
    """Tell the histories of other open promotions; they become void when somebody approves them."""
    others = Promotion.objects.filter(
        prompt_id=promotion.prompt_id,
        environment_id=promotion.environment_id,
        state__in=sorted(OPEN),
    )
    sentence = f"{name_of(promotion)} went live meanwhile, so this was judged against what is live no longer."
    for other in others.exclude(pk=promotion.pk).order_by("pk"):
        history.note(promotion=other, kind="overtaken", sentence=sentence, actor=actor, now=now)


def _make_void(promotion: Promotion, reasons: list[str], actor: Actor, now: datetime) -> Promotion:
    move(promotion, PromotionState.VOID, now, reasons)
    sentence = f"It is void, and nothing went live. {' '.join(reasons)}"
    history.note(promotion=promotion, kind="voided", sentence=sentence, actor=actor, now=now)
    record(promotion, "promotions.voided", actor, now, {"reasons": reasons})
    tell(promotion, kind="void", title=f"Promotion {promotion.number} is void", text=sentence, now=now, level="warn")
    return promotion


def move(
    promotion: Promotion,
    state: PromotionState,
    now: datetime,
    reasons: list[str] | None = None,
    deployment: Deployment | None = None,
) -> None:
    """Bring a locked promotion into the state. Raises Conflict when it is not in the one that was read."""
    rows = Promotion.objects.filter(pk=promotion.pk, state=promotion.state)
    if rows.update(state=state.value, reasons=reasons or [], decided_at=now, deployment=deployment) != 1:
        raise Conflict
    promotion.state, promotion.reasons, promotion.decided_at = state.value, reasons or [], now
    promotion.deployment = deployment


def tell(promotion: Promotion, *, kind: str, title: str, text: str, now: datetime, level: str = "info") -> None:
    """A notice about the promotion, once for each kind."""
    place = address("promotions", promotion.project.slug)
    notify(
        project=promotion.project,
        key=f"promotion-{promotion.uuid}-{kind}",
        kind=f"promotion_{kind}",
        title=title[:200],
        text=text,
        path=f"{place}/{promotion.number}" if place else "",
        role="viewer",
        level=level,
        now=now,
    )


def record(
    promotion: Promotion, action: str, actor: Actor, now: datetime, told: Mapping[str, audit.Detail] | None = None
) -> None:
    """An audit entry about the promotion, with everybody who approved it."""
    details = checking.named(promotion) | {
        "approved_by": [one.person.email for one in decisions.approvals_of(promotion)]
    }
    details |= told or {}
    audit.record(actor=actor, action=action, project=promotion.project, target=promotion, at=now, details=details)

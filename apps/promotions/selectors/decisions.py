"""What deciding on a promotion is judged by: who somebody is before it, and what an approval holds for."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.projects.models import Membership
from apps.promotions.deciding import DECIDERS, Case, Standing, why_no_say, why_not
from apps.promotions.models import Decision, FollowUp, Promotion
from apps.promotions.types import DecisionKind, PromotionKind, PromotionState


def case_of(promotion: Promotion) -> Case:
    """What matters of the promotion for who may decide on it."""
    return Case(
        state=PromotionState(promotion.state),
        kind=PromotionKind(promotion.kind),
        author=promotion.version.author_id,
        requester=promotion.requester_id,
    )


def standing_of(promotion: Promotion, person: User | None) -> Standing:
    """The person before the promotion, by their role in its project at this moment."""
    if person is None:
        return Standing(None, None, False)
    roles = Membership.objects.filter(project_id=promotion.project_id, user_id=person.pk)
    found = roles.values_list("role", "user__is_active").first()
    role, is_active = (None, False) if found is None else found
    has_decided = promotion.decisions.filter(person_id=person.pk).exists()
    return Standing(person.pk, role, is_active, has_decided)


def why_may_not_decide(promotion: Promotion, person: User | None) -> str | None:
    """Why the person may neither approve nor reject it, for pages; None when they may."""
    return why_not(case_of(promotion), standing_of(promotion, person))


def approvals_needed(promotion: Promotion) -> int:
    """How many people have to approve: as the rule said, and one for an override."""
    if promotion.kind == PromotionKind.OVERRIDE.value:
        return 1
    return max(1, int(promotion.rule_said.get("approvals_needed", 1)))


def approvals_of(promotion: Promotion) -> list[Decision]:
    """Its approvals, oldest first."""
    return list(promotion.decisions.filter(kind=DecisionKind.APPROVED.value).select_related("person"))


def list_decisions(promotion: Promotion) -> list[Decision]:
    """Every decision on it, oldest first."""
    return list(promotion.decisions.select_related("person"))


def binding_of(promotion: Promotion) -> dict[str, Any]:
    """What an approval given now holds for: the content, the model, the rule, and each gate's report."""
    checks = promotion.checks.select_related("gate", "report").order_by("gate__slug")
    return {
        "content": promotion.content_hash,
        "model": promotion.model,
        "rule": promotion.rule_hash,
        "reports": {
            check.gate.slug: {"report": str(check.report.uuid), "bound_to": check.report.bound_to}
            for check in checks
            if check.report is not None
        },
    }


def approval_problems(promotion: Promotion) -> tuple[str, ...]:
    """Why the approvals that there are do not count at this moment, each as a sentence."""
    case, binding = case_of(promotion), binding_of(promotion)
    problems = []
    for approval in approvals_of(promotion):
        who = approval.person.name or approval.person.email
        if fault := why_no_say(case, standing_of(promotion, approval.person)):
            problems.append(f"{who}'s approval does not count any more: {fault}")
        if approval.bound_to != binding:
            problems.append(f"{who} approved something else: reports, rule or content changed since.")
    if case.kind is PromotionKind.OVERRIDE:
        asker = standing_of(promotion, promotion.requester)
        if not asker.is_active or asker.role not in DECIDERS:
            problems.append("Whoever asked for this override has no say in the project any more.")
    return tuple(problems)


def list_due_follow_ups(project_id: int) -> list[FollowUp]:
    """Reviews after overrides that nobody has signed, the one that is due first at the top."""
    rows = FollowUp.objects.filter(promotion__project_id=project_id, done_at=None)
    return list(rows.select_related("promotion__prompt", "promotion__environment").order_by("due_at"))

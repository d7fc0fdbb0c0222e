"""Who may decide on a promotion, and why somebody may not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from apps.promotions.types import PromotionKind, PromotionState

DECIDERS = frozenset({"reviewer", "admin"})
"""The roles whose approval counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A person before a promotion. `person` is None where no person stands behind the call."""

    person: int | None
    role: str | None
    is_active: bool
    has_decided: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """The promotion, as far as it matters for who may decide. Author and requester are persons, not keys."""

    state: PromotionState
    kind: PromotionKind
    author: int | None
    requester: int | None


def why_not(case: Case, standing: Standing) -> str | None:
    """Why the person may not approve or reject, as a sentence that says what to do; None when they may."""
    if case.state is not PromotionState.WAITING:
        return f"It is {case.state.value}, and only what waits for a decision is decided on."
    if standing.has_decided:
        return "You have decided on it already. Each person decides once."
    return why_no_say(case, standing)


def why_no_say(case: Case, standing: Standing) -> str | None:
    """Why the person's decision does not count, whatever the state; None when it does.

    It is looked at when somebody decides, and again for every approver at the moment of going live.
    """
    if standing.person is None:
        return "Only a person decides. Sign in, or use a key that a person made."
    if standing.role is None:
        return "They are not a member of the project."
    if not standing.is_active:
        return "Their account is switched off."
    if standing.role not in DECIDERS:
        return f"With the role {standing.role} nobody decides on promotions. Ask a reviewer or an admin."
    if case.kind is PromotionKind.OVERRIDE and standing.role != "admin":
        return "Going without a gate takes an admin's approval. Ask one."
    if standing.person == case.author:
        return "Whoever wrote the version does not decide on it. Ask another reviewer."
    if standing.person == case.requester:
        return "Whoever asked for it does not decide on it, with any key. Ask another reviewer."
    return None

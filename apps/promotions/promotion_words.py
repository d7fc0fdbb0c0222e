"""A promotion in one sentence, and what its runs say of time and money. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from apps.promotions.types import PromotionKind, PromotionState, Purpose

SHORT = {
    PromotionState.CHECKING: "Checking",
    PromotionState.REFUSED: "Refused",
    PromotionState.WAITING: "Waiting",
    PromotionState.APPROVED: "Approved",
    PromotionState.LIVE: "Went live",
    PromotionState.REJECTED: "Rejected",
    PromotionState.WITHDRAWN: "Withdrawn",
    PromotionState.VOID: "Void",
}
BADGES = {
    PromotionState.CHECKING: "run",
    PromotionState.REFUSED: "fail",
    PromotionState.WAITING: "waiting",
    PromotionState.APPROVED: "pass",
    PromotionState.LIVE: "pass",
    PromotionState.REJECTED: "fail",
    PromotionState.WITHDRAWN: "off",
    PromotionState.VOID: "warn",
}
BOXES = {
    PromotionState.CHECKING: "open",
    PromotionState.REFUSED: "fail",
    PromotionState.WAITING: "pass",
    PromotionState.APPROVED: "pass",
    PromotionState.LIVE: "pass",
    PromotionState.REJECTED: "fail",
    PromotionState.WITHDRAWN: "waived",
    PromotionState.VOID: "stale",
}


class Words(NamedTuple):
    """The answer: a sentence, the word of its state, the looks of its badge and its box."""

    sentence: str
    short: str
    badge: str
    box: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentence is made of. Conditions are those of all gates together; `first_open` is one that is not met."""

    state: PromotionState
    kind: PromotionKind
    purpose: Purpose
    environment: str
    gates: int = 0
    answered: int = 0
    conditions: int = 0
    met: int = 0
    first_open: str = ""
    reasons: Sequence[str] = ()
    approvals: int = 0
    needed: int = 1
    may_decide: bool = False
    has_decided: bool = False
    is_live_now: bool = False
    decided_by: str = ""


def words_of(facts: Facts) -> Words:
    """The promotion in words."""
    state = facts.state
    box = BOXES[state]
    if state is PromotionState.WAITING and facts.kind is PromotionKind.OVERRIDE:
        box = "stale"
    if state is PromotionState.LIVE and not facts.is_live_now:
        box = "waived"
    return Words(_sentence(facts), SHORT[state], BADGES[state], box)


def _sentence(facts: Facts) -> str:
    match facts.state:
        case PromotionState.CHECKING:
            return f"Checking: {facts.answered} of {facts.gates} {_plural(facts.gates, 'gate')} answered."
        case PromotionState.REFUSED:
            return f"Refused: {_why_refused(facts)}"
        case PromotionState.WAITING:
            return f"{_passed(facts)} {_who(facts)}"
        case PromotionState.APPROVED:
            return "Approved. It may be an arm of an experiment."
        case PromotionState.LIVE:
            where = f"in {facts.environment}"
            return f"Live {where}." if facts.is_live_now else f"It was live {where}. Something else is live now."
        case PromotionState.REJECTED:
            by = f" by {facts.decided_by}" if facts.decided_by else ""
            return f"Rejected{by}: {_sentence_end(facts.reasons[0])}" if facts.reasons else f"Rejected{by}."
        case PromotionState.WITHDRAWN:
            return "Withdrawn."
        case PromotionState.VOID:
            return f"Void: {_sentence_end(facts.reasons[0])}" if facts.reasons else "Void: it holds no more."


def _why_refused(facts: Facts) -> str:
    open_conditions = facts.conditions - facts.met
    if open_conditions == 1 and facts.first_open:
        return _sentence_end(facts.first_open)
    if open_conditions > 1:
        return f"{open_conditions} of {facts.conditions} conditions are not met."
    return _sentence_end(facts.reasons[0]) if facts.reasons else "no gate passed."


def _passed(facts: Facts) -> str:
    if facts.kind is PromotionKind.OVERRIDE:
        return "No gate was asked: this is an emergency."
    gates = "Gate passed" if facts.gates == 1 else f"{facts.gates} gates passed"
    return f"{gates}, {facts.met} of {facts.conditions}."


def _who(facts: Facts) -> str:
    missing = facts.needed - facts.approvals
    if facts.may_decide:
        return "Waiting for your approval." if missing <= 1 else f"Waiting for yours and {missing - 1} more approvals."
    if facts.kind is PromotionKind.OVERRIDE:
        return "Waiting for an admin."
    if facts.has_decided:
        return f"You approved; waiting for {missing} more {_plural(missing, 'person', 'people')}."
    return "Waiting for a reviewer." if facts.needed == 1 else f"{facts.approvals} of {facts.needed} approvals."


def _plural(count: int, one: str, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"


def _sentence_end(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


# --- Time and money -----------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """One measure of a run beside the same of its baseline. `kind` is ms, usd or tokens; `change` is relative."""

    title: str
    kind: str
    before: float | Decimal | None
    after: float | Decimal | None

    @property
    def change(self) -> float | None:
        """+0.1 for ten percent more; None without both."""
        if self.before is None or self.after is None or not self.before:
            return None
        return float(self.after) / float(self.before) - 1


class Use(NamedTuple):
    """What a run's answers took: milliseconds, US dollars an answer, tokens an answer. Unknown is None."""

    p50_ms: float | None
    p99_ms: float | None
    usd: Decimal | None
    tokens: float | None


def figures(after: Use | None, before: Use | None) -> tuple[Figure, ...]:
    """Time and money of the candidate against the baseline; measures without a figure are left out."""
    if after is None:
        return ()
    titles = (
        ("Latency, P50", "ms"),
        ("Latency, P99", "ms"),
        ("Cost of an answer", "usd"),
        ("Tokens written", "tokens"),
    )
    pairs = zip(titles, after, before or (None,) * len(after), strict=True)
    return tuple(Figure(title, kind, was, now) for (title, kind), now, was in pairs if now is not None)

"""What a release rule asks for, as values and in words. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_APPROVALS = 5
MOST_GATES = 20
MOST_WATCH_HOURS = 168
USUAL_EXAMPLES = 100
"""A gate asks for so many examples, unless an admin lowered it."""


@dataclass(frozen=True, slots=True)
class GateSaid:
    """A gate of a rule, as it was when a promotion was asked for."""

    uuid: str
    slug: str
    name: str
    eval_set: str
    minimum_examples: int
    conditions: str
    """The hash of its conditions."""

    @property
    def is_lowered(self) -> bool:
        """True when it asks for fewer examples than a gate usually does."""
        return self.minimum_examples < USUAL_EXAMPLES

    @property
    def sentence(self) -> str:
        """What it asks for, in short."""
        least = f"at least {self.minimum_examples} approved {_plural(self.minimum_examples, 'example')}"
        lowered = f", lowered from {USUAL_EXAMPLES}" if self.is_lowered else ""
        return f"It passes the gate {self.name} over {self.eval_set} ({least}{lowered})."


@dataclass(frozen=True, slots=True)
class RuleSaid:
    """A release rule in words: what is frozen on a promotion, so that it can be read later as it was."""

    scope: str
    """For what it is: a prompt, a feature, or everything."""
    environment: str
    gates: tuple[GateSaid, ...] = ()
    approvals_needed: int = 1
    asks_on_merge: bool = False
    rolls_back: bool = False
    watch_hours: int = 24

    @property
    def hash(self) -> str:
        """As `rule_hash` of what decides."""
        return rule_hash((one.uuid for one in self.gates), self.approvals_needed)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the rule asks for and what happens afterwards."""
        people = f"{_count(self.approvals_needed, 'person')} other than its author and whoever asked"
        after = (
            "what breaches a guardrail is rolled back" if self.rolls_back else "a breached guardrail raises an alarm"
        )
        return (
            *(one.sentence for one in self.gates),
            f"{people} {'approves' if self.approvals_needed == 1 else 'approve'} it.",
            f"It is watched for {_count(self.watch_hours, 'hour')}; {after}.",
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON, with the sentences."""
        return {
            "scope": self.scope,
            "environment": self.environment,
            "approvals_needed": self.approvals_needed,
            "asks_on_merge": self.asks_on_merge,
            "rolls_back": self.rolls_back,
            "watch_hours": self.watch_hours,
            "gates": [
                {
                    "uuid": one.uuid,
                    "slug": one.slug,
                    "name": one.name,
                    "eval_set": one.eval_set,
                    "minimum_examples": one.minimum_examples,
                    "is_lowered": one.is_lowered,
                    "conditions": one.conditions,
                }
                for one in self.gates
            ],
            "sentences": list(self.sentences),
        }


def said_from_dict(kept: Mapping[str, Any]) -> RuleSaid | None:
    """What `as_dict` gave; None when nothing was kept, for there was no rule."""
    if not kept:
        return None
    names = ("uuid", "slug", "name", "eval_set", "minimum_examples", "conditions")
    gates = tuple(GateSaid(**{name: one[name] for name in names}) for one in kept["gates"])
    plain = ("scope", "environment", "approvals_needed", "asks_on_merge", "rolls_back", "watch_hours")
    return RuleSaid(gates=gates, **{name: kept[name] for name in plain})


def rule_hash(gates: Iterable[object], approvals_needed: int) -> str:
    """SHA-256 over what of a rule decides: its gates, in any order, and the number of approvals."""
    told = {"gates": sorted(str(one) for one in gates), "approvals_needed": approvals_needed}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def changes_of(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Which settings of a rule differ, each as `name: old -> new`, for the audit trail."""
    if before is None:
        return [f"{name}: {_short(value)}" for name, value in after.items()]
    return [
        f"{name}: {_short(before.get(name))} -> {_short(value)}"
        for name, value in after.items()
        if before.get(name) != value
    ]


def _short(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value) or "none"
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 300 else f"{text[:299]}…"


def _count(number: int, word: str) -> str:
    return f"{number} {_plural(number, word)}"


def _plural(number: int, word: str) -> str:
    if number == 1:
        return word
    return {"person": "people"}.get(word, f"{word}s")

"""What is watched after something went live: what is asked for, and what the figures say of it.

Shares lie in 0..1, times are milliseconds, money is US dollars as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.core.errors import DomainError

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

USUAL_CALLS = 50
"""So many calls each side has before anything is said."""

MOST_SCORES = 10


class BadGuardrails(DomainError):
    """The guardrails cannot be used; `details` maps fields to sentences."""

    code, http_status = "invalid", 422
    message = "One or more guardrails need a change."

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__()
        self.details = dict(problems)


@dataclass(frozen=True, slots=True)
class ErrorRail:
    """The share of failed calls: by how much it may rise (0.02: two points), and where it ends; one may be None."""

    most_rise: float | None = 0.02
    most: float | None = None


@dataclass(frozen=True, slots=True)
class LatencyRail:
    """The P99 of latency: how many times that of before it may be, and its ceiling; one may be None."""

    most_ratio: float | None = 1.3
    most_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CostRail:
    """The mean cost of a call: how many times that of before it may be, and its ceiling; one may be None."""

    most_ratio: float | None = 1.2
    most_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ScoreRail:
    """The mean of the scores of that name: by how much it may drop."""

    name: str
    most_drop: float = 0.05


@dataclass(frozen=True, slots=True)
class GuardrailConfig:
    """Everything that is watched. None: not watched. `confidence`: that no guardrail of a release that keeps within
    them is called breached, over the whole watch."""

    error_rate: ErrorRail | None = ErrorRail()
    latency_p99: LatencyRail | None = LatencyRail()
    cost_per_call: CostRail | None = CostRail()
    scores: tuple[ScoreRail, ...] = ()
    minimum_calls: int = USUAL_CALLS
    confidence: float = 0.95

    @property
    def count(self) -> int:
        """How many guardrails there are."""
        one_each = (self.error_rate, self.latency_p99, self.cost_per_call)
        return sum(one is not None for one in one_each) + len(self.scores)

    def as_dict(self) -> dict[str, Json]:
        """As JSON, complete; `read_config` of it gives the same."""
        errors, latency, cost = self.error_rate, self.latency_p99, self.cost_per_call
        return {
            "error_rate": None if errors is None else {"most_rise": errors.most_rise, "most": errors.most},
            "latency_p99": None if latency is None else {"most_ratio": latency.most_ratio, "most_ms": latency.most_ms},
            "cost_per_call": None
            if cost is None
            else {
                "most_ratio": cost.most_ratio,
                "most_usd": None if cost.most_usd is None else f"{cost.most_usd.normalize():f}",
            },
            "scores": [{"name": one.name, "most_drop": one.most_drop} for one in self.scores],
            "minimum_calls": self.minimum_calls,
            "confidence": self.confidence,
        }


USUAL = GuardrailConfig()
"""What is watched where a rule says nothing of guardrails."""

KNOWN = {"error_rate", "latency_p99", "cost_per_call", "scores", "minimum_calls", "confidence"}


def read_config(data: Mapping[str, Json]) -> GuardrailConfig:
    """The guardrails: the usual where a field is missing, not watched where it is null. Raises BadGuardrails with a
    sentence for each field."""
    read = _Reader(data)
    read.no_others(KNOWN)
    config = GuardrailConfig(
        error_rate=_error_rail(read),
        latency_p99=_latency_rail(read),
        cost_per_call=_cost_rail(read),
        scores=_score_rails(read),
        minimum_calls=int(read.number("minimum_calls", 20, 1_000_000, USUAL_CALLS) or USUAL_CALLS),
        confidence=read.number("confidence", 0.8, 0.999, 0.95) or 0.95,
    )
    names = [one.name for one in config.scores]
    if len(set(names)) < len(names):
        read.wrong("scores", "Name each score once.")
    if not config.count and not read.problems:
        read.wrong("error_rate", "Watch at least one thing: errors, latency, cost, or a score.")
    if read.problems:
        raise BadGuardrails(read.problems)
    return config


def _error_rail(outer: _Reader) -> ErrorRail | None:
    read = outer.inner("error_rate", {"most_rise", "most"})
    if read is None:
        return ErrorRail() if outer.is_usual("error_rate") else None
    rail = ErrorRail(read.number("most_rise", 0.0, 1.0, None), read.number("most", 0.0, 1.0, None))
    if rail.most_rise is None and rail.most is None:
        read.wrong("most_rise", "Say by how much it may rise, where it ends, or both.")
    return rail


def _latency_rail(outer: _Reader) -> LatencyRail | None:
    read = outer.inner("latency_p99", {"most_ratio", "most_ms"})
    if read is None:
        return LatencyRail() if outer.is_usual("latency_p99") else None
    rail = LatencyRail(read.number("most_ratio", 1.0, 100.0, None), read.number("most_ms", 1.0, 86_400_000.0, None))
    if rail.most_ratio is None and rail.most_ms is None:
        read.wrong("most_ratio", "Say how many times the one before it may be, a ceiling in milliseconds, or both.")
    return rail


def _cost_rail(outer: _Reader) -> CostRail | None:
    read = outer.inner("cost_per_call", {"most_ratio", "most_usd"})
    if read is None:
        return CostRail() if outer.is_usual("cost_per_call") else None
    rail = CostRail(read.number("most_ratio", 1.0, 100.0, None), read.money("most_usd"))
    if rail.most_ratio is None and rail.most_usd is None:
        read.wrong("most_ratio", "Say how many times the one before it may be, a ceiling in dollars, or both.")
    return rail


def _score_rails(outer: _Reader) -> tuple[ScoreRail, ...]:
    given = outer.data.get("scores") or []
    if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
        outer.wrong("scores", "Write a list of objects.")
        return ()
    if len(given) > MOST_SCORES:
        outer.wrong("scores", f"At most {MOST_SCORES}.")
        return ()
    rails = []
    for place, one in enumerate(given):
        assert isinstance(one, Mapping)
        read = _Reader(one, f"scores.{place}.", outer.problems)
        read.no_others({"name", "most_drop"})
        drop = read.number("most_drop", 0.0, 1_000_000.0, 0.05)
        rails.append(ScoreRail(read.name(), 0.05 if drop is None else drop))
    return tuple(rails)


class _Reader:
    """Values of one object, each checked; what is wrong is collected under the field's whole name."""

    def __init__(
        self, data: Mapping[str, Json], prefix: str = "", problems: dict[str, list[str]] | None = None
    ) -> None:
        self.data = data
        self.prefix = prefix
        self.problems: dict[str, list[str]] = {} if problems is None else problems

    def wrong(self, name: str, sentence: str) -> None:
        """Note that the field needs a change."""
        self.problems.setdefault(f"{self.prefix}{name}", []).append(sentence)

    def no_others(self, known: set[str]) -> None:
        """Refuse fields that nobody knows: a typo would be a guardrail that is never watched."""
        for name in sorted(set(map(str, self.data)) - known):
            self.wrong(name[:60], f"Unknown field. Known are: {', '.join(sorted(known))}.")

    def is_usual(self, name: str) -> bool:
        """True when nothing is said of it, which is not the same as null."""
        return name not in self.data

    def inner(self, name: str, known: set[str]) -> _Reader | None:
        """A reader of an object; None when it is missing or null."""
        given = self.data.get(name)
        if given is None:
            return None
        if not isinstance(given, Mapping):
            self.wrong(name, "Write an object, or null where it is not to be watched.")
            return None
        read = _Reader(given, f"{name}.", self.problems)
        read.no_others(known)
        return read

    def number(self, name: str, low: float, high: float, default: float | None) -> float | None:
        """A number within bounds; the default when nothing is said."""
        given = self.data.get(name)
        if given is None:
            return default
        if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
            self.wrong(name, "Write a number.")
        elif not low <= given <= high:
            self.wrong(name, f"From {low:,g} to {high:,g}.")
        else:
            return float(given)
        return default

    def name(self) -> str:
        """The name of a score."""
        given = self.data.get("name")
        if not isinstance(given, str) or not 0 < len(given.strip()) <= 200 or not given.isprintable():
            self.wrong("name", "Name the score, in at most 200 characters.")
            return ""
        return given.strip()

    def money(self, name: str) -> Decimal | None:
        """Dollars, as text or as a number."""
        given = self.data.get(name)
        if given is None or given == "":
            return None
        try:
            found = Decimal(str(given))
        except InvalidOperation:
            found = Decimal(-1)
        if isinstance(given, bool) or not found.is_finite() or not 0 < found < 10**8:
            self.wrong(name, "Write dollars, such as 0.02.")
            return None
        return found

"""What the figures of both sides say of each guardrail. Pure.

A watch looks again and again. So that a release that keeps within its guardrails is not called breached by chance:

- Only some looks decide: the first when there are enough calls, each next one when there are a quarter more, and the
  last. Looks between only show figures.
- Each guardrail gets its part of 1 - confidence (Bonferroni), half for the side before where that is bounded once, and
  the look number k spends 1 / (k (k + 1)) of it (`guardrail_bounds.spent_at`).

By the union bound the chance of a false breach over a whole watch is at most 1 - confidence, as far as each bound keeps
its own level. The side before must be measured once and kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from apps.core.order_statistics import Bounds, calls_for, quantile, quantile_bounds
from apps.promotions import guardrail_words as words
from apps.promotions.guardrail_bounds import (
    Spread,
    mean_bounds,
    mean_change,
    mean_ratio,
    share_bounds,
    share_rise,
    spent_at,
)
from apps.promotions.guardrails import CostRail, ErrorRail, GuardrailConfig, LatencyRail, ScoreRail

P99 = 0.99
GROWTH = 1.25
"""A look decides when there are this many times the calls of the last one that did."""

FEWEST_SCORES = 20
"""So many scores of a name each side has before anything is said of them."""


class RailState(StrEnum):
    """What is known of one guardrail."""

    OK = "ok"
    BREACHED = "breached"
    TOO_FEW = "too_few"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of one deployment: calls, latencies in milliseconds, costs in US dollars, scores by name."""

    calls: int = 0
    errors: int = 0
    latencies: tuple[tuple[float, int], ...] = ()
    cost: Spread = Spread()
    scores: Mapping[str, Spread] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` of it gives the same."""
        return {
            "calls": self.calls,
            "errors": self.errors,
            "latencies": [list(one) for one in self.latencies],
            "cost": asdict(self.cost),
            "scores": {name: asdict(one) for name, one in self.scores.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Side:
        """What `as_dict` wrote."""
        return cls(
            calls=data["calls"],
            errors=data["errors"],
            latencies=tuple((value, count) for value, count in data["latencies"]),
            cost=Spread(**data["cost"]),
            scores={name: Spread(**one) for name, one in data["scores"].items()},
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """How many looks have decided, and at how many calls the last of them did."""

    looks: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class RailReport:
    """One guardrail with both sides. `low` and `high` bound the change: a ratio of after to before where
    `is_ratio`, else a difference. `limit` is the change that is allowed, `ceiling` the value."""

    key: str
    unit: str
    is_ratio: bool
    state: str
    sentence: str
    method: str = ""
    before: float | None = None
    after: float | None = None
    before_count: int = 0
    after_count: int = 0
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one look said."""

    rails: tuple[RailReport, ...]
    taken: Taken
    decided: bool
    before_calls: int
    after_calls: int
    needed_calls: int

    @property
    def breached(self) -> tuple[RailReport, ...]:
        """The guardrails that were breached."""
        return tuple(one for one in self.rails if one.state == RailState.BREACHED)

    @property
    def measured(self) -> int:
        """Of how many guardrails something could be said."""
        return sum(one.state in (RailState.OK, RailState.BREACHED) for one in self.rails)

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` of it gives the same."""
        return asdict(self) | {"rails": [asdict(one) for one in self.rails]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """What `as_dict` wrote."""
        rails = tuple(RailReport(**one) for one in data["rails"])
        return cls(**{**data, "rails": rails, "taken": Taken(**data["taken"])})


@dataclass(frozen=True, slots=True)
class _Look:
    """What all guardrails of one look share: what each may spend now and in all, and whether it decides."""

    now: float
    whole: float
    decides: bool
    minimum: int


def judge(
    config: GuardrailConfig, before: Side | None, after: Side, *, taken: Taken = Taken(), is_last: bool = False
) -> Report:
    """What the figures say. `before` None: nothing was live before, so only ceilings hold. `taken` is that of the
    report before this one; the look is the last one of the watch with `is_last`."""
    needed = next_decision(config, taken)
    decides = after.calls >= needed or (is_last and after.calls >= config.minimum_calls)
    whole = (1 - config.confidence) / config.count
    look = _Look(spent_at(taken.looks + 1, whole), whole, decides, config.minimum_calls)
    rails = []
    if config.error_rate is not None:
        rails.append(_errors(config.error_rate, before, after, look))
    if config.latency_p99 is not None:
        rails.append(_latency(config.latency_p99, before, after, look))
    if config.cost_per_call is not None:
        rails.append(_cost(config.cost_per_call, before, after, look))
    rails += [_score(one, before, after, look) for one in config.scores]
    if decides:
        taken = Taken(taken.looks + 1, after.calls)
    return Report(
        rails=tuple(rails),
        taken=taken,
        decided=decides,
        before_calls=0 if before is None else before.calls,
        after_calls=after.calls,
        needed_calls=next_decision(config, taken),
    )


def next_decision(config: GuardrailConfig, taken: Taken) -> int:
    """At how many calls the next look decides."""
    return max(config.minimum_calls, math.ceil(taken.calls * GROWTH) if taken.looks else 0)


@dataclass(frozen=True, slots=True)
class _Figure:
    """What is measured of one guardrail, before it is judged."""

    key: str
    unit: str
    is_ratio: bool
    method: str
    before: float | None
    after: float | None
    before_count: int
    after_count: int
    limit: float | None
    ceiling: float | None
    fewest_before: int
    fewest_after: int


def _errors(rail: ErrorRail, before: Side | None, after: Side, look: _Look) -> RailReport:
    was = before or Side()
    figure = _Figure(
        "error_rate", "share", False, "Newcombe's hybrid of exact bounds",
        was.errors / was.calls if was.calls else None, after.errors / after.calls if after.calls else None,
        was.calls, after.calls, rail.most_rise, rail.most, look.minimum, look.minimum,
    )  # fmt: skip
    change: Bounds = (None, None)
    if was.calls and after.calls:
        change = share_rise((was.errors, was.calls), (after.errors, after.calls), look.now)
    least = share_bounds(after.errors, after.calls, look.now)[0] if after.calls else None
    return _settled(figure, change, least, look)


def _latency(rail: LatencyRail, before: Side | None, after: Side, look: _Look) -> RailReport:
    was = before or Side()
    counts = sum(count for _, count in was.latencies), sum(count for _, count in after.latencies)
    # Both sides are bounded on their own, so each gets half; the one before is bounded once.
    once = look.whole / 2
    figure = _Figure(
        "latency_p99", "ms", True, "order statistics of both P99",
        quantile(was.latencies, P99), quantile(after.latencies, P99), *counts,
        rail.most_ratio, rail.most_ms, max(look.minimum, calls_for(P99, once)), look.minimum,
    )  # fmt: skip
    low_was, high_was = quantile_bounds(was.latencies, P99, once) if counts[0] else (None, None)
    low_now, high_now = quantile_bounds(after.latencies, P99, look.now / 2) if counts[1] else (None, None)
    change = (
        low_now / high_was if low_now is not None and high_was else None,
        high_now / low_was if high_now is not None and low_was else None,
    )
    return _settled(figure, change, low_now, look)


def _cost(rail: CostRail, before: Side | None, after: Side, look: _Look) -> RailReport:
    was = Spread() if before is None else before.cost
    figure = _Figure(
        "cost_per_call", "usd", True, "Fieller's bounds of the ratio of means",
        was.mean if was.count else None, after.cost.mean if after.cost.count else None, was.count, after.cost.count,
        rail.most_ratio, None if rail.most_usd is None else float(rail.most_usd), look.minimum, look.minimum,
    )  # fmt: skip
    enough = was.count > 1 and after.cost.count > 1
    change = mean_ratio(was, after.cost, look.now) if enough else (None, None)
    least = mean_bounds(after.cost, look.now)[0] if after.cost.count > 1 else None
    return _settled(figure, change, least, look)


def _score(rail: ScoreRail, before: Side | None, after: Side, look: _Look) -> RailReport:
    """A drop is turned into a rise of what is missing, so that for all guardrails more is worse."""
    was = (Spread() if before is None else before.scores.get(rail.name)) or Spread()
    now = after.scores.get(rail.name) or Spread()
    fewest = min(FEWEST_SCORES, look.minimum)
    figure = _Figure(
        f"score:{rail.name}", "score", False, "Welch's bounds of the difference of means",
        was.mean if was.count else None, now.mean if now.count else None, was.count, now.count,
        rail.most_drop, None, fewest, fewest,
    )  # fmt: skip
    change: Bounds = (None, None)
    if was.count > 1 and now.count > 1:
        change = mean_change(was, now, look.now)
    return _settled(figure, change, None, look)


def _settled(figure: _Figure, change: Bounds, least: float | None, look: _Look) -> RailReport:
    """The guardrail's state from its bounds. `least` is the lower bound of the value after, for the ceiling."""
    low, high = change
    enough = figure.after_count >= figure.fewest_after
    compared = enough and figure.before_count >= figure.fewest_before and figure.limit is not None and low is not None
    over_limit = compared and _is_over(figure, low, high)
    over_ceiling = enough and figure.ceiling is not None and least is not None and least > figure.ceiling
    if not figure.after_count or (figure.ceiling is None and not figure.before_count):
        state = RailState.NOT_MEASURED
    elif not compared and (figure.ceiling is None or not enough):
        state = RailState.TOO_FEW
    elif look.decides and (over_limit or over_ceiling):
        state = RailState.BREACHED
    else:
        state = RailState.OK
    report = RailReport(
        key=figure.key,
        unit=figure.unit,
        is_ratio=figure.is_ratio,
        state=state.value,
        sentence="",
        method=figure.method,
        before=figure.before,
        after=figure.after,
        before_count=figure.before_count,
        after_count=figure.after_count,
        low=low if compared else None,
        high=high if compared else None,
        limit=figure.limit,
        ceiling=figure.ceiling,
    )
    said = words.Said(over_limit, over_ceiling, least, figure.fewest_before, figure.fewest_after)
    return RailReport(**{**asdict(report), "sentence": words.sentence(report, said)})


def _is_over(figure: _Figure, low: float | None, high: float | None) -> bool:
    """Whether the whole interval lies beyond what is allowed."""
    assert figure.limit is not None
    if figure.unit == "score":
        return high is not None and high < -figure.limit
    return low is not None and low > figure.limit

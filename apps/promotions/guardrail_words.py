"""Guardrails in words: their names, their numbers with units, and a sentence for what a look found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

TITLES = {"error_rate": "Error rate", "latency_p99": "P99 latency", "cost_per_call": "Cost per call"}
NOUNS = {"error_rate": "calls", "latency_p99": "timed calls", "cost_per_call": "priced calls"}


class Measured(Protocol):
    """What of a guardrail's report the sentences need."""

    @property
    def key(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def is_ratio(self) -> bool: ...
    @property
    def state(self) -> str: ...
    @property
    def before(self) -> float | None: ...
    @property
    def after(self) -> float | None: ...
    @property
    def before_count(self) -> int: ...
    @property
    def after_count(self) -> int: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def limit(self) -> float | None: ...
    @property
    def ceiling(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What the sentence is about: over the allowed change, over the ceiling (by its lower bound), and how many values
    either side needs."""

    over_limit: bool
    over_ceiling: bool
    least: float | None
    fewest_before: int
    fewest_after: int


def title_of(key: str) -> str:
    """The guardrail's name for people."""
    return TITLES.get(key) or f"Score {key.partition(':')[2]}"


def noun_of(key: str) -> str:
    """What its values are counted in."""
    return NOUNS.get(key, "scores")


def value(number: float | None, unit: str) -> str:
    """A value with its unit."""
    if number is None:
        return "unknown"
    if unit == "share":
        return f"{number * 100:.1f} %"
    if unit == "ms":
        return f"{number / 1000:.2f} s" if number >= 1000 else f"{number:.0f} ms"
    if unit == "usd":
        return f"${number:.6f}" if number < 0.01 else f"${number:.4f}"
    return f"{number:.3f}"


def change(number: float | None, unit: str, is_ratio: bool) -> str:
    """A change with its unit: a ratio as times, a share in points."""
    if number is None:
        return "unknown"
    if is_ratio:
        return f"{number:.2f}×"
    return f"{number * 100:+.1f} points" if unit == "share" else f"{number:+.3f}"


def moved(one: Measured) -> str:
    """By how much the value moved; empty where one side is not known."""
    if one.before is None or one.after is None:
        return ""
    if one.is_ratio:
        return change(one.after / one.before, one.unit, True) if one.before else ""
    return change(one.after - one.before, one.unit, False)


def interval(one: Measured) -> str:
    """The bounds of the change; empty where there are none."""
    if one.low is None:
        return ""
    if one.high is None:
        return f"at least {change(one.low, one.unit, one.is_ratio)}"
    return f"{change(one.low, one.unit, one.is_ratio)} to {change(one.high, one.unit, one.is_ratio)}"


def allowed(one: Measured) -> str:
    """What is allowed, in words."""
    parts = []
    if one.limit is not None:
        if one.is_ratio:
            parts.append(f"at most {one.limit:.2f}× of before")
        elif one.unit == "share":
            parts.append(f"a rise of at most {one.limit * 100:g} points")
        else:
            parts.append(f"a drop of at most {one.limit:g}")
    if one.ceiling is not None:
        parts.append(f"at most {value(one.ceiling, one.unit)}")
    return ", and ".join(parts)


def sentence(one: Measured, said: Said) -> str:
    """One guardrail in a sentence."""
    title, noun = title_of(one.key), noun_of(one.key)
    if one.state == "not_measured":
        if not one.after_count:
            return f"No {noun} yet since it went live."
        return f"No {noun} of the version before to compare with."
    if one.state == "too_few":
        return _too_few(one, said, noun)
    if one.state == "breached":
        return _breached(one, said, title)
    held = f"{value(one.after, one.unit)} over {one.after_count:,} {noun}"
    if one.low is not None:
        held += f", {value(one.before, one.unit)} before"
    if said.over_limit or said.over_ceiling:
        return f"{held}. More than is allowed; the next deciding look is close."
    if one.low is None and one.limit is not None:
        return f"{held}. Held against its ceiling alone: the version before has only {one.before_count:,} {noun}."
    return f"{held}."


def _too_few(one: Measured, said: Said, noun: str) -> str:
    if one.after_count < said.fewest_after:
        return f"{one.after_count:,} of {said.fewest_after:,} {noun} that are needed since it went live."
    if one.before_count < said.fewest_before:
        return f"The version before has {one.before_count:,} of {said.fewest_before:,} {noun} that are needed."
    return "The version before varies too much to compare with."


def _breached(one: Measured, said: Said, title: str) -> str:
    if not said.over_limit:
        least, most = value(said.least, one.unit), value(one.ceiling, one.unit)
        return f"{title} is {value(one.after, one.unit)}, at least {least}; at most {most} is allowed."
    moved = f"{title} went from {value(one.before, one.unit)} to {value(one.after, one.unit)}"
    if one.is_ratio:
        return f"{moved}, at least {change(one.low, one.unit, True)} of before; {one.limit:.2f}× is allowed."
    if one.unit == "share":
        assert one.low is not None
        assert one.limit is not None
        return f"{moved}, a rise of at least {one.low * 100:.1f} points; {one.limit * 100:g} are allowed."
    assert one.high is not None
    return f"{moved}, a drop of at least {-one.high:.3f}; {one.limit:g} is allowed."


def summary(*, state: str, measured: int, of: int, calls: int, needed: int, breach: str = "") -> str:
    """The whole watch in a sentence."""
    figures = f"{measured} of {of} guardrails measured, {calls:,} call{'' if calls == 1 else 's'}."
    if state == "breached":
        return f"Breached: {breach}"
    if state == "ended":
        return f"Ended early, because something else went live: {figures}"
    if state == "healthy":
        return f"Healthy to the end: {figures}" if measured else f"Over, and nothing could be told: {figures}"
    if not measured:
        return f"Too early to tell: {calls:,} of {needed:,} calls." if calls < needed else f"Not comparable: {figures}"
    return f"Healthy so far: {figures}"

"""What a list of traces is narrowed by. Pure; pages and the API read it from their parameters, selectors look it up."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, cast

from apps.telemetry.search_words import Search

Operator = Literal["<", "<=", ">", ">=", "=", "!="]
WISH = re.compile(r"\s*(?P<name>[^<>=!]{1,128}?)\s*(?P<operator><=|>=|!=|<|>|=)\s*(?P<value>.{1,128}?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScoreWish:
    """A score that a trace must have: by its name, and by its number or its label."""

    name: str
    operator: Operator
    number: float | None
    label: str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.label}"


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What a trace must have: a span that matches all of it. None means anything; the score and the flag may be on any
    span of the trace. Lengths are whole milliseconds, the least cost is in dollars."""

    environment: str | None = None
    feature: str | None = None
    model: str | None = None
    provider: str | None = None
    status: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    kind: str | None = None
    tool_name: str | None = None
    agent_name: str | None = None
    error_type: str | None = None
    tag: str | None = None
    least_latency_ms: int | None = None
    most_latency_ms: int | None = None
    least_cost_usd: Decimal | None = None
    text: Search | None = None
    score: ScoreWish | None = None
    is_flagged: bool | None = None
    has_session: bool | None = None
    has_user: bool | None = None

    def given(self) -> dict[str, Any]:
        """The fields that narrow."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}

    def without(self, *names: str) -> TraceFilter:
        """The filter with these fields taken out."""
        return replace(self, **dict.fromkeys(names))


FIELDS = tuple(TraceFilter.__dataclass_fields__)
EQUAL_FIELDS = FIELDS[: FIELDS.index("tag")]
"""The fields that are compared with a column of the same name."""


def read_score(text: str | None) -> ScoreWish | None:
    """A wish such as `thumbs<1`, `rating>=4` or `outcome=success`; None for anything else."""
    match = WISH.fullmatch(text or "")
    if match is None:
        return None
    value, operator = match["value"], cast(Operator, match["operator"])
    try:
        number: float | None = float(value)
    except ValueError:
        number = None
    if number is None and operator not in {"=", "!="}:
        return None
    if number is not None and not abs(number) < float("inf"):
        return None
    return ScoreWish(match["name"].replace("\x00", ""), operator, number, value.replace("\x00", ""))


def read_prompt(text: str | None) -> tuple[str | None, str | None]:
    """Name and version of `name@version`; the version is None where none is named."""
    if not text:
        return None, None
    name, at, version = text.rpartition("@")
    return (name, version) if at and name and version else (text, None)

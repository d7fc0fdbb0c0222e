"""Outputs that whoever starts a run brings along, read from JSON with errors by field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.core.errors import DomainError
from apps.evals.types import Json

FIELDS = frozenset(
    {
        *("key", "text", "tool_calls", "steps", "latency_ms", "ttft_ms", "cost_usd", "input_tokens", "output_tokens"),
        *("finish_reason", "model", "repetition"),
    }
)
MOST_CHARACTERS = 1_000_000
MOST_ITEMS = 1_000
MOST_NUMBER = 2**31 - 1
MOST_USD = Decimal(1_000_000)


class BadOutput(DomainError):
    """The value cannot be an output; `details` maps fields to sentences."""

    code, http_status = "invalid", 422
    message = "One or more outputs need a change."

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__()
        self.details = dict(problems)


@dataclass(frozen=True, slots=True)
class Output:
    """What came out for the example of this key. Times are milliseconds; what is not known is None."""

    key: str
    text: str = ""
    tool_calls: tuple[Mapping[str, Json], ...] = ()
    """{"name", "arguments"}, the arguments as values or as JSON text."""
    steps: tuple[Mapping[str, Json], ...] = ()
    latency_ms: int | None = None
    ttft_ms: int | None = None
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str = ""
    model: str = ""
    repetition: int = 0


def output_from_dict(told: Json) -> Output:
    """The output that the JSON object tells. Raises BadOutput with sentences by field; unknown fields are refused."""
    if not isinstance(told, Mapping):
        raise BadOutput({"output": ["An output is an object with `key` and `text`."]})
    problems: dict[str, list[str]] = {
        str(name)[:50]: [f"Unknown field. Known are: {', '.join(sorted(FIELDS))}."] for name in set(told) - FIELDS
    }
    read = _Reader(told, problems)
    output = Output(
        key=read.text("key", 200),
        text=read.text("text", MOST_CHARACTERS),
        tool_calls=read.objects("tool_calls"),
        steps=read.objects("steps"),
        latency_ms=read.number("latency_ms"),
        ttft_ms=read.number("ttft_ms"),
        cost_usd=read.money("cost_usd"),
        input_tokens=read.number("input_tokens"),
        output_tokens=read.number("output_tokens"),
        finish_reason=read.text("finish_reason", 64),
        model=read.text("model", 200),
        repetition=read.number("repetition") or 0,
    )
    if not output.key:
        problems.setdefault("key", []).append("Which example is it for? Give its key.")
    if any(not isinstance(one.get("name"), str) for one in output.tool_calls):
        problems.setdefault("tool_calls", []).append('Each call of a tool is {"name", "arguments"}.')
    if problems:
        raise BadOutput(problems)
    return output


@dataclass(slots=True)
class _Reader:
    told: Mapping[str, Json]
    problems: dict[str, list[str]]

    def _fault(self, name: str, sentence: str) -> None:
        self.problems.setdefault(name, []).append(sentence)

    def text(self, name: str, most: int) -> str:
        value = self.told.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > most:
            self._fault(name, f"This must be text of at most {most} characters.")
            return ""
        return value

    def number(self, name: str) -> int | None:
        value = self.told.get(name)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not 0 <= value <= MOST_NUMBER:
            self._fault(name, "This must be a number that is not negative.")
            return None
        return int(round(value))

    def money(self, name: str) -> Decimal | None:
        value = self.told.get(name)
        if value is None:
            return None
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(-1)
        if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= MOST_USD:
            self._fault(name, "This must be an amount in US dollars that is not negative.")
            return None
        return amount.quantize(Decimal("1e-12"))

    def objects(self, name: str) -> tuple[Mapping[str, Json], ...]:
        value = self.told.get(name)
        if value is None:
            return ()
        is_list = (
            isinstance(value, list) and len(value) <= MOST_ITEMS and all(isinstance(one, Mapping) for one in value)
        )
        if not is_list:
            self._fault(name, f"This must be a list of at most {MOST_ITEMS} objects.")
            return ()
        return tuple(value)

"""Messages of a span that came as log records, put together again. Pure.

OpenTelemetry's GenAI conventions have sent content apart from spans in two ways: one event for each message
(`gen_ai.user.message` and its kin, `gen_ai.choice`), and one event with everything
(`gen_ai.client.inference.operation.details`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.developer.message": "developer",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE = "gen_ai.choice"
WHOLE = ("gen_ai.client.inference.operation.details", "gen_ai.client.inference")


@dataclass(frozen=True)
class LogRecord:
    """One record: what it is called, when it was made, and its body and attributes as values."""

    event_name: str
    at: datetime
    body: Any
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Messages:
    """What was asked and what was answered; None where no record says so."""

    input: list[Any] | None
    output: list[Any] | None


def assemble(records: Iterable[LogRecord]) -> Messages:
    """The messages of the records in the order of their times; records of other kinds are left out."""
    asked: list[Any] = []
    answered: list[tuple[int, Any]] = []
    for record in sorted(records, key=lambda record: record.at):
        name = record.event_name or str(record.attributes.get("event.name", ""))
        if name in ROLES:
            asked.append(_message(_content_of(record), ROLES[name]))
        elif name == CHOICE:
            value = _content_of(record)
            index = value.get("index") if isinstance(value, Mapping) else None
            answered.append((index if isinstance(index, int) else len(answered), _choice(value)))
        elif name.startswith(WHOLE):
            asked += _listed(record, "gen_ai.system_instructions", role="system")
            asked += _listed(record, "gen_ai.input.messages")
            answered += [(len(answered), message) for message in _listed(record, "gen_ai.output.messages")]
    answered.sort(key=lambda choice: choice[0])
    return Messages(asked or None, [message for _index, message in answered] or None)


def _content_of(record: LogRecord) -> Any:
    """The body; some clients put it among the attributes instead."""
    for value in (record.body, record.attributes.get("gen_ai.event.content"), dict(record.attributes)):
        loaded = _loaded(value)
        if loaded not in (None, "", {}):
            return loaded
    return {}


def _loaded(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _message(value: Any, role: str) -> Any:
    if isinstance(value, Mapping):
        return {"role": role, "content": None, **value}
    return {"role": role, "content": value}


def _choice(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _message(value, "assistant")
    inner = value.get("message")
    if isinstance(inner, Mapping):
        return _message(inner, "assistant")
    return _message({"content": inner} if inner is not None else value, "assistant")


def _listed(record: LogRecord, name: str, *, role: str = "") -> list[Any]:
    value = _loaded(record.attributes.get(name))
    if value is None and isinstance(record.body, Mapping):
        value = _loaded(record.body.get(name))
    if value in (None, "", []):
        return []
    if role:
        return [{"role": role, "content": value}]
    return list(value) if isinstance(value, list) else [value]

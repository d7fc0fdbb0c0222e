"""Log records that belong to spans: evaluation results, and messages that a client sends apart from the span. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from apps.telemetry.dialects import converting as to
from apps.telemetry.otlp import OtlpLog
from apps.telemetry.reading import ScoreReading

CHOICE = "gen_ai.choice"
DETAILS = "gen_ai.client.inference.operation.details"
CONTENT_EVENTS = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        CHOICE,
        DETAILS,
    }
)
EVALUATION = "gen_ai.evaluation.result"


class LogReading(msgspec.Struct):
    """Content of a span that came as a log record. `body` and `attributes` are values as sent, not yet JSON."""

    trace_id: bytes
    span_id: bytes
    time_ns: int
    digest: bytes
    event_name: str
    body: Any
    attributes: dict[str, Any]


def read(log: OtlpLog) -> LogReading | ScoreReading | None:
    """A score, or content of a span; None for any other log record, and for one that belongs to no span."""
    name = log.event_name or to.text(log.attributes.get("event.name")) or ""
    if name == EVALUATION:
        return score(log.attributes)
    if name not in CONTENT_EVENTS or not log.trace_id or not log.span_id:
        return None
    return LogReading(
        trace_id=log.trace_id,
        span_id=log.span_id,
        time_ns=log.time_ns,
        digest=log.digest,
        event_name=name,
        body=log.body,
        attributes=log.attributes,
    )


def score(attributes: dict[str, Any]) -> ScoreReading | None:
    """The score of a `gen_ai.evaluation.result`, whether it came as an event or as a log record."""
    name = to.text(attributes.get("gen_ai.evaluation.name"))
    value = to.number(attributes.get("gen_ai.evaluation.score.value"))
    label = to.text(attributes.get("gen_ai.evaluation.score.label"))
    if name is None or (value is None and label is None):
        return None
    comment = to.text(attributes.get("gen_ai.evaluation.explanation"))
    return ScoreReading(name=name, value=value, label=label, comment=comment)


def messages(parts: Iterable[tuple[str, Any, Mapping[str, Any]]]) -> tuple[list[Any] | None, list[Any] | None]:
    """What a span's content records say, in their order, as input and output: lists of messages, or None.

    Each part is an event's name, its body and its attributes, as values. A record of the whole call
    (`...operation.details`) is taken before records of one message each.
    """
    asked: list[Any] = []
    answered: list[Any] = []
    for name, body, attributes in parts:
        if name == DETAILS:
            whole = {**attributes, **(body if isinstance(body, dict) else {})}
            given = to.structured(whole.get("gen_ai.input.messages"))
            system = to.structured(whole.get("gen_ai.system_instructions"))
            said = to.structured(whole.get("gen_ai.output.messages"))
            return (to.with_system(system, given) if system else given), said
        if name == CHOICE:
            answered.append(_choice(body))
        else:
            asked.append(_said(name, body))
    return asked or None, answered or None


def _said(name: str, body: Any) -> dict[str, Any]:
    role = name.removeprefix("gen_ai.").removesuffix(".message")
    if not isinstance(body, dict):
        return {"role": role, "content": body}
    message = {"role": role, **body}
    if "id" in message and role == "tool":
        message["tool_call_id"] = message.pop("id")
    message.setdefault("content", None)
    return message


def _choice(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        return {"role": "assistant", "content": body}
    inner = body.get("message")
    message = {"role": "assistant", **(inner if isinstance(inner, dict) else {"content": inner})}
    for name in ("finish_reason", "tool_calls"):
        if name in body:
            message.setdefault(name, body[name])
    message.setdefault("content", None)
    return message

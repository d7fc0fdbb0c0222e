"""Log records that belong to spans: evaluation results, and messages that a client sends apart from the span. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.telemetry.dialects import converting as to
from apps.telemetry.otlp import OtlpLog
from apps.telemetry.reading import ScoreReading

CONTENT_EVENTS = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.developer.message",
        "gen_ai.choice",
        "gen_ai.client.inference",
        "gen_ai.client.inference.operation.details",
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

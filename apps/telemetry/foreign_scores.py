"""Scores in the words of other products, as ours. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.telemetry.dialects import ids
from apps.telemetry.scoring import Said
from apps.telemetry.wire import Refused

LANGFUSE, OPIK = "langfuse", "opik"
SCORE_EVENT = "score-create"
Read = tuple[Said, str]
"""A score, and its source."""


def langfuse(item: Any) -> Read:
    """A score of `POST /api/public/scores`. Raises Refused."""
    body = _object(item)
    value, comment = body.get("value"), _text(body.get("comment"))
    data_type = str(body.get("dataType") or "").upper()
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise Refused("invalid_value", "value is a number or a text.")
    label = None
    if data_type == "BOOLEAN":
        if value not in (0, 1):
            raise Refused("invalid_value", "A BOOLEAN score is 1 or 0.")
        value = bool(value)
    elif data_type == "TEXT":
        value, comment = None, "\n".join(filter(None, [str(value), comment]))
    elif isinstance(value, str):
        value, label = None, value
    trace, observation = _text(body.get("traceId")), _text(body.get("observationId"))
    said = Said(
        name=_name(body),
        value=value,
        label=label,
        comment=comment,
        trace_id=ids.trace_id(trace) if trace else None,
        span_id=ids.span_id(observation) if observation else None,
        session_id=_text(body.get("sessionId")),
        environment=_text(body.get("environment")),
        score_id=_text(body.get("id")),
        at=_time(body.get("timestamp")),
    )
    return said, LANGFUSE


def langfuse_event(event: Any) -> Read:
    """An event of `POST /api/public/ingestion`. Raises Refused for anything but a score."""
    envelope = _object(event)
    if envelope.get("type") != SCORE_EVENT:
        raise Refused(
            "event_not_taken",
            f"Only {SCORE_EVENT} is taken here. Send spans with the exporter for OpenTelemetry to /v1/traces.",
        )
    said, source = langfuse(envelope.get("body"))
    said.score_id = said.score_id or _text(envelope.get("id"))
    said.at = said.at or _time(envelope.get("timestamp"))
    return said, source


def opik_trace(item: Any) -> Read:
    """A score of a trace, by the trace's UUID. Raises Refused."""
    return _opik(item, is_of_span=False)


def opik_span(item: Any) -> Read:
    """A score of a span, by the span's UUID. Raises Refused."""
    return _opik(item, is_of_span=True)


def _opik(item: Any, *, is_of_span: bool) -> Read:
    body = _object(item)
    target, value = _text(body.get("id")), body.get("value")
    if not target:
        raise Refused("missing_target", "id is that of what is scored.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("invalid_value", "value is a number.")
    said = Said(
        name=_name(body),
        value=value,
        label=_text(body.get("category_name")),
        comment=_text(body.get("reason")),
        trace_id=None if is_of_span else ids.trace_id(target),
        span_id=ids.span_id(target) if is_of_span else None,
        # One score of a name for each thing, which a later one replaces.
        score_id=f"opik {target} {_name(body)}",
    )
    return said, OPIK


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Refused("not_an_object", "A score is a JSON object.")
    return item


def _name(body: dict[str, Any]) -> str:
    if not isinstance(body.get("name"), str):
        raise Refused("missing_name", "The field name is required.")
    return str(body["name"])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> datetime | None:
    """A moment as ISO 8601; without a zone it is UTC, which is how those clients mean it."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

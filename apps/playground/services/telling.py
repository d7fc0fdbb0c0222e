"""An answer as telemetry: one span of source `playground`, masked and priced like any other."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from apps.core.errors import DomainError, NotFound
from apps.playground.case import case_from_dict
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.types import ENVIRONMENT, SOURCE, AnswerState, Origin
from apps.telemetry import wire
from apps.telemetry.selectors import one_trace
from apps.telemetry.services import masking, store
from apps.telemetry.types import Batch, SpanRecord

CLIENT = "playground"
INCOMPLETE = "incomplete"
CANCELLED = "cancelled"


class SpanRefused(DomainError):
    """The span of an answer was not accepted: a fault of ours."""

    code, http_status, message = "span_refused", 500, "The span was refused: {reason}"


def tell(answer: PlaygroundAnswer, *, now: datetime) -> Decimal | None:
    """Store the answer's span; its cost as it was frozen, None when it is not known."""
    record = _record(answer, now)
    batch = Batch(
        project_id=answer.project_id,
        key_id=None,
        client=CLIENT,
        received_at=now,
        received=1,
        spans=[record],
        positions=[0],
        rejected=[],
    )
    masking.mask(batch)
    # After masking: what is stored of the recorded call is masked already.
    record.user_id = _user_of(answer.run)
    try:
        store([batch])
    except (OperationalError, InterfaceError):
        connection.close()  # it may only be an old connection that is dead
        store([batch])
    return record.cost_usd


def _user_of(run: PlaygroundRun) -> str:
    """The user of the recorded call that was run again, so that erasing the user's data finds the copy too."""
    if run.origin != Origin.TRACE:
        return ""
    try:
        return one_trace.get_outline(run.project_id, run.trace_id).said["user_id"]
    except NotFound:
        return ""


def _record(answer: PlaygroundAnswer, now: datetime) -> SpanRecord:
    """The span, read by the rules of the native intake."""
    body = json.dumps({"spans": [_span(answer)]}).encode()
    keep_since = now - timedelta(days=answer.run.project.retention_days)
    records, _positions, rejected = wire.read_spans(
        wire.read_body(body, max_items=1).spans, project_id=answer.project_id, received_at=now, keep_since=keep_since
    )
    if rejected:
        raise SpanRefused(reason=rejected[0].message)
    record = records[0]
    record.source = SOURCE
    return record


def _span(answer: PlaygroundAnswer) -> dict[str, Any]:
    run = answer.run
    assert answer.started_at is not None
    is_version = run.origin == Origin.VERSION and not run.is_edited
    said = {
        "trace_id": answer.trace_id,
        "span_id": answer.span_id,
        "kind": "llm",
        "name": "playground",
        "started_at": answer.started_at.isoformat(),
        "latency_ms": answer.total_ms,
        "ttft_ms": answer.ttft_ms,
        "environment": ENVIRONMENT,
        "provider": answer.provider,
        "request_model": _asked(answer),
        "response_model": answer.response_model,
        "prompt_name": run.prompt_name if run.origin in {Origin.VERSION, Origin.DRAFT} else "",
        "prompt_version": run.prompt_version if is_version else "",
        "finish_reason": answer.finish_reason,
        "streamed": answer.ttft_ms is not None,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cached_input_tokens": answer.cached_input_tokens,
        "reasoning_tokens": answer.reasoning_tokens,
        "input": run.messages,
        "output": _output(answer),
        "attributes": _attributes(answer),
        **_end(answer),
    }
    return {name: value for name, value in said.items() if value not in (None, "")}


def _asked(answer: PlaygroundAnswer) -> str:
    """The model without the connection's name before it."""
    return answer.model.partition("/")[2] if answer.provider and "/" in answer.model else answer.model


def _end(answer: PlaygroundAnswer) -> dict[str, str]:
    """How it ended. An answer that broke off is no success, whatever of it had come."""
    if answer.state == AnswerState.FAILED:
        return {"status": "error", "error_type": answer.error_code, "error_message": answer.error}
    if answer.state == AnswerState.CANCELLED:
        return {"status": "error", "error_type": CANCELLED, "error_message": "Cancelled before the answer was whole."}
    if not answer.is_complete:
        sentence = "The stream ended without its end mark."
        return {"status": "error", "error_type": INCOMPLETE, "error_message": sentence}
    return {"status": "ok"}


def _output(answer: PlaygroundAnswer) -> list[dict[str, Any]] | None:
    if not answer.text and not answer.tool_calls:
        return None
    told: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.tool_calls:
        told["tool_calls"] = [
            {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": one["arguments"]}}
            for one in answer.tool_calls
        ]
    return [told]


def _attributes(answer: PlaygroundAnswer) -> dict[str, Any]:
    """What went along with the messages, under the names that opening the call in the playground reads."""
    content = case_from_dict(answer.run.case).content
    told: dict[str, Any] = {"playground.run": str(answer.run.uuid), "playground.by": answer.run.actor_name}
    if content.parameters:
        told["parameters"] = dict(content.parameters)
    if content.tools:
        told["tools"] = [dict(tool) for tool in content.tools]
    if content.response_schema is not None:
        told["response_schema"] = dict(content.response_schema)
    return told

"""Calls of runs as telemetry: one span of source `eval` for each answer, many of them in one batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from apps.evals.models import EvalRun
from apps.evals.types import Json
from apps.providers.calls import ModelRequest
from apps.telemetry import wire
from apps.telemetry.services import masking, store
from apps.telemetry.types import Batch

SOURCE = "eval"
CLIENT = "evals"
ENVIRONMENT = "evals"
"""Where spans of runs belong unless the run says otherwise: nobody's users see their answers."""
MOST_TOLD = 1_000_000
"""So many characters of what was sent are told to telemetry."""


@dataclass(frozen=True, slots=True)
class Told:
    """A result whose call is over, and what was sent for it. `settled` has the columns of the result."""

    result_id: int
    key: str
    repetition: int
    attempts: int
    settled: Mapping[str, Any]
    request: ModelRequest


def tell(run: EvalRun, told: Sequence[Told], *, model: str, retention_days: int, now: datetime) -> list[int]:
    """Store the spans of calls of this model (as its provider names it), masked and priced like any other; the results
    that are told now. One that was stored before is recognized, so telling again is safe.

    Raises django.db.Error, or Unavailable when nothing may be stored."""
    body = json.dumps({"spans": [_span(run, model, one) for one in told]}, default=str).encode("utf-8", "replace")
    records, positions, rejected = wire.read_spans(
        wire.read_body(body, max_items=len(told)).spans,
        project_id=run.project_id,
        received_at=now,
        keep_since=now - timedelta(days=retention_days),
    )
    for record in records:
        record.source = SOURCE
    batch = Batch(
        project_id=run.project_id,
        key_id=None,
        client=CLIENT,
        received_at=now,
        received=len(told),
        spans=records,
        positions=positions,
        rejected=rejected,
    )
    masking.mask(batch)
    try:
        store([batch])
    except (OperationalError, InterfaceError):
        connection.close()  # it may only be an old connection that is dead
        store([batch])
    return [told[place].result_id for place in positions]


def _span(run: EvalRun, model: str, told: Told) -> dict[str, Any]:
    held = told.settled
    said = {
        "trace_id": held["trace_id"],
        "span_id": held["span_id"],
        "kind": "llm",
        "name": "eval",
        "started_at": held["started_at"],
        "latency_ms": held["latency_ms"],
        "ttft_ms": held["ttft_ms"],
        "feature": run.feature,
        "environment": run.environment or ENVIRONMENT,
        "provider": run.provider,
        "request_model": model,
        "response_model": held["response_model"],
        "prompt_name": run.prompt_name,
        "prompt_version": "" if run.version_id is None else run.prompt_version,
        "finish_reason": held["finish_reason"],
        "input_tokens": held["input_tokens"],
        "output_tokens": held["output_tokens"],
        "cached_input_tokens": held["cached_input_tokens"],
        "cache_write_tokens": held["cache_write_tokens"],
        "reasoning_tokens": held["reasoning_tokens"],
        "attempts": max(1, told.attempts),
        "input": _input(told.request),
        "output": _output(held),
        "attributes": _attributes(run, told),
        **_end(held),
    }
    return {name: value for name, value in said.items() if value not in (None, "")}


def _input(request: ModelRequest) -> Any:
    size = sum(len(str(message.get("content", ""))) for message in request.messages)
    return list(request.messages) if size <= MOST_TOLD else f"{size:,} characters, not kept"


def _end(held: Mapping[str, Any]) -> dict[str, str]:
    if held["state"] == "failed":
        return {"status": "error", "error_type": held["error_code"], "error_message": held["error"][:2000]}
    return {"status": "ok"}


def _output(held: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if not held["output"] and not held["tool_calls"]:
        return None
    told: dict[str, Any] = {"role": "assistant", "content": held["output"] or None}
    if held["tool_calls"]:
        told["tool_calls"] = [
            {
                "id": one.get("id", ""),
                "type": "function",
                "function": {"name": one["name"], "arguments": _as_text(one.get("arguments"))},
            }
            for one in held["tool_calls"]
        ]
    return [told]


def _as_text(arguments: Json) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _attributes(run: EvalRun, told: Told) -> dict[str, Any]:
    said: dict[str, Any] = {
        "eval.run": str(run.uuid),
        "eval.set": run.eval_set.slug,
        "eval.example": told.key,
        "eval.repetition": told.repetition,
    }
    if told.request.parameters:
        said["parameters"] = dict(told.request.parameters)
    if told.request.tools:
        said["tools"] = [dict(tool) for tool in told.request.tools]
    if told.request.response_schema is not None:
        said["response_schema"] = dict(told.request.response_schema)
    return said

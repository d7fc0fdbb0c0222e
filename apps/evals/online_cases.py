"""A recorded call as a case for scorers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.evals.types import Case
from apps.playground import recorded
from apps.playground.case import literal_messages
from apps.telemetry.masking import MASKED
from apps.telemetry.selectors.spans import SpanView

ERASED = "erased"
"""The flag of a span whose content was erased."""


def why_unscorable(span: SpanView | None) -> str:
    """Why the call cannot be scored at all, a key of `online.REASONS`; empty when it can."""
    if span is None:
        return "gone"
    if ERASED in span.flags:
        return "erased"
    if MASKED in span.flags:
        return "masked"
    if span.output in (None, "", [], {}):
        return "call_failed" if span.status == "error" else "no_output"
    return ""


def case_of(span: SpanView) -> Case:
    """The call's messages, documents and answer. Calls of tools are those of the answer."""
    asked = _read(span, span.input)
    answered = _read(span, span.output)
    texts = [str(one["content"]) for one in answered if isinstance(one.get("content"), str) and one["content"]]
    calls = [call for one in answered for call in one.get("tool_calls") or [] if isinstance(call, Mapping)]
    documents = span.documents if isinstance(span.documents, list) else []
    return Case(
        messages=tuple(asked),
        context=tuple(one for one in documents if isinstance(one, Mapping)),
        output="\n".join(texts),
        tool_calls=tuple(_call(one) for one in calls),
        finish_reason=span.finish_reason or None,
        latency_ms=span.latency_ms,
        ttft_ms=span.ttft_ms,
        cost_usd=None if span.cost_usd is None else Decimal(span.cost_usd),
    )


def _read(span: SpanView, content: Any) -> list[dict[str, Any]]:
    found = recorded.read(
        input_=content,
        attributes={},
        request_model=span.request_model,
        response_model=span.response_model,
        provider=span.provider,
    )
    return literal_messages(found.case)


def _call(told: Mapping[str, Any]) -> dict[str, Any]:
    function = told.get("function")
    named = function if isinstance(function, Mapping) else told
    return {"name": str(named.get("name", "")), "arguments": recorded_arguments(named.get("arguments"))}


def recorded_arguments(given: Any) -> Any:
    """Arguments as values where they are JSON, else as the text that was written."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        return given

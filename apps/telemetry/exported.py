"""Spans as they leave: the fields of an export, and taking an exported line back as if it came from its client. Pure.

A line of an export has the names of the native span and, beside them, what was worked out here. It carries a mark, by
which the intake knows that it does not come from a client: what was worked out is then left to be worked out again, so
that sending an export makes the same rows.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.telemetry.settling import ASSUMED, INHERITED

MARK = "exported"
FORMAT = 1

SENT = (
    "trace_id", "span_id", "parent_span_id", "kind", "name", "started_at", "ended_at", "latency_ms", "status",
    "error_type", "error_message", "environment", "feature", "service", "user_id", "session_id", "provider",
    "request_model", "response_model", "ttft_ms", "finish_reason", "streamed", "input_tokens", "output_tokens",
    "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", "service_tier",
    "cost_usd",
    "prompt_name", "prompt_version",
    "input", "output", "tool_name", "documents", "agent_name", "response_id", "call_id", "scope", "attempts", "tags",
    "attributes",
)  # fmt: skip
"""The fields of a native span. `cost_usd` is the cost as it counts here."""

WORKED_OUT = ("client_cost_usd", "client_started_at", "received_at", "model", "source", "counted", "flags")
"""What stands beside them; a client cannot send it."""

COMPUTED_FLAGS = frozenset({"clock", "negative_duration", ASSUMED, *INHERITED})
"""Flags that the intake works out again from the same fields. All others say what was done to the content."""


def take_back(span: Any, unknown: dict[str, Any]) -> set[str]:
    """Make a native span of an exported line what its client sent; `unknown` are the fields that are not native ones.

    Returns the flags that the span keeps. What does not carry the mark is not changed.
    """
    if unknown.get(MARK) != FORMAT:
        return set()
    worked_out = {name: unknown.pop(name, None) for name in (MARK, *WORKED_OUT)}
    flags = {flag for flag in worked_out["flags"] or [] if isinstance(flag, str)}
    if "clock" in flags:
        span.started_at = _moment(worked_out["client_started_at"]) or span.started_at
    span.cost_usd = _money(worked_out["client_cost_usd"])
    for flag, fields in INHERITED.items():
        if flag in flags:
            for name in fields:
                setattr(span, name, None)
    if ASSUMED in flags:
        span.environment = None
    return flags - COMPUTED_FLAGS


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _money(text: Any) -> Decimal | None:
    try:
        return Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        return None

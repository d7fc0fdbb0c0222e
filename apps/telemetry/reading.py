"""What a dialect read from a span: our own names for what the client said under its own. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class ScoreReading(msgspec.Struct):
    """A score that came with a span, as an event or among its attributes."""

    name: str
    value: float | None = None
    label: str | None = None
    comment: str | None = None
    score_id: str | None = None
    at: datetime | None = None


class Reading(msgspec.Struct):
    """One span under the names of the native intake; None or empty where the client did not say.

    `input` and `output` are text, or any JSON value (lists of messages above all). `attributes` are those that were
    not understood or are worth keeping beside what was; content that became input, output or documents is not among
    them. `repeats` says that the span only repeats the usage of calls that are reported by spans of their own.
    """

    trace_id: bytes
    span_id: bytes
    name: str
    started_at: datetime
    digest: bytes
    parent_span_id: bytes | None = None
    kind: str = "chain"
    ended_at: datetime | None = None
    latency_ms: float | None = None
    status: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    environment: str | None = None
    feature: str | None = None
    service: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    call_id: str | None = None
    scope: str | None = None
    attempts: int | None = None
    ttft_ms: float | None = None
    finish_reason: str | None = None
    streamed: bool | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str | None = None
    cost_usd: Decimal | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    input: Any = None
    output: Any = None
    tool_name: str | None = None
    documents: list[dict[str, Any]] | None = None
    agent_name: str | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] = {}
    repeats: bool = False
    scores: list[ScoreReading] = []
    flags: set[str] = set()

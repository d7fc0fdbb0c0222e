"""What passes between the modules of telemetry: one span as we keep it, its payload, and what became of a batch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

CALL_KINDS = frozenset({"llm", "embedding"})
"""The kinds of span that cost money; a span of one of them is a call."""

KINDS = ("llm", "embedding", "retriever", "reranker", "tool", "agent", "chain")
DEFAULT_ENVIRONMENT = "production"
DEFAULT_SOURCE = "service"
REPEATS = "repeats_usage"
"""The flag of a span that only repeats the usage of calls which have spans of their own; it is never counted."""


class Payload(msgspec.Struct, gc=False):
    """The bulky part of a span, kept apart from the narrow row. Texts are as sent, or JSON when not sent as text.

    `documents` and `attributes` are JSON with sorted names, so that equal values are equal texts.
    """

    input: str | None = None
    output: str | None = None
    input_is_json: bool = False
    output_is_json: bool = False
    documents: str | None = None
    attributes: str | None = None

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to keep."""
        return self.input is None and self.output is None and self.documents is None and self.attributes is None


class SpanRecord(msgspec.Struct, gc=False):
    """One span, validated and cleaned. Empty text means that the client did not say; a number not said is None.

    `started_at` is the client's start, except for a span whose clock cannot be right: that one is kept under the time
    it was received, with the client's own start in `client_started_at` in every case.
    Tokens: `input_tokens` includes cached ones, `output_tokens` reasoning ones, `cache_write_tokens` those that
    are kept for an hour. Lengths are ms. `service_tier` is what the provider answered, such as batch.
    `response_id` is the provider's id of its answer, `call_id` the sending client's own id of the call, `scope` the
    instrumentation that made the span: together they tell two reports of one call by different clients.
    `attempts` is how often the provider was asked within the span: more than once where a client tried again.
    """

    project_id: int
    trace_id: bytes
    span_id: bytes
    client_started_at: datetime
    started_at: datetime
    received_at: datetime
    kind: str
    name: str
    status: str
    counted: bool
    digest: bytes
    parent_span_id: bytes | None = None
    ended_at: datetime | None = None
    latency_ms: int | None = None
    ttft_ms: int | None = None
    error_type: str = ""
    error_message: str = ""
    environment: str = DEFAULT_ENVIRONMENT
    feature: str = ""
    service: str = ""
    user_id: str = ""
    session_id: str = ""
    provider: str = ""
    model: str = ""
    request_model: str = ""
    response_model: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    source: str = DEFAULT_SOURCE
    finish_reason: str = ""
    streamed: bool | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str = ""
    cost_usd: Decimal | None = None
    client_cost_usd: Decimal | None = None
    price_id: int | None = None
    tool_name: str = ""
    agent_name: str = ""
    response_id: str = ""
    call_id: str = ""
    scope: str = ""
    attempts: int = 1
    tags: list[str] = []
    flags: list[str] = []
    payload: Payload | None = None

    @property
    def key(self) -> tuple[int, bytes, bytes, datetime]:
        """What makes two reports speak of the same span."""
        return self.project_id, self.trace_id, self.span_id, self.client_started_at


SPAN_COLUMNS = tuple(name for name in SpanRecord.__struct_fields__ if name != "payload")
"""The columns of the narrow row, named as the fields of SpanRecord."""

PAYLOAD_COLUMNS = Payload.__struct_fields__


class Rejection(msgspec.Struct, frozen=True):
    """One item that was not stored, and why. `index` counts from 0 within its list of the request."""

    index: int
    code: str
    message: str
    list_name: str = "spans"
    sample: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The rejection as the API writes it."""
        return {"index": self.index, "code": self.code, "message": self.message}


class Outcome(msgspec.Struct):
    """What became of the items of one request; the four counts and the rejections add up to what was received."""

    stored: int = 0
    updated: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = []


class LogPart(msgspec.Struct, gc=False):
    """Content of a span that a client sent apart from it, as a log record. `body` and `attributes` are JSON.

    `at` is the record's time, or the time it was received when that cannot be right.
    """

    project_id: int
    trace_id: bytes
    span_id: bytes
    at: datetime
    digest: bytes
    event_name: str
    body: str | None = None
    attributes: str | None = None


class Batch(msgspec.Struct):
    """The items of one request, ready to be stored, with those already refused."""

    project_id: int
    key_id: int | None
    client: str
    received_at: datetime
    received: int
    spans: list[SpanRecord]
    positions: list[int]
    rejected: list[Rejection]
    scores: list[Any] = []
    """What the scores of the request became, ready to be stored (`apps.telemetry.scoring.ScoreRecord`)."""
    logs: list[LogPart] = []

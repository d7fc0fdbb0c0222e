"""OTLP bodies, protobuf or JSON, as plain spans and log records. Pure; nothing here knows what an LLM is."""

from __future__ import annotations

from typing import Any

import msgspec


class OtlpEvent(msgspec.Struct, gc=False):
    """Something that happened during a span; the time is nanoseconds since 1970."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


class OtlpSpan(msgspec.Struct):
    """One span as it was sent. Attribute values are text, whole numbers, floats, booleans, lists, dictionaries or None;
    bytes are base64 text. Times are nanoseconds since 1970, 0 when absent. `status_code` is 0 unset, 1 ok, 2 error."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    name: str
    start_ns: int
    end_ns: int
    status_code: int
    status_message: str
    attributes: dict[str, Any]
    events: list[OtlpEvent]
    scope: str
    scope_version: str
    resource: dict[str, Any]
    digest: bytes
    """Of everything that was sent of this span, whichever encoding carried it."""
    flags: set[str]
    """What decoding had to change: `truncated`, `text_replaced`, `number_replaced`."""


class OtlpLog(msgspec.Struct):
    """One log record. `event_name` is empty where the client named none; ids are None outside any span."""

    trace_id: bytes | None
    span_id: bytes | None
    time_ns: int
    event_name: str
    body: Any
    attributes: dict[str, Any]
    scope: str
    resource: dict[str, Any]
    digest: bytes
    flags: set[str]

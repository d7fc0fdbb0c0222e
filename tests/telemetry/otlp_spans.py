"""OTLP spans as the decoder makes them, for tests of what reads them."""

from __future__ import annotations

from typing import Any

from apps.telemetry.otlp import OtlpEvent, OtlpLog, OtlpSpan

START = 1_795_421_556_000_000_000
"""2026-11-23, in nanoseconds."""


def make_otlp_span(attributes: dict[str, Any] | None = None, **changes: Any) -> OtlpSpan:
    """A span of one second with these attributes."""
    return OtlpSpan(
        **{
            "trace_id": b"t" * 16,
            "span_id": b"s" * 8,
            "parent_span_id": None,
            "name": "a span",
            "start_ns": START,
            "end_ns": START + 1_000_000_000,
            "status_code": 0,
            "status_message": "",
            "attributes": attributes or {},
            "events": [],
            "scope": "shop.app",
            "scope_version": "1",
            "resource": {},
            "digest": b"d" * 16,
            "flags": set(),
        }
        | changes
    )


def make_event(name: str, after_ms: float = 0, **attributes: Any) -> OtlpEvent:
    """An event so long after the start of the span; `__` in the name of an attribute is a dot."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return OtlpEvent(name, START + int(after_ms * 1_000_000), named)


def make_log(event_name: str, attributes: dict[str, Any] | None = None, **changes: Any) -> OtlpLog:
    """A log record of the span that `make_otlp_span` makes."""
    return OtlpLog(
        **{
            "trace_id": b"t" * 16,
            "span_id": b"s" * 8,
            "time_ns": START,
            "event_name": event_name,
            "body": None,
            "attributes": attributes or {},
            "scope": "shop.app",
            "resource": {},
            "digest": b"l" * 16,
            "flags": set(),
        }
        | changes
    )

"""OTLP bodies, protobuf or JSON, as plain spans and log records. Pure; nothing here knows what an LLM is.

Both encodings end in the same functions (`spans`), so that one request gives the same spans however it was encoded.
What is wrong with one span is said of that span; its neighbors are read.
"""

from __future__ import annotations

from typing import Literal

from apps.telemetry.otlp import json_form, protobuf_form
from apps.telemetry.otlp.spans import (
    MAX_ITEMS,
    MAX_SPANS,
    OtlpEvent,
    OtlpLog,
    OtlpSpan,
    TooManyItems,
    Undecodable,
)
from apps.telemetry.types import Rejection

__all__ = [
    "MAX_ITEMS",
    "MAX_SPANS",
    "Encoding",
    "OtlpEvent",
    "OtlpLog",
    "OtlpSpan",
    "TooManyItems",
    "Undecodable",
    "acknowledge_metrics",
    "read_logs",
    "read_traces",
]

Encoding = Literal["protobuf", "json"]


def read_traces(body: bytes, encoding: Encoding) -> tuple[list[OtlpSpan], list[Rejection]]:
    """The spans of an ExportTraceServiceRequest, and those that cannot be read, with their index in the request.

    Indexes count through all resources and scopes; the spans come in that order, those rejected left out. Raises
    Undecodable when the body as a whole cannot be read, and TooManyItems for more than `MAX_ITEMS` spans.
    """
    return json_form.read_traces(body) if encoding == "json" else protobuf_form.read_traces(body)


def read_logs(body: bytes, encoding: Encoding) -> list[OtlpLog]:
    """The records of an ExportLogsServiceRequest. Raises Undecodable or TooManyItems."""
    return json_form.read_logs(body) if encoding == "json" else protobuf_form.read_logs(body)


def acknowledge_metrics(body: bytes, encoding: Encoding) -> None:
    """Look whether the body is an ExportMetricsServiceRequest, and no further. Raises Undecodable if it is not."""
    if encoding == "json":
        json_form.acknowledge_metrics(body)
    else:
        protobuf_form.acknowledge_metrics(body)

"""OTLP requests as the official protobuf messages make them, in either encoding."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["ExportLogsServiceRequest", "ExportMetricsServiceRequest", "ExportTraceServiceRequest"]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MEDIA_TYPES = {"protobuf": PROTOBUF, "json": JSON}
ENCODINGS = ("protobuf", "json")
IDS = ("traceId", "spanId", "parentSpanId")

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 96,
}


def any_value(value: Any) -> AnyValue:
    """A value as OTLP writes it."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    made = AnyValue()
    if isinstance(value, str):
        made.string_value = value
    elif isinstance(value, list):
        made.array_value.SetInParent()
        made.array_value.values.extend(any_value(item) for item in value)
    else:
        made.kvlist_value.SetInParent()
        made.kvlist_value.values.extend(pairs(value))
    return made


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP writes them."""
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def make_span(attributes: Mapping[str, Any] = CHAT, **changes: Any) -> Span:
    """A span with fresh ids that began just now."""
    now = time.time_ns()
    fields: dict[str, Any] = {
        "trace_id": secrets.token_bytes(16),
        "span_id": secrets.token_bytes(8),
        "name": "chat gpt-4o-mini",
        "start_time_unix_nano": now - 1_200_000_000,
        "end_time_unix_nano": now,
    }
    return Span(attributes=pairs(attributes), **(fields | changes))


def traces(
    *spans: Span, resource: Mapping[str, Any] = {"service.name": "shop"}, scope: str = "tests"
) -> ExportTraceServiceRequest:
    """A request with these spans of one scope."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(pairs(resource))
    of_scope = group.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = scope, "1.0"
    of_scope.spans.extend(spans)
    return request


def logs(*records: LogRecord) -> ExportLogsServiceRequest:
    """A request with these records of one scope."""
    request = ExportLogsServiceRequest()
    of_scope = request.resource_logs.add().scope_logs.add()
    of_scope.scope.name = "tests"
    of_scope.log_records.extend(records)
    return request


def make_log(attributes: Mapping[str, Any], **changes: Any) -> LogRecord:
    """A log record of just now."""
    return LogRecord(time_unix_nano=time.time_ns(), attributes=pairs(attributes), **changes)


def encoded(request: Message, encoding: str, **more: Any) -> bytes:
    """The body of the request in this encoding."""
    return request.SerializeToString() if encoding == "protobuf" else as_json(request, **more)


def as_json(request: Message, *, numbers_as_text: bool = True, upper: bool = False) -> bytes:
    """The request in OTLP/JSON: as protobuf's JSON, but with hexadecimal ids and enumerations as numbers."""
    data = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_otlp(data, numbers_as_text, upper)).encode()


def _otlp(value: Any, numbers_as_text: bool, upper: bool, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _otlp(item, numbers_as_text, upper, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_otlp(item, numbers_as_text, upper) for item in value]
    if key in IDS:
        import base64

        digits = base64.b64decode(value).hex()
        return digits.upper() if upper else digits
    if not numbers_as_text and isinstance(value, str) and (key == "intValue" or key.endswith("UnixNano")):
        return int(value)
    return value

"""OTLP in protobuf.

The messages are those of the official package, but for one thing: what is repeated is declared as bytes, and decoded
when its turn comes. A span that cannot be read then spoils no other, a body of ten million bytes cannot become five
million objects, and an attribute that was seen a moment ago (most are the same from span to span) is not decoded again.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from apps.telemetry.otlp.spans import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_EVENTS,
    MAX_SPANS,
    Origin,
    OtlpEvent,
    OtlpLog,
    OtlpSpan,
    Undecodable,
    Unreadable,
    finish_log,
    finish_span,
    finite,
    origin_of,
    refuse_attack,
    rejected_surplus,
    text_of_bytes,
    unreadable_at,
)
from apps.telemetry.types import Rejection

FILES = (
    common_pb2,
    resource_pb2,
    trace_pb2,
    logs_pb2,
    metrics_pb2,
    trace_service_pb2,
    logs_service_pb2,
    metrics_service_pb2,
)
LATER = frozenset(
    {
        "ExportTraceServiceRequest.resource_spans",
        "ResourceSpans.scope_spans",
        "ScopeSpans.spans",
        "Span.attributes",
        "Span.events",
        "Span.links",
        "Event.attributes",
        "ExportLogsServiceRequest.resource_logs",
        "ResourceLogs.scope_logs",
        "ScopeLogs.log_records",
        "LogRecord.attributes",
        "ExportMetricsServiceRequest.resource_metrics",
        "ResourceMetrics.scope_metrics",
        "ScopeMetrics.metrics",
        "Resource.attributes",
        "Resource.entity_refs",
        "InstrumentationScope.attributes",
    }
)
"""The fields that are declared as bytes, by the names of message and field."""


def _messages() -> dict[str, type[Message]]:
    """The classes of the official messages by name, with the fields of `LATER` as bytes."""
    pool = descriptor_pool.DescriptorPool()
    for module in FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            _declare_later(message)
        pool.Add(file)
    found = message_factory.GetMessageClassesForFiles([module.DESCRIPTOR.name for module in FILES], pool)
    return {name.rpartition(".")[2]: message for name, message in found.items()}


def _declare_later(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if f"{message.name}.{field.name}" in LATER:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
    for nested in message.nested_type:
        _declare_later(nested)


MESSAGES = _messages()
_trace_request: Any = MESSAGES["ExportTraceServiceRequest"]
_resource_spans: Any = MESSAGES["ResourceSpans"]
_scope_spans: Any = MESSAGES["ScopeSpans"]
_span: Any = MESSAGES["Span"]
_event: Any = MESSAGES["Span"].Event
_logs_request: Any = MESSAGES["ExportLogsServiceRequest"]
_resource_logs: Any = MESSAGES["ResourceLogs"]
_scope_logs: Any = MESSAGES["ScopeLogs"]
_log_record: Any = MESSAGES["LogRecord"]
_metrics_request: Any = MESSAGES["ExportMetricsServiceRequest"]
_resource_metrics: Any = MESSAGES["ResourceMetrics"]
_scope_metrics: Any = MESSAGES["ScopeMetrics"]
_key_value: Any = MESSAGES["KeyValue"]


def read_traces(body: bytes) -> tuple[list[OtlpSpan], list[Rejection]]:
    """As `apps.telemetry.otlp.read_traces`."""
    groups = _span_groups(body)
    total = sum(len(raws) for _origin, raws in groups)
    refuse_attack(total)
    spans: list[OtlpSpan] = []
    rejected: list[Rejection] = []
    index = 0
    for origin, raws in groups:
        for raw in raws[: max(MAX_SPANS - index, 0)]:
            try:
                spans.append(finish_span(_read_span(raw), origin))
            except Unreadable as reason:
                rejected.append(unreadable_at(index, reason, raw[:600].decode("latin-1")))
            index += 1
    return spans, rejected + rejected_surplus(total)


def _span_groups(body: bytes) -> list[tuple[Origin, Any]]:
    """The spans of each scope, still encoded, with what they have in common."""
    try:
        groups = []
        for raw_resource in _few(_trace_request.FromString(body).resource_spans):
            of_resource = _resource_spans.FromString(raw_resource)
            flags: set[str] = set()
            resource = _attributes(of_resource.resource.attributes, flags)
            for raw_scope in _few(of_resource.scope_spans):
                of_scope = _scope_spans.FromString(raw_scope)
                scope = of_scope.scope
                groups.append((origin_of(scope.name, scope.version, resource, set(flags)), of_scope.spans))
                refuse_attack(len(groups))
    except DecodeError as error:
        raise Undecodable("The body is not an ExportTraceServiceRequest in protobuf.") from error
    return groups


def _few(raws: Any) -> Any:
    """The groups of a request, if they are not too many. Raises TooManyItems."""
    refuse_attack(len(raws))
    return raws


def _read_span(raw: bytes) -> OtlpSpan:
    try:
        span = _span.FromString(raw)
        flags: set[str] = set()
        status = span.status
        events = span.events
        return OtlpSpan(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_span_id or None,
            name=span.name,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            status_code=status.code,
            status_message=status.message,
            attributes=_attributes(span.attributes, flags),
            events=_events(events, flags) if events else [],
            scope="",
            scope_version="",
            resource={},
            digest=b"",
            flags=flags,
        )
    except DecodeError as error:
        raise Unreadable("undecodable", "The span cannot be decoded; its protobuf or its UTF-8 is damaged.") from error


def _events(raws: Any, flags: set[str]) -> list[OtlpEvent]:
    several = list(raws)
    if len(several) > MAX_EVENTS:
        # As finish_span would cut them, but before they are decoded.
        several = several[: MAX_EVENTS // 2] + several[-MAX_EVENTS // 2 :]
        flags.add("truncated")
    events = []
    for raw in several:
        event = _event.FromString(raw)
        events.append(OtlpEvent(event.name, event.time_unix_nano, _attributes(event.attributes, flags)))
    return events


_seen: dict[bytes, tuple[str, Any]] = {}
"""Short attributes of late, decoded. Emptied when it is full."""

MAX_SEEN = 8_192
MAX_SEEN_BYTES = 96


def _attributes(raws: Any, flags: set[str]) -> dict[str, Any]:
    """Attributes by name. Of a name that comes twice the last one counts."""
    if len(raws) > MAX_ATTRIBUTES:
        raws = raws[:MAX_ATTRIBUTES]
        flags.add("truncated")
    found: dict[str, Any] = {}
    seen = _seen.get
    for raw in raws:
        known = seen(raw)
        if known is None:
            known = _attribute(raw, flags)
        found[known[0]] = known[1]
    return found


def _attribute(raw: bytes, flags: set[str]) -> tuple[str, Any]:
    pair = _key_value.FromString(raw)
    message = pair.value
    value: Any = message.string_value or message.int_value
    if not value:
        value = _value(message, flags, MAX_DEPTH)
    read = (pair.key, value)
    if value is None or type(value) is list or type(value) is dict:
        return read  # what had to be changed is to be noted each time, and lists are not to be shared
    if len(raw) <= MAX_SEEN_BYTES:
        if len(_seen) >= MAX_SEEN:
            _seen.clear()
        _seen[raw] = read
    return read


def _value(message: Any, flags: set[str], room: int) -> Any:
    """An AnyValue as plain data; containers nested deeper than `room` are None."""
    kind = message.WhichOneof("value")
    if kind == "double_value":
        return finite(message.double_value, flags)
    if kind == "array_value" or kind == "kvlist_value":
        if not room:
            flags.add("truncated")
            return None
        if kind == "array_value":
            return [_value(item, flags, room - 1) for item in message.array_value.values]
        return {pair.key: _value(pair.value, flags, room - 1) for pair in message.kvlist_value.values}
    if kind == "bytes_value":
        return text_of_bytes(message.bytes_value)
    if kind is None or kind == "string_value_strindex":
        return None
    return getattr(message, kind)


def read_logs(body: bytes) -> list[OtlpLog]:
    """As `apps.telemetry.otlp.read_logs`."""
    logs: list[OtlpLog] = []
    try:
        for raw_resource in _few(_logs_request.FromString(body).resource_logs):
            of_resource = _resource_logs.FromString(raw_resource)
            flags: set[str] = set()
            resource = _attributes(of_resource.resource.attributes, flags)
            for raw_scope in _few(of_resource.scope_logs):
                of_scope = _scope_logs.FromString(raw_scope)
                refuse_attack(len(logs) + len(of_scope.log_records))
                origin = origin_of(of_scope.scope.name, of_scope.scope.version, resource, set(flags))
                logs += [finish_log(_read_log(raw), origin) for raw in of_scope.log_records]
    except DecodeError as error:
        raise Undecodable("The body is not an ExportLogsServiceRequest in protobuf.") from error
    return logs


def _read_log(raw: bytes) -> OtlpLog:
    record = _log_record.FromString(raw)
    flags: set[str] = set()
    return OtlpLog(
        trace_id=record.trace_id or None,
        span_id=record.span_id or None,
        time_ns=record.time_unix_nano or record.observed_time_unix_nano,
        event_name=record.event_name,
        body=_value(record.body, flags, MAX_DEPTH),
        attributes=_attributes(record.attributes, flags),
        scope="",
        resource={},
        digest=b"",
        flags=flags,
    )


def acknowledge_metrics(body: bytes) -> None:
    """As `apps.telemetry.otlp.acknowledge_metrics`; the metrics themselves are not decoded."""
    try:
        for raw_resource in _few(_metrics_request.FromString(body).resource_metrics):
            for raw_scope in _few(_resource_metrics.FromString(raw_resource).scope_metrics):
                _scope_metrics.FromString(raw_scope)
    except DecodeError as error:
        raise Undecodable("The body is not an ExportMetricsServiceRequest in protobuf.") from error

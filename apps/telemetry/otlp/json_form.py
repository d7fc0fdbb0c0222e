"""OTLP in JSON.

Ids are hexadecimal, in either case; 64-bit numbers are JSON numbers or decimal strings; enumerations are numbers or
names; lists may be missing and unknown fields are passed over. Spans are decoded one by one: one that cannot be read
spoils no other. What strict JSON refuses but clients send (NaN, lone surrogates) is read leniently and flagged.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from typing import Any

import msgspec

from apps.telemetry.otlp.spans import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_EVENTS,
    MAX_SPANS,
    Origin,
    OtlpEvent,
    OtlpLog,
    OtlpSpan,
    TooManyItems,
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

MAX_OBJECTS = 1_000_000
"""Objects in a body. A body of 10 MB that is no attack has a third of that."""

MAX_OBJECTS_OF_SPAN = 400_000
Whole = int | str | float | None


class JsonAny(msgspec.Struct, rename="camel", gc=False):
    """AnyValue: one of these, or nothing."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Whole = None
    double_value: Whole = None
    array_value: JsonArray | None = None
    kvlist_value: JsonList | None = None
    bytes_value: str | None = None


class JsonArray(msgspec.Struct, gc=False):
    """ArrayValue."""

    values: list[JsonAny | None] | None = None


class JsonPair(msgspec.Struct, gc=False):
    """KeyValue."""

    key: str | None = ""
    value: JsonAny | None = None


class JsonList(msgspec.Struct, gc=False):
    """KeyValueList."""

    values: list[JsonPair] | None = None


class JsonStatus(msgspec.Struct, gc=False):
    """Status."""

    code: Whole = None
    message: str | None = None


class JsonEvent(msgspec.Struct, rename="camel", gc=False):
    """Span.Event."""

    time_unix_nano: Whole = None
    name: str | None = None
    attributes: list[JsonPair] | None = None


class JsonSpan(msgspec.Struct, rename="camel", gc=False):
    """Span, as far as it is read."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: Whole = None
    end_time_unix_nano: Whole = None
    attributes: list[JsonPair] | None = None
    events: list[JsonEvent] | None = None
    status: JsonStatus | None = None


class JsonLog(msgspec.Struct, rename="camel", gc=False):
    """LogRecord, as far as it is read."""

    trace_id: str | None = None
    span_id: str | None = None
    time_unix_nano: Whole = None
    observed_time_unix_nano: Whole = None
    event_name: str | None = None
    body: JsonAny | None = None
    attributes: list[JsonPair] | None = None


class JsonResource(msgspec.Struct, gc=False):
    """Resource."""

    attributes: list[JsonPair] | None = None


class JsonScope(msgspec.Struct, gc=False):
    """InstrumentationScope."""

    name: str | None = None
    version: str | None = None


Items = list[msgspec.Raw] | None


class JsonScopeSpans(msgspec.Struct, rename="camel"):
    """ScopeSpans, its spans still encoded."""

    scope: JsonScope | None = None
    spans: Items = None


class JsonResourceSpans(msgspec.Struct, rename="camel"):
    """ResourceSpans."""

    resource: JsonResource | None = None
    scope_spans: list[JsonScopeSpans] | None = None


class JsonTraces(msgspec.Struct, rename="camel"):
    """ExportTraceServiceRequest."""

    resource_spans: list[JsonResourceSpans] | None = None


class JsonScopeLogs(msgspec.Struct, rename="camel"):
    """ScopeLogs, its records still encoded."""

    scope: JsonScope | None = None
    log_records: Items = None


class JsonResourceLogs(msgspec.Struct, rename="camel"):
    """ResourceLogs."""

    resource: JsonResource | None = None
    scope_logs: list[JsonScopeLogs] | None = None


class JsonLogs(msgspec.Struct, rename="camel"):
    """ExportLogsServiceRequest."""

    resource_logs: list[JsonResourceLogs] | None = None


class JsonMetrics(msgspec.Struct, rename="camel"):
    """ExportMetricsServiceRequest, as far as it is looked at."""

    resource_metrics: list[dict[str, msgspec.Raw]] | None = None


_traces = msgspec.json.Decoder(JsonTraces)
_logs = msgspec.json.Decoder(JsonLogs)
_metrics = msgspec.json.Decoder(JsonMetrics)
_span = msgspec.json.Decoder(JsonSpan)
_log = msgspec.json.Decoder(JsonLog)
_encode = msgspec.json.Encoder().encode
_DIGITS = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_STATUS = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def read_traces(body: bytes) -> tuple[list[OtlpSpan], list[Rejection]]:
    """As `apps.telemetry.otlp.read_traces`."""
    request = _whole(_traces, body, "ExportTraceServiceRequest")
    groups = list(_span_groups(request))
    total = sum(len(items) for _origin, items in groups)
    refuse_attack(total)
    spans: list[OtlpSpan] = []
    rejected: list[Rejection] = []
    index = 0
    for origin, items in groups:
        for item in items[: max(MAX_SPANS - index, 0)]:
            try:
                spans.append(finish_span(_read_span(_opened(_span, item)), origin))
            except Unreadable as reason:
                rejected.append(unreadable_at(index, reason, bytes(item)[:2_000].decode("utf-8", "replace")))
            index += 1
    return spans, rejected + rejected_surplus(total)


def _span_groups(request: JsonTraces) -> Iterator[tuple[Origin, list[msgspec.Raw]]]:
    for of_resource in request.resource_spans or ():
        for of_scope in of_resource.scope_spans or ():
            yield _origin(of_resource.resource, of_scope.scope), of_scope.spans or []


def _origin(resource: JsonResource | None, scope: JsonScope | None) -> Origin:
    flags: set[str] = set()
    attributes: dict[str, Any] = {}
    if resource is not None:
        try:
            attributes = _attributes(resource.attributes, flags)
        except Unreadable as error:
            raise Undecodable(f"An attribute of a resource cannot be read: {error.message}") from error
    name, version = (scope.name, scope.version) if scope is not None else ("", "")
    return origin_of(name or "", version or "", attributes, flags)


def _whole(decoder: msgspec.json.Decoder[Any], body: bytes, name: str) -> Any:
    """The request, its items still encoded."""
    if body.count(b"{") > MAX_OBJECTS:
        raise TooManyItems("The body holds too many objects for one request. Send smaller batches.")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as strict:
        try:
            return decoder.decode(_made_strict(body))
        except (ValueError, RecursionError) as error:
            raise Undecodable(f"The body is not an {name} in JSON: {strict}.") from error
    except RecursionError as error:
        raise Undecodable(f"The body is not an {name} in JSON: it is nested too deeply.") from error


def _made_strict(raw: bytes) -> bytes:
    """The JSON with NaN and infinity as the strings that OTLP has for them, and lone surrogates as NUL.

    NUL is replaced and flagged later, so that nothing is changed unnoticed.
    """
    data = json.loads(raw.decode("utf-8", "replace"), parse_constant=str, parse_float=_float)
    try:
        return _encode(data)
    except UnicodeEncodeError:
        return _encode(_without_surrogates(data))


def _float(text: str) -> float | str:
    number = float(text)
    return number if number - number == 0 else "Infinity"


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\x00", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


def _opened(decoder: msgspec.json.Decoder[Any], item: msgspec.Raw) -> Any:
    """One item, decoded. Raises Unreadable with what is wrong."""
    try:
        return decoder.decode(item)
    except RecursionError as error:
        raise Unreadable("too_deep", "It is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as strict:
        try:
            return decoder.decode(_made_strict(bytes(item)))
        except (ValueError, RecursionError):
            raise Unreadable("undecodable", f"It cannot be decoded: {strict}.") from strict


def _read_span(span: JsonSpan) -> OtlpSpan:
    flags: set[str] = set()
    status = span.status
    return OtlpSpan(
        trace_id=_id(span.trace_id, "trace"),
        span_id=_id(span.span_id, "span"),
        parent_span_id=_id(span.parent_span_id, "parent_span") if span.parent_span_id else None,
        name=span.name or "",
        start_ns=_time(span.start_time_unix_nano),
        end_ns=_time(span.end_time_unix_nano),
        status_code=_status(status.code) if status is not None else 0,
        status_message=status.message or "" if status is not None else "",
        attributes=_attributes(span.attributes, flags),
        events=_events(span.events, flags) if span.events else [],
        scope="",
        scope_version="",
        resource={},
        digest=b"",
        flags=flags,
    )


def _id(text: str | None, name: str) -> bytes:
    """The bytes of a hexadecimal id. Base64, which plain protobuf would write, is not OTLP's."""
    if not text:
        return b""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) * 2 != len(text):
        raise Unreadable(f"invalid_{name}_id", f"An id is written in hexadecimal digits, not as {text[:64]!r}.")
    return found


def _status(code: Whole) -> int:
    if isinstance(code, str) and code in _STATUS:
        return _STATUS[code]
    return _int(code, -(2**31), 2**31)


def _time(moment: Whole) -> int:
    return _int(moment, 0, 2**64)


def _int(number: Whole, low: int, high: int) -> int:
    """A whole number that may have come as a string. Raises Unreadable unless low <= it < high."""
    if number is None:
        return 0
    if isinstance(number, str):
        if not _DIGITS.fullmatch(number):
            raise Unreadable("invalid_number", f"A whole number cannot be read from {number[:64]!r}.")
        number = int(number)
    elif isinstance(number, float):
        if not number.is_integer():
            raise Unreadable("invalid_number", f"{number} is no whole number.")
        number = int(number)
    if not low <= number < high:
        raise Unreadable("number_out_of_range", "A number is too large to be held.")
    return number


def _events(events: list[JsonEvent], flags: set[str]) -> list[OtlpEvent]:
    if len(events) > MAX_EVENTS:
        events = events[: MAX_EVENTS // 2] + events[-MAX_EVENTS // 2 :]
        flags.add("truncated")
    return [
        OtlpEvent(event.name or "", _time(event.time_unix_nano), _attributes(event.attributes, flags))
        for event in events
    ]


def _attributes(pairs: list[JsonPair] | None, flags: set[str]) -> dict[str, Any]:
    """Attributes by name. Of a name that comes twice the last one counts."""
    if not pairs:
        return {}
    if len(pairs) > MAX_ATTRIBUTES:
        pairs = pairs[:MAX_ATTRIBUTES]
        flags.add("truncated")
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        if value is None:
            found[pair.key or ""] = None
        elif value.string_value is not None:
            found[pair.key or ""] = value.string_value
        else:
            found[pair.key or ""] = _value(value, flags, MAX_DEPTH)
    return found


def _value(value: JsonAny | None, flags: set[str], room: int) -> Any:
    """An AnyValue as plain data; containers nested deeper than `room` are None."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _int(value.int_value, -(2**63), 2**63)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return finite(_double(value.double_value), flags)
    if value.array_value is not None or value.kvlist_value is not None:
        if not room:
            flags.add("truncated")
            return None
        if value.array_value is not None:
            return [_value(item, flags, room - 1) for item in value.array_value.values or ()]
        assert value.kvlist_value is not None
        return {pair.key or "": _value(pair.value, flags, room - 1) for pair in value.kvlist_value.values or ()}
    return None if value.bytes_value is None else _bytes(value.bytes_value)


def _double(number: float | str) -> float:
    if isinstance(number, str) and number in _WORDS:
        return _WORDS[number]
    try:
        return float(number)
    except OverflowError:
        return float("inf")
    except ValueError:
        raise Unreadable("invalid_number", f"A number cannot be read from {str(number)[:64]!r}.") from None


def _bytes(text: str) -> str:
    """The base64 text in its usual form, whatever alphabet and padding it came with."""
    usual = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return text_of_bytes(b64decode(usual + "=" * (-len(usual) % 4), validate=True))
    except (Base64Error, ValueError):
        raise Unreadable("invalid_bytes", "bytesValue is base64.") from None


def read_logs(body: bytes) -> list[OtlpLog]:
    """As `apps.telemetry.otlp.read_logs`."""
    request = _whole(_logs, body, "ExportLogsServiceRequest")
    found: list[OtlpLog] = []
    for of_resource in request.resource_logs or ():
        for of_scope in of_resource.scope_logs or ():
            items = of_scope.log_records or []
            refuse_attack(len(found) + len(items))
            origin = _origin(of_resource.resource, of_scope.scope)
            try:
                found += [finish_log(_read_log(_opened(_log, item)), origin) for item in items]
            except Unreadable as error:
                raise Undecodable(f"A log record cannot be read: {error.message}") from error
    return found


def _read_log(record: JsonLog) -> OtlpLog:
    flags: set[str] = set()
    return OtlpLog(
        trace_id=_id(record.trace_id, "trace") or None,
        span_id=_id(record.span_id, "span") or None,
        time_ns=_time(record.time_unix_nano) or _time(record.observed_time_unix_nano),
        event_name=record.event_name or "",
        body=_value(record.body, flags, MAX_DEPTH),
        attributes=_attributes(record.attributes, flags),
        scope="",
        resource={},
        digest=b"",
        flags=flags,
    )


def acknowledge_metrics(body: bytes) -> None:
    """As `apps.telemetry.otlp.acknowledge_metrics`."""
    _whole(_metrics, body, "ExportMetricsServiceRequest")

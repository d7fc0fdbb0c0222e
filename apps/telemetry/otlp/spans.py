"""What OTLP carries as plain spans and log records, and what both encodings do to finish one.

Text that PostgreSQL cannot hold is replaced, what is too long, too deep or too much is cut, and NaN and infinity become
None; the flags say so. The digest is of what is left, in one canonical form, and so does not depend on the encoding.
"""

from __future__ import annotations

import math
from base64 import b64encode
from hashlib import blake2b
from typing import Any

import msgspec

from apps.telemetry.texts import MAX_TEXT_CHARS, clean_text
from apps.telemetry.types import Rejection

MAX_SPANS = 5_000
"""Spans of one request that are read; those after them are rejected, since clients do not repeat what is refused."""

MAX_ITEMS = 50_000
"""More spans or records than this in one request are no batch but an attack, and refused as a whole."""

MAX_DEPTH = 32
MAX_EVENTS = 128
MAX_ATTRIBUTES = 4_096
"""Attributes of a span that are read. Dialects that write one attribute for each message part need more than the 256
that are kept as attributes in the end (`texts.MAX_ATTRIBUTES`)."""

MAX_SAMPLE_CHARS = 2_000
NO_TRACE = bytes(16)
NO_SPAN = bytes(8)


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


class Undecodable(ValueError):
    """The body as a whole is not a request of this kind in this encoding."""


class TooManyItems(ValueError):
    """The body holds more than one request may bring."""


class Unreadable(Exception):
    """One span cannot be read; the code is stable, the sentence says what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Origin(msgspec.Struct):
    """What the spans of one scope of one resource have in common."""

    scope: str
    scope_version: str
    resource: dict[str, Any]
    flags: set[str]
    digest: bytes = b""


_canonical = msgspec.json.Encoder(order="deterministic").encode


def origin_of(scope: str, scope_version: str, resource: dict[str, Any], flags: set[str]) -> Origin:
    """The origin, mended, with the digest of what it says."""
    (scope, scope_version, resource), encoded = _mended([scope, scope_version, resource], flags)
    return Origin(scope, scope_version, resource, flags, blake2b(encoded, digest_size=16).digest())


def finish_span(span: OtlpSpan, origin: Origin) -> OtlpSpan:
    """The span, mended, with its digest. Raises Unreadable when its ids are none."""
    if len(span.trace_id) != 16 or span.trace_id == NO_TRACE:
        raise Unreadable("invalid_trace_id", "traceId is 16 bytes (32 hexadecimal digits in JSON), not all zero.")
    if len(span.span_id) != 8 or span.span_id == NO_SPAN:
        raise Unreadable("invalid_span_id", "spanId is 8 bytes (16 hexadecimal digits in JSON), not all zero.")
    if span.parent_span_id is not None:
        span.parent_span_id = parent_of(span.parent_span_id)
    span.scope, span.scope_version, span.resource = origin.scope, origin.scope_version, origin.resource
    if origin.flags:
        span.flags |= origin.flags
    # The digest is not there yet, and what is the same in all spans of the scope has one of its own.
    said = [
        span.name,
        span.status_message,
        span.attributes,
        span.events,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.start_ns,
        span.end_ns,
        span.status_code,
    ]
    mended, encoded = _mended(said, span.flags)
    if mended is not said:
        span.name, span.status_message, span.attributes, span.events = mended[:4]
    span.digest = blake2b(origin.digest + encoded, digest_size=16).digest()
    return span


def parent_of(parent: bytes) -> bytes | None:
    """The parent's id; None for an empty one or zeros, which is how some clients write that there is none."""
    if not parent or parent == NO_SPAN:
        return None
    if len(parent) != 8:
        raise Unreadable("invalid_parent_span_id", "parentSpanId is 8 bytes (16 hexadecimal digits in JSON).")
    return parent


def finish_log(record: OtlpLog, origin: Origin) -> OtlpLog:
    """The record, mended, with its digest. Ids that are none are left out."""
    if record.trace_id is not None and (len(record.trace_id) != 16 or record.trace_id == NO_TRACE):
        record.trace_id = None
    if record.span_id is not None and (len(record.span_id) != 8 or record.span_id == NO_SPAN):
        record.span_id = None
    record.scope, record.resource = origin.scope, origin.resource
    record.flags |= origin.flags
    said = [record.event_name, record.body, record.attributes]
    (record.event_name, record.body, record.attributes), encoded = _mended(said, record.flags)
    if not record.event_name and isinstance(named := record.attributes.get("event.name"), str):
        record.event_name = named
    ids = b"%b/%b/%d/" % (record.trace_id or b"", record.span_id or b"", record.time_ns)
    record.digest = blake2b(origin.digest + ids + encoded, digest_size=16).digest()
    return record


def finite(number: float, flags: set[str]) -> float | None:
    """The number; None for NaN and infinity, which JSON and PostgreSQL's jsonb do not have."""
    if math.isfinite(number):
        return number
    flags.add("number_replaced")
    return None


def text_of_bytes(raw: bytes) -> str:
    """Bytes as the base64 that OTLP/JSON writes for them."""
    return b64encode(raw).decode()


def unreadable_at(index: int, reason: Unreadable, sample: str) -> Rejection:
    """The rejection of the span at this place of the request."""
    return Rejection(
        index=index, code=reason.code, message=reason.message, sample=clean_text(sample[:MAX_SAMPLE_CHARS])[0]
    )


def rejected_surplus(total: int) -> list[Rejection]:
    """The rejections of the spans after the first `MAX_SPANS`."""
    message = f"One request may bring {MAX_SPANS} spans and this one brought {total}. Send smaller batches."
    return [Rejection(index=index, code="too_many_items", message=message) for index in range(MAX_SPANS, total)]


def refuse_attack(total: int) -> None:
    """Raise TooManyItems for more than any batch has."""
    if total > MAX_ITEMS:
        raise TooManyItems(f"One request may bring {MAX_SPANS} spans or records. Send smaller batches.")


def _mended(said: list[Any], flags: set[str]) -> tuple[list[Any], bytes]:
    """What was said, fit to be kept, and its canonical form; the same list where nothing had to be changed."""
    try:
        encoded = _canonical(said)
    except UnicodeEncodeError:  # a lone surrogate
        encoded = b""
    # The encoder writes NUL so. Looking through one text is quicker than looking at each.
    if encoded and len(encoded) <= MAX_TEXT_CHARS and b"\\u0000" not in encoded:
        return said, encoded
    mended = [_mend(value, flags) for value in said]
    return mended, _canonical(mended)


def _mend(value: Any, flags: set[str]) -> Any:
    if isinstance(value, str):
        text, replaced = clean_text(value)
        if replaced:
            flags.add("text_replaced")
        if len(text) > MAX_TEXT_CHARS:
            flags.add("truncated")
            text = text[:MAX_TEXT_CHARS]
        return text
    if isinstance(value, OtlpEvent):
        return OtlpEvent(_mend(value.name, flags), value.time_ns, _mend(value.attributes, flags))
    if isinstance(value, list):
        return [_mend(item, flags) for item in value]
    if isinstance(value, dict):
        return {_mend(name, flags): _mend(item, flags) for name, item in value.items()}
    return value

"""The native telemetry body: JSON in, span records and rejections out. Pure; nothing here touches a database.

One item never spoils another: each is decoded apart, and what is wrong with it is said with its index. Fields that are
not ours are kept among the attributes. Text that PostgreSQL cannot hold is replaced and the span flagged.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from apps.telemetry.exported import take_back
from apps.telemetry.reading import Reading
from apps.telemetry.texts import clean_text, content, encode, short_attributes, short_text, sorted_json
from apps.telemetry.types import (
    CALL_KINDS,
    DEFAULT_ENVIRONMENT,
    DEFAULT_SOURCE,
    KINDS,
    REPEATS,
    Payload,
    Rejection,
    SpanRecord,
)

MAX_DEPTH = 32
MAX_DOCUMENTS = 512
MAX_TAGS = 64
MAX_SAMPLE_CHARS = 2_000
MAX_AHEAD = timedelta(minutes=15)

Count = Annotated[int, Meta(ge=0, le=10**12)]
Attempts = Annotated[int, Meta(ge=1, le=1_000)]
# Clients measure in floats; lengths are kept as whole milliseconds.
Milliseconds = Annotated[float, Meta(ge=0, le=10**12)]
Kind = Literal["llm", "embedding", "retriever", "reranker", "tool", "agent", "chain"]


TEXT_LIMITS = {
    "name": 512,
    "error_type": 256,
    "error_message": 8_192,
    "environment": 64,
    "feature": 128,
    "service": 256,
    "user_id": 256,
    "session_id": 256,
    "provider": 64,
    "request_model": 128,
    "response_model": 128,
    "prompt_name": 128,
    "prompt_version": 64,
    "finish_reason": 128,
    "tool_name": 256,
    "agent_name": 256,
    "response_id": 256,
    "call_id": 256,
    "scope": 128,
    "service_tier": 64,
}
"""The longest each text may be, in characters; a longer one is cut and the span flagged `truncated`. The dimensions of
the cost records together must fit into one index entry of PostgreSQL."""


class MalformedBody(ValueError):
    """The body as a whole cannot be read: not JSON, not an object, or nested too deeply."""


class TooManyItems(ValueError):
    """The body holds more items than one request may bring."""


class Mended(msgspec.Struct, frozen=True):
    """An item that strict JSON refuses, made readable: what was replaced is in the flags, or it is refused."""

    raw: bytes
    flags: tuple[str, ...] = ()
    refusal: tuple[str, str] | None = None


class Envelope(msgspec.Struct):
    """The body, its items still unread."""

    spans: list[msgspec.Raw] = []
    scores: list[msgspec.Raw] = []


class Body(msgspec.Struct):
    """The items of a body, each ready to be read apart from the others."""

    spans: list[msgspec.Raw] | list[Mended]
    scores: list[msgspec.Raw] | list[Mended]


class NativeSpan(msgspec.Struct, forbid_unknown_fields=True):
    """The shape of one native span (design of the public API); all but the first four may be absent."""

    trace_id: str
    span_id: str
    name: str
    started_at: datetime
    kind: Kind = "llm"
    parent_span_id: str | None = None
    ended_at: datetime | None = None
    latency_ms: Milliseconds | None = None
    status: Literal["ok", "error"] | None = None
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
    ttft_ms: Milliseconds | None = None
    finish_reason: str | None = None
    streamed: bool | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_write_1h_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    service_tier: str | None = None
    cost_usd: Decimal | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    input: Any = None
    output: Any = None
    tool_name: str | None = None
    documents: list[dict[str, Any]] | None = None
    agent_name: str | None = None
    response_id: str | None = None
    call_id: str | None = None
    scope: str | None = None
    attempts: Attempts | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] | None = None


KNOWN_FIELDS = frozenset(NativeSpan.__struct_fields__)
_envelope = msgspec.json.Decoder(Envelope)
_item = msgspec.json.Decoder()
_span = msgspec.json.Decoder(NativeSpan)
_texts_of = attrgetter(*TEXT_LIMITS)


class Refused(Exception):
    """One item cannot be stored; the code is stable, the sentence says what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read_body(body: bytes, *, max_items: int) -> Body:
    """The items of a body, each still undecoded.

    Raises MalformedBody when the whole cannot be read and TooManyItems when there are more than `max_items`.
    """
    items: Body
    try:
        envelope = _envelope.decode(body)
        items = Body(spans=envelope.spans, scores=envelope.scores)
    except RecursionError as error:
        raise MalformedBody("The JSON is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        items = _read_leniently(body, error)
    if len(items.spans) + len(items.scores) > max_items:
        raise TooManyItems(f"One request may bring {max_items} items; split it.")
    return items


class _OutOfRange(float):
    """A number that no float can hold, such as 1e999; its item is refused rather than stored as infinity."""


class _NotANumber:
    """NaN or Infinity as a word, which becomes null."""


def _parse_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _OutOfRange(number)


def _read_leniently(body: bytes, reason: Exception) -> Body:
    """Bodies that strict JSON refuses but clients send: NaN and Infinity (made null), lone surrogates (replaced)."""
    try:
        data = json.loads(
            body.decode("utf-8", "replace"),
            parse_constant=lambda _word: _NotANumber(),
            parse_float=_parse_float,
        )
        lists = {name: data.get(name, []) for name in ("spans", "scores")}
        if not all(isinstance(items, list) for items in lists.values()):
            raise TypeError("spans and scores are lists")
        return Body(**{name: [_mended(item) for item in items] for name, items in lists.items()})
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise MalformedBody(f"The body is not the expected JSON: {reason}.") from error


def read_json(body: bytes) -> Any:
    """Any JSON body, read strictly or else leniently (NaN and infinity are null). Raises MalformedBody."""
    try:
        return _item.decode(body)
    except RecursionError as error:
        raise MalformedBody("The JSON is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as reason:
        try:
            return json.loads(body.decode("utf-8", "replace"), parse_constant=lambda _word: None)
        except (ValueError, RecursionError) as error:
            raise MalformedBody(f"The body is not JSON: {reason}.") from error


def _mended(item: Any) -> Mended:
    flags: set[str] = set()
    try:
        return Mended(raw=encode(_mend(item, flags)), flags=tuple(sorted(flags)))
    except Refused as refusal:
        return Mended(raw=repr(item)[:MAX_SAMPLE_CHARS].encode(), refusal=(refusal.code, refusal.message))


def _mend(value: Any, flags: set[str]) -> Any:
    if isinstance(value, str):
        text, replaced = clean_text(value)
        if replaced:
            flags.add("text_replaced")
        return text
    if isinstance(value, _NotANumber):
        flags.add("number_replaced")
        return None
    if isinstance(value, _OutOfRange):
        raise Refused("number_out_of_range", "A number is too large to be held.")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise Refused("number_out_of_range", "A number is too large to be held.")
    if isinstance(value, list):
        return [_mend(item, flags) for item in value]
    if isinstance(value, dict):
        return {_mend(name, flags): _mend(item, flags) for name, item in value.items()}
    return value


def read_spans(
    items: list[msgspec.Raw] | list[Mended], *, project_id: int, received_at: datetime, keep_since: datetime
) -> tuple[list[SpanRecord], list[int], list[Rejection]]:
    """Span records, their positions in the request, and the items refused with the reason.

    A start before `keep_since` or more than 15 minutes ahead of `received_at` cannot be right: the span is kept under
    the time it was received and flagged `clock`.
    """
    records: list[SpanRecord] = []
    positions: list[int] = []
    rejected: list[Rejection] = []
    several: Sequence[msgspec.Raw | Mended] = items
    for index, item in enumerate(several):
        raw, flags, refusal = _opened(item)
        try:
            if refusal:
                raise Refused(*refusal)
            records.append(_record(raw, flags, project_id, received_at, keep_since))
            positions.append(index)
        except Refused as reason:
            rejected.append(Rejection(index=index, code=reason.code, message=reason.message, sample=_sample(raw)))
    return records, positions, rejected


def _opened(item: msgspec.Raw | Mended) -> tuple[bytes, set[str], tuple[str, str] | None]:
    if isinstance(item, Mended):
        return item.raw, set(item.flags), item.refusal
    return bytes(memoryview(item)), set(), None


def _sample(raw: bytes) -> str:
    return clean_text(raw[:MAX_SAMPLE_CHARS].decode("utf-8", "replace"))[0]


def _native(raw: bytes) -> tuple[NativeSpan, dict[str, Any]]:
    """The span, and the fields that are not ours."""
    # Counting is quick and nearly always enough to know that nothing is nested too deeply.
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        try:
            return _span.decode(raw), {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # read below, where unknown fields are taken and reasons are given
    data = _decoded(raw)
    unknown = {name: data.pop(name) for name in data.keys() - KNOWN_FIELDS}
    try:
        return msgspec.convert(data, NativeSpan), unknown
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        data = _item.decode(raw)
    except RecursionError as error:
        raise Refused("too_deep", f"Nested deeper than {MAX_DEPTH} levels.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        code = "number_out_of_range" if "out of range" in str(error) else "not_json"
        raise Refused(code, f"The item cannot be read: {error}.") from error
    if not isinstance(data, dict):
        raise Refused("not_an_object", "A span is a JSON object.")
    if not _shallow(data, MAX_DEPTH):
        raise Refused("too_deep", f"Nested deeper than {MAX_DEPTH} levels.")
    return data


def _record(raw: bytes, flags: set[str], project_id: int, received_at: datetime, keep_since: datetime) -> SpanRecord:
    span, unknown = _native(raw)
    if unknown:
        flags |= take_back(span, unknown)
    if unknown:
        span.attributes = {**(span.attributes or {}), **unknown}
    ids = Ids(
        parse_id(span.trace_id, 16, "trace_id"),
        parse_id(span.span_id, 8, "span_id"),
        parse_id(span.parent_span_id, 8, "parent_span_id") if span.parent_span_id else None,
        hashlib.blake2b(raw, digest_size=16).digest(),
    )
    return _clean(span, ids, flags, project_id, received_at, keep_since)


class Ids(NamedTuple):
    """What names a span and tells whether two reports of it are the same."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    digest: bytes


def record_of(reading: Reading, *, project_id: int, received_at: datetime, keep_since: datetime) -> SpanRecord:
    """The span of a reading, cleaned like a native one. Raises Refused with the reason when it cannot be stored."""
    if not any(reading.trace_id) or len(reading.trace_id) != 16:
        raise Refused("invalid_trace_id", "trace_id is 16 bytes, not all of them zero.")
    if not any(reading.span_id) or len(reading.span_id) != 8:
        raise Refused("invalid_span_id", "span_id is 8 bytes, not all of them zero.")
    if reading.status not in (None, "ok", "error") or reading.kind not in KINDS:
        raise ValueError(f"a dialect read status {reading.status!r} and kind {reading.kind!r}")
    ids = Ids(reading.trace_id, reading.span_id, reading.parent_span_id, reading.digest)
    record = _clean(reading, ids, set(reading.flags), project_id, received_at, keep_since)
    if reading.repeats:
        record.flags = sorted({*record.flags, REPEATS})
        record.counted = False
    return record


def _shallow(value: Any, levels: int) -> bool:
    """True when no container is nested deeper than `levels`."""
    if isinstance(value, dict):
        return levels > 0 and all(
            _shallow(item, levels - 1) for item in value.values() if isinstance(item, dict | list)
        )
    if isinstance(value, list):
        return levels > 0 and all(_shallow(item, levels - 1) for item in value if isinstance(item, dict | list))
    return True


def _refusal(reason: str) -> Refused:
    """msgspec's sentence as a stable code: `missing_<field>`, `invalid_<field>` or `invalid_span`."""
    missing = re.search(r"missing required field `(\w+)`", reason)
    if missing:
        return Refused(f"missing_{missing[1]}", f"The field {missing[1]} is required.")
    field = re.search(r"at `\$\.(\w+)", reason)
    if field and field[1] == "kind":
        return Refused("invalid_kind", f"kind is one of {', '.join(KINDS)}.")
    if field:
        return Refused(f"invalid_{field[1]}", f"{reason.split(' - at')[0]} in {field[1]}.")
    return Refused("invalid_span", f"{reason}.")


def parse_id(text: str, size: int, field: str) -> bytes:
    """A hexadecimal id of exactly `size` bytes that is not all zeros; raises Refused otherwise."""
    try:
        value = bytes.fromhex(text) if len(text) == size * 2 else b""
    except ValueError:
        value = b""
    if len(value) != size or not any(value):
        raise Refused(f"invalid_{field}", f"{field} is {size * 2} hexadecimal digits, not all of them zero.")
    return value


def _aware(moment: datetime, field: str) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise Refused(f"invalid_{field}", f"{field} needs a time zone, such as the Z of 2026-11-23T10:00:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Refused(f"invalid_{field}", f"{field} is outside the calendar.") from error


def _money(amount: Decimal | None) -> Decimal | None:
    if amount is None:
        return None
    if not amount.is_finite() or amount < 0 or amount > 10**9:
        raise Refused("invalid_cost_usd", "cost_usd is a number of dollars from 0 to a billion.")
    # More places than the smallest price has would only carry the noise of somebody's float.
    return amount.quantize(Decimal("1e-18")).normalize() if amount.as_tuple().exponent < -18 else amount  # type: ignore[operator]


def _clean(
    span: NativeSpan | Reading,
    ids: Ids,
    flags: set[str],
    project_id: int,
    received_at: datetime,
    keep_since: datetime,
) -> SpanRecord:
    client_start = _aware(span.started_at, "started_at")
    started_at = client_start
    if client_start < keep_since or client_start > received_at + MAX_AHEAD:
        started_at = received_at
        flags.add("clock")
    ended_at, latency_ms = _lengths(span, client_start, flags)
    texts = _texts(span, flags)
    if not texts["environment"]:
        texts["environment"] = DEFAULT_ENVIRONMENT
        flags.add("environment_assumed")
    return SpanRecord(
        project_id=project_id,
        trace_id=ids.trace_id,
        span_id=ids.span_id,
        client_started_at=client_start,
        started_at=started_at,
        received_at=received_at,
        kind=span.kind,
        status=span.status or "ok",
        counted=span.kind in CALL_KINDS,
        digest=ids.digest,
        parent_span_id=ids.parent_span_id,
        ended_at=ended_at,
        latency_ms=latency_ms,
        ttft_ms=_whole(span.ttft_ms),
        model=texts["response_model"] or texts["request_model"],
        source=DEFAULT_SOURCE,
        streamed=span.streamed,
        input_tokens=span.input_tokens,
        output_tokens=span.output_tokens,
        cached_input_tokens=span.cached_input_tokens,
        cache_write_tokens=span.cache_write_tokens,
        cache_write_1h_tokens=span.cache_write_1h_tokens,
        reasoning_tokens=span.reasoning_tokens,
        client_cost_usd=_money(span.cost_usd),
        attempts=span.attempts or 1,
        tags=_tags(span.tags, flags),
        payload=_payload(span, flags),
        flags=sorted(flags),
        **texts,
    )


def _texts(span: NativeSpan | Reading, flags: set[str]) -> dict[str, Any]:
    """The texts that are limited in length, empty where nothing was said."""
    return {
        name: short_text(text, limit, flags) if text else ""
        for (name, limit), text in zip(TEXT_LIMITS.items(), _texts_of(span), strict=True)
    }


def _lengths(span: NativeSpan | Reading, start: datetime, flags: set[str]) -> tuple[datetime | None, int | None]:
    """The end and the length in whole milliseconds; an end before the start is kept, flagged, and has no length."""
    ended_at = _aware(span.ended_at, "ended_at") if span.ended_at is not None else None
    latency_ms = _whole(span.latency_ms)
    if ended_at is not None and ended_at < start:
        flags.add("negative_duration")
    elif ended_at is not None and latency_ms is None:
        latency_ms = (ended_at - start) // timedelta(milliseconds=1)
    elif ended_at is None and latency_ms is not None:
        try:
            ended_at = start + timedelta(milliseconds=latency_ms)
        except OverflowError as error:
            raise Refused("invalid_latency_ms", "latency_ms leads outside the calendar.") from error
    return ended_at, latency_ms


def _whole(length_ms: float | None) -> int | None:
    return None if length_ms is None else round(length_ms)


def _tags(tags: list[str] | None, flags: set[str]) -> list[str]:
    if not tags:
        return []
    if len(tags) > MAX_TAGS:
        flags.add("truncated")
    return sorted({short_text(tag, 128, flags) for tag in tags[:MAX_TAGS]} - {""})


def _payload(span: NativeSpan | Reading, flags: set[str]) -> Payload | None:
    attributes = span.attributes
    if span.input is None and span.output is None and span.documents is None and not attributes:
        return None
    # A retrieval that found nothing says so with an empty list, which is not the same as saying nothing.
    documents = span.documents[:MAX_DOCUMENTS] if span.documents is not None else None
    if documents is not None and span.documents is not None and len(documents) < len(span.documents):
        flags.add("truncated")
    return Payload(
        input=content(span.input, flags),
        output=content(span.output, flags),
        input_is_json=span.input is not None and not isinstance(span.input, str),
        output_is_json=span.output is not None and not isinstance(span.output, str),
        documents=sorted_json(documents, flags) if documents is not None else None,
        attributes=sorted_json(dict(short_attributes(attributes, flags)), flags) if attributes else None,
    )

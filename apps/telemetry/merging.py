"""What several reports of one span become. Pure.

Clients send a span again when a request failed, and send more of it as it goes on: a start first, the answer later.
Batches arrive late and in any order, so the result must not depend on the order. Field by field, the merge is
therefore a join in a lattice: commutative, associative and idempotent. A value beats none; of two numbers the greater
stands (tokens and times only grow as a span goes on), of two texts the longer and then the greater, an error beats ok.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from apps.telemetry.settling import ASSUMED, is_call
from apps.telemetry.types import CALL_KINDS, Payload, SpanRecord

T = TypeVar("T", bound=Any)

GREATEST = (
    "ended_at",
    "latency_ms",
    "ttft_ms",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "client_cost_usd",
    "parent_span_id",
    "streamed",
    "attempts",
    "digest",
)
FULLEST = (
    "name",
    "error_type",
    "error_message",
    "feature",
    "service",
    "user_id",
    "session_id",
    "provider",
    "request_model",
    "response_model",
    "prompt_name",
    "prompt_version",
    "source",
    "finish_reason",
    "tool_name",
    "agent_name",
    "response_id",
    "call_id",
    "scope",
    "service_tier",
)


def _greatest(first: T | None, second: T | None) -> T | None:
    if first is None or second is None:
        return second if first is None else first
    return first if first >= second else second


def _fullest(first: str, second: str) -> str:
    return max(first, second, key=lambda text: (len(text), text))


def merge(first: SpanRecord, second: SpanRecord) -> SpanRecord:
    """One record of two reports of the same span; neither is changed. The cost is left as the first has it.

    Both hold only what their reports said (`settling.take_back`), and so does the result.

    The same result comes of any order and any repetition of reports. Whoever stores the result works out its cost
    anew when `usage_of` differs, since the cost follows from the merged usage.
    """
    changes: dict[str, Any] = {name: _greatest(getattr(first, name), getattr(second, name)) for name in GREATEST}
    changes |= {name: _fullest(getattr(first, name), getattr(second, name)) for name in FULLEST}
    changes["kind"] = _kind(first, second)
    changes["status"] = "error" if "error" in (first.status, second.status) else "ok"
    changes["model"] = changes["response_model"] or changes["request_model"]
    changes["received_at"] = min(first.received_at, second.received_at)
    changes["tags"] = sorted({*first.tags, *second.tags})
    changes["environment"], assumed = _environment(first, second)
    flags = {*first.flags, *second.flags} - {ASSUMED}
    changes["flags"] = sorted(flags | ({ASSUMED} if assumed else set()))
    changes["payload"] = _payload(first.payload, second.payload)
    merged = msgspec.structs.replace(first, **changes)
    merged.counted = is_call(merged)
    return merged


def _kind(first: SpanRecord, second: SpanRecord) -> str:
    # A call's kind stands against any other, or a late report could take a counted call out of the costs.
    return max(first.kind, second.kind, key=lambda kind: (kind in CALL_KINDS, kind))


def _environment(first: SpanRecord, second: SpanRecord) -> tuple[str, bool]:
    """The environment, and whether it is only assumed: a report that names one beats one that does not."""
    named = [span.environment for span in (first, second) if ASSUMED not in span.flags]
    if named:
        return max(named, key=lambda text: (len(text), text)), False
    return max(first.environment, second.environment), True


def _payload(first: Payload | None, second: Payload | None) -> Payload | None:
    if first is None or second is None:
        return second if first is None else first
    fuller_input = max(first, second, key=lambda payload: _size(payload.input, payload.input_is_json))
    fuller_output = max(first, second, key=lambda payload: _size(payload.output, payload.output_is_json))
    documents = [payload.documents for payload in (first, second) if payload.documents is not None]
    return Payload(
        input=fuller_input.input,
        input_is_json=fuller_input.input_is_json,
        output=fuller_output.output,
        output_is_json=fuller_output.output_is_json,
        documents=max(documents, key=lambda encoded: (len(encoded), encoded)) if documents else None,
        attributes=_attributes(first.attributes, second.attributes),
    )


def _size(text: str | None, is_json: bool) -> tuple[int, str, bool]:
    return (-1, "", False) if text is None else (len(text), text, is_json)


def _attributes(first: str | None, second: str | None) -> str | None:
    """All names of both, in order; where both have a name, the longer value by its JSON."""
    if first is None or second is None or first == second:
        return first if second is None else second
    sides = [msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in (first, second)]
    merged = {
        name: max((bytes(side[name]) for side in sides if name in side), key=lambda raw: (len(raw), raw))
        for name in sorted({*sides[0], *sides[1]})
    }
    return msgspec.json.encode({name: msgspec.Raw(raw) for name, raw in merged.items()}).decode()


def usage_of(span: SpanRecord) -> tuple[Any, ...]:
    """Everything that a span's cost depends on."""
    return (
        span.counted,
        span.provider,
        span.request_model,
        span.response_model,
        span.input_tokens,
        span.output_tokens,
        span.cached_input_tokens,
        span.cache_write_tokens,
        span.cache_write_1h_tokens,
        span.reasoning_tokens,
        span.service_tier,
        span.client_cost_usd,
    )


def canonical(span: SpanRecord) -> SpanRecord:
    """The record without what says only how it came here, for telling whether a merge changed anything."""
    return msgspec.structs.replace(span, received_at=span.started_at, digest=b"")

"""The OpenAI Agents SDK's own export: `{"data": [{"object": "trace" | "trace.span", ...}]}`. Pure.

Names: `agents.tracing.span_data` and `agents.tracing.processors`. A trace says for whom and what for, and has no time;
its spans come in batches, which may be later ones. Spans of the kinds `turn` and `task` repeat the usage of the calls
below them. A `response` has ids and usage only: neither the model nor any content.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects import ids, metadata, usage
from apps.telemetry.reading import Reading
from apps.telemetry.wire import Refused

SCOPE = "openai-agents"
KINDS = {
    "response": "llm",
    "generation": "llm",
    "function": "tool",
    "agent": "agent",
}
"""`span_data.type`; all others are steps of a chain."""
UNNAMED = "Agent workflow"
"""What the SDK calls a workflow that was given no name."""
OF_TRACE = ("user_id", "session_id", "feature", "environment", "prompt_name", "prompt_version", "tags")


def read_body(data: Any) -> list[Reading | Refused]:
    """A reading of each span in the body, in order; in place of one that cannot be read, the reason. Never raises.

    What a trace says is put on those of its spans that come with it. If its outermost span is not among them, the
    trace is a span of its own, so that the others can have it from there.
    """
    items = data.get("data") if isinstance(data, dict) else data
    if not isinstance(items, list):
        return [Refused("missing_data", "The body is an object with a list `data`.")]
    traces = {
        item["id"]: _of_trace(item)
        for item in items
        if isinstance(item, dict) and item.get("object") == "trace" and isinstance(item.get("id"), str)
    }
    found: list[Reading | Refused] = []
    for item in items:
        if isinstance(item, dict) and item.get("object") == "trace":
            if _stands_alone(item, items):
                found.append(_trace(item, items))
        else:
            found.append(_span(item, traces))
    return found


def _of_trace(trace: dict[str, Any]) -> dict[str, Any]:
    said = metadata.fields(trace.get("metadata"))
    workflow = to.text(trace.get("workflow_name"))
    values = {
        **said,
        "session_id": to.text(trace.get("group_id")) or said.get("session_id"),
        "feature": said.get("feature") or (workflow if workflow != UNNAMED else None),
    }
    return {field: values[field] for field in OF_TRACE if values.get(field) is not None}


def _spans_of(trace: dict[str, Any], items: list[Any]) -> list[dict[str, Any]]:
    return [
        item
        for item in items
        if isinstance(item, dict) and item.get("object") == "trace.span" and item.get("trace_id") == trace.get("id")
    ]


def _stands_alone(trace: dict[str, Any], items: list[Any]) -> bool:
    return all(span.get("parent_id") for span in _spans_of(trace, items))


def _trace(trace: dict[str, Any], items: list[Any]) -> Reading | Refused:
    trace_id = to.text(trace.get("id"))
    if trace_id is None:
        return Refused("missing_id", "A trace has an id.")
    starts = [start for span in _spans_of(trace, items) if (start := _moment(span.get("started_at")))]
    kept = to.mapping(trace.get("metadata")) or {}
    return Reading(
        trace_id=ids.trace_id(trace_id),
        span_id=ids.span_id(f"{trace_id} itself"),
        name=to.text(trace.get("workflow_name")) or "trace",
        # It has no time of its own. The same one every time keeps it one span however often it is sent.
        started_at=min(starts, default=to.EPOCH),
        digest=_digest(trace),
        scope=SCOPE,
        attributes={f"metadata.{name}": value for name, value in kept.items()},
        **_of_trace(trace),
    )


def _span(item: Any, traces: dict[str, dict[str, Any]]) -> Reading | Refused:
    if not isinstance(item, dict) or item.get("object") != "trace.span":
        return Refused("not_a_span", "An item of `data` is an object `trace` or `trace.span`.")
    span_id, trace_id = to.text(item.get("id")), to.text(item.get("trace_id"))
    started_at = _moment(item.get("started_at"))
    if span_id is None or trace_id is None:
        return Refused("missing_id", "A span has an id and a trace_id.")
    if started_at is None:
        return Refused("invalid_started_at", "started_at is an ISO time with a zone.")
    said = to.mapping(item.get("span_data")) or {}
    kind = KINDS.get(str(said.get("type")), "chain")
    parent = to.text(item.get("parent_id"))
    values = {**_error(item.get("error")), **_content(said), **traces.get(trace_id, {})}
    if kind == "llm":
        values |= _call(said)
    elif kind == "tool":
        values["tool_name"] = to.text(said.get("name"))
    elif kind == "agent":
        values["agent_name"] = to.text(said.get("name"))
    return Reading(
        trace_id=ids.trace_id(trace_id),
        span_id=ids.span_id(span_id),
        parent_span_id=ids.span_id(parent) if parent else None,
        name=_name(said),
        started_at=started_at,
        ended_at=_moment(item.get("ended_at")),
        digest=_digest(item),
        kind=kind,
        scope=SCOPE,
        attributes=_attributes(said),
        **values,
    )


def _name(said: dict[str, Any]) -> str:
    kind = to.text(said.get("type")) or "span"
    if kind == "handoff":
        return f"handoff to {to.text(said.get('to_agent')) or 'nobody'}"
    return to.text(said.get("name")) or kind


def _call(said: dict[str, Any]) -> dict[str, Any]:
    output = said.get("output")
    inner = output[0] if isinstance(output, list) and len(output) == 1 else None
    whole = isinstance(inner, dict) and inner.get("object") == "response"
    response_id = to.text(said.get("response_id"))
    if whole and isinstance(inner, dict) and response_id is None:
        response_id = _real_id(inner)
    return {
        **usage.fields(said.get("usage")),
        "request_model": to.text(said.get("model")),
        "response_id": response_id,
    }


def _real_id(response: dict[str, Any]) -> str | None:
    """The id of an answer that the SDK put together itself, from a stream of chat completions."""
    messages = response.get("output")
    for message in messages if isinstance(messages, list) else []:
        said = to.text(to.pick(message, "provider_data", "response_id"))
        if said is not None:
            return said
    return None


def _content(said: dict[str, Any]) -> dict[str, Any]:
    output = to.content(said.get("output"))
    if isinstance(output, list) and len(output) == 1 and to.pick(output[0], "object") == "response":
        output = to.structured(output[0].get("output")) or output
    return {"input": to.content(said.get("input")), "output": output}


def _error(error: Any) -> dict[str, Any]:
    if not isinstance(error, dict):
        return {"status": "error", "error_message": to.text(error)} if error else {"status": "ok"}
    data = to.mapping(error.get("data")) or {}
    message, why = to.text(error.get("message")), to.text(data.get("error"))
    return {
        "status": "error",
        "error_type": to.text(data.get("type")) or to.error_type(why) or to.error_type(message),
        "error_message": f"{message}: {why}" if message and why else message or why,
    }


def _attributes(said: dict[str, Any]) -> dict[str, Any]:
    """What the span says beside, without what was not set. The usage of wrappers stays visible here."""
    read = {"input", "output", "model", "response_id"} | ({"usage"} if said.get("type") in KINDS else set())
    kept: dict[str, Any] = {}
    for name, value in said.items():
        if name in read or value in (None, "", [], {}):
            continue
        kept[name] = {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value
    return kept


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _digest(item: dict[str, Any]) -> bytes:
    try:
        raw = msgspec.json.encode(item, order="sorted")
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        raw = repr(sorted(map(repr, item))).encode("utf-8", "replace")
    return hashlib.blake2b(raw, digest_size=16).digest()

"""The Opik SDK's own bodies: `{"spans": [...]}` and `{"traces": [...]}`. Pure.

Names: `opik.rest_api.types.span_write` and `trace_write`. Every item is sent when it begins, a model call as of the
kind `general` then, and again when it has ended. A trace has a time, a name and who it was for; it becomes the span
around its outermost spans, so that they have from it what it says.
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

SCOPE = "opik"
KINDS = {"llm": "llm", "tool": "tool"}
"""`type`; `general` and `guardrail` are steps of a chain."""
ORIGINAL = "original_usage."
LIBRARY_TAGS = frozenset({"openai", "anthropic", "litellm", "langchain", "bedrock", "genai"})
"""What integrations put on the spans they make."""
READ = frozenset(
    (
        "id",
        "trace_id",
        "parent_span_id",
        "name",
        "type",
        "start_time",
        "end_time",
        "input",
        "output",
        "metadata",
        "model",
    )
    + ("tags", "usage", "error_info", "thread_id", "environment", "project_name", "last_updated_at")
)


def read_body(data: Any) -> list[Reading | Refused]:
    """A reading of each trace and span in the body, in order; in place of one that cannot be read, the reason. Never
    raises."""
    if not isinstance(data, dict):
        return [Refused("not_an_object", "The body is an object with a list `spans` or `traces`.")]
    found: list[Reading | Refused] = []
    for name, is_trace in (("traces", True), ("spans", False)):
        items = data.get(name)
        found += [_read(item, is_trace) for item in items] if isinstance(items, list) else []
    return found


def _read(item: Any, is_trace: bool) -> Reading | Refused:
    if not isinstance(item, dict):
        return Refused("not_an_object", "A span and a trace are objects.")
    own_id, trace_id = to.text(item.get("id")), to.text(item.get("id" if is_trace else "trace_id"))
    started_at = _moment(item.get("start_time"))
    if own_id is None or trace_id is None:
        return Refused("missing_id", "A span has an id and a trace_id, a trace an id.")
    if started_at is None:
        return Refused("invalid_start_time", "start_time is an ISO time with a zone.")
    kind = "chain" if is_trace else KINDS.get(str(item.get("type")), "chain")
    own = to.mapping(item.get("metadata")) or {}
    said = metadata.fields(own)
    values = {**said, **_content(item, kind), **_error(item.get("error_info"))}
    if kind == "llm":
        values |= _call(item, own, failed=values["status"] == "error")
    elif kind == "tool":
        values["tool_name"] = to.text(item.get("name"))
    return Reading(
        trace_id=ids.trace_id(trace_id),
        span_id=_around(trace_id) if is_trace else ids.span_id(own_id),
        parent_span_id=None if is_trace else _parent(item, trace_id),
        name=to.text(item.get("name")) or ("trace" if is_trace else "span"),
        started_at=started_at,
        ended_at=_moment(item.get("end_time")),
        digest=_digest(item),
        kind=kind,
        scope=SCOPE,
        service=to.text(item.get("project_name")),
        attributes=_attributes(item, own),
        **values
        | {
            "tags": [tag for tag in to.texts(item.get("tags")) or [] if tag not in LIBRARY_TAGS] or None,
            "session_id": to.text(item.get("thread_id")) or said.get("session_id"),
            "environment": to.text(item.get("environment")) or said.get("environment"),
        },
    )


def _around(trace_id: str) -> bytes:
    return ids.span_id(f"{trace_id} itself")


def _parent(item: dict[str, Any], trace_id: str) -> bytes:
    parent = to.text(item.get("parent_span_id"))
    return ids.span_id(parent) if parent else _around(trace_id)


def _call(item: dict[str, Any], own: dict[str, Any], *, failed: bool) -> dict[str, Any]:
    model = to.text(item.get("model")) or to.text(own.get("model"))
    cost = to.money(item.get("total_estimated_cost"))
    host = to.text(item.get("provider"))
    return {
        **_usage(item.get("usage"), own.get("usage")),
        "provider": to.provider(host) if host is not None and "." not in host and ":" not in host else None,
        "request_model" if failed else "response_model": model,
        "response_id": to.text(own.get("id")),
        "streamed": to.flag(own.get("stream")),
        "user_id": metadata.fields(own).get("user_id") or to.text(own.get("user")),
        "cost_usd": cost or None,
        "ttft_ms": to.milliseconds(item.get("ttft")),
    }


def _usage(said: Any, original: Any) -> dict[str, Any]:
    """The provider's own usage object, which Opik flattens into names such as `original_usage.prompt_tokens`."""
    whole: dict[str, Any] = {}
    for name, value in (said if isinstance(said, dict) else {}).items():
        if isinstance(name, str) and name.startswith(ORIGINAL):
            head, _, rest = name.removeprefix(ORIGINAL).partition(".")
            if rest:
                inner = whole.setdefault(head, {})
                if isinstance(inner, dict):
                    inner[rest] = value
            else:
                whole[head] = value
    return usage.fields(whole) or usage.fields(original) or usage.fields(said)


def _content(item: dict[str, Any], kind: str) -> dict[str, Any]:
    asked, answered = item.get("input"), item.get("output")
    if kind != "llm":
        return {"input": asked or None, "output": _only(answered)}
    messages = to.pick(asked, "messages")
    choices = to.pick(answered, "choices")
    choices = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    answers = [one["message"] for one in choices if isinstance(one.get("message"), dict)]
    found = answers or _only(answered)
    reason = choices[0].get("finish_reason") if choices else None
    return {"input": messages or asked or None, "output": found, "finish_reason": to.finish(reason)}


def _only(answered: Any) -> Any:
    """What a function returned: Opik puts anything but a dictionary into one of its own."""
    return answered["output"] if isinstance(answered, dict) and answered.keys() == {"output"} else answered or None


def _error(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict) or not said:
        return {"status": "ok"}
    kind, message = to.text(said.get("exception_type")), to.text(said.get("message"))
    return {"status": "error", "error_type": kind, "error_message": message or to.text(said.get("traceback"))}


def _attributes(item: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name not in READ and value not in (None, "", [], {})}
    kept |= {f"metadata.{name}": value for name, value in own.items() if name != "usage" and value is not None}
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

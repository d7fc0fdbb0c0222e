"""Logfire, its OpenAI and Anthropic instrumentations, and pydantic-ai.

A streamed call comes as two spans of one scope: the request, which ends when the stream begins, and a log without
length once the stream has ended, with the answer, the usage and the seconds it took.
"""

from __future__ import annotations

import re
from typing import Any

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects import usage
from apps.telemetry.dialects.content import finish_of
from apps.telemetry.dialects.table import Dialect, Draft, Several, Source
from apps.telemetry.types import CALL_KINDS

LATE, LAST = 60, 75
INSTRUMENTED = ("logfire.openai", "logfire.anthropic")
OWN_TAGS = frozenset({"LLM"})
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def _tags(value: Any) -> list[str] | None:
    """The caller's tags, without the one that the instrumentations put on every call."""
    return [tag for tag in to.texts(value) or [] if tag not in OWN_TAGS] or None


def _request(value: Any) -> dict[str, Any]:
    """What was asked, as older versions send it: the whole request in one attribute."""
    data = to.mapping(value) or {}
    asked = data.get("messages") or data.get("input")
    found = {"request_model": to.text(data.get("model")), "streamed": to.flag(data.get("stream"))}
    if asked is not None:
        rest = {f"request_data.{name}": one for name, one in data.items() if name not in {"messages", "input"}}
        return {**found, "input": to.content(asked), "attributes": rest}
    return found


def _response(value: Any) -> dict[str, Any]:
    """What was answered, as older versions send it."""
    data = to.mapping(value) or {}
    said = data.get("message") or data.get("combined_chunk_content") or data.get("text")
    return {**usage.fields(data.get("usage")), "output": [said] if isinstance(said, dict) else to.content(said)}


def _events(value: Any) -> dict[str, Any]:
    """Messages as older versions send them: events in one list, those of the answer among them."""
    given = to.structured(value)
    events = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not events or not all("event.name" in one for one in events):
        return {}
    answers = [one for one in events if one["event.name"] == "gen_ai.choice"]
    asked = [one for one in events if one["event.name"] != "gen_ai.choice"]
    if not answers and asked[-1].get("role") == "assistant":
        answers = [asked.pop()]
    return {"input": _messages(asked) or None, "output": _messages(answers) or None}


def _messages(events: list[dict[str, Any]]) -> list[Any]:
    return [
        one.get("message") or {name: part for name, part in one.items() if not name.startswith(("event.", "gen_ai."))}
        for one in events
    ]


def _finish(draft: Draft) -> None:
    said = to.text(draft.attributes.get("logfire.span_type"))
    if said == "pending_span":  # sent ahead of a span that comes later, under an id of its own
        draft.set("kind", "chain")
        return
    if draft.span.scope in INSTRUMENTED:
        _finish_call(draft, said)
    _finish_agent(draft)


def _finish_call(draft: Draft, said: str | None) -> None:
    if draft.kind is None and draft.get("request_model"):
        embeds = draft.span.name.startswith("Embedding")
        draft.fields["kind"] = "embedding" if embeds else "llm"
    if draft.kind not in CALL_KINDS:
        return
    if said == "log":
        length = to.seconds(draft.attributes.get("duration"))
        if length is not None:
            draft.fields["latency_ms"] = length
        draft.fields["streamed"] = True
        if _broke_off(draft):
            draft.fields |= {"finish_reason": "error", "status": "error"}
    elif draft.kind == "llm" and draft.span.status_code != 2 and not _answered(draft):
        draft.repeats = True
        draft.fields["streamed"] = True
        draft.set("response_model", None)


def _broke_off(draft: Draft) -> bool:
    """True for a stream whose messages have no reason for their end, as those of every stream that ended have, nor
    usage, as answers of the Responses API have. Older versions send no messages in this form."""
    return (
        "gen_ai.output.messages" in draft.attributes
        and draft.get("finish_reason") is None
        and draft.get("input_tokens") is None
        and finish_of(draft.get("output"), streamed=False) is None
    )


def _answered(draft: Draft) -> bool:
    return any(draft.get(field) is not None for field in ("output", "input_tokens", "output_tokens", "finish_reason"))


def _finish_agent(draft: Draft) -> None:
    """pydantic-ai makes up a conversation for every run that was given none."""
    if draft.span.scope != "pydantic-ai":
        return
    session = draft.attributes.get("gen_ai.conversation.id")
    if session is not None and draft.get("session_id") == session and UUID.match(str(session)):
        draft.set("session_id", None)
    if draft.kind is None:
        if "gen_ai.tool.name" in draft.attributes:
            draft.fields["kind"] = "tool"
        elif "agent_name" in draft.attributes:
            draft.fields["kind"] = "agent"
        elif "gen_ai.request.model" in draft.attributes:
            draft.fields["kind"] = "llm"


DIALECT = Dialect(
    name="logfire",
    sources=(
        Source("logfire.msg", "name", to.text),
        Source("logfire.tags", "tags", _tags, LATE),
        Source("operation.cost", "cost_usd", to.money),
        Source("gen_ai.usage.details.reasoning_tokens", "reasoning_tokens", to.count, LATE),
        Source("gen_ai.usage.details.cached_tokens", "cached_input_tokens", to.count, LATE),
        Source("gen_ai.usage.details.cache_read_tokens", "cached_input_tokens", to.count, LATE),
        Source("gen_ai.usage.details.cache_read_input_tokens", "cached_input_tokens", to.count, LATE),
        Source("gen_ai.usage.details.cache_write_tokens", "cache_write_tokens", to.count, LATE),
        Source("gen_ai.usage.details.cache_creation_input_tokens", "cache_write_tokens", to.count, LATE),
        Source("agent_name", "agent_name", to.text, LATE),
        Source("tool_arguments", "input", to.content, LATE),
        Source("tool_response", "output", to.content, LATE),
        Source("pydantic_ai.all_messages", "input", to.content, LATE),
        Source("all_messages_events", "input", to.content, LAST),
        Source("final_result", "output", to.content, LATE),
    ),
    several=(
        Several("gen_ai.usage.raw", usage.fields, LAST),
        Several("request_data", _request, LAST, keep=True),
        Several("response_data", _response, LAST),
        Several("events", _events, LAST),
    ),
    marks=("logfire.span_type",),
    scopes=("logfire", "pydantic-ai"),
    finish=_finish,
)

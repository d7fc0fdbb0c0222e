"""Langfuse's SDK, versions 3 to 5. Names: `langfuse._client.attributes`.

Usage is the provider's own object, so what it means is told by its names. Version 5 puts metadata into JSON quotes.
"""

from __future__ import annotations

from typing import Any

from apps.telemetry.dialects import content, usage
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Metadata, Several, Source

FIRST, LATE, LAST = 20, 60, 80

KINDS = {
    "generation": "llm",
    "embedding": "embedding",
    "retriever": "retriever",
    "tool": "tool",
    "agent": "agent",
    "chain": "chain",
    "span": "chain",
    "event": "chain",
    "evaluator": "chain",
    "guardrail": "chain",
}
OBSERVATION = "langfuse.observation."
OPENAI = "OpenAI-generation"
"""The name of a call by Langfuse's wrapper of the OpenAI client, unless the caller gave another."""


def environment(value: Any) -> str | None:
    """The environment, unless it is the word that the SDK sends when none was set."""
    said = to.text(value)
    return None if said == "default" else said


def _input(value: Any) -> dict[str, Any]:
    """The input, taken out of what the SDK wraps around it: messages with tools, or a function's arguments."""
    found = to.content(value)
    if isinstance(found, dict):
        if isinstance(found.get("messages"), list):
            rest = {f"{OBSERVATION}input.{name}": one for name, one in found.items() if name != "messages"}
            return {"input": found["messages"], "attributes": rest}
        if found.keys() == {"args", "kwargs"} and not found["args"]:
            return {"input": found["kwargs"]}
    return {} if found is None else {"input": found}


def _cost(value: Any) -> dict[str, Any]:
    """The client's cost; a total of nothing is what it says when it knows none."""
    details = to.mapping(value) or {}
    total = to.money(details.get("total"))
    if total is None:
        parts = [part for part in map(to.money, details.values()) if part is not None]
        total = sum(parts[1:], parts[0]) if parts else None
    return {"cost_usd": total} if total else {}


def _level(value: Any) -> str | None:
    return "error" if to.unquoted(value) == "ERROR" else None


def _broke_off(draft: Draft) -> bool:
    """True for a stream of the OpenAI wrapper that has neither a reason for its end, as every stream that ended has,
    nor usage, as answers of the Responses API have."""
    return (
        draft.span.name == OPENAI
        and draft.get("ttft_at") is not None
        and draft.get("finish_reason") is None
        and draft.get("input_tokens") is None
    )


def _finish(draft: Draft) -> None:
    kind = draft.kind
    if kind == "llm" and _broke_off(draft):
        draft.fields |= {"finish_reason": "error", "status": "error"}
    if draft.span.status_code == 2 and draft.get("request_model") is None:
        # A call that failed has no answer, so what is named is the model that was asked.
        model = draft.get("response_model")
        if model is not None:
            draft.fields["request_model"] = draft.fields.pop("response_model")
    if kind == "tool":
        draft.add("tool_name", draft.span.name)
    elif kind == "agent":
        draft.add("agent_name", draft.span.name)
    elif kind in {"retriever", "reranker"} and content.is_documents(draft.get("output")):
        draft.fields["documents"] = content.documents(draft.fields.pop("output"))


DIALECT = Dialect(
    name="langfuse",
    sources=(
        Source(f"{OBSERVATION}type", "kind", to.one_of(KINDS), FIRST, keep=True),
        Source(f"{OBSERVATION}model.name", "response_model", to.unquoted),
        Source(f"{OBSERVATION}level", "status", _level, keep=True),
        Source(f"{OBSERVATION}status_message", "error_message", to.unquoted),
        Source(f"{OBSERVATION}completion_start_time", "ttft_at", to.instant),
        Source(f"{OBSERVATION}metadata.finish_reason", "finish_reason", to.finish, LATE),
        Source(f"{OBSERVATION}output", "output", to.content),
        Source(f"{OBSERVATION}prompt.name", "prompt_name", to.unquoted),
        Source(f"{OBSERVATION}prompt.version", "prompt_version", to.unquoted),
        Source("langfuse.user.id", "user_id", to.text),
        Source("langfuse.session.id", "session_id", to.text),
        Source("langfuse.environment", "environment", environment),
        Source("langfuse.trace.tags", "tags", to.texts),
        Source("langfuse.trace.name", "feature", to.unquoted, LAST, keep=True),
        Source("langfuse.trace.output", "output", to.content, LAST),
    ),
    several=(
        Several(f"{OBSERVATION}usage_details", usage.fields, LATE, keep=True),
        Several(f"{OBSERVATION}cost_details", _cost, LATE, keep=True),
        Several(f"{OBSERVATION}input", _input),
        Several("langfuse.trace.input", _input, LAST),
    ),
    metadata=(
        Metadata("langfuse.trace.metadata.", to.opened),
        Metadata(f"{OBSERVATION}metadata.", to.opened, LATE),
    ),
    marks=(f"{OBSERVATION}type",),
    finish=_finish,
)

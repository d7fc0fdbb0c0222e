"""OpenLLMetry and the Traceloop SDK, old (`llm.request.type`, numbered prompts) and current (OpenTelemetry's names).

Names: https://github.com/traceloop/openllmetry, package opentelemetry-semantic-conventions-ai.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.telemetry.dialects import content
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Family, Metadata, Source

KINDS = {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool", "unknown": "chain"}
REQUEST_TYPES = {
    "chat": "llm",
    "completion": "llm",
    "acompletion": "llm",
    "embedding": "embedding",
    "aembedding": "embedding",
    "rerank": "reranker",
    "arerank": "reranker",
}
FIRST, LATE, LAST = 30, 65, 70


def _message(item: Mapping[str, Any], role: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": item.get("role") or role, "content": to.content(item.get("content"))}
    for name in ("tool_call_id", "finish_reason", "name"):
        if to.text(item.get(name)):
            message[name] = item[name]
    calls = [
        content.call(one.get("id"), one.get("name"), one.get("arguments"))
        for one in content.under(item, "tool_calls.").values()
    ]
    if "function_call.name" in item:
        calls.append(content.call(None, item["function_call.name"], item.get("function_call.arguments")))
    return {**message, "tool_calls": calls} if calls else message


def _messages(field: str, role: str, prefix: str) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        items, others = content.tree(pairs)
        found: Any = [_message(item, role) for item in items.values()]
        if found and not any("role" in item for item in items.values()) and field == "input":
            found = [one["content"] for one in found]  # texts to embed
            found = found[0] if len(found) == 1 else found
        return {field: found or None, "attributes": {prefix + name: value for name, value in others.items()}}

    return build


def _entity(value: Any) -> Any:
    """A function's arguments or result; of `{"args": [], "kwargs": {...}}` only what was given."""
    found = to.content(value)
    if isinstance(found, dict) and found.keys() == {"args", "kwargs"}:
        args, kwargs = found["args"], found["kwargs"]
        if not args or not kwargs:
            return kwargs or (args[0] if isinstance(args, list) and len(args) == 1 else args) or None
    return found


def _finish(draft: Draft) -> None:
    name = to.text(draft.attributes.get("traceloop.entity.name"))
    if draft.kind == "tool":
        draft.add("tool_name", name)
    if draft.kind == "agent":
        draft.add("agent_name", name)


DIALECT = Dialect(
    name="openllmetry",
    sources=(
        Source("traceloop.span.kind", "kind", to.one_of(KINDS), FIRST, keep=True),
        Source("llm.request.type", "kind", to.one_of(REQUEST_TYPES), LAST, keep=True),
        Source("llm.usage.total_tokens", "total_tokens", to.count, keep=True),
        Source("gen_ai.usage.cache_read_input_tokens", "cached_input_tokens", to.count),
        Source("gen_ai.usage.cache_creation_input_tokens", "cache_write_tokens", to.count),
        Source("gen_ai.usage.reasoning_tokens", "reasoning_tokens", to.count),
        Source("llm.usage.reasoning_tokens", "reasoning_tokens", to.count),
        Source("gen_ai.is_streaming", "streamed", to.flag),
        Source("llm.is_streaming", "streamed", to.flag),
        Source("traceloop.prompt.key", "prompt_name", to.text),
        Source("traceloop.prompt.version", "prompt_version", to.text),
        Source("traceloop.entity.input", "input", _entity, LATE),
        Source("traceloop.entity.output", "output", _entity, LATE),
        Source("traceloop.workflow.name", "feature", to.text, LAST),
        Source("gen_ai.user", "user_id", to.text, LAST),
    ),
    families=(
        Family("gen_ai.prompt.", _messages("input", "user", "gen_ai.prompt.")),
        Family("gen_ai.completion.", _messages("output", "assistant", "gen_ai.completion.")),
    ),
    metadata=(Metadata("traceloop.association.properties."),),
    marks=("traceloop.span.kind",),
    finish=_finish,
)

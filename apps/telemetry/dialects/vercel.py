"""The Vercel AI SDK up to version 6 (`ai.operationId`), and what version 7 sends beside OpenTelemetry's names.

Its outer spans (`ai.generateText`) repeat the usage of the calls within them and are chains; the calls themselves are
`ai.generateText.doGenerate` and the like. Names: https://ai-sdk.dev/docs/ai-sdk-core/telemetry
"""

from __future__ import annotations

import re
from typing import Any

from apps.telemetry.dialects import content
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Metadata, Source

KINDS = {
    "doGenerate": "llm",
    "doStream": "llm",
    "doEmbed": "embedding",
    "doRerank": "reranker",
    "toolCall": "tool",
}
"""By the last word of `ai.operationId`; any other operation is a chain."""

ATTEMPTS = re.compile(r"Failed after (\d{1,4}) attempts\.")
MAX_ATTEMPTS = 1_000

FIRST, EARLY, LATE, LAST = 35, 46, 60, 75


def _kind(value: Any) -> str | None:
    return KINDS.get(value.rpartition(".")[2], "chain") if isinstance(value, str) and value.startswith("ai.") else None


def _values(value: Any) -> Any:
    """Texts that are JSON one by one."""
    found = [to.content(one) for one in value] if isinstance(value, list) else to.content(value)
    return found[0] if isinstance(found, list) and len(found) == 1 else found or None


def _dimensions(value: Any) -> int | None:
    first = value[0] if isinstance(value, list) and value else value
    vector = to.structured(first)
    return len(vector) if isinstance(vector, list) else None


def _finish(draft: Draft) -> None:
    fields = draft.fields
    operation = draft.attributes.get("ai.operationId")
    last = operation.rpartition(".")[2] if isinstance(operation, str) else ""
    if last in {"doStream", "doGenerate"}:
        draft.add("streamed", last == "doStream")
    if "dimensions" in fields:
        draft.left["ai.embedding.dimensions"] = fields["dimensions"]
    calls, thought = fields.get("tool_calls"), fields.get("reasoning")
    if calls or thought:
        _answer(draft, calls or [], thought)


def _answer(draft: Draft, calls: list[Any], thought: str | None) -> None:
    """The text, the thoughts and the tool calls of an answer as one message."""
    text = draft.fields.get("output")
    if text is not None and not isinstance(text, str):
        return
    parts = [{"type": "reasoning", "text": thought}] if thought else []
    parts += [{"type": "text", "text": text}] if text else []
    message: dict[str, Any] = {"role": "assistant", "content": parts or None}
    made = [one for one in calls if isinstance(one, dict)]
    if made:
        message["tool_calls"] = [
            content.call(one.get("toolCallId"), one.get("toolName"), one.get("input", one.get("args"))) for one in made
        ]
    draft.fields["output"] = [message]


def _attempts(draft: Draft) -> None:
    """Version 7 has one span for a call and all its retries; how many there were stands in the error's message."""
    told = ATTEMPTS.match(draft.span.status_message)
    if told:
        draft.add("attempts", min(int(told[1]), MAX_ATTEMPTS))


DIALECT_7 = Dialect(name="vercel-7", sources=(), scopes=("gen_ai",), finish=_attempts)

DIALECT = Dialect(
    name="vercel",
    sources=(
        Source("ai.operationId", "kind", _kind, FIRST, keep=True),
        Source("ai.model.provider", "provider", to.provider),
        Source("ai.model.id", "request_model", to.text),
        Source("ai.response.model", "response_model", to.text),
        Source("ai.response.id", "response_id", to.text),
        Source("ai.usage.inputTokens", "input_tokens", to.count),
        Source("ai.usage.promptTokens", "input_tokens", to.count),
        Source("ai.usage.tokens", "input_tokens", to.count),
        Source("ai.usage.outputTokens", "output_tokens", to.count),
        Source("ai.usage.completionTokens", "output_tokens", to.count),
        Source("ai.usage.totalTokens", "total_tokens", to.count, keep=True),
        Source("ai.usage.inputTokenDetails.cacheReadTokens", "cached_input_tokens", to.count),
        Source("ai.usage.cachedInputTokens", "cached_input_tokens", to.count),
        Source("ai.usage.inputTokenDetails.cacheWriteTokens", "cache_write_tokens", to.count),
        Source("ai.usage.outputTokenDetails.reasoningTokens", "reasoning_tokens", to.count),
        Source("ai.usage.reasoningTokens", "reasoning_tokens", to.count),
        Source("ai.response.msToFirstChunk", "ttft_ms", to.milliseconds, EARLY),
        Source("ai.response.finishReason", "finish_reason", to.finish),
        Source("ai.prompt.messages", "input", to.content),
        Source("ai.prompt", "input", to.content, LATE),
        Source("ai.value", "input", to.content, LATE),
        Source("ai.values", "input", _values, LATE),
        Source("ai.response.text", "output", to.text),
        Source("ai.response.object", "output", to.content, LATE),
        Source("ai.response.reasoning", "reasoning", to.text),
        Source("ai.response.toolCalls", "tool_calls", to.structured),
        Source("ai.embedding", "dimensions", _dimensions),
        Source("ai.embeddings", "dimensions", _dimensions),
        Source("ai.toolCall.name", "tool_name", to.text),
        Source("ai.toolCall.args", "input", to.content, LATE),
        Source("ai.toolCall.result", "output", to.content, LATE),
        Source("ai.telemetry.functionId", "feature", to.text, LAST),
    ),
    metadata=(Metadata("ai.telemetry.metadata."), Metadata("ai.settings.context.")),
    marks=("ai.operationId",),
    finish=_finish,
)

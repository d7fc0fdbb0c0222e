"""OpenTelemetry's conventions for generative AI, current and before (1.30), and what callers put on spans of their own.

Names: https://github.com/open-telemetry/semantic-conventions-genai and, before, semantic conventions 1.28 to 1.40.
"""

from __future__ import annotations

from datetime import timedelta

from apps.telemetry.dialects import content, logs
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Metadata, Source
from apps.telemetry.log_content import LogRecord, assemble
from apps.telemetry.otlp import OtlpEvent

KINDS = {
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "completion": "llm",
    "acompletion": "llm",
    "embeddings": "embedding",
    "embedding": "embedding",
    "aembedding": "embedding",
    "retrieval": "retriever",
    "rerank": "reranker",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
    "agent_step": "chain",
}
"""`gen_ai.operation.name`; `agent_step` is the Vercel AI SDK's, `acompletion` and `aembedding` are LiteLLM's."""

FIRST, BEFORE, LATE, LAST = 40, 45, 60, 70


def _first_chunk(draft: Draft, event: OtlpEvent) -> bool:
    known = draft.fields.get("ttft_at")
    if known is None or event.time_ns < known:
        draft.fields["ttft_at"] = event.time_ns
    return True


def _exception(draft: Draft, event: OtlpEvent) -> bool:
    if draft.span.status_code != 2 and draft.get("status") != "error":
        return False
    draft.add("error_type", to.text(event.attributes.get("exception.type")))
    draft.add("error_message", to.text(event.attributes.get("exception.message")))
    return True


def _evaluation(draft: Draft, event: OtlpEvent) -> bool:
    found = logs.score(event.attributes)
    if found is None:
        return False
    if event.time_ns:
        found.at = to.EPOCH + timedelta(microseconds=event.time_ns // 1_000)
    draft.scores.append(found)
    return True


def _message(draft: Draft, event: OtlpEvent) -> bool:
    """Content that came as an event: one message, or (`...operation.details`) all of the call's."""
    sent = event.attributes
    body = to.structured(sent.get("gen_ai.event.content")) or {
        name: value for name, value in sent.items() if name not in {"gen_ai.system", "gen_ai.event.content"}
    }
    said = assemble([LogRecord(event.name, to.EPOCH, body, sent)])
    if not to.is_json([said.input, said.output]):
        return False
    for field, several in (("event_input", said.input), ("event_output", said.output)):
        known = draft.fields.get(field)
        if several:
            draft.fields[field] = [*known, *several] if isinstance(known, list) else several
    return bool(said.input or said.output)


def _prompt(draft: Draft, event: OtlpEvent) -> bool:
    draft.add("event_input", to.content(event.attributes.get("gen_ai.prompt")))
    return "gen_ai.prompt" in event.attributes


def _completion(draft: Draft, event: OtlpEvent) -> bool:
    draft.add("event_output", to.content(event.attributes.get("gen_ai.completion")))
    return "gen_ai.completion" in event.attributes


DIALECT = Dialect(
    name="otel-genai",
    sources=(
        Source("gen_ai.operation.name", "kind", to.one_of(KINDS), LATE, keep=True),
        Source("gen_ai.provider.name", "provider", to.provider),
        Source("gen_ai.system", "provider", to.provider),
        Source("gen_ai.request.model", "request_model", to.text),
        Source("gen_ai.response.model", "response_model", to.text),
        Source("gen_ai.response.id", "response_id", to.text),
        Source("gen_ai.usage.input_tokens", "input_tokens", to.count),
        Source("gen_ai.usage.prompt_tokens", "input_tokens", to.count, LATE),
        Source("gen_ai.usage.output_tokens", "output_tokens", to.count),
        Source("gen_ai.usage.completion_tokens", "output_tokens", to.count, LATE),
        Source("gen_ai.usage.total_tokens", "total_tokens", to.count, keep=True),
        Source("gen_ai.usage.cache_read.input_tokens", "cached_input_tokens", to.count),
        Source("gen_ai.usage.cache_write.input_tokens", "cache_write_tokens", to.count),
        Source("gen_ai.usage.cache_creation.input_tokens", "cache_write_tokens", to.count),
        Source("openai.response.service_tier", "service_tier", to.text, FIRST),
        Source("gen_ai.openai.response.service_tier", "service_tier", to.text),
        Source("gen_ai.response.service_tier", "service_tier", to.text, LATE),
        Source("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens", to.count),
        Source("gen_ai.request.stream", "streamed", to.flag),
        Source("gen_ai.response.time_to_first_chunk", "ttft_ms", to.seconds, FIRST),
        Source("gen_ai.client.operation.time_to_first_chunk", "ttft_ms", to.seconds, BEFORE),
        Source("gen_ai.response.finish_reasons", "finish_reason", to.finish),
        Source("error.type", "error_type", to.text, FIRST),
        Source("gen_ai.input.messages", "input", to.content, FIRST),
        Source("gen_ai.output.messages", "output", to.content, FIRST),
        Source("gen_ai.system_instructions", "system", to.content, FIRST),
        Source("gen_ai.retrieval.query.text", "input", to.content, FIRST),
        Source("gen_ai.retrieval.documents", "documents", content.documents, FIRST),
        Source("gen_ai.tool.call.arguments", "input", to.content, LATE),
        Source("gen_ai.tool.call.result", "output", to.content, LATE),
        Source("gen_ai.prompt", "input", to.content, LAST),
        Source("gen_ai.completion", "output", to.content, LAST),
        Source("gen_ai.tool.name", "tool_name", to.text, FIRST),
        Source("gen_ai.agent.name", "agent_name", to.text, FIRST),
        Source("gen_ai.prompt.name", "prompt_name", to.text, FIRST),
        Source("gen_ai.prompt.version", "prompt_version", to.text, FIRST),
        Source("user.id", "user_id", to.text, FIRST),
        Source("enduser.id", "user_id", to.text, FIRST),
        Source("session.id", "session_id", to.text, FIRST),
        Source("gen_ai.conversation.id", "session_id", to.text, LAST),
        Source("feature", "feature", to.text, FIRST),
        Source("tags", "tags", to.texts, LATE),
        Source("prompt.name", "prompt_name", to.text, LATE),
        Source("prompt.version", "prompt_version", to.text, LATE),
        Source("deployment.environment.name", "environment", to.text),
        Source("deployment.environment", "environment", to.text),
        Source("service.name", "service", to.text),
    ),
    metadata=(Metadata("prodworthy.", rank=FIRST),),
    events={
        "exception": _exception,
        "gen_ai.evaluation.result": _evaluation,
        "gen_ai.content.prompt": _prompt,
        "gen_ai.content.completion": _completion,
        **dict.fromkeys(logs.CONTENT_EVENTS, _message),
        "gen_ai.content.completion.chunk": _first_chunk,
        "llm.content.completion.chunk": _first_chunk,
        "First Token Stream Event": _first_chunk,
        "ai.stream.firstChunk": _first_chunk,
    },
)

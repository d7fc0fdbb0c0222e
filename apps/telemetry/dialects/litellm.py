"""LiteLLM's OpenTelemetry callback: version 1 (`litellm_request` spans), version 2, and the proxy's spans.

Version 1 writes Python's `repr` where others write JSON, and everything as text. Its child span `raw_gen_ai_request`
(also named by the caller's `generation_name`) repeats the call and says nothing of its kind; only its content is kept.
"""

from __future__ import annotations

from typing import Any

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects import metadata, usage
from apps.telemetry.dialects.table import Dialect, Draft, Metadata, Several, Source
from apps.telemetry.types import CALL_KINDS

LATE, LAST = 65, 75

CALLS = {
    "completion": "llm",
    "text_completion": "llm",
    "chat_completion": "llm",
    "responses": "llm",
    "anthropic_messages": "llm",
    "generate_content": "llm",
    "generate_content_stream": "llm",
    "pass_through_endpoint": "llm",
    "embedding": "embedding",
    "rerank": "reranker",
    "search": "retriever",
    "vector_store_search": "retriever",
    "call_mcp_tool": "tool",
}
"""`call_type` without the `a` of calls that were awaited."""


def kind_of_call(call_type: Any) -> str | None:
    """The kind of span that a `call_type` means, such as `acompletion`; None for what is no step of an answer."""
    if not isinstance(call_type, str):
        return None
    return CALLS.get(call_type) or (CALLS.get(call_type[1:]) if call_type[:1] == "a" else None)


def without_prefix(model: str | None, provider: str | None) -> str | None:
    """A model's name without the provider that LiteLLM puts before it: `openai/gpt-4o-mini`."""
    if model is not None and provider and model.startswith(f"{provider}/"):
        return model[len(provider) + 1 :] or model
    return model


def _usage(value: Any) -> dict[str, Any]:
    return usage.fields(value)


def _requester(value: Any) -> dict[str, Any]:
    return metadata.fields(value)


def _finish(draft: Draft) -> None:
    left = draft.left
    for name in [name for name, value in left.items() if value == "" and name.startswith("metadata.")]:
        del left[name]
    if draft.kind in CALL_KINDS:
        _name_model(draft)
        for name in left.keys() & _RAW_USAGE:
            for field, value in usage.fields(left[name]).items():
                draft.add(field, value)
    elif draft.kind is None:
        _keep_content(draft)


_RAW_USAGE = frozenset({"llm.openai.usage", "llm.anthropic.usage", "llm.azure.usage", "llm.None.usage"})


def _name_model(draft: Draft) -> None:
    """The provider before the model's name, where none was said apart."""
    said = to.text(draft.attributes.get("litellm.provider.model"))
    prefix, slash, model = (said or "").partition("/")
    if slash and model:
        draft.add("provider", to.provider(prefix))
        draft.add("request_model", model)
    elif said:
        draft.add("request_model", said)
    asked = draft.get("request_model")
    if asked is not None and slash and asked == said:
        draft.fields["request_model"] = model


def _keep_content(draft: Draft) -> None:
    """The content of a `raw_gen_ai_request`, whose names hold the provider's: `llm.openai.messages`."""
    for name, value in list(draft.left.items()):
        if not name.startswith("llm."):
            continue
        field = _CONTENT.get(name.rpartition(".")[2])
        found = to.content(value) if field else None
        if field and found is not None and field not in draft.fields:
            draft.fields[field] = _messages(found) if field == "output" else found
            del draft.left[name]


_CONTENT = {"messages": "input", "input": "input", "choices": "output", "output": "output", "content": "output"}


def _messages(choices: Any) -> Any:
    if isinstance(choices, list) and choices and all(isinstance(one, dict) and "message" in one for one in choices):
        return [one["message"] for one in choices]
    return choices


DIALECT = Dialect(
    name="litellm",
    sources=(
        Source("gen_ai.operation.name", "kind", kind_of_call, LATE, keep=True),
        Source("llm.request.type", "kind", kind_of_call, LAST, keep=True),
        Source("litellm.call_id", "call_id", to.text),
        Source("gen_ai.cost.total_cost", "cost_usd", to.money),
        Source("litellm.cost.total", "cost_usd", to.money),
        Source("litellm.request.streaming", "streamed", to.flag),
        Source("llm.is_streaming", "streamed", to.flag),
        Source("metadata.user_api_key_end_user_id", "user_id", to.text, LATE),
        Source("llm.user", "user_id", to.text, LAST),
    ),
    several=(
        Several("metadata.usage_object", _usage, LATE),
        Several("metadata.requester_metadata", _requester, LATE, keep=True),
        Several("metadata.spend_logs_metadata", _requester, LAST, keep=True),
    ),
    metadata=(Metadata("metadata.", to.opened, LATE),),
    marks=("litellm.call_id", "metadata.usage_object"),
    scopes=("litellm",),
    finish=_finish,
)

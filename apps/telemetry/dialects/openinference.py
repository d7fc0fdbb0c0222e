"""OpenInference (Arize): `openinference.span.kind`, messages and documents flattened into numbered attributes.

Names: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from apps.telemetry.dialects import content, metadata
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Family, Several, Source

KINDS = {
    "LLM": "llm",
    "EMBEDDING": "embedding",
    "RETRIEVER": "retriever",
    "RERANKER": "reranker",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "chain",
    "PROMPT": "chain",
    "GUARDRAIL": "chain",
    "EVALUATOR": "chain",
    "DECISION": "chain",
    "UNKNOWN": "chain",
}
FIRST, LATE, LAST = 10, 60, 70


class Named(msgspec.Struct):
    """Where LangChain puts what an answer says of itself."""

    id: str | None = None


class Answer(msgspec.Struct):
    """The part of a raw answer (`output.value`) that no attribute of its own repeats."""

    id: str | None = None
    llm_output: Named | None = None


_answer = msgspec.json.Decoder(Answer)


def _invocation(value: Any) -> dict[str, Any]:
    given = to.mapping(value) or {}
    found: dict[str, Any] = {"request_model": to.text(given.get("model")) or to.text(given.get("model_name"))}
    streamed = to.flag(given.get("stream"))
    # LangChain's parameters (`_type`) are the model's defaults: what they say of streaming is not about this call.
    if streamed or "_type" not in given:
        found["streamed"] = streamed
    return {field: one for field, one in found.items() if one is not None}


_SIMPLE = {"message.role", "message.content"}


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    if item.keys() <= _SIMPLE:
        return {"role": item.get("message.role") or "assistant", "content": item.get("message.content")}
    given = {name.removeprefix("message."): value for name, value in item.items()}
    message: dict[str, Any] = {"role": given.get("role") or "assistant"}
    parts = [_part(one) for one in content.under(given, "contents.").values()]
    if "content" in given or parts:
        message["content"] = parts if parts and not given.get("content") else given.get("content")
    for name in ("tool_call_id", "name", "finish_reason"):
        if to.text(given.get(name)):
            message[name] = given[name]
    calls = [
        content.call(
            one.get("tool_call.id"), one.get("tool_call.function.name"), one.get("tool_call.function.arguments")
        )
        for one in content.under(given, "tool_calls.").values()
    ]
    if "function_call_name" in given:
        calls.append(content.call(None, given["function_call_name"], given.get("function_call_arguments_json")))
    if calls:
        message["tool_calls"] = calls
    message.setdefault("content", None)
    return message


def _part(item: Mapping[str, Any]) -> dict[str, Any]:
    part = {name.removeprefix("message_content."): value for name, value in item.items()}
    if "image.image.url" in part:
        return {"type": "image_url", "image_url": {"url": part["image.image.url"]}}
    return {"type": "text", **part}


def _messages(field: str) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        items, _others = content.tree(pairs)
        found = [_message(item) for item in items.values()]
        # LangChain's chains name the roles only; what was said is in `input.value` then.
        return {field: found if any(one["content"] or "tool_calls" in one for one in found) else None}

    return build


def _texts(field: str, inner: str, role: str) -> Any:
    """Prompts and completions that are no messages: `llm.prompts.0.prompt.text`."""

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        items, _others = content.tree(pairs)
        found = [{"role": role, "content": item.get(inner) or next(iter(item.values()))} for item in items.values()]
        return {field: found or None}

    return build


def _document(item: Mapping[str, Any]) -> dict[str, Any]:
    return content.document({name.removeprefix("document."): value for name, value in item.items()})


def _retrieved(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items, _others = content.tree(pairs)
    return {"documents": [_document(item) for item in items.values()] or None}


def _reranked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A reranker's documents: the score that each came with, and the score that it was given."""
    lists: dict[str, list[tuple[str, Any]]] = {"input_documents": [], "output_documents": []}
    found: dict[str, Any] = {"attributes": {}}
    for name, value in pairs:
        head, _, rest = name.partition(".")
        if head in lists:
            lists[head].append((rest, value))
        elif head == "query":
            found["input"] = to.content(value)
        elif head == "model_name":
            found["request_model"] = to.text(value)
        else:
            found["attributes"][f"reranker.{name}"] = value
    found["documents"] = rerank(
        [_document(item) for item in content.tree(lists["input_documents"])[0].values()],
        [_document(item) for item in content.tree(lists["output_documents"])[0].values()],
    )
    return found


def rerank(given: list[dict[str, Any]], ranked: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Documents as a reranker ordered them, best first, then those it dropped; matched by id, else by content."""
    left = list(given)
    found = []
    for one in ranked:
        before = next((other for other in left if _same(one, other)), None)
        if before is not None:
            left.remove(before)
        document = {**(before or {}), **{name: value for name, value in one.items() if name != "score"}}
        if "score" in one:
            document["rerank_score"] = one["score"]
        found.append(document)
    return found + left or None


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    name = "id" if "id" in one and "id" in other else "content"
    return name in one and one[name] == other.get(name)


def _embedded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The texts that were embedded; of the vectors only their length."""
    items, others = content.tree(pairs)
    found: dict[str, Any] = {"attributes": {f"embedding.embeddings.{name}": value for name, value in others.items()}}
    texts = [item["embedding.text"] for item in items.values() if "embedding.text" in item]
    vector = next((item["embedding.vector"] for item in items.values() if "embedding.vector" in item), None)
    if isinstance(vector, list):
        found["attributes"]["embedding.dimensions"] = len(vector)
    found["input"] = (texts[0] if len(texts) == 1 else texts) if texts else None
    return found


def _finish(draft: Draft) -> None:
    finish = _BY_KIND.get(draft.kind or "")
    if finish is not None:
        finish(draft)


def _finish_llm(draft: Draft) -> None:
    fields, attributes = draft.fields, draft.attributes
    counted = "input_tokens" in fields or "output_tokens" in fields
    answered = counted or draft.span.status_code == 2 or _has_output_messages(attributes)
    if not answered:
        draft.set("kind", "chain")  # LlamaIndex calls its preparations LLM too
        return
    raw = attributes.get("output.value")
    if "response_id" not in fields and isinstance(raw, str) and raw[:1] == "{" and len(raw) < to.MAX_PARSED_CHARS:
        draft.add("response_id", _id_in(raw))


def _has_output_messages(attributes: Mapping[str, Any]) -> bool:
    return any(name.startswith("llm.output_messages.") for name in attributes)


def _id_in(raw: str) -> str | None:
    try:
        answer = _answer.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return to.text(answer.id) or (to.text(answer.llm_output.id) if answer.llm_output else None)


def _finish_retriever(draft: Draft) -> None:
    """LangChain tells the ids of documents only in its raw output; LlamaIndex has them in both places."""
    fields = draft.fields
    raw = to.structured(fields.get("output"))
    if not content.is_documents(raw):
        return
    sent = content.documents(raw) or []
    known = fields.get("documents") or [{}] * len(sent)
    if len(known) == len(sent):
        fields["documents"] = [{**more, **one} for one, more in zip(known, sent, strict=True)]
        fields.pop("output", None)


def _finish_embedding(draft: Draft) -> None:
    """The raw answer is vectors; nobody reads them."""
    draft.fields.pop("output", None)


def _finish_tool(draft: Draft) -> None:
    fields = draft.fields
    draft.add("tool_name", draft.span.name)
    answer = fields.get("output")
    if isinstance(answer, dict) and answer.get("type") == "tool" and isinstance(answer.get("data"), dict):
        fields["output"] = to.content(answer["data"].get("content"))


def _finish_agent(draft: Draft) -> None:
    draft.add("agent_name", to.text(to.pick(to.mapping(draft.attributes.get("metadata")), "lc_agent_name")))
    draft.add("agent_name", draft.span.name)


_BY_KIND = {
    "llm": _finish_llm,
    "embedding": _finish_embedding,
    "retriever": _finish_retriever,
    "tool": _finish_tool,
    "agent": _finish_agent,
}

DIALECT = Dialect(
    name="openinference",
    sources=(
        Source("openinference.span.kind", "kind", to.one_of(KINDS), FIRST, keep=True),
        Source("llm.provider", "provider", to.provider),
        Source("llm.system", "provider", to.provider),
        Source("llm.request.model_name", "request_model", to.text),
        Source("llm.response.model_name", "response_model", to.text),
        Source("llm.model_name", "response_model", to.text),
        Source("embedding.model_name", "response_model", to.text),
        Source("llm.token_count.prompt", "input_tokens", to.count),
        Source("llm.token_count.completion", "output_tokens", to.count),
        Source("llm.token_count.total", "total_tokens", to.count, keep=True),
        Source("llm.token_count.prompt_details.cache_read", "cached_input_tokens", to.count),
        Source("llm.token_count.prompt_details.cache_write", "cache_write_tokens", to.count),
        Source("llm.token_count.completion_details.reasoning", "reasoning_tokens", to.count),
        Source("llm.cost.total", "cost_usd", to.money),
        Source("llm.finish_reason", "finish_reason", to.finish),
        Source("input.value", "input", to.content, LATE),
        Source("output.value", "output", to.content, LATE),
        Source("input.mime_type", "input_type", to.text),
        Source("output.mime_type", "output_type", to.text),
        Source("tool.name", "tool_name", to.text),
        Source("agent.name", "agent_name", to.text),
        Source("tag.tags", "tags", to.texts),
        Source("prompt.id", "prompt_name", to.text),
        Source("llm.prompt_template.name", "prompt_name", to.text),
        Source("llm.prompt_template.version", "prompt_version", to.text),
    ),
    several=(
        Several("llm.invocation_parameters", _invocation, keep=True),
        Several("embedding.invocation_parameters", _invocation, keep=True),
        Several("metadata", metadata.fields, LATE, keep=True),
    ),
    families=(
        Family("llm.input_messages.", _messages("input")),
        Family("llm.output_messages.", _messages("output")),
        Family("llm.prompts.", _texts("input", "prompt.text", "user"), LATE),
        Family("llm.choices.", _texts("output", "completion.text", "assistant"), LATE),
        Family("retrieval.documents.", _retrieved),
        Family("reranker.", _reranked),
        Family("embedding.embeddings.", _embedded),
    ),
    marks=("openinference.span.kind",),
    finish=_finish,
)

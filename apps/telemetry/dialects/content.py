"""Messages and documents out of the shapes clients send them in. Pure; nothing raises on what a client sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apps.telemetry.dialects import converting as to

MAX_INDEX = 100_000


def documents(value: Any) -> list[dict[str, Any]] | None:
    """Retrieved documents as `{"id", "score", "content", "metadata"}`, from a list of objects or texts, or its JSON."""
    given = to.structured(value)
    if isinstance(given, dict):
        given = next((given[name] for name in ("documents", "results", "matches", "nodes") if name in given), None)
    if not isinstance(given, list):
        return None
    return [document(one) for one in given] or None


def is_documents(value: Any) -> bool:
    """True for a list of objects that look like retrieved documents."""
    given = value.get("documents") if isinstance(value, dict) else value
    return (
        isinstance(given, list)
        and bool(given)
        and all(isinstance(one, dict) and not one.keys().isdisjoint(_LIKE_DOCUMENTS) for one in given)
        and not any("role" in one for one in given)
    )


_LIKE_DOCUMENTS = frozenset({"score", "page_content", "content", "text", "document", "node"})


def document(value: Any) -> dict[str, Any]:
    """One retrieved document under our names; what else it says is its metadata."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], dict) and to.number(value[1]) is not None:
        return {**document(value[0]), "score": to.number(value[1])}
    if not isinstance(value, dict):
        return {"content": value if isinstance(value, str) else str(value)}
    for name in ("document", "node"):
        if isinstance(value.get(name), dict):
            return {**document(value[name]), **document({key: one for key, one in value.items() if key != name})}
    rest = dict(value)
    found: dict[str, Any] = {}
    _move(rest, found, "id", ("id", "document_id", "doc_id", "chunk_id", "id_"), to.text)
    _move(rest, found, "score", ("score", "relevance_score", "similarity"), to.number)
    _move(rest, found, "rerank_score", ("rerank_score", "reranker_score"), to.number)
    _move(rest, found, "content", ("content", "page_content", "text", "document"), to.text)
    metadata = to.mapping(rest.pop("metadata", None)) or {}
    rest = {name: one for name, one in rest.items() if name not in _NOISE and one is not None}
    if metadata or rest:
        found["metadata"] = {**rest, **metadata}
    _move(metadata, found, "score", ("score", "relevance_score", "_score"), to.number)
    _move(metadata, found, "id", ("id", "document_id", "doc_id", "chunk_id", "_id"), to.text)
    return found


_NOISE = frozenset({"type", "embedding", "vector", "class_name"})


def _move(rest: dict[str, Any], found: dict[str, Any], field: str, names: Iterable[str], convert: to.Read) -> None:
    for name in names:
        value = convert(rest.get(name)) if name in rest else None
        if value is not None and field not in found:
            found[field] = value
            del rest[name]
            return


def tree(pairs: Iterable[tuple[str, Any]]) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """Flattened attributes (`0.role`, `0.tool_calls.1.name`) by their first number, and those that begin with none.

    The rest of each name is left flat: `{0: {"role": ..., "tool_calls.1.name": ...}}`.
    """
    items: dict[str, dict[str, Any]] = {}
    others: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition(".")
        item = items.get(head)
        if item is not None and rest:
            item[rest] = value
        elif rest and head.isascii() and head.isdigit() and len(head) < 7:
            items[head] = {rest: value}
        else:
            others[name] = value
    return {number: items[head] for number, head in sorted((int(head), head) for head in items)}, others


def under(item: Mapping[str, Any], prefix: str) -> dict[int, dict[str, Any]]:
    """The numbered parts below a prefix, such as the tool calls of a message; by number."""
    return tree((name[len(prefix) :], value) for name, value in item.items() if name.startswith(prefix))[0]


def call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call as OpenAI writes it."""
    found: dict[str, Any] = {"id": call_id} if call_id else {}
    return {**found, "type": "function", "function": {"name": name, "arguments": arguments}}


def finish_of(messages: Any, *, streamed: bool) -> str | None:
    """The reason that messages themselves give for their end, in our words; None if they give none.

    An empty reason at the end of a stream says that it broke off: every provider ends a stream with a reason.
    """
    if not isinstance(messages, list):
        return None
    reasons = [one["finish_reason"] for one in messages if isinstance(one, dict) and "finish_reason" in one]
    found = next((reason for reason in map(to.finish, reasons) if reason is not None), None)
    return "error" if found is None and streamed and "" in reasons else found

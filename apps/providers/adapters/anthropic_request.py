"""A request in OpenAI's shape, in the words of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from apps.providers.calls import ModelRequest, Target

ANSWER = "answer"
"""The tool whose input is the answer, when the answer shall meet a schema."""
MAX_TOKENS = 4096
"""Anthropic asks for a limit in every request; this one is taken where the request has none."""
TRANSLATED = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_completion_tokens", "stop", "tool_choice"),
        *("parallel_tool_calls", "response_format", "user"),
    }
)
"""Parameters that are worded differently, or that the request itself decides. All others are passed on as they are."""


def body_of(target: Target, request: ModelRequest) -> dict[str, Any]:
    """The body of a call to `/v1/messages`."""
    given = request.parameters
    body: dict[str, Any] = {"model": target.model, "max_tokens": given.get("max_completion_tokens") or MAX_TOKENS}
    body |= {name: value for name, value in given.items() if name not in TRANSLATED and value is not None}
    system = "\n\n".join(_plain(message) for message in request.messages if _is_system(message))
    if system:
        body["system"] = system
    body["messages"] = _turns(message for message in request.messages if not _is_system(message))
    if stop := given.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    body |= _tools(request)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return body


def _tools(request: ModelRequest) -> dict[str, Any]:
    """The tools and which of them the model must use, the one that stands for the answer among them."""
    tools = [_tool(tool.get("function") or {}) for tool in request.tools]
    choice = _choice(request.parameters.get("tool_choice"))
    if request.response_schema is not None:
        # Anthropic lets nobody force a tool on a model that thinks first.
        forced = {"type": "any"} if tools else {"type": "tool", "name": ANSWER}
        choice = {"type": "auto"} if "thinking" in request.parameters else forced
        tools.append(
            {"name": ANSWER, "description": "Give your answer.", "input_schema": dict(request.response_schema)}
        )
    if not tools:
        return {}
    if request.parameters.get("parallel_tool_calls") is False:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {"tools": tools} | ({"tool_choice": choice} if choice else {})


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    tool = {"name": function.get("name", ""), "input_schema": function.get("parameters") or {"type": "object"}}
    return tool | ({"description": function["description"]} if function.get("description") else {})


def _choice(given: object) -> dict[str, Any] | None:
    if isinstance(given, str):
        kind = {"auto": "auto", "required": "any", "none": "none"}.get(given)
        return {"type": kind} if kind else None
    if isinstance(given, Mapping) and isinstance(given.get("function"), Mapping):
        return {"type": "tool", "name": given["function"].get("name", "")}
    return None


def _turns(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """User and assistant in turn. What follows from the same side is one turn, as results of parallel tools must be."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.get("role") == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = _content(message.get("content"))
    if message.get("role") in {"tool", "function"}:
        return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id", ""), "content": content}]
    calls = message.get("tool_calls") or ()
    return content + [_tool_use(call) for call in calls if isinstance(call, Mapping)]


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments") or "{}"
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, RecursionError):
            arguments = {"arguments": arguments}  # a model's broken JSON, shown to it as it was
    if not isinstance(arguments, dict):
        arguments = {"arguments": arguments}
    return {"type": "tool_use", "id": call.get("id", ""), "name": function.get("name", ""), "input": arguments}


def _content(content: object) -> list[dict[str, Any]]:
    """Blocks of text and images. An empty text is left out: Anthropic takes none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    parts = content if isinstance(content, list | tuple) else []
    return [block for part in parts if isinstance(part, Mapping) and (block := _block(part))]


def _block(part: Mapping[str, Any]) -> dict[str, Any] | None:
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"]} if part.get("text") else None
    if part.get("type") != "image_url":
        return dict(part)
    image = part.get("image_url")
    url = str(image.get("url", "")) if isinstance(image, Mapping) else str(image)
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _plain(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n\n".join(block["text"] for block in _content(content) if block.get("type") == "text")


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in {"system", "developer"}

"""What the fake provider says, in the words of OpenAI and of Anthropic: whole, and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WORDS = ("Paris ", "is ", "the ", "capital ", "of ", "France.")


@dataclass(frozen=True)
class Answer:
    """What the models say."""

    pieces: tuple[str, ...] = WORDS
    tools: tuple[tuple[str, str, str], ...] = ()
    """Calls of tools: id, name, arguments as JSON text."""
    finish_reason: str | None = None
    """As OpenAI words it; `stop`, or `tool_calls` when there are tools, if None."""
    usage: Mapping[str, Any] | None = None
    """As the protocol words it, instead of the usual one."""
    pause_seconds: float = 0.0
    """Between two pieces of a stream."""


def _event(content: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(content).encode() + b"\n\n"


def _openai_usage(answer: Answer) -> Any:
    usual = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    return usual if answer.usage is None else answer.usage


def _finish(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tools else "stop")


def openai_whole(answer: Answer, model: str) -> dict[str, Any]:
    """A chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.pieces) or None}
    if answer.tools:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in answer.tools
        ]
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "model": f"{model}-2026-01-01",
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
        "usage": _openai_usage(answer),
    }


def openai_events(answer: Answer, body: Mapping[str, Any]) -> list[bytes]:
    """A chat completion as the events of a stream."""
    model = str(body.get("model"))
    frame = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "model": f"{model}-2026-01-01"}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return _event({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in answer.pieces]
    for index, (id, name, arguments) in enumerate(answer.tools):
        first = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [first]}))
        events += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 5]}}]})
            for at in range(0, len(arguments), 5)
        ]
    events.append(chunk({}, _finish(answer)))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(_event({**frame, "choices": [], "usage": _openai_usage(answer)}))
    return [*events, b"data: [DONE]\n\n"]


def _anthropic_usage(answer: Answer) -> Any:
    usual = {
        "input_tokens": 12,
        "cache_read_input_tokens": 8,
        "cache_creation_input_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 9,
    }
    return usual if answer.usage is None else answer.usage


def _stop_reason(answer: Answer) -> str:
    return {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}.get(_finish(answer), _finish(answer))


def anthropic_whole(answer: Answer, model: str) -> dict[str, Any]:
    """A message."""
    text = "".join(answer.pieces)
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [
        {"type": "tool_use", "id": id, "name": name, "input": json.loads(arguments)}
        for id, name, arguments in answer.tools
    ]
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-20260101",
        "content": content,
        "stop_reason": _stop_reason(answer),
        "usage": _anthropic_usage(answer),
    }


def anthropic_events(answer: Answer, model: str) -> list[bytes]:
    """A message as the events of a stream."""
    usage = dict(_anthropic_usage(answer))
    message = {
        **anthropic_whole(answer, model),
        "content": [],
        "stop_reason": None,
        "usage": usage | {"output_tokens": 1},
    }
    events = [
        _event({"type": "message_start", "message": message}, "message_start"),
        _event({"type": "ping"}, "ping"),
    ]
    index = 0
    if answer.pieces:
        block: dict[str, Any] = {"type": "text", "text": ""}
        events.append(
            _event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
        )
        for piece in answer.pieces:
            delta = {"type": "text_delta", "text": piece}
            events.append(_event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"))
        events.append(_event({"type": "content_block_stop", "index": 0}, "content_block_stop"))
        index = 1
    for number, (id, name, arguments) in enumerate(answer.tools, index):
        block = {"type": "tool_use", "id": id, "name": name, "input": {}}
        events.append(
            _event({"type": "content_block_start", "index": number, "content_block": block}, "content_block_start")
        )
        for at in range(0, len(arguments), 5):
            delta = {"type": "input_json_delta", "partial_json": arguments[at : at + 5]}
            events.append(
                _event({"type": "content_block_delta", "index": number, "delta": delta}, "content_block_delta")
            )
        events.append(_event({"type": "content_block_stop", "index": number}, "content_block_stop"))
    last = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    end = {"type": "message_delta", "delta": last, "usage": {"output_tokens": usage.get("output_tokens")}}
    return [*events, _event(end, "message_delta"), _event({"type": "message_stop"}, "message_stop")]


def embeddings(body: Mapping[str, Any] | None) -> dict[str, Any]:
    """Vectors for the texts, in the wrong order, which the protocol allows."""
    texts = (body or {}).get("input") or []
    texts = [texts] if isinstance(texts, str) else texts
    data = [
        {"object": "embedding", "index": index, "embedding": [float(len(text)), float(index), 0.5]}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 4 * len(texts), "total_tokens": 4 * len(texts)}
    return {"object": "list", "data": data[::-1], "model": "fake-embed", "usage": usage}


def is_end(event: bytes) -> bool:
    """Whether an event says that the answer is over."""
    return b"[DONE]" in event or b'"finish_reason": "' in event or b"message_stop" in event


def _parsed(event: bytes) -> tuple[bytes, dict[str, Any]] | None:
    head, _, data = event.partition(b"data: ")
    return None if data.startswith(b"[") else (head, json.loads(data))


def without_usage(event: bytes) -> bytes:
    """The event without usage; empty when it had nothing else."""
    found = _parsed(event)
    if found is None:
        return event
    head, content = found
    if content.pop("usage", None) is not None and content.get("choices") == []:
        return b""
    if isinstance(content.get("message"), dict):
        content["message"].pop("usage", None)
    return head + _event(content)


def with_wrong_usage(event: bytes) -> bytes:
    """The event with counts that cannot be."""
    found = _parsed(event)
    if found is None:
        return event
    head, content = found
    for holder in (content, content.get("message") or {}):
        if "usage" in holder:
            holder["usage"] = dict.fromkeys(holder["usage"], -3) | {"prompt_tokens_details": "none"}
    return head + _event(content)

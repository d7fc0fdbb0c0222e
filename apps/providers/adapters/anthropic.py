"""Anthropic's messages. A schema for the answer becomes a tool the model is made to call, which every model knows; its
input is then the text of the answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from apps.providers.adapters.anthropic_request import ANSWER, body_of
from apps.providers.adapters.assembling import Assembly, milliseconds_since
from apps.providers.adapters.sending import base_url_or, count, decoded, error_text, events, sent, whole
from apps.providers.call_errors import ProviderCannot, refusal
from apps.providers.calls import Delta, EmbedReply, ModelReply, ModelRequest, Target, ToolCall
from apps.providers.pricing import Usage

ANTHROPIC = "https://api.anthropic.com"
VERSION = "2023-06-01"
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: Any = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: Any = None


class _Usage(msgspec.Struct):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


async def complete(target: Target, request: ModelRequest) -> ModelReply:
    """The whole answer."""
    started = time.perf_counter()
    async with sent(_placed(target), "/v1/messages", _headers(target), body_of(target, request)) as answer:
        message = await whole(target, answer, _Message)
    texts: list[str] = []
    calls: list[ToolCall] = []
    is_answer_by_tool = False
    for block in message.content or ():
        if block.type == "text":
            texts.append(block.text or "")
        elif block.type == "tool_use" and request.response_schema is not None and block.name == ANSWER:
            is_answer_by_tool, texts = True, [bytes(block.input).decode()]
        elif block.type == "tool_use":
            calls.append(ToolCall(block.id or "", block.name or "", bytes(block.input).decode()))
    return ModelReply(
        text="".join(texts),
        tool_calls=tuple(calls),
        finish_reason=_finish(message.stop_reason, is_answer=is_answer_by_tool and not calls),
        is_complete=True,
        model=message.model or target.model,
        response_id=message.id,
        usage=_as_usage(_read(message.usage)),
        ttft_ms=None,
        total_ms=milliseconds_since(started),
        attempts=1,
    )


async def stream(target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer bit by bit. The end mark is `message_stop`."""
    reading = _Reading(Assembly(target.model), target, has_schema=request.response_schema is not None)
    assembly = reading.assembly
    body = body_of(target, request) | {"stream": True}
    with assembly.failures():
        async with sent(_placed(target), "/v1/messages", _headers(target), body) as answer:
            assembly.is_begun = True
            async with aclosing(events(target, answer)) as found:
                async for event in found:
                    if delta := reading.take(decoded(event, _Event)):
                        yield delta
                    if assembly.is_ended:
                        break
            await answer.drain()
    yield assembly.reply()


async def embed(target: Target, texts: Sequence[str]) -> EmbedReply:
    """Raises ProviderCannot: Anthropic has no embeddings."""
    raise ProviderCannot("embeddings")


@dataclass(slots=True)
class _Reading:
    """The state of a stream: blocks by their index, and usage that later events complete."""

    assembly: Assembly
    target: Target
    has_schema: bool
    tools: dict[int, int] | None = None
    answer_block: int | None = None
    usage: _Usage | None = None

    def take(self, event: _Event) -> Delta | None:
        """What one event adds. Unknown kinds of events are to be expected, and passed over."""
        if event.type == "content_block_delta" and event.delta is not None:
            return self._more(event.index, event.delta)
        if event.type == "content_block_start" and event.content_block is not None:
            return self._begin(event.index, event.content_block)
        if event.type == "message_start" and event.message is not None:
            self.assembly.response_id = event.message.id
            self.assembly.model = event.message.model or self.assembly.model
            self._count(event.message.usage)
        elif event.type == "message_delta":
            if event.delta is not None and event.delta.stop_reason:
                is_answer = self.answer_block is not None and not self.tools
                self.assembly.finish_reason = _finish(event.delta.stop_reason, is_answer=is_answer)
            self._count(event.usage)
        elif event.type == "message_stop":
            self.assembly.is_ended = True
        elif event.type == "error":
            raise refusal(self.target, 0, error_text(bytes(event.error)))
        return None

    def _begin(self, index: int, block: _Block) -> Delta | None:
        if block.type == "tool_use" and self.has_schema and block.name == ANSWER:
            self.answer_block = index
            return None
        if block.type == "tool_use":
            self.tools = self.tools or {}
            number = self.tools.setdefault(index, len(self.tools))
            return self.assembly.add_tool(number, id=block.id or "", name=block.name or "")
        return self.assembly.add_text(block.text) if block.type == "text" and block.text else None

    def _more(self, index: int, delta: _Delta) -> Delta | None:
        if delta.type == "text_delta" and delta.text:
            return self.assembly.add_text(delta.text)
        if delta.type != "input_json_delta" or not delta.partial_json:
            return None
        if index == self.answer_block:
            return self.assembly.add_text(delta.partial_json)
        if self.tools and index in self.tools:
            return self.assembly.add_tool(self.tools[index], arguments=delta.partial_json)
        return None

    def _count(self, raw: msgspec.Raw) -> None:
        """Counts are running totals: a later one replaces an earlier one, a missing one does not."""
        new = _read(raw)
        if new is None:
            return
        old = self.usage or _Usage()
        for name in _Usage.__struct_fields__:
            if getattr(new, name) is not None:
                setattr(old, name, getattr(new, name))
        self.usage = old
        self.assembly.usage = _as_usage(old)


def _read(raw: msgspec.Raw) -> _Usage | None:
    try:
        return msgspec.json.decode(raw, type=_Usage | None)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _as_usage(usage: _Usage | None) -> Usage:
    """Anthropic counts cached and cache-written tokens beside the input; here the input is all of them."""
    if usage is None:
        return Usage()
    plain, read, written = (
        count(usage.input_tokens),
        count(usage.cache_read_input_tokens),
        count(usage.cache_creation_input_tokens),
    )
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (written or 0),
        output_tokens=count(usage.output_tokens),
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=count(usage.cache_creation.ephemeral_1h_input_tokens) if usage.cache_creation else None,
        reasoning_tokens=count(usage.output_tokens_details.thinking_tokens) if usage.output_tokens_details else None,
    )


def _finish(reason: str | None, *, is_answer: bool) -> str | None:
    """OpenAI's word for it. The tool that stands for the answer is no tool call."""
    if reason == "tool_use" and is_answer:
        return "stop"
    return None if reason is None else FINISH.get(reason, reason)


def _placed(target: Target) -> Target:
    """The target with its address. The version belongs to the path, whether the connection has it or not."""
    base = base_url_or(target, ANTHROPIC if target.provider == "anthropic" else "")
    return replace(target, base_url=base.removesuffix("/v1"))


def _headers(target: Target) -> Mapping[str, str]:
    key = {"x-api-key": target.secret} if target.secret else {}
    return {"anthropic-version": VERSION, **key}

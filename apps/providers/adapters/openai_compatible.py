"""OpenAI's chat completions and embeddings, as OpenAI, most other providers and local servers speak them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from apps.providers.adapters.assembling import Assembly, milliseconds_since
from apps.providers.adapters.sending import base_url_or, count, decoded, error_text, events, sent, whole
from apps.providers.call_errors import ProviderAnswerMalformed, refusal
from apps.providers.calls import Delta, EmbedReply, ModelReply, ModelRequest, Target, ToolCall
from apps.providers.pricing import Usage

OPENAI = "https://api.openai.com/v1"
DONE = b"[DONE]"
OURS = frozenset({"model", "messages", "stream", "stream_options"})
"""Parameters that the request itself decides."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCall(msgspec.Struct):
    id: str | None = None
    index: int | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    """A whole answer, or one event of a stream."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: Any = None
    cache_write_tokens: Any = None
    audio_tokens: Any = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Any = None
    audio_tokens: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Any = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Embeddings(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


async def complete(target: Target, request: ModelRequest) -> ModelReply:
    """The whole answer, as its first choice."""
    started = time.perf_counter()
    async with sent(_placed(target), "/chat/completions", _headers(target), _body(target, request)) as answer:
        completion = await whole(target, answer, _Completion)
    if not completion.choices:
        _raise_error(target, completion)
        raise ProviderAnswerMalformed("it has no choices")
    choice = completion.choices[0]
    message = choice.message or _Message()
    return ModelReply(
        text=_text(message.content) or message.refusal or "",
        tool_calls=tuple(_tool_call(call) for call in message.tool_calls or ()),
        finish_reason=_finish(choice.finish_reason),
        is_complete=True,
        model=completion.model or target.model,
        response_id=completion.id,
        usage=read_usage(completion.usage),
        ttft_ms=None,
        total_ms=milliseconds_since(started),
        attempts=1,
    )


async def stream(target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer bit by bit. The end marks are a finish reason and `[DONE]`; either makes it whole."""
    assembly = Assembly(target.model)
    body = _body(target, request) | {"stream": True, "stream_options": {"include_usage": True}}
    with assembly.failures():
        async with sent(_placed(target), "/chat/completions", _headers(target), body) as answer:
            assembly.is_begun = True
            async with aclosing(events(target, answer)) as found:
                async for event in found:
                    if event.strip() == DONE:
                        assembly.is_ended = True
                        break
                    for delta in _take(assembly, target, decoded(event, _Completion)):
                        yield delta
            await answer.drain()
    yield assembly.reply()


async def embed(target: Target, texts: Sequence[str]) -> EmbedReply:
    """A vector for each text, in one call."""
    started = time.perf_counter()
    body = {"model": target.model, "input": list(texts), "encoding_format": "float"}
    async with sent(_placed(target), "/embeddings", _headers(target), body) as answer:
        found = await whole(target, answer, _Embeddings)
    vectors = {place if row.index is None else row.index: row.embedding for place, row in enumerate(found.data)}
    if sorted(vectors) != list(range(len(texts))):
        raise ProviderAnswerMalformed("it has not one vector for each text")
    return EmbedReply(
        vectors=tuple(tuple(vectors[place]) for place in range(len(texts))),
        model=found.model or target.model,
        usage=read_usage(found.usage),
        total_ms=milliseconds_since(started),
        attempts=1,
    )


def read_usage(raw: msgspec.Raw) -> Usage:
    """Usage as OpenAI reports it. What is missing or cannot be is unknown.

    Some providers (xAI, Google) leave reasoning out of the completion tokens and count it in the total alone; there it
    is added, because our output tokens are all of them.
    """
    try:
        usage = msgspec.json.decode(raw, type=_Usage | None)
    except (msgspec.MsgspecError, RecursionError):
        usage = None
    if usage is None:
        return Usage()
    incoming = usage.prompt_tokens_details or _InputDetails()
    outgoing = usage.completion_tokens_details or _OutputDetails()
    given, made, total = count(usage.prompt_tokens), count(usage.completion_tokens), count(usage.total_tokens)
    reasoning = count(outgoing.reasoning_tokens)
    if given is not None and made is not None and reasoning and total == given + made + reasoning:
        made += reasoning
    cached = count(incoming.cached_tokens)
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=count(usage.prompt_cache_hit_tokens) if cached is None else cached,
        cache_write_tokens=count(incoming.cache_write_tokens),
        reasoning_tokens=reasoning,
        input_audio_tokens=count(incoming.audio_tokens),
        output_audio_tokens=count(outgoing.audio_tokens),
    )


def _take(assembly: Assembly, target: Target, chunk: _Completion) -> list[Delta]:
    """What one event adds. Only the first choice counts."""
    _raise_error(target, chunk)
    assembly.response_id = assembly.response_id or chunk.id or None
    assembly.model = chunk.model or assembly.model
    if bytes(chunk.usage) != b"null":
        assembly.usage = read_usage(chunk.usage)
    deltas: list[Delta] = []
    for choice in chunk.choices or ():
        if choice.index:
            continue
        piece = choice.delta or choice.message or _Message()
        if text := _text(piece.content) or piece.refusal:
            deltas.append(assembly.add_text(text))
        for call in piece.tool_calls or ():
            deltas.append(_take_tool(assembly, call))
        if choice.finish_reason:
            assembly.finish_reason = _finish(choice.finish_reason)
            assembly.is_ended = True
    return deltas


def _take_tool(assembly: Assembly, call: _ToolCall) -> Delta:
    """A piece of a tool call. Some servers leave the index out: then the id tells, or it is the last one."""
    number = call.index
    if number is None:
        known = assembly.number_of(call.id) if call.id else max(assembly.number_of_tools() - 1, 0)
        number = assembly.number_of_tools() if known is None else known
    function = call.function or _Function()
    return assembly.add_tool(
        number, id=call.id or "", name=function.name or "", arguments=_arguments(function.arguments)
    )


def _raise_error(target: Target, completion: _Completion) -> None:
    """Raise the error that was sent in the place of an answer."""
    if completion.error is None or bytes(completion.error) == b"null":
        return
    raise refusal(target, 0, error_text(bytes(completion.error)))


def _tool_call(call: _ToolCall) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(call.id or "", function.name or "", _arguments(function.arguments) or "{}")


def _arguments(value: object) -> str:
    """The JSON text of a tool's arguments; some servers send the object itself."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text(content: object) -> str:
    """The text of a message, whose content may come in parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in parts if isinstance(text, str))


def _finish(reason: str | None) -> str | None:
    return "tool_calls" if reason == "function_call" else reason


def _placed(target: Target) -> Target:
    """The target with its address, OpenAI's own when it is OpenAI and has none."""
    return replace(target, base_url=base_url_or(target, OPENAI if target.provider == "openai" else ""))


def _headers(target: Target) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {target.secret}"} if target.secret else {}


def _body(target: Target, request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"model": target.model, "messages": list(request.messages)}
    body |= {name: value for name, value in request.parameters.items() if name not in OURS}
    if request.tools:
        body["tools"] = list(request.tools)
    if request.response_schema is not None:
        schema = {"name": "answer", "schema": request.response_schema, "strict": _is_strict(request.response_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.user:
        body["user"] = request.user
    return body


def _is_strict(schema: object) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, and all its properties required."""
    if isinstance(schema, list):
        return all(_is_strict(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, Mapping):
        names = set(properties) if isinstance(properties, Mapping) else set()
        if schema.get("additionalProperties") is not False or names != set(schema.get("required") or ()):
            return False
    return all(_is_strict(part) for part in schema.values())

"""The one port through which models are called: which adapter, how often it is tried, and when it is enough.

`complete`, `stream` and `embed` are for coroutines, the functions that end in `_now` for threads. All raise a
`ProviderError` (apps/providers/call_errors.py) or `EgressRefused`, and none of them within a database transaction.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import TypeVar, cast

from apps.core import egress
from apps.core.db import assert_no_transaction
from apps.providers.adapters import Adapter
from apps.providers.adapters.assembling import Assembly
from apps.providers.call_errors import ProviderError, ProviderTimeout, Stage
from apps.providers.calls import Delta, EmbedReply, Limits, ModelReply, ModelRequest, Protocol, Target, ToolCall

T = TypeVar("T", ModelReply, EmbedReply)
Item = TypeVar("Item")

ADAPTERS = {
    Protocol.OPENAI: "apps.providers.adapters.openai_compatible",
    Protocol.ANTHROPIC: "apps.providers.adapters.anthropic",
    Protocol.LITELLM: "apps.providers.adapters.litellm_adapter",
    Protocol.TEST: "apps.providers.adapters.test_model",
}
"""Imported when they are first used: LiteLLM takes a second and 200 MB."""
FIRST_WAIT_SECONDS = 0.5
NUL = "\0"
LONGEST_NAME = 200
LONGEST_WAIT_SECONDS = 20.0


async def complete(target: Target, request: ModelRequest) -> ModelReply:
    """The whole answer at once."""
    adapter = _adapter(target)
    return _storable(await _tried(target.limits, lambda: adapter.complete(target, request)))


async def embed(target: Target, texts: Sequence[str]) -> EmbedReply:
    """One vector for each text."""
    adapter = _adapter(target)
    return await _tried(target.limits, lambda: adapter.embed(target, texts))


async def stream(target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer bit by bit; the last item is the ModelReply, also of a stream that broke off (then not complete).

    Closing the generator closes the upstream connection at once. An error after the first byte carries `so_far`.
    """
    adapter, limits = _adapter(target), target.limits
    deadline = asyncio.get_running_loop().time() + limits.total_seconds
    for attempt in count(1):
        passed_on: list[Delta] = []
        started = time.perf_counter()
        try:
            async with aclosing(adapter.stream(target, request)) as items:
                while (item := await _until(deadline, limits, anext(items, None))) is not None:
                    if isinstance(item, ModelReply):
                        yield _storable(replace(item, attempts=attempt))
                        return
                    delta = replace(item, text=_kept(item.text)) if NUL in item.text else item
                    passed_on.append(delta)
                    yield delta
            raise RuntimeError(f"{target.protocol}: the adapter's stream did not end with a reply")
        except ProviderError as error:
            if passed_on:
                error.is_transient = False
                error.so_far = _storable(error.so_far or _so_far(target, passed_on, started))
            await _wait_or_raise(error, attempt, limits, deadline)


def complete_now(target: Target, request: ModelRequest) -> ModelReply:
    """As `complete`, for a thread."""
    return egress.run_in_loop(complete(target, request))


def embed_now(target: Target, texts: Sequence[str]) -> EmbedReply:
    """As `embed`, for a thread."""
    return egress.run_in_loop(embed(target, texts))


def stream_now(target: Target, request: ModelRequest) -> Generator[Delta | ModelReply, None, None]:
    """As `stream`, for a thread."""
    return egress.iterate_in_loop(stream(target, request))


def _adapter(target: Target) -> Adapter:
    assert_no_transaction()
    return cast(Adapter, import_module(ADAPTERS[target.protocol]))


async def _tried(limits: Limits, once: Callable[[], Awaitable[T]]) -> T:
    """The reply of the first attempt that gives one."""
    deadline = asyncio.get_running_loop().time() + limits.total_seconds
    for attempt in count(1):
        try:
            return replace(await _until(deadline, limits, once()), attempts=attempt)
        except ProviderError as error:
            await _wait_or_raise(error, attempt, limits, deadline)
    raise AssertionError


async def _until(deadline: float, limits: Limits, awaited: Awaitable[Item]) -> Item:
    """What is awaited, unless the call as a whole has taken too long by then."""
    try:
        async with asyncio.timeout_at(deadline):
            return await awaited
    except TimeoutError:
        raise ProviderTimeout(Stage.TOTAL, limits.total_seconds) from None


async def _wait_or_raise(error: ProviderError, attempt: int, limits: Limits, deadline: float) -> None:
    """Wait until the next attempt; raise when there is none, or when it would have to wait for too long."""
    error.attempts = attempt
    wait = _pause(error, attempt)
    is_in_time = wait <= LONGEST_WAIT_SECONDS and asyncio.get_running_loop().time() + wait < deadline
    if not error.is_transient or attempt >= limits.attempts or not is_in_time:
        raise error
    await asyncio.sleep(wait)


def _pause(error: ProviderError, attempt: int) -> float:
    """Seconds: as long as the provider asks for, else twice as long each time, with chance so that callers spread."""
    chance = 0.5 + secrets.randbelow(501) / 1000
    if error.retry_after_seconds is not None:
        return error.retry_after_seconds + chance / 10
    return float(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * chance)


def _storable(reply: ModelReply) -> ModelReply:
    """The reply without what PostgreSQL does not store and what no name can be as long as, whoever sent it."""
    return replace(
        reply,
        text=_kept(reply.text),
        tool_calls=tuple(
            ToolCall(_named(call.id) or "", _named(call.name) or "", _kept(call.arguments)) for call in reply.tool_calls
        ),
        finish_reason=_named(reply.finish_reason),
        model=_named(reply.model) or "",
        response_id=_named(reply.response_id),
    )


def _kept(text: str) -> str:
    return text.replace(NUL, "\N{REPLACEMENT CHARACTER}") if NUL in text else text


def _named(name: str | None) -> str | None:
    return None if name is None else _kept(name[:LONGEST_NAME])


def _so_far(target: Target, deltas: list[Delta], started: float) -> ModelReply:
    """What was passed on, as an answer that is not complete."""
    assembly = Assembly(target.model, started=started)
    for delta in deltas:
        if delta.tool_call is None:
            assembly.add_text(delta.text)
        else:
            assembly.add_tool(delta.tool_call, name=delta.tool_name, arguments=delta.text)
    return replace(assembly.reply(), ttft_ms=deltas[0].ttft_ms)

"""Every provider that speaks neither OpenAI's nor Anthropic's API, through LiteLLM: the only module that imports it.

It is imported when it is first needed, told not to fetch its price list, and given no environment file, callbacks,
retries or telemetry. All its requests go through `litellm_transport`, and it is handed nothing that it would fetch.
What it says about an answer is believed only as far as the bytes bear it out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from apps.core import egress
from apps.providers import litellm_keys
from apps.providers.adapters.assembling import Assembly, milliseconds_since
from apps.providers.adapters.litellm_transport import Attempt, ClosedTransport, GuardedTransport, current
from apps.providers.adapters.sending import count
from apps.providers.call_errors import (
    ProviderAnswerMalformed,
    ProviderCannot,
    ProviderError,
    ProviderKeyUnusable,
    redacted,
    secrets_of,
)
from apps.providers.calls import Delta, EmbedReply, ModelReply, ModelRequest, Target, ToolCall
from apps.providers.pricing import Usage

PARAMETERS = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "presence_penalty"}
    | {"frequency_penalty", "logit_bias", "seed", "logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls"}
    | {"reasoning_effort", "thinking"}
)
"""What may be passed on. LiteLLM takes addresses, keys and hooks by the same way, so that nothing else may."""


MODEL = re.compile(rb'"(?:model|modelVersion)"\s*:\s*"([^"\\]{1,200})"')
"""The model in an answer. Within a text the quotes would be escaped."""


class LiteLlmRefused(ProviderError):
    """LiteLLM did not make a request of it."""

    code, http_status = "provider_refused", 422
    message = "LiteLLM cannot put this request into the provider's words: {reason}"


async def complete(target: Target, request: ModelRequest) -> ModelReply:
    """The whole answer, as its first choice."""
    started = time.perf_counter()
    litellm = await _loaded()
    arguments = _arguments(target) | _chat(request)
    attempt = Attempt(target)
    try:
        answer = await _within(attempt, litellm.acompletion(**arguments))
    finally:
        await attempt.close()
    if not answer.choices:
        raise ProviderAnswerMalformed("it has no choices")
    choice = answer.choices[0]
    return ModelReply(
        text=choice.message.content or "",
        tool_calls=tuple(
            ToolCall(call.id or "", call.function.name or "", call.function.arguments or "{}")
            for call in choice.message.tool_calls or ()
        ),
        finish_reason=choice.finish_reason,
        is_complete=True,
        model=_model(attempt),
        response_id=_response_id(attempt, answer.id),
        usage=_usage(attempt, getattr(answer, "usage", None)),
        ttft_ms=None,
        total_ms=milliseconds_since(started),
        attempts=1,
    )


async def stream(target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer bit by bit. It is whole if the provider's own end mark was among the bytes, whatever LiteLLM says."""
    litellm = await _loaded()
    arguments = _arguments(target) | _chat(request) | {"stream": True, "stream_options": {"include_usage": True}}
    assembly, attempt = Assembly(target.model), Attempt(target)
    chunks: Any = None
    try:
        with assembly.failures():
            chunks = await _within(attempt, litellm.acompletion(**arguments))
            while (chunk := await _next(attempt, chunks)) is not None:
                assembly.is_begun = True
                for delta in _take(assembly, attempt, chunk):
                    yield delta
            if attempt.content_type.startswith(("text/html", "application/json")) and not attempt.is_ended:
                raise ProviderAnswerMalformed("it is not a stream of events")
    finally:
        await attempt.close()
    assembly.is_ended = attempt.is_ended and not attempt.is_cut
    yield assembly.reply()


async def embed(target: Target, texts: Sequence[str]) -> EmbedReply:
    """A vector for each text, in one call."""
    started = time.perf_counter()
    litellm = await _loaded()
    arguments = _arguments(target) | {"input": list(texts)}
    attempt = Attempt(target)
    try:
        answer = await _within(attempt, litellm.aembedding(**arguments))
    except LiteLlmRefused:
        raise ProviderCannot("embeddings") from None
    finally:
        await attempt.close()
    rows = [row if isinstance(row, Mapping) else row.model_dump() for row in answer.data]
    vectors = {row.get("index", place): row["embedding"] for place, row in enumerate(rows)}
    if sorted(vectors) != list(range(len(texts))):
        raise ProviderAnswerMalformed("it has not one vector for each text")
    return EmbedReply(
        vectors=tuple(tuple(map(float, vectors[place])) for place in range(len(texts))),
        model=_model(attempt),
        usage=_usage(attempt, getattr(answer, "usage", None)),
        total_ms=milliseconds_since(started),
        attempts=1,
    )


# --- LiteLLM
# --------------------------------------------------------------------------------------------------------


async def _loaded() -> ModuleType:
    """LiteLLM, prepared; in a thread the first time, because importing it takes seconds."""
    return await asyncio.to_thread(_litellm)


@cache
def _litellm() -> ModuleType:
    # Before the import: the price list of the package instead of one from the network, and no `.env` from any folder.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = True
    litellm.num_retries = 0
    litellm.disable_hf_tokenizer_download = True
    litellm.disable_aiohttp_trust_env = True
    for name in ("callbacks", "input_callback", "success_callback", "failure_callback", "service_callback"):
        setattr(litellm, name, [])
    # Its own lines could hold what was sent; what matters of them reaches callers as errors.
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    litellm.sync_transport = ClosedTransport()
    for name in ("create_async_transport", "_create_async_transport"):
        setattr(AsyncHTTPHandler, name, staticmethod(lambda *args, **options: GuardedTransport()))
    return litellm


def _arguments(target: Target) -> dict[str, Any]:
    """Who is called, with which key, and for how long. Raises ProviderKeyUnusable or EgressRefused."""
    if not litellm_keys.MODEL.fullmatch(target.model):
        raise LiteLlmRefused(reason="a model's name has only letters, digits and . _ : / @ -")
    try:
        key = litellm_keys.arguments(target.provider, target.secret)
    except litellm_keys.KeyNotUsable as error:
        raise ProviderKeyUnusable(str(error)) from None
    arguments = {
        "model": target.model,
        "custom_llm_provider": target.provider,
        "timeout": target.limits.total_seconds,
        "num_retries": 0,
        "max_retries": 0,
        **key,
    }
    if target.base_url:
        egress.check_url(target.base_url)
        arguments["api_base"] = target.base_url
    return arguments


def _chat(request: ModelRequest) -> dict[str, Any]:
    unknown = sorted(set(request.parameters) - PARAMETERS)
    if unknown:
        raise ProviderCannot(f"parameter called {unknown[0][:60]} that LiteLLM may be given")
    for message in request.messages:
        parts = message.get("content")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping) and part.get("type") != "text" and _names_a_place(part):
                raise ProviderCannot("way to fetch images or files; put them in as data: addresses")
    arguments: dict[str, Any] = {"messages": [dict(message) for message in request.messages], **request.parameters}
    if request.tools:
        arguments["tools"] = [dict(tool) for tool in request.tools]
        arguments["_skip_mcp_handler"] = True  # it would call the servers that a tool names, and needs a package more
    if request.response_schema is not None:
        schema = {"name": "answer", "schema": dict(request.response_schema)}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.user:
        arguments["user"] = request.user
    return arguments


def _names_a_place(value: object) -> bool:
    """Whether a part of a message names something elsewhere. LiteLLM would fetch it for some providers."""
    if isinstance(value, Mapping):
        return any(map(_names_a_place, value.values()))
    if isinstance(value, list):
        return any(map(_names_a_place, value))
    return isinstance(value, str) and not value.startswith("data:") and "://" in value[:200]


async def _within(attempt: Attempt, awaited: Any) -> Any:
    """The result, with the network open for this attempt alone while it is waited for."""
    token = current.set(attempt)
    try:
        return await awaited
    except Exception as error:
        raise _problem(attempt, error) from None
    finally:
        current.reset(token)


async def _next(attempt: Attempt, chunks: Any) -> Any:
    """The next piece of a stream; None at its end, also when it broke off."""
    token = current.set(attempt)
    try:
        return await anext(chunks)
    except StopAsyncIteration:
        return None
    except Exception as error:
        if attempt.is_cut and attempt.failure is None:
            return None
        raise _problem(attempt, error) from None
    finally:
        current.reset(token)


def _problem(attempt: Attempt, error: Exception) -> Exception:
    """What went wrong, by what was seen on the wire sooner than by what LiteLLM makes of it."""
    if attempt.failure is not None:
        return attempt.failure
    if attempt.is_cut:
        return ProviderAnswerMalformed("it breaks off in the middle")
    said = redacted(" ".join(str(error).split()), secrets_of(attempt.target))[:300]
    if attempt.is_answered:
        return ProviderAnswerMalformed(f"LiteLLM says {type(error).__name__}: {said}")
    return LiteLlmRefused(reason=f"{type(error).__name__}: {said}")


# --- Answers
# --------------------------------------------------------------------------------------------------------


def _take(assembly: Assembly, attempt: Attempt, chunk: Any) -> list[Delta]:
    """What one piece adds."""
    assembly.response_id = assembly.response_id or _response_id(attempt, chunk.id)
    assembly.model = _model(attempt)
    if (usage := getattr(chunk, "usage", None)) is not None:
        assembly.usage = _usage(attempt, usage)
    deltas: list[Delta] = []
    for choice in chunk.choices[:1]:
        if choice.delta.content:
            deltas.append(assembly.add_text(choice.delta.content))
        for call in choice.delta.tool_calls or ():
            function = call.function
            deltas.append(
                assembly.add_tool(
                    call.index or 0, id=call.id or "", name=function.name or "", arguments=function.arguments or ""
                )
            )
        assembly.finish_reason = choice.finish_reason or assembly.finish_reason
    return deltas


def _model(attempt: Attempt) -> str:
    """The model as the provider answered it; LiteLLM repeats what was asked for, so the bytes are asked."""
    found = MODEL.search(attempt.start)
    return found[1].decode(errors="replace") if found else attempt.target.model


def _response_id(attempt: Attempt, named: object) -> str | None:
    """The answer's id if the provider sent it; LiteLLM makes one up where it did not."""
    return named if isinstance(named, str) and named and named.encode() in attempt.start else None


def _usage(attempt: Attempt, usage: Any) -> Usage:
    """Usage as reported. Where the provider reported none, LiteLLM counts itself, which is not believed."""
    if usage is None or not attempt.has_usage:
        return Usage()
    incoming, outgoing = (
        getattr(usage, "prompt_tokens_details", None),
        getattr(usage, "completion_tokens_details", None),
    )
    return Usage(
        input_tokens=count(getattr(usage, "prompt_tokens", None)),
        output_tokens=count(getattr(usage, "completion_tokens", None)),
        cached_input_tokens=count(getattr(incoming, "cached_tokens", None)),
        cache_write_tokens=count(getattr(usage, "cache_creation_input_tokens", None)),
        reasoning_tokens=count(getattr(outgoing, "reasoning_tokens", None)),
    )

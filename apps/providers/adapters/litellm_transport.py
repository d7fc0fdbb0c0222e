"""How LiteLLM reaches the network: through the egress, one request for each call, with an eye on what truly came back.

LiteLLM answers a stream that broke off as if it had ended, counts tokens itself where the provider reported none, and
tries again where it was told not to. So the bytes are looked at here, before it reads them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx

from apps.core import egress
from apps.core.clock import now as read_clock
from apps.core.egress.exchange import FORBIDDEN_HEADERS
from apps.providers.adapters.sending import seconds_to_wait
from apps.providers.call_errors import (
    TEXT_CHARACTERS,
    ProviderAnswerMalformed,
    ProviderAnswerTooLarge,
    ProviderError,
    ProviderRedirected,
    ProviderTimeout,
    ProviderUnreachable,
    refusal,
)
from apps.providers.calls import Target

END_MARKS = (
    b"data: [DONE]",
    b"data:[DONE]",
    b'"finish_reason":"',
    b'"finish_reason": "',
    b'"finishReason"',
    b'"type":"message-end"',
    b"\x07\x00\x0bmessageStop",  # the type of an event, as AWS frames it
)
"""One of them in a stream means that the provider ended it. None can be within a text: quotes and line breaks of a text
are escaped, and so many zeros are not in one."""
USAGE_MARKS = (
    b'"usage":{',
    b'"usage": {',
    b'"usageMetadata"',
    b'"billed_units"',
    b'"inputTokens"',
    b'"inputTextTokenCount"',
)
"""One of them means that the provider itself reported tokens."""
LONGEST_MARK = max(map(len, END_MARKS + USAGE_MARKS))
OURS = FORBIDDEN_HEADERS | {"accept-encoding", "user-agent"}
KEPT_START = 64 * 1024


@dataclass(slots=True)
class Attempt:
    """One upstream attempt: what was sent and what came back."""

    target: Target
    is_sent: bool = False
    is_answered: bool = False
    is_cut: bool = False
    is_ended: bool = False
    has_usage: bool = False
    failure: ProviderError | egress.EgressRefused | None = None
    start: bytearray = field(default_factory=bytearray)
    """The first bytes of the answer."""
    content_type: str = ""
    exchange: egress.Exchange | None = None
    _tail: bytes = b""

    def see(self, piece: bytes) -> None:
        """Look for marks, also for one that two pieces share."""
        seen = self._tail + piece
        self.is_ended = self.is_ended or any(mark in seen for mark in END_MARKS)
        self.has_usage = self.has_usage or any(mark in seen for mark in USAGE_MARKS)
        self._tail = seen[-LONGEST_MARK:]
        if len(self.start) < KEPT_START:
            self.start += piece[: KEPT_START - len(self.start)]

    async def close(self) -> None:
        """Close the upstream connection, unless the answer was read to its end."""
        if self.exchange is not None:
            await self.exchange.__aexit__(None, None, None)


current: ContextVar[Attempt | None] = ContextVar("litellm_attempt", default=None)
"""The attempt that is being made. Without one, LiteLLM has no business on the network."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """In the place of every transport that LiteLLM would make."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the one request of the current attempt."""
        attempt = current.get()
        if attempt is None or attempt.is_sent:
            raise httpx.ConnectError("nothing more is sent for this call", request=request)
        attempt.is_sent = True
        limits = attempt.target.limits
        exchange = egress.Exchange(
            str(request.url),
            method=request.method,
            body=await request.aread(),
            headers=_headers(request),
            patience=egress.Patience(limits.connect_seconds, limits.first_byte_seconds, limits.idle_seconds),
            max_bytes=limits.max_bytes,
            is_encoded=True,
        )
        try:
            await exchange.__aenter__()
        except (egress.EgressFailed, egress.EgressRefused) as error:
            attempt.failure = in_our_words(error)
            raise httpx.ConnectError("no answer", request=request) from None
        attempt.exchange = exchange
        attempt.content_type = exchange.header("Content-Type").lower()
        headers = {"Content-Type": exchange.header("Content-Type")}
        if exchange.status >= 400:
            body = await exchange.read_start(4 * TEXT_CHARACTERS)
            attempt.failure = _refusal(attempt.target, exchange, body)
            return httpx.Response(exchange.status, headers=headers, content=body, request=request)
        attempt.is_answered = True
        return httpx.Response(exchange.status, headers=headers, stream=_Body(attempt, exchange), request=request)


class ClosedTransport(httpx.BaseTransport):
    """In the place of every synchronous transport: none of our calls has use for one."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send nothing."""
        raise httpx.ConnectError("nothing is sent this way", request=request)


class _Body(httpx.AsyncByteStream):
    """The answer's bytes, looked at as they pass."""

    def __init__(self, attempt: Attempt, exchange: egress.Exchange) -> None:
        self._attempt, self._exchange = attempt, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._exchange.pieces():
                self._attempt.see(piece)
                yield piece
        except egress.Cut:
            self._attempt.is_cut = True
            raise httpx.ReadError("the answer broke off") from None
        except egress.EgressFailed as error:
            self._attempt.failure = in_our_words(error)
            raise httpx.ReadError("the answer was given up") from None

    async def aclose(self) -> None:
        await self._attempt.close()


def in_our_words(error: egress.EgressFailed | egress.EgressRefused) -> ProviderError | egress.EgressRefused:
    """The failure as callers of a model know it."""
    match error:
        case egress.EgressRefused():
            return error
        case egress.TimedOut():
            return ProviderTimeout(error.stage, error.seconds)
        case egress.Unreachable():
            unreachable = ProviderUnreachable(error.reason, was_sent=error.was_sent)
            unreachable.is_transient = not (error.was_sent or error.is_lasting)
            return unreachable
        case egress.Redirected():
            return ProviderRedirected(error.status)
        case egress.NotHttp():
            return ProviderAnswerMalformed("it is not HTTP")
        case egress.TooLarge():
            return ProviderAnswerTooLarge("the answer", error.limit)
    return ProviderAnswerMalformed("it breaks off in the middle")


def _headers(request: httpx.Request) -> dict[str, str]:
    """What LiteLLM set, without what the egress decides; nothing compressed, so that the bytes can be looked at."""
    kept = {name: value for name, value in request.headers.items() if name.lower() not in OURS}
    return {**kept, "Accept-Encoding": "identity"}


def _refusal(target: Target, exchange: egress.Exchange, body: bytes) -> ProviderError:
    text = body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    wait = seconds_to_wait(exchange.header("Retry-After"), exchange.header("Retry-After-Ms"), read_clock())
    return refusal(target, exchange.status, _sentence(text) or " ".join(text.split()), wait)


def _sentence(text: str) -> str:
    """The sentence within an error of a usual shape; empty for any other."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    said = found.get("message") if isinstance(found, dict) else None
    return said if isinstance(said, str) else ""

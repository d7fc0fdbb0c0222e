"""One request to a provider through the egress, with what goes wrong in the words of `call_errors`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any, TypeVar

import msgspec

from apps.core import egress
from apps.core.clock import now as read_clock
from apps.providers.adapters.events import EventReader
from apps.providers.call_errors import (
    TEXT_CHARACTERS,
    ProviderAnswerMalformed,
    ProviderAnswerTooLarge,
    ProviderCannot,
    ProviderError,
    ProviderKeyUnusable,
    ProviderRedirected,
    ProviderTimeout,
    ProviderUnreachable,
    refusal,
)
from apps.providers.calls import Target

T = TypeVar("T")
MOST_TOKENS = 2**31 - 1
LONGEST_WAIT = 10**6


@asynccontextmanager
async def sent(
    target: Target, path: str, headers: Mapping[str, str], payload: Mapping[str, Any]
) -> AsyncIterator[egress.Exchange]:
    """Send the payload as JSON and wait for the head of an answer that is not an error.

    Raises a ProviderError, also for what goes wrong while the body is read, except that a body which breaks off is left
    to the caller as `egress.Cut`.
    """
    limits = target.limits
    exchange = egress.Exchange(
        target.base_url.rstrip("/") + path,
        body=_encoded(payload),
        headers=_headers(target, headers),
        patience=egress.Patience(limits.connect_seconds, limits.first_byte_seconds, limits.idle_seconds),
        max_bytes=limits.max_bytes,
    )
    try:
        async with exchange as answer:
            if answer.status >= 400:
                raise await _refusal(target, answer)
            yield answer
    except egress.TimedOut as error:
        raise ProviderTimeout(error.stage, error.seconds) from None
    except egress.Unreachable as error:
        unreachable = ProviderUnreachable(error.reason, was_sent=error.was_sent)
        unreachable.is_transient = not (error.was_sent or error.is_lasting)
        raise unreachable from None
    except egress.Redirected as error:
        raise ProviderRedirected(error.status) from None
    except egress.NotHttp:
        raise ProviderAnswerMalformed("it is not HTTP") from None
    except egress.TooLarge as error:
        raise ProviderAnswerTooLarge("the answer", error.limit) from None


async def whole(target: Target, answer: egress.Exchange, shape: type[T]) -> T:
    """The body as this shape. Raises ProviderAnswerMalformed."""
    try:
        body = await answer.read()
    except egress.Cut:
        raise ProviderAnswerMalformed("it breaks off in the middle") from None
    return decoded(body, shape)


async def events(target: Target, answer: egress.Exchange) -> AsyncGenerator[bytes, None]:
    """The data of each event of a stream, until it ends or breaks off. Raises ProviderAnswerMalformed for no events."""
    kind = answer.header("Content-Type").lower()
    if kind.startswith(("application/json", "text/html")):
        start = _readable(await answer.read_start(4 * TEXT_CHARACTERS))
        if kind.startswith("application/json") and (sentence := _sentence(start)):
            raise refusal(target, 0, sentence)
        raise ProviderAnswerMalformed("it is not a stream of events")
    reader = EventReader(target.limits.max_event_bytes)
    has_bytes = has_events = False
    try:
        async with aclosing(answer.pieces()) as pieces:
            async for piece in pieces:
                has_bytes = True
                for event in reader.feed(piece):
                    has_events = True
                    yield event
    except egress.Cut:
        pass  # whether it was whole is told by its end mark
    if (last := reader.end()) is not None:
        has_events = True
        yield last
    if has_bytes and not has_events:
        raise ProviderAnswerMalformed("it is not a stream of events")


def decoded(body: bytes | bytearray, shape: type[T]) -> T:
    """JSON as this shape. Raises ProviderAnswerMalformed, without a word of the answer itself."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProviderAnswerMalformed("it is not the JSON that was expected") from None


def error_text(error: bytes) -> str:
    """The sentence of an error object that came in the place of an answer."""
    return _sentence('{"error":' + _readable(error) + "}") or _readable(error)


def count(value: object) -> int | None:
    """A number of tokens as a provider reports it; None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        return None
    return value


def base_url_or(target: Target, default: str) -> str:
    """The target's address without a slash at its end, or the provider's own. Raises ProviderCannot without either."""
    base = (target.base_url or default).rstrip("/")
    if not base:
        raise ProviderCannot("address")
    return base


def seconds_to_wait(retry_after: str, milliseconds: str, now: datetime) -> int | None:
    """What Retry-After asks for, in whole seconds, as a number or as a date; None when it does not say."""
    for text, factor in ((milliseconds, 1000), (retry_after, 1)):
        try:
            asked = float(text) / factor
        except ValueError:
            continue
        if 0 <= asked <= LONGEST_WAIT:
            return ceil(asked)
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0, ceil((moment - now).total_seconds())), LONGEST_WAIT)


async def _refusal(target: Target, answer: egress.Exchange) -> ProviderError:
    text = _readable(await answer.read_start(4 * TEXT_CHARACTERS))
    wait = seconds_to_wait(answer.header("Retry-After"), answer.header("Retry-After-Ms"), read_clock())
    return refusal(target, answer.status, _sentence(text) or " ".join(text.split()), wait)


class _Said(msgspec.Struct):
    message: str


class _SaidSo(msgspec.Struct):
    error: _Said | str


def _sentence(text: str) -> str:
    """The sentence within an error of the usual shape; empty for any other."""
    try:
        error = msgspec.json.decode(text, type=_SaidSo).error
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return ""
    return error if isinstance(error, str) else error.message


def _readable(start: bytes) -> str:
    return start.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _encoded(payload: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(payload)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ProviderCannot("way to take a request that is not plain JSON") from None


def _headers(target: Target, own: Mapping[str, str]) -> dict[str, str]:
    """What is sent: the adapter's headers, then the connection's, each of which must fit into one."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **own, **target.headers}
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ProviderKeyUnusable
    return headers

"""`GET /playground/stream/<token>`: one answer as server-sent events while it comes.

The events are `delta` (`{"text", "tool", "name", "ttft_ms"}`), and at the end `done` or `failed` (`{"message"}`). The
token works once. A client that goes away ends the call at the provider; what had come is kept as cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import cache, partial
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import auth
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest

from apps.core import clock
from apps.core.doors import HotRequest, HotStream, MethodNotAllowed, encode
from apps.core.errors import DomainError, Unauthenticated, Unavailable
from apps.core.threads import end_pool
from apps.playground import services, tokens
from apps.playground.receiving import Outcome, Received
from apps.playground.services import Call, TooManyRunning
from apps.providers import client
from apps.providers.calls import Delta, ModelReply

log = logging.getLogger(__name__)

THREADS = 4
MOST_STREAMS = 64
"""Answers that one process has on their way at once."""

OUR_FAULT = "Something failed on our side. The log has it."
T = TypeVar("T")


class _Room:
    """How many answers are on their way in this process. Used on the event loop alone."""

    taken = 0


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="playground")


def stop() -> None:
    """Keep what is still to be kept; called when the process is asked to end."""
    if _threads.cache_info().currsize:
        end_pool(_threads(), workers=THREADS)


async def answer(request: HotRequest) -> HotStream:
    """One answer of a run, for the person who started it. Raises BadToken, Unauthenticated, NotYours, AlreadyRun."""
    if request.method != "GET":
        raise MethodNotAllowed(allowed="GET")
    ticket = tokens.read(request.path.removeprefix(tokens.PREFIX))
    if _Room.taken >= MOST_STREAMS:
        refusal = TooManyRunning(running=_Room.taken, most=MOST_STREAMS)
        now = clock.now()
        await _in_thread(partial(services.refuse_answer, answer_id=ticket.answer_id, error=refusal, now=now))
        raise refusal
    call = await _in_thread(partial(_claimed, request.headers.get("cookie", ""), ticket))
    events = _events(call)
    # Begun here, so that its end is reached even when the client is gone before the first event.
    await anext(events)
    return HotStream(
        events,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _claimed(cookies: str, ticket: tokens.Ticket) -> Call:
    """The answer, claimed for whoever is signed in."""
    if _user_id(cookies) != ticket.user_id:
        raise Unauthenticated("Sign in as the person who started this run.")
    return services.claim(answer_id=ticket.answer_id, user_id=ticket.user_id, now=clock.now())


def _user_id(cookies: str) -> int | None:
    """Who the session of these cookies belongs to; None for nobody."""
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    request = HttpRequest()
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(morsel.value if morsel is not None else None)
    user = auth.get_user(request)
    return user.pk if user.is_authenticated and user.is_active else None


async def _in_thread(work: Callable[[], T]) -> T:
    # Shielded: what was begun is done, also when nobody waits for it any more.
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(_threads(), _with_connection, work))


def _with_connection(work: Callable[[], T]) -> T:
    """Do what asks the database. Raises Unavailable while that is away."""
    # Django does this before each request of its own; these threads have none, and outlive a restart of the database.
    close_old_connections()
    try:
        return work()
    except (InterfaceError, OperationalError) as error:
        raise Unavailable() from error


async def _events(call: Call) -> AsyncGenerator[bytes, None]:
    """The events of a call. The first one is empty and stands for its beginning."""
    received = Received()
    kept = False
    _Room.taken += 1
    try:
        yield b""
        try:
            outcome: Outcome | None = None
            async with aclosing(_items(call)) as items:
                async for item in items:
                    if isinstance(item, Delta):
                        received.add(item)
                        yield _event("delta", _told(item))
                    else:
                        outcome = received.done(item)
            assert outcome is not None, "a stream ends with its reply"
        except DomainError as error:
            outcome = received.failed(error)
        except Exception:
            # A surprise of an adapter belongs under its column, and into the log.
            log.exception("a call of the playground failed")
            outcome = received.broken(OUR_FAULT)
        kept = True
        await _in_thread(partial(services.finish, answer_id=call.answer_id, outcome=outcome, now=clock.now()))
        yield _event("failed" if outcome.error else "done", {"message": outcome.error})
    finally:
        _Room.taken -= 1
        if not kept:
            # The client is gone, and with it this coroutine: a thread keeps what had come.
            _threads().submit(_keep, call.answer_id, received.cancelled())


async def _items(call: Call) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer bit by bit; the connection to the provider is closed with this generator."""
    if call.target is None:
        assert call.refusal is not None
        raise call.refusal
    async with aclosing(client.stream(call.target, call.request)) as items:
        async for item in items:
            yield item


def _keep(answer_id: int, outcome: Outcome) -> None:
    try:
        finish = partial(services.finish, answer_id=answer_id, outcome=outcome, now=clock.now())
        _with_connection(finish)
    except Exception:
        # Nobody waits for this thread; the schedule closes the answer later.
        log.exception("a cancelled answer of the playground could not be kept")


def _told(delta: Delta) -> dict[str, Any]:
    told: dict[str, Any] = {"text": delta.text}
    if delta.tool_call is not None:
        told |= {"tool": delta.tool_call, "name": delta.tool_name}
    if delta.ttft_ms is not None:
        told["ttft_ms"] = delta.ttft_ms
    return told


def _event(name: str, data: dict[str, Any]) -> bytes:
    # JSON has no line breaks of its own, so one line is enough.
    return b"event: " + name.encode() + b"\ndata: " + encode(data) + b"\n\n"

"""What every door of the intake does: know the caller, read the body within limits, have the items stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache, wraps
from typing import NamedTuple, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from apps.core import clock, logs
from apps.core.bodies import Disconnected
from apps.core.doors import Failed, HotRequest, HotResponse
from apps.core.errors import DomainError, Unavailable
from apps.core.threads import end_pool
from apps.projects import authentication
from apps.projects.types import KeyIdentity, Scope
from apps.telemetry.services.intake import note_refusal, refusals
from apps.telemetry.services.writer import Writer
from apps.telemetry.texts import clean_text
from apps.telemetry.types import Batch, Outcome

THREADS = 4
BIG_BODY_BYTES = 32_768
"""From here on, decoding is worth a thread of its own, so that small requests are not kept waiting."""

WAIT_SECONDS = 1.8
WAIT_SECONDS_PER_SPAN = 0.004

JSON = frozenset({"application/json", "text/json"})
Read = TypeVar("Read")


class Malformed(DomainError):
    """The body cannot be read as a whole."""

    code, http_status = "malformed", 400


class TooMany(DomainError):
    """More items than one request may bring."""

    code, http_status = "too_many_items", 413


class WrongMediaType(DomainError):
    """The body is said to be something else than what the door takes."""

    code, http_status = "unsupported_media_type", 415
    message = "Send JSON with Content-Type: application/json."


class Arrival(NamedTuple):
    """Who sends, with what, and when that was."""

    identity: KeyIdentity
    client: str
    at: datetime

    @property
    def keep_since(self) -> datetime:
        """A span that began before this would be dropped at once; its clock cannot be right."""
        return self.at - timedelta(days=self.identity.retention_days)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="intake")


@cache
def writer() -> Writer:
    """The process's writer, started with the first request."""
    return Writer(settings.INTAKE_WRITERS)


def stop() -> None:
    """Store what is waiting; called when the process is asked to end."""
    if writer.cache_info().currsize:
        writer().close(timeout=8)
    refusals.write()
    if _threads.cache_info().currsize:
        end_pool(_threads(), workers=THREADS)


Door = Callable[[HotRequest], Awaitable[HotResponse]]


def noted(door: Door) -> Door:
    """The door; whom it refuses, and why, is noted for the page on the intake's health."""

    @wraps(door)
    async def noting(request: HotRequest) -> HotResponse:
        try:
            return await door(request)
        except DomainError as error:
            note_refusal(request.headers, door=request.path, error=error, now=clock.now())
            raise
        except Disconnected:
            raise
        except Exception:
            failed = Failed(request_id=logs.request_id.get())
            note_refusal(request.headers, door=request.path, error=failed, now=clock.now())
            raise

    return noting


async def arrive(request: HotRequest) -> Arrival:
    """Know the caller, who may send telemetry; the body is not read before. Raises the errors of authentication."""
    now = clock.now()
    identity = await _identify(request, now)
    authentication.require_scope(identity, Scope.INGEST)
    return Arrival(identity, clean_text(request.headers.get("user-agent", "")[:200])[0], now)


def media_type(request: HotRequest) -> str:
    """The type of the body as the client names it, without parameters; empty when it names none."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read(request: HotRequest, reader: Callable[[bytes, Arrival], Read], arrival: Arrival) -> Read:
    """What the reader makes of the body, in a thread when it is big. Raises what the reader raises."""
    body = await request.body(limit=settings.INTAKE_MAX_BYTES)
    if len(body) <= BIG_BODY_BYTES:
        return reader(body, arrival)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), reader, body, arrival)


def empty_batch(arrival: Arrival) -> Batch:
    """A batch of this caller, to be filled."""
    return Batch(
        project_id=arrival.identity.project_id,
        key_id=arrival.identity.key_id,
        client=arrival.client,
        received_at=arrival.at,
        received=0,
        spans=[],
        positions=[],
        rejected=[],
        scores=[],
        logs=[],
    )


async def store(batch: Batch) -> Outcome:
    """What became of the items, after the commit; nothing is written for a request that brought none.

    Raises Unavailable when the database takes too long; what it stores after that is a duplicate later.
    """
    if not batch.received:
        return Outcome()
    return await _stored(writer().submit(batch), WAIT_SECONDS + WAIT_SECONDS_PER_SPAN * batch.received)


async def _stored(future: Future[Outcome], seconds: float) -> Outcome:
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), seconds)
    except TimeoutError as error:
        raise Unavailable() from error


async def _identify(request: HotRequest, now: datetime) -> KeyIdentity:
    """Whose key it is; the body is not read before this is known."""
    authentication.refuse_key_in_query(request.query)
    raw = authentication.key_from_headers(request.headers)
    known = authentication.cached_identity(raw, now=now)
    if known is not None:
        return known
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), _looked_up, raw, now)


def _looked_up(raw: str | None, now: datetime) -> KeyIdentity:
    """The key's identity from the database. Raises Unavailable while that is away."""
    # Django does this before each request of its own; these threads have none, and outlive a restart of the database.
    close_old_connections()
    try:
        return authentication.identify_key(raw, now=now)
    except (InterfaceError, OperationalError) as error:
        raise Unavailable() from error

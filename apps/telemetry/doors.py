"""The hot door of native telemetry: `POST /api/v1/telemetry`."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from apps.core import clock
from apps.core.doors import HotRequest, HotResponse, encode
from apps.core.errors import DomainError, Unavailable
from apps.core.threads import end_pool
from apps.projects import authentication
from apps.projects.types import KeyIdentity, Scope
from apps.telemetry import wire
from apps.telemetry.services.writer import Writer
from apps.telemetry.texts import clean_text
from apps.telemetry.types import Batch, Outcome, Rejection

THREADS = 4
BIG_BODY_BYTES = 32_768
"""From here on, decoding is worth a thread of its own, so that small requests are not kept waiting."""

WAIT_SECONDS = 1.8
WAIT_SECONDS_PER_SPAN = 0.004


class Malformed(DomainError):
    """The body cannot be read as a whole."""

    code, http_status = "malformed", 400


class TooMany(DomainError):
    """More items than one request may bring."""

    code, http_status = "too_many_items", 413


class WrongMediaType(DomainError):
    """The body is said to be something else than JSON."""

    code, http_status = "unsupported_media_type", 415
    message = "Send JSON with Content-Type: application/json."


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
    if _threads.cache_info().currsize:
        end_pool(_threads(), workers=THREADS)


async def telemetry(request: HotRequest) -> HotResponse:
    """Store spans; 200 with the counts after the commit, or an error that says what to change or when to try again."""
    received_at = clock.now()
    identity = await _identify(request, received_at)
    authentication.require_scope(identity, Scope.INGEST)
    media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media_type not in {"application/json", "text/json", ""}:
        raise WrongMediaType()
    body = await request.body(limit=settings.INTAKE_MAX_BYTES)
    client = request.headers.get("user-agent", "")[:200]
    if len(body) > BIG_BODY_BYTES:
        loop = asyncio.get_running_loop()
        batch = await loop.run_in_executor(_threads(), _read, body, identity, client, received_at)
    else:
        batch = _read(body, identity, client, received_at)
    outcome = await _stored(writer().submit(batch), WAIT_SECONDS + WAIT_SECONDS_PER_SPAN * batch.received)
    return HotResponse(encode(_answer(outcome)))


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


def _read(body: bytes, identity: KeyIdentity, client: str, received_at: datetime) -> Batch:
    try:
        items = wire.read_body(body, max_items=settings.INTAKE_MAX_ITEMS)
    except wire.MalformedBody as error:
        raise Malformed(str(error)) from error
    except wire.TooManyItems as error:
        raise TooMany(str(error)) from error
    spans, positions, rejected = wire.read_spans(
        items.spans,
        project_id=identity.project_id,
        received_at=received_at,
        keep_since=received_at - timedelta(days=identity.retention_days),
    )
    return Batch(
        project_id=identity.project_id,
        key_id=identity.key_id,
        client=clean_text(client)[0],
        received_at=received_at,
        received=len(items.spans) + len(items.scores),
        spans=spans,
        positions=positions,
        rejected=rejected + wire.refuse_scores(items.scores),
    )


async def _stored(future: Future[Outcome], seconds: float) -> Outcome:
    """The outcome, or Unavailable when the database takes too long; what it stores after that is a duplicate later."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), seconds)
    except TimeoutError as error:
        raise Unavailable() from error


def _answer(outcome: Outcome) -> dict[str, object]:
    return {
        "stored": outcome.stored + outcome.updated,
        "updated": outcome.updated,
        "duplicates": outcome.duplicates,
        "rejected": [_rejection(item) for item in outcome.rejected],
    }


def _rejection(item: Rejection) -> dict[str, object]:
    entry: dict[str, object] = {"index": item.index, "code": item.code, "message": item.message}
    return entry if item.list_name == "spans" else {**entry, "list": item.list_name}

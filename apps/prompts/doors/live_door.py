"""The live door: what an environment answers for a prompt now, from this process's memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from django.db import InterfaceError, OperationalError, close_old_connections

from apps.core.doors import HotRequest, HotResponse
from apps.core.errors import DomainError, Invalid, NotFound, Unavailable
from apps.core.threads import end_pool
from apps.projects.authentication import require_scope
from apps.projects.types import Scope
from apps.prompts.doors.callers import Callers
from apps.prompts.live import Answer, LivePrompt, answer
from apps.prompts.live_memory import Held, LiveMemory
from apps.prompts.templating import rendering
from apps.prompts.types import Syntax

PREFIX, SUFFIX = "/api/v1/prompts/", "/live"
DEFAULT_ENVIRONMENT = "production"
READERS, RENDERERS = 4, 2
MAX_BODY_BYTES = 4 * 1024 * 1024
HEAVY_CHARS = 16_384
"""From here on, rendering is worth a thread of its own, so that other requests are not kept waiting."""
LOAD_SECONDS = 5.0
REREAD_SECONDS = 0.25
"""How often, at most, a project is read anew because somebody asks for what is not there."""
CACHING = "private, max-age=2, stale-if-error=86400"
STALE = "X-Prodworthy-Stale"
LONGEST_SUBJECT = 256

memory = LiveMemory()
callers = Callers(memory)
_loading: dict[int, asyncio.Future[Held | None]] = {}


class Malformed(DomainError):
    """The body or the variables are not a JSON object."""

    code, http_status = "malformed", 400
    message = "Send a JSON object: {reason}"


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller asks for. `subject`, whom the answer is for, chooses the arm of an experiment that is served."""

    environment: str = DEFAULT_ENVIRONMENT
    variables: dict[str, Any] | None = None
    subject: str = ""


_decode = msgspec.json.Decoder(Wanted).decode
_decode_variables = msgspec.json.Decoder(dict[str, Any]).decode


@cache
def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="live-read")


@cache
def _renderers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=RENDERERS, thread_name_prefix="live-render")


def stop() -> None:
    """End the watcher and the threads; called when the process is asked to end."""
    memory.stop()
    for pool, workers in ((_readers, READERS), (_renderers, RENDERERS)):
        if pool.cache_info().currsize:
            end_pool(pool(), workers=workers)
            pool.cache_clear()


def forget() -> None:
    """Hold nothing: the next request reads anew."""
    memory.forget()


async def live(request: HotRequest) -> HotResponse:
    """Answer `GET` or `POST /api/v1/prompts/{name}/live`."""
    identity = await callers.identify(request, _readers())
    require_scope(identity, Scope.PROMPTS_READ)
    wanted, weight = (_asked(request.query), len(request.query)) if request.method != "POST" else await _posted(request)
    held, found = await _found(identity.project_id, request.path[len(PREFIX) : -len(SUFFIX)], wanted.environment)
    found = found.chosen(wanted.subject)
    stale = held.stale_seconds(time.monotonic())
    if wanted.variables is None:
        given = found.fresh if stale is None else found.stale
    else:
        given = await _rendered(found, wanted.variables, weight=weight, is_stale=stale is not None)
    headers = {"Cache-Control": CACHING, "ETag": given.etag, "Vary": "Authorization, X-Api-Key"}
    if stale is not None:
        headers[STALE] = str(stale)
    if request.method == "POST":
        headers["Cache-Control"] = "no-store"
    elif _matches(request.headers.get("if-none-match"), given.etag):
        return HotResponse(b"", status=304, headers=headers)
    return HotResponse(given.body, headers=headers)


def _asked(query: str) -> Wanted:
    """What the query asks for. Raises Invalid for a parameter that is unknown or twice there."""
    if not query:
        return Wanted()
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=20):
        if name not in {"environment", "subject", "variables", "project"}:
            raise _bad_parameter(name, "Unknown parameter. Known are: environment, subject, variables.")
        if name in given:
            raise _bad_parameter(name, "Give this once.")
        given[name] = value
    variables = None
    if "variables" in given:
        try:
            variables = _decode_variables(given["variables"])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise Malformed(reason=f"variables: {error}.") from error
    return _checked(Wanted(given.get("environment") or DEFAULT_ENVIRONMENT, variables, given.get("subject", "")))


def _bad_parameter(name: str, sentence: str) -> Invalid:
    details: dict[str, Any] = {name[:64]: [sentence]}
    return Invalid(None, **details)


async def _posted(request: HotRequest) -> tuple[Wanted, int]:
    """What the body asks for, and its size; variables that are not given are none, so that the answer is rendered."""
    body = await request.body(limit=MAX_BODY_BYTES)
    try:
        wanted = _decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise Malformed(reason=f"{error}.") from error
    if wanted.variables is None:
        wanted.variables = {}
    return _checked(wanted), len(body)


def _checked(wanted: Wanted) -> Wanted:
    if len(wanted.subject) > LONGEST_SUBJECT:
        raise Invalid(subject=[f"At most {LONGEST_SUBJECT} characters."])
    return wanted


def _matches(header: str | None, etag: str) -> bool:
    """Whether the caller has this answer already; weak comparison (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    bare = etag.removeprefix("W/")
    return header.strip() == "*" or any(one.strip().removeprefix("W/") == bare for one in header.split(","))


async def _found(project_id: int, name: str, environment: str) -> tuple[Held, LivePrompt]:
    """What is live of the prompt, and the memory it comes from.

    Before anybody is told that nothing is there, the project is read anew, unless that was done a moment ago: whoever
    has just deployed a prompt for the first time gets it.
    """
    held = memory.held(project_id)
    if held is not None:
        try:
            return held, held.snapshot.find(name, environment)
        except NotFound:
            if time.monotonic() - held.read_at < REREAD_SECONDS or held.stale_seconds(time.monotonic()) is not None:
                raise
    held = await _loaded(project_id)
    return held, held.snapshot.find(name, environment)


async def _loaded(project_id: int) -> Held:
    """The project, read for the first time here; everybody who asks meanwhile waits for the same read."""
    loop = asyncio.get_running_loop()
    pending = _loading.get(project_id)
    if pending is None or pending.done() or pending.get_loop() is not loop:
        pending = asyncio.ensure_future(loop.run_in_executor(_readers(), _load, project_id))
        pending.add_done_callback(lambda done: done.cancelled() or done.exception())
        pending.add_done_callback(lambda done: _loading.pop(project_id, None))
        _loading[project_id] = pending
    try:
        held = await asyncio.wait_for(asyncio.shield(pending), LOAD_SECONDS)
    except TimeoutError as error:
        raise _nothing_held() from error
    if held is None:
        raise NotFound
    return held


def _load(project_id: int) -> Held | None:
    close_old_connections()
    try:
        return memory.load(project_id)
    except (InterfaceError, OperationalError) as error:
        raise _nothing_held() from error


def _nothing_held() -> Unavailable:
    return Unavailable("The database does not answer, and this process has not read the prompts yet. Try again.")


async def _rendered(found: LivePrompt, variables: Mapping[str, Any], *, weight: int, is_stale: bool) -> Answer:
    """The answer with the values, which came in so many bytes, in their places. Raises RenderFailed."""
    if found.template.syntax is Syntax.JINJA or found.size + weight > HEAVY_CHARS:
        loop = asyncio.get_running_loop()
        messages = await loop.run_in_executor(_renderers(), rendering.render_for_call, found.template, variables)
    else:
        messages = rendering.render_for_call(found.template, variables)
    return answer(found.told(messages, is_stale=is_stale), found.version)

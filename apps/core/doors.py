"""Hot doors: requests that never enter Django's handler, because it starts threads and runs middleware for each.

A door is a coroutine that takes a `HotRequest` and returns a `HotResponse` or a `HotStream`, or raises a DomainError.
`HotDoors` is the ASGI application that finds the door for a path and passes everything else on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import msgspec
from asgiref.typing import ASGI3Application

from apps.core import logs
from apps.core.bodies import Disconnected, Receive, read_body
from apps.core.errors import DomainError

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
encode = msgspec.json.Encoder().encode


class HotRequest:
    """One request: its headers in lower case, and its body on demand."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._receive = receive
        self.body_was_read = False

    async def body(self, *, limit: int) -> bytes:
        """The inflated body of at most `limit` bytes; raises the errors of `apps.core.bodies`."""
        body = await read_body(
            self._receive,
            encoding=self.headers.get("content-encoding", ""),
            content_length=self.headers.get("content-length", ""),
            limit=limit,
        )
        self.body_was_read = True
        return body


class HotResponse:
    """A status, a body that is already encoded, and headers beside the usual ones."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = dict(headers or {})


class HotStream:
    """A body that comes in pieces. When the client goes away, the generator is closed where it waits, so that whatever
    it holds open in a `finally` or `async with` is let go of at once.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        content_type: str = "text/event-stream",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.chunks = chunks
        self.status = 200
        self.content_type = content_type
        self.headers = dict(headers or {})


class MethodNotAllowed(DomainError):
    """The address is right and the method is not."""

    code, http_status, message = "method_not_allowed", 405, "This address takes {allowed}."


class Failed(DomainError):
    """A fault of ours, which is in the log under the request's id."""

    code, http_status = "internal_error", 500
    message = "Something failed on our side. The log has it under request id {request_id}."


def error_response(_request: HotRequest, error: DomainError) -> HotResponse:
    """A domain error in the API's shape."""
    return HotResponse(encode(error.as_dict()), status=error.http_status, headers=retry_headers(error))


def retry_headers(error: DomainError) -> dict[str, str]:
    """When to try again, for the errors that are worth it."""
    return {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}


class HotDoor(NamedTuple):
    """The method that an address takes, what answers it, and how its errors are put."""

    method: str
    """One method, or several with blanks between them. GET answers HEAD, too."""
    answer: Callable[[HotRequest], Awaitable[HotResponse | HotStream]]
    refuse: Callable[[HotRequest, DomainError], HotResponse] = error_response


class PatternDoor(NamedTuple):
    """A door for every path that begins and ends like this and has something in between."""

    prefix: str
    suffix: str
    door: HotDoor

    def fits(self, path: str) -> bool:
        """True when the path is one of this door's."""
        return (
            len(path) > len(self.prefix) + len(self.suffix)
            and path.startswith(self.prefix)
            and path.endswith(self.suffix)
        )


class HotDoors:
    """The ASGI application in front: hot doors by path or pattern, everything else to the application behind."""

    def __init__(
        self, doors: Mapping[str, HotDoor], behind: ASGI3Application, *, patterns: Sequence[PatternDoor] = ()
    ) -> None:
        self.doors = dict(doors)
        self.behind = behind
        self.patterns = tuple(patterns)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection of any ASGI type."""
        if scope["type"] == "http" and (found := self._find(scope["path"])) is not None:
            await self._answer(found, scope, receive, send)
        else:
            await self.behind(scope, receive, send)

    def _find(self, path: str) -> HotDoor | None:
        found = self.doors.get(path)
        if found is not None:
            return found
        return next((pattern.door for pattern in self.patterns if pattern.fits(path)), None)

    async def _answer(self, found: HotDoor, scope: Scope, receive: Receive, send: Send) -> None:
        token = logs.request_id.set(uuid.uuid4().hex)
        request = HotRequest(scope, receive)
        response: HotResponse | HotStream
        try:
            methods = found.method.split()
            if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
                raise MethodNotAllowed(allowed=" or ".join(methods))
            response = await found.answer(request)
        except DomainError as error:
            response = found.refuse(request, error)
        except Disconnected:
            return
        except Exception:
            log.exception("a hot door failed at %s", request.path)
            response = found.refuse(request, Failed(request_id=logs.request_id.get()))
        finally:
            request_id = logs.request_id.get()
            logs.request_id.reset(token)
        if isinstance(response, HotStream):
            await self._stream(send, receive, response, request_id)
        else:
            await self._send(send, request, response, request_id)

    @staticmethod
    async def _send(send: Send, request: HotRequest, response: HotResponse, request_id: str) -> None:
        headers = {
            **_usual_headers(response, request_id),
            "Content-Length": str(len(response.body)),
            **response.headers,
        }
        if not request.body_was_read and request.method not in {"GET", "HEAD"}:
            # Whatever the client still wants to send is not worth reading.
            headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": response.status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    @staticmethod
    async def _stream(send: Send, receive: Receive, response: HotStream, request_id: str) -> None:
        """Send the pieces as they come, until they end or the client goes away."""
        headers = {**_usual_headers(response, request_id), "X-Accel-Buffering": "no", **response.headers}
        await send({"type": "http.response.start", "status": response.status, "headers": _encoded(headers)})
        sending = asyncio.ensure_future(_send_pieces(send, response.chunks))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            with contextlib.suppress(RuntimeError):  # it is closing itself already
                await response.chunks.aclose()
        if not sending.cancelled() and (fault := sending.exception()) is not None:
            # The answer has begun, so all that can be said is that it ends too early.
            log.error("a stream failed", exc_info=fault)
            raise fault


def _usual_headers(response: HotResponse | HotStream, request_id: str) -> dict[str, str]:
    return {
        "Content-Type": response.content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
    }


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def _send_pieces(send: Send, chunks: AsyncGenerator[bytes, None]) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass

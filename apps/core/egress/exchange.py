"""One request and its answer, within bounds of time and size."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from apps.core.egress.failures import Cut, EgressFailed, NotHttp, Stage, TimedOut, TooLarge, Unreachable
from apps.core.egress.loops import session
from apps.core.egress.resolving import check_url
from apps.core.egress_rules import EgressRefused

DRAIN_SECONDS = 0.05
LARGE_BODY = 512 * 1024
"""Larger ones are written piece by piece, so that they hold up nobody else."""
FORBIDDEN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
"""They decide what the other server takes for the request, and are ours."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that the other server is given: to connect, to begin its answer, and between two pieces of it."""

    connect: float = 5.0
    first_byte: float = 30.0
    idle: float = 30.0


class Exchange:
    """`async with Exchange(...) as answer`: sends the request and waits for the head of the answer.

    Leaving it early closes the connection at once; one whose answer was read to the end is used again. Raises
    EgressRefused before anything was sent, else an EgressFailed.
    """

    def __init__(
        self,
        url: str,
        *,
        body: bytes | None,
        headers: Mapping[str, str],
        patience: Patience,
        max_bytes: int,
        method: str = "POST",
        is_encoded: bool = False,
    ) -> None:
        """`is_encoded` sends the path letter for letter, for a request whose signature covers it."""
        self._url, self._method, self._body, self._headers = url, method, body, headers
        self._is_encoded = is_encoded
        self._patience, self._max_bytes = patience, max_bytes
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> Self:
        check_url(self._url)  # as it was written; what it is read as is checked by the session
        _check_headers(self._headers)
        patience = self._patience
        try:
            # The second limit is for a server that does not even read the request: reading has not begun then.
            async with asyncio.timeout(patience.connect + patience.first_byte):
                self._response = await self._send()
        except TimeoutError as error:
            was_connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
            if was_connecting:
                raise TimedOut(Stage.CONNECT, patience.connect) from None
            raise TimedOut(Stage.FIRST_BYTE, patience.first_byte) from None
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = patience.idle
            connection.protocol.start_timeout()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._response is not None:
            self._response.close()

    @property
    def status(self) -> int:
        """The status of the answer, never a redirect."""
        return self._answer.status

    def header(self, name: str) -> str:
        """A header of the answer, empty when it is missing."""
        return self._answer.headers.get(name, "")

    async def read(self) -> bytes:
        """The whole body. Raises TooLarge before more than `max_bytes` are held."""
        length = self._answer.content_length
        if length is not None and length > self._max_bytes:
            raise TooLarge(self._max_bytes)
        return b"".join([piece async for piece in self.pieces()])

    async def read_start(self, size: int) -> bytes:
        """The first bytes of the body, for an error's text; whatever goes wrong, what came until then."""
        start = bytearray()
        try:
            async for piece in self.pieces():
                start += piece
                if len(start) >= size:
                    break
        except (Cut, TooLarge, TimedOut):
            pass  # what it said until then is worth showing
        return bytes(start[:size])

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises Cut, TimedOut or TooLarge."""
        stream, left = self._answer.content, self._max_bytes
        failure: EgressFailed | None = None
        while failure is None:
            try:
                piece = await stream.readany()
            except TimeoutError:
                failure = TimedOut(Stage.IDLE, self._patience.idle)
            except (aiohttp.ClientError, OSError):
                failure = Cut()
            if failure is not None:
                # aiohttp raises before it hands out what came before the failure, and has no public way to ask for it.
                piece = stream._read_nowait(-1)
            elif not piece:
                return
            left -= len(piece)
            if left < 0:
                raise TooLarge(self._max_bytes)
            if piece:
                yield piece
        raise failure

    async def drain(self) -> None:
        """Read what is left, if it is there already, so that the connection can be used again."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in self.pieces():
                    pass
        except (TimeoutError, EgressFailed):
            return  # closing the connection is as good

    @property
    def _answer(self) -> aiohttp.ClientResponse:
        assert self._response is not None, "the exchange has not been entered"
        return self._response

    async def _send(self) -> aiohttp.ClientResponse:
        patience = self._patience
        is_large = self._body is not None and len(self._body) > LARGE_BODY
        body = io.BytesIO(self._body or b"") if is_large else self._body
        # Nothing of aiohttp's errors is kept: some hold the headers of the request.
        try:
            return await session().request(
                self._method,
                URL(self._url, encoded=True) if self._is_encoded else self._url,
                data=body,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=patience.connect, sock_connect=patience.connect, sock_read=patience.first_byte
                ),
            )
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorCertificateError:
            raise Unreachable("its certificate is not valid", is_lasting=True) from None
        except aiohttp.ClientSSLError:
            raise Unreachable("no secure connection came about", is_lasting=True) from None
        except aiohttp.ClientConnectorError:
            raise Unreachable("it takes no connection") from None
        except (aiohttp.InvalidURL, ValueError):
            raise EgressRefused("The URL or a header holds characters that cannot be sent.") from None
        except aiohttp.ClientResponseError:
            raise NotHttp from None
        except (aiohttp.ClientError, OSError):
            raise Unreachable("it closed the connection without an answer", was_sent=True) from None


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name.lower() in FORBIDDEN_HEADERS or name.lower().startswith("proxy-"):
            raise EgressRefused(f"The header {name[:40]} cannot be set.")

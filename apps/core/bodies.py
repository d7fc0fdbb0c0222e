"""Reading a request's body without trusting it: limits hold on the wire and after inflation, while it streams."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from apps.core.errors import DomainError

Receive = Callable[[], Awaitable[dict[str, Any]]]

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""zlib's window bits that mean: find out from the header whether it is gzip or zlib."""

MIN_RATIO_BYTES = 1024


class TooLarge(DomainError):
    """The body is over the limit, on the wire or after inflation."""

    code, http_status = "too_large", 413
    message = "The body may have {limit} bytes after decompression. Send smaller batches."


class UnknownEncoding(DomainError):
    """A Content-Encoding that is not supported."""

    code, http_status = "unsupported_encoding", 415
    message = "Content-Encoding {encoding} is not supported. Use gzip, deflate or none."


class CorruptBody(DomainError):
    """Compressed data that is cut off, followed by rubbish, or damaged."""

    code, http_status = "corrupt_body", 400
    message = "The compressed body is damaged: {reason}."


class Disconnected(Exception):
    """The client went away before its body was complete; there is nobody to answer."""


def _inflater(encoding: str) -> zlib._Decompress | None:
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(wbits=GZIP_OR_ZLIB)
    raise UnknownEncoding(encoding=encoding[:64])


async def read_body(receive: Receive, *, encoding: str, content_length: str, limit: int) -> bytes:
    """The whole body, inflated, of at most `limit` bytes.

    Memory grows by no more than about twice the limit, whatever is sent. Raises TooLarge, UnknownEncoding, CorruptBody
    or Disconnected.
    """
    inflater = _inflater(encoding.strip().lower())
    if content_length.isdigit() and int(content_length) > limit:
        raise TooLarge(limit=limit)
    parts: list[bytes] = []
    size = received = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(chunk)
        if received > limit:
            raise TooLarge(limit=limit)
        if inflater is not None:
            chunk = _inflate(inflater, chunk, room=limit - size)
        size += len(chunk)
        if size > limit:
            raise TooLarge(limit=limit)
        parts.append(chunk)
    if inflater is not None and received and not inflater.eof:
        raise CorruptBody(reason="it ends too early")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflate(inflater: zlib._Decompress, chunk: bytes, *, room: int) -> bytes:
    """What the chunk inflates to; one byte over the room is enough to know that it is too much."""
    if inflater.eof and chunk:
        raise CorruptBody(reason="something follows the end of the compressed data")
    try:
        inflated = inflater.decompress(chunk, room + 1)
    except zlib.error as error:
        raise CorruptBody(reason=str(error)) from error
    if inflater.unused_data:
        raise CorruptBody(reason="something follows the end of the compressed data")
    return inflated

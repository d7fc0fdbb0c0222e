"""The front that answers hot requests: which door is found, streams, and what happens when a client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from apps.core.doors import HotDoor, HotDoors, HotRequest, HotResponse, HotStream, PatternDoor

Sent = list[dict[str, Any]]


async def hello(request: HotRequest) -> HotResponse:
    """Answers with the path."""
    return HotResponse(request.path.encode(), headers={"X-Own": "yes"})


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the doors."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"behind"})


def ask(doors: HotDoors, path: str, method: str = "GET", *, leaves: asyncio.Event | None = None) -> Sent:
    """What the front sends for one request; with `leaves`, the client goes away when that is set."""
    sent: Sent = []

    async def receive() -> dict[str, Any]:
        if leaves is None:
            await asyncio.Event().wait()
        else:
            await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    asyncio.run(asyncio.wait_for(doors(scope, receive, send), 10))
    return sent


FRONT = HotDoors(
    {"/exact": HotDoor("GET", hello), "/several": HotDoor("GET POST", hello)},
    behind=behind,  # type: ignore[arg-type]
    patterns=[PatternDoor("/api/prompts/", "/live", HotDoor("GET", hello))],
)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/exact", "GET", 200),
        ("/exact", "POST", 405),
        ("/several", "POST", 200),
        ("/several", "PUT", 405),
        ("/api/prompts/a/live", "GET", 200),
        ("/api/prompts/a/b/live", "GET", 200),
        ("/api/prompts/a/live", "DELETE", 405),
        ("/api/prompts/live", "GET", 299),
        ("/api/prompts//live", "GET", 299),
        ("/api/prompts/a/lives", "GET", 299),
        ("/elsewhere", "GET", 299),
    ],
)
def test_finds_the_door(path: str, method: str, status: int) -> None:
    assert ask(FRONT, path, method)[0]["status"] == status


def test_answers_head_without_a_body() -> None:
    start, body = ask(FRONT, "/exact", "HEAD")
    assert (start["status"], body["body"]) == (200, b"")
    assert (b"content-length", b"6") in start["headers"]


def test_keeps_the_connection_after_a_get() -> None:
    assert b"connection" not in dict(ask(FRONT, "/exact")[0]["headers"])
    assert dict(ask(FRONT, "/several", "POST")[0]["headers"])[b"connection"] == b"close"


class Source:
    """A stream that says three things, and notes that it was closed."""

    def __init__(self, *, waits: bool = False, fails: bool = False) -> None:
        self.waits, self.fails, self.is_closed = waits, fails, False
        self.said = asyncio.Event()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """One, two, three; after two it may wait for ever, or fail."""
        try:
            yield b"one "
            yield b"two "
            self.said.set()
            if self.waits:
                await asyncio.Event().wait()
            if self.fails:
                raise ValueError("the source broke")
            yield b"three"
        finally:
            self.is_closed = True

    async def door(self, request: HotRequest) -> HotStream:
        """Answers with the stream."""
        return HotStream(self.chunks(), headers={"X-Own": "yes"})


def streaming(source: Source) -> HotDoors:
    """A front with one door, which answers with the source."""
    return HotDoors({"/stream": HotDoor("GET", source.door)}, behind=behind)  # type: ignore[arg-type]


def test_sends_a_stream_piece_by_piece() -> None:
    source = Source()
    start, *pieces = ask(streaming(source), "/stream")
    assert dict(start["headers"])[b"content-type"] == b"text/event-stream"
    assert dict(start["headers"])[b"x-own"] == b"yes"
    assert [piece["body"] for piece in pieces] == [b"one ", b"two ", b"three", b""]
    assert [piece.get("more_body", False) for piece in pieces] == [True, True, True, False]
    assert source.is_closed


def test_closes_the_source_when_the_client_goes_away() -> None:
    source = Source(waits=True)
    sent = ask(streaming(source), "/stream", leaves=source.said)
    assert [piece["body"] for piece in sent[1:]] == [b"one ", b"two "]
    assert source.is_closed


def test_lets_a_stream_that_failed_end_too_early(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(fails=True)
    with pytest.raises(ValueError, match="the source broke"):
        ask(streaming(source), "/stream")
    assert source.is_closed
    assert "a stream failed" in caplog.text

"""A provider of models in this process, on real sockets: OpenAI's and Anthropic's doors, with faults on demand.

It keeps its own log of the calls it got, which is what tests compare with. The fixture is `provider`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from apps.providers.calls import Limits, Protocol, Target
from tests.fakes.wording import (
    Answer,
    anthropic_events,
    anthropic_whole,
    embeddings,
    is_end,
    openai_events,
    openai_whole,
    with_wrong_usage,
    without_usage,
)

KEY = "sk-fake-0123456789abcdefghij"
MODELS = ("fake-1", "fake-2", "fake-embed")


class Fault(StrEnum):
    """What goes wrong with one call."""

    STATUS = "status"
    """An error: `status`, with `retry_after` as the header when it is set."""
    HANG = "hang"
    """Nothing at all, until the client goes away."""
    UNREAD = "unread"
    """The body of the request is not read, nor anything answered, for `seconds`."""
    SLOW_START = "slow_start"
    """The whole answer, `seconds` late."""
    TRICKLE = "trickle"
    """A byte every `seconds`, without end."""
    SILENCE = "silence"
    """Some of the answer, then nothing more."""
    CUT = "cut"
    """The connection ends after `after` events (half of a JSON answer), within chunked framing (or Content-Length)."""
    CUT_UNFRAMED = "cut_unframed"
    """As CUT, in an answer that ends where the connection ends: HTTP itself cannot tell."""
    RESET = "reset"
    """The connection is reset after `after` events."""
    CLOSE = "close"
    """The connection is closed before a byte of an answer."""
    MALFORMED = "malformed"
    """JSON, or the data of an event, that breaks in the middle."""
    NOT_EVENTS = "not_events"
    """A page of HTML with status 200."""
    NOT_HTTP = "not_http"
    """Bytes that are not HTTP."""
    NO_USAGE = "no_usage"
    """An answer without usage."""
    WRONG_USAGE = "wrong_usage"
    """Usage with counts that cannot be."""
    REDIRECT = "redirect"
    """307 to `location`."""
    BOMB = "bomb"
    """An answer of valid, endless content."""
    ENDLESS_LINE = "endless_line"
    """A line, or a text, that never ends."""
    ECHO_KEY = "echo_key"
    """401 with the key of the request in its text."""
    ERROR_EVENT = "error_event"
    """An error within a stream, after `after` events."""
    NO_END = "no_end"
    """A stream that ends in good order, but without its end mark."""


@dataclass(frozen=True)
class Script:
    """A fault and its particulars."""

    fault: Fault
    status: int = 500
    retry_after: str | None = None
    seconds: float = 0.2
    after: int = 2
    location: str = ""
    text: str = "the fake provider was told to fail"


@dataclass(frozen=True)
class Call:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """With names in lower case."""
    body: Any
    at: float
    """When, on `time.monotonic`."""


class _Gone(Exception):
    """The client or the script ended the connection."""


class FakeProvider:
    """Start it with `running()`. Faults come from `script` (one for each call, in order), from `by_model`, or from a
    request's header `X-Fault`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer = Answer()
        self.by_model: dict[str, Script] = {}
        self.by_text: dict[str, deque[Script | None]] = {}
        """What happens to the calls whose last message is this text, one after the other."""
        self.answers: Callable[[Any], Answer] | None = None
        """What the models say to a request, by its body, in place of `answer`."""
        self.doors: dict[str, Callable[[Any], Any]] = {}
        """Doors of services that are no provider: the JSON that a POST to a path is answered with, by its body."""
        self.port = 0
        self.connections = 0
        """How many were opened, ever."""
        self.open_connections = 0
        self.closed_early = 0
        """How many the client closed in the middle of an answer."""
        self._queue: deque[Script | None] = deque()
        self._open: set[asyncio.Task[None]] = set()

    # --- What tests use

    @property
    def url(self) -> str:
        """The base of OpenAI's doors."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def root(self) -> str:
        """The base of Anthropic's doors."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def listed(self) -> str:
        """The entry in PRODWORTHY_EGRESS_ALLOW that lets a product call it."""
        return f"127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """How many calls arrived."""
        return len(self.calls)

    def script(self, *faults: Script | Fault | None) -> None:
        """What happens to the next calls, one for each; None is a call that goes well."""
        self._queue.extend(Script(fault) if isinstance(fault, Fault) else fault for fault in faults)

    def target(self, protocol: Protocol = Protocol.OPENAI, model: str = "fake-1", **limits: Any) -> Target:
        """A target that leads here, with KEY."""
        base = self.url if protocol is Protocol.OPENAI else self.root
        return Target(protocol, protocol.value, model, base, KEY, limits=replace(Limits(), **limits), connection="fake")

    def reset(self) -> None:
        """Forget calls, scripts and counts."""
        self.calls.clear()
        self._queue.clear()
        self.by_model.clear()
        self.by_text.clear()
        self.answer = Answer()
        self.answers = None
        self.doors = {}
        self.closed_early = 0

    def wait_until(self, is_so: Callable[[FakeProvider], bool], seconds: float = 20.0) -> bool:
        """Poll until it is so; False when it is not in time."""
        deadline = time.monotonic() + seconds
        while not is_so(self):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    @contextmanager
    def running(self) -> Iterator[FakeProvider]:
        """Listening on a free port of the loopback, in a thread of its own."""
        loop = asyncio.new_event_loop()
        is_ready = threading.Event()
        thread = threading.Thread(target=self._serve, args=(loop, is_ready), name="fake-provider", daemon=True)
        thread.start()
        assert is_ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    # --- The server

    def _serve(self, loop: asyncio.AbstractEventLoop, is_ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**16))
        self.port = server.sockets[0].getsockname()[1]
        is_ready.set()
        loop.run_forever()
        server.close()
        for task in self._open:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*self._open, return_exceptions=True))
        loop.run_until_complete(server.wait_closed())
        loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (_Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            self._open.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        script = self._next(headers)
        if script and script.fault is Fault.UNREAD:
            self.calls.append(Call(method, path, headers, None, time.monotonic()))
            await asyncio.sleep(script.seconds)
            raise _Gone
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        body: Any = json.loads(raw) if raw else {}
        self.calls.append(Call(method, path, headers, body, time.monotonic()))
        model = str(body.get("model", ""))
        script = script or self._of_text(body) or self.by_model.get(model)
        sender = _Sender(reader, writer, self, script)
        said = self.answers(body) if self.answers is not None and method == "POST" else self.answer
        if method == "GET" and path.endswith("/models"):
            await sender.json({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
        elif method == "POST" and path.endswith("/chat/completions"):
            await sender.answer(openai_whole(said, model), openai_events(said, body), body)
        elif method == "POST" and path.endswith("/messages"):
            await sender.answer(anthropic_whole(said, model), anthropic_events(said, model), body)
        elif method == "POST" and path.endswith("/embeddings"):
            await sender.answer(embeddings(body), [], body)
        elif method == "POST" and path in self.doors:
            await sender.json(self.doors[path](body))
        else:
            await sender.json({"error": {"message": f"no such door: {method} {path}"}}, status=404)
        return sender.may_go_on

    def _of_text(self, body: Any) -> Script | None:
        messages = body.get("messages") or [{}] if isinstance(body, dict) else [{}]
        left = self.by_text.get(str(messages[-1].get("content")))
        return left.popleft() if left else None

    def _next(self, headers: Mapping[str, str]) -> Script | None:
        if name := headers.get("x-fault"):
            return Script(Fault(name))
        return self._queue.popleft() if self._queue else None


@dataclass
class _Sender:
    """Writes one answer, with its fault."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    owner: FakeProvider
    script: Script | None
    may_go_on: bool = True
    _is_chunked: bool = field(default=True)

    async def answer(self, whole: dict[str, Any], events: list[bytes], body: Mapping[str, Any]) -> None:
        """The whole answer, or the events when a stream was asked for."""
        script = self.script
        if script and await self._before(script, body):
            return
        if script and script.fault is Fault.NO_USAGE:
            whole = {name: value for name, value in whole.items() if name != "usage"}
            events = [event for event in (without_usage(event) for event in events) if event]
        if script and script.fault is Fault.WRONG_USAGE:
            whole = {**whole, "usage": dict.fromkeys(whole["usage"], -3) | {"prompt_tokens_details": "none"}}
            events = [with_wrong_usage(event) for event in events]
        if body.get("stream"):
            await self._stream(events)
        else:
            await self._whole(json.dumps(whole).encode())

    async def json(self, content: Any, status: int = 200, headers: str = "") -> None:
        """A small JSON answer."""
        await self._send(_head(status, f"Content-Type: application/json\r\n{headers}", length=len(json.dumps(content))))
        await self._send(json.dumps(content).encode())

    async def _before(self, script: Script, body: Mapping[str, Any]) -> bool:
        """Faults in the place of an answer; whether one of them was it."""
        fault = script.fault
        if fault is Fault.HANG:
            await self._watched(asyncio.sleep(3600))
        elif fault is Fault.SLOW_START:
            await self._watched(asyncio.sleep(script.seconds))
            return False
        elif fault is Fault.STATUS:
            wait = f"Retry-After: {script.retry_after}\r\n" if script.retry_after else ""
            await self.json({"error": {"message": script.text, "type": "fake"}}, script.status, wait)
        elif fault is Fault.ECHO_KEY:
            key = self.owner.calls[-1].headers.get("authorization") or self.owner.calls[-1].headers.get("x-api-key", "")
            text = (
                f"Incorrect API key provided: {key.removeprefix('Bearer ')}. First half: {key[:16]}. Last: {key[-9:]}"
            )
            await self.json({"error": {"message": text}}, 401)
        elif fault is Fault.REDIRECT:
            await self._send(_head(307, f"Location: {script.location}\r\n", length=0))
        elif fault is Fault.CLOSE:
            raise _Gone
        elif fault is Fault.NOT_HTTP:
            await self._send(b"220 mail.example.com ESMTP ready\r\n\r\n")
            raise _Gone
        elif fault is Fault.NOT_EVENTS:
            page = b"<html><body>Welcome to the hotel's network</body></html>"
            await self._send(_head(200, "Content-Type: text/html\r\n", length=len(page)) + page)
        else:
            return False
        return True

    async def _whole(self, content: bytes) -> None:
        script, half = self.script, content[: len(content) // 2]
        fault = script.fault if script else None
        if fault is Fault.CUT_UNFRAMED:
            await self._send(_head(200, "Content-Type: application/json\r\nConnection: close\r\n", length=None) + half)
            raise _Gone
        if fault is Fault.MALFORMED:
            await self._send(_head(200, "Content-Type: application/json\r\n", length=len(half)) + half)
            return
        size = {Fault.BOMB: 2**33, Fault.ENDLESS_LINE: None, Fault.TRICKLE: 2**20}.get(fault or Fault.CUT, len(content))
        framing = "Connection: close\r\n" if size is None else ""
        await self._send(_head(200, f"Content-Type: application/json\r\n{framing}", length=size))
        if script and fault in {Fault.CUT, Fault.RESET, Fault.SILENCE}:
            await self._send(half)
            await self._end(script)
        elif script and fault is Fault.TRICKLE:
            await self._endless(b" ", script.seconds)
        elif fault in {Fault.BOMB, Fault.ENDLESS_LINE}:
            await self._endless(b" " * 65536, 0)
        else:
            await self._send(content)

    async def _stream(self, events: list[bytes]) -> None:
        script = self.script
        fault = script.fault if script else None
        self._is_chunked = fault is not Fault.CUT_UNFRAMED
        framing = "Transfer-Encoding: chunked\r\n" if self._is_chunked else "Connection: close\r\n"
        await self._send(_head(200, f"Content-Type: text/event-stream; charset=utf-8\r\n{framing}", length=None))
        if fault is Fault.NO_END:
            events = [event for event in events if not is_end(event)]
        for place, event in enumerate(events):
            if script and place == script.after:
                await self._in_the_middle(script, event)
            if self.owner.answer.pause_seconds and place:
                await self._watched(asyncio.sleep(self.owner.answer.pause_seconds))
            await self._chunk(event)
        if self._is_chunked:
            await self._send(b"0\r\n\r\n")
        else:
            raise _Gone

    async def _in_the_middle(self, script: Script, event: bytes) -> None:
        fault = script.fault
        if fault in {Fault.CUT, Fault.CUT_UNFRAMED, Fault.RESET, Fault.SILENCE}:
            await self._end(script)
        elif fault is Fault.MALFORMED:
            await self._chunk(event.replace(b"}\n\n", b"\n\n", 1))
        elif fault is Fault.TRICKLE:
            await self._endless(b":", script.seconds)
        elif fault is Fault.ENDLESS_LINE:
            await self._endless(b"data: " + b"x" * 65536, 0)
        elif fault is Fault.BOMB:
            while True:
                await self._chunk(event * 64)
        elif fault is Fault.ERROR_EVENT:
            error = {"type": "overloaded_error", "message": "too busy"}
            await self._chunk(
                b"event: error\ndata: " + json.dumps({"type": "error", "error": error}).encode() + b"\n\n"
            )

    async def _end(self, script: Script) -> None:
        if script.fault is Fault.SILENCE:
            await self._watched(asyncio.sleep(3600))
        if script.fault is Fault.RESET:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
        raise _Gone

    async def _endless(self, piece: bytes, seconds: float) -> None:
        while True:
            await self._chunk(piece)
            if seconds:
                await self._watched(asyncio.sleep(seconds))

    async def _chunk(self, data: bytes) -> None:
        is_stream = self._is_chunked and self.owner.calls[-1].body.get("stream")
        await self._send(b"%x\r\n%s\r\n" % (len(data), data) if is_stream else data)

    async def _send(self, data: bytes) -> None:
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            self.owner.closed_early += 1
            raise

    async def _watched(self, waiting: Any) -> None:
        """Wait, unless the client goes away meanwhile, which is counted."""
        waits = asyncio.ensure_future(waiting)
        gone = asyncio.ensure_future(self.reader.read(1))
        try:
            await asyncio.wait({waits, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.owner.closed_early += 1
                raise _Gone
        finally:
            for task in (waits, gone):
                task.cancel()
            await asyncio.gather(waits, gone, return_exceptions=True)


def _head(status: int, headers: str, *, length: int | None) -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status} Status\r\n{headers}{size}\r\n".encode("latin-1")

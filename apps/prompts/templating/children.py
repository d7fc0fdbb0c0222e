"""Children that read and run Jinja templates: started ahead, asked once, and ended, whatever happens in them.

Starting one takes some 80 ms, most of it Jinja's import, so two spare children wait with everything loaded, one for
reading and one for rendering, and a live preview waits only for the work itself. A child answers one request and ends:
nothing that one project's template did can reach another's. The parent writes and reads in bounded steps with a
deadline, and kills the child's whole group at it.

Works from any thread. A process that forks (Celery's does) leaves the spares to its parent.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from apps.core.errors import DomainError

WALL_SECONDS = 2.5
"""From the request to the answer; then the child is killed, so that its end is known within 3 s."""
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""1 MiB of text is at most 6 MiB of JSON."""
MOST_AT_ONCE = 4
"""Children that work at the same time for one process; others wait."""
SPARES = 2
"""Some 22 MB each; none before the first request."""
WAIT_SECONDS = 5.0
SCRIPT = Path(__file__).with_name("child.py")
LEFT_ITS_LIMITS = 77
"""As in the child: it tried to leave its limits."""

log = logging.getLogger(__name__)


class TemplatesBusy(DomainError):
    """Too many Jinja templates are being worked on."""

    code, http_status, message = "unavailable", 503, "Too many Jinja templates are being rendered. Try again."
    retry_after_seconds = 2


class Stopped(Exception):
    """The child gave no answer; the text is a sentence that says what to do."""


TOO_LONG = "Rendering takes more than 2 s of processor time. Use fewer or shorter loops."
CRASHED = "Rendering this ended the process that did it. Make the template flatter and smaller."
ESCAPED = "This template tried to reach something outside of it and was ended. Remove what does so."

TOO_DEEP = "The values are nested too deep. Make them flatter."

Child = subprocess.Popen[bytes]


class Children:
    """The spare children of this process, and the turns of those who want one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._spares: list[Child] = []
        self._told_missing: set[str] = set()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The child's answer. Raises Stopped when it was killed or died, TemplatesBusy when no turn came."""
        try:
            told = json.dumps(request).encode()
        except RecursionError as error:
            raise Stopped(TOO_DEEP) from error
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise TemplatesBusy
        try:
            child = self._take()
            written = None
            try:
                written = _exchange(child, told, time.monotonic() + WALL_SECONDS)
            finally:
                code = _end(child, 0.0 if written is None else 0.05)
            self.warm()
        except OSError as error:
            log.warning("No child that renders Jinja can be started: %s", error)
            raise TemplatesBusy from error
        finally:
            self._turns.release()
        return self._understood(written, code)

    def warm(self) -> None:
        """See to it that spare children wait."""
        with self._lock:
            self._spares = [spare for spare in self._spares if not _is_dead(spare)]
            while len(self._spares) < SPARES:
                self._spares.append(_start())

    def stop(self) -> None:
        """End the spare children; the next request starts others."""
        with self._lock:
            spares, self._spares = self._spares, []
        for spare in spares:
            _end(spare, 0.05)

    def forget(self) -> None:
        """In a forked process: the spares are the parent's children, so only this copy of their pipes is closed."""
        spares, self._spares = self._spares, []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(MOST_AT_ONCE)
        for spare in spares:
            _close(spare)
            spare.returncode = 0  # not ours to wait for

    def _take(self) -> Child:
        """The spare that has waited longest, or a new child."""
        with self._lock:
            while self._spares:
                spare = self._spares.pop(0)
                if not _is_dead(spare):
                    return spare
        return _start()

    def _understood(self, written: bytes | None, code: int) -> dict[str, Any]:
        if written is None or code == -signal.SIGXCPU:
            raise Stopped(TOO_LONG)
        if code == LEFT_ITS_LIMITS:
            log.warning("A Jinja template tried to leave its child process, which was ended.")
            raise Stopped(ESCAPED)
        try:
            answer: dict[str, Any] = json.loads(written)
            missing = set(answer.pop("without")) - self._told_missing
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            log.warning("A child that renders Jinja ended with code %s and no answer.", code)
            raise Stopped(CRASHED) from error
        if missing:
            self._told_missing |= missing
            log.warning("This system does not limit templates in: %s. Do not render strangers' Jinja here.", missing)
        return answer


def _start() -> Child:
    """A child that loads Jinja and waits for its request."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(SCRIPT), *_package_folders()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,
        bufsize=0,
    )


def _package_folders() -> list[str]:
    """Where Jinja and what it needs lie; the child has no site packages of its own."""
    specs = [importlib.util.find_spec(name) for name in ("jinja2", "markupsafe")]
    return list(dict.fromkeys(str(Path(spec.origin).parent.parent) for spec in specs if spec and spec.origin))


def _exchange(child: Child, told: bytes, deadline: float) -> bytes | None:
    """Write the request and read the answer until the child closes its end; None at the deadline or for too much."""
    source, sink = _pipes(child)
    os.set_blocking(sink.fileno(), False)
    os.set_blocking(source.fileno(), False)
    left, answer = memoryview(told), bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(sink, selectors.EVENT_WRITE)
        waiting.register(source, selectors.EVENT_READ)
        while (seconds := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(seconds):
                if key.fileobj is sink:
                    left = _written(sink, left)
                    if not left:
                        waiting.unregister(sink)
                        sink.close()
                    continue
                part = os.read(source.fileno(), 1 << 18)
                answer += part
                if not part:
                    return bytes(answer)
                if len(answer) > MAX_ANSWER_BYTES:
                    return None
    return None


def _written(sink: IO[bytes], left: memoryview) -> memoryview:
    """What is left to write; nothing when the child reads no more."""
    try:
        return left[os.write(sink.fileno(), left[: 1 << 18]) :]
    except BrokenPipeError:
        return left[:0]


def _pipes(child: Child) -> tuple[IO[bytes], IO[bytes]]:
    assert child.stdout is not None
    assert child.stdin is not None
    return child.stdout, child.stdin


def _end(child: Child, seconds: float) -> int:
    """Give the child this long to end, then kill its group; its exit code."""
    _close(child)
    try:
        return child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        return child.wait()


def _is_dead(child: Child) -> bool:
    """True when the spare has ended on its own; then nothing is left of it."""
    if child.poll() is None:
        return False
    _close(child)
    return True


def _close(child: Child) -> None:
    for pipe in _pipes(child):
        pipe.close()


children = Children()
"""Those of this process."""
os.register_at_fork(after_in_child=children.forget)
atexit.register(children.stop)

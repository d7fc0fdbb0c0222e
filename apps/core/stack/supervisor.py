"""Keeps the parts of the stack alive: starts them in order, starts again what dies, and stops them all in time.

One thread, no callbacks: every child belongs to the main thread, whose end is the signal the kernel gives them.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from apps.core.stack.child import Child, signal_group
from apps.core.stack.logfiles import rotate
from apps.core.stack.program import Program

TICK_SECONDS = 0.2
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 15.0
HEALTHY_AFTER_SECONDS = 30.0
PROGRAMS_STOP_SECONDS = 4.0
SERVER_STOP_SECONDS = 2.5

Say = Callable[[str, str], None]


class Server(Protocol):
    """PostgreSQL or Valkey: prepared before each start, asked whether it answers, stopped after the programs."""

    name: str
    log: Path
    child: Child | None

    def prepare(self) -> None: ...
    def start(self) -> None: ...
    def answers(self) -> bool: ...
    def wait_ready(self, *, give_up: Callable[[], bool] = ...) -> None: ...
    def stop(self, *, seconds: float = ...) -> None: ...


@dataclass
class Watch:
    """What the supervisor knows of one part."""

    part: Server | Program
    started: float = 0.0
    delay: float = FIRST_DELAY_SECONDS
    restart_at: float | None = None
    is_ready: bool = True


class Supervisor:
    """Runs servers and programs until it is told to stop."""

    def __init__(self, *, say: Say, record: Callable[[list[int]], None]) -> None:
        self._say = say
        self._record = record
        self._watches: list[Watch] = []
        self._stop = threading.Event()
        self._hurry = False

    @property
    def is_stopping(self) -> bool:
        """True once a signal or `stop` asked for the end."""
        return self._stop.is_set()

    def catch_signals(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal stop everything; a second one does not wait any longer."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def bring_up(self, parts: Sequence[Server | Program]) -> None:
        """Start the parts together and wait until each answers. Raises what the part raises when it does not."""
        watches = []
        for part in parts:
            if self.is_stopping:
                return
            part.prepare()
            rotate(part.log)
            watch = Watch(part, started=time.monotonic())
            self._watches.append(watch)
            watches.append(watch)
            part.start()
        self._record_children()
        for watch in watches:
            watch.part.wait_ready(give_up=lambda: self.is_stopping)

    def run_once(self, program: Program) -> int:
        """Run a program that ends by itself, in full view of signals; its exit code (negative when stopped)."""
        rotate(program.log)
        program.start()
        assert program.child is not None
        while program.child.poll() is None and not self._stop.wait(TICK_SECONDS / 4):
            pass
        if program.child.poll() is None:
            program.ask_to_stop()
        code = self._wait_or_kill(program.child, seconds=3)
        program.child = None
        return code

    def watch(self) -> None:
        """Start again whatever dies, until told to stop."""
        while not self._stop.wait(TICK_SECONDS):
            for watch in self._watches:
                self._look_after(watch)

    def stop(self) -> None:
        """End programs first, then the servers they use; nothing is left after about ten seconds."""
        self._stop.set()
        programs = [watch.part for watch in self._watches if isinstance(watch.part, Program)]
        servers = [watch.part for watch in self._watches if not isinstance(watch.part, Program)]
        for program in programs:
            program.ask_to_stop()
        deadline = time.monotonic() + PROGRAMS_STOP_SECONDS
        for program in programs:
            program.stop(seconds=0 if self._hurry else max(0.0, deadline - time.monotonic()))
        for server in reversed(servers):
            server.stop(seconds=0.5 if self._hurry else SERVER_STOP_SECONDS)
        self._watches.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._hurry = self._stop.is_set()
        self._stop.set()

    def _look_after(self, watch: Watch) -> None:
        """One look at one part: note its death, start it again when its delay is over, note that it answers."""
        now = time.monotonic()
        child = watch.part.child
        if watch.restart_at is None and (child is None or child.poll() is not None):
            self._note_death(watch, child, now)
        elif watch.restart_at is not None and now >= watch.restart_at:
            self._start_again(watch, now)
        elif not watch.is_ready and watch.part.answers():
            watch.is_ready = True
            self._say(watch.part.name, "answers again")

    def _note_death(self, watch: Watch, child: Child | None, now: float) -> None:
        if now - watch.started > HEALTHY_AFTER_SECONDS:
            watch.delay = FIRST_DELAY_SECONDS
        if child is not None:
            # What it had started itself must not compete with its successor.
            signal_group(child.pid, signal.SIGKILL)
            self._say(watch.part.name, f"{_how_it_ended(child.returncode)}; starting it again ({watch.part.log})")
        watch.restart_at = now + watch.delay
        watch.delay = min(watch.delay * 2, LONGEST_DELAY_SECONDS)

    def _start_again(self, watch: Watch, now: float) -> None:
        watch.restart_at = None
        watch.started = now
        watch.is_ready = False
        try:
            watch.part.prepare()
            rotate(watch.part.log)
            watch.part.start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            # A full disk or a file in the way may be gone at the next try; until then the others keep running.
            watch.part.child = None
            self._say(watch.part.name, f"cannot be started: {error}")
        self._record_children()

    def _record_children(self) -> None:
        """Servers are left out: a killed supervisor's servers are ended in their own, gentler way."""
        programs = [watch.part.child for watch in self._watches if isinstance(watch.part, Program)]
        self._record([child.pid for child in programs if child is not None])

    @staticmethod
    def _wait_or_kill(child: Child, *, seconds: float) -> int:
        try:
            return child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            signal_group(child.pid, signal.SIGKILL)
            return child.wait()


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"

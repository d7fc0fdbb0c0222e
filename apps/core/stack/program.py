"""A child process without a protocol of its own: web, worker, beat."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.core.stack.child import Child, signal_group, spawn, tail, wait_until


class ProgramFailed(RuntimeError):
    """A program exited or stayed silent while starting; the message holds the end of its log."""


def always() -> bool:
    """For programs that cannot be asked: they are up while they run."""
    return True


@dataclass
class Program:
    """One command, started in its own process group. `answers` is asked whether it does its work."""

    name: str
    command: list[str]
    log: Path
    cwd: Path
    environment: Mapping[str, str]
    is_answering: Callable[[], bool] = always
    start_seconds: float = 120.0
    child: Child | None = field(default=None)

    def prepare(self) -> None:
        """Nothing to make before the start."""

    def start(self) -> None:
        """Start the command; returns before it answers."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.child = spawn(self.command, log=self.log, cwd=self.cwd, environment=self.environment)

    def answers(self) -> bool:
        """True if it runs and does its work."""
        return self.child is not None and self.child.poll() is None and self.is_answering()

    def wait_ready(self, *, give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until it answers. Raises ProgramFailed when it exits or takes longer than `start_seconds`."""
        if not wait_until(lambda: self.answers() or self._died() or give_up(), seconds=self.start_seconds):
            raise ProgramFailed(f"{self.name} is silent after {self.start_seconds:.0f} s.\n{tail(self.log)}")
        if self._died():
            raise ProgramFailed(f"{self.name} did not start. The end of {self.log}:\n{tail(self.log)}")

    def ask_to_stop(self) -> None:
        """Let it finish what it does."""
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)

    def stop(self, *, seconds: float) -> None:
        """Wait for the end, and then end whatever is left of its process group for good."""
        if self.child is None:
            return
        wait_until(self._died, seconds=seconds)
        signal_group(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.child = None

    def _died(self) -> bool:
        return self.child is not None and self.child.poll() is not None


def http_answers(host: str, port: int, path: str = "/healthz") -> bool:
    """True if a web server answers the path with 200 within two seconds."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

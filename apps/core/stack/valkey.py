"""Our own Valkey: broker of the jobs, disposable by design. Reachable by a Unix socket alone."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from apps.core.stack import binaries, places
from apps.core.stack.child import Child, end_process, spawn, tail, wait_until

START_SECONDS = 60.0
STOP_SECONDS = 4.0
SOCKET_NAME = "valkey.sock"


class ValkeyFailed(RuntimeError):
    """Valkey did not start; the message holds the end of its log."""


@dataclass
class Valkey:
    """One server in one directory. `start` and `stop` may be called again and again."""

    data: Path
    sockets: Path
    log: Path
    bin_setting: str = ""
    child: Child | None = None

    name = "valkey"

    def prepare(self) -> None:
        """Make its directories, and end a server that a killed supervisor left behind."""
        self._account = places.server_account(self.data)
        self._program = self._usable_program()
        places.make_private(self.sockets, self._account)
        places.make_private(self.data, self._account)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for process in psutil.process_iter(["name"]):
            if self._works_here(process):
                end_process(process, politely=signal.SIGTERM, seconds=STOP_SECONDS)
        self.socket.unlink(missing_ok=True)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.sockets / SOCKET_NAME

    def start(self) -> None:
        """Start the server as our child; returns before it answers."""
        self.child = spawn(
            [str(self._program), *self._options()],
            log=self.log,
            cwd=self.data,
            environment={**os.environ, "LC_ALL": "C"},
            account=self._account,
            when_orphaned=signal.SIGTERM,
        )

    def wait_ready(self, *, give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until the server answers; data it cannot load is moved aside once, and it starts empty.

        Nothing is lost with that data, since every job has a row in PostgreSQL. Raises ValkeyFailed when the server
        exits all the same or is too slow (START_SECONDS).
        """
        self._wait(give_up)
        if self._died() and any(self.data.iterdir()):
            self.data.rename(self.data.with_name(f"{self.data.name}.broken-{time.time_ns()}"))
            self.prepare()
            self.start()
            self._wait(give_up)
        if self._died():
            raise ValkeyFailed(f"Valkey did not start. The end of {self.log}:\n{tail(self.log)}")

    def _wait(self, give_up: Callable[[], bool]) -> None:
        if not wait_until(lambda: self.answers() or self._died() or give_up(), seconds=START_SECONDS):
            raise ValkeyFailed(f"Valkey is silent after {START_SECONDS:.0f} s.\n{tail(self.log)}")

    def answers(self) -> bool:
        """True if it answers a PING now (while loading its data it does not)."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(2)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Let it write its last second of commands and leave; for good when that takes too long."""
        if self.child is None:
            return
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            if self.child.poll() is None:
                self.child.send_signal(number)
                wait_until(self._died, seconds=patience)
        self.child = None

    def url(self) -> str:
        """How Celery's broker address names the server."""
        return f"redis+socket://{self.socket}"

    def _died(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def _usable_program(self) -> Path:
        """The program, copied beside the data when the server's account cannot reach it where it lies."""
        program = binaries.find_valkey(self.bin_setting)
        if self._account is None or binaries.runnable_by(self._account, program):
            return program
        return binaries.copy_program(program, self.data.parent / "binaries" / "valkey")

    def _options(self) -> list[str]:
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "700",
            "--dir": str(self.data),
            "--daemonize": "no",
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            # Evicting a key would drop a queued job without a word.
            "--maxmemory-policy": "noeviction",
        }
        return [word for pair in options.items() for word in pair]

    def _works_here(self, process: psutil.Process) -> bool:
        if process.info["name"] not in {"valkey-server", "redis-server"}:
            return False
        try:
            return os.path.samefile(process.cwd(), self.data)
        except (psutil.Error, OSError):
            return False

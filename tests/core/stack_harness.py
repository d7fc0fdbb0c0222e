"""Runs `manage.py up` as a person would, and looks at what is left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

BASE = Path(__file__).resolve().parents[2]
# An unprivileged user who may still read files, so that an interpreter in root's home can be run at all.
AS_NOBODY = [
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *(
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ),
]
OURS = ("DATABASE_URL", "REDIS_URL", "PRODWORTHY_", "DJANGO_")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def clean_environment(**given: str) -> dict[str, str]:
    """Ours without anything that configures the product, plus what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **given}


def eventually(is_so: Callable[[], bool], *, seconds: float) -> bool:
    """True as soon as it is so; False after that many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Stack:
    """One data directory, and the supervisor that may run on it."""

    def __init__(self, var: Path, *, port: int, as_nobody: bool = False) -> None:
        self.var = var
        self.port = port
        self.prefix = AS_NOBODY if as_nobody else []
        self.output = var.with_name(f"{var.name}.output")
        self.environment = clean_environment(PRODWORTHY_VAR=str(var), PRODWORTHY_PORT=str(port))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor; returns at once."""
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, str(BASE / "manage.py"), "up"],
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=self.environment,
                start_new_session=True,
            )

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another management command on the same data directory to its end."""
        return subprocess.run(
            [*self.prefix, sys.executable, str(BASE / "manage.py"), *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env=self.environment,
            timeout=180,
        )

    def said(self) -> str:
        """Everything the supervisor printed."""
        return self.output.read_text()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /readyz; (0, {}) when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def is_up(self) -> bool:
        """True when the summary is printed and /readyz says ok."""
        return "is up after" in self.said() and self.readiness()[0] == 200

    def wait_up(self, *, seconds: float = 180) -> None:
        """Wait for `is_up`, or fail with everything that is known."""
        assert self.process is not None
        process = self.process
        eventually(lambda: self.is_up() or process.poll() is not None, seconds=seconds)
        assert self.is_up(), f"{self.said()}\n{self.logs()}"

    def logs(self) -> str:
        """The ends of all logs."""
        found = sorted((self.var / "log").glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in found)

    def child(self, name: str) -> int:
        """The process id of a part, found by its command among the supervisor's children."""
        marks = {
            "web": "llmops_site.asgi",
            "worker": "default,telemetry",
            "evals": "--queues evals",
            "beat": " beat ",
            "postgres": "postgres -D",
            "valkey": "valkey-server",
        }
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            if marks[name] in " ".join(child.cmdline()):
                return child.pid
        raise AssertionError(f"{name} does not run: {self.said()}")

    def everything_running(self) -> list[str]:
        """Commands of all processes, children of children too, that belong to this data directory."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("PRODWORTHY_VAR") == str(self.var) or str(self.var) in process.cwd()
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:120])
            except psutil.Error:
                continue
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Send the signal and wait for the end of the supervisor; the seconds it took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        return time.monotonic() - started

    def clean_up(self) -> None:
        """Whatever the test found, leave nothing running and nothing on disk."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGTERM)
        shutil.rmtree(self.var, ignore_errors=True)
        self.output.unlink(missing_ok=True)

"""Who runs on a data directory: one supervisor at a time, and the children it would leave behind if it were killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import psutil

from apps.core.stack.child import signal_group


class AlreadyRunning(RuntimeError):
    """Another supervisor runs on this data directory; the message says where."""


class RunFile:
    """`var/run/up.json`: locked while a supervisor lives, naming its address and its children.

    The lock belongs to the open file, so it goes with the process however that ends; the content stays for the next
    start to clean up by.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: TextIO | None = None

    def take(self, *, url: str) -> None:
        """Become the one supervisor, or raise AlreadyRunning."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        handle = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            known = _parsed(handle.read())
            handle.close()
            raise AlreadyRunning(
                f"Prodworthy is already running here: {known.get('url', 'it is just starting')} "
                f"(process {known.get('pid', 'unknown')}, data in {self.path.parent.parent})."
            ) from None
        self._handle = handle
        self._url = url

    def end_left_behind(self) -> int:
        """End the recorded children of a supervisor that was killed, if they still run; says how many did.

        Servers are not recorded: they notice the loss themselves, or are found by their data directory.
        """
        assert self._handle is not None
        self._handle.seek(0)
        ended = 0
        for entry in _parsed(self._handle.read()).get("children", []):
            process = _same_process(entry)
            if process is not None:
                signal_group(process.pid, signal.SIGKILL)
                with suppress(psutil.NoSuchProcess):
                    process.wait(timeout=5)
                ended += 1
        return ended

    def record(self, children: Iterable[int]) -> None:
        """Write down the address and the process ids of the children that run now."""
        assert self._handle is not None
        entries = []
        for pid in children:
            with suppress(psutil.NoSuchProcess):
                entries.append({"pid": pid, "started": psutil.Process(pid).create_time()})
        self._handle.seek(0)
        self._handle.truncate()
        json.dump({"pid": os.getpid(), "url": self._url, "children": entries}, self._handle)
        self._handle.flush()

    def give_back(self) -> None:
        """Everything is stopped: forget it and let the next one in."""
        if self._handle is not None:
            self._handle.truncate(0)
            self._handle.close()
            self._handle = None


def _parsed(text: str) -> dict[str, Any]:
    """The record, or an empty one for a file that was cut off or never written."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _same_process(entry: dict[str, Any]) -> psutil.Process | None:
    """The process that was recorded, unless it ended or its number now belongs to another."""
    try:
        process = psutil.Process(int(entry["pid"]))
        return process if abs(process.create_time() - float(entry["started"])) < 0.5 else None
    except (KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return None

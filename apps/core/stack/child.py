"""Starting child processes that do not outlive their parent, and ending them for good."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from apps.core.stack.places import Account

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05
# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

Child = subprocess.Popen[bytes]


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str],
    account: Account | None = None,
    when_orphaned: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start the command in its own process group, writing to the log.

    On Linux the kernel sends it `when_orphaned` when the calling thread ends, however that happens, so call
    this from a thread that lives as long as the process. Elsewhere the next start finds it by its pid.
    """
    parent = os.getpid()

    def tie_to_parent() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(when_orphaned), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    with log.open("ab") as sink:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
            # Runs after the change of account, which would clear what prctl sets.
            preexec_fn=tie_to_parent,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send the signal to the process group that `spawn` made; silent when nothing of it is left."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def wait_until(reached: Callable[[], bool], *, seconds: float) -> bool:
    """Look until it is so or the time is over; says which."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end_process(process: psutil.Process, *, politely: signal.Signals, seconds: float) -> None:
    """End a process that is not our child, politely and then for good, and wait until it is gone."""
    try:
        process.send_signal(politely)
        try:
            process.wait(timeout=seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
    except psutil.NoSuchProcess:
        return


def tail(log: Path, *, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 8_192))
            text = handle.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"

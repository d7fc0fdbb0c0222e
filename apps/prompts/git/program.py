"""The only place that starts git.

Arguments are lists and nothing passes a shell that holds text of others. The environment is made from nothing: no
configuration of the system or of a person is read, nobody is asked for a password, hooks are off, redirects are not
followed, and only the protocols that the caller names may be spoken. What a credential is needed for gets it through
the environment, never through the arguments, which other users of the machine can read.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from apps.prompts.git.failures import GitFailed, GitMissing, GitTooLarge, GitTooSlow, in_words

OLDEST = (2, 37)
"""The first git that can be told which address a host has."""
NOWHERE = "/nonexistent"
PORTION = 64 * 1024
MOST_WORDS = 64 * 1024
"""The most bytes of error output that are kept."""
LIMITER = (
    'ulimit -f "$1" && ulimit -t "$2" || exit 125; ulimit -v "$3" 2>/dev/null; ulimit -c 0 2>/dev/null; '
    'shift 3; exec "$@"'
)
"""Sets limits that git's children inherit, then becomes git. `-f` counts blocks of 512 bytes."""

CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    "core.askPass": "/bin/false",
    "core.bigFileThreshold": "4m",
    "core.packedGitLimit": "256m",
    "core.packedGitWindowSize": "16m",
    "core.deltaBaseCacheLimit": "32m",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "fetch.unpackLimit": "1",
    "fetch.writeCommitGraph": "false",
    "transfer.bundleURI": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "http.followRedirects": "false",
    "http.proxy": "",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "20",
    "http.delegation": "none",
    "push.recurseSubmodules": "no",
    "uploadpack.allowFilter": "false",
    "uploadpack.allowAnySHA1InWant": "false",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may take: seconds in all, bytes of output, bytes in one file that it writes, bytes of memory."""

    seconds: float = 60.0
    output_bytes: int = 32 * 1024 * 1024
    file_bytes: int = 512 * 1024 * 1024
    memory_bytes: int = 3 * 1024 * 1024 * 1024


USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Access:
    """How a remote is reached: more configuration and environment, the protocols, what must never be shown."""

    protocols: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)


ALONE = Access()
"""No remote: no protocol is allowed."""


@lru_cache(maxsize=1)
def _path() -> str | None:
    return shutil.which("git")


def is_available() -> bool:
    """True when there is a git program."""
    return _path() is not None


def require() -> str:
    """Where the program is. Raises GitMissing."""
    found = _path()
    if found is None:
        raise GitMissing
    return found


def _environment(program: str, directory: Path | None, access: Access) -> dict[str, str]:
    config = {**CONFIG, **access.config}
    if directory is not None:
        config["safe.directory"] = str(directory)
    made = {
        "PATH": f"{Path(program).parent}{os.pathsep}{os.defpath}",
        "HOME": NOWHERE,
        "XDG_CONFIG_HOME": NOWHERE,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": access.protocols or "none",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    if directory is not None:
        made["GIT_DIR"] = str(directory)
    for number, (key, value) in enumerate(config.items()):
        made[f"GIT_CONFIG_KEY_{number}"] = key
        made[f"GIT_CONFIG_VALUE_{number}"] = value
    return made | dict(access.environment)


def run(
    arguments: Sequence[str],
    *,
    directory: Path | None = None,
    given: bytes = b"",
    access: Access = ALONE,
    limits: Limits = USUAL,
    allowed_codes: Sequence[int] = (0,),
) -> bytes:
    """Run git in a bare repository and return what it wrote. Raises GitMissing, GitFailed, GitTooSlow, GitTooLarge.

    Killed with all its children when it takes longer or says more than it may.
    """
    with tempfile.TemporaryFile() as output:
        run_into(output, arguments, directory, given, access, limits, allowed_codes)
        output.seek(0)
        return output.read()


def run_into(
    output: IO[bytes],
    arguments: Sequence[str],
    directory: Path | None,
    given: bytes,
    access: Access,
    limits: Limits,
    allowed_codes: Sequence[int] = (0,),
) -> int:
    """As `run`, with the output written to a file; returns the exit code."""
    program = require()
    command = [
        "/bin/sh", "-c", LIMITER, "sh",
        str(limits.file_bytes // 512), str(int(limits.seconds) + 5), str(limits.memory_bytes // 1024),
        program, *arguments,
    ]  # fmt: skip
    with tempfile.TemporaryFile() as source:
        source.write(given)
        source.seek(0)
        child = subprocess.Popen(
            command,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_environment(program, directory, access),
            start_new_session=True,
        )
    try:
        words = _listen(child, output, limits)
    finally:
        _end(child)
    if child.returncode not in allowed_codes:
        if child.returncode in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ, -signal.SIGXCPU):
            raise GitTooLarge
        raise GitFailed(in_words(words, secrets=access.secrets))
    return child.returncode


def _listen(child: subprocess.Popen[bytes], output: IO[bytes], limits: Limits) -> bytes:
    """Read both outputs until they end; the error output is returned."""
    assert child.stdout is not None
    assert child.stderr is not None
    until = time.monotonic() + limits.seconds
    words, taken = bytearray(), 0
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        waiting.register(child.stderr, selectors.EVENT_READ)
        while waiting.get_map():
            left = until - time.monotonic()
            if left <= 0:
                raise GitTooSlow(seconds=limits.seconds)
            for key, _ in waiting.select(left):
                portion = os.read(key.fd, PORTION)
                if not portion:
                    waiting.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    words += portion[: max(0, MOST_WORDS - len(words))]
                else:
                    taken += len(portion)
                    if taken > limits.output_bytes:
                        raise GitTooLarge
                    output.write(portion)
    try:
        child.wait(timeout=max(1.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise GitTooSlow(seconds=limits.seconds) from None
    return bytes(words)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the program with its whole process group unless it has ended, and give its pipes back."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


@lru_cache(maxsize=1)
def version() -> tuple[int, int]:
    """The program's version. Raises GitMissing where there is none; (0, 0) when it cannot be told."""
    words = run(["--version"]).decode("ascii", "replace").split()
    parts = words[2].split(".") if len(words) > 2 else []
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else (0, 0)


def require_recent() -> None:
    """Raise GitMissing for a git that cannot be told which address a host has: it would ask by itself."""
    if version() < OLDEST:
        raise GitMissing

"""Where the embedded servers keep their data and sockets, worked out the same way in every process.

Settings import this module, so it knows neither Django nor the environment: its answers depend on the data
directory, on who asks, and on what is already on disk.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, one of them a zero.
SOCKET_PATH_LIMIT = 103
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
UNPRIVILEGED = "nobody"
# Root keeps servers' data here when their account cannot reach the data directory, whose parents stay closed.
APART = Path("/var/lib")
# Fixed rather than taken from TMPDIR, which may differ between the shell that starts and the shell that asks.
SHORT = Path("/tmp")  # noqa: S108  a private directory inside it is checked for its owner before use


@dataclass(frozen=True)
class Account:
    """Whom a server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Places:
    """The directories of the embedded servers."""

    home: Path
    """Holds `postgres/` and `valkey/`: the data directory, or a place an unprivileged account reaches."""
    sockets: Path
    """Holds both servers' Unix sockets; only their account may enter it."""


class NotOurs(RuntimeError):
    """A directory that must be private belongs to somebody else or is not a directory."""


def choose(var: Path) -> Places:
    """The places for this data directory. Once servers have data somewhere, that is where they stay."""
    home = _home(var)
    sockets = home / "sockets"
    if len(os.fsencode(sockets / LONGEST_SOCKET_NAME)) > SOCKET_PATH_LIMIT:
        sockets = SHORT / f"prodworthy-{os.geteuid()}-{_digest(var)}"
    return Places(home=home, sockets=sockets)


def server_account(data: Path) -> Account | None:
    """Whom a server with this data runs as; None is ourselves. Never root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return _account(data.stat().st_uid)
    entry = pwd.getpwnam(UNPRIVILEGED)
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def reaches(account: Account, path: Path) -> bool:
    """True if every existing directory above the path lets the account pass."""
    for directory in path.absolute().parents:
        try:
            found = directory.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == account.uid:
            allowed = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            allowed = found.st_mode & stat.S_IXGRP
        else:
            allowed = found.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def make_private(directory: Path, account: Account | None) -> None:
    """Make the directory for one account alone, or raise NotOurs if somebody else already did."""
    owner = os.geteuid() if account is None else account.uid
    # Parents keep the default mode; making them private would shut the account out.
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
            raise NotOurs(f"{directory} is not a directory of ours. Move it away and start again.") from None
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)


def _home(var: Path) -> Path:
    if os.geteuid() != 0:
        return var
    apart = APART / f"prodworthy-{_digest(var)}"
    for home in (var, apart):
        if (home / "postgres" / "PG_VERSION").exists():
            return home
    account = server_account(var / "postgres")
    return var if account is None or reaches(account, var / "postgres") else apart


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(name=str(uid), uid=uid, gid=uid)
    return Account(name=entry.pw_name, uid=uid, gid=entry.pw_gid)


def _digest(var: Path) -> str:
    return hashlib.sha256(os.fsencode(var.absolute())).hexdigest()[:12]

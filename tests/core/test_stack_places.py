"""Where the embedded servers live, by data directory and account."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from apps.core.stack import places


def nobody() -> places.Account:
    entry = pwd.getpwnam("nobody")
    return places.Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def test_keeps_everything_under_the_data_directory_when_that_works(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = places.choose(Path("/srv/prodworthy/var"))
    assert found.home == Path("/srv/prodworthy/var")
    assert found.sockets == Path("/srv/prodworthy/var/sockets")


def test_takes_a_short_socket_directory_for_a_long_path() -> None:
    long = Path("/srv") / ("x" * 120) / "var"
    first, second = places.choose(long), places.choose(long)
    assert first == second
    assert first.home == long
    assert len(os.fsencode(first.sockets / places.LONGEST_SOCKET_NAME)) <= places.SOCKET_PATH_LIMIT
    assert places.choose(long.with_name("other")).sockets != first.sockets


def test_refuses_a_private_directory_that_somebody_else_made(tmp_path: Path) -> None:
    trap = tmp_path / "sockets"
    trap.symlink_to(tmp_path)
    with pytest.raises(places.NotOurs):
        places.make_private(trap, None)


def test_sees_a_closed_directory_on_the_way(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "var"
    inner.mkdir(parents=True)
    for directory in tmp_path.parents:
        if directory.stat().st_mode & 0o001 == 0:
            directory.chmod(0o711)
    tmp_path.chmod(0o755)
    inner.parent.chmod(0o755)
    assert places.reaches(nobody(), inner / "postgres")
    inner.parent.chmod(0o700)
    assert not places.reaches(nobody(), inner / "postgres")

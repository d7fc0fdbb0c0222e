"""`manage.py up` from the first start to the last: what a person sees, and what no fault may break."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.core.stack_harness import Stack, eventually, free_port

pytestmark = [pytest.mark.stack]


def make_stack(*, as_nobody: bool = False) -> Stack:
    root = Path(tempfile.mkdtemp(prefix="prodworthy-up-"))
    root.chmod(0o755)
    if as_nobody:
        shutil.chown(root, "nobody", "nogroup")
    return Stack(root / "var", port=free_port(), as_nobody=as_nobody)


def remove(stack: Stack) -> None:
    stack.clean_up()
    shutil.rmtree(stack.var.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for the tests of this module, which use it in their order."""
    made = make_stack()
    made.start()
    made.wait_up()
    yield made
    remove(made)


def test_first_start_prints_the_address_and_a_link_for_the_first_account(stack: Stack) -> None:
    said = stack.said()
    assert f"open      http://localhost:{stack.port}\n" in said
    assert re.search(rf"set up    http://localhost:{stack.port}/setup/[\w-]{{40,}}\n", said)
    status, body = stack.readiness()
    assert (status, body["status"]) == (200, "ready")


def test_keeps_secrets_sockets_and_logs_from_other_users(stack: Stack) -> None:
    for private in ("secrets", "sockets", "log", "run", "postgres", "valkey"):
        assert (stack.var / private).stat().st_mode & 0o077 == 0, private


def test_listens_on_nothing_but_its_address(stack: Stack) -> None:
    assert stack.process is not None
    family = [psutil.Process(stack.process.pid), *psutil.Process(stack.process.pid).children(recursive=True)]
    listening = {
        (found.laddr.ip, found.laddr.port)
        for process in family
        for found in process.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", stack.port)}


def test_a_second_start_says_where_it_already_runs(stack: Stack) -> None:
    second = stack.manage("up")
    assert second.returncode == 1
    assert f"already running here: http://localhost:{stack.port}" in second.stderr
    assert stack.readiness()[0] == 200


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(stack: Stack) -> None:
    other = make_stack()
    other.environment["PRODWORTHY_PORT"] = str(stack.port)
    refused = other.manage("up")
    assert refused.returncode == 1
    assert f"Port {stack.port} on 127.0.0.1 is taken by python" in refused.stderr
    assert re.search(r"PRODWORTHY_PORT=\d+ make run", refused.stderr)
    assert not (other.var / "postgres").exists(), "nothing may be started before the port is known to be free"
    remove(other)


@pytest.mark.parametrize("part", ["web", "worker", "beat", "valkey", "postgres"])
def test_heals_a_part_that_is_killed(stack: Stack, part: str) -> None:
    before = stack.child(part)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        return f"{part:<10}answers again" in stack.said() and stack.readiness()[0] == 200

    assert eventually(is_back, seconds=60), f"{stack.said()}\n{stack.logs()}"
    assert stack.child(part) != before
    assert f"{part:<10}was killed by SIGKILL; starting it again" in stack.said()


def test_the_next_start_recovers_from_a_killed_supervisor_and_keeps_the_data(stack: Stack) -> None:
    password = stack.var / "password"
    password.write_text("correct horse battery staple")
    made = stack.manage("bootstrap", "--email", "a@example.com", "--password-file", str(password), "--project", "Desk")
    assert made.returncode == 0, made.stderr

    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    assert eventually(lambda: stack.everything_running() == [], seconds=15), stack.everything_running()

    stack.start()
    stack.wait_up()
    assert "sign in" in stack.said()
    assert "/setup/" not in stack.said(), "there is an account, so there is no link for a first one"


def test_ctrl_c_leaves_nothing_behind_within_ten_seconds(stack: Stack) -> None:
    seconds = stack.stop(signal.SIGINT)
    assert stack.process is not None
    assert stack.process.returncode == 0, stack.said()
    assert seconds < 10
    assert stack.everything_running() == []
    assert "Everything is stopped" in stack.said()
    assert not (stack.var / "postgres" / "postmaster.pid").exists(), "PostgreSQL was shut down and not killed"


def test_a_signal_during_the_start_stops_it_too() -> None:
    early = make_stack()
    early.start()
    assert eventually(lambda: (early.var / "run" / "up.json").exists(), seconds=20)
    assert early.stop(signal.SIGTERM) < 10
    assert early.everything_running() == []
    remove(early)


def test_runs_as_an_unprivileged_user() -> None:
    plain = make_stack(as_nobody=os.geteuid() == 0)
    plain.start()
    plain.wait_up()
    assert (plain.var / "postgres").stat().st_uid == plain.var.stat().st_uid
    assert plain.stop(signal.SIGTERM) < 10
    assert plain.everything_running() == []
    remove(plain)


def test_a_port_somebody_else_holds_on_every_address_is_noticed() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        late = make_stack()
        late.environment["PRODWORTHY_PORT"] = str(listener.getsockname()[1])
        refused = late.manage("up")
    assert refused.returncode == 1
    assert "is taken by" in refused.stderr
    remove(late)

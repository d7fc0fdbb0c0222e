"""The supervisor with parts that are made of nothing: what dies comes back, and what must end ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from apps.core.stack import logfiles
from apps.core.stack.program import Program, ProgramFailed
from apps.core.stack.running import AlreadyRunning, RunFile
from apps.core.stack.supervisor import Supervisor
from tests.core.stack_harness import BASE, eventually

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORES_SIGTERM = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)",
]
HAS_A_CHILD = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '600'])"]


class Watched:
    """A supervisor that runs in a thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[tuple[str, str]] = []
        self.recorded: list[list[int]] = []
        self.supervisor = Supervisor(say=lambda part, what: self.said.append((part, what)), record=self.recorded.append)

    def program(self, name: str, command: list[str]) -> Program:
        return Program(name, command, self.folder / f"{name}.log", self.folder, dict(os.environ))

    def watch(self, *programs: Program) -> None:
        self.supervisor.bring_up(programs)
        self.thread = threading.Thread(target=self.supervisor.watch)
        self.thread.start()

    def stop(self) -> float:
        started = time.monotonic()
        self.supervisor.stop()
        if hasattr(self, "thread"):
            self.thread.join()
        return time.monotonic() - started


def is_gone(process: psutil.Process) -> bool:
    """True when it has ended, even if whoever inherited it has not noticed yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.stop()


def test_starts_a_killed_program_again_and_records_its_new_number(watched: Watched) -> None:
    program = watched.program("clock", SLEEPS)
    watched.supervisor.bring_up([program])
    assert program.child is not None
    first = program.child.pid
    thread = threading.Thread(target=watched.supervisor.watch)
    thread.start()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: len(watched.recorded) == 2, seconds=5)
    watched.stop()
    thread.join()
    assert watched.recorded[0] == [first]
    assert watched.recorded[1] != [first]
    assert watched.said[0][1].startswith("was killed by SIGKILL; starting it again")
    assert not psutil.pid_exists(watched.recorded[1][0])


def test_waits_longer_each_time_a_program_dies_at_once(watched: Watched) -> None:
    watched.supervisor.bring_up([watched.program("fine", SLEEPS)])
    watched.watch(
        watched.program("broken", [sys.executable, "-c", "import time; time.sleep(0.1); raise SystemExit(3)"])
    )
    time.sleep(4)
    deaths = [what for part, what in watched.said if "exit code 3" in what]
    assert 3 <= len(deaths) <= 5, "at 0.2, 0.4, 0.8, 1.6 seconds and not in a tight loop"


def test_ends_what_ignores_the_polite_signal(watched: Watched) -> None:
    stubborn = watched.program("stubborn", IGNORES_SIGTERM)
    watched.watch(stubborn)
    assert eventually(lambda: stubborn.log.read_text() != "", seconds=10)
    assert stubborn.child is not None
    pid = stubborn.child.pid
    assert watched.stop() < 6
    assert not psutil.pid_exists(pid)


def test_ends_the_children_of_its_children(watched: Watched) -> None:
    parent = watched.program("parent", HAS_A_CHILD)
    watched.watch(parent)
    assert parent.child is not None
    family = psutil.Process(parent.child.pid)
    assert eventually(lambda: bool(family.children()), seconds=10)
    sleeper = family.children()[0]
    watched.stop()
    assert eventually(lambda: is_gone(sleeper), seconds=5)


def test_fails_with_the_end_of_the_log_when_a_program_does_not_start(watched: Watched) -> None:
    broken = watched.program("broken", [sys.executable, "-c", "raise SystemExit('no such table')"])
    broken.is_answering = lambda: False
    with pytest.raises(ProgramFailed, match="no such table"):
        watched.supervisor.bring_up([broken])


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(BASE)!r})
        from apps.core.stack.child import spawn
        child = spawn(["sleep", "600"], log=Path("log"), cwd=Path("."), environment=os.environ)
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.communicate()
    assert eventually(lambda: is_gone(child), seconds=5)


def test_only_one_supervisor_may_run_on_a_directory(tmp_path: Path) -> None:
    first = RunFile(tmp_path / "run" / "up.json")
    first.take(url="http://localhost:8000")
    first.record([])
    with pytest.raises(AlreadyRunning, match="http://localhost:8000"):
        RunFile(tmp_path / "run" / "up.json").take(url="http://localhost:9000")
    first.give_back()
    second = RunFile(tmp_path / "run" / "up.json")
    second.take(url="http://localhost:9000")
    second.give_back()


def test_ends_recorded_children_that_were_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    started = psutil.Process(left.pid).create_time()
    path.write_text(json.dumps({"children": [{"pid": left.pid, "started": started}]}))
    run_file = RunFile(path)
    run_file.take(url="")
    assert run_file.end_left_behind() == 1
    run_file.give_back()
    assert not psutil.pid_exists(left.pid)
    left.poll()


def test_leaves_a_process_alone_that_got_the_number_of_an_old_child(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    path.write_text(json.dumps({"children": [{"pid": stranger.pid, "started": 1.0}]}))
    run_file = RunFile(path)
    run_file.take(url="")
    assert run_file.end_left_behind() == 0
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    run_file.give_back()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"children": [{"pid": "x"}, {}]}'])
def test_starts_over_a_record_that_was_cut_off(tmp_path: Path, content: str) -> None:
    path = tmp_path / "up.json"
    path.write_text(content)
    run_file = RunFile(path)
    run_file.take(url="")
    assert run_file.end_left_behind() == 0
    run_file.give_back()


def test_turns_a_large_log_over_and_keeps_three(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(6):
        log.write_text(str(number) * 20)
        logfiles.rotate(log, largest=10)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["web.log.1", "web.log.2", "web.log.3"]
    assert (tmp_path / "web.log.1").read_text() == "5" * 20
    log.write_text("small")
    logfiles.rotate(log, largest=10)
    assert log.read_text() == "small"

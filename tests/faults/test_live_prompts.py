"""What is live, read through two web processes on one database (invariants F7, F9, F10).

A change arrives in both within five seconds, no reader ever meets a mix of two versions, and a database that hangs and
then dies takes nothing away from readers. There is no Valkey and no worker here: neither is needed for any of it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from apps.core.stack import places
from apps.core.stack.postgres import Postgres
from apps.core.stack.processes import local_command
from tests.core.stack_harness import BASE, clean_environment, eventually, free_port

pytestmark = pytest.mark.stack

READS, CHANGES = 10_000, 6
READERS_A_PROCESS = 2
PROMISED_SECONDS = 5.0
HANGS_SECONDS = 10.0
AWAY_SECONDS = 30.0
LIVE = "/api/v1/prompts/support/answer/live?environment=staging"


@dataclass
class Product:
    """Two web processes on one PostgreSQL, and a key with every scope."""

    var: Path
    postgres: Postgres
    environment: dict[str, str]
    ports: tuple[int, int]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    key: str = ""

    def run(self, command: list[str]) -> str:
        """What a command prints on the product's own data; fails with everything it said."""
        done = subprocess.run(command, cwd=BASE, env=self.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_web(self) -> None:
        """Start both web processes and wait until both answer."""
        with (self.var / "web.log").open("wb") as log:
            for port in self.ports:
                command = local_command("web", port=port)
                self.processes.append(subprocess.Popen(command, cwd=BASE, env=self.environment, stdout=log, stderr=log))
        assert eventually(lambda: all(self._is_up(port) for port in self.ports), seconds=60), self.said()

    def _is_up(self, port: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def client(self, place: int) -> httpx.Client:
        """A client of one of the processes; its connection stays open."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.ports[place]}", headers=headers, timeout=10)

    def said(self) -> str:
        """The end of the log of the web processes."""
        return (self.var / "web.log").read_text()[-4000:]

    def end(self) -> None:
        """Leave nothing running."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.postgres.stop()


def let_in(var: Path) -> None:
    """Let the server's own account reach its data, where the tests run as root."""
    for parent in (var, *var.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    var = tmp_path_factory.mktemp("live") / "var"
    var.mkdir()
    let_in(var)
    chosen = places.choose(var)
    postgres = Postgres(chosen.home / "postgres", chosen.sockets, var / "log" / "postgres.log")
    environment = clean_environment(PRODWORTHY_VAR=str(var), DJANGO_SETTINGS_MODULE="llmops_site.settings")
    made = Product(var, postgres, environment, (free_port(), free_port()))
    postgres.prepare()
    postgres.start()
    try:
        postgres.wait_ready()
        made.run(local_command("secrets"))
        manage = local_command("secrets")[:-1]
        made.run([*manage, "migrate", "--verbosity", "0"])
        password = var / "password"
        password.write_text(secrets.token_urlsafe(24))
        words = ("--email", "ana@example.com", "--password-file", str(password), "--project", "Live")
        made.key = json.loads(made.run([*manage, "bootstrap", *words]))["key"]
        made.start_web()
        yield made
    finally:
        made.end()


class Published(NamedTuple):
    """A version as it was published."""

    place: int
    content_hash: str
    text: str


@dataclass
class Author:
    """Publishes editions and makes them live, and remembers when each was acknowledged."""

    http: httpx.Client
    known: dict[str, Published] = field(default_factory=dict)
    deployed: list[tuple[float, int]] = field(default_factory=list)

    def begin(self) -> None:
        """The prompt, with its first edition live."""
        body = {"name": "support/answer", "content": self._content()}
        answer = self.http.post("/api/v1/prompts", json=body)
        assert answer.status_code == 201, answer.text
        self._deploy(answer.json()["version"])

    def publish(self) -> str:
        """The next edition, live when this returns. Its number."""
        answer = self.http.post("/api/v1/prompts/support/answer/versions", json={"content": self._content()})
        assert answer.status_code == 201, answer.text
        return self._deploy(answer.json())

    def _content(self) -> dict[str, Any]:
        return {"messages": [{"role": "system", "content": self._text()}, {"role": "user", "content": "Hello."}]}

    def _text(self) -> str:
        return f"Edition {len(self.known)}. " + "This is what it says. " * 40

    def _deploy(self, version: dict[str, Any]) -> str:
        number: str = version["version"]
        self.known[number] = Published(len(self.known), version["content_hash"], self._text())
        body = {"environment": "staging", "version": number}
        answer = self.http.post("/api/v1/prompts/support/answer/deployments", json=body)
        assert answer.status_code == 201, answer.text
        self.deployed.append((time.monotonic(), self.known[number].place))
        return number


@pytest.fixture(scope="module")
def author(product: Product) -> Iterator[Author]:
    with product.client(0) as http:
        made = Author(http)
        made.begin()
        yield made


class Read(NamedTuple):
    """One answer, and when it was asked for."""

    asked_at: float
    status: int
    version: str
    content_hash: str
    text: str
    stale: int | None


class Reader(threading.Thread):
    """Reads over one connection until it is told to stop."""

    def __init__(self, product: Product, place: int, stop: threading.Event, *, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.http = HTTPConnection("127.0.0.1", product.ports[place], timeout=10)
        self.headers = {"Authorization": f"Bearer {product.key}"}
        self.stop, self.pause = stop, pause
        self.reads: list[Read] = []

    def run(self) -> None:
        """Read, and keep what was answered."""
        with closing(self.http):
            while not self.stop.is_set():
                self.reads.append(self.read())
                if self.pause:
                    self.stop.wait(self.pause)

    def read(self) -> Read:
        """One read; a request without an answer has the status 0."""
        at = time.monotonic()
        try:
            self.http.request("GET", LIVE, headers=self.headers)
            answer = self.http.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            return Read(at, 0, "", "", str(error), None)
        if answer.status != 200:
            return Read(at, answer.status, "", "", body.decode(), None)
        told = json.loads(body)
        stale = answer.headers.get("X-Prodworthy-Stale")
        assert told["is_stale"] is (stale is not None)
        text = told["messages"][0]["content"]
        return Read(at, 200, told["version"], told["content_hash"], text, None if stale is None else int(stale))


def started(product: Product, stop: threading.Event, *, pause: float = 0.0) -> list[Reader]:
    places_of_readers = [place for place in (0, 1) for _ in range(READERS_A_PROCESS)]
    readers = [Reader(product, place, stop, pause=pause) for place in places_of_readers]
    for reader in readers:
        reader.start()
    return readers


def ended(readers: list[Reader], stop: threading.Event) -> list[Read]:
    """Every read of every reader."""
    stop.set()
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()
    return [read for reader in readers for read in reader.reads]


def answers(product: Product, version: str) -> bool:
    """True when both processes answer this version."""
    return all(
        httpx.get(
            f"http://127.0.0.1:{port}{LIVE}", headers={"Authorization": f"Bearer {product.key}"}, timeout=10
        ).json()["version"]
        == version
        for port in product.ports
    )


def test_a_change_arrives_in_both_processes_and_is_never_mixed(product: Product, author: Author) -> None:
    stop = threading.Event()
    readers = started(product, stop)
    slowest, deadline = 0.0, time.monotonic() + 120
    before = len(author.deployed)
    while sum(len(reader.reads) for reader in readers) < READS or len(author.deployed) < before + CHANGES:
        assert time.monotonic() < deadline, f"too few reads: {product.said()}"
        version = author.publish()
        at = time.monotonic()
        assert eventually(lambda version=version: answers(product, version), seconds=PROMISED_SECONDS), version
        slowest = max(slowest, time.monotonic() - at)
    reads = ended(readers, stop)
    print(f"\n{len(reads)} reads, {len(author.deployed)} deployments, the slowest arrived after {slowest:.2f} s")
    assert {read.status for read in reads} == {200}
    assert len({read.version for read in reads}) > 2
    mixed = [read for read in reads if author.known[read.version][1:] != (read.content_hash, read.text)]
    assert not mixed
    for reader in readers:
        in_order = [author.known[read.version].place for read in reader.reads]
        assert in_order == sorted(in_order), "a connection went back to an older version"
    late = [read for read in reads if author.known[read.version].place < _due(author, read.asked_at)]
    assert not late, f"{len(late)} reads got a version that was replaced more than {PROMISED_SECONDS} s before"


def _due(author: Author, asked_at: float) -> int:
    """The newest version that was acknowledged so long before that every process has to answer it."""
    return max((place for at, place in author.deployed if at + PROMISED_SECONDS <= asked_at), default=0)


def test_a_rollback_arrives_like_any_change(product: Product, author: Author) -> None:
    version = author.publish()
    assert eventually(lambda: answers(product, version), seconds=PROMISED_SECONDS)
    body = {"environment": "staging", "to": None, "reason": "not so good"}
    told = author.http.post("/api/v1/prompts/support/answer/rollback", json=body)
    assert told.status_code == 201, told.text
    assert told.json()["version"] != version
    assert eventually(lambda: answers(product, told.json()["version"]), seconds=PROMISED_SECONDS)


def test_readers_are_served_while_the_database_hangs_and_then_is_dead(product: Product, author: Author) -> None:
    version = author.publish()
    assert eventually(lambda: answers(product, version), seconds=PROMISED_SECONDS)
    stop = threading.Event()
    readers = started(product, stop, pause=0.02)
    assert eventually(lambda: all(len(reader.reads) > 10 for reader in readers), seconds=20)
    began = time.monotonic()
    stopped = _signal_all(product.postgres, signal.SIGSTOP)
    _wait_until(began + HANGS_SECONDS)
    for process in stopped:
        process.kill()
    product.postgres.stop()
    _wait_until(began + AWAY_SECONDS)
    let_in(product.var)
    product.postgres.prepare()
    product.postgres.start()
    product.postgres.wait_ready()
    returned = time.monotonic()
    assert eventually(lambda: all(reader.reads[-1].stale is None for reader in readers), seconds=20), product.said()
    fresh_after = time.monotonic() - returned
    reads = ended(readers, stop)
    print(f"\n{len(reads)} reads through {AWAY_SECONDS:.0f} s; fresh again {fresh_after:.2f} s after the database")
    assert [read for read in reads if read.status != 200] == []
    assert {read.version for read in reads} == {version}
    unmarked = [read for read in reads if began + 10 < read.asked_at < began + AWAY_SECONDS and read.stale is None]
    assert not unmarked, "what nobody could confirm was not marked stale"
    assert max(read.stale or 0 for read in reads) >= AWAY_SECONDS - 10
    after = author.publish()
    assert eventually(lambda: answers(product, after), seconds=PROMISED_SECONDS)


def _signal_all(postgres: Postgres, number: signal.Signals) -> list[psutil.Process]:
    """Send the signal to the server and all its children."""
    server = psutil.Process(int((postgres.data / "postmaster.pid").read_text().split()[0]))
    everyone = [server, *server.children(recursive=True)]
    for process in everyone:
        process.send_signal(number)
    return everyone


def _wait_until(moment: float) -> None:
    """Let time pass: the database is away for so long."""
    threading.Event().wait(max(0.0, moment - time.monotonic()))

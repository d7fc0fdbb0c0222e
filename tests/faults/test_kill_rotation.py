"""Acknowledged means stored, once, whatever is killed (invariants A1, A2, A6, A7).

Three parts, as in Jepsen: clients that write down every span before they send it and every one that was acknowledged;
a nemesis that kills web, worker, PostgreSQL and Valkey in turn; and a checker that compares the clients' own lists
with what the database holds. The server's word counts for nothing.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from tests.core.stack_harness import Stack, eventually, free_port

pytestmark = pytest.mark.stack

CLIENTS = 8
BATCH = 40
SPANS_WANTED = 20_000
KILLS = 8
PAUSE_SECONDS = 2.5
SEED = 20_261_123


class Client(threading.Thread):
    """Posts batches, again and again until each is acknowledged; every tenth acknowledged one is sent once more."""

    def __init__(self, number: int, address: str, key: str, stop: threading.Event) -> None:
        super().__init__(name=f"client-{number}")
        self.random = random.Random(SEED + number)
        self.address, self.key, self.stop = address, key, stop
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.batches: list[list[dict[str, Any]]] = []
        self.tally = {"received": 0, "stored": 0, "duplicates": 0, "rejected": 0}
        self.refusals: list[int] = []
        self.slowest_refusal = 0.0
        self.problems: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.address, timeout=20) as http:
            while not self.stop.is_set():
                batch = [self.make_span() for _ in range(BATCH)]
                if self.send_until_acknowledged(http, batch):
                    self.batches.append(batch)
                    self.acknowledged |= {span["span_id"]: span for span in batch}
                    if self.random.random() < 0.1:
                        self.send_until_acknowledged(http, batch)

    def make_span(self) -> dict[str, Any]:
        return {
            "trace_id": secrets.token_hex(16),
            "span_id": secrets.token_hex(8),
            "kind": "llm",
            "name": "answer",
            "started_at": datetime.now(UTC).isoformat(),
            "latency_ms": self.random.randrange(50, 9_000),
            "environment": "production",
            "feature": f"feature-{self.random.randrange(4)}",
            "request_model": "house-model",
            "input_tokens": self.random.randrange(5_000),
            "output_tokens": self.random.randrange(900),
            "cost_usd": f"0.{self.random.randrange(10**6):06d}",
        }

    def send_until_acknowledged(self, http: httpx.Client, batch: list[dict[str, Any]]) -> bool:
        while True:
            began = time.monotonic()
            try:
                answer = http.post(
                    "/api/v1/telemetry", json={"spans": batch}, headers={"Authorization": f"Bearer {self.key}"}
                )
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 200:
                self.count(answer.json(), len(batch))
                return True
            if answer is not None:
                self.refusals.append(answer.status_code)
                if answer.status_code == 503:
                    self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - began)
                if answer.status_code != 503 or "Retry-After" not in answer.headers:
                    self.problems.append(f"{answer.status_code}: {answer.text[:200]}")
            if self.stop.wait(0.2):
                return False

    def count(self, body: dict[str, Any], received: int) -> None:
        self.tally["received"] += received
        self.tally["stored"] += body["stored"]
        self.tally["duplicates"] += body["duplicates"]
        self.tally["rejected"] += len(body["rejected"])


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    var = tmp_path_factory.mktemp("kills") / "var"
    running = Stack(var, port=free_port())
    for parent in (var.parent, *var.parent.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    running.start()
    running.wait_up(seconds=120)
    yield running
    running.clean_up()


def make_key(stack: Stack) -> str:
    password = stack.var / "password"
    password.write_text(secrets.token_urlsafe(24))
    made = stack.manage(
        "bootstrap", "--email", "ana@example.com", "--password-file", str(password), "--project", "Kills"
    )
    assert made.returncode == 0, made.stderr
    key: str = json.loads(made.stdout)["key"]
    return key


def database(stack: Stack) -> psycopg.Connection[Any]:
    shown = stack.manage("shell", "-c", "from django.conf import settings; print(settings.SOCKET_DIR)")
    return psycopg.connect(f"host={shown.stdout.strip().splitlines()[-1]} user=prodworthy dbname=prodworthy")


def kill_in_turn(stack: Stack, generator: random.Random) -> list[str]:
    """Kill parts with -9, each at least twice, waiting in between. A kill that did not happen fails the test."""
    killed = []
    for number in range(KILLS):
        part = ("web", "postgres", "valkey", "worker")[number % 4]
        assert eventually(lambda part=part: _runs(stack, part), seconds=30), f"{part} was not healed: {stack.said()}"
        pid = stack.child(part)
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda pid=pid: _is_gone(pid), seconds=5), f"{part} did not die"
        killed.append(part)
        time.sleep(PAUSE_SECONDS * generator.uniform(0.6, 1.4))
    return killed


def _runs(stack: Stack, part: str) -> bool:
    try:
        stack.child(part)
    except AssertionError:
        return False
    return True


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # at once, or between the two questions
        return True


def test_acknowledged_spans_survive_kill_9_of_every_part_and_are_stored_once(stack: Stack) -> None:
    key = make_key(stack)
    stop = threading.Event()
    clients = [Client(number, f"http://127.0.0.1:{stack.port}", key, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    killed = kill_in_turn(stack, random.Random(SEED))
    assert eventually(lambda: sum(len(client.acknowledged) for client in clients) >= SPANS_WANTED, seconds=120)
    stop.set()
    for client in clients:
        client.join(60)
    assert [killed.count(part) for part in ("web", "postgres", "valkey", "worker")] == [2, 2, 2, 2]
    stack.wait_up(seconds=60)
    replay_everything_once(stack, clients)
    check(stack, clients)


def replay_everything_once(stack: Stack, clients: list[Client]) -> None:
    """Every acknowledged batch of every client once more: all of it must be known."""
    for client in clients:
        with httpx.Client(base_url=client.address, timeout=30) as http:
            for start in range(0, len(client.batches), 50):
                spans = [span for batch in client.batches[start : start + 50] for span in batch]
                answer = http.post(
                    "/api/v1/telemetry", json={"spans": spans}, headers={"Authorization": f"Bearer {client.key}"}
                )
                assert answer.status_code == 200, f"{answer.text}\n{stack.logs()}"
                assert answer.json()["duplicates"] == len(spans), answer.text[:300]
                client.count(answer.json(), len(spans))


def check(stack: Stack, clients: list[Client]) -> None:
    acknowledged = {span_id: span for client in clients for span_id, span in client.acknowledged.items()}
    assert len(acknowledged) >= SPANS_WANTED
    assert [problem for client in clients for problem in client.problems] == []
    with database(stack) as connection:
        stored = dict(connection.execute("SELECT encode(span_id, 'hex'), cost_usd FROM telemetry_span"))
        [(count, distinct)] = connection.execute(
            "SELECT count(*), count(DISTINCT (project_id, trace_id, span_id)) FROM telemetry_span"
        ).fetchall()
        lost = acknowledged.keys() - stored.keys()
        assert not lost, f"{len(lost)} acknowledged spans are not stored"
        assert count == distinct, "a span is stored twice"
        assert all(stored[span_id] == Decimal(span["cost_usd"]) for span_id, span in acknowledged.items())
        check_accounts(connection, clients)
        check_durability(connection)
    check_cost_records(stack, stored)


def check_accounts(connection: psycopg.Connection[Any], clients: list[Client]) -> None:
    """Every item that came in is booked as exactly one of stored, updated, duplicate or rejected.

    Requests that were stored but whose answer was lost are booked too, so the books hold at least what clients saw.
    """
    [(received, outcomes, stored)] = connection.execute(
        "SELECT sum(received), sum(stored + updated + duplicates + rejected), sum(stored) FROM telemetry_intakebatch"
    ).fetchall()
    assert received == outcomes
    assert received >= sum(client.tally["received"] for client in clients)
    [(count,)] = connection.execute("SELECT count(*) FROM telemetry_span").fetchall()
    assert stored == count


def check_durability(connection: psycopg.Connection[Any]) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        [(value,)] = connection.execute(f"SHOW {setting}").fetchall()
        assert value == "on", f"{setting} is {value}"


def check_cost_records(stack: Stack, stored: dict[str, Decimal]) -> None:
    """The worker lives again, and the cost records add up to the spans."""

    def rolled_up() -> bool:
        with database(stack) as connection:
            [(dirty,)] = connection.execute("SELECT count(*) FROM telemetry_dirtyhour").fetchall()
            [(calls, cost)] = connection.execute("SELECT sum(calls), sum(cost_usd) FROM telemetry_costhour").fetchall()
            return bool(dirty == 0 and calls == len(stored) and cost == sum(stored.values()))

    assert eventually(rolled_up, seconds=60), f"the cost records do not add up: {stack.logs()}"

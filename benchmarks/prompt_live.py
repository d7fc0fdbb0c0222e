"""How quick the live door is, against a door of the same server that answers "hello" and does nothing else.

    python benchmarks/prompt_live.py                      # an embedded PostgreSQL in a directory that is removed again
    python benchmarks/prompt_live.py --database-url URL   # a server that is there; its database must be empty
    python benchmarks/prompt_live.py --requests 5000 --rounds 5 --json result.json

One web process is started as `manage.py up` does, with one more door in front, `/hello`. A process of its own asks over
raw sockets that stay open, so that the client costs next to nothing. Rounds of all cases are interleaved; requests a
second and percentiles are medians of the rounds, and the ratio is of requests a second to those of `/hello`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LIVE = "/api/v1/prompts/support/answer/live"
HELLO, DJANGO = "hello", "through Django"
CONNECTIONS = 8


def application() -> Any:
    """The product with one more door; what uvicorn serves."""
    from apps.core.doors import HotDoor, HotDoors, HotRequest, HotResponse
    from llmops_site.asgi import application as product

    async def hello(_request: HotRequest) -> HotResponse:
        return HotResponse(b'"hello"')

    return HotDoors({"/hello": HotDoor("GET", hello)}, behind=product)


@dataclass(frozen=True)
class Measure:
    """One round of one case."""

    case: str
    requests_per_second: float
    p50_ms: float
    p99_ms: float


# --- The server


@contextmanager
def served(url: str) -> Iterator[tuple[int, str]]:
    """The port of the web process and a key, with a prompt that is live; everything is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="prodworthy-live-") as directory:
        Path(directory).chmod(0o755)  # as root, the server runs as somebody else
        os.environ |= {"PRODWORTHY_VAR": directory, "DJANGO_SETTINGS_MODULE": "llmops_site.settings"}
        os.environ |= {"DATABASE_URL": url} if url else {}
        with _postgres(Path(directory)):
            key = _first_key(Path(directory))
            port = _free_port()
            web = _web(port, Path(directory) / "web.log")
            try:
                _wait_up(port)
                _make_live(port, key)
                yield port, key
            finally:
                web.terminate()
                web.wait(20)


@contextmanager
def _postgres(directory: Path) -> Iterator[None]:
    from django.conf import settings

    from apps.core.stack.postgres import Postgres

    if not settings.USES_EMBEDDED_POSTGRES:
        yield
        return
    log = directory / "log" / "postgres.log"
    server = Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, log, settings.POSTGRES_BIN)
    server.prepare()
    server.start()
    try:
        server.wait_ready()
        yield
    finally:
        server.stop()


def _manage(*words: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def _first_key(directory: Path) -> str:
    _manage("make_secrets")
    _manage("migrate", "--verbosity", "0")
    password = directory / "password"
    password.write_text(secrets.token_urlsafe(24))
    who = ("--email", "ana@example.com", "--password-file", str(password), "--project", "Benchmark")
    key: str = json.loads(_manage("bootstrap", *who))["key"]
    return key


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _web(port: int, log: Path) -> subprocess.Popen[bytes]:
    from apps.core.stack.processes import local_command

    command = local_command("web", port=port)
    place = command.index("llmops_site.asgi:application")
    command[place : place + 1] = ["prompt_live:application", "--factory", "--app-dir", str(ROOT / "benchmarks")]
    with log.open("wb") as sink:
        return subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink)


def _wait_up(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/hello", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the web process does not answer")


def _make_live(port: int, key: str) -> None:
    """Twenty prompts of ordinary size, all live in staging."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=20
    ) as http:
        for name in ("support/answer", *(f"other/{number}" for number in range(19))):
            content = {
                "messages": [
                    {"role": "system", "content": "You help customers of {{shop}}. " + "Be kind and exact. " * 60},
                    {"role": "user", "content": "{{question}}"},
                ],
                "variables": [{"name": "shop"}, {"name": "question"}],
                "model": "gpt-5-mini",
                "parameters": {"temperature": 0.2},
            }
            http.post("/prompts", json={"name": name, "content": content}).raise_for_status()
            deployment = {"environment": "staging", "version": "1.0.0"}
            http.post(f"/prompts/{name}/deployments", json=deployment).raise_for_status()


# --- The client


def cases(port: int, key: str) -> dict[str, bytes]:
    """Each case's whole request, ready to be written to a socket."""
    asked = httpx.get(
        f"http://127.0.0.1:{port}{LIVE}?environment=staging", headers={"Authorization": f"Bearer {key}"}, timeout=20
    ).raise_for_status()
    shared = f"Host: localhost\r\nAuthorization: Bearer {key}\r\n"
    body = json.dumps(
        {"environment": "staging", "variables": {"shop": "Fernhill Outdoor", "question": "Where is my parcel?"}}
    )
    posted = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    live = f"{LIVE}?environment=staging HTTP/1.1\r\n{shared}"
    return {
        HELLO: f"GET /hello HTTP/1.1\r\n{shared}\r\n".encode(),
        "live": f"GET {live}\r\n".encode(),
        "live, not modified": f"GET {live}If-None-Match: {asked.headers['ETag']}\r\n\r\n".encode(),
        "live, rendered": f"POST {LIVE} HTTP/1.1\r\n{shared}{posted}".encode(),
        DJANGO: f"GET /api/v1/prompts/support/answer HTTP/1.1\r\n{shared}\r\n".encode(),
    }


class Asker(asyncio.Protocol):
    """One connection: writes the request, waits for the whole answer, and again."""

    def __init__(self, request: bytes, amount: int) -> None:
        self.request, self.left = request, amount
        self.taken: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting = b""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count an answer when all of it is there."""
        self.waiting += data
        head, blank, rest = self.waiting.partition(b"\r\n\r\n")
        if not blank or len(rest) < _length(head):
            return
        if head[9:12] not in (b"200", b"304"):
            self.done.set_exception(RuntimeError(self.waiting.decode()[:500]))
            return
        self.taken.append(time.perf_counter() - self.began)
        self.waiting, self.left = b"", self.left - 1
        if self.left:
            self._ask()
        else:
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """An answer that says it is the last one ends the connection; another one is not opened."""
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def ask(port: int, request: bytes, amount: int) -> tuple[float, list[float]]:
    """Seconds in all, and of each request, over CONNECTIONS at once."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Asker(request, amount // CONNECTIONS), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    askers = [asker for _, asker in made]
    await asyncio.gather(*(asker.done for asker in askers))
    return time.perf_counter() - began, [taken for asker in askers for taken in asker.taken]


def run_round(port: int, case: str, request: bytes, amount: int) -> Measure:
    """One round of one case."""
    # It is there for the scale alone, and would take most of the time.
    amount = amount // 10 if case == DJANGO else amount
    seconds, taken = asyncio.run(ask(port, request, amount))
    cuts = statistics.quantiles(taken, n=100)
    return Measure(case, len(taken) / seconds, cuts[49] * 1000, cuts[98] * 1000)


def run_rounds(port: int, requests: dict[str, bytes], amount: int, rounds: int) -> list[Measure]:
    """Every case once in each round, after one that warms up and is not counted."""
    for case, request in requests.items():
        run_round(port, case, request, 200)
    return [run_round(port, case, request, amount) for _ in range(rounds) for case, request in requests.items()]


def show(found: list[Measure]) -> None:
    """The table of medians."""
    by_case: dict[str, list[Measure]] = {}
    for measure in found:
        by_case.setdefault(measure.case, []).append(measure)
    floor = statistics.median(one.requests_per_second for one in by_case[HELLO])
    print(f"{'case':22}{'requests/s':>12}{'of hello':>10}{'P50 ms':>9}{'P99 ms':>9}")
    for case, measures in by_case.items():
        rate = statistics.median(one.requests_per_second for one in measures)
        p50 = statistics.median(one.p50_ms for one in measures)
        p99 = statistics.median(one.p99_ms for one in measures)
        print(f"{case:22}{rate:12,.0f}{rate / floor:10.2f}{p50:9.2f}{p99:9.2f}")


def main() -> None:
    """Measure, print, and write the rounds down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--requests", type=int, default=3_000, help="a case and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with served(options.database_url) as (port, key):
        requests = cases(port, key)
        with multiprocessing.get_context("spawn").Pool(1) as client:
            found = client.apply(run_rounds, (port, requests, options.requests, options.rounds))
    show(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()

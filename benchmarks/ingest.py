"""How many spans a second the intake stores durably, against the floor: the same rows written by COPY alone.

    python benchmarks/ingest.py                      # an embedded PostgreSQL in a directory that is removed again
    python benchmarks/ingest.py --database-url URL   # a server that is there; its database must be empty
    python benchmarks/ingest.py --rounds 5 --json result.json

It starts the server as `manage.py up` does, on a loopback port, and posts ready-made bodies over raw sockets from a
process of its own, so that the client costs next to nothing. A span counts when its request was answered, which is
after the commit. The floor is one Python process that writes ready tuples by COPY straight into the two tables, with a
commit per 1,000 spans. Rounds of all cases are interleaved; medians and ratios of medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import random
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PASSWORD = "seventeen dull umbrellas"
FLOOR_BATCH = 1_000
TEXT = "order parcel refund voucher tent stove invoice return address delivery warranty size colour stock tomorrow"
WORDS = TEXT.split(" ")


@dataclass(frozen=True)
class Case:
    """One way to send: so many spans a request, over so many connections at once, with texts or without."""

    name: str
    spans: int
    requests: int
    connections: int
    has_texts: bool = False
    is_gzipped: bool = False


CASES = (
    Case("1,000 a request", 1_000, 40, 4),
    Case("1,000 a request, gzip", 1_000, 40, 4, is_gzipped=True),
    Case("1,000 a request, texts", 1_000, 24, 4, has_texts=True),
    Case("1,000 a request, texts, gzip", 1_000, 24, 4, has_texts=True, is_gzipped=True),
    Case("100 a request", 100, 200, 4),
    Case("1 a request, 4 connections", 1, 1_200, 4),
    Case("1 a request, 32 connections", 1, 3_000, 32),
)


@dataclass(frozen=True)
class Measure:
    """One round of one case: spans a second, and CPU in microseconds a span by who spent it."""

    case: str
    spans_per_second: float
    server_us: float | None = None
    database_us: float | None = None
    client_us: float | None = None
    memory_mb: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


# --- What is sent


def span(dice: random.Random, now: datetime, has_texts: bool) -> dict[str, Any]:
    """A call of the last hour, as a service would report it: about 500 bytes, or 2.5 kB with texts."""
    model = dice.choice(("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5"))
    made: dict[str, Any] = {
        "trace_id": secrets.token_hex(16),
        "span_id": secrets.token_hex(8),
        "kind": "llm",
        "name": "answer customer",
        "started_at": (now - timedelta(milliseconds=dice.randrange(3_600_000))).isoformat(),
        "latency_ms": dice.randrange(200, 9_000),
        "ttft_ms": dice.randrange(80, 900),
        "status": "error" if dice.random() < 0.01 else "ok",
        "environment": "production",
        "feature": dice.choice(("support-chat", "search", "order-agent", "review")),
        "user_id": f"user-{dice.randrange(5_000)}",
        "session_id": f"session-{dice.randrange(9_000)}",
        "provider": "openai" if model.startswith("gpt") else "anthropic",
        "request_model": model,
        "prompt_name": "support-reply",
        "prompt_version": "1.4.0",
        "input_tokens": dice.randrange(100, 5_000),
        "output_tokens": dice.randrange(5, 900),
        "cached_input_tokens": 64,
        "finish_reason": "stop",
    }
    if has_texts:
        made["input"] = [{"role": "user", "content": words(dice, 1_000)}]
        made["output"] = words(dice, 1_000)
    return made


def words(dice: random.Random, size: int) -> str:
    """About so many characters of words."""
    return " ".join(dice.choices(WORDS, k=size // 7))


def spans(case: Case, seed: int) -> list[list[dict[str, Any]]]:
    """The spans of each request, under new ids."""
    dice, now = random.Random(seed), datetime.now(UTC)
    return [[span(dice, now, case.has_texts) for _ in range(case.spans)] for _ in range(case.requests)]


def requests_of(case: Case, key: str, seed: int) -> list[bytes]:
    """The whole requests, ready to be written to a socket."""
    found = []
    for batch in spans(case, seed):
        body = json.dumps({"spans": batch}).encode()
        coding = ""
        if case.is_gzipped:
            body, coding = gzip.compress(body, 6), "Content-Encoding: gzip\r\n"
        head = (
            f"POST /api/v1/telemetry HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


# --- Who sends


@dataclass(frozen=True)
class Sent:
    """What a client saw: how long it all took, how long each request took, and its own CPU."""

    seconds: float
    latencies: list[float]
    cpu_seconds: float


def client_process(case: Case, key: str, seed: int, port: int, pipe: Any) -> None:
    """Make the requests, say so, wait for the word, send them."""
    waiting = requests_of(case, key, seed)
    pipe.send("ready")
    pipe.recv()
    cpu = time.process_time()
    began = time.perf_counter()
    latencies = asyncio.run(send(waiting, case, port))
    pipe.send(Sent(time.perf_counter() - began, latencies, time.process_time() - cpu))


async def send(waiting: list[bytes], case: Case, port: int) -> list[float]:
    """Write the requests to as many connections as the case says, each taking the next that is left."""
    left = iter(waiting)
    latencies: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            began = time.perf_counter()
            writer.write(request)
            await writer.drain()
            answer = await read_answer(reader)
            latencies.append(time.perf_counter() - began)
            if answer["stored"] != case.spans:
                raise SystemExit(f"not everything was stored: {answer}")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(case.connections)))
    return latencies


async def read_answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The body of the next answer; ends the run unless it is 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    body = await reader.readexactly(length)
    if " 200 " not in head.splitlines()[0]:
        raise SystemExit(f"{head.splitlines()[0]} {body!r}")
    found: dict[str, Any] = json.loads(body)
    return found


def run_case(case: Case, key: str, seed: int, server: Server) -> Measure:
    """One round of one case."""
    ours, theirs = multiprocessing.Pipe()
    client = multiprocessing.get_context("spawn").Process(
        target=client_process, args=(case, key, seed, server.port, theirs)
    )
    client.start()
    ours.recv()
    before = server.cpu()
    ours.send("go")
    sent: Sent = ours.recv()
    after = server.cpu()
    client.join()
    count = case.spans * case.requests
    ordered = sorted(sent.latencies)
    return Measure(
        case.name,
        count / sent.seconds,
        server_us=(after[0] - before[0]) / count * 1e6,
        database_us=spent(before, after, count),
        client_us=sent.cpu_seconds / count * 1e6,
        memory_mb=server.memory_mb(),
        p50_ms=ordered[len(ordered) // 2] * 1e3,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1e3,
    )


# --- The floor


def floor_process(has_texts: bool, batches: int, project_id: int, seed: int, pipe: Any) -> None:
    """The same rows as ready tuples, by COPY into the tables themselves, one commit per 1,000 spans."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")
    django.setup()
    from django.db import connection

    ready = list(tuples(has_texts, batches, project_id, seed))
    span_copy, payload_copy = copy_statements()
    connection.ensure_connection()
    raw = connection.connection
    pipe.send("ready")
    pipe.recv()
    cpu = time.process_time()
    began = time.perf_counter()
    for rows, payloads in ready:
        with raw.transaction(), raw.cursor() as cursor:
            with cursor.copy(span_copy) as copy:
                for row in rows:
                    copy.write_row(row)
            if payloads:
                with cursor.copy(payload_copy) as copy:
                    for row in payloads:
                        copy.write_row(row)
    pipe.send(Sent(time.perf_counter() - began, [], time.process_time() - cpu))
    pipe.recv()  # the connection stays until its CPU time was read


def copy_statements() -> tuple[str, str]:
    """COPY into the narrow table and into the payloads."""
    from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS

    keys = ("project_id", "trace_id", "span_id", "started_at")
    return (
        f"COPY telemetry_span ({', '.join(SPAN_COLUMNS)}) FROM STDIN",
        f"COPY telemetry_payload ({', '.join((*keys, *PAYLOAD_COLUMNS))}) FROM STDIN",
    )


def tuples(has_texts: bool, batches: int, project_id: int, seed: int) -> Iterator[tuple[list[Any], list[Any]]]:
    """Rows of spans and of payloads, batch by batch, priced like those of the intake."""
    import msgspec

    from apps.telemetry import wire
    from apps.telemetry.services.pricing import freeze_cost
    from apps.telemetry.types import SPAN_COLUMNS

    now = datetime.now(UTC)
    for batch in spans(Case("", FLOOR_BATCH, batches, 1, has_texts), seed):
        body = wire.read_body(json.dumps({"spans": batch}).encode(), max_items=FLOOR_BATCH)
        records, _, _ = wire.read_spans(
            body.spans, project_id=project_id, received_at=now, keep_since=now - timedelta(days=30)
        )
        for record in records:
            freeze_cost(record)
        yield (
            [msgspec.structs.astuple(record)[: len(SPAN_COLUMNS)] for record in records],
            [
                (
                    record.project_id,
                    record.trace_id,
                    record.span_id,
                    record.started_at,
                    *msgspec.structs.astuple(record.payload),
                )
                for record in records
                if record.payload is not None
            ],
        )


def run_floor(has_texts: bool, batches: int, seed: int, server: Server) -> Measure:
    """One round of the floor, while the server has nothing to do."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=floor_process, args=(has_texts, batches, FLOOR_PROJECT, seed, theirs)
    )
    process.start()
    ours.recv()
    before = server.cpu()
    ours.send("go")
    sent: Sent = ours.recv()
    after = server.cpu()
    ours.send("done")
    process.join()
    count = batches * FLOOR_BATCH
    return Measure(
        FLOOR[has_texts],
        count / sent.seconds,
        database_us=spent(before, after, count),
        client_us=sent.cpu_seconds / count * 1e6,
    )


def spent(before: tuple[float, float | None], after: tuple[float, float | None], count: int) -> float | None:
    """Microseconds of the database's CPU a span; None when it is not ours to measure."""
    return None if before[1] is None or after[1] is None else (after[1] - before[1]) / count * 1e6


FLOOR_PROJECT = 10**9
FLOOR = {False: "COPY alone", True: "COPY alone, texts"}


# --- The server


@dataclass
class Server:
    """The product's web process on a free port, and the database beside it (None when it is not ours)."""

    process: psutil.Process
    postmaster: psutil.Process | None
    port: int

    def cpu(self) -> tuple[float, float | None]:
        """CPU seconds of the web process so far, and of the database's processes that are alive."""
        return busy(self.process), None if self.postmaster is None else sum(map(busy, self._database()))

    def memory_mb(self) -> float:
        """Resident memory of the web process."""
        return self.process.memory_info().rss / 1e6

    def _database(self) -> list[psutil.Process]:
        assert self.postmaster is not None
        return [self.postmaster, *self.postmaster.children()]


def busy(process: psutil.Process) -> float:
    """CPU seconds of one process; 0 when it has just ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def database(url: str, var: Path) -> Iterator[psutil.Process | None]:
    """The database named by the address, or an embedded one for as long as the run takes."""
    os.environ |= {"PRODWORTHY_VAR": str(var), "PRODWORTHY_LOG_LEVEL": "WARNING", "REDIS_URL": "redis://127.0.0.1:1/0"}
    if url:
        os.environ["DATABASE_URL"] = url
        yield None
        return
    os.environ.pop("DATABASE_URL", None)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")
    from django.conf import settings

    from apps.core.stack.postgres import Postgres

    log = var / "log" / "postgres.log"
    postgres = Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, log, settings.POSTGRES_BIN)
    postgres.prepare()
    postgres.start()
    try:
        postgres.wait_ready()
        yield next(
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "postgres" and works_in(process, settings.POSTGRES_DIR)
        )
    finally:
        postgres.stop()


def works_in(process: psutil.Process, folder: Path) -> bool:
    """True for the postmaster with this data: its parent is no server itself."""
    try:
        parent = process.parent()
        return Path(process.cwd()) == folder.resolve() and (parent is None or parent.name() != "postgres")
    except psutil.Error:
        return False


def manage(*words: str, **more: Any) -> str:
    """Run a management command and return what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, **more
    )
    return done.stdout


@contextmanager
def server(postmaster: psutil.Process | None) -> Iterator[Server]:
    """The web process as `manage.py up` starts it."""
    from apps.core.stack.processes import local_command

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(local_command("web", port=port), cwd=ROOT)
    try:
        wait_for(port, child)
        yield Server(psutil.Process(child.pid), postmaster, port)
    finally:
        child.terminate()
        child.wait(20)


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens."""
    for _ in range(600):
        if child.poll() is not None:
            raise SystemExit("the server did not start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server is silent")


# --- The report


def report(measures: list[Measure]) -> list[dict[str, Any]]:
    """Medians by case, with the ratio to the floor of the same kind of rows."""
    names = list(dict.fromkeys(measure.case for measure in measures))
    floors = {texts: middle(measures, FLOOR[texts], "spans_per_second") for texts in FLOOR}
    lines = []
    for name in names:
        line = {field: middle(measures, name, field) for field in Measure.__dataclass_fields__ if field != "case"}
        floor = floors["texts" in name]
        rates = [measure.spans_per_second for measure in measures if measure.case == name]
        lines.append(
            {
                "case": name,
                **line,
                "of_floor": line["spans_per_second"] / floor if floor and line["spans_per_second"] else None,
                "lowest": min(rates),
                "highest": max(rates),
            }
        )
    return lines


def middle(measures: list[Measure], name: str, field: str) -> float | None:
    """The median of a field over the rounds of a case."""
    values = [getattr(measure, field) for measure in measures if measure.case == name]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


COLUMNS = (
    ("case", "", "30"),
    ("spans_per_second", "spans/s", "9,.0f"),
    ("lowest", "lowest", "9,.0f"),
    ("highest", "highest", "9,.0f"),
    ("of_floor", "of floor", "9.2f"),
    ("server_us", "server us", "10,.0f"),
    ("database_us", "db us", "8,.0f"),
    ("client_us", "client us", "10,.0f"),
    ("memory_mb", "RSS MB", "8,.0f"),
    ("p50_ms", "P50 ms", "8,.1f"),
    ("p99_ms", "P99 ms", "8,.1f"),
)


def show(lines: list[dict[str, Any]]) -> None:
    """Print the table; us are microseconds of CPU a span."""

    def cell(value: Any, layout: str) -> str:
        width = layout.split(",")[0].split(".")[0]
        return f"{'-':>{width}}" if value is None else f"{value:{layout}}"

    names = [(word, layout.split(",")[0].split(".")[0]) for _, word, layout in COLUMNS]
    print("".join(f"{word:{'>' if word else '<'}{width}}" for word, width in names))
    for line in lines:
        print("".join(cell(line[field], layout) for field, _, layout in COLUMNS), flush=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="", help="an empty database to use instead of an embedded one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only the cases whose name holds this")
    parser.add_argument("--json", type=Path, help="write every measure and the medians here")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in case.name]
    with tempfile.TemporaryDirectory(prefix="prodworthy-bench-") as folder:
        Path(folder).chmod(0o755)  # as root, the database runs as somebody else
        measures = measure_all(cases, options.rounds, options.database_url, Path(folder))
    lines = report(measures)
    show(lines)
    if options.json:
        found = {"cores": os.cpu_count(), "medians": lines, "measures": [asdict(measure) for measure in measures]}
        options.json.write_text(json.dumps(found, indent=1))


def measure_all(cases: list[Case], rounds: int, url: str, var: Path) -> list[Measure]:
    """All rounds of all cases, each round with its floors."""
    measures: list[Measure] = []
    with database(url, var) as postmaster:
        manage("migrate", "-v0")
        manage("prices", "sync")
        password = var / "password"
        password.write_text(PASSWORD)
        made = json.loads(
            manage("bootstrap", "--email", "bench@example.com", "--password-file", str(password), "--project", "Bench")
        )
        with server(postmaster) as running:
            run_case(Case("warm-up", 100, 20, 4), made["key"], 0, running)
            for number in range(rounds):
                for texts in (False, True):
                    measures.append(run_floor(texts, 24 if texts else 40, number, running))
                measures += [run_case(case, made["key"], number, running) for case in cases]
                print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return measures


if __name__ == "__main__":
    main()

"""How many spans a second the OTLP doors store durably, and what decoding costs against protobuf's own parse.

    python benchmarks/otlp.py                       # an embedded PostgreSQL in a directory that is removed again
    python benchmarks/otlp.py --database-url URL    # a server that is there; its database must be empty
    python benchmarks/otlp.py --decode-only         # no server and no database
    python benchmarks/otlp.py --rounds 5 --json result.json

The spans are those of an OTel GenAI instrumentation: a request, an agent step in it, and model calls with about twenty
attributes each, with or without messages. Sending is done as in `ingest.py`: ready-made bodies over raw sockets from a
process of its own; a span counts when its request was answered, which is after the commit.

Decode share: the time from the body to plain spans, and to records ready to be stored (dialects included), divided by
the time that the official protobuf messages take to parse the same bodies, all in this process, in turns, best of all
rounds. `walk` is that parse followed by a plain walk over all attributes, the least that any reader in Python does.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import json
import multiprocessing
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import ingest  # noqa: E402 -- the server, the database and the client of the native benchmark
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: E402
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue  # noqa: E402

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5")
SPANS_OF_TRACE = 5


@dataclass(frozen=True)
class Case:
    """One way to send."""

    name: str
    spans: int
    requests: int
    connections: int = 4
    is_json: bool = False
    is_gzipped: bool = False
    has_texts: bool = False


CASES = (
    Case("protobuf, 100 a request", 100, 160),
    Case("protobuf, 500 a request", 500, 40),
    Case("protobuf, 1,000 a request", 1_000, 24),
    Case("protobuf, 500, gzip", 500, 40, is_gzipped=True),
    Case("protobuf, 500, with messages", 500, 24, has_texts=True),
    Case("JSON, 500 a request", 500, 40, is_json=True),
)


# --- What is sent


def pair(key: str, value: str | int | float | bool | list[str]) -> KeyValue:
    """One attribute."""
    made = AnyValue()
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, int):
        made.int_value = value
    elif isinstance(value, float):
        made.double_value = value
    elif isinstance(value, str):
        made.string_value = value
    else:
        made.array_value.values.extend(AnyValue(string_value=item) for item in value)
    return KeyValue(key=key, value=made)


def request(dice: random.Random, spans: int, has_texts: bool) -> ExportTraceServiceRequest:
    """A request with this many spans in traces of five, as a service with GenAI instrumentation exports them."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    resource = {
        "service.name": "support-chat",
        "service.version": "1.4.0",
        "deployment.environment.name": "production",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
        "host.name": "web-1",
        "process.pid": 4711,
    }
    group.resource.attributes.extend(pair(name, value) for name, value in resource.items())
    own, genai = group.scope_spans.add(), group.scope_spans.add()
    own.scope.name, genai.scope.name = "support-chat", "opentelemetry.util.genai.handler"
    ids: list[bytes] = []
    trace_id, now = b"", 0
    for number in range(spans):
        place = number % SPANS_OF_TRACE
        if place == 0:
            trace_id, ids = secrets.token_bytes(16), []
            now = time.time_ns() - dice.randrange(3_600_000_000_000)
        ids.append(secrets.token_bytes(8))
        span = (own if place == 0 else genai).spans.add(
            trace_id=trace_id,
            span_id=ids[-1],
            parent_span_id=ids[min(place, 2) - 1] if place else b"",
            name=("POST /chat", "invoke_agent support", "chat gpt-4o", "chat gpt-4o", "execute_tool find_order")[place],
            kind=2 if place == 0 else 3,
            start_time_unix_nano=now + place * 1_000_000,
            end_time_unix_nano=now + dice.randrange(200, 9_000) * 1_000_000,
        )
        found = (server, agent, call, call, tool)[place](dice)
        if has_texts and place in {2, 3}:
            found |= messages(dice)
        span.attributes.extend(pair(name, value) for name, value in found.items())
    return made


def server(dice: random.Random) -> dict[str, Any]:
    """What a web framework says."""
    return {
        "http.request.method": "POST",
        "http.route": "/chat",
        "http.response.status_code": 200,
        "url.path": "/chat",
        "client.address": f"10.0.{dice.randrange(256)}.{dice.randrange(256)}",
        "user.id": f"user-{dice.randrange(5_000)}",
        "session.id": f"session-{dice.randrange(9_000)}",
    }


def agent(dice: random.Random) -> dict[str, Any]:
    """What an agent's step says."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "support",
        "gen_ai.conversation.id": f"session-{dice.randrange(9_000)}",
    }


def call(dice: random.Random) -> dict[str, Any]:
    """What a model call says."""
    model = dice.choice(MODELS)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai" if model.startswith("gpt") else "anthropic",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": f"chatcmpl-{dice.getrandbits(64):x}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1_000,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": dice.random(),
        "gen_ai.usage.input_tokens": dice.randrange(100, 5_000),
        "gen_ai.usage.output_tokens": dice.randrange(5, 900),
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "gen_ai.output.type": "text",
        "server.address": "api.openai.com",
        "server.port": 443,
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": f"fp_{dice.getrandbits(32):x}",
    }


def tool(dice: random.Random) -> dict[str, Any]:
    """What a tool says."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find_order",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{dice.getrandbits(64):x}",
        "gen_ai.tool.call.arguments": json.dumps({"order": dice.randrange(10**9)}),
    }


def messages(dice: random.Random) -> dict[str, Any]:
    """A question and an answer of a kilobyte each."""
    asked = [{"role": "user", "parts": [{"type": "text", "content": ingest.words(dice, 1_000)}]}]
    said = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": ingest.words(dice, 1_000)}],
            "finish_reason": "stop",
        }
    ]
    return {"gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said)}


def as_json(made: ExportTraceServiceRequest) -> bytes:
    """The request in OTLP/JSON."""
    from google.protobuf import json_format

    data = json_format.MessageToDict(made, use_integers_for_enums=True)
    for group in data["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope.get("spans", []):
                for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
                    span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(data).encode()


def body_of(dice: random.Random, case: Case) -> bytes:
    """One body of this case, under new ids."""
    made = request(dice, case.spans, case.has_texts)
    body = as_json(made) if case.is_json else made.SerializeToString()
    return gzip.compress(body, 6) if case.is_gzipped else body


# --- Sending


def client_process(case: Case, key: str, seed: int, port: int, pipe: Any) -> None:
    """Make the requests, say so, wait for the word, send them."""
    dice = random.Random(seed)
    media_type = "application/json" if case.is_json else "application/x-protobuf"
    coding = "Content-Encoding: gzip\r\n" if case.is_gzipped else ""
    waiting = []
    for _ in range(case.requests):
        body = body_of(dice, case)
        head = (
            f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: {media_type}\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
        )
        waiting.append(head.encode() + body)
    pipe.send("ready")
    pipe.recv()
    cpu = time.process_time()
    began = time.perf_counter()
    latencies = asyncio.run(send(waiting, case, port))
    pipe.send(ingest.Sent(time.perf_counter() - began, latencies, time.process_time() - cpu))


async def send(waiting: list[bytes], case: Case, port: int) -> list[float]:
    """Write the requests to as many connections as the case says, each taking the next that is left."""
    left = iter(waiting)
    latencies: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for each in left:
            began = time.perf_counter()
            status, body = await post(reader, writer, each)
            while status in {429, 503}:  # as exporters do; what was stored after all is a duplicate then
                await asyncio.sleep(1)
                status, body = await post(reader, writer, each)
            latencies.append(time.perf_counter() - began)
            if status != 200 or not is_success(body, case):
                raise SystemExit(f"not everything was stored: {status} {body!r}")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(case.connections)))
    return latencies


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: bytes) -> tuple[int, bytes]:
    """Send one request; the status and the body of its answer."""
    writer.write(whole)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return int(head.split(" ")[1]), await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))


def is_success(body: bytes, case: Case) -> bool:
    """True for an answer without a partial success."""
    if case.is_json:
        return body == b"{}"
    return not ExportTraceServiceResponse.FromString(body).HasField("partial_success")


def run_case(case: Case, key: str, seed: int, running: ingest.Server) -> ingest.Measure:
    """One round of one case."""
    ours, theirs = multiprocessing.Pipe()
    client = multiprocessing.get_context("spawn").Process(
        target=client_process, args=(case, key, seed, running.port, theirs)
    )
    client.start()
    theirs.close()  # so that a client that fails ends the run
    ours.recv()
    before = running.cpu()
    ours.send("go")
    sent: ingest.Sent = ours.recv()
    after = running.cpu()
    client.join()
    count = case.spans * case.requests
    ordered = sorted(sent.latencies)
    return ingest.Measure(
        case.name,
        count / sent.seconds,
        server_us=(after[0] - before[0]) / count * 1e6,
        database_us=ingest.spent(before, after, count),
        client_us=sent.cpu_seconds / count * 1e6,
        memory_mb=running.memory_mb(),
        p50_ms=ordered[len(ordered) // 2] * 1e3,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1e3,
    )


# --- Decoding


@dataclass(frozen=True)
class Share:
    """Decoding one kind of body: microseconds a span, and how many times protobuf's own parse that is."""

    case: str
    parse_us: float
    walk_us: float
    decode_us: float
    record_us: float

    @property
    def decode_share(self) -> float:
        """To plain spans."""
        return self.decode_us / self.parse_us

    @property
    def record_share(self) -> float:
        """To records ready to be stored."""
        return self.record_us / self.parse_us


def walk(body: bytes) -> int:
    """Parse, and look at every attribute once."""
    seen = 0
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                found = {}
                for attribute in span.attributes:
                    value = attribute.value
                    kind = value.WhichOneof("value")
                    found[attribute.key] = getattr(value, kind) if kind else None
                seen += len(found)
    return seen


def decode_shares(rounds: int) -> list[Share]:
    """Every way to read, in turns, on bodies that no reader has seen before; the best time of each."""
    from apps.telemetry import otlp
    from apps.telemetry.collecting import Collector
    from apps.telemetry.types import Batch

    def to_records(spans: Any, rejected: Any) -> None:
        now = datetime.now(UTC)
        batch = Batch(1, None, "", now, 0, [], [], [], scores=[], logs=[])
        Collector(batch, keep_since=now - timedelta(days=30)).spans(spans, rejected)
        if batch.rejected:
            raise SystemExit(f"spans were refused: {batch.rejected[:3]}")

    shares = []
    for case in CASES:
        if case.is_gzipped:
            continue
        encoding: otlp.Encoding = "json" if case.is_json else "protobuf"
        best = [float("inf")] * 4
        for number in range(rounds * 5):
            made = request(random.Random(number), case.spans, case.has_texts)
            official = made.SerializeToString()
            body = as_json(made) if case.is_json else official
            took = [timed(ExportTraceServiceRequest.FromString, official), timed(walk, official)]
            began = time.perf_counter()
            spans, rejected = otlp.read_traces(body, encoding)
            middle = time.perf_counter()
            to_records(spans, rejected)
            took += [middle - began, time.perf_counter() - began]
            best = [min(pair) for pair in zip(best, took, strict=True)]
        shares.append(Share(case.name, *(seconds / case.spans * 1e6 for seconds in best)))
    return shares


def timed(what: Callable[[bytes], object], body: bytes) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    what(body)
    return time.perf_counter() - began


def show_shares(shares: list[Share]) -> None:
    """Print the table; us are microseconds a span."""
    print(f"{'decoding':30}{'parse us':>10}{'walk us':>10}{'decode us':>11}{'share':>8}{'records us':>12}{'share':>8}")
    for share in shares:
        print(
            f"{share.case:30}{share.parse_us:10.2f}{share.walk_us:10.1f}{share.decode_us:11.1f}{share.decode_share:8.1f}"
            f"{share.record_us:12.1f}{share.record_share:8.1f}"
        )


# --- The whole


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="", help="an empty database to use instead of an embedded one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only the cases whose name holds this")
    parser.add_argument("--decode-only", action="store_true", help="measure decoding alone")
    parser.add_argument("--json", type=Path, help="write every measure and the medians here")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")
    lines: list[dict[str, Any]] = []
    measures: list[ingest.Measure] = []
    if not options.decode_only:
        cases = [case for case in CASES if options.only in case.name]
        with tempfile.TemporaryDirectory(prefix="prodworthy-otlp-") as folder:
            Path(folder).chmod(0o755)  # as root, the database runs as somebody else
            measures = measure_all(cases, options.rounds, options.database_url, Path(folder))
        lines = ingest.report(measures)
        ingest.show(lines)
    shares = decode_shares(options.rounds)
    show_shares(shares)
    if options.json:
        found = {
            "cores": os.cpu_count(),
            "medians": lines,
            "measures": [asdict(measure) for measure in measures],
            "decoding": [
                asdict(share) | {"decode_share": share.decode_share, "record_share": share.record_share}
                for share in shares
            ],
        }
        options.json.write_text(json.dumps(found, indent=1))


def measure_all(cases: list[Case], rounds: int, url: str, var: Path) -> list[ingest.Measure]:
    """All rounds of all cases, each round with the floor: the same number of native rows by COPY alone."""
    measures: list[ingest.Measure] = []
    with ingest.database(url, var) as postmaster:
        ingest.manage("migrate", "-v0")
        ingest.manage("prices", "sync")
        password = var / "password"
        password.write_text(ingest.PASSWORD)
        account = ("--email", "bench@example.com", "--password-file", str(password), "--project", "Bench")
        key = json.loads(ingest.manage("bootstrap", *account))["key"]
        with ingest.server(postmaster) as running:
            run_case(Case("warm-up", 100, 20), key, 0, running)
            for number in range(rounds):
                measures.append(ingest.run_floor(False, 24, number, running))
                measures += [run_case(case, key, number, running) for case in cases]
                print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return measures


if __name__ == "__main__":
    main()

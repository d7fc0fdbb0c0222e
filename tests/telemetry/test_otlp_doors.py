"""The OTLP doors over a real socket: what is stored, what is answered, and what no body can bring about."""

from __future__ import annotations

import base64
import gzip
import json
import random
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from django.db import connection
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from apps.projects.models import Project, Scope
from apps.telemetry.models import IntakeBatch, IntakeRejection
from tests import factories
from tests.telemetry import otlp
from tests.telemetry.conftest import Intake, rows
from tests.telemetry.otlp import ENCODINGS, MEDIA_TYPES, encoded, make_log, make_span, traces
from tests.telemetry.test_otlp_decoding import bodies

pytestmark = pytest.mark.django_db(transaction=True)
both = pytest.mark.parametrize("encoding", ENCODINGS)

TRACES = ("/v1/traces", "/api/public/otel/v1/traces")
LOGS = ("/v1/logs", "/api/public/otel/v1/logs")
METRICS = ("/v1/metrics", "/api/public/otel/v1/metrics")
RESPONSES: dict[str, Any] = {
    **dict.fromkeys(TRACES, ExportTraceServiceResponse),
    **dict.fromkeys(LOGS, ExportLogsServiceResponse),
    **dict.fromkeys(METRICS, ExportMetricsServiceResponse),
}


class Exporter:
    """Sends OTLP as an exporter does, and reads the answers with the official messages."""

    def __init__(self, intake: Intake) -> None:
        self.client = intake.client
        self.key = intake.key

    def send(
        self, body: Any, encoding: str = "protobuf", path: str = "/v1/traces", key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Post the body; an empty key sends none."""
        given = self.key if key is None else key
        authorization = {"Authorization": f"Bearer {given}"} if given else {}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            path, content=body, headers={"Content-Type": MEDIA_TYPES[encoding], **authorization, **more}
        )

    def export(self, *spans: Span, encoding: str = "protobuf", **more: Any) -> httpx.Response:
        """Post these spans."""
        return self.send(encoded(traces(*spans), encoding), encoding, **more)


@pytest.fixture
def exporter(intake: Intake) -> Exporter:
    return Exporter(intake)


def partial(answer: httpx.Response, path: str = "/v1/traces") -> Any:
    """The partial success of an answer, after looking that it is a good one; None when it has none."""
    assert answer.status_code == 200, answer.content
    if answer.headers["content-type"] == otlp.JSON:
        return answer.json().get("partialSuccess")
    assert answer.headers["content-type"] == otlp.PROTOBUF
    response = RESPONSES[path].FromString(answer.content)
    return response.partial_success if response.HasField("partial_success") else None


def status(answer: httpx.Response) -> tuple[int, str]:
    """The google.rpc.Status of an answer, from either encoding."""
    if answer.headers["content-type"] == otlp.JSON:
        found = answer.json()
        assert set(found) == {"code", "message"}
        return found["code"], found["message"]
    assert answer.headers["content-type"] == otlp.PROTOBUF
    message = Status.FromString(answer.content)
    return message.code, message.message


def account() -> tuple[int, int, int]:
    """Received, what became of it in sum, and rejected, over all requests."""
    batches = IntakeBatch.objects.all()
    sums = [
        (batch.received, batch.stored + batch.updated + batch.duplicates + batch.rejected, batch.rejected)
        for batch in batches
    ]
    return tuple(map(sum, zip(*sums, strict=True))) if sums else (0, 0, 0)  # type: ignore[return-value]


# --- What is stored


@pytest.mark.parametrize("path", TRACES)
@both
def test_stores_a_call_and_answers_after_the_commit(
    exporter: Exporter, project: Project, path: str, encoding: str
) -> None:
    span = make_span(otlp.CHAT | {"something.else": "kept"})
    answer = exporter.export(span, encoding=encoding, path=path)
    assert partial(answer, path) is None
    assert answer.content == (b"{}" if encoding == "json" else b"")
    assert rows(
        "SELECT project_id, trace_id, span_id, kind, provider, model, input_tokens, output_tokens, latency_ms, service"
        " FROM telemetry_span"
    ) == [(project.pk, span.trace_id, span.span_id, "llm", "openai", "gpt-4o-mini-2024-07-18", 812, 96, 1200, "shop")]
    [(attributes,)] = rows("SELECT attributes FROM telemetry_payload")
    assert json.loads(attributes)["something.else"] == "kept"
    assert account() == (1, 1, 0)


def test_knows_a_request_that_is_sent_again_in_the_other_encoding(exporter: Exporter) -> None:
    spans = [make_span() for _ in range(30)]
    for encoding in ("protobuf", "json", "protobuf"):
        assert partial(exporter.export(*spans, encoding=encoding)) is None
    assert rows("SELECT count(*) FROM telemetry_span") == [(30,)]
    assert list(IntakeBatch.objects.order_by("id").values_list("stored", "duplicates")) == [(30, 0), (0, 30), (0, 30)]


@both
def test_says_exactly_how_many_spans_were_rejected_and_why(exporter: Exporter, encoding: str) -> None:
    spans = [make_span(), make_span(trace_id=bytes(16)), make_span(), make_span(span_id=b"no"), make_span(span_id=b"")]
    found = partial(exporter.export(*spans, encoding=encoding))
    count, message = (
        (int(found["rejectedSpans"]), found["errorMessage"])
        if encoding == "json"
        else (found.rejected_spans, found.error_message)
    )
    assert count == 3
    assert "invalid_trace_id (1, first at index 1)" in message
    assert "invalid_span_id (2, first at index 3)" in message
    assert rows("SELECT count(*) FROM telemetry_span") == [(2,)]
    assert account() == (5, 5, 3)
    kept = IntakeRejection.objects.order_by("position").values_list("position", "code")
    assert list(kept) == [(1, "invalid_trace_id"), (3, "invalid_span_id"), (4, "invalid_span_id")]


def test_writes_64_bit_counts_as_protobufs_json_does(exporter: Exporter) -> None:
    found = partial(exporter.export(make_span(trace_id=bytes(16)), encoding="json"))
    assert found["rejectedSpans"] == "1"


@both
def test_an_item_the_database_refuses_is_rejected_alone(exporter: Exporter, encoding: str) -> None:
    good, poison = [make_span() for _ in range(5)], make_span(name="forbidden by the database")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE telemetry_span ADD CONSTRAINT no_poison CHECK (name NOT LIKE 'forbidden%')")
    try:
        answer = exporter.export(*good[:3], poison, *good[3:], encoding=encoding)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE telemetry_span DROP CONSTRAINT no_poison")
    assert "not_storable (1, first at index 3)" in str(partial(answer))
    assert rows("SELECT count(*) FROM telemetry_span") == [(5,)]
    assert account() == (6, 6, 1)


@both
def test_stores_hostile_spans_with_what_can_be_kept_of_them(exporter: Exporter, encoding: str) -> None:
    spans = [
        make_span({"__proto__": {"x": 1}, "": 1, "k" * 10_000: 2, "\u202e": 3, "nul\0": "\0"}),
        make_span({f"k{number}": number for number in range(100_000)}),
        make_span({"big": "x" * 3_000_000}),
        make_span({"n": float("nan"), "i": float("inf"), "gen_ai.usage.input_tokens": -5}),
        make_span(otlp.CHAT | {"gen_ai.usage.input_tokens": 2**63 - 1, "gen_ai.usage.output_tokens": float("inf")}),
        make_span(start_time_unix_nano=2**64 - 1, end_time_unix_nano=1),
        make_span(start_time_unix_nano=0, end_time_unix_nano=0, name=""),
        make_span(name="n\0" * 600, events=[Span.Event(name="e")] * 1_000),
    ]
    assert partial(exporter.export(*spans, encoding=encoding)) is None
    flags = {bytes(span_id): set(flags) for span_id, flags in rows("SELECT span_id, flags FROM telemetry_span")}
    assert set(flags) == {span.span_id for span in spans}
    told = [flags[span.span_id] for span in spans]
    assert "text_replaced" in told[0]
    assert all("truncated" in told[number] for number in (1, 2, 7))
    assert "number_replaced" in told[3]
    assert all("clock" in told[number] for number in (5, 6))
    attributes = dict(rows("SELECT span_id, attributes FROM telemetry_payload"))
    assert len(json.loads(attributes[spans[1].span_id])) == 256
    assert len(json.loads(attributes[spans[2].span_id])["big"]) == 65_536


def test_takes_scores_that_come_with_spans_and_again_as_logs(exporter: Exporter) -> None:
    evaluation = {
        "gen_ai.evaluation.name": "helpfulness",
        "gen_ai.evaluation.score.value": 0.8,
        "gen_ai.evaluation.explanation": "fine",
    }
    span = make_span(events=[Span.Event(name="gen_ai.evaluation.result", attributes=otlp.pairs(evaluation))])
    assert partial(exporter.export(span)) is None
    record = make_log(evaluation, trace_id=span.trace_id, span_id=span.span_id, event_name="gen_ai.evaluation.result")
    answer = exporter.send(otlp.logs(record).SerializeToString(), path="/v1/logs")
    assert partial(answer, "/v1/logs") is None
    assert rows("SELECT trace_id, span_id, name, value, comment FROM telemetry_score") == [
        (span.trace_id, span.span_id, "helpfulness", 0.8, "fine")
    ]
    assert account() == (3, 3, 0)


@pytest.mark.parametrize("path", LOGS)
@both
def test_keeps_messages_that_come_as_logs_and_acknowledges_the_rest(
    exporter: Exporter, path: str, encoding: str
) -> None:
    ids = {"trace_id": b"t" * 16, "span_id": b"s" * 8}
    message = make_log({"gen_ai.system": "openai"}, event_name="gen_ai.user.message", **ids)
    message.body.CopyFrom(otlp.any_value({"content": "where is my parcel?"}))
    others = [make_log({"a": 1}), make_log({}, event_name="gen_ai.user.message"), make_log({}, **ids)]
    for _ in range(2):
        answer = exporter.send(encoded(otlp.logs(message, *others), encoding), encoding, path=path)
        assert partial(answer, path) is None
    assert rows("SELECT trace_id, span_id, event_name, body, attributes FROM telemetry_logpart") == [
        (
            *ids.values(),
            "gen_ai.user.message",
            '{"content":"where is my parcel?"}',
            '{"gen_ai.system":"openai"}',
        )
    ]
    received, outcome, rejected = account()
    assert (received, rejected) == (outcome, 0)


# --- Answers, by the specification

EMPTY = {"protobuf": b"", "json": b"{}"}
ALL = [*TRACES, *LOGS, *METRICS]


@pytest.mark.parametrize("path", ALL)
@both
def test_takes_a_request_that_carries_nothing(exporter: Exporter, path: str, encoding: str) -> None:
    answer = exporter.send(EMPTY[encoding], encoding, path=path)
    assert partial(answer, path) is None
    assert account() == (0, 0, 0)


@pytest.mark.parametrize("path", METRICS)
@both
def test_acknowledges_metrics(exporter: Exporter, path: str, encoding: str) -> None:
    request = otlp.ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="gen_ai.client.token.usage")
    metric.sum.data_points.add(as_int=5)
    assert partial(exporter.send(encoded(request, encoding), encoding, path=path), path) is None


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


GZIP = {"Content_Encoding": "gzip"}
Make = Callable[[str], bytes]
REFUSALS: dict[str, tuple[Make, dict[str, str], int, int]] = {
    "rubbish": (lambda _encoding: b"\xffrubbish", {}, 400, 3),
    "gzip that is none": (lambda encoding: EMPTY[encoding] + b"x", GZIP, 400, 3),
    "gzip cut off": (lambda encoding: gzip.compress(EMPTY[encoding])[:-4], GZIP, 400, 3),
    "gzip with a tail": (lambda encoding: gzip.compress(EMPTY[encoding]) + b"tail", GZIP, 400, 3),
    "deflate that is none": (lambda _encoding: b"\x01", {"Content_Encoding": "deflate"}, 400, 3),
    "11 MB": (lambda _encoding: bytes(11 * 1024 * 1024), {}, 413, 8),
    "a bomb of 512 MiB": (lambda _encoding: gzip.compress(bytes(512 * 1024 * 1024), 1), GZIP, 413, 8),
    "60,000 spans": (
        lambda encoding: (
            encoded(traces(*[Span(name="x")] * 60_000), encoding) if encoding == "protobuf" else json_spans(60_000)
        ),
        {},
        413,
        8,
    ),
    "brotli": (lambda encoding: EMPTY[encoding], {"Content_Encoding": "br"}, 415, 3),
}


def json_spans(count: int) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join([b"{}"] * count) + b"]}]}]}"


@pytest.mark.parametrize("name", REFUSALS)
@both
def test_refuses_a_body_with_a_status_in_the_same_encoding(exporter: Exporter, encoding: str, name: str) -> None:
    make, headers, http_status, code = REFUSALS[name]
    answer = exporter.send(make(encoding), encoding, **headers)
    assert answer.status_code == http_status
    assert answer.headers["content-type"] == MEDIA_TYPES[encoding]
    found = status(answer)
    assert found[0] == code
    assert found[1]
    assert "retry-after" not in answer.headers
    assert partial(exporter.export(make_span(), encoding=encoding)) is None, "the server must go on"


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/grpc", "application/x-www-form-urlencoded"])
def test_refuses_other_media_types(exporter: Exporter, media_type: str) -> None:
    answer = exporter.send(b"", Content_Type=media_type)
    assert answer.status_code == 415
    assert "application/x-protobuf" in status(answer)[1]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/protobuf"])
def test_takes_media_types_however_they_are_written(exporter: Exporter, media_type: str) -> None:
    body = EMPTY["json" if "json" in media_type.lower() else "protobuf"]
    assert exporter.send(body, Content_Type=media_type).status_code == 200


@pytest.mark.parametrize("path", ALL)
@both
def test_refuses_callers_without_a_key_that_may_send(
    exporter: Exporter, path: str, encoding: str, read_key: str
) -> None:
    for key, http_status, code in (("", 401, 16), ("wrong", 401, 16), (read_key, 403, 7)):
        answer = exporter.send(EMPTY[encoding], encoding, path=path, key=key)
        assert (answer.status_code, status(answer)[0]) == (http_status, code)
    assert exporter.client.post(f"{path}?key={exporter.key}", content=b"").status_code == 401


@pytest.mark.parametrize("path", ALL)
def test_takes_the_key_as_clients_send_it(exporter: Exporter, path: str) -> None:
    for headers in (
        {"Authorization": f"Bearer {exporter.key}"},
        {"Authorization": basic("shop", exporter.key)},
        {"Authorization": basic("pk-lf-1234", exporter.key)},
        {"Authorization": basic(exporter.key, "")},
        {"x_api_key": exporter.key},
    ):
        assert exporter.send(b"", path=path, key="", **headers).status_code == 200


@pytest.mark.parametrize("path", ALL)
def test_tells_which_method_it_takes(exporter: Exporter, path: str) -> None:
    answer = exporter.client.get(path)
    assert (answer.status_code, status(answer)[0]) == (405, 12)


@both
def test_refuses_a_caller_before_reading_the_body(address: str, intake: Intake, encoding: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    sent = 0
    with socket.create_connection((host, int(port)), timeout=10) as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        connected.sendall(
            f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n"
            f"Content-Type: {MEDIA_TYPES[encoding]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        head = connected.recv(4096)
        connected.settimeout(2)
        with suppress(OSError):
            while sent < 50_000_000:
                sent += connected.send(b"4000\r\n" + bytes(0x4000) + b"\r\n")
    assert head.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in head.lower()
    assert sent < 20_000_000, "whoever is refused must not be read to the end"


@both
def test_asks_to_try_again_while_too_much_is_waiting(
    exporter: Exporter, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.telemetry.services import writer

    monkeypatch.setattr(writer, "MAX_WAITING_SPANS_PER_PROJECT", 0)
    answer = exporter.export(make_span(), encoding=encoding)
    assert (answer.status_code, status(answer)[0]) == (429, 8)
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.setattr(writer, "MAX_WAITING_SPANS", 0)
    answer = exporter.export(make_span(), encoding=encoding)
    assert (answer.status_code, status(answer)[0]) == (503, 14)
    assert int(answer.headers["retry-after"]) > 0
    assert account() == (0, 0, 0)


# --- How bodies travel


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", ""])
@pytest.mark.parametrize("is_chunked", [True, False])
@both
def test_reads_bodies_compressed_or_not_and_chunked_or_not(
    exporter: Exporter, encoding: str, coding: str, is_chunked: bool
) -> None:
    body = encoded(traces(*[make_span() for _ in range(50)]), encoding)
    body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding, bytes)(body)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 97):
            yield body[start : start + 97]

    headers = {"Content_Encoding": coding} if coding else {}
    answer = exporter.send(pieces() if is_chunked else body, encoding, **headers)
    assert ("transfer-encoding" in answer.request.headers) == is_chunked
    assert partial(answer) is None
    assert rows("SELECT count(*) FROM telemetry_span") == [(50,)]


@both
def test_a_bomb_costs_little_memory_and_is_refused_at_once(exporter: Exporter, encoding: str) -> None:
    bomb = gzip.compress(b"\0" * (1024 * 1024 * 1024), 9)
    tracemalloc.start()
    began = time.monotonic()
    answer = exporter.send(bomb, encoding, **GZIP)
    spent = time.monotonic() - began
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, status(answer)[0]) == (413, 8)
    assert peak < 64 * 1024 * 1024
    assert spent < 5


def test_stops_reading_a_stream_without_end(exporter: Exporter) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield bytes(65_536)

    # The answer can be lost with a connection that is closed while the client still writes.
    with suppress(httpx.TransportError):
        assert exporter.send(endless()).status_code == 413
    assert sent < 40_000_000
    assert exporter.export(make_span()).status_code == 200


@pytest.mark.parametrize(
    ("claimed", "heads"), [(10_000_000_000, [b"HTTP/1.1 413"]), (-1, [b"HTTP/1.1 400"]), (1, [b"HTTP/1.1 400"])]
)
def test_survives_a_wrong_content_length(exporter: Exporter, address: str, claimed: int, heads: list[bytes]) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connected:
        connected.sendall(
            f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {exporter.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {claimed}\r\n\r\n{{}}".encode()
        )
        assert connected.recv(4096)[:12] in heads
    assert exporter.export(make_span()).status_code == 200


@both
def test_every_damaged_byte_of_a_compressed_body_is_a_4xx(exporter: Exporter, encoding: str) -> None:
    whole = gzip.compress(encoded(traces(make_span({})), encoding))
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        answer = exporter.send(bytes(damaged), encoding, **GZIP)
        # Bytes 4 to 9 of the header are a time and hints, which nothing depends on.
        assert answer.status_code in ((200,) if 4 <= position <= 9 else (200, 400)), position
        assert answer.status_code == 400 or 3 <= position <= 9, position


@both
def test_no_damaged_byte_of_a_body_is_a_fault_of_ours(exporter: Exporter, encoding: str) -> None:
    whole = encoded(traces(make_span({"a": 1})), encoding)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        answer = exporter.send(bytes(damaged), encoding)
        assert answer.status_code in {200, 400}, position
    received, outcome, _rejected = account()
    assert received == outcome


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@both
def test_no_body_at_all_is_a_fault_of_ours(
    exporter: Exporter, encoding: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = set()
    for _, body in zip(range(150), bodies(random.Random(7), encoding), strict=False):
        answer = exporter.send(body, encoding, path=path)
        seen.add(answer.status_code)
        assert answer.status_code in {200, 400, 413}, body
        assert answer.headers["content-type"] == MEDIA_TYPES[encoding]
    assert 400 in seen
    received, outcome, _rejected = account()
    assert received == outcome
    assert "failed" not in caplog.text


# --- Doors of other forms


@pytest.mark.parametrize("path", ["/litellm/callback", "/api/v1/litellm"])
@pytest.mark.parametrize("is_list", [True, False])
def test_takes_the_calls_of_litellms_callback(exporter: Exporter, path: str, is_list: bool) -> None:
    now = time.time()
    call = {
        "litellm_call_id": f"call-{path}-{is_list}",
        "call_type": "acompletion",
        "model": "gpt-4o-mini",
        "custom_llm_provider": "openai",
        "startTime": now - 1,
        "endTime": now,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "status": "success",
    }
    answer = exporter.send(json.dumps([call, 7] if is_list else call).encode(), "json", path=path)
    assert answer.status_code == 200
    assert answer.json()["stored"] == 1
    assert [(item["index"], item["code"]) for item in answer.json()["rejected"]] == (
        [(1, "not_an_object")] if is_list else []
    )
    assert rows("SELECT kind, model, input_tokens, output_tokens FROM telemetry_span") == [
        ("llm", "gpt-4o-mini", 10, 5)
    ]


@pytest.mark.parametrize("path", ["/litellm/callback", "/api/v1/litellm"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 60_000, b"\xff", b"null", b"[]", b"{}", b"[1,null,[]]", b'{"litellm_call_id":NaN}']
)
def test_answers_any_json_in_a_form_of_its_own(exporter: Exporter, path: str, body: bytes) -> None:
    answer = exporter.send(body, "json", path=path)
    assert answer.status_code in {200, 400}
    assert exporter.send(body, "json", path=path, key="").status_code == 401
    assert exporter.send(body, "protobuf", path=path).status_code == 415


@pytest.mark.parametrize("name", ["x" * 300, "Prodworthy-Test/1.0"])
def test_notes_who_sent(exporter: Exporter, name: str) -> None:
    exporter.export(make_span(), User_Agent=name)
    assert IntakeBatch.objects.get().client == name[:200]


def test_only_a_key_of_the_right_project_stores_there(exporter: Exporter, other_project: Project, charlie: Any) -> None:
    span = make_span()
    exporter.export(span)
    key = factories.make_key(other_project, Scope.INGEST, created_by=charlie)
    exporter.export(span, key=key)
    assert rows("SELECT count(*), count(DISTINCT project_id) FROM telemetry_span") == [(2, 2)]


def test_takes_what_the_agents_sdk_exports(exporter: Exporter) -> None:
    trace = {"object": "trace", "id": "trace_" + "a1" * 16, "workflow_name": "support"}
    span = {
        "object": "trace.span",
        "id": "span_" + "b2" * 12,
        "trace_id": trace["id"],
        "parent_id": None,
        "started_at": "2026-11-23T12:00:00.000000+00:00",
        "ended_at": "2026-11-23T12:00:01.500000+00:00",
        "span_data": {"type": "function", "name": "find_order", "input": "{}", "output": "found"},
        "error": None,
    }
    answer = exporter.send(json.dumps({"data": [trace, span, 7]}).encode(), "json", path="/v1/traces/ingest")
    assert answer.status_code == 200, answer.content
    assert ("tool", "find_order") in rows("SELECT kind, tool_name FROM telemetry_span")
    received, outcome, _rejected = account()
    assert received == outcome
    for body in (b"", b"{", b"[]", b"{}", b'{"data":7}', b'{"data":[null]}'):
        assert exporter.send(body, "json", path="/v1/traces/ingest").status_code in {200, 400}


def test_stores_the_same_rows_for_either_encoding(
    exporter: Exporter, project: Project, other_project: Project, charlie: Any
) -> None:
    key = factories.make_key(other_project, Scope.INGEST, created_by=charlie)
    evaluation = {"gen_ai.evaluation.name": "good", "gen_ai.evaluation.score.value": 1.0}
    event = Span.Event(
        name="gen_ai.evaluation.result", time_unix_nano=time.time_ns(), attributes=otlp.pairs(evaluation)
    )
    spans = [
        make_span(
            otlp.CHAT | {"gen_ai.response.time_to_first_chunk": 0.25, "list": [1, 2.5, {"a": None}], "b": b"\xff"}
        ),
        make_span(
            otlp.CHAT | {"gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"\\u00fc"}]}]'}
        ),
        make_span({"user.id": "u-1", "n": float("nan"), "nul": "\0"}, name="plain", parent_span_id=b"parent-1"),
        make_span({}, events=[event]),
    ]
    assert partial(exporter.export(*spans)) is None
    body = otlp.as_json(traces(*spans), numbers_as_text=False, upper=True)
    assert partial(exporter.send(body, "json", key=key)) is None
    # Times of receipt differ, and the numbers of a project's own rows.
    hidden = "'project_id', 'received_at', 'score_id', 'digest', 'id', 'placed_at', 'price_id'"
    for table in ("telemetry_span", "telemetry_payload", "telemetry_score"):
        found = {
            number: rows(
                f"SELECT to_jsonb(t) - ARRAY[{hidden}] FROM {table} t WHERE project_id = %s ORDER BY 1", number
            )
            for number in (project.pk, other_project.pk)
        }
        assert found[project.pk], table
        assert found[project.pk] == found[other_project.pk], table
    digests = rows("SELECT count(*), count(DISTINCT digest) FROM telemetry_span")
    assert digests == [(8, 4)]

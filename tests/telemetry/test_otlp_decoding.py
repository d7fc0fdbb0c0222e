"""OTLP bodies as spans and log records: both encodings alike, whatever is sent, and within limits."""

from __future__ import annotations

import base64
import json
import math
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from apps.telemetry import otlp
from apps.telemetry.collecting import Collector
from apps.telemetry.otlp import Encoding, OtlpSpan, TooManyItems, Undecodable
from apps.telemetry.otlp.spans import MAX_ATTRIBUTES
from apps.telemetry.texts import MAX_TEXT_CHARS
from apps.telemetry.types import Batch
from tests.telemetry import otlp as requests
from tests.telemetry.otlp import ENCODINGS, any_value, as_json, encoded, make_log, make_span, pairs, traces

both = pytest.mark.parametrize("encoding", ENCODINGS)


def read_one(request: Any, encoding: Encoding = "protobuf") -> OtlpSpan:
    """The one span of a request."""
    [span], rejected = otlp.read_traces(encoded(request, encoding), encoding)
    assert not rejected
    return span


def json_span(**fields: Any) -> bytes:
    """The OTLP/JSON of a request with one span that is valid but for the fields."""
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "chat",
        "startTimeUnixNano": "1795420000000000000",
        "endTimeUnixNano": "1795420001000000000",
    } | fields
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def read_json(**fields: Any) -> OtlpSpan:
    """The span of `json_span`."""
    [span], rejected = otlp.read_traces(json_span(**fields), "json")
    assert not rejected
    return span


# --- What is read


@both
def test_reads_a_span_with_all_it_says(encoding: Encoding) -> None:
    span = make_span(
        {"a": "text", "b": 7, "c": 0.5, "d": True, "e": ["x", 1], "f": {"g": [{"h": None}]}, "i": b"\xff\x00", "": ""},
        parent_span_id=b"parent-1",
        status=Status(code=Status.STATUS_CODE_ERROR, message="429"),
        kind=Span.SPAN_KIND_CLIENT,
        events=[Span.Event(time_unix_nano=5, name="exception", attributes=pairs({"exception.type": "Timeout"}))],
    )
    read = read_one(traces(span, resource={"service.name": "shop", "n": 1}, scope="lib"), encoding)
    assert (read.trace_id, read.span_id, read.parent_span_id) == (span.trace_id, span.span_id, b"parent-1")
    assert (read.start_ns, read.end_ns) == (span.start_time_unix_nano, span.end_time_unix_nano)
    assert (read.name, read.status_code, read.status_message) == ("chat gpt-4o-mini", 2, "429")
    assert (read.scope, read.scope_version, read.resource) == ("lib", "1.0", {"service.name": "shop", "n": 1})
    assert read.attributes == {
        "a": "text", "b": 7, "c": 0.5, "d": True, "e": ["x", 1], "f": {"g": [{"h": None}]},
        "i": base64.b64encode(b"\xff\x00").decode(), "": "",
    }  # fmt: skip
    assert [type(read.attributes[name]) for name in "bcd"] == [int, float, bool]
    assert [(event.name, event.time_ns, event.attributes) for event in read.events] == [
        ("exception", 5, {"exception.type": "Timeout"})
    ]
    assert read.flags == set()


@both
def test_reads_spans_of_several_resources_and_scopes_in_their_order(encoding: Encoding) -> None:
    request = traces(make_span(name="1"), make_span(name="2"), resource={"service.name": "a"}, scope="x")
    request.MergeFrom(traces(make_span(name="3"), resource={"service.name": "b"}, scope="y"))
    request.resource_spans[1].scope_spans.add().spans.append(make_span(name="4"))
    spans, _rejected = otlp.read_traces(encoded(request, encoding), encoding)
    assert [(span.name, span.resource["service.name"], span.scope) for span in spans] == [
        ("1", "a", "x"), ("2", "a", "x"), ("3", "b", "y"), ("4", "b", ""),
    ]  # fmt: skip


@both
def test_reads_log_records(encoding: Encoding) -> None:
    record = make_log({"gen_ai.system": "openai"}, trace_id=b"t" * 16, span_id=b"s" * 8, event_name="gen_ai.choice")
    record.body.CopyFrom(any_value({"message": {"content": "hi"}}))
    read, late, outside = otlp.read_logs(
        encoded(
            requests.logs(
                record,
                requests.LogRecord(observed_time_unix_nano=9, attributes=pairs({"event.name": "named.otherwise"})),
                requests.LogRecord(body=any_value("text"), trace_id=b"short"),
            ),
            encoding,
        ),
        encoding,
    )
    assert (read.trace_id, read.span_id, read.event_name) == (b"t" * 16, b"s" * 8, "gen_ai.choice")
    assert (read.body, read.scope) == ({"message": {"content": "hi"}}, "tests")
    assert (late.time_ns, late.event_name) == (9, "named.otherwise")
    assert (outside.trace_id, outside.span_id, outside.body) == (None, None, "text")
    assert len({read.digest, late.digest, outside.digest}) == 3


@both
def test_takes_requests_that_carry_nothing(encoding: Encoding) -> None:
    empty = encoded(requests.ExportTraceServiceRequest(), encoding)
    assert otlp.read_traces(empty, encoding) == ([], [])
    assert otlp.read_logs(empty, encoding) == []
    otlp.acknowledge_metrics(empty, encoding)
    hollow = encoded(traces(), encoding)
    assert otlp.read_traces(hollow, encoding) == ([], [])


# --- Both encodings alike

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.one_of(st.sampled_from(["gen_ai.request.model", "llm.input_messages.0.message.role", "", "a"]), texts)
scalars = st.one_of(
    texts, st.integers(-(2**63), 2**63 - 1), st.floats(width=64), st.booleans(), st.binary(max_size=12), st.none()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
attributes = st.dictionaries(names, values, max_size=6)
times = st.integers(0, 2**64 - 1)
identifiers = {size: st.binary(min_size=size, max_size=size).filter(any) for size in (8, 16)}


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Any span with valid ids."""
    return Span(
        trace_id=draw(identifiers[16]),
        span_id=draw(identifiers[8]),
        parent_span_id=draw(st.sampled_from([b"", bytes(8), b"parent-1"])),
        name=draw(texts),
        kind=draw(st.integers(0, 5)),
        start_time_unix_nano=draw(times),
        end_time_unix_nano=draw(times),
        attributes=pairs(draw(attributes)),
        events=[
            Span.Event(time_unix_nano=draw(times), name=draw(texts), attributes=pairs(draw(attributes)))
            for _ in range(draw(st.integers(0, 2)))
        ],
        status=Status(code=draw(st.integers(0, 2)), message=draw(texts)),
        links=[Span.Link(trace_id=bytes(16), span_id=bytes(8))] * draw(st.integers(0, 1)),
    )


@st.composite
def trace_requests(draw: st.DrawFn) -> Any:
    """Any request of up to two resources."""
    request = requests.ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        several = draw(st.lists(spans(), max_size=3))
        request.MergeFrom(traces(*several, resource=draw(attributes), scope=draw(texts)))
    return request


@settings(max_examples=300, deadline=None)
@given(trace_requests(), st.booleans(), st.booleans())
def test_gives_the_same_spans_in_either_encoding(request: Any, numbers_as_text: bool, upper: bool) -> None:
    in_protobuf = otlp.read_traces(request.SerializeToString(), "protobuf")
    in_json = otlp.read_traces(as_json(request, numbers_as_text=numbers_as_text, upper=upper), "json")
    assert in_protobuf == in_json
    sent = [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]
    assert [span.span_id for span in in_protobuf[0]] == [span.span_id for span in sent]
    for span, original in zip(in_protobuf[0], sent, strict=True):
        assert span.attributes == {kept(pair.key): plain(pair.value) for pair in original.attributes}


def plain(value: AnyValue) -> Any:
    """A value as it should be read, worked out apart from the decoder."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [plain(item) for item in found.values]
    if kind == "kvlist_value":
        return {kept(pair.key): plain(pair.value) for pair in found.values}
    if kind == "bytes_value":
        return base64.b64encode(found).decode()
    if kind == "double_value":
        return found if math.isfinite(found) else None
    return kept(found) if kind == "string_value" else found


def kept(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


@settings(max_examples=100, deadline=None)
@given(spans(), spans())
def test_tells_spans_apart_by_their_digests(one: Span, other: Span) -> None:
    first, second = (read_one(traces(span)) for span in (one, other))
    assert (first.digest == second.digest) == (said(first) == said(second))
    assert read_one(traces(one), "json").digest == first.digest
    assert read_one(traces(one, scope="another")).digest != first.digest


def said(span: OtlpSpan) -> str:
    return repr([getattr(span, name) for name in span.__struct_fields__ if name not in {"digest", "flags"}])


# --- What OTLP/JSON allows


@pytest.mark.parametrize("text", ["5", 5, 5.0, "+5"])
def test_reads_whole_numbers_however_they_are_written(text: Any) -> None:
    span = read_json(startTimeUnixNano=text, attributes=[{"key": "n", "value": {"intValue": text}}], status={"code": 2})
    assert (span.start_ns, span.attributes) == (5, {"n": 5})


def test_reads_ids_in_either_case_and_parents_that_are_none() -> None:
    span = read_json(traceId="0AF7651916CD43DD8448EB211C80319C", spanId="B7AD6B7169203331", parentSpanId="")
    assert (span.trace_id.hex(), span.span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert span.parent_span_id is None
    assert read_json(parentSpanId="0" * 16).parent_span_id is None
    assert read_json(parentSpanId="00000000000000aB").parent_span_id == b"\0\0\0\0\0\0\0\xab"


@pytest.mark.parametrize("code", [2, "2", "STATUS_CODE_ERROR"])
def test_reads_enumerations_by_number_and_name(code: Any) -> None:
    assert read_json(status={"code": code}, kind="SPAN_KIND_CLIENT").status_code == 2


def test_passes_over_what_it_does_not_know_and_takes_null_for_missing() -> None:
    span = read_json(
        attributes=None, events=None, status=None, links=[], droppedAttributesCount=0, flags=257, future={"x": [1]}
    )
    assert (span.attributes, span.events, span.status_code) == ({}, [], 0)
    nothing = [b"{}", b'{"resourceSpans":null}', b'{"resourceSpans":[{}]}', b'{"resourceSpans":[{"scopeSpans":[{}]}]}']
    for body in nothing:
        assert otlp.read_traces(body, "json") == ([], [])


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("is_quoted", [True, False])
def test_reads_numbers_that_are_none_as_nothing(word: str, is_quoted: bool) -> None:
    body = json_span(attributes=[{"key": "n", "value": {"doubleValue": "WORD"}}])
    [span], rejected = otlp.read_traces(
        body.replace(b'"WORD"', json.dumps(word).encode() if is_quoted else word.encode()), "json"
    )
    assert not rejected
    assert (span.attributes, span.flags) == ({"n": None}, {"number_replaced"})


@pytest.mark.parametrize("text", ["_-8", "/+8=", "_-8="])
def test_reads_bytes_in_any_base64(text: str) -> None:
    span = read_json(attributes=[{"key": "b", "value": {"bytesValue": text}}])
    assert span.attributes == {"b": "/+8="}


def test_replaces_text_that_cannot_be_stored() -> None:
    broken = json_span(name="a\ud800b", attributes=[{"key": "k\0", "value": {"stringValue": "\udfff!"}}])
    [span], _rejected = otlp.read_traces(broken, "json")
    assert (span.name, span.attributes) == ("a\ufffdb", {"k\ufffd": "\ufffd!"})
    assert span.flags == {"text_replaced"}
    span = read_one(traces(make_span({"a": {"b": ["\0"]}}), resource={"r": "\0"}))
    assert (span.attributes, span.resource, span.flags) == (
        {"a": {"b": ["\ufffd"]}}, {"r": "\ufffd"}, {"text_replaced"},
    )  # fmt: skip
    innocent = read_one(traces(make_span({"path": "C:\\u0000"})))
    assert (innocent.attributes, innocent.flags) == ({"path": "C:\\u0000"}, set())


REFUSED = [
    ({"traceId": "CvdlGRbNQ92ESOshHIAxnA=="}, "invalid_trace_id"),
    ({"traceId": "0af7651916cd43dd8448eb211c80319"}, "invalid_trace_id"),
    ({"traceId": "0" * 32}, "invalid_trace_id"),
    ({"traceId": "0a f7651916cd43dd8448eb211c80319"}, "invalid_trace_id"),
    ({"traceId": None}, "invalid_trace_id"),
    ({"spanId": "b7ad6b71692033"}, "invalid_span_id"),
    ({"parentSpanId": "b7ad"}, "invalid_parent_span_id"),
    ({"startTimeUnixNano": -1}, "number_out_of_range"),
    ({"startTimeUnixNano": 2**64}, "number_out_of_range"),
    ({"endTimeUnixNano": "1 0"}, "invalid_number"),
    ({"endTimeUnixNano": "\u0661"}, "invalid_number"),
    ({"attributes": [{"key": "n", "value": {"intValue": 2**70}}]}, "number_out_of_range"),
    ({"attributes": [{"key": "n", "value": {"intValue": str(2**63)}}]}, "number_out_of_range"),
    ({"attributes": [{"key": "n", "value": {"intValue": 1.5}}]}, "invalid_number"),
    ({"attributes": [{"key": "n", "value": {"doubleValue": "one"}}]}, "invalid_number"),
    ({"attributes": [{"key": "n", "value": {"bytesValue": "!"}}]}, "invalid_bytes"),
    ({"attributes": [{"key": 5}]}, "undecodable"),
    ({"attributes": {"key": "n"}}, "undecodable"),
    ({"name": 7}, "undecodable"),
    ({"events": [None]}, "undecodable"),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_refuses_a_span_alone_and_says_why(fields: dict[str, Any], code: str) -> None:
    bad, good = json.loads(json_span(**fields)), json.loads(json_span(spanId="00000000000000ff"))
    group = bad["resourceSpans"][0]["scopeSpans"][0]["spans"]
    group += good["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans, rejected = otlp.read_traces(json.dumps(bad).encode(), "json")
    assert [span.span_id[-1] for span in spans] == [255]
    assert [(item.index, item.code) for item in rejected] == [(0, code)]
    assert rejected[0].message
    assert rejected[0].sample.startswith("{")


def test_refuses_a_damaged_protobuf_span_alone() -> None:
    good, bad = make_span(name="good"), make_span(name="bad name")
    body = traces(good, bad, good).SerializeToString().replace(b"bad name", b"bad\xff\xff\xff\xff\xff")
    spans, rejected = otlp.read_traces(body, "protobuf")
    assert [span.name for span in spans] == ["good", "good"]
    assert [(item.index, item.code) for item in rejected] == [(1, "undecodable")]


@pytest.mark.parametrize(
    ("trace_id", "span_id", "code"),
    [
        (b"", b"s" * 8, "invalid_trace_id"),
        (bytes(16), b"s" * 8, "invalid_trace_id"),
        (b"t" * 16, b"s", "invalid_span_id"),
    ],
)
@both
def test_refuses_spans_without_usable_ids(encoding: Encoding, trace_id: bytes, span_id: bytes, code: str) -> None:
    body = encoded(traces(make_span(trace_id=trace_id, span_id=span_id)), encoding)
    assert [item.code for item in otlp.read_traces(body, encoding)[1]] == [code]


UNDECODABLE: list[tuple[Encoding, bytes]] = [
    ("json", b""), ("json", b"[]"), ("json", b"null"), ("json", b"{"), ("json", b"\xff"), ("json", b"not json"),
    ("json", b'{"resourceSpans":{}}'), ("json", b'{"resourceSpans":[1]}'), ("json", b"[" * 50_000),
    ("json", b'{"a":' * 50_000), ("json", b'{"resourceSpans":[{"scopeSpans":"x"}]}'),
    ("protobuf", b"not protobuf"), ("protobuf", b"\xff" * 20), ("protobuf", b"{}"),
    ("protobuf", b"\x0a\x04\xff\xff\xff\xff"), ("protobuf", b"\x0a\x7f"), ("protobuf", b"\x0a\x04\x12\x02\x0a\x7f"),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "body"), UNDECODABLE)
def test_refuses_a_body_that_is_none(encoding: Encoding, body: bytes) -> None:
    with pytest.raises(Undecodable):
        otlp.read_traces(body, encoding)


# --- Limits


def nested(levels: int) -> AnyValue:
    """A text within so many lists."""
    value = AnyValue(string_value="deep")
    for _ in range(levels):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return value


def depth_of(value: Any) -> int:
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@both
def test_cuts_values_that_are_nested_too_deeply(encoding: Encoding) -> None:
    fine = read_one(
        traces(
            make_span(
                attributes={},
            )
        ),
        encoding,
    )
    assert fine.flags == set()
    for levels, flags in ((32, set()), (33, {"truncated"}), (45, {"truncated"})):
        span = make_span({})
        span.attributes.append(KeyValue(key="deep", value=nested(levels)))
        read = read_one(traces(span), encoding)
        assert (depth_of(read.attributes["deep"]), read.flags) == (32, flags)


@pytest.mark.parametrize("levels", [100, 400, 5_000, 50_000])
def test_cuts_or_refuses_nesting_beyond_all_measure(levels: int) -> None:
    deep = '{"arrayValue":{"values":[' * levels + "{}" + "]}}" * levels
    body = json_span(attributes=[{"key": "deep", "value": "DEEP"}]).replace(b'"DEEP"', deep.encode())
    if levels > 100:
        with pytest.raises(Undecodable, match="nested too deeply"):
            otlp.read_traces(body, "json")
    else:
        [span], _rejected = otlp.read_traces(body, "json")
        assert span.flags == {"truncated"}


@both
def test_cuts_attributes_events_and_texts(encoding: Encoding) -> None:
    many = {f"k{number}": number for number in range(100_000)}
    events = [Span.Event(name=f"chunk {number}") for number in range(1_000)]
    read = read_one(traces(make_span(many)), encoding)
    assert (list(read.attributes), read.flags) == ([f"k{number}" for number in range(MAX_ATTRIBUTES)], {"truncated"})
    read = read_one(traces(make_span({}, events=events)), encoding)
    assert (len(read.events), read.events[0].name, read.events[-1].name) == (128, "chunk 0", "chunk 999")
    assert read.flags == {"truncated"}
    read = read_one(traces(make_span({"message": "x" * (MAX_TEXT_CHARS + 1), "other": "y" * 70_000})), encoding)
    assert [len(text) for text in read.attributes.values()] == [MAX_TEXT_CHARS, 70_000]
    assert read.flags == {"truncated"}
    whole = read_one(traces(make_span({f"m{number}": "x" * 900_000 for number in range(3)})), encoding)
    assert (len(whole.attributes), whole.flags) == (3, set())


@both
def test_reads_the_first_5000_spans_and_rejects_the_others(encoding: Encoding) -> None:
    spans, rejected = otlp.read_traces(encoded(traces(*[make_span({})] * 5_003), encoding), encoding)
    assert len(spans) == 5_000
    assert [(item.index, item.code) for item in rejected] == [(n, "too_many_items") for n in (5_000, 5_001, 5_002)]


ATTACKS: dict[str, tuple[Encoding, Callable[[], bytes]]] = {
    "empty resources": ("protobuf", lambda: b"\x0a\x00" * 5_000_000),
    "empty scopes": ("protobuf", lambda: within(b"\x0a", b"\x12\x00" * 4_900_000)),
    "empty spans": ("protobuf", lambda: within(b"\x0a", within(b"\x12", b"\x12\x00" * 4_900_000))),
    "empty attributes": (
        "protobuf",
        lambda: within(b"\x0a", within(b"\x12", within(b"\x12", b"\x4a\x00" * 4_900_000))),
    ),
    "empty events": ("protobuf", lambda: within(b"\x0a", within(b"\x12", within(b"\x12", b"\x5a\x00" * 4_900_000)))),
    "empty links": ("protobuf", lambda: within(b"\x0a", within(b"\x12", within(b"\x12", b"\x6a\x00" * 4_900_000)))),
    "empty objects": ("json", lambda: b'{"resourceSpans":[' + b"{}," * 3_000_000 + b"{}]}"),
    "empty span objects": (
        "json",
        lambda: b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 900_000 + b"{}]}]}]}",
    ),
    "empty attribute objects": (
        "json",
        lambda: json_span(attributes="MANY").replace(b'"MANY"', b"[" + b"{}," * 900_000 + b"{}]"),
    ),
    "empty lists": (
        "json",
        lambda: json_span(attributes=[{"key": "a", "value": {"arrayValue": {"values": "MANY"}}}]).replace(
            b'"MANY"', b"[" + b"{}," * 390_000 + b"{}]"
        ),
    ),
    "long number": ("json", lambda: json_span(startTimeUnixNano="9" * 5_000_000)),
}


def within(tag: bytes, body: bytes) -> bytes:
    """The body as a field of a protobuf message."""
    length = bytearray()
    size = len(body)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return tag + bytes(length) + bytes([size]) + body


@pytest.mark.parametrize("name", ATTACKS)
def test_many_empty_things_cost_little_memory_and_time(name: str) -> None:
    encoding, make = ATTACKS[name]
    body = make()
    tracemalloc.start()
    began = time.process_time()
    with suppress(TooManyItems):
        spans, rejected = otlp.read_traces(body, encoding)
        assert len(spans) + len(rejected) == 1
    spent = time.process_time() - began
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 160 * 1024 * 1024
    assert spent < 6


# --- Any bytes at all

HOSTILE = ["__proto__", "constructor", "\u202e", "k" * 2_000, "gen_ai.usage.input_tokens", "gen_ai.input.messages"]


def bodies(dice: random.Random, encoding: Encoding) -> Iterator[bytes]:
    """Requests that were damaged, cut, spliced, or are strange to begin with."""
    strange = [None, -1, 2**63 - 1, 0.1, True, "", "NaN", "[1", '{"a":', [], {}, ["x", {"y": []}], "\0", "\U0001f44d"]
    while True:
        attributes = {dice.choice(HOSTILE + list(requests.CHAT)): dice.choice(strange) for _ in range(4)}
        request = traces(make_span(attributes, name=dice.choice(HOSTILE)), make_span())
        whole = bytearray(encoded(request, encoding))
        yield bytes(whole)
        for _ in range(24):
            damaged = bytearray(whole)
            for _ in range(dice.choice((1, 1, 2, 8))):
                damaged[dice.randrange(len(damaged))] = dice.choice((0, 255, dice.randrange(256)))
            yield bytes(damaged)
            yield bytes(damaged[: dice.randrange(len(damaged))])
            start, end = sorted(dice.randrange(len(whole)) for _ in range(2))
            yield bytes(whole[:start] + whole[end:])
            yield bytes(whole[:end] + whole[start:end] + whole[end:])
        yield dice.randbytes(dice.randrange(200))


def batch_of(body: bytes, encoding: Encoding) -> Batch:
    """The body as far as the database, without one."""
    now = datetime.now(UTC)
    batch = Batch(1, 1, "", now, 0, [], [], [], scores=[], logs=[])
    collector = Collector(batch, keep_since=now - timedelta(days=30))
    collector.spans(*otlp.read_traces(body, encoding))
    return batch


@both
def test_survives_ten_thousand_bodies_of_any_kind(encoding: Encoding, caplog: pytest.LogCaptureFixture) -> None:
    counts = {"read": 0, "refused": 0}
    for _, body in zip(range(10_000), bodies(random.Random(20261123), encoding), strict=False):
        try:
            batch = batch_of(body, encoding)
        except (Undecodable, TooManyItems):
            counts["refused"] += 1
        else:
            counts["read"] += 1
            assert batch.received == len(batch.spans) + len(batch.rejected) + len(batch.scores)
    assert counts["read"] > 1_000
    assert counts["refused"] > 1_000
    assert "a dialect failed" not in caplog.text


@settings(max_examples=200, deadline=None)
@given(trace_requests(), st.sampled_from(ENCODINGS))
def test_any_valid_request_ends_as_records_or_reasons(request: Any, encoding: Encoding) -> None:
    batch = batch_of(encoded(request, encoding), encoding)
    sent = sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
    assert len(batch.spans) + sum(item.list_name == "spans" for item in batch.rejected) == sent
    assert {item.code for item in batch.rejected} <= {"invalid_latency_ms", "invalid_started_at"}

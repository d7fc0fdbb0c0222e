"""The native body: what is kept, what is refused, and that one item never spoils another."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry import wire
from apps.telemetry.types import Rejection, SpanRecord

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "name": "answer",
    "kind": "llm",
    "started_at": "2026-11-23T11:00:00.500Z",
}


def read(body: bytes) -> tuple[list[SpanRecord], list[Rejection]]:
    items = wire.read_body(body, max_items=5_000)
    spans, positions, rejected = wire.read_spans(
        items.spans, project_id=1, received_at=NOW, keep_since=NOW - timedelta(days=400)
    )
    assert len(spans) == len(positions)
    assert len(spans) + len(rejected) == len(items.spans)
    return spans, rejected


def read_one(**changes: Any) -> SpanRecord:
    spans, rejected = read(json.dumps({"spans": [GOOD | changes]}).encode())
    assert rejected == []
    return spans[0]


def refusal(**changes: Any) -> Rejection:
    neighbour = GOOD | {"span_id": "00f067aa0ba902b8"}
    spans, rejected = read(json.dumps({"spans": [GOOD | changes, neighbour]}).encode())
    assert [span.span_id.hex() for span in spans] == ["00f067aa0ba902b8"], "the neighbour must be kept"
    assert [item.index for item in rejected] == [0]
    return rejected[0]


def test_keeps_every_field_of_the_public_shape() -> None:
    span = read_one(
        parent_span_id="00f067aa0ba902b1",
        latency_ms=1234.4,
        status="error",
        error_type="timeout",
        error_message="no answer",
        environment="staging",
        feature="support-answers",
        service="desk",
        user_id="u_1",
        session_id="s_1",
        provider="openai",
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        ttft_ms=300,
        finish_reason="stop",
        streamed=True,
        input_tokens=800,
        output_tokens=90,
        cached_input_tokens=100,
        cache_write_tokens=5,
        reasoning_tokens=40,
        cost_usd="0.00042",
        prompt_name="answer",
        prompt_version="1.2.0",
        input=[{"role": "user", "content": "hello"}],
        output="hi",
        tool_name="lookup",
        documents=[{"id": "d1", "score": 0.5, "used": True}],
        agent_name="desk",
        tags=["b", "a", "a"],
        attributes={"region": "eu", "deep": {"x": [1, 2]}},
    )
    assert span.parent_span_id == bytes.fromhex("00f067aa0ba902b1")
    assert (span.latency_ms, span.ttft_ms) == (1234, 300)
    assert span.ended_at == datetime(2026, 11, 23, 11, 0, 1, 734000, tzinfo=UTC)
    assert (span.status, span.error_type, span.error_message) == ("error", "timeout", "no answer")
    assert (span.model, span.request_model) == ("gpt-4o-2024-08-06", "gpt-4o")
    assert (span.input_tokens, span.cached_input_tokens, span.reasoning_tokens) == (800, 100, 40)
    assert span.client_cost_usd == Decimal("0.00042")
    assert span.tags == ["a", "b"]
    assert span.payload is not None
    assert json.loads(span.payload.input or "") == [{"role": "user", "content": "hello"}]
    assert (span.payload.input_is_json, span.payload.output_is_json) == (True, False)
    assert json.loads(span.payload.documents or "") == [{"id": "d1", "score": 0.5, "used": True}]
    assert json.loads(span.payload.attributes or "") == {"region": "eu", "deep": {"x": [1, 2]}}
    assert (span.flags, span.counted) == ([], True)


def test_leaves_unknown_numbers_unknown() -> None:
    span = read_one()
    assert (span.input_tokens, span.latency_ms, span.client_cost_usd, span.payload) == (None, None, None, None)


def test_keeps_fields_it_does_not_know_among_the_attributes() -> None:
    span = read_one(feture="typo", attributes={"a": 1})
    assert span.payload is not None
    assert json.loads(span.payload.attributes or "") == {"a": 1, "feture": "typo"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"trace_id": "0" * 32}, "invalid_trace_id"),
        ({"trace_id": "xyz"}, "invalid_trace_id"),
        ({"span_id": "00f067aa0ba902"}, "invalid_span_id"),
        ({"parent_span_id": "nothex"}, "invalid_parent_span_id"),
        ({"kind": "magic"}, "invalid_kind"),
        ({"status": "fine"}, "invalid_status"),
        ({"started_at": "yesterday"}, "invalid_started_at"),
        ({"started_at": "2026-11-23T10:00:00"}, "invalid_started_at"),
        ({"started_at": "9999-12-31T23:59:59-12:00"}, "invalid_started_at"),
        ({"input_tokens": -1}, "invalid_input_tokens"),
        ({"input_tokens": 2**70}, "invalid_input_tokens"),
        ({"input_tokens": "many"}, "invalid_input_tokens"),
        ({"output_tokens": 1.5}, "invalid_output_tokens"),
        ({"latency_ms": -5}, "invalid_latency_ms"),
        ({"cost_usd": -1}, "invalid_cost_usd"),
        ({"cost_usd": "NaN"}, "invalid_cost_usd"),
        ({"cost_usd": "Infinity"}, "invalid_cost_usd"),
        ({"attributes": [1]}, "invalid_attributes"),
        ({"name": None}, "invalid_name"),
    ],
)
def test_refuses_one_item_with_a_code_and_keeps_its_neighbour(changes: dict[str, Any], code: str) -> None:
    assert refusal(**changes).code == code


def test_names_the_field_that_is_missing() -> None:
    spans, rejected = read(json.dumps({"spans": [{key: GOOD[key] for key in GOOD if key != "name"}]}).encode())
    assert (spans, rejected[0].code) == ([], "missing_name")


def test_refuses_a_number_out_of_range_and_keeps_its_neighbour() -> None:
    body = b'{"spans":[{"input_tokens":1e999},' + json.dumps(GOOD).encode() + b"]}"
    spans, rejected = read(body)
    assert (len(spans), rejected[0].code) == (1, "number_out_of_range")


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800x", "x\udc00"])
@pytest.mark.parametrize("field", ["name", "user_id", "input", "error_message"])
def test_replaces_text_the_database_cannot_hold_and_flags_it(bad: str, field: str) -> None:
    span = read_one(**{field: bad})
    text = span.payload.input if field == "input" and span.payload else getattr(span, field)
    assert "\ufffd" in text
    assert "\x00" not in text
    assert span.flags == ["environment_assumed", "text_replaced"] or "text_replaced" in span.flags
    text.encode()


def test_keeps_whole_characters_outside_the_basic_plane() -> None:
    assert read_one(name="\U0001f600").name == "\U0001f600"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_makes_not_a_number_unknown_and_flags_it(number: float) -> None:
    span = read_one(attributes={"loss": number}, input_tokens=None)
    assert span.payload is not None
    assert json.loads(span.payload.attributes or "") == {"loss": None}
    assert "number_replaced" in span.flags


def test_keeps_attribute_names_as_data() -> None:
    names = {"__proto__": 1, "constructor": 2, "": 3, "a.b": 4, "\u202e": 5}
    span = read_one(attributes=names)
    assert span.payload is not None
    assert json.loads(span.payload.attributes or "") == names


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": {"big": "x" * 5_000_000}},
        {"attributes": {str(number): number for number in range(10_000)}},
        {"attributes": {"list": ["x" * 100] * 10_000}},
        {"error_message": "x" * 100_000},
        {"feature": "f" * 1_000},
        {"output": "x" * 2_000_000},
    ],
)
def test_cuts_what_is_too_long_and_flags_it(changes: dict[str, Any]) -> None:
    span = read_one(**changes)
    assert "truncated" in span.flags
    assert span.payload is None or len(span.payload.attributes or "") < 300 * 65_536


@pytest.mark.parametrize("started_at", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2026-11-23T12:15:01Z"])
def test_keeps_a_span_with_an_impossible_clock_under_the_time_received(started_at: str) -> None:
    span = read_one(started_at=started_at)
    assert (span.started_at, "clock" in span.flags) == (NOW, True)
    assert span.client_started_at == datetime.fromisoformat(started_at)


@pytest.mark.parametrize("started_at", ["2025-10-20T12:00:00Z", "2026-11-23T12:14:59Z"])
def test_believes_a_clock_within_retention_and_fifteen_minutes_ahead(started_at: str) -> None:
    span = read_one(started_at=started_at)
    assert (span.started_at, span.flags) == (datetime.fromisoformat(started_at), ["environment_assumed"])


def test_keeps_an_end_before_the_start_without_a_length() -> None:
    span = read_one(ended_at="2026-11-23T10:00:00Z")
    assert (span.latency_ms, "negative_duration" in span.flags) == (None, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"5",
        b'{"spans": 5}',
        b'{"spans": {"a": 1}}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"spans":[NaN',
    ],
)
def test_refuses_a_body_that_cannot_be_read_as_a_whole(body: bytes) -> None:
    with pytest.raises(wire.MalformedBody):
        wire.read_body(body, max_items=5_000)


def test_refuses_deep_nesting_in_one_item_alone() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    assert refusal(attributes=deep).code == "too_deep"


def test_refuses_more_items_than_allowed() -> None:
    with pytest.raises(wire.TooManyItems):
        wire.read_body(b'{"spans":[' + b",".join([b"{}"] * 5_001) + b"]}", max_items=5_000)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    for body in (noise, b'{"spans":[' + noise + b"]}", b'{"spans":[{"name":"' + noise + b'"}]}'):
        try:
            read(body)
        except wire.MalformedBody:
            continue


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(wire.KNOWN_FIELDS)), JSON_VALUES, max_size=8))
def test_any_values_in_any_field_are_kept_or_refused_by_item(changes: dict[str, Any]) -> None:
    spans, rejected = read(json.dumps({"spans": [GOOD | changes]}).encode())
    assert len(spans) + len(rejected) == 1
    for span in spans:
        assert span.payload is None or "\x00" not in (span.payload.input or "")

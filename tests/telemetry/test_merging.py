"""Reports of one span become the same record in any order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry import merging
from apps.telemetry.types import Payload, SpanRecord

START = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def report(**changes: Any) -> SpanRecord:
    values: dict[str, Any] = {
        "project_id": 1,
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "client_started_at": START,
        "started_at": START,
        "received_at": START + timedelta(minutes=1),
        "kind": "llm",
        "name": "answer",
        "status": "ok",
        "counted": True,
        "digest": b"1" * 16,
    }
    return SpanRecord(**values | changes)


def test_a_value_beats_none_and_later_reports_complete_a_span() -> None:
    opened = report(request_model="gpt-4o", input_tokens=10, payload=Payload(input="hello"))
    closed = report(output_tokens=5, latency_ms=900, payload=Payload(output="hi", attributes='{"a":1}'))
    merged = merging.merge(opened, closed)
    assert (merged.input_tokens, merged.output_tokens, merged.latency_ms) == (10, 5, 900)
    assert merged.model == "gpt-4o"
    assert merged.payload == Payload(input="hello", output="hi", attributes='{"a":1}')


def test_an_error_stands() -> None:
    assert merging.merge(report(status="error"), report(status="ok")).status == "error"


def test_a_named_environment_beats_an_assumed_one() -> None:
    assumed = report(environment="production", flags=["environment_assumed"])
    named = report(environment="development")
    for pair in ((assumed, named), (named, assumed)):
        merged = merging.merge(*pair)
        assert (merged.environment, merged.flags) == ("development", [])


def test_attributes_of_both_are_kept() -> None:
    one, two = report(payload=Payload(attributes='{"a":1,"b":2}')), report(payload=Payload(attributes='{"b":22,"c":3}'))
    merged = merging.merge(one, two)
    assert merged.payload is not None
    assert merged.payload.attributes == '{"a":1,"b":22,"c":3}'


TEXTS = st.sampled_from(["", "a", "b", "gpt-4o", "gpt-4o-mini"])
NUMBERS = st.none() | st.integers(0, 5)
ATTRIBUTES = st.none() | st.sampled_from(['{"a":1}', '{"a":2,"b":1}', '{"c":[1,2]}'])
PAYLOADS = st.none() | st.builds(Payload, input=st.none() | TEXTS, output=st.none() | TEXTS, attributes=ATTRIBUTES)
REPORTS = st.builds(
    report,
    kind=st.sampled_from(["llm", "chain", "tool"]),
    counted=st.booleans(),
    status=st.sampled_from(["ok", "error"]),
    digest=st.binary(min_size=2, max_size=2),
    input_tokens=NUMBERS,
    latency_ms=NUMBERS,
    streamed=st.none() | st.booleans(),
    request_model=TEXTS,
    response_model=TEXTS,
    feature=TEXTS,
    environment=st.sampled_from(["production", "staging", "development"]),
    flags=st.sampled_from([[], ["environment_assumed"], ["clock"]]),
    tags=st.sampled_from([[], ["a"], ["b", "c"]]),
    payload=PAYLOADS,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(REPORTS, min_size=2, max_size=4))
def test_the_order_and_repetition_of_reports_do_not_matter(reports: list[SpanRecord]) -> None:
    results = []
    for order in itertools.permutations(reports):
        merged = order[0]
        for other in (*order[1:], *order):
            merged = merging.merge(merged, other)
        results.append(merged)
    assert all(result == results[0] for result in results)

"""What the Opik SDK writes: every span when it begins and again when it has ended, and traces apart from them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry import merging, wire
from apps.telemetry.dialects import opik_native
from apps.telemetry.reading import Reading
from apps.telemetry.wire import Refused

RECEIVED = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
TRACE = {
    "id": "01a208df-ce7e-7bb2-b6d1-07a03b6cac6c",
    "project_name": "shop",
    "name": "plain",
    "start_time": "2026-11-23T14:46:54.846464Z",
    "end_time": "2026-11-23T14:46:54.920696Z",
    "input": {},
    "metadata": {"user_id": "user-42", "feature": "support-bot"},
    "tags": ["beta"],
    "thread_id": "sess-7",
}
BEGUN = {
    "id": "01a208df-ce95-71ee-a230-9987973633a3",
    "trace_id": TRACE["id"],
    "parent_span_id": "01a208df-ce7f-7191-99d9-1c027edc168f",
    "name": "chat_completion_create",
    "type": "general",
    "start_time": "2026-11-23T14:46:54.870022Z",
    "input": {"messages": [{"role": "user", "content": "hi"}]},
    "tags": ["openai"],
}
ENDED = {
    **BEGUN,
    "type": "llm",
    "end_time": "2026-11-23T14:46:54.920200Z",
    "output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}]},
    "model": "gpt-5-mini-2025-08-07",
    "provider": "127.0.0.1",
    "metadata": {"id": "chatcmpl-1", "stream": True, "usage": {"prompt_tokens": 1}},
    "usage": {
        "prompt_tokens": 173,
        "original_usage.prompt_tokens": 173,
        "original_usage.completion_tokens": 211,
        "original_usage.prompt_tokens_details.cached_tokens": 64,
        "original_usage.completion_tokens_details.reasoning_tokens": 192,
    },
    "total_estimated_cost": 0.00045,
}


def read_all(**lists: Any) -> list[Reading]:
    found = opik_native.read_body(lists)
    assert all(isinstance(one, Reading) for one in found), found
    return [one for one in found if isinstance(one, Reading)]


def test_reads_a_call() -> None:
    found = read_all(spans=[ENDED])[0]
    assert (found.kind, found.status, found.scope, found.streamed) == ("llm", "ok", "opik", True)
    assert (found.input_tokens, found.output_tokens) == (173, 211)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (64, 192)
    assert (found.response_model, found.request_model, found.provider) == ("gpt-5-mini-2025-08-07", None, None)
    assert (found.response_id, found.finish_reason, found.cost_usd) == ("chatcmpl-1", "stop", Decimal("0.00045"))
    assert found.input == [{"role": "user", "content": "hi"}]
    assert found.output == [{"role": "assistant", "content": "Paris"}]
    assert found.tags is None


def test_a_call_that_is_written_twice_is_one_span_in_any_order() -> None:
    records = [
        wire.record_of(one, project_id=1, received_at=RECEIVED, keep_since=datetime(2026, 1, 1, tzinfo=UTC))
        for one in read_all(spans=[BEGUN, ENDED])
    ]
    assert records[0].key == records[1].key
    for merged in (merging.merge(*records), merging.merge(*reversed(records))):
        assert (merged.kind, merged.counted, merged.input_tokens) == ("llm", True, 173)


def test_a_trace_is_the_span_around_its_outermost_spans() -> None:
    trace, outer = read_all(traces=[TRACE], spans=[BEGUN | {"parent_span_id": None}])
    assert (trace.kind, trace.parent_span_id) == ("chain", None)
    assert outer.parent_span_id == trace.span_id
    assert outer.trace_id == trace.trace_id
    assert (trace.user_id, trace.session_id, trace.feature) == ("user-42", "sess-7", "support-bot")
    assert (trace.service, trace.tags) == ("shop", ["beta"])


def test_a_call_that_failed_names_the_model_that_was_asked() -> None:
    error = {"exception_type": "RateLimitError", "message": "slow down", "traceback": "Traceback"}
    found = read_all(spans=[ENDED | {"error_info": error, "usage": None, "output": None, "metadata": {}}])[0]
    assert (found.status, found.error_type, found.error_message) == ("error", "RateLimitError", "slow down")
    assert (found.request_model, found.response_model, found.input_tokens) == ("gpt-5-mini-2025-08-07", None, None)


def test_a_tool_has_its_name_and_result() -> None:
    tool = BEGUN | {"type": "tool", "name": "get_weather", "input": {"city": "Paris"}, "output": {"output": 18}}
    found = read_all(spans=[tool])[0]
    assert (found.kind, found.tool_name, found.input, found.output) == ("tool", "get_weather", {"city": "Paris"}, 18)


def test_a_provider_that_is_a_vendor_is_named() -> None:
    assert read_all(spans=[ENDED | {"provider": "openai"}])[0].provider == "openai"


def test_an_item_that_cannot_be_read_spoils_no_other() -> None:
    found = opik_native.read_body({"spans": [ENDED, 1, ENDED | {"id": None}, ENDED | {"start_time": "soon"}, ENDED]})
    assert [one.code if isinstance(one, Refused) else "ok" for one in found] == [
        "ok",
        "not_an_object",
        "missing_id",
        "invalid_start_time",
        "ok",
    ]
    assert [type(one) for one in opik_native.read_body([])] == [Refused]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["original_usage.a.b", "original_usage.a", "message", "choices"]), inner)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("name", ["spans", "traces"])
@settings(max_examples=100, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(list(ENDED)), ANYTHING))
def test_whatever_an_item_says_something_comes_of_it(name: str, changes: dict[str, Any]) -> None:
    found = opik_native.read_body({name: [ENDED | changes]})
    assert [isinstance(one, Reading | Refused) for one in found] == [True]

"""Calls through LiteLLM: its OpenTelemetry spans of both versions, and its generic callback."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry.dialects import litellm_callback, read
from apps.telemetry.reading import Reading
from apps.telemetry.wire import Refused
from tests.telemetry.otlp_spans import make_otlp_span

USAGE = "{'completion_tokens': 211, 'prompt_tokens': 173, 'prompt_tokens_details': {'cached_tokens': 64}, \
'completion_tokens_details': {'reasoning_tokens': 192, 'audio_tokens': None}}"
REQUESTER = "{'session_id': 'sess-7', 'prompt_name': 'support-answer', 'prompt_version': '3', 'feature': 'bot', \
'headers': {'host': 'x'}, 'used_client_oauth_token': False}"
V1 = {
    "gen_ai.operation.name": "acompletion",
    "llm.request.type": "acompletion",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.usage.input_tokens": 173,
    "gen_ai.usage.output_tokens": 211,
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.cost.total_cost": 0.00045,
    "llm.is_streaming": "True",
    "llm.user": "user-42",
    "litellm.call_id": "12b6f2ce-03a9-457f-ac05-4b18aaa08624",
    "metadata.usage_object": USAGE,
    "metadata.requester_metadata": REQUESTER,
    "metadata.user_api_key_alias": "",
}
CALL: dict[str, Any] = {
    "id": "chatcmpl-1",
    "litellm_call_id": "12b6f2ce-03a9-457f-ac05-4b18aaa08624",
    "trace_id": "sess-7",
    "session_id": "",
    "call_type": "acompletion",
    "stream": True,
    "status": "success",
    "custom_llm_provider": "openai",
    "startTime": 1_795_422_888.25,
    "endTime": 1_795_422_888.75,
    "completionStartTime": 1_795_422_888.5,
    "model": "openai/gpt-4o-mini",
    "model_group": "",
    "response_cost": 3.51e-05,
    "request_tags": ["beta", "User-Agent: OpenAI"],
    "end_user": None,
    "model_parameters": {"user": "user-42"},
    "messages": [{"role": "user", "content": "hi"}],
    "response": {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "one"}}],
        "usage": {"prompt_tokens": 158, "completion_tokens": 27, "prompt_tokens_details": {"cached_tokens": 64}},
    },
    "model_map_information": {"model_map_value": {"input_cost_per_token": 1.5e-07}},
}


def called(**changes: Any) -> Reading:
    found = litellm_callback.read_body([CALL | changes])[0]
    assert isinstance(found, Reading)
    return found


def test_reads_a_call_of_version_1() -> None:
    found = read(make_otlp_span(V1, scope="litellm"))
    assert (found.kind, found.streamed, found.finish_reason) == ("llm", True, "stop")
    assert (found.cached_input_tokens, found.reasoning_tokens) == (64, 192)
    assert found.cost_usd == Decimal("0.00045")
    assert (found.user_id, found.session_id, found.feature) == ("user-42", "sess-7", "bot")
    assert (found.prompt_name, found.prompt_version) == ("support-answer", "3")
    assert found.call_id == "12b6f2ce-03a9-457f-ac05-4b18aaa08624"
    assert "metadata.user_api_key_alias" not in found.attributes


@pytest.mark.parametrize(
    ("said", "kind"),
    [("aresponses", "llm"), ("aembedding", "embedding"), ("arerank", "reranker"), ("_health", "chain")],
)
def test_knows_the_kind_of_a_call(said: str, kind: str) -> None:
    assert read(make_otlp_span({"llm.request.type": said, "litellm.call_id": "x"})).kind == kind
    assert called(call_type=said).kind == kind


def test_zeros_of_a_stream_that_nobody_counted_are_unknown() -> None:
    zeros = V1 | {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0, "gen_ai.cost.total_cost": 0.0}
    zeros["metadata.usage_object"] = USAGE.replace("211", "0").replace("173", "0")
    found = read(make_otlp_span(zeros, scope="litellm"))
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (None, None, None)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (None, None)


def test_the_raw_request_is_no_call_and_keeps_its_content() -> None:
    raw = {
        "llm.openai.messages": "[{'role': 'user', 'content': 'hi'}]",
        "llm.openai.choices": "[{'message': {'role': 'assistant', 'content': None}, 'finish_reason': 'stop'}]",
        "llm.openai.usage": USAGE,
    }
    found = read(make_otlp_span(raw, name="raw_gen_ai_request", scope="litellm"))
    assert (found.kind, found.input_tokens, found.cached_input_tokens) == ("chain", None, None)
    assert found.input == [{"role": "user", "content": "hi"}]
    assert found.output == [{"role": "assistant", "content": None}]


def test_the_prefix_of_a_model_is_its_provider() -> None:
    found = read(make_otlp_span({"llm.request.type": "aresponses", "litellm.provider.model": "openai/gpt-4o-mini"},
                                scope="litellm"))  # fmt: skip
    assert (found.provider, found.request_model) == ("openai", "gpt-4o-mini")


def test_reads_a_call_of_version_2() -> None:
    said = {
        "gen_ai.operation.name": "chat",
        "litellm.call_id": "x",
        "litellm.cost.total": 3.255e-05,
        "litellm.request.streaming": True,
        "gen_ai.conversation.id": "sess-7",
        "gen_ai.usage.input_tokens": 173,
    }
    found = read(make_otlp_span(said, scope="litellm"))
    assert (found.cost_usd, found.streamed, found.session_id) == (Decimal("0.00003255"), True, "sess-7")


def test_reads_a_call_of_the_callback() -> None:
    found = called()
    assert (found.kind, found.status, found.scope) == ("llm", "ok", "litellm-callback")
    assert found.started_at == datetime.fromtimestamp(1_795_422_888.25, UTC)
    assert (found.ttft_ms, found.streamed) == (250.0, True)
    assert (found.input_tokens, found.output_tokens, found.cached_input_tokens) == (158, 27, 64)
    assert (found.provider, found.request_model, found.response_model) == ("openai", "gpt-4o-mini", "gpt-4o-mini")
    assert (found.user_id, found.session_id, found.tags) == ("user-42", "sess-7", ["beta"])
    assert (found.response_id, found.call_id) == ("chatcmpl-1", CALL["litellm_call_id"])
    assert found.output == [{"role": "assistant", "content": "one"}]
    assert "input_cost_per_token" not in str(found.attributes)


def test_calls_of_one_session_are_traces_of_their_own() -> None:
    first, second = called(), called(litellm_call_id="22b6f2ce-03a9-457f-ac05-4b18aaa08624")
    assert first.trace_id.hex() == "12b6f2ce03a9457fac054b18aaa08624"
    assert first.trace_id != second.trace_id
    assert first.span_id != second.span_id


def test_the_proxy_says_the_trace_of_its_caller() -> None:
    said = {"trace_id": "a26fa9f868a8cae4c5c16f643db01124", "session_id": "sess-7", "prompt_name": "support-answer"}
    found = called(metadata={"requester_metadata": said, "user_api_key_end_user_id": "user-9"}, trace_id="sess-7")
    assert found.trace_id.hex() == said["trace_id"]
    assert (found.session_id, found.user_id, found.prompt_name) == ("sess-7", "user-9", "support-answer")


def test_a_failed_call_has_no_usage_and_no_answer() -> None:
    found = called(
        status="failure",
        id=CALL["litellm_call_id"],
        stream=None,
        response={},
        prompt_tokens=0,
        completion_tokens=0,
        response_cost=0.0,
        error_str="litellm.RateLimitError: slow down",
        error_information={"error_class": "RateLimitError", "error_code": "429", "error_message": "slow down"},
    )
    assert (found.status, found.error_type, found.error_message) == ("error", "RateLimitError", "slow down")
    assert (found.input_tokens, found.cost_usd, found.response_id) == (None, None, None)
    assert (found.ttft_ms, found.streamed, found.output) == (None, False, None)
    assert found.attributes["error_code"] == "429"


def test_an_item_that_cannot_be_read_spoils_no_other() -> None:
    found = litellm_callback.read_body([CALL, "x", {"id": None}, CALL | {"startTime": "soon"}, CALL])
    assert [one.code if isinstance(one, Refused) else "ok" for one in found] == [
        "ok",
        "not_an_object",
        "missing_litellm_call_id",
        "invalid_startTime",
        "ok",
    ]
    assert len(litellm_callback.read_body(CALL)) == 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["usage", "id", "a"]), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*CALL, "metadata", "error_information"]), ANYTHING), ANYTHING)
def test_whatever_a_call_says_something_comes_of_it(changes: dict[str, Any], other: Any) -> None:
    found = litellm_callback.read_body([CALL | changes, other])
    assert len(found) == 2
    assert all(isinstance(one, Reading | Refused) for one in found)

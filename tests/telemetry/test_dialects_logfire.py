"""Spans of Logfire, pydantic-ai and OpenLIT, where they say more than OpenTelemetry's conventions or say it twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.telemetry.dialects import read
from apps.telemetry.reading import Reading
from tests.telemetry.otlp_spans import START, make_otlp_span

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini",
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
    "logfire.tags": ["LLM"],
}
ANSWER = '[{"role": "assistant", "parts": [{"type": "text", "content": "one"}]}]'


def read_logfire(said: str, attributes: dict[str, Any], **changes: Any) -> Reading:
    return read(make_otlp_span({"logfire.span_type": said, **attributes}, **{"scope": "logfire.openai", **changes}))


def test_of_the_two_spans_of_a_stream_the_one_with_the_answer_is_the_call() -> None:
    request = read_logfire("span", CHAT)
    assert (request.kind, request.repeats, request.streamed) == ("llm", True, True)
    usage = {
        "gen_ai.output.messages": ANSWER,
        "gen_ai.usage.input_tokens": 158,
        "gen_ai.usage.output_tokens": 27,
        "gen_ai.usage.raw": json.dumps({"prompt_tokens": 158, "prompt_tokens_details": {"cached_tokens": 64}}),
        "operation.cost": 3.51e-05,
        "duration": 0.084,
    }
    answer = read_logfire("log", {**CHAT, **usage}, end_ns=START)
    assert (answer.kind, answer.repeats, answer.streamed) == ("llm", False, True)
    assert (answer.input_tokens, answer.output_tokens, answer.cached_input_tokens) == (158, 27, 64)
    assert (answer.latency_ms, answer.cost_usd) == (pytest.approx(84), Decimal("0.0000351"))
    assert answer.tags is None


def test_a_stream_without_usage_is_one_call_as_well() -> None:
    assert read_logfire("span", CHAT).repeats
    assert not read_logfire("log", {**CHAT, "gen_ai.output.messages": ANSWER, "duration": 0.1}).repeats


def test_a_request_that_failed_is_a_call() -> None:
    found = read_logfire("span", CHAT, status_code=2, status_message="RateLimitError: slow down")
    assert (found.repeats, found.status, found.error_type) == (False, "error", "RateLimitError")


def test_an_answer_that_was_not_streamed_is_a_call() -> None:
    found = read_logfire("span", {**CHAT, "gen_ai.output.messages": ANSWER, "logfire.msg": "Chat with 'gpt-4o-mini'"})
    assert (found.repeats, found.name) == (False, "Chat with 'gpt-4o-mini'")


def test_a_span_sent_ahead_is_no_call() -> None:
    assert read_logfire("pending_span", CHAT).kind == "chain"


def test_older_versions_send_whole_requests_and_answers() -> None:
    said = {
        "gen_ai.request.model": "gpt-4o-mini",
        "request_data": '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2}',
        "response_data": '{"message": {"role": "assistant", "content": "one"}, "usage": {"prompt_tokens": 173, '
        '"completion_tokens": 19}}',
    }
    found = read_logfire("span", said)
    assert (found.kind, found.repeats) == ("llm", False)
    assert (found.input_tokens, found.output_tokens) == (173, 19)
    assert found.input == [{"role": "user", "content": "hi"}]
    assert found.output == [{"role": "assistant", "content": "one"}]


def test_older_versions_send_messages_as_events_in_one_list() -> None:
    events = [
        {"event.name": "gen_ai.user.message", "content": "hi", "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "one"}},
    ]
    found = read_logfire("span", {"gen_ai.request.model": "gpt-4o-mini", "events": json.dumps(events)})
    assert found.input == [{"content": "hi", "role": "user"}]
    assert found.output == [{"role": "assistant", "content": "one"}]


def test_an_agent_of_pydantic_ai_has_no_usage_of_its_own() -> None:
    said = {"gen_ai.operation.name": "invoke_agent", "agent_name": "support", "gen_ai.aggregated_usage.input_tokens": 9,
            "final_result": "Paris", "pydantic_ai.all_messages": "[]"}  # fmt: skip
    found = read_logfire("span", said, scope="pydantic-ai")
    assert (found.kind, found.agent_name, found.input_tokens, found.output) == ("agent", "support", None, "Paris")


def test_a_conversation_that_pydantic_ai_made_up_is_no_session() -> None:
    made_up = {"gen_ai.conversation.id": "01a208bb-ca99-764c-b9b0-bbd8d3e71518"}
    assert read_logfire("span", {**CHAT, **made_up}, scope="pydantic-ai").session_id is None
    given = {"gen_ai.conversation.id": "sess-7"}
    assert read_logfire("span", {**CHAT, **given}, scope="pydantic-ai").session_id == "sess-7"


def test_older_pydantic_ai_says_no_operation() -> None:
    tool = {"gen_ai.tool.name": "get_weather", "tool_arguments": '{"city": "Paris"}', "tool_response": "18"}
    found = read_logfire("span", tool, scope="pydantic-ai")
    assert (found.kind, found.tool_name, found.input, found.output) == ("tool", "get_weather", {"city": "Paris"}, "18")
    assert read_logfire("span", {"agent_name": "support"}, scope="pydantic-ai").kind == "agent"


def test_openlit_says_a_first_token_of_every_call() -> None:
    said = {**CHAT, "gen_ai.server.time_to_first_token": 0.25, "gen_ai.usage.cost": 0.001}
    plain = read(make_otlp_span({**said, "gen_ai.request.is_stream": False}))
    assert (plain.ttft_ms, plain.streamed, plain.cost_usd) == (None, False, Decimal("0.001"))
    assert read(make_otlp_span({**said, "gen_ai.request.is_stream": True})).ttft_ms == 250.0


def test_a_stream_without_an_end_broke_off() -> None:
    broken = read_logfire("log", {**CHAT, "gen_ai.output.messages": ANSWER, "duration": 0.1})
    assert (broken.status, broken.finish_reason) == ("error", "error")
    ended = ANSWER.replace("}]}]", '}], "finish_reason": "stop"}]')
    found = read_logfire("log", {**CHAT, "gen_ai.output.messages": ended, "duration": 0.1})
    assert (found.status, found.finish_reason) == ("ok", "stop")
    counted = {"gen_ai.output.messages": ANSWER, "gen_ai.usage.input_tokens": 158}
    assert read_logfire("log", {**CHAT, **counted, "duration": 0.1}).status == "ok"

"""Calls of Anthropic: what a request in OpenAI's shape becomes, and what is made of the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from apps.providers import client
from apps.providers.call_errors import ProviderCannot, ProviderRefused
from apps.providers.calls import ModelReply, ModelRequest, Protocol, ToolCall
from apps.providers.pricing import Usage
from tests.fakes.provider import KEY, FakeProvider, Fault, Script
from tests.fakes.wording import Answer
from tests.providers.test_client_openai import ASK, TEXT, TOOLS, streamed

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "How it is.", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture
def target(provider: FakeProvider) -> Any:
    """The fake provider as Anthropic."""
    return provider.target(Protocol.ANTHROPIC)


def sent(provider: FakeProvider, request: ModelRequest) -> dict[str, Any]:
    """The body that this request becomes."""
    client.complete_now(provider.target(Protocol.ANTHROPIC), request)
    body = provider.calls[-1].body
    assert isinstance(body, dict)
    return body


def test_answers(provider: FakeProvider, target: Any) -> None:
    reply = client.complete_now(target, ASK)
    assert replace(reply, total_ms=0) == ModelReply(
        text=TEXT,
        tool_calls=(),
        finish_reason="stop",
        is_complete=True,
        model="fake-1-20260101",
        response_id="msg_fake",
        usage=Usage(24, 9, 8, 4, 1),
        ttft_ms=None,
        total_ms=0,
        attempts=1,
    )
    (call,) = provider.calls
    assert (call.path, call.headers["x-api-key"]) == ("/v1/messages", KEY)
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in call.headers


def test_streams_the_same_answer(provider: FakeProvider, target: Any) -> None:
    deltas, reply = streamed(target, ASK)
    assert "".join(delta.text for delta in deltas) == TEXT
    whole = client.complete_now(target, ASK)
    assert replace(reply, ttft_ms=None, total_ms=0) == replace(whole, total_ms=0)


def test_takes_an_address_with_its_version(provider: FakeProvider, target: Any) -> None:
    client.complete_now(replace(target, base_url=f"{provider.root}/v1/"), ASK)
    assert provider.calls[0].path == "/v1/messages"


def test_puts_the_system_apart_and_joins_the_turns(provider: FakeProvider) -> None:
    request = ModelRequest(
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Weather in Paris and Rome?"},
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
                    {"id": "b", "type": "function", "function": {"name": "weather", "arguments": '{"city": '}},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "Sun"},
            {"role": "tool", "tool_call_id": "b", "content": "Rain"},
            {"role": "user", "content": "Well?"},
        ),
        tools=(WEATHER,),
    )
    body = sent(provider, request)
    assert body["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {"arguments": '{"city": '}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "Sun"}]},
        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "Rain"}]},
        {"type": "text", "text": "Well?"},
    ]
    assert body["tools"] == [
        {"name": "weather", "description": "How it is.", "input_schema": {"type": "object", "properties": {}}}
    ]
    assert body["max_tokens"] == 4096


def test_sends_images(provider: FakeProvider) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    body = sent(provider, ModelRequest(messages=({"role": "user", "content": parts},)))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 8}, {"max_tokens": 8}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"temperature": 0, "top_k": 5}, {"temperature": 0, "top_k": 5}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"tool_choice": {"type": "tool", "name": "weather"}},
        ),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        ({"unheard_of": 1}, {"unheard_of": 1}),
    ],
)
def test_words_parameters_as_anthropic_does(
    parameters: dict[str, Any], expected: dict[str, Any], provider: FakeProvider
) -> None:
    body = sent(provider, replace(ASK, parameters=parameters, tools=(WEATHER,), user="u-1"))
    assert {name: body[name] for name in expected} == expected
    assert not set(body) - {*expected, "model", "messages", "max_tokens", "tools", "metadata"}
    assert body["metadata"] == {"user_id": "u-1"}


def test_reads_tool_calls(provider: FakeProvider, target: Any) -> None:
    provider.answer = Answer(pieces=("Let me look. ",), tools=TOOLS)
    whole = client.complete_now(target, ASK)
    deltas, reply = streamed(target, ASK)
    assert whole.finish_reason == reply.finish_reason == "tool_calls"
    assert whole.tool_calls == (
        ToolCall("call_1", "weather", '{"city": "Paris", "days": 3}'),
        ToolCall("call_2", "weather", '{"city": "Z\\u00fcrich"}'),
    )
    assert reply.tool_calls == tuple(ToolCall(*tool) for tool in TOOLS)
    assert [delta.text for delta in deltas if delta.tool_call is None] == ["Let me look. "]


def test_makes_the_model_meet_a_schema(provider: FakeProvider, target: Any) -> None:
    """By a tool it must call, whose input is the answer: text, and no tool call, for whoever asked."""
    provider.answer = Answer(pieces=(), tools=(("toolu_1", "answer", '{"city": "Paris"}'),))
    whole = client.complete_now(target, replace(ASK, response_schema=SCHEMA))
    body = provider.calls[0].body
    assert body["tools"] == [{"name": "answer", "description": "Give your answer.", "input_schema": SCHEMA}]
    assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    deltas, reply = streamed(target, replace(ASK, response_schema=SCHEMA))
    assert len(deltas) > 1
    for found in (whole, reply):
        assert (found.text, found.tool_calls, found.finish_reason) == ('{"city": "Paris"}', (), "stop")


def test_lets_the_model_choose_between_tools_and_the_answer(provider: FakeProvider) -> None:
    body = sent(provider, replace(ASK, response_schema=SCHEMA, tools=(WEATHER,)))
    assert [tool["name"] for tool in body["tools"]] == ["weather", "answer"]
    assert body["tool_choice"] == {"type": "any"}
    body = sent(provider, replace(ASK, response_schema=SCHEMA, parameters={"thinking": {"type": "enabled"}}))
    assert body["tool_choice"] == {"type": "auto"}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_words_the_end_as_openai_does(reason: str, word: str, provider: FakeProvider, target: Any) -> None:
    provider.answer = Answer(finish_reason=reason)
    assert client.complete_now(target, ASK).finish_reason == word
    assert streamed(target, ASK)[1].finish_reason == word


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"input_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}, Usage(5, None, 0, 0)),
        ({"input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 1}, Usage(9, 1, 9)),
        ({"cache_read_input_tokens": 9, "output_tokens": 1}, Usage(None, 1, 9)),
        ({"input_tokens": -5, "output_tokens": "2"}, Usage()),
    ],
)  # fmt: skip
def test_adds_cached_tokens_to_the_input(reported: Any, usage: Usage, provider: FakeProvider, target: Any) -> None:
    provider.answer = Answer(usage=reported)
    assert client.complete_now(target, ASK).usage == usage


def test_reports_an_error_within_the_stream(provider: FakeProvider, target: Any) -> None:
    provider.script(Script(Fault.ERROR_EVENT, after=5))
    with pytest.raises(ProviderRefused, match="too busy") as caught:
        list(client.stream_now(target, ASK))
    assert caught.value.details["status"] == 0
    assert caught.value.so_far is not None
    assert caught.value.so_far.text == "Paris is "
    assert caught.value.so_far.usage == Usage(24, 1, 8, 4, 1)
    assert not caught.value.so_far.is_complete


def test_has_no_embeddings(provider: FakeProvider, target: Any) -> None:
    with pytest.raises(ProviderCannot, match="has no embeddings"):
        client.embed_now(target, ["a"])
    assert provider.count == 0

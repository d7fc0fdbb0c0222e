"""Calls of OpenAI-compatible providers: what is sent, and what is made of the answer."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.db import NetworkInsideTransaction
from apps.providers import client
from apps.providers.adapters import anthropic, openai_compatible
from apps.providers.adapters.assembling import Assembly
from apps.providers.adapters.events import EventReader
from apps.providers.adapters.openai_compatible import read_usage
from apps.providers.adapters.sending import decoded
from apps.providers.call_errors import (
    ProviderAnswerMalformed,
    ProviderAnswerTooLarge,
    ProviderCannot,
    ProviderError,
)
from apps.providers.calls import Delta, ModelReply, ModelRequest, Protocol, Target, ToolCall
from apps.providers.pricing import Usage
from tests.fakes.provider import KEY, FakeProvider
from tests.fakes.wording import Answer

ASK = ModelRequest(messages=({"role": "user", "content": "What is the capital of France?"},))
TEXT = "Paris is the capital of France."
TOOLS = (
    ("call_1", "weather", '{"city": "Paris", "days": 3}'),
    ("call_2", "weather", '{"city": "Z\\u00fcrich"}'),
)
CLOSED = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "size": {"type": "object", "properties": {}, "additionalProperties": False},
    },
    "required": ["city", "size"],
    "additionalProperties": False,
}


def streamed(target: Target, request: ModelRequest) -> tuple[list[Delta], ModelReply]:
    """The deltas and the reply of a stream."""
    *deltas, reply = client.stream_now(target, request)
    assert isinstance(reply, ModelReply)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return [delta for delta in deltas if isinstance(delta, Delta)], reply


def test_answers(provider: FakeProvider) -> None:
    reply = client.complete_now(provider.target(), ASK)
    assert replace(reply, total_ms=0) == ModelReply(
        text=TEXT,
        tool_calls=(),
        finish_reason="stop",
        is_complete=True,
        model="fake-1-2026-01-01",
        response_id="chatcmpl-fake",
        usage=Usage(input_tokens=20, output_tokens=9, cached_input_tokens=8, reasoning_tokens=3),
        ttft_ms=None,
        total_ms=0,
        attempts=1,
    )


def test_streams_the_same_answer(provider: FakeProvider) -> None:
    deltas, reply = streamed(provider.target(), ASK)
    assert [delta.text for delta in deltas] == ["Paris ", "is ", "the ", "capital ", "of ", "France."]
    whole = client.complete_now(provider.target(), ASK)
    assert replace(reply, ttft_ms=None, total_ms=0) == replace(whole, total_ms=0)
    assert deltas[0].ttft_ms == reply.ttft_ms
    assert reply.ttft_ms is not None
    assert reply.ttft_ms <= reply.total_ms
    assert [delta.ttft_ms for delta in deltas[1:]] == [None] * 5


def test_times_the_first_token(provider: FakeProvider) -> None:
    provider.answer = Answer(pause_seconds=0.05)
    _, reply = streamed(provider.target(), ASK)
    assert reply.ttft_ms is not None
    assert 40 <= reply.ttft_ms < reply.total_ms
    assert reply.total_ms >= 8 * 50, "there are nine events, with a pause between two"


def test_sends_what_was_asked_and_nothing_more(provider: FakeProvider) -> None:
    request = ModelRequest(
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}),
        parameters={"temperature": 0.2, "stop": ["\n"], "unheard_of": {"a": 1}, "stream": True, "model": "another"},
        tools=({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},),
        user="u-1",
    )
    target = replace(provider.target(), headers={"X-Team": "search"})
    client.complete_now(target, request)
    (call,) = provider.calls
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "fake-1",
        "messages": list(request.messages),
        "temperature": 0.2,
        "stop": ["\n"],
        "unheard_of": {"a": 1},
        "tools": list(request.tools),
        "user": "u-1",
    }
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-team"] == "search"
    assert call.headers["host"] == f"127.0.0.1:{provider.port}"
    assert call.headers["user-agent"] == "prodworthy"
    assert call.headers["accept-encoding"] == "identity"
    assert "cookie" not in call.headers


def test_asks_for_usage_in_a_stream(provider: FakeProvider) -> None:
    streamed(provider.target(), ASK)
    assert provider.calls[0].body["stream_options"] == {"include_usage": True}
    assert provider.calls[0].body["stream"] is True


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [(CLOSED, True), ({**CLOSED, "required": ["city"]}, False), ({"type": "object", "properties": {}}, False)],
)
def test_asks_for_a_schema_as_strictly_as_it_can_be_met(
    schema: dict[str, Any], is_strict: bool, provider: FakeProvider
) -> None:
    client.complete_now(provider.target(), replace(ASK, response_schema=schema))
    expected = {"name": "answer", "schema": schema, "strict": is_strict}
    assert provider.calls[0].body["response_format"] == {"type": "json_schema", "json_schema": expected}


def test_reads_tool_calls(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=(), tools=TOOLS)
    reply = client.complete_now(provider.target(), ASK)
    assert (reply.text, reply.finish_reason) == ("", "tool_calls")
    assert reply.tool_calls == tuple(ToolCall(*tool) for tool in TOOLS)


def test_puts_tool_calls_together_from_their_pieces(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=("Let me look. ",), tools=TOOLS)
    deltas, reply = streamed(provider.target(), ASK)
    assert reply.tool_calls == tuple(ToolCall(*tool) for tool in TOOLS)
    assert (reply.text, reply.finish_reason, reply.is_complete) == ("Let me look. ", "tool_calls", True)
    for number, (_, name, arguments) in enumerate(TOOLS):
        pieces = [delta for delta in deltas if delta.tool_call == number]
        assert "".join(delta.text for delta in pieces) == arguments
        assert {delta.tool_name for delta in pieces} == {name}


def test_embeds_in_the_order_of_the_texts(provider: FakeProvider) -> None:
    reply = client.embed_now(provider.target(model="fake-embed"), ["a", "bb", "ccc"])
    assert reply.vectors == ((1.0, 0.0, 0.5), (2.0, 1.0, 0.5), (3.0, 2.0, 0.5))
    assert (reply.usage, reply.model, reply.attempts) == (Usage(input_tokens=12), "fake-embed", 1)


def test_has_an_address_of_its_own_for_openai_alone(provider: FakeProvider) -> None:
    with pytest.raises(ProviderCannot, match="has no address"):
        client.complete_now(Target(Protocol.OPENAI, "somebody", "m"), ASK)
    assert provider.count == 0


@pytest.mark.django_db(transaction=True)
def test_calls_nobody_within_a_transaction(provider: FakeProvider) -> None:
    from django.db import transaction

    for call in (client.complete_now, lambda target, ask: list(client.stream_now(target, ask))):
        with transaction.atomic(), pytest.raises(NetworkInsideTransaction):
            call(provider.target(), ASK)
    assert provider.count == 0


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": -1, "completion_tokens": "2"}, Usage()),
        ({"prompt_tokens": 1.5, "completion_tokens": True}, Usage()),
        ({"prompt_tokens": 2**31, "completion_tokens": 2}, Usage(None, 2)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1}},
         Usage(5, None, 4, input_audio_tokens=1)),
        ({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14,
          "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0}},
         Usage(5, 9, reasoning_tokens=7, output_audio_tokens=0)),
        # xAI and Google count reasoning beside the completion, in the total alone
        ({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 21,
          "completion_tokens_details": {"reasoning_tokens": 7}}, Usage(5, 16, reasoning_tokens=7)),
        # DeepSeek
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 3}, Usage(5, 1, 3)),
    ],
)  # fmt: skip
def test_reads_usage_exactly(reported: Any, usage: Usage) -> None:
    assert read_usage(msgspec.Raw(json.dumps(reported).encode())) == usage


STREAM = b'\xef\xbb\xbf: hello\nevent: x\ndata: {"a":\ndata:1}\n\nid: 7\n\ndata\n\ndata: last\n\n'
EVENTS = [b'{"a":\n1}', b"", b"last"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reads_events_however_they_are_cut(line_end: bytes, size: int) -> None:
    stream = STREAM.replace(b"\n", line_end)
    reader = EventReader(100)
    found = [event for at in range(0, len(stream), size) for event in reader.feed(stream[at : at + size])]
    last = reader.end()
    assert found + ([] if last is None else [last]) == EVENTS


def test_takes_a_last_event_without_its_empty_line() -> None:
    reader = EventReader(100)
    assert reader.feed(b"data: one\n\ndata: [DONE]") == [b"one"]
    assert reader.end() == b"[DONE]"


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"x" * 200, b"data: 12345678\n" * 20])
def test_holds_no_more_than_the_limit_of_an_event(stream: bytes) -> None:
    reader = EventReader(100)

    def feed() -> None:
        for at in range(0, len(stream), 10):
            reader.feed(stream[at : at + 10])

    with pytest.raises(ProviderAnswerTooLarge):
        feed()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "model", "choices", "delta", "message", "content", "tool_calls", "function", "arguments", "name"]
                + ["index", "finish_reason", "usage", "prompt_tokens", "prompt_tokens_details", "error", "type", "text"]
                + ["content_block", "input", "partial_json", "stop_reason", "input_tokens", "refusal", "data"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"]


@given(events=st.lists(ANY_JSON, max_size=4), kind=st.sampled_from(KINDS))
def test_makes_an_answer_or_an_error_of_anything(events: list[Any], kind: str) -> None:
    """Whatever JSON comes back: nothing but a ProviderError, and a reply that can be made."""
    target = Target(Protocol.OPENAI, "openai", "m")
    assembly = Assembly("m")
    reading = anthropic._Reading(Assembly("m"), target, has_schema=True)
    for event in events:
        with suppress(ProviderError):
            openai_compatible._take(
                assembly, target, decoded(json.dumps(event).encode(), openai_compatible._Completion)
            )
        named = {**event, "type": kind} if isinstance(event, dict) else event
        with suppress(ProviderError):
            reading.take(decoded(json.dumps(named).encode(), anthropic._Event))
    for reply in (assembly.reply(), reading.assembly.reply()):
        assert isinstance(reply.text, str)
        assert all(isinstance(call.arguments, str) for call in reply.tool_calls)


@pytest.mark.parametrize(
    "deep", [b"[" * 100_000, b'{"usage":' * 100_000, b'{"usage":{"prompt_tokens":' + b"[" * 100_000]
)
def test_is_not_led_into_the_deep(deep: bytes) -> None:
    with pytest.raises(ProviderAnswerMalformed):
        decoded(deep, openai_compatible._Completion)
    nested = b"[" * 2_000 + b"]" * 2_000
    assert read_usage(msgspec.Raw(b'{"prompt_tokens":' + nested + b"}")) == Usage()


def test_gives_nothing_that_cannot_be_stored(provider: FakeProvider) -> None:
    provider.answer = Answer(
        pieces=("a\0b",), tools=(("i" * 999, "n\0" * 999, '{"a": 1}'),), finish_reason="f\0" + "x" * 999
    )
    for protocol in (Protocol.OPENAI, Protocol.ANTHROPIC):
        whole = client.complete_now(provider.target(protocol), ASK)
        deltas, reply = streamed(provider.target(protocol), ASK)
        assert deltas[0].text == "a\N{REPLACEMENT CHARACTER}b"
        assert reply.text == whole.text == "a\N{REPLACEMENT CHARACTER}b"
        for made in (whole, reply):
            (call,) = made.tool_calls
            assert "\0" not in made.text + call.id + call.name + call.arguments + (made.finish_reason or "")
            assert {len(call.id), len(call.name), len(made.finish_reason or "")} == {200}


def test_refuses_vectors_that_do_not_belong_to_the_texts(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.fakes.provider.embeddings", lambda body: {"data": [{"embedding": [1.0], "index": 0}] * 2}
    )
    with pytest.raises(ProviderAnswerMalformed):
        client.embed_now(provider.target(), ["a", "b"])

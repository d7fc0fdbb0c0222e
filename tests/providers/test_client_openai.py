"""Calls of OpenAI-compatible providers: what is sent, and what is made of the answer."""

from __future__ import annotations

from apps.providers import client
from apps.providers.calls import Delta, ModelReply, ModelRequest
from apps.providers.pricing import Usage
from tests.fakes.provider import FakeProvider

ASK = ModelRequest(messages=({"role": "user", "content": "What is the capital of France?"},))


def test_answers(provider: FakeProvider) -> None:
    reply = client.complete_now(provider.target(), ASK)
    assert reply.text == "Paris is the capital of France."


def test_streams(provider: FakeProvider) -> None:
    *deltas, reply = client.stream_now(provider.target(), ASK)
    print(deltas, reply)
    assert reply.text == "Paris is the capital of France."

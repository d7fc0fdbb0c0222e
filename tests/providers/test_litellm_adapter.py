"""Providers through LiteLLM: what is sent, what is believed of the answer, and what it may not do on the network."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from apps.core.egress import EgressRefused, run_in_loop
from apps.providers import client, litellm_keys
from apps.providers.adapters.litellm_adapter import LiteLlmRefused
from apps.providers.call_errors import (
    ProviderAnswerMalformed,
    ProviderCannot,
    ProviderError,
    ProviderKeyUnusable,
    ProviderRateLimited,
    ProviderRedirected,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from apps.providers.calls import Delta, Limits, ModelReply, ModelRequest, Protocol, Target
from apps.providers.pricing import Usage
from tests.architecture.sources import ROOT
from tests.fakes.provider import KEY, FakeProvider, Fault, Script
from tests.fakes.wording import WORDS, Answer

# LiteLLM's own types, which pydantic remarks upon.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Item:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
]

# Two ways within LiteLLM: its own HTTP handler, and OpenAI's SDK.
WAYS = ("mistral", "nvidia_nim")
ASKED = ModelRequest(({"role": "user", "content": "What is the capital of France?"},), {"temperature": 0.5})
AWS = (
    '{"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCD",'
)
AWS += ' "aws_region_name": "eu-central-1"}'


def target(provider: FakeProvider, name: str = "mistral", model: str = "fake-1", **limits: Any) -> Target:
    """A target that leads to the fake provider by way of LiteLLM."""
    return Target(Protocol.LITELLM, name, model, provider.url, KEY, limits=Limits(**limits), connection="fake")


def streamed(target: Target, request: ModelRequest = ASKED) -> tuple[list[Delta], ModelReply]:
    """All deltas of a stream, and its reply."""
    *deltas, reply = client.stream_now(target, request)
    assert isinstance(reply, ModelReply)
    return [delta for delta in deltas if isinstance(delta, Delta)], reply


@pytest.fixture(autouse=True)
def _other_names_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever LiteLLM looks up besides the fake provider fails the test."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def watched(host: Any, *args: Any, **options: Any) -> Any:
        if host not in {"127.0.0.1", "localhost", None}:
            asked.append(str(host))
            raise socket.gaierror(-2, "no network in tests")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    yield
    assert not asked


@pytest.mark.parametrize("name", WAYS)
def test_brings_the_whole_answer(provider: FakeProvider, name: str) -> None:
    reply = client.complete_now(target(provider, name), ASKED)
    assert (reply.text, reply.finish_reason, reply.is_complete) == ("".join(WORDS), "stop", True)
    assert (reply.model, reply.response_id, reply.attempts, reply.ttft_ms) == (
        "fake-1-2026-01-01",
        "chatcmpl-fake",
        1,
        None,
    )
    assert reply.usage == Usage(
        input_tokens=20, output_tokens=9, cached_input_tokens=8, reasoning_tokens=3, cache_write_tokens=None
    )
    (call,) = provider.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert (call.body["model"], call.body["messages"][0]["content"], call.body["temperature"]) == (
        "fake-1",
        "What is the capital of France?",
        0.5,
    )


@pytest.mark.parametrize("name", WAYS)
def test_streams(provider: FakeProvider, name: str) -> None:
    deltas, reply = streamed(target(provider, name))
    assert "".join(delta.text for delta in deltas) == reply.text == "".join(WORDS)
    assert len(deltas) > 2
    assert (reply.finish_reason, reply.is_complete, reply.model) == ("stop", True, "fake-1-2026-01-01")
    assert deltas[0].ttft_ms is not None
    assert deltas[0].ttft_ms == reply.ttft_ms
    assert reply.usage == Usage(), "LiteLLM does not ask these two for usage; it would count itself"


def test_brings_the_usage_of_a_stream(provider: FakeProvider) -> None:
    usage = streamed(target(provider, "xai"))[1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (20, 9, 8)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_brings_tool_calls(provider: FakeProvider, is_streamed: bool) -> None:
    provider.answer = Answer(pieces=(), tools=(("call_1", "find", '{"q": "x"}'), ("call_2", "open", '{"id": 7}')))
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    request = ModelRequest(ASKED.messages, tools=(tool,), response_schema=None)
    reply = streamed(target(provider), request)[1] if is_streamed else client.complete_now(target(provider), request)
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [
        ("find", '{"q": "x"}'),
        ("open", '{"id": 7}'),
    ]
    assert reply.finish_reason == "tool_calls"
    assert provider.calls[0].body["tools"][0]["function"]["name"] == "find"


def test_embeds(provider: FakeProvider) -> None:
    reply = client.embed_now(target(provider, model="fake-embed"), ["one", "two"])
    assert len(reply.vectors) == 2
    assert provider.calls[0].path == "/v1/embeddings"
    assert provider.calls[0].body["input"] == ["one", "two"]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_UNFRAMED, Fault.NO_END, Fault.RESET])
def test_does_not_take_a_stream_that_broke_off_for_whole(provider: FakeProvider, name: str, fault: Fault) -> None:
    provider.script(Script(fault, after=3))
    deltas, reply = streamed(target(provider, name))
    assert reply.text == "".join(delta.text for delta in deltas)
    assert (reply.is_complete, reply.finish_reason) == (False, None)
    assert reply.usage == Usage(), "nothing was reported"
    assert provider.count == 1


@pytest.mark.parametrize("is_streamed", [False, True])
def test_does_not_believe_usage_that_litellm_counted(provider: FakeProvider, is_streamed: bool) -> None:
    provider.script(Fault.NO_USAGE)
    reply = streamed(target(provider))[1] if is_streamed else client.complete_now(target(provider), ASKED)
    assert reply.is_complete
    assert reply.usage == Usage()


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(Fault.STATUS, status=500), ProviderRefused),
        (Script(Fault.STATUS, status=503), ProviderRefused),
        (Script(Fault.STATUS, status=400), ProviderRefused),
        (Script(Fault.STATUS, status=429, retry_after="7"), ProviderRateLimited),
        (Script(Fault.CLOSE), ProviderUnreachable),
        (Script(Fault.NOT_HTTP), ProviderAnswerMalformed),
        (Script(Fault.REDIRECT, location="http://127.0.0.1:1/"), ProviderRedirected),
        (Script(Fault.NOT_EVENTS), ProviderAnswerMalformed),
        (Script(Fault.ECHO_KEY), ProviderRefused),
    ],
    ids=lambda value: f"{value.fault}-{value.status}" if isinstance(value, Script) else "",
)
def test_says_what_went_wrong_after_one_request(
    provider: FakeProvider, name: str, is_streamed: bool, script: Script, kind: type[ProviderError]
) -> None:
    provider.script(script)
    call = streamed if is_streamed else client.complete_now
    with pytest.raises(ProviderError) as caught:
        call(target(provider, name), ASKED)
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert KEY[:12] not in str(caught.value)
    assert provider.count == 1, "LiteLLM and OpenAI's SDK try again unless they are kept from it"
    assert caught.value.is_transient is (
        script.status in {500, 503} and script.fault is Fault.STATUS or kind is ProviderRateLimited
    )
    if isinstance(caught.value, ProviderRateLimited):
        assert caught.value.retry_after_seconds == 7


def test_tries_again_as_the_connection_says(provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=503), None)
    reply = client.complete_now(target(provider, attempts=2), ASKED)
    assert (reply.attempts, provider.count) == (2, 2)


def test_gives_up_when_nothing_comes(provider: FakeProvider) -> None:
    provider.script(Fault.HANG)
    with pytest.raises(ProviderTimeout) as caught:
        client.complete_now(target(provider, first_byte_seconds=0.3), ASKED)
    assert not caught.value.is_transient


def test_gives_up_when_it_falls_silent(provider: FakeProvider) -> None:
    provider.script(Script(Fault.SILENCE, after=3))
    with pytest.raises(ProviderTimeout) as caught:
        streamed(target(provider, idle_seconds=0.3))
    assert caught.value.so_far is not None
    assert caught.value.so_far.text
    assert not caught.value.so_far.is_complete


def test_closes_the_connection_with_the_stream(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=WORDS * 200, pause_seconds=0.02)
    items = client.stream_now(target(provider), ASKED)
    next(items)
    items.close()
    assert provider.wait_until(lambda one: one.closed_early == 1)


def test_goes_through_the_egress(provider: FakeProvider, settings: Settings) -> None:
    settings.EGRESS_ALLOW = []
    with pytest.raises(EgressRefused):
        client.complete_now(target(provider), ASKED)
    assert provider.count == 0


@pytest.mark.parametrize("address", ["http://169.254.169.254/v1", "https://127.0.0.1/v1", "https://user:x@api.x.ai/v1"])
def test_refuses_addresses_inside(provider: FakeProvider, address: str) -> None:
    with pytest.raises(EgressRefused):
        client.complete_now(Target(Protocol.LITELLM, "xai", "grok-2", address, KEY), ASKED)


@pytest.mark.parametrize("name", sorted(set(litellm_keys.PROVIDERS) - {"jina_ai", "voyage"}))
def test_asks_for_nothing_but_the_providers_own_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every provider on the list, without an address of its own: one look-up, of a name that is the provider's."""
    looked_up: list[str] = []

    def look_up(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["10.0.0.7"]

    monkeypatch.setattr("apps.core.egress.resolving.look_up", look_up)
    secret = AWS if name == "bedrock" else KEY
    model = {"bedrock": "amazon.nova-lite-v1:0", "fireworks_ai": "accounts/fireworks/models/x"}.get(name, "some-model")
    with pytest.raises(EgressRefused, match="not on the public internet"):
        client.complete_now(Target(Protocol.LITELLM, name, model, "", secret), ASKED)
    assert len(looked_up) == 1
    assert looked_up[0].endswith((".amazonaws.com", ".googleapis.com", f"{name.partition('_')[0]}.ai", ".com", ".ai"))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"api_base": "https://evil.example.com"}, "api_base"),
        ({"mock_response": "hello"}, "mock_response"),
        ({"extra_headers": {"a": "b"}}, "extra_headers"),
        ({"fallbacks": ["openai/gpt-4o"]}, "fallbacks"),
        ({"num_retries": 5}, "num_retries"),
        ({"aws_sts_endpoint": "https://evil.example.com"}, "aws_sts_endpoint"),
    ],
)
def test_passes_no_parameter_on_that_steers_litellm(
    provider: FakeProvider, parameters: dict[str, Any], name: str
) -> None:
    with pytest.raises(ProviderCannot, match=name):
        client.complete_now(target(provider), ModelRequest(ASKED.messages, parameters))
    assert provider.count == 0


@pytest.mark.parametrize(
    ("name", "model", "secret", "kind"),
    [
        ("sagemaker", "x", KEY, ProviderKeyUnusable),
        ("xai", "grok-2", "", ProviderKeyUnusable),
        ("bedrock", "amazon.nova-lite-v1:0", KEY, ProviderKeyUnusable),
        ("bedrock", "amazon.nova-lite-v1:0", AWS.replace("eu-central-1", "evil.example.com/#"), ProviderKeyUnusable),
        ("xai", "../x", KEY, LiteLlmRefused),
        ("xai", "x?y#z", KEY, LiteLlmRefused),
    ],
)
def test_refuses_what_would_make_litellm_look_around(
    provider: FakeProvider, name: str, model: str, secret: str, kind: type[ProviderError]
) -> None:
    with pytest.raises(kind) as caught:
        client.complete_now(Target(Protocol.LITELLM, name, model, "", secret), ASKED)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("name", ["mistral", "gemini", "bedrock"])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data/"}},
        {"type": "image_url", "image_url": "HTTP://127.0.0.1/x.png"},
        {"type": "image_url", "image_url": {"url": " https://example.com/x.png"}},
        {"type": "file", "file": {"file_id": "gs://bucket/secret"}},
        {"type": "document", "source": {"type": "url", "url": "file:///etc/passwd"}},
    ],
    ids=str,
)
def test_has_nothing_fetched_that_a_message_names(provider: FakeProvider, name: str, part: dict[str, Any]) -> None:
    there = Target(Protocol.LITELLM, name, "some-model", provider.url, AWS if name == "bedrock" else KEY)
    said = {"role": "user", "content": [{"type": "text", "text": "See https://example.com"}, part]}
    with pytest.raises(ProviderCannot, match="fetch images"):
        client.complete_now(there, ModelRequest((said,)))
    assert provider.count == 0


def test_passes_images_on_that_come_with_the_message(provider: FakeProvider) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    said = {"role": "user", "content": [{"type": "text", "text": "See https://example.com"}, image]}
    assert client.complete_now(target(provider, "nvidia_nim"), ModelRequest((said,))).is_complete
    assert provider.count == 1


def test_lets_litellm_do_nothing_on_its_own(provider: FakeProvider) -> None:
    client.complete_now(target(provider), ASKED)
    litellm = sys.modules["litellm"]
    http = __import__("litellm.llms.custom_httpx.http_handler", fromlist=["AsyncHTTPHandler"])

    async def by_itself() -> None:
        await http.AsyncHTTPHandler().post(f"{provider.url}/chat/completions", json={"model": "fake-1"})

    with pytest.raises(Exception, match="nothing more is sent"):
        run_in_loop(by_itself())
    with pytest.raises(Exception, match="nothing is sent this way"):
        litellm.module_level_client.post(f"{provider.url}/chat/completions", json={"model": "fake-1"})
    assert provider.count == 1
    assert (litellm.telemetry, litellm.num_retries, litellm.callbacks, litellm.cache) == (False, 0, [], None)


def test_imports_litellm_late_and_without_the_network(tmp_path: Path) -> None:
    """In a process of its own, whose every look-up and every connection is an error."""
    (tmp_path / ".env").write_text("PRODWORTHY_CANARY=read\n")
    program = f"""
import os, socket, sys
sys.path.insert(0, {str(ROOT)!r})
def refuse(*args, **options):
    print("REACHED OUT", args, flush=True)
    raise OSError("no network")
socket.getaddrinfo = refuse
socket.create_connection = refuse
real = socket.socket.connect
socket.socket.connect = refuse
os.environ["DJANGO_SETTINGS_MODULE"] = "llmops_site.settings"
import django
django.setup()
from apps.providers import client
from apps.providers.adapters import litellm_adapter
assert "litellm" not in sys.modules, "imported too early"
litellm_adapter._litellm()
assert "litellm" in sys.modules
assert "PRODWORTHY_CANARY" not in os.environ, "a .env file was read"
print("DONE", len(sys.modules["litellm"].model_cost))
"""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**kept, "PRODWORTHY_VAR": str(tmp_path / "var"), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "REACHED OUT" not in ended.stdout
    assert int(ended.stdout.split("DONE ")[1]) > 1000
    assert "WARNING" not in ended.stderr


def test_keeps_the_key_out_of_logs(provider: FakeProvider, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level("DEBUG")
    client.complete_now(target(provider), ASKED)
    for script in (Fault.ECHO_KEY, Fault.MALFORMED, Fault.CLOSE):
        provider.script(script)
        with pytest.raises(ProviderError) as caught:
            client.complete_now(target(provider), ASKED)
        assert KEY not in repr(caught.value)
        assert caught.value.__cause__ is None
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err):
        assert KEY not in text


async def _both(first: Target, second: Target) -> list[ModelReply]:
    return list(await asyncio.gather(client.complete(first, ASKED), client.complete(second, ASKED)))


def test_keeps_calls_at_once_apart(provider: FakeProvider) -> None:
    replies = run_in_loop(_both(target(provider), target(provider, "nvidia_nim", "fake-2")))
    assert [reply.model for reply in replies] == ["fake-1-2026-01-01", "fake-2-2026-01-01"]
    assert provider.count == 2


def test_signs_a_bedrock_call_that_arrives_as_it_was_signed(provider: FakeProvider) -> None:
    """The colon of the model is escaped in what is signed, and has to stay so."""
    there = Target(Protocol.LITELLM, "bedrock", "amazon.nova-lite-v1:0", provider.root, AWS)
    with pytest.raises(ProviderRefused) as caught:
        client.complete_now(there, ASKED)
    assert caught.value.details["status"] == 404, "the fake provider has no such door"
    (call,) = provider.calls
    assert call.path == "/model/amazon.nova-lite-v1%3A0/converse"
    assert call.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")
    assert "abcdefghijklmnopqrstuvwxyz" not in str(call.headers) + str(call.body)

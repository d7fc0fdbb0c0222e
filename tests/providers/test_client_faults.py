"""What providers do wrong, whole and in streams: how often they are asked, what is raised, and that no key is in it."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.core import egress
from apps.providers import call_errors, client
from apps.providers.adapters.sending import seconds_to_wait
from apps.providers.call_errors import ProviderError, redacted
from apps.providers.calls import Delta, Limits, ModelReply, Protocol, Target
from apps.providers.pricing import Usage
from tests.factories import NOW
from tests.fakes.provider import KEY, FakeProvider, Fault, Script
from tests.fakes.sink import Sink
from tests.fakes.wording import Answer
from tests.providers.test_client_openai import ASK, TEXT, streamed

PROTOCOLS = [Protocol.OPENAI, Protocol.ANTHROPIC]
FORMS = ["whole", "stream"]
QUICK: dict[str, Any] = {"connect_seconds": 1.0, "first_byte_seconds": 0.3, "idle_seconds": 0.3, "total_seconds": 5.0}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another quickly."""
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.02)


def call(target: Target, form: str) -> ModelReply:
    """One call, whole or as a stream that is read to its end."""
    return client.complete_now(target, ASK) if form == "whole" else streamed(target, ASK)[1]


def failure(target: Target, form: str) -> ProviderError:
    """The error of a call that fails."""
    with pytest.raises(ProviderError) as caught:
        call(target, form)
    return caught.value


# --- Attempts: exactly as many as the limits say, and only for what cannot have made an answer

TRIED_AGAIN = [
    (Script(Fault.STATUS, status=429, retry_after="0"), "provider_rate_limited"),
    (Script(Fault.STATUS, status=500), "provider_refused"),
    (Script(Fault.STATUS, status=503), "provider_refused"),
    (Script(Fault.STATUS, status=529), "provider_refused"),
]
NOT_TRIED_AGAIN = [
    (Script(Fault.STATUS, status=400), "provider_refused"),
    (Script(Fault.STATUS, status=401), "provider_refused"),
    (Script(Fault.STATUS, status=404), "provider_refused"),
    (Script(Fault.STATUS, status=408), "provider_refused"),
    (Script(Fault.ECHO_KEY), "provider_refused"),
    (Script(Fault.HANG), "provider_timeout"),
    (Script(Fault.CLOSE), "provider_unreachable"),
    (Script(Fault.NOT_HTTP), "provider_answer_malformed"),
    (Script(Fault.NOT_EVENTS), "provider_answer_malformed"),
    (Script(Fault.MALFORMED), "provider_answer_malformed"),
    (Script(Fault.SILENCE), "provider_timeout"),
    (Script(Fault.REDIRECT, location="https://example.com/"), "provider_redirected"),
    (Script(Fault.ENDLESS_LINE), "provider_answer_too_large"),
    (Script(Fault.BOMB), "provider_answer_too_large"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("script", "code"), TRIED_AGAIN, ids=lambda value: getattr(value, "status", ""))
@pytest.mark.parametrize("attempts", [1, 3])
def test_tries_as_often_as_it_is_told(
    script: Script, code: str, form: str, protocol: Protocol, attempts: int, provider: FakeProvider
) -> None:
    provider.script(*[script] * 9)
    error = failure(provider.target(protocol, attempts=attempts), form)
    assert (error.code, error.attempts, provider.count) == (code, attempts, attempts)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("script", "code"), NOT_TRIED_AGAIN, ids=lambda value: getattr(value, "fault", ""))
def test_tries_nothing_twice_that_may_have_been_answered(
    script: Script, code: str, form: str, protocol: Protocol, provider: FakeProvider
) -> None:
    provider.script(*[script] * 9)
    error = failure(provider.target(protocol, attempts=3, max_bytes=2_000_000, **QUICK), form)
    assert (error.code, error.attempts, provider.count) == (code, 1, 1)


@pytest.mark.parametrize("form", FORMS)
def test_succeeds_at_a_later_attempt(form: str, provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=503), Script(Fault.STATUS, status=429, retry_after="0"), None)
    reply = call(provider.target(attempts=5), form)
    assert (reply.text, reply.attempts, provider.count) == (TEXT, 3, 3)


def test_tries_an_embedding_again(provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=503))
    assert client.embed_now(provider.target(attempts=2), ["a"]).attempts == 2


def test_tries_again_when_no_connection_came_about(provider: FakeProvider, settings: Any) -> None:
    with Sink().running() as sink:
        closed = sink.port
    settings.EGRESS_ALLOW = [f"127.0.0.1:{closed}"]
    target = replace(provider.target(attempts=3), base_url=f"http://127.0.0.1:{closed}/v1")
    error = failure(target, "whole")
    assert (error.code, error.attempts) == ("provider_unreachable", 3)


def test_never_tries_again_what_the_egress_refuses(provider: FakeProvider) -> None:
    target = replace(provider.target(attempts=3), base_url="http://127.0.0.1:1/v1")
    with pytest.raises(egress.EgressRefused):
        client.complete_now(target, ASK)


@pytest.mark.parametrize("form", FORMS)
def test_waits_as_long_as_it_is_asked_to(form: str, provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=429, retry_after="1"))
    call(provider.target(attempts=2), form)
    first, second = provider.calls
    assert second.at - first.at >= 1


@pytest.mark.parametrize("asked", ["21", "3600"])
def test_leaves_a_long_wait_to_the_caller(asked: str, provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=429, retry_after=asked))
    error = failure(provider.target(attempts=5), "whole")
    assert (provider.count, error.retry_after_seconds) == (1, int(asked))


def test_does_not_wait_past_the_end_of_the_call(provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=429, retry_after="10"))
    error = failure(provider.target(attempts=5, total_seconds=2), "whole")
    assert (provider.count, error.code) == (1, "provider_rate_limited")


@pytest.mark.parametrize(
    ("retry_after", "milliseconds", "seconds"),
    [
        ("7", "", 7),
        ("0", "", 0),
        ("1.2", "", 2),
        ("", "250", 1),
        ("9", "1500", 2),
        ("-1", "", None),
        ("nan", "", None),
        ("1e99", "", None),
        ("soon", "", None),
        ("", "", None),
        ("{http_date}", "", 90),
        ("Mon, 01 Jan 1990 00:00:00 GMT", "", 0),
    ],
)
def test_reads_when_to_come_again(retry_after: str, milliseconds: str, seconds: int | None) -> None:
    from datetime import timedelta
    from email.utils import format_datetime

    moment = NOW.replace(microsecond=0)
    text = retry_after.replace("{http_date}", format_datetime(moment + timedelta(seconds=90)))
    assert seconds_to_wait(text, milliseconds, moment) == seconds


# --- Time


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("fault", "limits", "stage"),
    [
        (Fault.HANG, {"first_byte_seconds": 0.3}, "first_byte"),
        (Fault.SILENCE, {"idle_seconds": 0.3}, "idle"),
        (Fault.HANG, {"total_seconds": 0.3}, "total"),
        (Fault.SILENCE, {"total_seconds": 0.3}, "total"),
        (Fault.TRICKLE, {"total_seconds": 0.6, "idle_seconds": 0.5}, "total"),
    ],
)
def test_ends_what_takes_too_long(
    fault: Fault, limits: dict[str, Any], stage: str, form: str, provider: FakeProvider
) -> None:
    provider.script(Script(fault, seconds=0.05))
    began = time.monotonic()
    error = failure(provider.target(**limits), form)
    assert (error.code, error.details["stage"], error.http_status) == ("provider_timeout", stage, 504)
    assert time.monotonic() - began < max(limits.values()) + 2
    assert provider.wait_until(lambda fake: fake.open_connections == 0, 2)


def test_ends_a_call_whose_request_is_not_even_read(provider: FakeProvider) -> None:
    provider.script(Script(Fault.UNREAD, seconds=2))
    long = replace(ASK, messages=({"role": "user", "content": "x" * 30_000_000},))
    with pytest.raises(ProviderError) as caught:
        client.complete_now(provider.target(connect_seconds=0.2, first_byte_seconds=0.3), long)
    assert caught.value.details["stage"] == "first_byte"
    assert provider.wait_until(lambda fake: fake.open_connections == 0)


def test_does_not_wait_for_a_server_that_takes_no_connection(provider: FakeProvider, settings: Any) -> None:
    """A queue of connections that is full: the system lets further ones wait."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
        target = replace(provider.target(connect_seconds=0.3, attempts=2), base_url=f"http://127.0.0.1:{port}")
        error = failure(target, "whole")
    assert (error.code, error.details["stage"], error.attempts) == ("provider_timeout", "connect", 2)


def test_waits_for_a_slow_start(provider: FakeProvider) -> None:
    provider.script(Script(Fault.SLOW_START, seconds=0.5))
    assert call(provider.target(first_byte_seconds=5), "whole").text == TEXT


# --- Streams that break off


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_UNFRAMED, Fault.RESET])
@pytest.mark.parametrize("after", [0, 1, 3, 5, 6])
def test_never_takes_a_broken_stream_for_a_whole_one(
    after: int, fault: Fault, protocol: Protocol, provider: FakeProvider
) -> None:
    provider.script(*[Script(fault, after=after)] * 9)
    *deltas, reply = client.stream_now(provider.target(protocol, attempts=3), ASK)
    assert isinstance(reply, ModelReply)
    assert (reply.is_complete, reply.finish_reason, provider.count) == (False, None, 1)
    assert reply.text == "".join(delta.text for delta in deltas if isinstance(delta, Delta))
    assert TEXT.startswith(reply.text)
    if protocol is Protocol.OPENAI:
        assert reply.usage == Usage(), "nothing was reported, so nothing is known"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_never_takes_a_stream_without_its_end_mark_for_a_whole_one(protocol: Protocol, provider: FakeProvider) -> None:
    provider.script(Fault.NO_END)
    _, reply = streamed(provider.target(protocol), ASK)
    assert (reply.text, reply.is_complete, reply.finish_reason) == (TEXT, False, None)


def test_loses_nothing_that_came_before_the_cut(provider: FakeProvider) -> None:
    """The reader is slow: all that will come has come, and the connection is gone, before it reads on."""
    provider.answer = Answer(pause_seconds=0.03)
    provider.script(Script(Fault.CUT, after=6))
    items = client.stream_now(provider.target(), ASK)
    next(items)
    assert provider.wait_until(lambda fake: fake.open_connections == 0)

    async def let_the_loop_see_it() -> None:
        await asyncio.sleep(0.05)

    egress.run_in_loop(let_the_loop_see_it())
    *_, reply = items
    assert isinstance(reply, ModelReply)
    assert (reply.text, reply.is_complete) == ("Paris is the capital of ", False)


def test_takes_a_finish_reason_for_an_end_mark(provider: FakeProvider) -> None:
    """The ninth event is the usage; the stream breaks off before it."""
    provider.script(Script(Fault.CUT, after=8))
    _, reply = streamed(provider.target(), ASK)
    assert (reply.text, reply.is_complete, reply.finish_reason, reply.usage) == (TEXT, True, "stop", Usage())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_UNFRAMED, Fault.RESET])
def test_has_no_half_answers_in_whole_ones(fault: Fault, protocol: Protocol, provider: FakeProvider) -> None:
    provider.script(*[fault] * 9)
    error = failure(provider.target(protocol, attempts=3), "whole")
    assert (error.code, provider.count) == ("provider_answer_malformed", 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.MALFORMED, Fault.ENDLESS_LINE, Fault.TRICKLE])
def test_gives_what_came_before_the_failure(fault: Fault, protocol: Protocol, provider: FakeProvider) -> None:
    provider.script(Script(fault, after=5, seconds=0.05))
    items: list[Any] = []
    with pytest.raises(ProviderError) as caught:
        items.extend(client.stream_now(provider.target(protocol, idle_seconds=0.3, total_seconds=0.8), ASK))
    so_far = caught.value.so_far
    assert so_far is not None
    assert so_far.text
    assert TEXT.startswith(so_far.text)
    assert (so_far.is_complete, so_far.finish_reason) == (False, None)
    assert so_far.ttft_ms is not None
    assert not caught.value.is_transient


# --- Answers that are not what they should be


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", [Fault.NO_USAGE, Fault.WRONG_USAGE])
def test_knows_no_usage_that_was_not_reported(
    fault: Fault, form: str, protocol: Protocol, provider: FakeProvider
) -> None:
    provider.script(fault)
    reply = call(provider.target(protocol), form)
    assert (reply.text, reply.usage) == (TEXT, Usage())


@pytest.mark.parametrize("form", FORMS)
def test_holds_no_more_than_the_limits(form: str, provider: FakeProvider) -> None:
    """The provider would send 8 GiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for fault in (Fault.BOMB, Fault.ENDLESS_LINE):
        provider.script(Script(fault))
        error = failure(provider.target(max_bytes=4_000_000 if form == "stream" else Limits().max_bytes), form)
        assert error.code == "provider_answer_too_large"
        assert provider.wait_until(lambda fake: fake.open_connections == 0)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 256 * 1024


def test_follows_no_redirect(provider: FakeProvider) -> None:
    with Sink().running() as sink:
        provider.script(Script(Fault.REDIRECT, location=f"http://127.0.0.1:{sink.port}/v1"))
        error = failure(provider.target(attempts=3), "whole")
        assert (error.code, provider.count, sink.connections) == ("provider_redirected", 1, 0)


@pytest.mark.parametrize("key", ["line\nbreak-0123456789", "ключ-0123456789", "nul\0-0123456789"])
def test_says_that_a_key_cannot_be_sent(key: str, provider: FakeProvider) -> None:
    error = failure(replace(provider.target(), secret=key), "whole")
    assert (error.code, provider.count) == ("provider_key_unusable", 0)
    assert key not in str(error.as_dict())


# --- Cancelling


def test_closes_the_upstream_when_the_reader_goes_away(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=("word ",) * 1000, pause_seconds=0.02)
    items = client.stream_now(provider.target(), ASK)
    assert isinstance(next(items), Delta)
    assert provider.open_connections == 1
    items.close()
    assert provider.wait_until(lambda fake: fake.open_connections == 0 and fake.closed_early == 1, 2)


def test_closes_the_upstream_when_the_task_is_canceled(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=("word ",) * 1000, pause_seconds=0.02)

    async def read(seen: asyncio.Event) -> None:
        async for _ in client.stream(provider.target(), ASK):
            seen.set()

    async def cancel_fifty() -> None:
        seen = [asyncio.Event() for _ in range(50)]
        tasks = [asyncio.ensure_future(read(event)) for event in seen]
        await asyncio.gather(*(event.wait() for event in seen))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    egress.run_in_loop(cancel_fifty())
    assert provider.count == 50
    assert provider.wait_until(lambda fake: fake.open_connections == 0, 2)


def test_closes_the_upstream_of_a_whole_answer_that_nobody_waits_for(provider: FakeProvider) -> None:
    provider.script(Fault.HANG)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.complete(provider.target(), ASK), 0.3)

    egress.run_in_loop(give_up())
    assert provider.wait_until(lambda fake: fake.open_connections == 0, 2)


@pytest.mark.django_db(transaction=True)
def test_closes_the_upstream_even_when_a_transaction_is_open_by_then(provider: FakeProvider) -> None:
    provider.answer = Answer(pieces=("word ",) * 1000, pause_seconds=0.02)
    items = client.stream_now(provider.target(), ASK)
    next(items)
    with transaction.atomic():
        items.close()
    assert provider.wait_until(lambda fake: fake.open_connections == 0, 2)


def test_leaves_no_connection_open_that_nobody_closed(provider: FakeProvider) -> None:
    """A generator that is simply forgotten."""
    provider.answer = Answer(pieces=("word ",) * 1000, pause_seconds=0.02)
    items = client.stream_now(provider.target(), ASK)
    next(items)
    del items
    gc.collect()
    assert provider.wait_until(lambda fake: fake.open_connections == 0, 2)


def test_uses_its_connection_again_after_a_stream(provider: FakeProvider) -> None:
    egress.close()
    before = provider.connections
    for protocol in PROTOCOLS * 2:
        streamed(provider.target(protocol), ASK)
    assert provider.connections - before == 1


# --- Keys


def parts_of(key: str) -> set[str]:
    """Every part of a key with 8 characters."""
    return {key[at : at + 8] for at in range(len(key) - 7)}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[BaseException], str]:
    """Everything a person or a log could get to see of an error."""
    caplog.set_level(logging.DEBUG)

    def everything(error: BaseException) -> str:
        shown = [str(error), repr(error), "".join(traceback.format_exception(error)), caplog.text]
        if isinstance(error, ProviderError):
            shown += [str(error.as_dict()), repr(error.details), repr(error.so_far)]
        return "\n".join(shown)

    return everything


CANARY = "sk-canary-Xq7ZpL2mWv9TbR4nKc8J"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "script",
    [*(script for script, _ in TRIED_AGAIN), *(script for script, _ in NOT_TRIED_AGAIN)],
    ids=lambda script: f"{script.fault}-{script.status}",
)
def test_never_tells_the_key(
    script: Script, form: str, protocol: Protocol, provider: FakeProvider, said: Callable[[BaseException], str]
) -> None:
    provider.script(replace(script, text=f"bad key {CANARY}, {CANARY[:12]}... and ...{CANARY[-10:]}"))
    target = replace(
        provider.target(protocol, max_bytes=1_000_000, **QUICK),
        secret=CANARY,
        headers={"X-Other-Key": "hdr-" + CANARY[::-1]},
    )
    shown = said(failure(target, form)) + repr(target)
    sent = str(provider.calls[-1].headers)
    assert CANARY in sent, "what was not sent proves nothing"
    assert not [part for part in parts_of(CANARY) | parts_of(CANARY[::-1]) if part in shown]


def test_still_says_what_the_provider_said(provider: FakeProvider) -> None:
    provider.script(Fault.ECHO_KEY)
    error = failure(provider.target(), "whole")
    assert error.details["status"] == 401
    assert "Incorrect API key provided: [secret]" in error.details["text"]
    assert KEY not in error.text


def test_keeps_two_thousand_characters_of_a_long_refusal(provider: FakeProvider) -> None:
    provider.script(Script(Fault.STATUS, status=400, text="x" * 10_000))
    assert len(failure(provider.target(), "whole").details["text"]) == call_errors.TEXT_CHARACTERS


@given(key=st.text(min_size=9, max_size=60), before=st.text(), after=st.text(), data=st.data())
def test_leaves_no_part_of_a_key_in_a_text(key: str, before: str, after: str, data: st.DataObject) -> None:
    key = key.strip()
    if len(key) < 9:
        return
    start = data.draw(st.integers(0, len(key) - 8))
    end = data.draw(st.integers(start + 8, len(key)))
    part = key[start:end]
    for text in (before + part + after + key + before, before + part, part, key):
        clean = redacted(text, [key]).replace("[secret]", "\0")
        assert not [part for part in parts_of(key) if part in clean]

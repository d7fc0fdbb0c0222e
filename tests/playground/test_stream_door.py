"""The hot door: each column streams by itself, once, to its own person; what breaks off is never called whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.test import Client

from apps.accounts.models import User
from apps.playground.doors import streaming
from apps.playground.models import PlaygroundAnswer
from apps.projects.models import Project, Role
from apps.providers import services as providers
from apps.providers.services.connections import ConnectionFields, add_connection
from apps.telemetry.models import CostHour
from apps.telemetry.services import masking, rollups
from tests.conftest import page_client
from tests.factories import NOW, actor_of, make_member, make_user
from tests.fakes.provider import KEY, FakeProvider, Fault, Script
from tests.fakes.wording import Answer
from tests.playground.conftest import PAGE, answers, spans, start
from tests.telemetry.conftest import rows

pytestmark = pytest.mark.usefixtures("committed")
TEXT = "Paris is the capital of France."
Event = tuple[str, dict[str, Any]]


@pytest.fixture
def connected(provider: FakeProvider, project: Project, alice: User) -> FakeProvider:
    """The fake provider as the project's connection `fake`."""
    fields = ConnectionFields(
        name="Fake", protocol="openai", provider="fakeprovider", base_url=provider.url, models=("fake-1", "fake-2")
    )
    add_connection(project=project, slug="fake", values=fields, secret=KEY, actor=actor_of(alice), now=NOW)
    return provider


def events(response: httpx.Response) -> Iterator[Event]:
    """The events of a stream as they come."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@contextmanager
def opened(address: str, client: Client, path: str) -> Iterator[httpx.Response]:
    """The stream, with the client's session."""
    morsel = client.cookies.get(django_settings.SESSION_COOKIE_NAME)
    cookies = {} if morsel is None else {django_settings.SESSION_COOKIE_NAME: morsel.value}
    with httpx.stream("GET", address + path, cookies=cookies, timeout=20) as response:
        yield response


def whole(address: str, client: Client, path: str) -> list[Event]:
    """All events of a stream."""
    with opened(address, client, path) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def refused(address: str, client: Client, path: str) -> tuple[int, str]:
    """The status and the code of a refusal."""
    with opened(address, client, path) as response:
        return response.status_code, json.loads(response.read())["error"]["code"]


def said(found: list[Event]) -> str:
    """The text of the deltas."""
    return "".join(data["text"] for name, data in found if name == "delta" and "tool" not in data)


def until(is_so: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll until it is so; False when it is not in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_streams_the_test_model_word_by_word(address: str, alice_client: Client, project: Project) -> None:
    begun = start(alice_client)
    found = whole(address, alice_client, begun["answers"][0]["stream"])
    answer = answers()[0]
    assert len(found) > 5
    assert "ttft_ms" in found[0][1]
    assert found[-1] == ("done", {"message": ""})
    assert said(found) == answer.text
    assert (answer.state, answer.is_complete, answer.finish_reason) == ("done", True, "stop")
    assert answer.ttft_ms is not None
    assert answer.total_ms is not None
    assert answer.ttft_ms <= answer.total_ms
    assert answer.cost_usd == Decimal(0)
    assert [row[:4] for row in spans(project)] == [("playground", "steady", "ok", Decimal(0))]


def test_streams_two_columns_at_once(address: str, alice_client: Client, connected: FakeProvider) -> None:
    connected.answer = Answer(pause_seconds=0.3)
    first, second = start(alice_client, model=["fake/fake-1", "fake/fake-2"])["answers"]
    with opened(address, alice_client, first["stream"]) as one, opened(address, alice_client, second["stream"]) as two:
        left, right = events(one), events(two)
        assert next(left)[0] == "delta"
        assert next(right)[0] == "delta"
        assert [answer.state for answer in answers()] == ["running", "running"]
        assert said([("delta", {"text": "Paris "}), *left]) == TEXT
        assert said([("delta", {"text": "Paris "}), *right]) == TEXT
    assert [answer.state for answer in answers()] == ["done", "done"]
    assert {call.body["model"] for call in connected.calls} == {"fake-1", "fake-2"}


def test_leaves_a_column_alone_when_another_fails(
    address: str, alice_client: Client, connected: FakeProvider, project: Project
) -> None:
    connected.by_model["fake-2"] = Script(Fault.STATUS, status=401, text="no such key")
    first, second = start(alice_client, model=["fake/fake-1", "fake/fake-2"])["answers"]
    name, data = whole(address, alice_client, second["stream"])[-1]
    assert name == "failed"
    assert "does not accept the key" in data["message"]
    assert said(whole(address, alice_client, first["stream"])) == TEXT
    assert [(answer.state, answer.error_code) for answer in answers()] == [("done", ""), ("failed", "provider_refused")]
    assert sorted((row[2], row[7]) for row in spans(project)) == [("error", "provider_refused"), ("ok", "")]


def test_sends_what_was_asked(address: str, alice_client: Client, connected: FakeProvider) -> None:
    begun = start(
        alice_client,
        model=["fake/fake-1"],
        role=["system", "user"],
        text=["You are {{who}}.", "Hello"],
        name=["", ""],
        more=["", ""],
        variable=["who"],
        variable_type=["text"],
        variable_value=["kind"],
        temperature="0.3",
        parameters='{"seed": 4}',
        tools='[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]',
    )
    whole(address, alice_client, begun["answers"][0]["stream"])
    body = connected.calls[0].body
    assert body["messages"] == [{"role": "system", "content": "You are kind."}, {"role": "user", "content": "Hello"}]
    assert (body["temperature"], body["seed"], body["tools"][0]["function"]["name"]) == (0.3, 4, "look")


def test_shows_calls_of_tools(address: str, alice_client: Client, connected: FakeProvider) -> None:
    connected.answer = Answer(pieces=(), tools=(("c1", "weather", '{"city": "Paris"}'),))
    begun = start(alice_client, model=["fake/fake-1"])
    found = whole(address, alice_client, begun["answers"][0]["stream"])
    assert any(data.get("name") == "weather" for _name, data in found)
    answer = answers()[0]
    assert [(call["name"], call["arguments"]) for call in answer.tool_calls] == [("weather", '{"city": "Paris"}')]
    page = alice_client.get(begun["answers"][0]["page"]).content.decode()
    assert "<b>weather</b>" in page


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_UNFRAMED, Fault.NO_END])
def test_marks_a_stream_without_its_end_as_incomplete(
    address: str, alice_client: Client, connected: FakeProvider, project: Project, fault: Fault
) -> None:
    connected.script(Script(fault, after=3))
    begun = start(alice_client, model=["fake/fake-1"])
    whole(address, alice_client, begun["answers"][0]["stream"])
    answer = answers()[0]
    assert not answer.is_complete
    assert answer.finish_reason == ""
    assert answer.text.startswith("Paris ")
    assert [row[2] for row in spans(project)] == ["error"]
    page = alice_client.get(begun["answers"][0]["page"]).content.decode()
    assert "Incomplete" in page


def test_keeps_unknown_tokens_and_cost_unknown(
    address: str, alice_client: Client, connected: FakeProvider, project: Project
) -> None:
    connected.script(Fault.NO_USAGE)
    begun = start(alice_client, model=["fake/fake-1"])
    whole(address, alice_client, begun["answers"][0]["stream"])
    answer = answers()[0]
    assert answer.is_complete
    assert (answer.input_tokens, answer.output_tokens, answer.cost_usd) == (None, None, None)
    assert spans(project)[0][3] is None
    assert alice_client.get(begun["answers"][0]["page"]).content.count(b">unknown<") == 3


def test_prices_an_answer_like_any_call(
    address: str, alice_client: Client, connected: FakeProvider, project: Project, alice: User
) -> None:
    providers.add_own_price(
        project=project,
        provider="fakeprovider",
        model="fake-1",
        rates={"input": "2", "output": "10"},
        starts_on=NOW.date(),
        actor=actor_of(alice),
        now=NOW,
    )
    begun = start(alice_client, model=["fake/fake-1"])
    whole(address, alice_client, begun["answers"][0]["stream"])
    assert answers()[0].cost_usd == Decimal("0.00013")
    assert spans(project)[0][3] == Decimal("0.00013")


def test_closes_the_upstream_when_the_client_goes_away(
    address: str, alice_client: Client, connected: FakeProvider, project: Project
) -> None:
    connected.script(Script(Fault.SILENCE, after=3))
    begun = start(alice_client, model=["fake/fake-1"])
    with opened(address, alice_client, begun["answers"][0]["stream"]) as response:
        assert next(events(response))[0] == "delta"
    left_at = time.monotonic()
    assert connected.wait_until(lambda one: one.closed_early == 1, 2.0), "the upstream is still open"
    assert time.monotonic() - left_at < 2.0
    assert until(lambda: answers()[0].is_traced)
    answer = answers()[0]
    assert (answer.state, answer.is_complete, answer.finish_reason) == ("cancelled", False, "")
    assert answer.text.startswith("Paris ")
    assert [(row[0], row[2], row[7]) for row in spans(project)] == [("playground", "error", "cancelled")]
    assert until(lambda: streaming._Room.taken == 0)


def test_closes_an_upstream_that_has_not_said_a_word(
    address: str, alice_client: Client, connected: FakeProvider
) -> None:
    connected.script(Fault.HANG)
    begun = start(alice_client, model=["fake/fake-1"])
    with opened(address, alice_client, begun["answers"][0]["stream"]):
        assert connected.wait_until(lambda one: one.count == 1)
    assert connected.wait_until(lambda one: one.closed_early == 1, 2.0), "the upstream is still open"
    assert until(lambda: answers()[0].is_traced)
    answer = answers()[0]
    assert (answer.state, answer.text, answer.ttft_ms) == ("cancelled", "", None)


def test_lets_go_of_many_streams_that_are_left_at_once(
    address: str, alice_client: Client, connected: FakeProvider
) -> None:
    connected.by_model = {name: Script(Fault.SILENCE, after=2) for name in ("fake-1", "fake-2")}
    begun = [start(alice_client, model=["fake/fake-1", "fake/fake-2"] * 2) for _ in range(3)]
    paths = [answer["stream"] for run in begun for answer in run["answers"]]

    def leave(path: str) -> None:
        with opened(address, alice_client, path) as response:
            assert next(events(response))[0] == "delta"

    with ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(leave, paths))
    assert connected.wait_until(lambda one: one.closed_early == len(paths), 3.0), connected.closed_early
    assert until(lambda: all(answer.is_traced for answer in answers()), 10)
    assert {(answer.state, answer.text) for answer in answers()} == {("cancelled", "Paris ")}
    assert streaming._Room.taken == 0


def test_counts_in_the_cost_records_as_playground(address: str, alice_client: Client, project: Project) -> None:
    begun = start(alice_client, model=["test/echo", "test/json"])
    for answer in begun["answers"]:
        whole(address, alice_client, answer["stream"])
    rollups.roll_up()
    record = CostHour.objects.get(project_id=project.pk, source="playground", model="echo")
    assert (record.calls, record.environment, record.feature) == (1, "development", "")
    assert record.cost_usd == 0
    assert set(CostHour.objects.values_list("source", flat=True)) == {"playground"}


def test_masks_the_span_as_the_project_wants_it(
    address: str, alice_client: Client, project: Project, alice: User
) -> None:
    masking.change_masking(
        project=project, kinds=["email"], own=[], capture="on", hashes_users=False, actor=actor_of(alice), now=NOW
    )
    begun = start(alice_client, model=["test/echo"], text=["Write to ana@example.com"])
    whole(address, alice_client, begun["answers"][0]["stream"])
    stored = str(rows("SELECT input, output FROM telemetry_payload WHERE project_id = %s", project.pk))
    assert "Write to" in stored
    assert "ana@example.com" not in stored


def test_works_once(address: str, alice_client: Client) -> None:
    path = start(alice_client, model=["test/echo"])["answers"][0]["stream"]
    whole(address, alice_client, path)
    assert refused(address, alice_client, path) == (409, "already_run")
    assert PlaygroundAnswer.objects.get().state == "done"


def test_is_for_nobody_else(address: str, alice_client: Client, project: Project) -> None:
    other = make_user("dana@example.com")
    make_member(project, other, role=Role.EDITOR)
    path = start(alice_client, model=["test/echo"])["answers"][0]["stream"]
    assert refused(address, page_client(other), path) == (401, "unauthenticated")
    assert refused(address, Client(), path) == (401, "unauthenticated")
    assert PlaygroundAnswer.objects.get().state == "queued"


@pytest.mark.parametrize("token", ["nothing", "1.2.3", "x" * 4000])
def test_takes_no_token_of_others(address: str, alice_client: Client, token: str) -> None:
    assert refused(address, alice_client, f"/playground/stream/{token}") == (403, "bad_token")


def test_takes_no_token_that_is_too_old(address: str, alice_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path = start(alice_client, model=["test/echo"])["answers"][0]["stream"]
    monkeypatch.setattr("apps.playground.tokens.SECONDS", -1)
    assert refused(address, alice_client, path) == (403, "bad_token")


def test_asks_again_whether_the_person_may(address: str, project: Project) -> None:
    editor = make_user("eve@example.com")
    member = make_member(project, editor, role=Role.EDITOR)
    client = page_client(editor)
    path = start(client, model=["test/echo"])["answers"][0]["stream"]
    member.role = Role.VIEWER
    member.save()
    assert refused(address, client, path) == (403, "forbidden")
    assert PlaygroundAnswer.objects.get().state == "queued"


def test_says_when_the_process_is_full(address: str, alice_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = start(alice_client, model=["test/echo"])["answers"][0]
    monkeypatch.setattr(streaming, "MOST_STREAMS", 0)
    assert refused(address, alice_client, begun["stream"]) == (429, "too_many_running")
    assert b"are the most at once" in alice_client.get(begun["page"]).content


def test_says_in_words_that_nobody_offers_a_model(address: str, alice_client: Client) -> None:
    begun = start(alice_client, model=["nowhere/gpt-9"])["answers"][0]
    ((name, data),) = whole(address, alice_client, begun["stream"])
    assert name == "failed"
    assert "No connection of this project offers nowhere/gpt-9" in data["message"]


def test_shows_no_key_anywhere(address: str, alice_client: Client, connected: FakeProvider, project: Project) -> None:
    connected.script(Fault.ECHO_KEY)
    begun = start(alice_client, model=["fake/fake-1"])
    found = whole(address, alice_client, begun["answers"][0]["stream"])
    pages = [alice_client.get(path).content.decode() for path in (begun["url"], begun["answers"][0]["page"], PAGE)]
    assert KEY not in json.dumps(found) + "".join(pages) + str(spans(project)) + answers()[0].error


def test_answers_no_head_and_no_post(address: str, alice_client: Client) -> None:
    path = start(alice_client, model=["test/echo"])["answers"][0]["stream"]
    assert httpx.head(address + path).status_code == 405
    assert httpx.post(address + path).status_code == 405
    assert PlaygroundAnswer.objects.get().state == "queued"

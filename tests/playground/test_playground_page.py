"""The page: what it begins with, what it refuses without losing a word, running without script, and saving drafts."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.test import Client

from apps.accounts.models import User
from apps.playground import services
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.projects.models import Project
from apps.prompts import selectors as prompt_selectors
from apps.prompts import services as prompts
from apps.prompts.content import Content, Message, Variable
from apps.prompts.models import Draft, Version
from apps.prompts.types import Kind, VariableType
from apps.telemetry.services import erasing
from tests.factories import NOW, actor_of
from tests.playground.conftest import PAGE, answers, query, spans, start, the_run, typed
from tests.telemetry.conftest import make_span, rows

GREETING = Content(
    messages=(
        Message("system", "You answer for {{shop}}."),
        Message("placeholder", "history"),
        Message("user", "{{question}}"),
    ),
    variables=(
        Variable("shop", sample="Fernhill"),
        Variable("history", VariableType.MESSAGES, is_required=False, sample=[{"role": "user", "content": "Hi"}]),
        Variable("question", sample="Where is my order?"),
    ),
    model="test/echo",
    parameters={"temperature": 0.5, "seed": 7},
)


@pytest.fixture
def version(project: Project, alice: User, now: Any) -> Version:
    """`support/answer@1.0.0`, published."""
    prompt = prompts.create_prompt(project=project, name="support/answer", actor=actor_of(alice), now=now)
    return prompts.publish(prompt=prompt, content=GREETING, actor=actor_of(alice), author=alice, now=now)


def fields(page: Any) -> dict[str, list[str]]:
    """What is in the form's text fields, by name."""
    text_of = page.content.decode()
    found: dict[str, list[str]] = {}
    for name, text in re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n?(.*?)</textarea>', text_of, re.DOTALL):
        found.setdefault(name, []).append(html.unescape(text))
    for name, value in re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', text_of):
        found.setdefault(name, []).append(html.unescape(value))
    return found


def test_opens_empty_with_the_test_model(alice_client: Client) -> None:
    page = alice_client.get(PAGE)
    assert page.status_code == 200
    assert fields(page)["text"] == ["", ""]
    assert b'<option value="test/steady" selected>' in page.content


def test_opens_a_version_with_its_sample_values(alice_client: Client, version: Version) -> None:
    page = alice_client.get(f"{PAGE}?{query(prompt='support/answer', version='1.0.0')}")
    shown = fields(page)
    assert shown["text"] == ["You answer for {{shop}}.", "history", "{{question}}"]
    assert shown["variable"] == ["shop", "history", "question"]
    assert shown["variable_value"][0] == "Fernhill"
    assert shown["temperature"] == ["0.5"]
    assert "seed" in shown["parameters"][0]
    assert b'<option value="test/echo" selected>' in page.content


def test_opens_my_draft_and_nobody_elses(
    alice_client: Client, bob_client: Client, version: Version, alice: User, now: Any
) -> None:
    content = Content(messages=(Message("user", "Only a draft"),))
    prompts.save_draft(prompt=version.prompt, author=alice, content=content, revision=None, base=version, now=now)
    address = f"{PAGE}?{query(prompt='support/answer', draft='1')}"
    page = alice_client.get(address)
    assert fields(page)["text"] == ["Only a draft"]
    assert b'href="/p/support-desk/prompts/support/answer/-/publish"' in page.content
    assert fields(bob_client.get(address))["text"] == ["You answer for {{shop}}.", "history", "{{question}}"]


def test_opens_a_prompt_that_says_nothing_yet(alice_client: Client, alice: User, project: Project, now: Any) -> None:
    prompts.create_prompt(project=project, name="support/new", actor=actor_of(alice), now=now)
    page = alice_client.get(f"{PAGE}?{query(prompt='support/new', draft='1')}")
    assert page.status_code == 200
    assert b"has no draft of yours and no version yet" in page.content
    assert b"/-/publish" not in page.content
    assert b"Save as your draft of support/new" in page.content


@pytest.mark.parametrize(
    "asked",
    ["prompt=nothing", "prompt=support/answer&version=9.9.9", "trace=zz&span=1", "trace=" + "ab" * 16],
)
def test_says_404_for_what_is_not_there(alice_client: Client, version: Version, asked: str) -> None:
    assert alice_client.get(f"{PAGE}?{asked}").status_code == 404


def test_runs_all_columns_without_script(alice_client: Client, committed: None, project: Project) -> None:
    answer = alice_client.post(PAGE, typed(model=["test/echo", "test/json"], act="run"))
    assert answer.status_code == 302, answer.content
    assert answer["Location"] == f"{PAGE}/runs/{the_run().uuid}"
    first, second = answers()
    assert (first.state, first.text, first.is_complete, first.finish_reason) == (
        "done", "When will my order arrive?", True, "stop",
    )  # fmt: skip
    assert second.text.startswith("{")
    assert first.cost_usd == Decimal(0)
    page = alice_client.get(answer["Location"])
    assert page.content.count(b"Open as trace") == 2
    assert {row[:3] for row in spans(project)} == {
        ("playground", "echo", "ok"),
        ("playground", "json", "ok"),
    }


def test_fills_the_variables_in(alice_client: Client, committed: None, version: Version) -> None:
    page = alice_client.get(f"{PAGE}?{query(prompt='support/answer', version='1.0.0')}")
    sent = {**fields(page), "role": ["system", "placeholder", "user"], "syntax": "mustache", "model": ["test/echo"]}
    sent["variable_type"] = ["text", "messages", "text"]
    sent["variable_value"][2] = "Is it {{raining}}?"
    assert alice_client.post(PAGE, {**sent, "act": "run"}).status_code == 302
    run = the_run()
    assert run.messages == [
        {"role": "system", "content": "You answer for Fernhill."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "Is it {{raining}}?"},
    ]
    assert (run.origin, run.prompt_name, run.prompt_version, run.is_edited) == (
        "version", "support/answer", "1.0.0", False,
    )  # fmt: skip
    assert answers()[0].text == "Is it {{raining}}?"
    assert spans(version.project)[0][4:7] == ("support/answer", "1.0.0", "development")


def test_renders_jinja_and_puts_snippets_in(
    alice_client: Client, committed: None, version: Version, alice: User
) -> None:
    prompt = prompts.create_prompt(project=version.project, name="tone", actor=actor_of(alice), now=NOW)
    snippet = Content(kind=Kind.TEXT, messages=(Message("user", "Be kind."),))
    prompts.publish(prompt=prompt, content=snippet, actor=actor_of(alice), author=alice, now=NOW)
    alice_client.post(PAGE, typed(text=["{{> tone@1.0.0}} Hello"], model=["test/echo"], act="run"))
    jinja = typed(
        text=["{% for item in items %}{{ item }};{% endfor %}"],
        syntax="jinja",
        variable=["items"],
        variable_type=["list"],
        variable_value=['["a", "b"]'],
        model=["test/echo"],
        act="run",
    )
    alice_client.post(PAGE, jinja)
    assert [answer.text for answer in answers()] == ["Be kind. Hello", "a;b;"]
    page = alice_client.post(PAGE, typed(text=["{{> tone@7.0.0}}"], act="run"))
    assert page.status_code == 422
    assert b"There is no published text prompt tone@7.0.0" in page.content


def test_counts_an_edited_version_to_no_version(alice_client: Client, committed: None, version: Version) -> None:
    page = alice_client.get(f"{PAGE}?{query(prompt='support/answer', version='1.0.0')}")
    sent = {**fields(page), "role": ["system", "placeholder", "user"], "syntax": "mustache", "model": ["test/echo"]}
    sent["variable_type"] = ["text", "messages", "text"]
    sent["text"][0] = "You answer shortly for {{shop}}."
    assert alice_client.post(PAGE, {**sent, "act": "run"}).status_code == 302
    assert the_run().is_edited
    assert spans(version.project)[0][4:6] == ("support/answer", "")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": ["  "]}, "Write at least one message."),
        ({"model": ["", ""]}, "Choose one to 4 models."),
        ({"text": ["Hello {{name}}"]}, "Give a value for name."),
        ({"text": ["Hello {{#name}}"]}, "Message 1:"),
        ({"tools": "[{]"}, "This is not JSON"),
        ({"tools": '[{"type": "function"}]'}, "A tool looks like"),
        ({"response_schema": "[]"}, "This must be a JSON object"),
        ({"temperature": "warm"}, "Write a number."),
        ({"parameters": '{"seed": NaN}'}, "This is not JSON"),
        ({"role": ["nobody"]}, "Choose one of"),
        ({"more": ['{"tool_calls": ["\\u0000"]}']}, "a character that cannot be stored"),
        ({"more": ["[" * 5000]}, "This is not JSON"),
    ],
)
def test_refuses_and_keeps_what_was_typed(alice_client: Client, changes: dict[str, Any], sentence: str) -> None:
    page = alice_client.post(PAGE, typed(**{"text": ["Keep these words"], **changes}, act="run"))
    assert page.status_code == 422
    assert sentence in page.content.decode()
    assert fields(page)["text"] == typed(**{"text": ["Keep these words"], **changes})["text"]
    assert not PlaygroundRun.objects.exists()


def test_says_a_wrong_value_beside_its_variable(alice_client: Client) -> None:
    sent = typed(text=["{{n}}"], variable=["n"], variable_type=["number"], variable_value=["many"], act="run")
    page = alice_client.post(PAGE, sent)
    assert page.status_code == 422
    assert b'aria-invalid="true"' in page.content
    assert b"Write a number, such as 3 or 0.5." in page.content


def test_adds_moves_and_removes_messages_without_script(alice_client: Client) -> None:
    two = typed(role=["system", "user"], text=["one", "two"], name=["", ""], more=["", ""])
    assert fields(alice_client.post(PAGE, {**two, "act": "add_message"}))["text"] == ["one", "two", ""]
    assert fields(alice_client.post(PAGE, {**two, "act": "up:1"}))["text"] == ["two", "one"]
    assert fields(alice_client.post(PAGE, {**two, "act": "remove_message:0"}))["text"] == ["two"]
    found = alice_client.post(PAGE, {**typed(text=["{{shop}} and {{n}}"]), "act": "find_variables"})
    assert fields(found)["variable"] == ["shop", "n"]


def test_lets_viewers_look_and_not_run(bob_client: Client, alice_client: Client, committed: None) -> None:
    alice_client.post(PAGE, typed(act="run"))
    assert bob_client.get(PAGE).status_code == 200
    assert bob_client.get(f"{PAGE}/runs/{the_run().uuid}").status_code == 200
    assert bob_client.post(PAGE, typed(act="run")).status_code == 403
    assert bob_client.post(f"{PAGE}/start", typed()).status_code == 403


def test_hides_runs_of_other_projects(
    alice_client: Client, charlie_client: Client, other_project: Project, committed: None
) -> None:
    alice_client.post(PAGE, typed(act="run"))
    theirs = f"/p/{other_project.slug}/playground"
    assert charlie_client.get(f"{theirs}/runs/{the_run().uuid}").status_code == 404
    assert charlie_client.get(f"{theirs}/answers/{answers()[0].uuid}").status_code == 404


def test_says_under_its_own_column_that_nobody_offers_a_model(alice_client: Client, committed: None) -> None:
    alice_client.post(PAGE, typed(model=["test/echo", "nowhere/gpt-9"], act="run"))
    first, second = answers()
    assert (first.state, second.state) == ("done", "failed")
    assert second.error_code == "no_connection"
    page = alice_client.get(f"{PAGE}/runs/{the_run().uuid}").content.decode()
    assert "No connection of this project offers nowhere/gpt-9" in page.replace("&#x27;", "'")


def test_keeps_an_unknown_cost_unknown(alice_client: Client, committed: None, project: Project) -> None:
    alice_client.post(PAGE, typed(model=["nowhere/gpt-9"], act="run"))
    assert answers()[0].cost_usd is None
    assert [(row[2], row[3]) for row in spans(project)] == [("error", None)]
    assert b">unknown<" in alice_client.get(f"{PAGE}/runs/{the_run().uuid}").content


def test_opens_a_recorded_call_as_it_was(
    alice_client: Client, committed: None, address: str, ingest_key: str, project: Project
) -> None:
    span = make_span(
        provider="openai",
        request_model="gpt-4o",
        input=[
            {"role": "system", "content": "Answer with {{care}}."},
            {"role": "user", "content": [{"type": "text", "text": "Where is 70-4412?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
        ],
        attributes={
            "gen_ai.request.temperature": 0.2,
            "gen_ai.tool.definitions": '[{"type": "function", "function": {"name": "find", "parameters": {}}}]',
        },
    )
    sent = httpx.post(
        f"{address}/api/v1/telemetry", json={"spans": [span]}, headers={"Authorization": f"Bearer {ingest_key}"}
    )
    assert sent.json()["stored"] == 1
    page = alice_client.get(f"{PAGE}?trace={span['trace_id']}&span={span['span_id']}")
    shown = fields(page)
    assert shown["text"][:2] == ["Answer with {{care}}.", "Where is 70-4412?"]
    assert shown["temperature"] == ["0.2"]
    assert "find" in shown["tools"][0]
    more = [text for name in ("more",) for text in shown[name]]
    assert any("tool_calls" in text for text in more)
    assert b'<option value="openai/gpt-4o" selected>' in page.content
    messages = page.context["sheet"].messages
    again = typed(
        role=[row.role for row in messages],
        text=[row.text for row in messages],
        name=[row.name for row in messages],
        more=[row.more for row in messages],
        syntax="none",
        origin="trace",
        trace=span["trace_id"],
        span=span["span_id"],
        act="run",
    )
    assert alice_client.post(PAGE, again).status_code == 302
    assert the_run().messages == [
        {"role": "system", "content": "Answer with {{care}}."},
        {"role": "user", "content": "Where is 70-4412?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
    ]


def test_forgets_a_run_of_a_call_whose_user_was_erased(
    alice_client: Client, committed: None, address: str, ingest_key: str, project: Project, alice: User, now: Any
) -> None:
    span = make_span(user_id="ana-7", input="My name is Ana", output="Hello Ana")
    sent = httpx.post(
        f"{address}/api/v1/telemetry", json={"spans": [span]}, headers={"Authorization": f"Bearer {ingest_key}"}
    )
    assert sent.json()["stored"] == 1
    origin = {"origin": "trace", "trace": span["trace_id"], "span": span["span_id"], "syntax": "none"}
    alice_client.post(PAGE, typed(text=["My name is Ana"], model=["test/echo"], act="run", **origin))
    alice_client.post(PAGE, typed(text=["Another"], model=["test/echo"], act="run"))
    assert services.purge(now=now) == 0
    erasing.request_erasure(project=project, user_id="ana-7", actor=actor_of(alice), now=now)
    assert services.purge(now=now) == 1
    assert [run.messages[0]["content"] for run in PlaygroundRun.objects.all()] == ["Another"]
    stored = rows("SELECT input FROM telemetry_payload WHERE project_id = %s", project.pk)
    assert not any("Ana" in str(row) for row in stored)


def test_saves_a_draft_of_a_new_prompt(alice_client: Client, alice: User, project: Project) -> None:
    sent = typed(
        text=["Hello {{name}}"],
        variable=["name"],
        variable_type=["text"],
        variable_value=["Ana"],
        new_prompt="hello",
        act="save",
    )
    answer = alice_client.post(PAGE, sent)
    assert answer.status_code == 302, answer.content
    draft = Draft.objects.get()
    assert (draft.prompt.name, draft.author, draft.origin) == ("hello", alice, "playground")
    assert draft.body.samples == {"name": "Ana"}
    assert draft.body.model == "test/steady"
    assert fields(alice_client.get(answer["Location"]))["text"] == ["Hello {{name}}"]


def test_never_saves_over_another_draft_unasked(alice_client: Client, version: Version, alice: User, now: Any) -> None:
    mine = Content(messages=(Message("user", "Written in the editor"),))
    prompts.save_draft(prompt=version.prompt, author=alice, content=mine, revision=None, base=version, now=now)
    sent = typed(origin="version", prompt="support/answer", version="1.0.0", act="save")
    page = alice_client.post(PAGE, sent)
    assert page.status_code == 422
    assert b"You have another draft of this prompt." in page.content
    assert Draft.objects.get().body.messages[0].content == "Written in the editor"
    assert alice_client.post(PAGE, {**sent, "overwrite": "on"}).status_code == 302
    draft = prompt_selectors.get_draft(version.prompt, alice)
    assert draft is not None
    assert draft.body.messages[0].content == "When will my order arrive?"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"new_prompt": "not a name"}, "Use letters, digits"),
        ({}, "Name the prompt that this shall be a draft of."),
        ({"new_prompt": "a", "text": ["{{x"], "syntax": "none"}, "The texts hold {{"),
        ({"new_prompt": "a", "more": ['{"tool_calls": [{"id": "1"}]}']}, "holds more than text"),
    ],
)
def test_says_why_a_case_is_no_draft(alice_client: Client, changes: dict[str, Any], sentence: str) -> None:
    page = alice_client.post(PAGE, typed(**changes, act="save"))
    assert page.status_code == 422
    assert sentence in page.content.decode()
    assert not Draft.objects.exists()


def test_holds_a_project_to_its_calls_at_once(alice_client: Client, project: Project) -> None:
    four = ["test/echo"] * 4
    for _ in range(4):
        start(alice_client, model=four)
    refused = alice_client.post(f"{PAGE}/start", typed())
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "too_many_running"
    page = alice_client.post(PAGE, typed(act="run"))
    assert page.status_code == 429
    assert b"16 answers are on their way already" in page.content


def test_closes_answers_that_nobody_finishes(alice_client: Client, project: Project) -> None:
    start(alice_client, model=["test/echo", "test/json"])
    first, second = answers()
    later = first.created_at + timedelta(minutes=10)
    PlaygroundAnswer.objects.filter(pk=first.pk).update(state="running", deadline_at=later - timedelta(seconds=1))
    assert services.close_lost(now=first.created_at + timedelta(minutes=1)) == 0
    assert services.close_lost(now=later) == 2
    assert [(one.state, one.error_code, one.is_complete) for one in answers()] == [
        ("failed", "lost", False),
        ("cancelled", "not_begun", False),
    ]


def test_deletes_runs_with_age(alice_client: Client, project: Project) -> None:
    start(alice_client)
    at = the_run().created_at
    assert services.purge(now=at + timedelta(days=89)) == 0
    Project.objects.filter(pk=project.pk).update(retention_days=30)
    assert services.purge(now=at + timedelta(days=31)) == 1
    assert not PlaygroundAnswer.objects.exists()


def test_asks_the_database_few_things(
    alice_client: Client, committed: None, django_assert_max_num_queries: Any
) -> None:
    alice_client.post(PAGE, typed(model=["test/echo", "test/json"], act="run"))
    address = f"{PAGE}/runs/{the_run().uuid}"
    alice_client.get(address)
    with django_assert_max_num_queries(12):
        alice_client.get(address)

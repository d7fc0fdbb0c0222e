"""Importing and exporting prompt files over the API: what comes back and which rows are left."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from apps.accounts.models import User
from apps.projects.models import Project, Scope
from apps.prompts import selectors
from apps.prompts.content import Message
from apps.prompts.files import own
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.templating import rendering
from tests import factories
from tests.conftest import Api

pytestmark = pytest.mark.django_db

ANSWER = """\
# For the help desk.
name: support/answer
description: Answers a question
tags: [support]
kind: text
variables:
  question:
    type: text   # as typed
text: |
  Answer {{question}}
"""


@pytest.fixture
def write_key(project: Project, alice: User) -> str:
    """A key that may write prompts and nothing else."""
    return factories.make_key(project, Scope.PROMPTS_WRITE, created_by=alice)


@pytest.fixture
def api(write_key: str) -> Api:
    """A client with that key."""
    return Api(write_key)


def send(api: Api, *files: tuple[str, str] | tuple[str, str, str], **more: Any) -> Any:
    """Import files, given as (path, text) or (path, text, base)."""
    told = [dict(zip(("path", "text", "base"), file, strict=False)) for file in files]
    response = api.post("/api/v1/prompts/import", {"files": told, **more})
    assert response.status_code == 200, response.content
    return response.json()


def one(answer: dict[str, Any]) -> dict[str, Any]:
    """The only item of an answer that refused nothing."""
    assert answer["refused"] == []
    (item,) = answer["items"]
    return dict(item)


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(api: Api) -> None:
    item = one(send(api, ("support/answer.prompt.yaml", ANSWER), dry_run=True))
    assert (item["action"], item["status"], item["version"], item["text"]) == ("new", None, "1.0.0", None)
    assert not Prompt.objects.exists()


def test_a_file_becomes_a_prompt_with_a_version_and_keeps_its_comments(api: Api, project: Project, alice: User) -> None:
    item = one(send(api, ("support/answer.prompt.yaml", ANSWER), note="First"))
    assert (item["status"], item["version"]) == ("created", "1.0.0")
    assert item["text"] == ANSWER.replace("tags: [support]\n", "tags: [support]\nversion: 1.0.0\n")
    version = Version.objects.get()
    assert (version.origin, version.note, version.source_text) == ("import", "First", ANSWER)
    prompt = selectors.get_prompt(project, "support/answer")
    assert (prompt.description, prompt.tags) == ("Answers a question", ["support"])


def test_the_same_again_makes_nothing_and_a_change_makes_the_step_it_needs(api: Api) -> None:
    first = one(send(api, ("a.prompt.yaml", ANSWER)))
    again = one(send(api, ("a.prompt.yaml", first["text"])))
    assert (again["action"], again["status"], again["code"]) == ("same", "skipped", "same_content")
    wording = one(send(api, ("a.prompt.yaml", first["text"].replace("Answer {{", "Now answer {{"))))
    assert (wording["status"], wording["version"], wording["bump"]) == ("published", "1.0.1", "patch")
    assert "# For the help desk." in wording["text"]
    lost = ANSWER.replace("{{question}}", "it").replace("variables:\n  question:\n    type: text   # as typed\n", "")
    breaking = one(send(api, ("a.prompt.yaml", lost)))
    assert (breaking["version"], breaking["bump"]) == ("2.0.0", "major")
    assert breaking["bump_reasons"] == ["Variable question was removed or renamed.", "Wording."]
    assert [str(version.number) for version in Version.objects.order_by("pk")] == ["1.0.0", "1.0.1", "2.0.0"]


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("1.0.1", "breaking_lowered", "the change needs 2.0.0: Variable question was removed or renamed."),
        ("0.9.0", "version_taken", "Write 2.0.0, or leave the line out."),
    ],
)
def test_a_version_in_the_file_cannot_hide_a_breaking_change(api: Api, version: str, code: str, words: str) -> None:
    send(api, ("a.prompt.yaml", ANSWER))
    text = f"name: support/answer\nversion: {version}\ntext: |\n  Answer it\n"
    item = one(send(api, ("a.prompt.yaml", text)))
    assert (item["status"], item["code"]) == ("refused", code)
    assert words in item["sentence"]
    assert Version.objects.count() == 1


def test_a_higher_version_in_the_file_is_taken(api: Api) -> None:
    send(api, ("a.prompt.yaml", ANSWER))
    text = ANSWER.replace("kind:", "version: 3.0.0\nkind:").replace("Answer {{", "Tell {{")
    assert one(send(api, ("a.prompt.yaml", text)))["version"] == "3.0.0"


def test_a_file_that_was_built_on_an_older_version_is_refused(api: Api) -> None:
    send(api, ("a.prompt.yaml", ANSWER))
    send(api, ("a.prompt.yaml", ANSWER.replace("Answer {{", "Tell {{"), "1.0.0"))
    item = one(send(api, ("a.prompt.yaml", ANSWER.replace("Answer {{", "Say {{"), "1.0.0")))
    assert (item["status"], item["code"]) == ("refused", "moved_on")
    assert Version.objects.count() == 2


def test_one_bad_file_keeps_no_other_out(api: Api) -> None:
    bad = "name: b\ntext: |\n  {{#if x}}\n"
    undeclared = "name: c\ntext: |\n  {{x}}\n"
    answer = send(
        api, ("a.prompt.yaml", ANSWER), ("b.prompt.yaml", bad), ("c.prompt.yaml", undeclared), ("d.yaml", "a: [")
    )
    statuses = {item["name"]: item["status"] for item in answer["items"]}
    assert statuses == {"support/answer": "created", "b": "refused", "c": "refused"}
    assert answer["refused"][0]["path"] == "d.yaml"
    assert answer["refused"][0]["line"] == 1
    assert [prompt.name for prompt in Prompt.objects.all()] == ["support/answer"]


def test_two_files_with_one_name_are_both_left_out(api: Api) -> None:
    answer = send(api, ("a.prompt.yaml", ANSWER), ("copy of a.prompt.yaml", ANSWER.replace("Answer {{", "Tell {{")))
    assert [item["code"] for item in answer["items"]] == ["same_name", "same_name"]
    assert "copy of a.prompt.yaml defines the name support/answer, too" in answer["items"][0]["sentence"]
    assert not Prompt.objects.exists()


def test_snippets_come_before_those_that_include_them(api: Api, project: Project) -> None:
    rules = {"name": "house rules", "type": "text", "prompt": "Be {{tone}}.", "version": 1, "labels": []}
    talk = {
        "name": "a talk",
        "type": "chat",
        "prompt": [{"role": "system", "content": "@@@langfusePrompt:name=house rules|version=1@@@ Hello {{who}}"}],
        "version": 1,
        "labels": ["production"],
    }
    answer = send(api, ("export.json", json.dumps([talk, {**rules, "version": 2, "prompt": "Stay {{tone}}."}, rules])))
    assert [(item["name"], item["version"], item["status"]) for item in answer["items"]] == [
        ("house-rules", "1.0.0", "created"),
        ("house-rules", "1.0.1", "published"),
        ("a-talk", "1.0.0", "created"),
    ]
    version = selectors.get_version(selectors.get_prompt(project, "a-talk"), "1.0.0")
    assert version.body.messages[0].content == "{{> house-rules@1.0.1}} Hello {{who}}"
    assert version.resolved[0]["content"] == "Stay {{tone}}. Hello {{who}}"
    assert {variable.name for variable in version.body.variables} == {"who", "tone"}


def test_a_dotprompt_and_its_partial_are_published_together(api: Api, project: Project) -> None:
    body = '{{>style mood="odd"}}\n{{#if names}}\nFor:\n{{#each names}}\n- {{this}}\n{{/each}}\n{{/if}}\nBye.\n'
    head = "---\ninput:\n  schema:\n    names?(array): string\n---\n"
    partial = "Be {{#if mood}}{{mood}}{{else}}kind{{/if}}.\n"
    answer = send(api, ("prompts/greet.robot.prompt", head + body), ("prompts/_style.prompt", partial))
    assert [(item["name"], item["status"]) for item in answer["items"]] == [
        ("style", "created"),
        ("greet.robot", "created"),
    ]
    version = selectors.get_version(selectors.get_prompt(project, "greet.robot"), "1.0.0")
    content = replace(version.body, messages=tuple(Message(**one) for one in version.resolved))
    (shown,) = rendering.render(content, {"names": ["Ann", "Bo"]})
    assert shown.content == "Be kind.\nFor:\n- Ann\n- Bo\nBye."
    (shown,) = rendering.render(content, {"mood": "odd"})
    assert shown.content == "Be odd.\nBye."


def test_variables_of_a_jinja_template_are_found(api: Api, project: Project) -> None:
    item = one(send(api, ("judge.jinja2", "Judge {{ answer }}{% if rules %} by {{ rules }}{% endif %}.\n")))
    assert item["status"] == "created"
    version = selectors.get_version(selectors.get_prompt(project, "judge"), "1.0.0")
    assert {(variable.name, variable.is_required) for variable in version.body.variables} == {
        ("answer", True),
        ("rules", False),
    }
    assert "answer (text), rules (text, optional)" in item["notes"][0]


def test_the_first_version_keeps_the_number_it_had(api: Api) -> None:
    item = one(send(api, ("x.yaml", "name: acme/sum\nversion: v0.1.1\nprompt_text: |\n  Sum up {text}\n")))
    assert (item["name"], item["version"], item["status"]) == ("acme/sum", "0.1.1", "created")


def test_drafts_in_place_of_versions(api: Api) -> None:
    item = one(send(api, ("c.prompt.yaml", "name: c\ntext: |\n  {{#if x}}\n"), mode="drafts"))
    assert (item["status"], item["version"]) == ("drafted", None)
    assert Draft.objects.get().body.text == "{{#if x}}\n"
    assert not Version.objects.exists()
    again = one(send(api, ("c.prompt.yaml", "name: c\ntext: |\n  other\n"), mode="drafts"))
    assert (again["status"], again["code"]) == ("refused", "draft_conflict")
    assert Draft.objects.get().body.text == "{{#if x}}\n"


def test_what_is_exported_imports_as_the_same(api: Api, read_key: str, project: Project, alice: User) -> None:
    crlf = ANSWER.replace("\n", "\r\n").removesuffix("\r\n").replace("support/answer", "support/crlf")
    send(
        api,
        ("a.prompt.yaml", ANSWER),
        ("b.prompt.yaml", crlf),
        ("c.prompt.yaml", "name: z\nunknown: {a: 1}\ntext: hi\n"),
    )
    reader = Api(factories.make_key(project, Scope.PROMPTS_READ, created_by=alice))
    page = reader.get("/api/v1/prompts/export?limit=2").json()
    assert [item["path"] for item in page["items"]] == ["support/answer.prompt.yaml", "support/crlf.prompt.yaml"]
    rest = reader.get(f"/api/v1/prompts/export?cursor={page['next']}").json()
    assert (rest["next"], [item["name"] for item in rest["items"]]) == (None, ["z"])
    assert "unknown: {a: 1}" in rest["items"][0]["text"]
    assert page["items"][1]["text"].count("\r\n") == page["items"][1]["text"].count("\n") > 5
    for item in [*page["items"], *rest["items"]]:
        assert own.read(item["text"]).version == item["version"]
        back = one(send(api, (item["path"], item["text"])))
        assert (back["action"], back["text"]) == ("same", item["text"])
    assert reader.get("/api/v1/prompts/export?name=z").json()["items"] == rest["items"]
    assert len(reader.get("/api/v1/prompts/export?folder=support").json()["items"]) == 2


def test_who_may_not(project: Project, other_key: str, ingest_key: str, alice: User, bob: User) -> None:
    body = {"files": [{"path": "a.txt", "text": "hi"}]}
    assert Api().post("/api/v1/prompts/import", body).status_code == 401
    assert Api(ingest_key).post("/api/v1/prompts/import", body).status_code == 403
    assert Api(user=bob).post("/api/v1/prompts/import", body).status_code == 403
    reader = Api(factories.make_key(project, Scope.PROMPTS_READ, created_by=alice))
    assert reader.post("/api/v1/prompts/import", body).status_code == 403
    assert Api(ingest_key).get("/api/v1/prompts/export").status_code == 403
    Api(other_key).post("/api/v1/prompts/import", body)
    assert not Prompt.objects.filter(project=project).exists()
    assert reader.get("/api/v1/prompts/export").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "files"),
        ({"files": []}, "files"),
        ({"files": [{"path": "a", "text": "b"}] * 2}, "files"),
        ({"files": [{"path": "a", "text": "b", "more": 1}]}, "files"),
        ({"files": [{"path": "x" * 301, "text": "b"}]}, "files"),
        ({"files": [{"path": "a", "text": "b", "base": "new"}]}, "files"),
        ({"files": [{"path": f"{n}", "text": "b"} for n in range(501)]}, "files"),
        ({"files": [{"path": "a", "text": "b"}], "mode": "live"}, "mode"),
        ({"files": [{"path": "a", "text": "b"}], "wet_run": True}, "wet_run"),
    ],
)
def test_says_which_field_is_wrong(api: Api, body: dict[str, Any], field: str) -> None:
    response = api.post("/api/v1/prompts/import", body)
    assert response.status_code == 422
    assert field in response.json()["error"]["details"]

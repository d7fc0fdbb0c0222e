"""Prompts and versions over the API: what is made, what is refused and why, and who may."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.projects import services as projects
from apps.projects.models import AuditEntry, Project
from apps.prompts import services as prompts
from apps.prompts.content import text_content
from apps.prompts.models import Deployment, Draft, LiveMark, Prompt, Version
from tests import factories
from tests.conftest import Api
from tests.prompts.conftest import content, environment, make_prompt, owner_of, publish, told

ADDRESS = "/api/v1/prompts"
ONE = f"{ADDRESS}/support/answer"
TONE = text_content("Write warmly.")


def changed(**changes: Any) -> dict[str, Any]:
    """A body for the next version."""
    return {"content": told(**changes), "note": "shorter answers"}


def test_makes_a_prompt_with_its_first_version(writer_api: Api, project: Project) -> None:
    answer = writer_api.post(ADDRESS, {"name": "support/answer", "tags": ["desk", " desk "], "content": told()})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["name"], made["latest"], made["tags"], made["live"]) == ("support/answer", "1.0.0", ["desk"], [])
    assert made["version"]["content"]["messages"] == told()["messages"]
    assert made["version"]["bump_reasons"] == ["This is the first version."]
    row = Version.objects.get()
    assert (str(row.number), row.origin, row.content_hash) == ("1.0.0", "api", made["version"]["content_hash"])
    actions = AuditEntry.objects.filter(project_id=project.pk).order_by("number").values_list("action", flat=True)
    assert list(actions)[-2:] == ["prompts.created", "prompts.published"]


def test_makes_nothing_when_the_content_is_wrong(writer_api: Api) -> None:
    answer = writer_api.post(ADDRESS, {"name": "support/answer", "content": told(messages=[])})
    assert (answer.status_code, answer.json()["error"]["details"]) == (
        422,
        {"messages": ["A prompt needs at least one message."]},
    )
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(
    "name", ["", "a b", "/a", "a/", "a//b", ".a", "a/versions", "live", "a/../b", "ä", "x" * 201, "a\n"]
)
def test_refuses_a_bad_name(writer_api: Api, name: str) -> None:
    answer = writer_api.post(ADDRESS, {"name": name})
    assert answer.status_code == 422
    assert "name" in answer.json()["error"]["details"]


def test_refuses_a_name_that_somebody_has_or_had(writer_api: Api, prompt: Prompt) -> None:
    assert writer_api.post(ADDRESS, {"name": "support/answer"}).json()["error"]["code"] == "name_taken"
    renamed = writer_api.patch(ONE, {"name": "support/reply"})
    assert (renamed.status_code, renamed.json()["former_names"]) == (200, ["support/answer"])
    assert writer_api.post(ADDRESS, {"name": "support/answer"}).json()["error"]["code"] == "name_taken"
    assert writer_api.get(ONE).json()["name"] == "support/reply"
    back = writer_api.patch(ONE, {"name": "support/answer"}).json()
    assert (back["name"], back["former_names"]) == ("support/answer", ["support/reply"])


def test_lists_by_folder_words_and_tag_in_pages(writer_api: Api, project: Project, prompt: Prompt) -> None:
    for name in ("support/summary", "sales/offer", "mail"):
        made = make_prompt(project, name, tags=["desk"] if "sup" in name else [])
        publish(made)
    names = lambda query: [one["name"] for one in writer_api.get(f"{ADDRESS}?{query}").json()["items"]]  # noqa: E731
    assert names("") == ["mail", "sales/offer", "support/answer", "support/summary"]
    assert names("folder=support") == ["support/answer", "support/summary"]
    assert names("q=SUM") == ["support/summary"]
    assert names("tag=desk") == ["support/summary"]
    first = writer_api.get(f"{ADDRESS}?limit=3").json()
    assert first["next"] == "support/answer"
    assert names(f"limit=3&cursor={first['next']}") == ["support/summary"]
    assert writer_api.get(f"{ADDRESS}?color=red").status_code == 422


def test_publishes_the_step_that_the_change_needs(writer_api: Api, prompt: Prompt) -> None:
    steps = [
        ({"messages": [{"role": "user", "content": "{{shop}}: {{question}}"}]}, "1.0.1"),
        ({"model": "test/steady"}, "1.1.0"),
        ({"variables": told()["variables"][:1], "messages": told()["messages"][:1]}, "2.0.0"),
    ]
    for changes, number in steps:
        planned = writer_api.post(f"{ONE}/versions", {**changed(**changes), "dry_run": True})
        assert (planned.status_code, planned.json()["version"]) == (200, number)
        made = writer_api.post(f"{ONE}/versions", changed(**changes))
        assert (made.status_code, made.json()["version"]) == (201, number), made.content
    listed = writer_api.get(f"{ONE}/versions").json()["items"]
    assert [(one["version"], one["bump"]) for one in listed] == [
        ("2.0.0", "major"),
        ("1.1.0", "minor"),
        ("1.0.1", "patch"),
        ("1.0.0", "major"),
    ]
    assert "question was removed or renamed" in listed[0]["bump_reasons"][0]
    page = writer_api.get(f"{ONE}/versions?limit=2").json()
    rest = writer_api.get(f"{ONE}/versions?cursor={page['next']}").json()
    assert [one["version"] for one in rest["items"]] == ["1.0.1", "1.0.0"]


def test_lets_a_step_be_raised_and_not_lowered_silently(writer_api: Api, project: Project, prompt: Prompt) -> None:
    raised = writer_api.post(f"{ONE}/versions", {**changed(model="test/steady"), "bump": "major"})
    assert raised.json()["version"] == "2.0.0"
    breaking = changed(variables=told()["variables"][:1], messages=told()["messages"][:1])
    refused = writer_api.post(f"{ONE}/versions", {**breaking, "bump": "patch"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "breaking_lowered")
    assert "question was removed" in refused.json()["error"]["message"]
    named = writer_api.post(f"{ONE}/versions", {**breaking, "version": "2.0.1"})
    assert named.json()["error"]["code"] == "breaking_lowered"
    reason = "nobody calls it yet"
    lowered = writer_api.post(f"{ONE}/versions", {**breaking, "bump": "patch", "lowered_because": reason})
    assert (lowered.status_code, lowered.json()["version"], lowered.json()["suggested_bump"]) == (201, "2.0.1", "major")
    entry = AuditEntry.objects.filter(project_id=project.pk, action="prompts.published").order_by("-number")[0]
    assert (entry.details["suggested"], entry.details["lowered_because"]) == ("major", reason)


def test_takes_a_number_that_is_higher(writer_api: Api, prompt: Prompt) -> None:
    for number in ("1.0.0", "0.9.0"):
        refused = writer_api.post(f"{ONE}/versions", {**changed(model="test/steady"), "version": number})
        assert refused.json()["error"]["code"] == "version_taken"
        assert "1.1.0" in refused.json()["error"]["message"]
    made = writer_api.post(f"{ONE}/versions", {**changed(model="test/steady"), "version": "3.4.5"})
    assert made.json()["version"] == "3.4.5"
    assert writer_api.post(f"{ONE}/versions", {**changed(), "version": "new"}).status_code == 422
    assert writer_api.post(f"{ONE}/versions", {**changed(), "version": "4.0.0", "bump": "major"}).status_code == 422


def test_recognises_content_that_is_there_already(writer_api: Api, prompt: Prompt) -> None:
    publish(prompt, content(model="test/steady"))
    refused = writer_api.post(f"{ONE}/versions", changed())
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "same_content")
    assert refused.json()["error"]["details"]["version"] == "1.0.0"
    assert writer_api.post(f"{ONE}/versions", {**changed(), "dry_run": True}).json()["same_as"] == "1.0.0"
    assert Version.objects.count() == 2


def test_refuses_to_publish_over_somebody_else(writer_api: Api, prompt: Prompt) -> None:
    publish(prompt, content(model="test/steady"))
    body = {**changed(model="test/slow"), "base": "1.0.0"}
    refused = writer_api.post(f"{ONE}/versions", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "moved_on")
    assert "1.1.0 was published by alice@example.com" in refused.json()["error"]["message"]
    assert writer_api.post(f"{ONE}/versions", {**body, "base": "1.1.0"}).status_code == 201


def test_includes_snippets_by_their_version(writer_api: Api, project: Project) -> None:
    tone = {"name": "snippets/tone", "content": {"text": "Write warmly to {{who}}.", "variables": [{"name": "who"}]}}
    assert writer_api.post(ADDRESS, tone).status_code == 201
    greeting = {"text": "{{> snippets/tone@1.0.0}} Greet first.", "variables": [{"name": "who"}]}
    assert writer_api.post(ADDRESS, {"name": "snippets/greeting", "content": greeting}).status_code == 201
    body = told(messages=[{"role": "user", "content": "{{> snippets/greeting@1.0.0}}\n{{shop}} {{question}}"}])
    refused = writer_api.post(ADDRESS, {"name": "mail", "content": body})
    assert "The variable who is used and not declared" in str(refused.json()["error"]["details"])
    body["variables"].append({"name": "who"})
    made = writer_api.post(ADDRESS, {"name": "mail", "content": body})
    assert made.status_code == 201, made.content
    version = made.json()["version"]
    assert version["resolved"][0]["content"] == "Write warmly to {{who}}. Greet first.\n{{shop}} {{question}}"
    assert version["includes"] == [{"name": "snippets/greeting", "version": "1.0.0"}]
    assert version["content"]["messages"][0]["content"].startswith("{{> snippets/greeting@1.0.0}}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{> snippets/tone}}", "snippets/tone@1.0.0 is the newest"),
        ("{{> snippets/none}}", "no published text prompt snippets/none"),
        ("{{> snippets/tone@9.0.0}}", "no published text prompt snippets/tone@9.0.0"),
        ("{{> support/answer@1.0.0}}", "no published text prompt support/answer@1.0.0"),
        ("{{> elsewhere@1.0.0}}", "no published text prompt elsewhere@1.0.0"),
        ("{{#open}} never closed", ""),
        ("{{unknown}}", "The variable unknown is used and not declared"),
    ],
)
def test_refuses_what_cannot_be_rendered(
    writer_api: Api, project: Project, prompt: Prompt, other_project: Project, text: str, words: str
) -> None:
    publish(make_prompt(project, "snippets/tone"), TONE)
    publish(make_prompt(other_project, "elsewhere"), TONE)
    refused = writer_api.post(f"{ONE}/versions", changed(messages=[{"role": "user", "content": text}]))
    assert refused.status_code == 422, refused.content
    (sentences,) = refused.json()["error"]["details"].values()
    assert words in sentences[0]
    assert str(prompt.versions.get().number) == "1.0.0"


def test_reads_one_version_with_an_etag(reader_api: Api, prompt: Prompt) -> None:
    first = reader_api.get(f"{ONE}/versions/1.0.0")
    assert first.json()["content"]["parameters"] == {"temperature": 0.2}
    again = reader_api.get(f"{ONE}/versions/v1.0.0", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert reader_api.get(f"{ONE}/versions/latest").json() == first.json()
    assert reader_api.get(f"{ONE}/versions/1.0.1").status_code == 404
    assert reader_api.get(f"{ADDRESS}/nothing/versions/1.0.0").status_code == 404


def test_archives_and_brings_back(writer_api: Api, prompt: Prompt) -> None:
    assert writer_api.patch(ONE, {"archived": True}).json()["archived_at"]
    assert writer_api.get(ADDRESS).json()["items"] == []
    assert writer_api.get(f"{ADDRESS}?archived=true").json()["items"][0]["name"] == "support/answer"
    assert writer_api.patch(ONE, {"archived": False}).json()["archived_at"] is None


def test_changes_all_or_nothing(writer_api: Api, key_api: Api, prompt: Prompt) -> None:
    refused = writer_api.patch(ONE, {"name": "support/reply", "description": "new", "owner": "nobody@example.com"})
    assert refused.status_code == 422
    refused = writer_api.patch(ONE, {"name": "support/reply", "description": "x" * 10_001})
    assert "description" in refused.json()["error"]["details"]
    prompt.refresh_from_db()
    assert (prompt.name, prompt.description) == ("support/answer", "")
    refused = writer_api.patch(ONE, {"feature": "chat"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_needed")
    assert key_api.patch(ONE, {"feature": "chat"}).json()["feature"] == "chat"
    given = writer_api.patch(ONE, {"description": "new", "owner": "alice@example.com"}).json()
    assert (given["description"], given["owner"], given["name"]) == ("new", "alice@example.com", "support/answer")


def test_lets_readers_read_only(reader_api: Api, read_key: str, prompt: Prompt) -> None:
    assert reader_api.get(ONE).status_code == 200
    assert reader_api.post(ADDRESS, {"name": "x"}).status_code == 403
    assert reader_api.post(f"{ONE}/versions", changed()).status_code == 403
    assert reader_api.patch(ONE, {"description": "x"}).status_code == 403
    assert Api(read_key).get(ONE).status_code == 403
    assert Api().get(ONE).status_code == 401


def test_hides_prompts_from_other_projects(other_key: str, prompt: Prompt) -> None:
    stranger = Api(other_key)
    assert stranger.get(ADDRESS).json()["items"] == []
    for path in (ONE, f"{ONE}/versions", f"{ONE}/versions/1.0.0"):
        assert stranger.get(path).status_code == 404
    assert stranger.post(f"{ONE}/versions", changed()).status_code == 404
    assert stranger.patch(ONE, {"description": "x"}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{",
        b"\xff",
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000"}',
    ],
)
def test_refuses_hostile_json_in_words(writer_api: Api, body: bytes) -> None:
    answer = writer_api.generic("POST", ADDRESS, body)
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["message"]


def test_never_changes_a_version(prompt: Prompt) -> None:
    version = prompt.versions.get()
    for statement in (
        "UPDATE prompts_version SET note = 'x' WHERE id = %s",
        "UPDATE prompts_version SET content = '{}' WHERE id = %s",
        "DELETE FROM prompts_version WHERE id = %s",
    ):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [version.pk])
    version.refresh_from_db()
    assert version.note == ""


def test_goes_with_its_project(project: Project, prompt: Prompt, now: datetime) -> None:
    alice = factories.actor_of(owner_of(project))
    where = environment(project, "staging")
    prompts.deploy(prompt=prompt, version=prompt.versions.get(), environment=where, actor=alice, now=now)
    prompts.save_draft(prompt=prompt, author=owner_of(project), content=content(), revision=None, base=None, now=now)
    projects.delete_project(project=project, typed_name=project.name, actor=alice, now=now)
    for model in (Prompt, Version, Draft, Deployment, LiveMark):
        assert not model.objects.exists()

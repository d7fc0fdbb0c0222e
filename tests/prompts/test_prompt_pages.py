"""The list and the pages of one prompt: what they show, to whom, with how few queries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project, Role
from apps.prompts import services as prompts
from apps.prompts.content import Message, text_content
from apps.prompts.models import Prompt
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, publish

LIST = "/p/support-desk/prompts"
PAGE = f"{LIST}/support/answer"


def names(client: Client, **query: str) -> list[str]:
    """The names on the list."""
    return [line.name for line in client.get(LIST, query).context["page"].items]


# --- The list ---------------------------------------------------------------------------------------------------------


def test_teaches_while_there_is_nothing(alice_client: Client, bob_client: Client, project: Project) -> None:
    page = alice_client.get(LIST).content.decode()
    assert "Write the first prompt" in page
    assert "/api/v1/prompts/support/answer/live?environment=development" in page
    assert "Write the first prompt" not in bob_client.get(LIST).content.decode()


def test_lists_what_is_live_where(alice_client: Client, alice: User, project: Project, prompt: Prompt) -> None:
    first = prompt.versions.get()
    for slug in ("staging", "development"):
        prompts.deploy(
            prompt=prompt,
            version=first,
            environment=environment(project, slug),
            actor=factories.actor_of(alice),
            now=factories.NOW,
        )
    publish(prompt, content(model="other"), now=factories.NOW + timedelta(hours=1))
    prompts.save_draft(prompt=prompt, author=alice, content=content(), revision=None, base=first, now=factories.NOW)
    (line,) = alice_client.get(LIST).context["page"].items
    assert str(line.latest) == "1.1.0"
    assert [(place.environment, str(place.number)) for place in line.live] == [
        ("staging", "1.0.0"),
        ("development", "1.0.0"),
    ]
    assert line.drafts == 1
    page = alice_client.get(LIST).content.decode()
    assert "staging" in page
    assert f"{PAGE}/-/versions/1.1.0" in page


def test_narrows_the_list(alice_client: Client, alice: User, project: Project) -> None:
    make_prompt(project, "support/answer", tags=["golden"])
    make_prompt(project, "support/mail/first", description="A first answer by mail")
    make_prompt(project, "sales", tags=["golden"])
    gone = make_prompt(project, "old")
    prompts.archive_prompt(prompt=gone, actor=factories.actor_of(alice), now=factories.NOW)
    assert names(alice_client) == ["sales", "support/answer", "support/mail/first"]
    assert names(alice_client, folder="support") == ["support/answer", "support/mail/first"]
    assert names(alice_client, folder="support/mail/") == ["support/mail/first"]
    assert names(alice_client, q="answer") == ["support/answer", "support/mail/first"]
    assert names(alice_client, q="answer mail") == ["support/mail/first"]
    assert names(alice_client, tag="golden") == ["sales", "support/answer"]
    assert names(alice_client, archived="on") == ["old", "sales", "support/answer", "support/mail/first"]
    assert names(alice_client, q="x" * 300) == ["sales", "support/answer", "support/mail/first"]
    page = alice_client.get(LIST, {"q": "nothing of this"}).content.decode()
    assert "No prompt matches" in page
    folders = [folder.path for folder in alice_client.get(LIST).context["folders"]]
    assert folders == ["support", "support/mail"]


def test_pages_by_name(alice_client: Client, project: Project) -> None:
    for number in range(53):
        make_prompt(project, f"p{number:02}")
    first = names(alice_client)
    assert (len(first), first[-1]) == (50, "p49")
    assert "after=p49" in alice_client.get(LIST).content.decode()
    assert names(alice_client, after="p49") == ["p50", "p51", "p52"]


@pytest.mark.parametrize(
    "query", [{"q": "\x00"}, {"folder": "a\x00"}, {"tag": "%"}, {"after": "\x00"}, {"archived": "x"}]
)
def test_takes_any_address(alice_client: Client, prompt: Prompt, query: dict[str, str]) -> None:
    assert alice_client.get(LIST, query).status_code == 200


def test_hides_other_projects(charlie_client: Client, prompt: Prompt) -> None:
    for path in ("", "/-/new", "/support/answer", "/support/answer/-/versions", "/support/answer/-/diff"):
        assert charlie_client.get(LIST + path).status_code == 404


# --- Making one ----------------------------------------------------------------------------------


def test_makes_a_prompt_and_goes_on_to_its_text(alice_client: Client, alice: User, project: Project) -> None:
    response = alice_client.post(f"{LIST}/-/new", {"name": "support/answer", "kind": "text", "description": "For mail"})
    assert (response.status_code, response["Location"]) == (302, f"{PAGE}/-/edit?kind=text")
    made = Prompt.objects.get()
    assert (made.name, made.description, made.owner) == ("support/answer", "For mail", alice)
    assert AuditEntry.objects.filter(action="prompts.created").exists()
    assert alice_client.get(response["Location"]).context["typed"].kind == "text"


@pytest.mark.parametrize("name", ["", "two words", "a//b", "-", "a/versions", "../x", "x" * 201, "ü", "a\x00"])
def test_refuses_bad_names_beside_the_field(alice_client: Client, project: Project, name: str) -> None:
    response = alice_client.post(f"{LIST}/-/new", {"name": name, "kind": "chat"})
    assert response.status_code == 422
    assert response.context["form"].errors["name"]
    assert not Prompt.objects.exists()


def test_refuses_a_name_that_is_taken(alice_client: Client, prompt: Prompt) -> None:
    response = alice_client.post(f"{LIST}/-/new", {"name": "support/answer", "kind": "chat", "description": "Kept"})
    assert response.status_code == 422
    assert "There is a prompt that has, or had, the name" in response.content.decode()
    assert "Kept" in response.content.decode()


# --- One prompt ----------------------------------------------------------------------------------


def test_shows_what_a_prompt_says(bob_client: Client, prompt: Prompt) -> None:
    page = bob_client.get(PAGE).content.decode()
    assert '<span class="var">{{shop}}</span>' in page
    assert "Fernhill Outdoor" in page
    assert "1.0.0" in page
    assert "This is the first version." in page
    assert "/-/edit" not in page, "a viewer cannot write"
    assert "curl" in page
    assert '<span class="bump">first</span>' in page
    assert "bump--major" not in page


def test_shows_drafts_of_others(alice_client: Client, project: Project, prompt: Prompt) -> None:
    dora = factories.make_user("dora@example.com", name="Dora")
    factories.make_member(project, dora, role=Role.EDITOR)
    draft = prompts.save_draft(
        prompt=prompt, author=dora, content=content(model="x"), revision=None, base=None, now=factories.NOW
    )
    page = alice_client.get(PAGE).content.decode()
    assert "Dora" in page
    assert f"{PAGE}/-/diff?draft={draft.uuid}" in page
    assert alice_client.get(f"{PAGE}/-/diff", {"draft": str(draft.uuid)}).status_code == 200
    taken = alice_client.get(f"{PAGE}/-/edit", {"take": str(draft.uuid)})
    assert taken.context["typed"].model == "x"


def test_shows_a_prompt_without_any_version(alice_client: Client, project: Project) -> None:
    make_prompt(project)
    page = alice_client.get(PAGE).content.decode()
    assert "Nothing is published yet" in page
    for path in ("/-/edit", "/-/versions", "/-/diff", "/-/publish", "/-/settings"):
        assert alice_client.get(PAGE + path).status_code == 200


def test_shows_old_versions_as_they_were(alice_client: Client, prompt: Prompt) -> None:
    publish(prompt, content(messages=[{"role": "user", "content": "Now other words. {{shop}} {{question}}"}]))
    page = alice_client.get(f"{PAGE}/-/versions/1.0.0").content.decode()
    assert "Be brief." in page
    assert "Now other words." not in page
    assert "What came after, up to 1.0.1" in page
    again = alice_client.get(f"{PAGE}/-/edit", {"from": "1.0.0"})
    assert "Be brief." in again.context["typed"].messages[0].content
    for number in ("9.9.9", "x", "1.0"):
        assert alice_client.get(f"{PAGE}/-/versions/{number}").status_code == 404


def test_shows_snippets_in_their_places(alice_client: Client, project: Project, prompt: Prompt) -> None:
    publish(make_prompt(project, "tone"), text_content("Be short."))
    publish(prompt, content(messages=[{"role": "user", "content": "{{shop}} {{question}} {{> tone@1.0.0}}"}]))
    page = alice_client.get(f"{PAGE}/-/versions/1.0.1").content.decode()
    assert "With its snippets in place" in page
    assert "Be short." in page
    assert f"{LIST}/tone/-/versions/1.0.0" in page


def test_answers_under_a_former_name(alice_client: Client, alice: User, prompt: Prompt) -> None:
    prompts.rename_prompt(prompt=prompt, name="help", actor=factories.actor_of(alice), now=factories.NOW)
    response = alice_client.get(PAGE)
    assert (response.status_code, response["Location"]) == (302, f"{LIST}/help")


def test_pages_versions(alice_client: Client, prompt: Prompt) -> None:
    for number in range(52):
        publish(prompt, content(parameters={"temperature": number / 100 + 0.5}))
    first = alice_client.get(f"{PAGE}/-/versions")
    assert [str(line.version.number) for line in first.context["history"]][:2] == ["1.52.0", "1.51.0"]
    assert len(first.context["history"]) == 50
    rest = alice_client.get(f"{PAGE}/-/versions", {"before": str(first.context["next"])})
    assert [str(line.version.number) for line in rest.context["history"]] == ["1.2.0", "1.1.0", "1.0.0"]


# --- Around it ----------------------------------------------------------------------------------


def test_changes_what_stands_around_the_versions(alice_client: Client, bob: User, prompt: Prompt) -> None:
    sent = {"do": "change", "description": "New words", "owner": str(bob.pk), "tags": "a, b ,a,", "feature": "chat"}
    assert alice_client.post(f"{PAGE}/-/settings", sent).status_code == 302
    prompt.refresh_from_db()
    assert (prompt.description, prompt.owner, prompt.tags, prompt.feature) == ("New words", bob, ["a", "b"], "chat")
    response = alice_client.post(f"{PAGE}/-/settings", {"do": "change", "tags": "x" * 100, "description": "Kept"})
    assert response.status_code == 422
    assert response.context["form"].errors["tags"]
    assert "Kept" in response.content.decode()


def test_renames_archives_and_restores(alice_client: Client, project: Project, prompt: Prompt) -> None:
    make_prompt(project, "taken")
    for name, says in (("taken", "has, or had, the name"), ("two words", "letters, digits")):
        response = alice_client.post(f"{PAGE}/-/settings", {"do": "rename", "name": name})
        assert (response.status_code, says in response.content.decode()) == (422, True)
    response = alice_client.post(f"{PAGE}/-/settings", {"do": "rename", "name": "help"})
    assert response["Location"] == f"{LIST}/help/-/settings"
    alice_client.post(response["Location"], {"do": "archive"})
    assert Prompt.objects.get(name="help").archived_at is not None
    assert "This prompt is archived." in alice_client.get(f"{LIST}/help").content.decode()
    alice_client.post(response["Location"], {"do": "restore"})
    assert Prompt.objects.get(name="help").archived_at is None


def test_keeps_what_is_live_on_the_list(alice_client: Client, alice: User, project: Project, prompt: Prompt) -> None:
    prompts.deploy(
        prompt=prompt,
        version=prompt.versions.get(),
        environment=environment(project, "staging"),
        actor=factories.actor_of(alice),
        now=factories.NOW,
    )
    response = alice_client.post(f"{PAGE}/-/settings", {"do": "archive"}, follow=True)
    assert "live in staging" in response.content.decode()
    assert Prompt.objects.get().archived_at is None


@pytest.mark.parametrize(
    "markup", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{% debug %}{{ settings }}"]
)
def test_shows_markup_as_text(alice_client: Client, alice: User, project: Project, markup: str) -> None:
    prompt = make_prompt(project, description=markup, tags=[markup[:60]])
    body = content(messages=[{"role": "user", "content": markup.replace("{{", "{ {")}], variables=[], model=markup)
    publish(prompt, body, note=markup)
    for path in (LIST, PAGE, f"{PAGE}/-/versions", f"{PAGE}/-/versions/1.0.0", f"{PAGE}/-/settings", f"{PAGE}/-/diff"):
        page = alice_client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_needs_few_queries(
    alice_client: Client,
    alice: User,
    project: Project,
    prompt: Prompt,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(6):
        publish(make_prompt(project, f"more/p{number}", tags=["x"]))
        publish(prompt, content(parameters={"temperature": number + 1}))
    prompts.save_draft(prompt=prompt, author=alice, content=content(), revision=None, base=None, now=factories.NOW)
    alice_client.get(LIST)
    paths = ("", "/support/answer", "/support/answer/-/versions", "/support/answer/-/versions/1.2.0", "/-/new")
    for path in (*paths, "/support/answer/-/settings", "/support/answer/-/diff", "/support/answer/-/publish"):
        with django_assert_max_num_queries(12):
            assert alice_client.get(LIST + path).status_code == 200, path


def test_marks_a_message_that_names_a_placeholder(alice_client: Client, project: Project) -> None:
    prompt = make_prompt(project)
    variables = [{"name": "history", "type": "messages", "required": False}]
    body = content(messages=[{"role": "placeholder", "content": "history"}], variables=variables)
    assert body.messages == (Message("placeholder", "history"),)
    publish(prompt, body)
    assert "Here stand the messages of the variable" in alice_client.get(PAGE).content.decode()


def test_is_found_from_the_palette(
    alice_client: Client, charlie_client: Client, project: Project, other_project: Project, prompt: Prompt
) -> None:
    def found(client: Client, slug: str, words: str) -> str:
        return client.get(f"/p/{slug}/palette", {"q": words}, headers={"HX-Request": "true"}).content.decode()

    assert f'href="{PAGE}"' in found(alice_client, project.slug, "ANSW sup")
    assert "support/answer" not in found(alice_client, project.slug, "nothing")
    assert "support/answer" not in found(charlie_client, other_project.slug, "answer")

"""Publishing from the page: the step and its reasons, what is refused and why, and what stays as it was typed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.projects.models import Project, Role
from apps.prompts import services as prompts
from apps.prompts.content import Content
from apps.prompts.models import Draft, Prompt, Version
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, publish

PAGE = "/p/support-desk/prompts/support/answer"
URL = f"{PAGE}/-/publish"
SECRET = "Use sk-" + "a1B2c3D4e5F6g7H8i9J0" * 2 + " for it. {{shop}} {{question}}"


@pytest.fixture
def save(alice: User, prompt: Prompt) -> Any:
    """Saves Alice's draft, begun with the newest version unless another is given."""

    def save_(body: Content, base: Version | None = None) -> Draft:
        draft = Draft.objects.filter(prompt=prompt, author=alice).first()
        return prompts.save_draft(
            prompt=prompt,
            author=alice,
            content=body,
            revision=None if draft is None else draft.revision,
            base=base or prompt.versions.first(),
            now=factories.NOW,
        )

    return save_


def saying(text: str, **more: Any) -> Content:
    """The usual content with other words in its first message."""
    messages = [{"role": "system", "content": text}, {"role": "user", "content": "{{question}}"}]
    return content(messages=messages, **more)


def test_shows_the_step_and_publishes(alice_client: Client, alice: User, prompt: Prompt, save: Any) -> None:
    save(saying("You help customers of {{shop}}. Be kind."))
    page = alice_client.get(URL)
    assert [(str(step.number), step.is_suggested) for step in page.context["steps"]] == [
        ("1.0.1", True),
        ("1.1.0", False),
        ("2.0.0", False),
    ]
    assert "<del>brief</del>" in page.content.decode()
    assert "<ins>kind</ins>" in page.content.decode()
    response = alice_client.post(URL, {"revision": "1", "note": "Kinder <b>now</b>", "bump": "patch"})
    assert response["Location"] == f"{PAGE}?published=1.0.1"
    version = prompt.versions.first()
    assert version is not None
    assert (str(version.number), version.note, version.author, version.origin) == (
        "1.0.1",
        "Kinder <b>now</b>",
        alice,
        "editor",
    )
    assert not Draft.objects.exists()
    shown = alice_client.get(response["Location"]).content.decode()
    assert "Version 1.0.1 is published." in shown
    assert "-/deploy?environment=staging&amp;version=1.0.1" in shown
    assert "-/deploy?environment=production" not in shown
    assert "Kinder &lt;b&gt;now&lt;/b&gt;" in shown


def test_raises_the_step_by_choice(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(saying("You help {{shop}}."))
    alice_client.post(URL, {"revision": "1", "bump": "major"})
    assert str(prompt.versions.first()) == "support/answer@2.0.0"


def test_lowers_a_breaking_step_only_with_a_reason(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(content(messages=[{"role": "user", "content": "{{question}}"}], variables=[{"name": "question"}]))
    assert "Variable shop was removed or renamed." in alice_client.get(URL).content.decode()
    response = alice_client.post(URL, {"revision": "1", "bump": "patch", "note": "Kept words"})
    assert response.status_code == 422
    assert "This change needs a major version" in response.context["form"].errors["lowered_because"][0]
    page = response.content.decode()
    assert "Kept words" in page
    assert re.search(r'">Why callers are not affected</label>', page), "nothing calls the reason optional"
    assert 'id="id_lowered_because_error"' in page
    assert response.context["chosen"] == "patch"
    assert prompt.versions.count() == 1
    sent = {"revision": "1", "bump": "patch", "lowered_because": "Nobody asks for it yet."}
    assert alice_client.post(URL, sent).status_code == 302
    version = prompt.versions.first()
    assert version is not None
    assert (str(version.number), version.suggested_bump) == ("1.0.1", "major")


def test_recognises_the_same_content(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(content())
    page = alice_client.get(URL).content.decode()
    assert "Version 1.0.0 says exactly this." in page
    assert f"{PAGE}/-/versions/1.0.0" in page
    response = alice_client.post(URL, {"revision": "1"})
    assert (response.status_code, prompt.versions.count()) == (422, 1)


def test_publishes_only_the_draft_that_was_seen(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(saying("One. {{shop}}"))
    save(saying("Two. {{shop}}"))
    response = alice_client.post(URL, {"revision": "1"})
    assert response.status_code == 422
    assert "saved again since this page was opened" in response.content.decode()
    assert 'name="revision" value="2"' in response.content.decode()
    assert prompt.versions.count() == 1
    assert alice_client.post(URL, {"revision": "2"}).status_code == 302


def test_refuses_a_draft_that_others_have_overtaken(
    alice_client: Client, project: Project, prompt: Prompt, save: Any
) -> None:
    base = prompt.versions.get()
    publish(prompt, content(model="another"))
    save(saying("Mine. {{shop}}"), base)
    assert "and your draft began with 1.0.0" in alice_client.get(URL).content.decode()
    response = alice_client.post(URL, {"revision": "1"})
    assert response.status_code == 422
    assert "since you began with 1.0.0" in response.content.decode()
    assert prompt.versions.count() == 2
    assert Draft.objects.exists()


def test_refuses_what_cannot_work(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(saying("{{shop}} {{nobody}} {{#open}}"))
    page = alice_client.get(URL)
    assert page.context["plan"] is None
    assert "This cannot be published yet." in page.content.decode()
    assert alice_client.post(URL, {"revision": "1"}).status_code == 422
    assert prompt.versions.count() == 1


def test_refuses_a_secret_until_somebody_looked(alice_client: Client, prompt: Prompt, save: Any) -> None:
    save(saying(SECRET))
    assert "This looks like a key" in alice_client.get(URL).content.decode()
    response = alice_client.post(URL, {"revision": "1"})
    assert response.status_code == 422
    assert response.context["form"].errors["no_secret"]
    assert prompt.versions.count() == 1
    assert alice_client.post(URL, {"revision": "1", "no_secret": "on"}).status_code == 302


def test_publishes_the_first_version(alice_client: Client, alice: User, project: Project) -> None:
    made = make_prompt(project, "support/answer")
    prompts.save_draft(prompt=made, author=alice, content=content(), revision=None, base=None, now=factories.NOW)
    page = alice_client.get(URL)
    assert page.context["steps"] == []
    assert "the first version" in page.content.decode()
    alice_client.post(URL, {"revision": "1", "note": ""})
    assert str(made.versions.get()) == "support/answer@1.0.0"


@pytest.mark.parametrize(
    "sent", [{}, {"revision": "x"}, {"revision": "1", "bump": "huge"}, {"revision": "1", "note": "\x00"}]
)
def test_takes_any_form(alice_client: Client, prompt: Prompt, save: Any, sent: dict[str, str]) -> None:
    save(saying("Fresh. {{shop}}"))
    assert alice_client.post(URL, sent).status_code in {302, 422}


def test_offers_no_place_where_it_is_live_already(
    alice_client: Client, alice: User, project: Project, prompt: Prompt
) -> None:
    prompts.deploy(
        prompt=prompt,
        version=prompt.versions.get(),
        environment=environment(project, "staging"),
        actor=factories.actor_of(alice),
        now=factories.NOW,
    )
    page = alice_client.get(PAGE, {"published": "1.0.0"}).content.decode()
    assert "Deploy to development" in page
    assert "Deploy to staging" not in page
    assert "is published." not in alice_client.get(PAGE, {"published": "9.9.9"}).content.decode()


def test_publishes_nothing_of_others(alice_client: Client, project: Project, prompt: Prompt) -> None:
    dora = factories.make_user("dora@example.com", name="Dora")
    factories.make_member(project, dora, role=Role.EDITOR)
    prompts.save_draft(
        prompt=prompt, author=dora, content=saying("Hers. {{shop}}"), revision=None, base=None, now=factories.NOW
    )
    response = alice_client.post(URL, {"revision": "1"})
    assert "There is no draft to publish" in response.content.decode()
    assert prompt.versions.count() == 1

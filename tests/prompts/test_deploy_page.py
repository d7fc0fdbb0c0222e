"""Making a version live from the pages: two steps, with what changes in between, and the way back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.prompts import services
from apps.prompts.models import Prompt
from apps.prompts.services import splits
from apps.prompts.services.splits import ArmChoice
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, publish

LIVE = "/p/support-desk/prompts/support/answer/-/live"
DEPLOY = "/p/support-desk/prompts/support/answer/-/deploy"


@pytest.fixture
def two(prompt: Prompt) -> Prompt:
    """1.0.0, and 2.0.0 with another variable."""
    body = content(
        messages=[{"role": "user", "content": "{{shop}} {{question}} {{tone}}"}],
        variables=[{"name": "shop"}, {"name": "question"}, {"name": "tone"}],
    )
    publish(prompt, body)
    return prompt


def deploy(prompt: Prompt, number: str, where: str = "staging", *, after: int = 0) -> None:
    version = next(one for one in prompt.versions.all() if str(one.number) == number)
    services.deploy(
        prompt=prompt,
        version=version,
        environment=environment(prompt.project, where),
        actor=SYSTEM,
        now=factories.NOW + timedelta(minutes=after),
        reason="because",
    )


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_says_what_changes_and_then_does_it(alice_client: Client, two: Prompt) -> None:
    deploy(two, "1.0.0")
    asked = text(alice_client.get(DEPLOY, {"version": "2.0.0", "environment": "staging"}))
    assert "Make 2.0.0 live in staging?" in asked
    assert "staging answers 2.0.0 instead of 1.0.0" in asked
    assert "another major version" in asked
    assert "within five seconds" in asked
    assert "“Roll back…” on this prompt" in asked
    assert str(two.deployments.get(ended_at=None).version.number) == "1.0.0"
    done = alice_client.post(
        DEPLOY, {"version": "2.0.0", "environment": "staging", "reason": "new tone", "confirm": "yes"}
    )
    assert (done.status_code, done.headers["Location"]) == (302, "/p/support-desk/prompts/support/answer")
    live = two.deployments.get(ended_at=None)
    assert (str(live.version.number), live.actor_name, live.reason) == ("2.0.0", "alice@example.com", "new tone")


def test_changes_nothing_without_the_second_step(alice_client: Client, two: Prompt) -> None:
    answer = alice_client.post(DEPLOY, {"version": "1.0.0", "environment": "development"})
    assert answer.status_code == 200
    assert "nothing of this prompt is live there now" in text(answer)
    assert not two.deployments.exists()


def test_leads_to_the_rollback_of_what_is_live(alice_client: Client, two: Prompt) -> None:
    """Making an older version live is a deployment like any other, and the page says what a rollback has besides."""
    deploy(two, "1.0.0")
    deploy(two, "2.0.0", after=1)
    rollback = 'href="/p/support-desk/prompts/support/answer/-/rollback?environment=staging"'
    assert rollback in text(alice_client.get(LIVE))
    asked = text(alice_client.get(DEPLOY, {"version": "1.0.0", "environment": "staging"}))
    assert "1.0.0 is older than 2.0.0." in asked
    assert rollback in asked
    alice_client.post(DEPLOY, {"version": "1.0.0", "environment": "staging", "confirm": "yes"})
    assert str(two.deployments.get(ended_at=None).version.number) == "1.0.0"
    assert not AuditEntry.objects.filter(action="promotions.rolled_back").exists()


def test_shows_what_was_live_and_offers_it_again(alice_client: Client, two: Prompt) -> None:
    deploy(two, "1.0.0")
    deploy(two, "2.0.0", after=1)
    shown = text(alice_client.get(LIVE))
    assert shown.count("Deploy this again") == 1
    assert "because" in shown
    assert "takes promotions only" in shown
    region = text(alice_client.get(LIVE, headers={"HX-Request": "true"}))
    assert region.startswith('<section class="panel" id="live">')


def test_shows_a_viewer_what_is_live_and_no_way_to_change_it(bob_client: Client, two: Prompt) -> None:
    deploy(two, "1.0.0")
    shown = text(bob_client.get(LIVE))
    assert "1.0.0" in shown
    assert DEPLOY not in shown
    assert bob_client.get(DEPLOY).status_code == 403
    answer = bob_client.post(DEPLOY, {"version": "2.0.0", "environment": "staging", "confirm": "yes"})
    assert answer.status_code == 403
    assert two.deployments.count() == 1


@pytest.mark.parametrize(
    ("version", "place"), [("9.9.9", "staging"), ("1.0.0", "moon"), ("1.0.0", "production"), ("", "staging")]
)
def test_refuses_what_cannot_be_deployed(alice_client: Client, two: Prompt, version: str, place: str) -> None:
    answer = alice_client.post(DEPLOY, {"version": version, "environment": place, "confirm": "yes"})
    assert answer.status_code == 422
    assert not two.deployments.exists()


def test_says_that_it_is_live_already(alice_client: Client, two: Prompt) -> None:
    deploy(two, "1.0.0")
    assert "1.0.0 is live in staging already" in text(
        alice_client.get(DEPLOY, {"version": "1.0.0", "environment": "staging"})
    )


def test_asks_for_a_version_first(alice_client: Client, project: Project) -> None:
    make_prompt(project, "empty")
    assert "Nothing is published yet" in text(alice_client.get("/p/support-desk/prompts/empty/-/deploy"))
    assert "Nothing was ever live" in text(alice_client.get("/p/support-desk/prompts/empty/-/live"))


def test_needs_few_queries(alice_client: Client, two: Prompt, django_assert_max_num_queries: Any) -> None:
    deploy(two, "1.0.0")
    for path in (LIVE, DEPLOY, f"{DEPLOY}?version=2.0.0&environment=staging"):
        alice_client.get(path)
        with django_assert_max_num_queries(12):
            assert alice_client.get(path).status_code == 200


WITHDRAW = "/p/support-desk/prompts/support/answer/-/withdraw"


def test_takes_down_what_is_live_after_saying_what_that_means(alice_client: Client, two: Prompt) -> None:
    deploy(two, "1.0.0")
    asked = text(alice_client.get(WITHDRAW, {"environment": "staging"}))
    assert "Take this prompt down in staging?" in asked
    assert "staging answers 1.0.0 no more" in asked
    assert two.deployments.filter(ended_at=None).exists(), "asking changes nothing"
    done = alice_client.post(WITHDRAW, {"environment": "staging", "reason": "retired"})
    assert done.status_code == 302
    assert not two.deployments.filter(ended_at=None).exists()
    assert "Nothing of this prompt is live in staging" in text(alice_client.get(WITHDRAW, {"environment": "staging"}))


def test_takes_nothing_down_in_a_protected_environment(alice_client: Client, bob_client: Client, two: Prompt) -> None:
    refused = alice_client.post(WITHDRAW, {"environment": "production"})
    assert refused.status_code == 422
    assert "is protected" in text(refused)
    assert alice_client.get(WITHDRAW, {"environment": "moon"}).status_code == 404
    assert bob_client.get(WITHDRAW, {"environment": "staging"}).status_code == 403


def test_tells_the_model_and_the_open_split(alice_client: Client, prompt: Prompt) -> None:
    first, second = prompt.versions.get(), publish(prompt, content(model="test/steady"))
    where = environment(prompt.project, "staging")
    given = {"prompt": prompt, "environment": where, "actor": SYSTEM, "now": factories.NOW}
    services.deploy(version=first, model="test/other", **given)
    arms = [ArmChoice("control", first, "test/other", 9_000), ArmChoice("new", second, "", 1_000)]
    splits.set_split(experiment="tone", unit="session", salt="s", share=2_500, arms=arms, **given)
    for address in ("", "/-/live"):
        page = unspaced(alice_client.get(f"/p/{prompt.project.slug}/prompts/support/answer{address}").content.decode())
        assert "staging 1.0.0 on test/otherMar 4" in page
        assert "25 % of sessions get control (1.0.0 on test/other, 90 %) or new (1.1.0, 10 %)" in page


def unspaced(page: str) -> str:
    """The page's words with single spaces between them."""
    return " ".join(re.sub(r"<[^>]+>", "", page).replace("\xa0", " ").replace("\u202f", " ").split())

"""Merges that ask for their promotion by themselves: each once, and none goes live so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.evals.models import EvalRun
from apps.projects.models import Environment, Project
from apps.projects.types import SYSTEM
from apps.promotions.models import Promotion
from apps.promotions.selectors.due_checks import MERGED_WITHIN
from apps.promotions.services import deciding, merging
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.types import Origin
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db

SET_AT = factories.NOW
"""When `make_rule` sets its rules."""
LATER = SET_AT + timedelta(hours=1)


@pytest.fixture
def prompt(project: Project) -> Prompt:
    """A prompt with a version that was written here."""
    return making.make_version(project).prompt


def merged(prompt: Prompt, word: str = "Please", *, after: timedelta = timedelta(0)) -> Version:
    """A version that a merge brought, so long after the rule was set."""
    return prompts.publish(
        prompt=prompt,
        content=making.body(f"{word} {{{{question}}}}"),
        actor=SYSTEM,
        now=SET_AT + after,
        origin=Origin.GIT,
        note="Say please",
    )


def test_asks_once_for_each_version_that_a_merge_brought(project: Project, prompt: Prompt) -> None:
    making.make_rule(project, asks_on_merge=True)
    merged(prompt, "Old", after=-timedelta(seconds=1))
    first, second = merged(prompt, "One"), merged(prompt, "Two")
    assert [merging.ask_for_merges(now=LATER) for _ in range(2)] == [2, 0]
    one, two = Promotion.objects.order_by("number")
    assert (one.version, two.version) == (first, second)
    assert (one.state, one.origin, one.requester, one.requester_kind) == ("checking", "git", None, "system")
    assert (one.why, EvalRun.objects.count()) == ("Say please", 2)
    deciding.withdraw(promotion=one, actor=SYSTEM, person=making.owner_of(project), now=LATER)
    assert merging.ask_for_merges(now=LATER) == 0, "once, whatever became of it"
    assert merging.ask_for_merges(now=LATER + MERGED_WITHIN) == 0
    assert (Promotion.objects.count(), Deployment.objects.count()) == (2, 0)


@pytest.mark.parametrize(
    "case",
    [
        "the rule does not ask",
        "a more particular rule does not ask",
        "a person asked before",
        "archived",
        "not protected any more",
        "too long ago",
        "another feature",
    ],
)
def test_leaves_the_rest_to_people(project: Project, prompt: Prompt, case: str) -> None:
    gate = making.make_gate(project)
    feature = "billing" if case == "another feature" else ""
    place = "staging" if case == "not protected any more" else "production"
    Environment.objects.filter(project=project, slug="staging").update(is_protected=True)
    making.make_rule(
        project, environment=place, gates=[gate], asks_on_merge=case != "the rule does not ask", feature=feature
    )
    version, now = merged(prompt), LATER
    if case == "a more particular rule does not ask":
        making.make_rule(project, prompt, gates=[gate])
    elif case == "a person asked before":
        making.ask(version)
    elif case == "archived":
        prompts.archive_prompt(prompt=prompt, actor=SYSTEM, now=now)
    elif case == "too long ago":
        now += MERGED_WITHIN
    Environment.objects.filter(project=project, slug="staging").update(is_protected=False)
    before = Promotion.objects.count()
    assert merging.ask_for_merges(now=now) == 0
    assert Promotion.objects.count() == before

"""What tests of the engine share: a prompt, a connection to the fake provider, and runs over small sets."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from apps.accounts.models import User
from apps.core import clock
from apps.evals.models import EvalRun, EvalSet
from apps.evals.scoring.registry import KINDS
from apps.evals.services import runs
from apps.evals.types import RunSource, RunSpec, ScorerChoice
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts.content import Content, Message, Variable
from apps.providers.services import connections, prices
from apps.providers.services.connections import ConnectionFields
from tests import factories
from tests.evals import making
from tests.fakes.provider import KEY, FakeProvider

ASK = Content(messages=(Message("user", "{{question}}"),), variables=(Variable("question"),))
SAID = "Paris is the capital of France."
"""What the fake provider answers, in 9 tokens to 20."""


def owner_of(project: Project) -> User:
    """The first admin."""
    return project.memberships.filter(role="admin").order_by("pk")[0].user


def connect(project: Project, provider: FakeProvider, slug: str = "fake", **limits: Any) -> None:
    """A connection of the project to the fake provider."""
    actor = factories.actor_of(owner_of(project))
    values = ConnectionFields(
        name=slug, protocol="openai", provider="openai", base_url=provider.url, models=("fake-1",), **limits
    )
    connections.add_connection(project=project, slug=slug, values=values, secret=KEY, actor=actor, now=factories.NOW)


def price(project: Project, model: str = "fake-1", **rates: str) -> None:
    """What the model costs, in dollars for a million tokens: 1,000 in and 10,000 out unless told otherwise."""
    told = {"input": "1000", "output": "10000", **rates}
    for name in (model, f"{model}-2026-01-01"):
        prices.add_own_price(
            project=project,
            provider="",
            model=name,
            rates=told,
            starts_on=date(2020, 1, 1),
            actor=factories.actor_of(owner_of(project)),
            now=factories.NOW,
        )


def publish(project: Project, content: Content = ASK, name: str = "ask") -> None:
    """The prompt, with one version."""
    author = owner_of(project)
    actor = factories.actor_of(author)
    prompt = prompts.create_prompt(project=project, name=name, actor=actor, now=factories.NOW)
    prompts.publish(prompt=prompt, content=content, author=author, actor=actor, now=factories.NOW)


def many(count: int, expected: str = SAID) -> list[dict[str, Any]]:
    """So many examples, each with a question of its own."""
    return [
        {"key": f"k{place:04}", "variables": {"question": f"Question {place}?"}, "expected": expected}
        for place in range(count)
    ]


def ready(project: Project, provider: FakeProvider, count: int = 3, **fields: Any) -> EvalSet:
    """Everything that a run needs: a prompt, a connection, an exact scorer, and a set of so many examples."""
    publish(project)
    connect(project, provider)
    making.make_scorer(project, config=KINDS["exact"].read({}))
    return making.make_set(project, examples=many(count), **fields)


SPEC = RunSpec(eval_set="golden", scorers=(ScorerChoice("exact"),), prompt="ask", model="fake/fake-1")


def start(project: Project, **changes: Any) -> EvalRun:
    """Start a run of SPEC with these changes."""
    return runs.start_run(
        project=project,
        spec=replace(SPEC, **changes),
        actor=factories.actor_of(owner_of(project)),
        source=RunSource.API,
        now=clock.now(),
    )

"""What tests of prompts share: a content, and prompts made through the services."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from apps.accounts.models import User
from apps.projects.models import Environment, Project
from apps.projects.types import Scope
from apps.prompts import services as prompts
from apps.prompts.content import Content, content_from_dict
from apps.prompts.models import Prompt, Version
from tests import factories
from tests.conftest import Api


def told(**changes: Any) -> dict[str, Any]:
    """A chat content as JSON tells it: one system and one user message, and two variables."""
    return {
        "kind": "chat",
        "messages": [
            {"role": "system", "content": "You help customers of {{shop}}. Be brief."},
            {"role": "user", "content": "{{question}}"},
        ],
        "variables": [
            {"name": "shop", "sample": "Fernhill Outdoor"},
            {"name": "question", "sample": "Where is my parcel?"},
        ],
        "model": "test/echo",
        "parameters": {"temperature": 0.2},
        **changes,
    }


def content(**changes: Any) -> Content:
    """The same as a value."""
    return content_from_dict(told(**changes))


def make_prompt(project: Project, name: str = "support/answer", **changes: Any) -> Prompt:
    """A prompt without any content."""
    return prompts.create_prompt(
        project=project, name=name, actor=factories.actor_of(owner_of(project)), now=factories.NOW, **changes
    )


def owner_of(project: Project) -> User:
    """The first admin."""
    return project.memberships.filter(role="admin").order_by("pk")[0].user


def publish(prompt: Prompt, body: Content | None = None, *, now: datetime = factories.NOW, **options: Any) -> Version:
    """The next version of the prompt."""
    author = owner_of(prompt.project)
    return prompts.publish(
        prompt=prompt, content=body or content(), author=author, actor=factories.actor_of(author), now=now, **options
    )


def environment(project: Project, slug: str) -> Environment:
    """The project's environment of this name."""
    return Environment.objects.get(project=project, slug=slug)


@pytest.fixture
def prompt(project: Project) -> Prompt:
    """`support/answer` in Alice's project, with one version, 1.0.0."""
    made = make_prompt(project)
    publish(made)
    return made


@pytest.fixture
def writer_api(project: Project, alice: User) -> Api:
    """A client with a key that may write prompts and fetch them."""
    return Api(factories.make_key(project, Scope.PROMPTS_WRITE, Scope.PROMPTS_READ, created_by=alice))


@pytest.fixture
def reader_api(project: Project, alice: User) -> Api:
    """A client with a key that may only fetch prompts."""
    return Api(factories.make_key(project, Scope.PROMPTS_READ, created_by=alice))

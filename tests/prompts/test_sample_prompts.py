"""The prompts of sample projects are the ones that their calls name."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.projects import audit
from apps.projects.models import Project
from apps.prompts import bumping
from apps.prompts.content import content_from_dict
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.sample import PROMPTS
from apps.prompts.services import sample
from apps.prompts.templating import rendering
from apps.telemetry.sample.scenery import SCENES, SUPPORT_NEW
from apps.telemetry.services.sample import create_sample
from tests import factories
from tests.prompts.conftest import make_prompt


@pytest.fixture
def sample_project(alice: User, django_capture_on_commit_callbacks: Any) -> Project:
    """A sample project as it is made, before any job has run."""
    return create_sample(owner=alice, actor=factories.actor_of(alice), now=factories.NOW)


def test_every_prompt_and_version_that_calls_name_is_there(sample_project: Project) -> None:
    sample.fill_samples()
    there = {(one.prompt.name, str(one.number)) for one in Version.objects.filter(project=sample_project)}
    assert {(scene.prompt, scene.version) for scene in (*SCENES, SUPPORT_NEW)} <= there
    assert Prompt.objects.filter(project=sample_project).count() == len({scene.prompt for scene in SCENES})


def test_some_are_live_where_anybody_may_deploy(sample_project: Project) -> None:
    sample.fill_samples()
    live = Deployment.objects.filter(project=sample_project, ended_at=None)
    assert {one.environment.slug for one in live} == {"development", "staging"}
    assert {str(one.version) for one in live if one.environment.slug == "staging"} == {
        "support-reply@2.0.0",
        "cited-answer@3.1.2",
        "order-desk@0.9.1",
        "fill-middle@1.0.3",
        "review-diff@2.2.0",
    }
    assert all(one.started_at < sample_project.created_at for one in live)


def test_filling_twice_changes_nothing(sample_project: Project) -> None:
    sample.fill_samples()
    before = Version.objects.count(), Deployment.objects.count()
    sample.fill_samples()
    sample.fill_sample(sample_project)
    assert (Version.objects.count(), Deployment.objects.count()) == before
    assert audit.verify_chain(sample_project.pk).problems == []


def test_leaves_other_projects_alone(project: Project, sample_project: Project) -> None:
    make_prompt(sample_project, "mine")
    sample.fill_samples()
    assert list(Prompt.objects.values_list("name", flat=True)) == ["mine"]
    sample.fill_sample(project)
    assert not Prompt.objects.filter(project=project).exists()


def test_each_step_is_as_large_as_its_change_needs() -> None:
    for prompt in PROMPTS:
        for older, newer in zip(prompt.versions, prompt.versions[1:], strict=False):
            needed = bumping.suggest(content_from_dict(older.content), content_from_dict(newer.content)).bump
            step = newer.number.step_from(older.number)
            assert step is not None
            assert step is needed, f"{prompt.name} {newer.number} is a {step} and needs a {needed}"
            assert newer.days_ago < older.days_ago


def test_each_renders_with_its_samples(db: None) -> None:
    for prompt in PROMPTS:
        for version in prompt.versions:
            content = content_from_dict(version.content)
            messages = rendering.render_for_call(content, content.samples)
            assert all("{{" not in str(message["content"]) for message in messages), prompt.name

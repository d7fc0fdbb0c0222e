"""Prompts of sample projects, which are made without any and get theirs from a job."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from apps.projects.models import Environment, Project
from apps.projects.types import Actor
from apps.prompts.content import content_from_dict
from apps.prompts.models import Prompt, Version
from apps.prompts.sample import PROMPTS, SamplePrompt
from apps.prompts.selectors.sample import list_samples_without_prompts
from apps.prompts.services.deploying import deploy
from apps.prompts.services.prompts import create_prompt
from apps.prompts.services.publishing import publish
from apps.prompts.types import Origin

ACTOR = Actor(kind="system", id=None, name="sample data")


def fill_samples() -> None:
    """Give every sample project that has no prompt the sample's prompts."""
    for project in list_samples_without_prompts():
        fill_sample(project)


@transaction.atomic
def fill_sample(project: Project) -> None:
    """The sample's prompts, their versions and what is live, as if they had been made over the last months.

    A project that has a prompt, or is gone, is left as it is.
    """
    locked = Project.objects.select_for_update(no_key=True).filter(pk=project.pk, is_sample=True).first()
    if locked is None or Prompt.objects.filter(project=locked).exists():
        return
    events = []
    for sample in PROMPTS:
        prompt = _create(locked, sample)
        for version in _publish_all(prompt, sample, locked.created_at):
            number = version.number
            told = next(one for one in sample.versions if one.number == number)
            events += [(locked.created_at - timedelta(days=ago), where, version) for where, ago in told.live]
    places = {one.slug: one for one in Environment.objects.filter(project=locked)}
    for at, where, version in sorted(events, key=lambda event: event[0]):
        place = places.get(where)
        if place is not None and not place.is_protected:
            deploy(prompt=version.prompt, version=version, environment=place, actor=ACTOR, now=at)


def _create(project: Project, sample: SamplePrompt) -> Prompt:
    return create_prompt(
        project=project,
        name=sample.name,
        description=sample.description,
        tags=sample.tags,
        actor=ACTOR,
        now=project.created_at - timedelta(days=sample.versions[0].days_ago),
    )


def _publish_all(prompt: Prompt, sample: SamplePrompt, until: datetime) -> list[Version]:
    return [
        publish(
            prompt=prompt,
            content=content_from_dict(version.content),
            number=version.number,
            note=version.note,
            origin=Origin.SAMPLE,
            actor=ACTOR,
            now=until - timedelta(days=version.days_ago),
        )
        for version in sample.versions
    ]

"""Sample projects: made on request, filled in parts that anybody may go on with, removed with everything in them.

The rows of `SampleLoad` are the truth; the job is a wake-up call. A part is stored like any telemetry, and its spans
and ids follow from the row alone, so storing it once more after a crash adds nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.core import jobs
from apps.core.errors import Conflict
from apps.projects import audit
from apps.projects import services as projects
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry import scoring, wire
from apps.telemetry.models import SampleLoad
from apps.telemetry.sample.calls import Sample
from apps.telemetry.sample.trace import real_calls
from apps.telemetry.selectors.sample import find_sample, list_stalled_samples
from apps.telemetry.services.forgetting import forget_project
from apps.telemetry.services.rollups import roll_up_portion
from apps.telemetry.services.storing import store
from apps.telemetry.types import Batch

LOAD_JOB = "telemetry.load_sample"
PROMPTS_JOB = "prompts.fill_samples"
CLIENT = "sample data"
NAME = "Sample: Fernhill Outdoor"
CALLS_PER_PART = 1_000
MAX_ITEMS_PER_PART = 12 * CALLS_PER_PART
LEASE = timedelta(minutes=1)

_encode = msgspec.json.Encoder().encode
_sample = lru_cache(maxsize=1)(Sample)


class NotASample(Conflict):
    """Only sample projects are removed without their name being typed."""

    code, message = "not_a_sample", "This is no sample project. Delete it in its settings."


class SampleRefused(RuntimeError):
    """A span of the sample was not accepted: a fault of ours."""


@transaction.atomic
def create_sample(*, owner: User, actor: Actor, now: datetime) -> Project:
    """The owner's sample project, with them as admin; it fills in the background, back from `now`.

    Somebody who has one already gets that one.
    """
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    existing = find_sample(owner)
    if existing is not None:
        return existing
    project = projects.create_project(name=NAME, creator=owner, actor=actor, now=now, is_sample=True)
    SampleLoad.objects.create(project=project, ends_at=now.replace(microsecond=0), calls=len(real_calls()))
    audit.record(actor=actor, action="telemetry.sample_created", project=project, target=project, at=now)
    jobs.enqueue(LOAD_JOB, project_id=project.pk)
    if jobs.is_registered(PROMPTS_JOB):
        jobs.enqueue(PROMPTS_JOB)
    return project


def load_next(project_id: int, *, now: datetime) -> bool:
    """Store the next part of a sample, or add up a part of its hours; True when there is more to do here.

    False as well when somebody else is at it, or the project is gone.
    """
    load = _lease(project_id, now)
    if load is None:
        return False
    if load.calls_loaded < load.calls:
        _store_part(load, now)
        return True
    if roll_up_portion(project_id, wait=True):
        SampleLoad.objects.filter(pk=project_id).update(leased_until=None)
        return True
    SampleLoad.objects.filter(pk=project_id).update(leased_until=None, finished_at=now)
    return False


def _lease(project_id: int, now: datetime) -> SampleLoad | None:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    unfinished = SampleLoad.objects.filter(free, pk=project_id, finished_at=None)
    if not unfinished.update(leased_until=now + LEASE):
        return None
    return SampleLoad.objects.filter(pk=project_id).select_related("project").first()


def _store_part(load: SampleLoad, now: datetime) -> None:
    first = load.calls_loaded
    last = min(first + CALLS_PER_PART, load.calls)
    store([_part(load, first, last, now)])
    on = SampleLoad.objects.filter(pk=load.pk, calls_loaded=first)
    if not on.update(calls_loaded=last, leased_until=None) and not Project.objects.filter(pk=load.pk).exists():
        # It was removed meanwhile, and what was just stored came after its telemetry was deleted.
        forget_project(load.pk)


def _part(load: SampleLoad, first: int, last: int, now: datetime) -> Batch:
    """Some calls of the sample with their spans, read like any request."""
    sample = _sample(load.ends_at)
    told = {"spans": sample.spans(first, last), "scores": sample.scores(first, last)}
    body = wire.read_body(_encode(told), max_items=MAX_ITEMS_PER_PART)
    spans, positions, rejected = wire.read_spans(
        body.spans,
        project_id=load.pk,
        received_at=now,
        keep_since=now - timedelta(days=load.project.retention_days),
    )
    scores = scoring.read_scores(body.scores, project_id=load.pk, received_at=now)
    refused = [*rejected, *scores.rejected]
    if refused:
        raise SampleRefused(f"calls {first} to {last}: {refused[0]}")
    return Batch(
        project_id=load.pk,
        key_id=None,
        client=CLIENT,
        received_at=now,
        received=len(spans) + len(scores.records),
        spans=spans,
        positions=positions,
        rejected=[],
        scores=scores.records,
    )


def resume_samples(*, now: datetime) -> None:
    """Wake up the loading of every sample that is not ready and that nobody is at."""
    for project_id in list_stalled_samples(now=now):
        jobs.enqueue(LOAD_JOB, project_id=project_id)


@transaction.atomic
def remove_sample(*, project: Project, actor: Actor, now: datetime) -> None:
    """Delete a sample project and everything in it; the audit trail says so. Raises NotASample for any other."""
    if not project.is_sample:
        raise NotASample
    audit.record(actor=actor, action="telemetry.sample_removed", project=project, target=project, at=now)
    projects.delete_project(project=project, typed_name=project.name, actor=actor, now=now)

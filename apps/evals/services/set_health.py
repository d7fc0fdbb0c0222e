"""Having the health of a set worked out, and keeping one of several examples that ask the same."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import uuid4

from apps.core import jobs
from apps.evals.models import EvalSet, Revision, SetHealth
from apps.evals.selectors import set_health as selectors
from apps.evals.services.set_changes import Changes, change_examples
from apps.projects.types import Actor

LEASE = timedelta(minutes=6)
FAILED = "The figures could not be worked out. They are tried again when somebody looks at this page."


def ask(*, eval_set: EvalSet, now: datetime) -> SetHealth:
    """The set's health as it is known; unless that is current, it is worked out by a task that is now awaited."""
    row, _ = SetHealth.objects.get_or_create(
        eval_set=eval_set, defaults={"project_id": eval_set.project_id, "asked_at": None}
    )
    if selectors.is_current(row, eval_set, now=now):
        return row
    if SetHealth.objects.filter(pk=row.pk, asked_at=None).update(asked_at=now):
        row.asked_at = now
        jobs.enqueue("evals.work_out_health", set_id=eval_set.pk)
    return row


def work_out(set_id: int, *, now: datetime) -> None:
    """Work out and keep the set's health, unless nobody asked or somebody is at it."""
    token = uuid4()
    waiting = SetHealth.objects.filter(eval_set_id=set_id, asked_at__isnull=False).exclude(lease_until__gt=now)
    if waiting.update(lease_token=token, lease_until=now + LEASE) != 1:
        return
    eval_set = EvalSet.objects.get(pk=set_id)
    mine = SetHealth.objects.filter(eval_set_id=set_id, lease_token=token)
    free = {"asked_at": None, "lease_token": None, "lease_until": None}
    try:
        found = selectors.work_out(eval_set, now=now)
    except Exception:
        mine.update(sentence=FAILED, **free)
        raise
    mine.update(figures=found.as_dict(), revision=eval_set.head, computed_at=now, sentence="", **free)


def resume(*, now: datetime) -> None:
    """Take up what was asked for and is not being worked out."""
    for set_id in selectors.due(now=now):
        jobs.enqueue("evals.work_out_health", set_id=set_id)


def keep_one(*, eval_set: EvalSet, key: str, others: Collection[str], actor: Actor, now: datetime) -> Revision:
    """Remove the others that ask the same as this one, as one revision. Raises as `change_examples`."""
    removes = tuple(other for other in dict.fromkeys(others) if other != key)
    note = f"Kept {key} of {len(removes) + 1} examples that ask the same"
    return change_examples(eval_set=eval_set, changes=Changes(removes=removes), actor=actor, note=note, now=now)

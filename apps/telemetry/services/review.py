"""Everything that changes the review queue: flagging, taking, deciding, dismissing, and notes on traces.

Who may take or decide an item is settled by one conditional UPDATE, so that two people never work on the same one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import User
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry import scoring
from apps.telemetry.models import ReviewItem, ReviewLabel, ReviewRule, TraceNote
from apps.telemetry.models.review import WHOLE_TRACE
from apps.telemetry.selectors import review as selectors
from apps.telemetry.services import scores
from apps.telemetry.texts import clean_text
from apps.telemetry.types import Batch

LONGEST_REASON = 200
LONGEST_LABEL = 80
LONGEST_TEXT = 20_000
MOST_RULES = 20
MOST_LABELS = 200
SCORE = "review"
"""The name and the source of the scores that verdicts leave."""


class AlreadyDecided(Conflict):
    """The item does not wait any more."""

    code = "already_decided"
    message = "This was decided already. Reload to see by whom."


class TakenByAnother(Conflict):
    """Somebody else is at it."""

    code = "taken"
    message = "{person} is reviewing this. Take the next one, or ask them to give it back."


class RefusedVerdict(Invalid):
    """A verdict that is none, or one that says too much."""

    message = "Choose good, bad or unsure."


@dataclass(frozen=True)
class Flagged:
    """The item that waits for the target now, and whether this flag made it."""

    item: ReviewItem
    is_new: bool


# --- Flags --------------------------------------------------------------------------------------------------


@transaction.atomic
def flag(
    *,
    project_id: int,
    trace_id: bytes,
    reason: str,
    source: ReviewItem.Source,
    flagged_by: str,
    now: datetime,
    span_id: bytes = WHOLE_TRACE,
    at: datetime | None = None,
    rule: ReviewRule | None = None,
) -> Flagged:
    """Queue a trace, or one span of it, with a copy of what was asked and answered.

    What waits already is not queued twice: the item that is there is returned. A trace of which nothing is stored yet
    is queued without its copy, which is made once its spans arrive. Raises Invalid for a reason that is empty or long.
    """
    reason = _text("reason", reason, most=LONGEST_REASON, is_needed=True)
    waiting = ReviewItem.objects.filter(
        project_id=project_id, trace_id=trace_id, span_id=span_id, status__in=ReviewItem.WAITING
    )
    found = waiting.first()
    if found is not None:
        return Flagged(found, is_new=False)
    item = ReviewItem(
        project_id=project_id,
        trace_id=trace_id,
        span_id=span_id,
        reason=reason,
        source=source,
        flagged_by=flagged_by,
        flagged_at=now,
        rule=rule,
        started_at=at,
    )
    _copy_into(item, at=at)
    try:
        with transaction.atomic():
            item.save(force_insert=True)
    except IntegrityError:
        # Somebody flagged the same in this moment.
        return Flagged(waiting.get(), is_new=False)
    return Flagged(item, is_new=True)


def _copy_into(item: ReviewItem, *, at: datetime | None) -> bool:
    """Copy what is stored of the target; says whether there was anything."""
    found = selectors.snapshot(item.project_id, bytes(item.trace_id), bytes(item.span_id), at=at)
    if found is None:
        return False
    for field in dataclasses.fields(found):
        setattr(item, field.name, getattr(found, field.name))
    return True


COPIED = [field.name for field in dataclasses.fields(selectors.Snapshot)]


def complete_copies(project_id: int, trace_ids: Sequence[bytes]) -> int:
    """Copy anew for waiting items that were flagged before their answer was stored; returns how many changed."""
    items = selectors.waiting_without_output(project_id, trace_ids)
    return sum(_complete(item) for item in items)


def _complete(item: ReviewItem) -> bool:
    if not _copy_into(item, at=item.started_at):
        return False
    item.save(update_fields=COPIED)
    return True


# --- Taking and giving back ---------------------------------------------------------------------------------


def claim(*, item: ReviewItem, user: User, now: datetime) -> None:
    """Take an open item. Taking what one has already changes nothing.

    Raises TakenByAnother or AlreadyDecided.
    """
    taken = ReviewItem.objects.filter(pk=item.pk, status=ReviewItem.Status.OPEN).update(
        status=ReviewItem.Status.IN_REVIEW, assignee=user, claimed_at=now
    )
    if taken == 1:
        if item.output is None:
            _complete(item)
        return
    _explain_unless_mine(item, user)


def release(*, item: ReviewItem, user: User) -> bool:
    """Give an item back to the queue; False when it was not this person's."""
    mine = ReviewItem.objects.filter(pk=item.pk, status=ReviewItem.Status.IN_REVIEW, assignee=user)
    return bool(mine.update(status=ReviewItem.Status.OPEN, assignee=None, claimed_at=None))


@transaction.atomic
def reassign(*, item: ReviewItem, project: Project, actor: Actor, now: datetime) -> None:
    """Take an item away from whoever has it, so that it is open again. Raises AlreadyDecided."""
    freed = ReviewItem.objects.filter(pk=item.pk, status=ReviewItem.Status.IN_REVIEW).update(
        status=ReviewItem.Status.OPEN, assignee=None, claimed_at=None
    )
    if freed != 1:
        if not selectors.get_item(item.project_id, item.uuid).is_waiting:
            raise AlreadyDecided()
        return
    audit.record(
        actor=actor,
        action="telemetry.review_freed",
        project=project,
        target=item,
        at=now,
        details={"from": str(item.assignee) if item.assignee else None},
    )


def _explain_unless_mine(item: ReviewItem, user: User | None) -> None:
    """Raise what kept a conditional update from happening; nothing when the item is in this person's hands."""
    current = selectors.get_item(item.project_id, item.uuid)
    if not current.is_waiting:
        raise AlreadyDecided()
    if current.assignee is not None and (user is None or current.assignee_id != user.pk):
        raise TakenByAnother(person=str(current.assignee))


# --- Verdicts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """What a reviewer found. `correction` is what the answer should have been, kept for eval sets."""

    verdict: str
    failure_label: str = ""
    correction: str = ""


@transaction.atomic
def decide(
    *, item: ReviewItem, project: Project, decision: Decision, user: User | None, actor: Actor, now: datetime
) -> ReviewItem:
    """Close an item with a verdict, in one step for an open one; `user` is None for a service.

    Writes the verdict as a score of the trace and into the audit trail. Raises RefusedVerdict, Invalid, TakenByAnother
    or AlreadyDecided.
    """
    if decision.verdict not in ReviewItem.Verdict.values:
        raise RefusedVerdict(verdict=["Choose good, bad or unsure."])
    label = _text("failure_label", decision.failure_label, most=LONGEST_LABEL)
    correction = _text("correction", decision.correction, most=LONGEST_TEXT)
    if decision.verdict == ReviewItem.Verdict.GOOD:
        label = ""  # what is good did not fail
    closed = _free_for(item, user).update(
        status=ReviewItem.Status.DONE,
        assignee=user,
        verdict=decision.verdict,
        failure_label=label,
        correction=correction,
        reviewer=user,
        reviewer_name=str(user) if user else actor.name,
        decided_at=now,
    )
    if closed != 1:
        _explain_unless_mine(item, user)
        raise AlreadyDecided()
    if label:
        learn_label(project_id=project.pk, name=label, now=now)
    decided = selectors.get_item(project.pk, item.uuid)
    _score(decided, now)
    _record(decided, project, actor, now)
    return decided


def _free_for(item: ReviewItem, user: User | None) -> QuerySet[ReviewItem]:
    """The item if it is open, or in this person's hands."""
    free = Q(status=ReviewItem.Status.OPEN)
    if user is not None:
        free |= Q(status=ReviewItem.Status.IN_REVIEW, assignee=user)
    return ReviewItem.objects.filter(free, pk=item.pk)


def _score(item: ReviewItem, now: datetime) -> None:
    """Write the verdict as a score named `review` of what was reviewed."""
    said = scoring.Said(
        name=SCORE,
        label=item.verdict,
        comment=item.failure_label or None,
        trace_id=bytes(item.trace_id),
        span_id=bytes(item.span_id) or None,
        score_id=str(item.uuid),
        at=now,
    )
    record = scoring.record_of(said, project_id=item.project_id, received_at=now, source=SCORE)
    batch = Batch(
        project_id=item.project_id,
        key_id=None,
        client=SCORE,
        received_at=now,
        received=1,
        spans=[],
        positions=[],
        rejected=[],
        scores=[record],
    )
    with connection.cursor() as cursor:
        scores.insert(cursor, [batch], now=now)


def _record(item: ReviewItem, project: Project, actor: Actor, now: datetime) -> None:
    audit.record(
        actor=actor,
        action="telemetry.reviewed",
        project=project,
        target=item,
        at=now,
        details={
            "trace_id": item.trace_hex,
            "verdict": item.verdict,
            "failure_label": item.failure_label or None,
            "corrected": bool(item.correction),
        },
    )


@transaction.atomic
def dismiss(*, project: Project, uuids: Sequence[UUID], user: User | None, actor: Actor, now: datetime) -> int:
    """Close waiting items without a verdict, except those in somebody else's hands; returns how many."""
    free = Q(status=ReviewItem.Status.OPEN)
    if user is not None:
        free |= Q(status=ReviewItem.Status.IN_REVIEW, assignee=user)
    items = ReviewItem.objects.filter(free, project_id=project.pk, uuid__in=list(uuids))
    closed = items.update(
        status=ReviewItem.Status.DISMISSED,
        assignee=user,
        reviewer=user,
        reviewer_name=str(user) if user else actor.name,
        decided_at=now,
    )
    if closed:
        audit.record(
            actor=actor,
            action="telemetry.reviews_dismissed",
            project=project,
            target=None,
            at=now,
            details={"items": closed},
        )
    return closed


def dismiss_one(*, item: ReviewItem, project: Project, user: User | None, actor: Actor, now: datetime) -> None:
    """Close one item without a verdict. Raises TakenByAnother or AlreadyDecided."""
    if not dismiss(project=project, uuids=[item.uuid], user=user, actor=actor, now=now):
        _explain_unless_mine(item, user)
        raise AlreadyDecided()


def learn_label(*, project_id: int, name: str, now: datetime) -> None:
    """Let the project have this kind of failure from now on; beyond MOST_LABELS the list no longer grows."""
    if ReviewLabel.objects.filter(project_id=project_id).count() < MOST_LABELS:
        ReviewLabel.objects.bulk_create(
            [ReviewLabel(project_id=project_id, name=name, created_at=now)], ignore_conflicts=True
        )


# --- Notes --------------------------------------------------------------------------------------------------


def add_note(
    *,
    project_id: int,
    trace_id: bytes,
    text: str,
    author: User | None,
    author_name: str,
    now: datetime,
    span_id: bytes = WHOLE_TRACE,
) -> TraceNote:
    """Write a note beside a trace or a span of it. Raises Invalid for an empty or a very long one."""
    return TraceNote.objects.create(
        project_id=project_id,
        trace_id=trace_id,
        span_id=span_id,
        text=_text("text", text, most=LONGEST_TEXT, is_needed=True),
        author=author,
        author_name=author_name,
        at=now,
    )


def _text(name: str, text: str, *, most: int, is_needed: bool = False) -> str:
    """The text without blanks at its ends and without what cannot be stored. Raises Invalid."""
    cleaned: str = clean_text(text)[0].strip()
    if is_needed and not cleaned:
        raise Invalid(None, **{name: ["Write a few words."]})
    if len(cleaned) > most:
        raise Invalid(None, **{name: [f"At most {most:,} characters."]})
    return cleaned

"""Reminders: promotions that wait too long for a decision, and reviews after overrides that are due."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from apps.alerts.services.notices import notify
from apps.core.navigation import address
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.types import CandidateName, PromotionState

FIRST_AFTER = timedelta(hours=24)
THEN_EVERY = timedelta(days=2)
MOST_REMINDERS = 5
DUE_SOON = timedelta(days=1)
AT_A_TIME = 200


def remind(*, now: datetime) -> int:
    """Tell of promotions that wait and of reviews that are due, each once for each time; how many notices were new."""
    waiting = Promotion.objects.filter(state=PromotionState.WAITING.value, reminders__lt=MOST_REMINDERS).filter(
        Q(reminders=0, checked_at__lte=now - FIRST_AFTER)
        | Q(reminders=0, checked_at=None, asked_at__lte=now - FIRST_AFTER)
        | Q(reminders__gt=0, reminded_at__lte=now - THEN_EVERY)
    )
    named = waiting.select_related("project", "prompt", "environment", "version__prompt").order_by("pk")
    told = sum(_remind_of(promotion, now) for promotion in named[:AT_A_TIME])
    return told + sum(_remind_of_review(review, now) for review in _due_reviews(now))


@transaction.atomic
def _remind_of(promotion: Promotion, now: datetime) -> bool:
    """Count the reminder and tell, unless it was decided or somebody else reminded meanwhile."""
    count = promotion.reminders + 1
    same = Promotion.objects.filter(pk=promotion.pk, state=PromotionState.WAITING.value, reminders=promotion.reminders)
    if not same.update(reminders=F("reminders") + 1, reminded_at=now):
        return False
    since = promotion.checked_at or promotion.asked_at
    text = f"{promotion.requester_name} asked for it, and its gates passed {_ago(now - since)} ago."
    if count == MOST_REMINDERS:
        text += " This is the last reminder."
    notice = notify(
        project=promotion.project,
        key=f"promotion-{promotion.uuid}-reminder-{count}",
        kind="promotion_reminder",
        title=f"{candidate_of(promotion)} waits for approval in {promotion.environment.slug}",
        text=text,
        path=path_of(promotion),
        role="reviewer",
        level="warn",
        now=now,
    )
    return notice is not None


def _due_reviews(now: datetime) -> list[FollowUp]:
    rows = FollowUp.objects.filter(done_at=None, due_at__lte=now + DUE_SOON)
    return list(
        rows.select_related(
            "promotion__project", "promotion__prompt", "promotion__environment", "promotion__version__prompt"
        ).order_by("due_at", "pk")[:AT_A_TIME]
    )


def _remind_of_review(review: FollowUp, now: datetime) -> bool:
    """Once when it is due within a day, and once when it is overdue."""
    promotion = review.promotion
    is_overdue = review.due_at <= now
    what, where = candidate_of(promotion), promotion.environment.slug
    word = "overdue" if is_overdue else "due by tomorrow"
    notice = notify(
        project=promotion.project,
        key=f"follow-up-{review.uuid}-{'overdue' if is_overdue else 'soon'}",
        kind="review_overdue" if is_overdue else "review_due",
        title=f"The review of {what} in {where} is {word}",
        text=f"It went live without a passed gate: {promotion.why} Somebody else than who asked signs the review.",
        path=path_of(promotion),
        role="reviewer",
        level="bad" if is_overdue else "warn",
        now=now,
    )
    return notice is not None


def candidate_of(promotion: Promotion) -> CandidateName:
    """What it asks for, in words."""
    return CandidateName(promotion.prompt.name, str(promotion.version.number), promotion.model)


def path_of(promotion: Promotion) -> str:
    """Where its page is."""
    place = address("promotions", promotion.project.slug)
    return f"{place}/{promotion.number}" if place else ""


def _ago(time: timedelta) -> str:
    hours = int(time.total_seconds() // 3600)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"

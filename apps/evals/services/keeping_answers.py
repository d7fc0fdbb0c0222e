"""What is deleted with age of what runs keep besides their results."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from apps.evals.models import CachedAnswer
from apps.telemetry.selectors.lifecycle import all_ages

MOST_DAYS = 30
PORTION = 500


def forget_answers(*, now: datetime) -> int:
    """Delete kept answers that are older than 30 days, or than their project keeps contents; how many those were."""
    deleted = _forget(CachedAnswer.objects.filter(made_at__lt=now - timedelta(days=MOST_DAYS)).values_list("pk"))
    for project_id, ages in all_ages().items():
        if ages.payload_days < MOST_DAYS:
            before = now - timedelta(days=ages.payload_days)
            deleted += _forget(CachedAnswer.objects.filter(project_id=project_id, made_at__lt=before).values_list("pk"))
    return deleted


def _forget(rows: QuerySet[CachedAnswer, tuple[int]]) -> int:
    deleted = 0
    while ids := [pk for (pk,) in rows[:PORTION]]:
        deleted += CachedAnswer.objects.filter(pk__in=ids).delete()[0]
    return deleted

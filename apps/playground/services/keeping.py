"""What happens to answers that nobody finishes, and to runs that are old."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.types import AnswerState
from apps.telemetry.selectors.lifecycle import all_ages

BEGIN_WITHIN = timedelta(minutes=3)
"""A queued answer that nobody has asked for by then never will be."""

MOST_DAYS = 90
PORTION = 500


def close_lost(*, now: datetime) -> int:
    """Close answers whose process died, and those that nobody asked for; how many those were."""
    never = PlaygroundAnswer.objects.filter(state=AnswerState.QUEUED, created_at__lt=now - BEGIN_WITHIN)
    lost = PlaygroundAnswer.objects.filter(state=AnswerState.RUNNING, deadline_at__lt=now)
    closed = never.update(
        state=AnswerState.CANCELLED, error_code="not_begun", error="The page was closed before it began.", ended_at=now
    )
    return closed + lost.update(
        state=AnswerState.FAILED,
        is_complete=False,
        error_code="lost",
        error="The server stopped before the answer was complete. Run it again.",
        ended_at=now,
    )


def purge(*, now: datetime) -> int:
    """Delete runs that are older than their project keeps contents, and than 90 days; how many those were."""
    deleted = 0
    for project_id, ages in all_ages().items():
        before = now - timedelta(days=min(ages.payload_days, MOST_DAYS))
        old = PlaygroundRun.objects.filter(project_id=project_id, created_at__lt=before)
        while ids := list(old.values_list("pk", flat=True)[:PORTION]):
            PlaygroundRun.objects.filter(pk__in=ids).delete()
            deleted += len(ids)
    return deleted

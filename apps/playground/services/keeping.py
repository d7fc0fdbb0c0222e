"""What happens to answers that nobody finishes, and to runs that are old."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.types import AnswerState, Origin
from apps.telemetry.selectors.lifecycle import all_ages
from apps.telemetry.selectors.spans import Place, read_rows
from apps.telemetry.services.erasing import ERASED

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
    """Delete runs that are older than their project keeps contents, or than 90 days, and those of calls that were
    erased since; how many those were."""
    deleted = _purge_erased()
    for project_id, ages in all_ages().items():
        before = now - timedelta(days=min(ages.payload_days, MOST_DAYS))
        old = PlaygroundRun.objects.filter(project_id=project_id, created_at__lt=before)
        while ids := list(old.values_list("pk", flat=True)[:PORTION]):
            PlaygroundRun.objects.filter(pk__in=ids).delete()
            deleted += len(ids)
    return deleted


def _purge_erased() -> int:
    """Delete runs of recorded calls whose answers were erased with the user that the calls name."""
    of_traces = PlaygroundAnswer.objects.filter(run__origin=Origin.TRACE, is_traced=True, started_at__isnull=False)
    found: dict[int, dict[Place, int]] = {}
    for row in of_traces.values_list("project_id", "started_at", "trace_id", "span_id", "run_id").iterator():
        project_id, started_at, trace_id, span_id, run_id = row
        assert started_at is not None
        found.setdefault(project_id, {})[started_at, bytes.fromhex(trace_id), bytes.fromhex(span_id)] = run_id
    erased: set[int] = set()
    for project_id, runs in found.items():
        places = list(runs)
        for first in range(0, len(places), PORTION):
            for span in read_rows(project_id, places[first : first + PORTION]):
                if ERASED in span.flags:
                    erased.add(runs[span.started_at, bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)])
    PlaygroundRun.objects.filter(pk__in=erased).delete()
    return len(erased)

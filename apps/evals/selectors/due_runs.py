"""Runs that somebody should work on."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.evals.models import EvalRun
from apps.evals.types import RunState

OPEN = (RunState.QUEUED.value, RunState.RUNNING.value)


def due_runs(now: datetime) -> QuerySet[EvalRun]:
    """Open runs that nobody holds. One that still waits for its outputs is due only when its end was asked for."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    ready = Q(awaits_outputs=False) | Q(cancel_asked_at__isnull=False)
    return EvalRun.objects.filter(free, ready, state__in=OPEN)


def due_first(now: datetime, most: int) -> QuerySet[EvalRun]:
    """The due runs to take next: those of projects that have the fewest under way, then the oldest."""
    held = (
        EvalRun.objects.filter(project_id=OuterRef("project_id"), state=RunState.RUNNING, lease_until__gte=now)
        .order_by()
        .values("project_id")
        .annotate(number=Count("id"))
        .values("number")
    )
    under_way = Coalesce(Subquery(held, output_field=IntegerField()), 0)
    rows = due_runs(now).annotate(under_way=under_way).order_by("under_way", F("created_at"), "id")
    return rows.only("id", "leases", "started_at")[:most]


def is_anything_due(now: datetime) -> bool:
    """True when a worker should be woken."""
    return due_runs(now).exists()

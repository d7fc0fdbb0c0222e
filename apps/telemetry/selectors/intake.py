"""The account of the intake: what arrived, what became of it, and why some of it was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Sum

from apps.telemetry.models import CostHour, IntakeBatch, IntakeRejection


@dataclass(frozen=True)
class IntakeCounts:
    """What requests brought since a moment; `received` is the sum of the four that follow it."""

    requests: int
    received: int
    stored: int
    updated: int
    duplicates: int
    rejected: int
    last_at: datetime | None


def has_calls(project_id: int) -> bool:
    """Whether anything has ever been stored for the project: by a request, or before its requests were forgotten."""
    if IntakeBatch.objects.filter(project_id=project_id, stored__gt=0).exists():
        return True
    return CostHour.objects.filter(project_id=project_id).exists()


def count_intake(project_id: int, *, since: datetime) -> IntakeCounts:
    """What arrived for the project since then."""
    names = ("received", "stored", "updated", "duplicates", "rejected")
    batches = IntakeBatch.objects.filter(project_id=project_id, at__gte=since)
    found = batches.aggregate(last=Max("at"), requests=Sum(1), **{name: Sum(name) for name in names})
    return IntakeCounts(
        requests=found["requests"] or 0, last_at=found["last"], **{name: found[name] or 0 for name in names}
    )


def last_rejections(project_id: int, *, since: datetime, limit: int = 5) -> list[IntakeRejection]:
    """The items refused last, newest first."""
    return list(IntakeRejection.objects.filter(project_id=project_id, at__gte=since).order_by("-at", "-pk")[:limit])

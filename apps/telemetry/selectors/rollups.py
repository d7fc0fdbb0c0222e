"""How far the cost records are behind the spans, and whose there are."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.projects.models import Project
from apps.telemetry.models import DirtyHour


def roll_up_delay(*, now: datetime) -> timedelta | None:
    """How long the longest waiting mark has waited for its roll-up; None when nothing waits.

    Figures are exact whatever the delay. A long one says that no worker rolls up, and makes reading slow.
    """
    first = DirtyHour.objects.order_by("pk").values_list("marked_at", flat=True).first()
    return None if first is None else max(now - first, timedelta(0))


def projects_with_records(slug: str | None = None) -> list[Project]:
    """Every project, or the one of this name; empty when there is none."""
    found = Project.objects.order_by("slug")
    return list(found if slug is None else found.filter(slug=slug))

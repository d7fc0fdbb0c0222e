"""Reads of calls whose cost is to be worked out anew, and of what was done."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.providers.models import Reprice
from apps.telemetry.models import RetentionSettings
from apps.telemetry.repricing import COLUMNS, Call

MOST_LISTED = 50

LIST = ", ".join(COLUMNS)
FIND = f"""
SELECT {LIST} FROM telemetry_span
WHERE project_id = %(project)s AND counted AND provider = %(provider)s AND model = %(model)s
  AND started_at >= %(start)s AND started_at < %(end)s AND (%(all)s OR cost_usd IS NULL)
  AND (started_at, trace_id, span_id) > (%(start)s, %(trace)s, %(span)s)
ORDER BY started_at, trace_id, span_id LIMIT %(limit)s
"""  # noqa: S608 -- our own columns


class Place(NamedTuple):
    """After which call to go on: nothing lies before the empty ids of the first moment."""

    started_at: datetime
    trace_id: bytes = b""
    span_id: bytes = b""


def find_calls(
    project_id: int, *, provider: str, model: str, after: Place, end: datetime, includes_priced: bool, limit: int
) -> list[Call]:
    """Calls of the model that started after the place and before `end`, without a cost or all of them, in order."""
    values: dict[str, Any] = {
        "project": project_id,
        "provider": provider,
        "model": model,
        "start": after.started_at,
        "trace": after.trace_id,
        "span": after.span_id,
        "end": end,
        "all": includes_priced,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIND, values)
        return [call_of(row) for row in cursor.fetchall()]


def call_of(row: Sequence[Any]) -> Call:
    """A row of the columns as a call."""
    values: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in row]
    return Call(*values)


def spans_since(project_id: int) -> datetime | None:
    """From when on all spans are there; costs of calls before cannot be added up anew."""
    settings = RetentionSettings.objects.filter(project_id=project_id).first()
    return settings.spans_since if settings else None


def list_reprices(project: Project, *, limit: int = MOST_LISTED) -> list[Reprice]:
    """What was worked out anew, the newest first."""
    return list(Reprice.objects.filter(project=project).order_by("-id")[:limit])


def get_reprice(project: Project, reprice: uuid.UUID) -> Reprice:
    """One of them; NotFound for another project's."""
    found = Reprice.objects.filter(project=project, uuid=reprice).first()
    if found is None:
        raise NotFound
    return found

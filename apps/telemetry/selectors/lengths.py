"""The exact lengths of single calls, for whoever needs more than a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

CALLS = """
SELECT latency_ms, ttft_ms, status = 'error', coalesce(streamed, false), prompt_name, prompt_version, model, started_at
FROM telemetry_span
WHERE project_id = %s AND started_at >= %s AND started_at < %s AND counted
  AND feature = %s AND environment = %s AND source = %s
ORDER BY started_at DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class CallLength:
    """One call. A length of None was not told."""

    total_ms: int | None
    ttft_ms: int | None
    has_failed: bool
    is_streamed: bool
    prompt_name: str
    prompt_version: str
    model: str
    started_at: datetime


def read_lengths(
    project_id: int, *, start: datetime, end: datetime, feature: str, environment: str, source: str, most: int
) -> list[CallLength]:
    """The newest calls, at most so many, of a feature in an environment that began in `[start, end)`; newest first."""
    with connection.cursor() as cursor:
        cursor.execute(CALLS, [project_id, start, end, feature, environment, source, most])
        return [CallLength(*row) for row in cursor.fetchall()]

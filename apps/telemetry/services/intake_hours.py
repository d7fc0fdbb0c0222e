"""Adding up the account of the intake by hours, so that its page need not read every request.

An hour is closed a while after its end, when no request of it can still be under way; the hours after the last closed
one are read from the requests themselves. An hour without requests has no row.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.core.clock import floor_hour
from apps.telemetry.selectors import intake as selectors

CLOSED_AFTER = timedelta(minutes=15)
"""A request is answered, or given up, within seconds of its arrival."""

HOURS_AT_ONCE = timedelta(hours=24)
MAX_SECONDS = 20.0

# A key of 0 stands for requests without one.
CLOSE = """
WITH batch AS MATERIALIZED (
  SELECT date_trunc('hour', at) AS hour, coalesce(key_id, 0) AS key_id, client, at, received, stored, updated,
    duplicates, rejected, reasons
  FROM telemetry_intakebatch
  WHERE project_id = %(project)s AND at >= %(start)s AND at < %(end)s
), reason AS (
  SELECT hour, key_id, client, jsonb_object_agg(code, items) AS reasons FROM (
    SELECT batch.hour, batch.key_id, batch.client, said.code, sum(said.items::bigint) AS items
    FROM batch, jsonb_each_text(batch.reasons) AS said (code, items) GROUP BY 1, 2, 3, 4
  ) AS counted GROUP BY 1, 2, 3
), summed AS (
  SELECT hour, key_id, client, count(*) AS requests, sum(received) AS received, sum(stored) AS stored,
    sum(updated) AS updated, sum(duplicates) AS duplicates, sum(rejected) AS rejected, max(at) AS last_at
  FROM batch GROUP BY 1, 2, 3
)
INSERT INTO telemetry_intakehour
  (project_id, hour, key_id, client, requests, received, stored, updated, duplicates, rejected, last_at, reasons)
SELECT %(project)s, hour, key_id, client, requests, received, stored, updated, duplicates, rejected,
  last_at, reasons
FROM summed LEFT JOIN reason USING (hour, key_id, client)
ON CONFLICT DO NOTHING
"""


def close_hours(*, now: datetime, max_seconds: float = MAX_SECONDS) -> int:
    """Add up the hours that are over, the oldest first; returns how many rows were written. Safe to repeat and to run
    twice at once; the next run goes on where this one stops."""
    until = floor_hour(now - CLOSED_AFTER)
    deadline = time.monotonic() + max_seconds
    written = 0
    for project_id in selectors.projects_with_requests():
        while time.monotonic() < deadline:
            start = selectors.first_open_hour(project_id)
            if start is None or start >= until:
                break
            written += _close(project_id, start, min(start + HOURS_AT_ONCE, until))
    return written


@transaction.atomic
def _close(project_id: int, start: datetime, end: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, {"project": project_id, "start": start, "end": end})
        return int(cursor.rowcount)

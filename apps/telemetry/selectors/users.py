"""Users: a list of them, and one with what they cost over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors import activity
from apps.telemetry.selectors.sessions import OVER_TRACES, PER_TRACE

LIST = f"""
SELECT user_id, min(at), max(last_at), count(*), count(DISTINCT session_id) FILTER (WHERE session_id <> ''),
  {OVER_TRACES}
FROM (
  SELECT user_id, min(started_at) AS at, max(started_at) AS last_at, max(session_id) AS session_id, {PER_TRACE}
  FROM telemetry_span WHERE project_id = %s AND user_id <> '' AND user_id = ANY (%s)
    AND started_at >= %s AND started_at < %s
  GROUP BY user_id, trace_id
) AS per_trace GROUP BY user_id
"""  # noqa: S608 -- our own sums

DAYS = """
SELECT (started_at AT TIME ZONE %s)::date, count(*), count(*) FILTER (WHERE status = 'error'), sum(cost_usd)
FROM telemetry_span WHERE project_id = %s AND user_id <> '' AND user_id = %s AND counted
  AND started_at >= %s AND started_at < %s
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class UserSummary:
    """One line of the list, within the time looked at. A cost of None is unknown."""

    user_id: str
    first_at: datetime
    last_at: datetime
    traces: int
    sessions: int
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class UserPage:
    """Users, the one with the newest span first, and the cursor of the next page if there is one."""

    items: list[UserSummary]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class UserDay:
    """A user's calls of one day. A cost of None is unknown."""

    day: date
    calls: int
    errors: int
    cost_usd: Decimal | None


def recent_users(
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: TraceFilter,
    limit: int = 50,
    cursor: str | None = None,
) -> UserPage:
    """Users with a span that started in [start, end) and matches, with their figures of that time. Raises BadCursor."""
    places, more = activity.newest(
        "user_id", project_id, start=start, end=end, matching=matching, limit=limit, cursor=cursor
    )
    if not places:
        return UserPage([], None)
    found = _summaries(project_id, [name for name, _at in places], start, end)
    return UserPage([found[name] for name, _at in places if name in found], more)


def find_user(project_id: int, user_id: str, *, start: datetime, end: datetime) -> UserSummary | None:
    """What the user did in [start, end); None when nothing."""
    return _summaries(project_id, [user_id], start, end).get(user_id)


def _summaries(project_id: int, names: list[str], start: datetime, end: datetime) -> dict[str, UserSummary]:
    with connection.cursor() as cursor:
        cursor.execute(LIST, [project_id, names, start, end])
        return {row[0]: UserSummary(*row) for row in cursor.fetchall()}


def days_of_user(project_id: int, user_id: str, *, start: datetime, end: datetime, timezone: str) -> list[UserDay]:
    """The user's calls by day of that time zone; days without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(DAYS, [timezone, project_id, user_id, start, end])
        return [UserDay(*row) for row in cursor.fetchall()]

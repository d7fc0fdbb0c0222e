"""Sessions and users by their latest activity: whoever has the newest span that matches comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from django.db import connection

from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors import candidates
from apps.telemetry.selectors.candidates import TICK, Look
from apps.telemetry.selectors.traces import BadCursor

Column = Literal["session_id", "user_id"]
Place = tuple[str, datetime]
"""A session or user, and the start of its newest span that matches."""


def newest(
    column: Column,
    project_id: int,
    *,
    start: datetime,
    end: datetime,
    matching: TraceFilter,
    limit: int,
    cursor: str | None,
) -> tuple[list[Place], str | None]:
    """Those with a span that started in [start, end) and matches, and the cursor of the next page if there is one.

    Raises BadCursor.
    """
    after = _read_cursor(cursor) if cursor else None
    matching = replace(matching, has_session=column == "session_id" or None, has_user=column == "user_id" or None)
    until = end if after is None else min(end, after[1] + TICK)
    look = candidates.prepare(project_id, column, matching, start=start, end=until)
    places: dict[str, datetime] = {}
    known: list[Place] = []
    for haul in candidates.hauls(look):
        for at, (name,) in haul.found:
            places[name] = max(at, places.get(name, at))
        known = [place for place in places.items() if place[1] >= haul.since and _is_behind(place, after)]
        if after is not None:
            earlier = _on_earlier_pages(column, look, [name for name, _at in known], after[1], end)
            known = [place for place in known if place[0] not in earlier]
        if len(known) > limit:
            break
    found = sorted(known, key=lambda place: (-place[1].timestamp(), place[0]))
    return found[:limit], _write_cursor(found[limit - 1]) if len(found) > limit else None


def _is_behind(place: Place, after: Place | None) -> bool:
    if after is None:
        return True
    return place[1] < after[1] or (place[1] == after[1] and place[0] > after[0])


def _on_earlier_pages(column: Column, look: Look, names: Sequence[str], after: datetime, end: datetime) -> set[str]:
    condition, values = candidates.conditions(look.project_id, look.matching, look.fresh)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT {column} FROM telemetry_span AS span WHERE project_id = %s AND {column} = ANY (%s)"  # noqa: S608
            f" AND started_at > %s AND started_at < %s{condition}",
            [look.project_id, list(names), after, end, *values],
        )
        return {name for (name,) in cursor.fetchall()}


def _write_cursor(last: Place) -> str:
    return f"{last[1].isoformat()}~{last[0].encode().hex()}"


def _read_cursor(cursor: str) -> Place:
    moment, _, name = cursor.partition("~")
    try:
        place = bytes.fromhex(name).decode(), datetime.fromisoformat(moment)
    except ValueError as error:
        raise BadCursor() from error
    if place[1].tzinfo is None or "\x00" in place[0]:
        raise BadCursor()
    return place

"""When versions of a prompt were first and last called, from the day records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from django.db import connection

# A name of a prompt has no @, so what stands before the first one is the name.
USES = """
SELECT value, min(day), max(day) FROM telemetry_costdayslice
WHERE project_id = %s AND dimension = 'prompt_version' AND calls > 0 AND split_part(value, '@', 1) = ANY (%s)
GROUP BY value
"""


class Use(NamedTuple):
    """The UTC days of the first and the last call that are still kept."""

    first_on: date
    last_on: date


def prompt_uses(project_id: int, names: Sequence[str]) -> dict[str, Use]:
    """By `name@version`, as calls told it. What was called within the last seconds may not be in the records yet."""
    with connection.cursor() as cursor:
        cursor.execute(USES, [project_id, list(names)])
        return {value: Use(first, last) for value, first, last in cursor.fetchall()}

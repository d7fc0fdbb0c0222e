"""A sample of calls with their token counts: some of each day, so that no day speaks alone and the read is bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

CALLS_A_DAY = 60
MAX_DAYS = 92

# Within a day the calls are taken in the order of their ids' digests: as good as by chance, and the same each time.
SAMPLE = """
SELECT taken.input_tokens, coalesce(taken.output_tokens, 0), coalesce(taken.cached_input_tokens, 0),
  coalesce(taken.cache_write_tokens, 0), coalesce(taken.reasoning_tokens, 0)
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 second', interval '1 day') AS day,
LATERAL (
  SELECT * FROM (
    SELECT input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, trace_id, span_id
    FROM telemetry_span
    WHERE project_id = %(project)s AND started_at >= day AND started_at < least(day + interval '1 day', %(end)s)
      AND counted AND input_tokens IS NOT NULL AND status = 'ok'
      AND (%(feature)s = '' OR feature = %(feature)s) AND (%(environment)s = '' OR environment = %(environment)s)
      AND CASE WHEN %(evals)s THEN source = 'eval' ELSE source NOT IN ('eval', 'judge') END
    LIMIT 5000
  ) AS held ORDER BY hashtextextended(encode(trace_id || span_id, 'hex'), 0) LIMIT %(most)s
) AS taken
"""


class TokenCounts(NamedTuple):
    """Of one call; input includes cached and cache-written ones, output reasoning ones."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


def sample_tokens(
    project_id: int, *, feature: str, environment: str, days: int, until: datetime, from_evals: bool = False
) -> list[TokenCounts]:
    """At most CALLS_A_DAY calls of each of the days before `until` that went well and said their input tokens.

    Calls of the product's users, or with `from_evals` those of eval runs. Empty text takes any feature or environment.
    """
    values: dict[str, Any] = {
        "project": project_id,
        "start": until - timedelta(days=min(days, MAX_DAYS)),
        "end": until,
        "feature": feature,
        "environment": environment,
        "evals": from_evals,
        "most": CALLS_A_DAY,
    }
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, values)
        return [TokenCounts(*row) for row in cursor.fetchall()]

"""Fill a project with invented spans, quickly and the same each time: what the page benchmarks read.

    python benchmarks/fill.py --project shop --spans 1000000 --days 30

Every value is a hash of the span's number, so the same arguments always give the same rows, whatever the server does
with the order. A trace is four spans: a chain, an embedding, a call, and a second call or a tool run. Features are used
unevenly, each has its own two models and three prompt versions, one model is not in the price list, and calls fail now
and then. The spans end at the last full hour before now, or at `--until`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
SPANS_PER_TRACE = 4
MAX_SPANS = 20_000_000

# u(i, k) is uniform in [0, 1) and z(i, k) nearly normal, both fixed by the span's number and the salt k.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.u(i bigint, salt int) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(i, salt) & 9007199254740991)::double precision / 9007199254740992 $$;
CREATE OR REPLACE FUNCTION pg_temp.z(i bigint, salt int) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT sqrt(-2 * ln(1 - pg_temp.u(i, salt))) * cos(2 * pi() * pg_temp.u(i, salt + 1)) $$;
"""

SPANS = """
WITH numbered AS (
  SELECT i, i / 4 AS t, (i %% 4)::int AS part,
    %(start)s::timestamptz + make_interval(secs => %(seconds)s::double precision * (i / 4 - %(first)s / 4) / %(traces)s)
      + make_interval(secs => 0.2 * (i %% 4)) AS at
  FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS i
), trace AS (
  SELECT *, (12 * power(pg_temp.u(t, 1), 1.7))::int %% 12 AS f, pg_temp.u(t, 2) AS env, pg_temp.u(t, 3) AS version,
    pg_temp.u(t, 4) AS src, pg_temp.u(t, 5) AS person, pg_temp.u(i, 6) AS pick, pg_temp.u(i, 7) AS failing
  FROM numbered
), kinded AS (
  SELECT *,
    CASE part WHEN 0 THEN 'chain' WHEN 1 THEN 'embedding' WHEN 2 THEN 'llm'
      ELSE CASE WHEN pick < 0.2 THEN 'tool' ELSE 'llm' END END AS kind,
    (f * 2 + CASE WHEN pick < 0.7 THEN 0 ELSE 1 END) %% 9 AS m
  FROM trace
), priced AS (
  SELECT *, kind IN ('llm', 'embedding') AS counted, failing < 0.015 AS failed,
    CASE kind
      WHEN 'llm' THEN (ARRAY['gpt-4o','gpt-4o-mini','gpt-4.1','claude-sonnet-4','claude-haiku-4','gemini-2.5-pro',
        'gemini-2.5-flash','mistral-large','house-model'])[m + 1]
      WHEN 'embedding' THEN 'text-embedding-3-small' ELSE '' END AS model,
    CASE kind WHEN 'llm' THEN (ARRAY['openai','openai','openai','anthropic','anthropic','google','google','mistral',
      'house'])[m + 1] WHEN 'embedding' THEN 'openai' ELSE '' END AS provider,
    CASE kind WHEN 'llm' THEN (ARRAY[2.5,0.15,2,3,0.8,1.25,0.3,2,NULL])[m + 1]
      WHEN 'embedding' THEN 0.02 END AS price_in,
    CASE kind WHEN 'llm' THEN (ARRAY[10,0.6,8,15,4,10,2.5,6,NULL])[m + 1] WHEN 'embedding' THEN 0 END AS price_out,
    CASE kind WHEN 'llm' THEN exp(6.4 + 0.9 * pg_temp.z(i, 10))::bigint WHEN 'embedding' THEN 64 END AS tokens_in,
    CASE kind WHEN 'llm' THEN exp(5.0 + 0.8 * pg_temp.z(i, 12))::bigint END AS tokens_out,
    CASE kind WHEN 'llm' THEN exp(7.3 + 0.7 * pg_temp.z(i, 14) + 0.05 * m)::bigint + 40
      WHEN 'embedding' THEN exp(3.6 + 0.4 * pg_temp.z(i, 14))::bigint + 5
      ELSE exp(7.5 + 0.6 * pg_temp.z(i, 14))::bigint + 10 END AS latency
  FROM kinded
)
INSERT INTO telemetry_span (project_id, trace_id, span_id, client_started_at, started_at, received_at, kind, name,
  status, counted, digest, parent_span_id, ended_at, latency_ms, ttft_ms, error_type, error_message, environment,
  feature, service, user_id, session_id, provider, model, request_model, response_model, prompt_name, prompt_version,
  source, finish_reason, streamed, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens,
  reasoning_tokens, cost_usd, client_cost_usd, price_id, tool_name, agent_name, tags, flags)
SELECT %(project)s, int8send(%(project)s) || int8send(t), int8send(i), at, at, at + interval '2 seconds', kind,
  kind || '-' || f, CASE WHEN failed THEN 'error' ELSE 'ok' END, counted, int8send(i),
  CASE WHEN part > 0 THEN int8send(i - part) END, at + latency * interval '1 millisecond', latency,
  CASE WHEN kind = 'llm' AND NOT failed THEN least(latency, 60 + latency / 4) END,
  CASE WHEN failed THEN 'RateLimitError' ELSE '' END, CASE WHEN failed THEN 'Too many requests' ELSE '' END,
  CASE WHEN env < 0.8 THEN 'production' WHEN env < 0.95 THEN 'staging' ELSE 'development' END,
  (ARRAY['support-answers','search','summaries','drafting','triage','translation','onboarding','reports','code-review',
    'tagging','moderation','forecasts'])[f + 1],
  'api', 'user-' || (person * 5000)::int, 'session-' || (t / 5), provider, model, model, model,
  CASE WHEN kind = 'llm' THEN 'prompt-' || f ELSE '' END,
  CASE WHEN kind <> 'llm' THEN '' WHEN version < 0.6 THEN '1.2.0' WHEN version < 0.9 THEN '1.1.0' ELSE '1.0.0' END,
  CASE WHEN src < 0.85 THEN 'service' WHEN src < 0.95 THEN 'gateway' ELSE 'eval' END,
  CASE WHEN kind = 'llm' AND NOT failed THEN 'stop' ELSE '' END, kind = 'llm', tokens_in, tokens_out,
  CASE WHEN kind = 'llm' AND pick < 0.3 THEN tokens_in / 2 END, NULL,
  CASE WHEN kind = 'llm' AND m IN (5, 6) THEN tokens_out / 3 END,
  CASE WHEN counted THEN (tokens_in * price_in + coalesce(tokens_out, 0) * price_out) * 0.000001 END, NULL, NULL,
  CASE WHEN kind = 'tool' THEN 'look_up' ELSE '' END, '', '{}', '{}'
FROM priced
"""

TEXTS = """
CREATE TEMPORARY TABLE IF NOT EXISTS fill_paragraph AS
SELECT number, (
  SELECT string_agg(word, ' ') FROM (
    SELECT substr(md5(((number * 37 + place * place * 11) %% 3000)::text), 1, 3 + place %% 6)
      || CASE WHEN place %% 9 = 8 THEN '.' ELSE '' END AS word
    FROM generate_series(1, 30 + number %% 20) AS place
  ) AS words
) AS text
FROM generate_series(0, 499) AS number
"""

# Every model call asks and is answered: some 120 words of a small vocabulary, and the number of an order.
PAYLOADS = """
INSERT INTO telemetry_payload (project_id, trace_id, span_id, started_at, input, output, input_is_json, output_is_json)
SELECT project_id, trace_id, span_id, started_at,
  json_build_array(
    json_build_object('role', 'system', 'content', 'Answer the customer politely. ' || one.text),
    json_build_object('role', 'user', 'content', 'Where is my order 70-' || i || '? ' || two.text)
  )::text,
  'Thank you for waiting. ' || three.text, true, false
FROM (
  SELECT *, ('x' || encode(span_id, 'hex'))::bit(64)::bigint AS i FROM telemetry_span
  WHERE project_id = %(project)s AND started_at >= %(start)s AND started_at < %(until)s AND kind = 'llm'
) AS span
JOIN fill_paragraph AS one ON one.number = (pg_temp.u(i, 20) * 500)::int %% 500
JOIN fill_paragraph AS two ON two.number = (pg_temp.u(i, 21) * 500)::int %% 500
JOIN fill_paragraph AS three ON three.number = (pg_temp.u(i, 22) * 500)::int %% 500
"""

DIRTY = """
INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
SELECT %(project)s, hour, now() FROM generate_series(%(start)s::timestamptz, %(until)s::timestamptz, '1 hour') AS hour
"""


KEYS = """
SELECT project_id, trace_id, span_id, started_at FROM telemetry_span
WHERE project_id = %(project)s AND started_at >= %(start)s AND started_at < %(until)s
"""
KEYS_AT_ONCE = 5_000

NAMES = """
SELECT array_agg(DISTINCT feature), array_agg(DISTINCT environment) FROM telemetry_span
WHERE project_id = %s AND started_at >= %s
"""
TABLES = (
    "telemetry_span",
    "telemetry_payload",
    "telemetry_search",
    "telemetry_dirtyhour",
    "telemetry_costhour",
    "telemetry_costhourslice",
    "telemetry_costday",
    "telemetry_costdayslice",
)


def fill(project_id: int, *, spans: int, days: int, until: datetime, is_searched: bool = False) -> None:
    """Store `spans` spans (a multiple of four) evenly over the `days` before the hour of `until`; mark their hours.

    With `is_searched` they are written into the search index too, by the product's own function, which takes longer
    than all the rest. Raises ValueError for more than MAX_SPANS. Running it twice for one project violates the spans'
    key.
    """
    from django.db import connection, transaction

    from apps.core.clock import floor_hour
    from apps.projects import services as projects
    from apps.telemetry.services.partitions import ensure_partitions

    if not 0 < spans <= MAX_SPANS or spans % SPANS_PER_TRACE:
        raise ValueError(f"spans is a multiple of {SPANS_PER_TRACE} up to {MAX_SPANS}")
    until = floor_hour(until)
    start = until - timedelta(days=days)
    ensure_partitions((start + timedelta(days=offset)).date() for offset in range(days + 1))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(FUNCTIONS)
        cursor.execute(TEXTS.replace("%%", "%"))
        for day in range(days):
            values = _values(project_id, start + timedelta(days=day), spans // SPANS_PER_TRACE, day, days)
            with transaction.atomic():
                cursor.execute(SPANS, values)
                cursor.execute(PAYLOADS, values)
                cursor.execute(DIRTY, values)
            if is_searched:
                index_day(values)
        cursor.execute(NAMES, [project_id, until - timedelta(days=1)])
        features, environments = cursor.fetchone()
    projects.learn_names(project_id, features=set(features), environments=set(environments), now=until)
    tidy()


def index_day(values: dict[str, int | datetime]) -> None:
    """Write one day's spans into the search index."""
    from django.db import connection, transaction

    from apps.telemetry.services import searching

    with connection.cursor() as cursor:
        cursor.execute(KEYS, values)
        keys = [(project, bytes(trace), bytes(span), at) for project, trace, span, at in cursor.fetchall()]
        for first in range(0, len(keys), KEYS_AT_ONCE):
            with transaction.atomic():
                searching.index(cursor, keys[first : first + KEYS_AT_ONCE])


def _values(project_id: int, start: datetime, traces: int, day: int, days: int) -> dict[str, int | datetime]:
    """Which of all traces fall on this day."""
    first, last = traces * day // days, traces * (day + 1) // days
    return {
        "project": project_id,
        "start": start,
        "until": start + timedelta(days=1),
        "seconds": 86_399,
        "first": first * SPANS_PER_TRACE,
        "last": last * SPANS_PER_TRACE,
        "traces": max(1, last - first),
    }


def tidy() -> None:
    """Do now what the server would do by itself within minutes: clean up, and count rows for its planner."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"VACUUM (ANALYZE) {table}")


def main() -> None:
    """Fill the named project and roll it up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", required=True, help="the project's slug")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--search", action="store_true", help="write the search index as well")
    parser.add_argument("--until", type=datetime.fromisoformat, help="end of the spans, ISO 8601 with an offset")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")
    django.setup()

    from apps.core import clock
    from apps.projects.models import Project
    from apps.telemetry.services import rollups

    project = Project.objects.get(slug=given.project)
    began = time.perf_counter()
    until = given.until or clock.now()
    fill(project.pk, spans=given.spans, days=given.days, until=until, is_searched=given.search)
    stored = time.perf_counter()
    while rollups.roll_up().is_unfinished:
        pass
    tidy()
    print(f"{given.spans} spans in {stored - began:.1f} s, rolled up in {time.perf_counter() - stored:.1f} s")


if __name__ == "__main__":
    main()

"""The account of the intake: what arrived, what became of it, and why some of it was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Max, Sum

from apps.core.clock import ceil_hour, floor_hour
from apps.core.errors import NotFound
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


# --- The health of the intake -------------------------------------------------------------------------------

LOOK_BACK = timedelta(hours=6)
MOST_SPANS = 5_000
"""Scopes, flags, lag and client costs are of the newest spans of the last hours, so that they are quick to read."""

MOST_CLIENTS = 500
UNKNOWN_REASON = ""
"""Stands for items that were rejected before their reasons were counted."""


@dataclass(frozen=True)
class Counts:
    """Items: `received` is the sum of the other four. Requests are those that were taken, not those refused whole."""

    requests: int = 0
    received: int = 0
    stored: int = 0
    updated: int = 0
    duplicates: int = 0
    rejected: int = 0
    last_at: datetime | None = None

    @property
    def is_balanced(self) -> bool:
        """Whether every item ended somewhere."""
        return self.received == self.stored + self.updated + self.duplicates + self.rejected

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        times = [at for at in (self.last_at, other.last_at) if at is not None]
        sums = {name: getattr(self, name) + getattr(other, name) for name in NAMES}
        return Counts(**sums, last_at=max(times) if times else None)


NAMES = ("requests", "received", "stored", "updated", "duplicates", "rejected")


@dataclass(frozen=True)
class Refusal:
    """Requests of one key that a door refused whole, for one reason."""

    key_id: int
    door: str
    code: str
    requests: int
    http_status: int
    client: str
    message: str
    last_at: datetime


@dataclass(frozen=True)
class Account:
    """What became of everything that was sent in a stretch of time."""

    total: Counts
    series: Sequence[Counts]
    by_key: Mapping[int | None, Counts]
    by_client: Mapping[str, Counts]
    refusals: Sequence[Refusal]

    @cached_property
    def refused_requests(self) -> int:
        """How many requests were refused whole."""
        return sum(each.requests for each in self.refusals)


@dataclass(frozen=True)
class Reason:
    """Items that were rejected for one reason, and the first of them that was kept."""

    code: str
    items: int
    sample: Sample | None


@dataclass(frozen=True)
class Sample:
    """The beginning of an item that was rejected, and what was answered."""

    pk: int
    at: datetime
    key_id: int | None
    list_name: str
    position: int
    message: str
    text: str


@dataclass(frozen=True)
class ClientCosts:
    """Calls whose cost is the client's own, since no price of the model is known."""

    provider: str
    model: str
    calls: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Lag:
    """From the end of a span to its arrival, in milliseconds; None without spans."""

    spans: int
    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True)
class Scope:
    """An instrumentation that made spans; empty when it did not say its name."""

    name: str
    spans: int
    last_at: datetime


@dataclass(frozen=True)
class Backlog:
    """Work that waits: how much, and since when. `stuck` rows failed several times and wait for a person."""

    dirty_hours: int
    dirty_since: datetime | None
    fresh: int
    fresh_since: datetime | None
    stuck: int
    unsettled: int
    unsettled_since: datetime | None


@dataclass(frozen=True)
class Recent:
    """What the newest spans of the last hours tell, and what waits now."""

    spans: int
    since: datetime | None
    is_cut: bool
    scopes: Sequence[Scope]
    flags: Mapping[str, int]
    lag: Lag
    client_costs: Sequence[ClientCosts]
    backlog: Backlog


# Whole hours that were added up come from their sums, the rest from the requests themselves.
LINES = """
bounds AS MATERIALIZED (
  SELECT %(first)s::timestamptz AS first, greatest(%(first)s, least(%(last)s, coalesce(
    (SELECT max(hour) + interval '1 hour' FROM telemetry_intakehour WHERE project_id = %(project)s), '-infinity'
  )))::timestamptz AS last
), line AS MATERIALIZED (
  SELECT hour AS at, nullif(key_id, 0) AS key_id, client, requests, received, stored, updated, duplicates, rejected,
    last_at, reasons
  FROM telemetry_intakehour WHERE project_id = %(project)s
    AND hour >= (SELECT first FROM bounds) AND hour < (SELECT last FROM bounds)
  UNION ALL
  SELECT at, key_id, client, 1, received, stored, updated, duplicates, rejected, at, reasons
  FROM telemetry_intakebatch WHERE project_id = %(project)s AND at >= %(start)s AND at < (SELECT first FROM bounds)
  UNION ALL
  SELECT at, key_id, client, 1, received, stored, updated, duplicates, rejected, at, reasons
  FROM telemetry_intakebatch WHERE project_id = %(project)s AND at >= (SELECT last FROM bounds) AND at < %(end)s
)
"""

ACCOUNT = f"""
WITH {LINES}, summed AS (
  SELECT grouping(bucket, key_id, client) AS way, bucket, key_id, client, sum(requests) AS requests, sum(received),
    sum(stored), sum(updated), sum(duplicates), sum(rejected), max(last_at)
  FROM (SELECT *, width_bucket(at, %(starts)s::timestamptz[]) AS bucket FROM line) AS placed
  GROUP BY GROUPING SETS ((), (bucket), (key_id), (client))
)
(SELECT *, NULL::text, NULL::int, NULL::text FROM summed WHERE way <> 6)
UNION ALL
(SELECT *, NULL, NULL, NULL FROM summed WHERE way = 6 ORDER BY requests DESC LIMIT %(clients)s)
UNION ALL
(SELECT -1, NULL, key_id, (array_agg(client ORDER BY last_at DESC))[1], sum(requests), 0, 0, 0, 0, 0,
   max(last_at), door || ' ' || code, (array_agg(http_status ORDER BY last_at DESC))[1],
   (array_agg(message ORDER BY last_at DESC))[1]
 FROM telemetry_intakerefusal
 WHERE project_id = %(project)s AND hour >= date_trunc('hour', %(start)s::timestamptz) AND hour < %(end)s
 GROUP BY key_id, door, code ORDER BY 5 DESC LIMIT 200)
"""  # noqa: S608 -- only words of our own are put in
TOTAL, BY_BUCKET, BY_KEY, BY_CLIENT, REFUSED = 7, 3, 5, 6, -1
"""What `way` is: the bits of `grouping` that are set for what is added up."""


# Jumps from one project to the next along the index instead of reading every row.
PROJECTS = """
WITH RECURSIVE known (id) AS (
  SELECT min(project_id) FROM telemetry_intakebatch
  UNION ALL
  SELECT (SELECT min(project_id) FROM telemetry_intakebatch WHERE project_id > known.id) FROM known
  WHERE known.id IS NOT NULL
)
SELECT id FROM known WHERE id IS NOT NULL
"""
OPEN_HOUR = """
SELECT date_trunc('hour', min(at)) FROM telemetry_intakebatch
WHERE project_id = %(project)s AND at >= coalesce(
  (SELECT max(hour) + interval '1 hour' FROM telemetry_intakehour WHERE project_id = %(project)s), '-infinity')
"""


def projects_with_requests() -> list[int]:
    """The projects that ever sent something that is still in the account."""
    with connection.cursor() as cursor:
        cursor.execute(PROJECTS)
        return [project_id for (project_id,) in cursor.fetchall()]


def first_open_hour(project_id: int) -> datetime | None:
    """The first hour whose requests are not added up yet; None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_HOUR, {"project": project_id})
        found: datetime | None = cursor.fetchone()[0]
    return found


def _range(project_id: int, start: datetime, end: datetime, step: timedelta) -> dict[str, Any]:
    """The range, and the whole hours in it, which may come from sums if the steps are not finer."""
    first, last = ceil_hour(start), floor_hour(end)
    if first >= last or step < timedelta(hours=1):
        first = last = end
    return {"project": project_id, "start": start, "end": end, "first": first, "last": last}


def read_account(project_id: int, *, start: datetime, end: datetime, buckets: Sequence[datetime]) -> Account:
    """What became of the items that arrived from `start` up to, not including, `end`, in one query.

    `buckets` are the starts of the intervals of the series. Refused requests are counted by whole hours.
    """
    step = buckets[1] - buckets[0] if len(buckets) > 1 else timedelta(hours=1)
    total, by_key, by_client, refusals = Counts(), {}, {}, []
    series = [Counts()] * len(buckets)
    with connection.cursor() as cursor:
        cursor.execute(
            ACCOUNT,
            _range(project_id, start, end, step) | {"starts": list(buckets), "clients": MOST_CLIENTS},
        )
        rows = cursor.fetchall()
    for way, bucket, key_id, client, *numbers, last_at, place, http_status, message in rows:
        if way == REFUSED:
            door, _, code = place.rpartition(" ")
            refusals.append(Refusal(key_id, door, code, numbers[0], http_status, client, message, last_at))
            continue
        sums: dict[str, Any] = {name: int(number or 0) for name, number in zip(NAMES, numbers, strict=True)}
        counts = Counts(**sums, last_at=last_at)
        if way == TOTAL:
            total = counts
        elif way == BY_KEY:
            by_key[key_id] = counts
        elif way == BY_CLIENT:
            by_client[client] = counts
        elif bucket:
            series[bucket - 1] = counts
    return Account(total, series, by_key, by_client, refusals)


# The samples are looked up one by one along an index, since there may be very many rejections.
REASONS = f"""
WITH {LINES}, said AS (
  SELECT said.code, sum(said.items::bigint)::bigint AS items
  FROM line, jsonb_each_text(line.reasons) AS said (code, items) WHERE line.rejected > 0 GROUP BY said.code
), reason AS (
  SELECT * FROM said
  UNION ALL
  SELECT '', (coalesce(sum(rejected), 0) - (SELECT coalesce(sum(items), 0) FROM said))::bigint FROM line
)
SELECT reason.code, reason.items, sample.*
FROM reason LEFT JOIN LATERAL (
  SELECT id, at, key_id, list_name, position, message, sample FROM telemetry_intakerejection
  WHERE project_id = %(project)s AND code = reason.code AND at >= %(start)s AND at < %(end)s
  ORDER BY at, id LIMIT 1
) AS sample ON true
WHERE reason.items > 0
ORDER BY reason.items DESC, reason.code
"""  # noqa: S608


def read_reasons(project_id: int, *, start: datetime, end: datetime) -> list[Reason]:
    """Why items were rejected, the commonest reason first, each with the first item that was kept, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(REASONS, _range(project_id, start, end, timedelta(hours=1)))
        rows = cursor.fetchall()
    return [Reason(code, items, Sample(*sample) if sample[0] is not None else None) for code, items, *sample in rows]


def get_sample(project_id: int, pk: int) -> IntakeRejection:
    """One rejected item. Raises NotFound."""
    found = IntakeRejection.objects.filter(project_id=project_id, pk=pk).first()
    if found is None:
        raise NotFound()
    return found


RECENT = """
WITH newest AS MATERIALIZED (
  SELECT scope, flags, started_at, received_at, ended_at, latency_ms, counted, provider, model, cost_usd,
    client_cost_usd, price_id
  FROM telemetry_span
  WHERE project_id = %(project)s AND started_at >= %(since)s AND started_at < %(until)s
  ORDER BY started_at DESC LIMIT %(most)s
), lag AS (
  SELECT greatest(0, extract(epoch FROM received_at - coalesce(
    ended_at, started_at + latency_ms * interval '1 millisecond', started_at)) * 1000)::bigint AS ms
  FROM newest WHERE NOT flags && '{clock}'
)
SELECT 'spans' AS what, NULL AS name, NULL AS other, count(*) AS number, min(started_at) AS at, NULL::numeric AS cost
FROM newest
UNION ALL
(SELECT 'scope', scope, NULL, count(*), max(received_at), NULL FROM newest GROUP BY scope ORDER BY 4 DESC LIMIT 100)
UNION ALL
SELECT 'flag', flag, NULL, count(*), NULL, NULL FROM newest, unnest(flags) AS flag GROUP BY flag
UNION ALL
(SELECT 'cost', provider, model, count(*), NULL, sum(cost_usd) FROM newest
 WHERE counted AND price_id IS NULL AND client_cost_usd IS NOT NULL AND cost_usd IS NOT NULL
 GROUP BY provider, model ORDER BY 4 DESC LIMIT 100)
UNION ALL
SELECT 'lag', quantile::text, NULL, count(*), NULL, percentile_disc(quantile) WITHIN GROUP (ORDER BY ms)
FROM lag, unnest(ARRAY[0.5, 0.95, 0.99]) AS quantile GROUP BY quantile
UNION ALL
SELECT 'dirty', NULL, NULL, count(DISTINCT hour), min(marked_at), NULL
FROM telemetry_dirtyhour WHERE project_id = %(project)s
UNION ALL
SELECT 'fresh', NULL, NULL, count(*), min(at), NULL FROM telemetry_fresh WHERE project_id = %(project)s
UNION ALL
SELECT 'stuck', NULL, NULL, count(*), min(at), NULL
FROM telemetry_fresh WHERE project_id = %(project)s AND attempts >= %(attempts)s
UNION ALL
SELECT 'unsettled', NULL, NULL, count(*), min(marked_at), NULL
FROM telemetry_opentrace WHERE project_id = %(project)s AND settled_at IS NULL
"""
MAX_ATTEMPTS = 5
"""Where the digest of a row of fresh spans is given up."""


def read_recent(project_id: int, *, now: datetime) -> Recent:
    """What the newest spans of the last hours tell, and what waits to be worked through, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            RECENT,
            {
                "project": project_id,
                "since": now - LOOK_BACK,
                "until": now + timedelta(hours=1),
                "most": MOST_SPANS,
                "attempts": MAX_ATTEMPTS,
            },
        )
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for what, *row in cursor.fetchall():
            rows.setdefault(what, []).append(tuple(row))
    (spans,) = rows["spans"]
    lag = {row[0]: int(row[4]) for row in rows.get("lag", [])}
    waiting = {what: rows[what][0] for what in ("dirty", "fresh", "stuck", "unsettled")}
    return Recent(
        spans=spans[2],
        since=spans[3],
        is_cut=spans[2] >= MOST_SPANS,
        scopes=[Scope(row[0], row[2], row[3]) for row in rows.get("scope", [])],
        flags={row[0]: row[2] for row in sorted(rows.get("flag", []), key=lambda row: (-row[2], row[0]))},
        lag=Lag(
            max((row[2] for row in rows.get("lag", [])), default=0), lag.get("0.5"), lag.get("0.95"), lag.get("0.99")
        ),
        client_costs=[ClientCosts(row[0], row[1], row[2], row[4]) for row in rows.get("cost", [])],
        backlog=Backlog(
            dirty_hours=waiting["dirty"][2],
            dirty_since=waiting["dirty"][3],
            fresh=waiting["fresh"][2],
            fresh_since=waiting["fresh"][3],
            stuck=waiting["stuck"][2],
            unsettled=waiting["unsettled"][2],
            unsettled_since=waiting["unsettled"][3],
        ),
    )

"""What executing a run reads and writes. Every write is done under the run's lease, in one transaction with it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.evals.models import CachedAnswer, EvalRun, Pace
from apps.evals.selectors.due_runs import due_first
from apps.evals.types import RunState

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)
PAGE_ROWS, PAGE_BYTES = 200, 4 * 1024 * 1024
WAITS = (0.1, 0.3, 1.0, 2.0, 4.0)
"""Seconds between tries while the database does not answer; together less than a lease."""

NOT_ASLEEP = "SET LOCAL idle_in_transaction_session_timeout = '5s'"
"""A worker that is stopped in the middle must not hold the run's row against whoever goes on."""

MARK = """
UPDATE evals_result AS held SET state = told.state, tries = held.tries + told.tries, started_at = %(now)s,
  trace_id = told.trace_id, span_id = told.span_id
FROM jsonb_to_recordset(%(rows)s::jsonb) AS told (id bigint, state text, tries int, trace_id text, span_id text)
WHERE held.id = told.id AND held.state IN ('waiting', 'calling')
"""
SETTLE = """
UPDATE evals_result AS held SET state = told.state, output = told.output, tool_calls = told.tool_calls,
  finish_reason = told.finish_reason, response_model = told.response_model, ttft_ms = told.ttft_ms,
  latency_ms = told.latency_ms, input_tokens = told.input_tokens, output_tokens = told.output_tokens,
  cached_input_tokens = told.cached_input_tokens, cache_write_tokens = told.cache_write_tokens,
  reasoning_tokens = told.reasoning_tokens, cost_usd = told.cost_usd, is_from_cache = told.is_from_cache,
  error_code = told.error_code, error = told.error,
  trace_id = told.trace_id, span_id = told.span_id, started_at = told.started_at,
  ended_at = CASE WHEN told.state = 'answered' THEN NULL ELSE %(now)s::timestamptz END,
  value = told.value, is_passed = told.is_passed
FROM jsonb_to_recordset(%(rows)s::jsonb) AS told (id bigint, state text, output text, tool_calls jsonb,
  finish_reason text, response_model text, ttft_ms int, latency_ms int, input_tokens bigint, output_tokens bigint,
  cached_input_tokens bigint, cache_write_tokens bigint, reasoning_tokens bigint,
  cost_usd numeric, is_from_cache boolean, error_code text, error text, trace_id text, span_id text,
  started_at timestamptz, value double precision, is_passed boolean)
WHERE held.id = told.id AND held.state IN ('waiting', 'calling')
"""
FINISH = """
UPDATE evals_result AS held SET state = 'done', ended_at = %(now)s, value = told.value, is_passed = told.is_passed
FROM jsonb_to_recordset(%(rows)s::jsonb) AS told (id bigint, value double precision, is_passed boolean)
WHERE held.id = told.id AND held.state = 'answered'
"""
KEEP_SCORES = """
INSERT INTO evals_resultscore (project_id, run_id, result_id, scorer_id, state, value, label, reason, details, cost_usd,
  trace_id)
SELECT project_id, run_id, result_id, scorer_id, state, value, label, reason, details, cost_usd, trace_id
FROM jsonb_to_recordset(%(rows)s::jsonb) AS told (project_id bigint, run_id bigint, result_id bigint, scorer_id bigint,
  state text, value double precision, label text, reason text, details jsonb, cost_usd numeric, trace_id text)
ON CONFLICT (result_id, scorer_id) DO UPDATE SET state = excluded.state, value = excluded.value,
  label = excluded.label, reason = excluded.reason, details = excluded.details, cost_usd = excluded.cost_usd,
  trace_id = excluded.trace_id
"""
COUNTED = (
    *("done", "failed", "from_cache", "calls", "spent_usd", "judge_spent_usd", "unpriced_calls", "lost_calls"),
    *("lost_usd", "untraced_calls"),
)
COUNT = f"""
UPDATE evals_evalrun SET {", ".join(f"{name} = greatest(0, {name} + %({name})s)" for name in COUNTED)}
WHERE id = %(run)s AND lease_token = %(token)s AND state = 'running' RETURNING id
"""  # noqa: S608 -- only names of our own columns are put in
TRACED = "UPDATE evals_result SET is_traced = true WHERE id = ANY (%s)"
RESUME = """
WITH cut AS (
  UPDATE evals_result SET state = 'waiting', interrupted = interrupted + 1 WHERE run_id = %(run)s AND state = 'calling'
  RETURNING 1
) SELECT count(*) FROM cut
"""
PAGE = """
SELECT * FROM (
  SELECT result.id, result.repetition, result.state, result.tries, result.interrupted,
    result.is_from_cache, result.output, result.tool_calls,
    result.steps, result.finish_reason, result.ttft_ms, result.latency_ms, result.cost_usd, result.trace_id,
    result.span_id, result.started_at, result.response_model, result.input_tokens, result.output_tokens,
    result.cached_input_tokens, result.cache_write_tokens, result.reasoning_tokens,
    result.error_code, result.error, example.key, example.variables, example.messages, example.tools, example.expected,
    example.context, example.metadata,
    sum(size.bytes) OVER (ORDER BY result.id) AS so_far, row_number() OVER (ORDER BY result.id) AS place
  FROM evals_result AS result JOIN evals_example AS example ON example.id = result.example_id,
    LATERAL (SELECT pg_column_size(example.variables) + coalesce(pg_column_size(example.messages), 0)
      + pg_column_size(example.context) + coalesce(pg_column_size(example.expected), 0)
      + pg_column_size(example.metadata) + pg_column_size(result.output) AS bytes) AS size
  WHERE result.run_id = %(run)s AND result.id > %(after)s AND {wanted}
  ORDER BY result.id LIMIT %(rows)s
) AS paged WHERE so_far <= %(bytes)s OR place = 1 ORDER BY id
"""
TO_DO = "result.state IN ('waiting', 'answered')"
TO_TELL = "NOT result.is_traced AND result.trace_id <> '' AND result.state IN ('answered', 'done', 'failed')"
JSON_COLUMNS = ("tool_calls", "steps", "variables", "messages", "tools", "expected", "context", "metadata")


class LeaseLost(Exception):
    """Another worker has the run, or it has ended: nothing more may be written."""


@dataclass(slots=True)
class Write:
    """What happened to one result, or only to the counts of its run."""

    run_id: int
    mark: dict[str, Any] | None = None
    settle: dict[str, Any] | None = None
    finish: dict[str, Any] | None = None
    scores: list[dict[str, Any]] = field(default_factory=list)
    counts: Mapping[str, int | Decimal] = field(default_factory=dict)
    cached: tuple[int, str, dict[str, Any]] | None = None
    """The project, the key and the answer."""
    traced: list[int] = field(default_factory=list)
    pause: tuple[int, str, datetime] | None = None
    """The project, the connection, and until when nobody asks it."""


def take_due(*, now: datetime, most: int) -> dict[int, uuid.UUID]:
    """Lease up to so many runs that nobody works on; their tokens, by run."""
    taken: dict[int, uuid.UUID] = {}
    with transaction.atomic():
        for run in due_first(now, most).select_for_update(skip_locked=True, of=("self",)):
            token = uuid.uuid4()
            EvalRun.objects.filter(pk=run.pk).update(
                lease_token=token,
                lease_until=now + LEASE,
                leases=run.leases + 1,
                state=RunState.RUNNING,
                started_at=run.started_at or now,
            )
            taken[run.pk] = token
    return taken


def renew(leases: Mapping[int, uuid.UUID], *, now: datetime) -> dict[int, bool]:
    """Keep the leases; those that are still ours, each with whether somebody asked for the run's end."""
    if not leases:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE evals_evalrun AS run SET lease_until = %s FROM unnest(%s::bigint[], %s::uuid[]) AS held (id, token)"
            " WHERE run.id = held.id AND run.lease_token = held.token AND run.state = 'running'"
            " RETURNING run.id, run.cancel_asked_at IS NOT NULL",
            [now + LEASE, list(leases), list(leases.values())],
        )
        return dict(cursor.fetchall())


def give_back(run_id: int, token: uuid.UUID) -> None:
    """End the lease, so that another worker may go on at once."""
    EvalRun.objects.filter(pk=run_id, lease_token=token).update(lease_token=None, lease_until=None)


def resume(run_id: int, token: uuid.UUID, worst_usd: Decimal | None) -> int:
    """Put results that were being called back to waiting, and count their calls as perhaps paid; how many those were.

    Raises LeaseLost."""
    with transaction.atomic(), connection.cursor() as cursor:
        _fence(cursor, run_id, token)
        cursor.execute(RESUME, {"run": run_id})
        cut = int(cursor.fetchone()[0])
        if cut:
            _count(cursor, run_id, token, {"lost_calls": cut, "lost_usd": (worst_usd or Decimal(0)) * cut})
    return cut


def load_page(run_id: int, after: int, *, wanted: str = TO_DO) -> list[dict[str, Any]]:
    """Some results with their examples, in order, after this one: at most 200, and few when they are large."""
    told = {"run": run_id, "after": after, "rows": PAGE_ROWS, "bytes": PAGE_BYTES}
    with connection.cursor() as cursor:
        cursor.execute(PAGE.format(wanted=wanted), told)
        assert cursor.description is not None
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        for name in JSON_COLUMNS:
            if isinstance(row[name], str):
                row[name] = msgspec.json.decode(row[name])
    return rows


def known_answers(project_id: int, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """The answers that are kept for these calls."""
    return dict(CachedAnswer.objects.filter(project_id=project_id, key__in=list(keys)).values_list("key", "reply"))


def pauses(places: Collection[tuple[int, str]]) -> dict[tuple[int, str], tuple[datetime | None, int | None]]:
    """Until when each connection is not to be asked, and how often a minute it may be; those that have a row."""
    rows = Pace.objects.filter(project_id__in={place[0] for place in places})
    found = rows.values_list("project_id", "connection", "paused_until", "requests_per_minute")
    return {(project, name): (until, most) for project, name, until, most in found if (project, name) in places}


def flush(writes: Sequence[Write], leases: Mapping[int, uuid.UUID], *, now: datetime) -> dict[int, Exception]:
    """Write all of it in one transaction; what could not be written, by place, with LeaseLost or the database's reason.

    While the database does not answer it is tried again for some seconds; then its error is raised.
    """
    for wait in (*WAITS, None):
        try:
            return _flush(writes, leases, now)
        except (OperationalError, InterfaceError):
            if wait is None:
                raise
            log.warning("the database does not take results of runs; trying again in %s s", wait)
            connection.close()
            time.sleep(wait)
        except (DataError, IntegrityError) as error:
            if len(writes) == 1:
                log.exception("a result of a run could not be written")
                return {0: error}
            half = len(writes) // 2
            lost = flush(writes[:half], leases, now=now)
            rest = flush(writes[half:], leases, now=now)
            return lost | {half + place: one for place, one in rest.items()}
    raise AssertionError


def _flush(writes: Sequence[Write], leases: Mapping[int, uuid.UUID], now: datetime) -> dict[int, Exception]:
    lost: set[int] = set()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NOT_ASLEEP)
        for run_id in sorted({write.run_id for write in writes}):
            token, counts = leases.get(run_id), _sums(write for write in writes if write.run_id == run_id)
            if token is None or not _count(cursor, run_id, token, counts):
                lost.add(run_id)
        held = [write for write in writes if write.run_id not in lost]
        _many(cursor, MARK, [write.mark for write in held if write.mark], now)
        _many(cursor, SETTLE, [write.settle for write in held if write.settle], now)
        _many(cursor, FINISH, [write.finish for write in held if write.finish], now)
        _many(cursor, KEEP_SCORES, [score for write in held for score in write.scores], now)
        if traced := [one for write in held for one in write.traced]:
            cursor.execute(TRACED, [traced])
        _keep_answers([write.cached for write in held if write.cached], now)
        for write in held:
            if write.pause is not None:
                _pause(cursor, *write.pause)
    return {place: LeaseLost() for place, write in enumerate(writes) if write.run_id in lost}


def _sums(writes: Iterable[Write]) -> dict[str, int | Decimal]:
    sums: dict[str, int | Decimal] = {}
    for write in writes:
        for name, more in write.counts.items():
            sums[name] = sums.get(name, 0) + more
    return sums


def _count(cursor: CursorWrapper, run_id: int, token: uuid.UUID, counts: Mapping[str, int | Decimal]) -> bool:
    """Add to the run's counts, which locks its row; False when the lease is not ours any more."""
    cursor.execute(COUNT, {**dict.fromkeys(COUNTED, 0), **counts, "run": run_id, "token": token})
    return cursor.fetchone() is not None


def _fence(cursor: CursorWrapper, run_id: int, token: uuid.UUID) -> None:
    if not _count(cursor, run_id, token, {}):
        raise LeaseLost


def _many(cursor: CursorWrapper, statement: str, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    if rows:
        cursor.execute(statement, {"rows": msgspec.json.encode(rows).decode(), "now": now})


def _keep_answers(answers: Sequence[tuple[int, str, dict[str, Any]]], now: datetime) -> None:
    if answers:
        rows = [CachedAnswer(project_id=project, key=key, reply=reply, made_at=now) for project, key, reply in answers]
        CachedAnswer.objects.bulk_create(rows, ignore_conflicts=True)


def _pause(cursor: CursorWrapper, project_id: int, name: str, until: datetime) -> None:
    cursor.execute(
        "INSERT INTO evals_pace (project_id, connection, paused_until) VALUES (%s, %s, %s)"
        " ON CONFLICT (project_id, connection) DO UPDATE"
        " SET paused_until = greatest(evals_pace.paused_until, excluded.paused_until)",
        [project_id, name[:200], until],
    )

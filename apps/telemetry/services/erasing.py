"""Erasing what names one user, with a receipt.

A trace belongs to a user when one of its spans names them. Of such a trace everything that was said goes: contents,
attributes, documents, log parts, the search index, comments of scores, copies in the review queue, notes. The narrow
rows of its spans stay, without the ids of user and session, names, error messages and tags: times, tokens, models and
costs say nothing about a person, and figures and cost records stay exact, also when they are written anew.

The row of the erasure is the work. It is done in portions of some traces, each in one transaction with the counts of
the receipt, by whoever holds the lease. What is erased names the user no more, so going on after a crash is looking for
what still does.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q

from apps.core import clock, jobs, sealing
from apps.core.errors import Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry.masking import Masker, Rules
from apps.telemetry.models import Erasure, SavedView
from apps.telemetry.selectors.lifecycle import pepper_of, user_digest
from apps.telemetry.services.trace_facts import LOCK_KEY as FACTS_LOCK_KEY

JOB = "telemetry.erase_user"
TRACES_PER_PORTION = 50
MAX_SECONDS = 180.0
LEASE = timedelta(minutes=5)
MAX_USER_CHARS = 256
ERASED = "erased"
"""The flag of a span whose content was erased, and what stands in place of a text that may not be empty."""

FIND = """
SELECT DISTINCT trace_id FROM (
  SELECT trace_id FROM telemetry_span WHERE project_id = %s AND user_id = ANY (%s) AND user_id <> '' LIMIT %s
) AS found
"""
COUNT = """
SELECT count(DISTINCT trace_id), count(*) FROM (
  SELECT trace_id FROM telemetry_span WHERE project_id = %s AND user_id = ANY (%s) AND user_id <> '' LIMIT %s
) AS found
"""
MOST_COUNTED = 10_000
LOCK_SPANS = """
SELECT session_id, started_at, name, tool_name, agent_name FROM telemetry_span
WHERE project_id = %s AND trace_id = ANY (%s)
ORDER BY project_id, trace_id, span_id, started_at FOR UPDATE
"""
# Equal ids stay equal, since they tell which spans report one call; but they lead nowhere any more.
BLANK_SPANS = """
UPDATE telemetry_span SET user_id = '', session_id = '', name = kind, error_message = '', tags = '{}',
  response_id = CASE response_id WHEN '' THEN ''
    ELSE left(encode(sha256(%s || convert_to(response_id, 'UTF8')), 'hex'), 32) END,
  call_id = CASE call_id WHEN '' THEN '' ELSE left(encode(sha256(%s || convert_to(call_id, 'UTF8')), 'hex'), 32) END,
  flags = ARRAY(
    SELECT DISTINCT flag FROM unnest(flags || '{erased}'::text[]) AS flag
    WHERE flag NOT IN ('user_id_inherited', 'session_id_inherited') ORDER BY flag
  )
WHERE project_id = %s AND trace_id = ANY (%s)
"""
# Facts of retrievals, tasks and tools take a span's name where nothing better is known, and are summed up under it.
LOCK_FACTS = "SELECT pg_advisory_xact_lock(%s, hashint8(%s))"
BLANK_FACTS = (
    """
  WITH blanked AS (
    UPDATE telemetry_retrieval SET name = kind
    WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s) AND name = ANY (%(names)s) RETURNING started_at
  )""",
    """
  WITH blanked AS (
    UPDATE telemetry_agenttask SET name = CASE WHEN name = ANY (%(names)s) THEN 'agent' ELSE name END,
      tools = ARRAY(SELECT CASE WHEN tool = ANY (%(names)s) THEN 'tool' ELSE tool END FROM unnest(tools) AS tool)
    WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s) AND (name = ANY (%(names)s) OR tools && %(names)s)
    RETURNING started_at
  )""",
    """
  WITH blanked AS (
    UPDATE telemetry_toolrun SET name = CASE WHEN name = ANY (%(names)s) THEN 'tool' ELSE name END,
      agent_name = CASE WHEN agent_name = ANY (%(names)s) THEN 'agent' ELSE agent_name END
    WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s)
      AND (name = ANY (%(names)s) OR agent_name = ANY (%(names)s))
    RETURNING started_at
  )""",
)
MARK_FACTS = """
INSERT INTO telemetry_factmark (project_id, hours, start)
SELECT DISTINCT %(project)s, 1, date_trunc('hour', started_at, 'UTC') FROM blanked
"""
OF_TRACES = "project_id = %s AND trace_id = ANY (%s)"
DELETED = ("telemetry_payload", "telemetry_logpart", "telemetry_search", "telemetry_tracenote")
BLANK_SCORES = """
UPDATE telemetry_score SET comment = '', user_id = '',
  session_id = CASE WHEN trace_id IS NULL AND span_id IS NULL AND session_id <> '' THEN 'erased' ELSE '' END
WHERE project_id = %s AND (trace_id = ANY (%s) OR session_id = ANY (%s))
"""
BLANK_SCORES_OF_USER = """
UPDATE telemetry_score SET comment = '', user_id = '' WHERE project_id = %s AND user_id = ANY (%s)
"""
BLANK_REVIEWS = """
UPDATE telemetry_reviewitem
SET user_id = '', session_id = '', name = '', input = NULL, output = NULL, correction = '', reason = 'erased'
WHERE project_id = %s AND (trace_id = ANY (%s) OR user_id = ANY (%s))
"""
BLANK_REJECTIONS = """
UPDATE telemetry_intakerejection SET sample = ''
WHERE project_id = %s AND sample <> '' AND (strpos(sample, %s) > 0 OR strpos(sample, %s) > 0)
"""


def request_erasure(*, project: Project, user_id: str, actor: Actor, now: datetime) -> Erasure:
    """Have everything erased that names this user; it begins when the transaction commits.

    The erasure that is under way already is returned instead of a second one. Raises Invalid for an empty id.
    """
    if not user_id or len(user_id) > MAX_USER_CHARS:
        raise Invalid(user_id=[f"Give the user's id as the telemetry has it, up to {MAX_USER_CHARS} characters."])
    digest = user_digest(project.pk, user_id)
    erasure = Erasure(project_id=project.pk, user_digest=digest, requested_at=now)
    erasure.sealed_user = sealing.seal(user_id, place=place_of(erasure))
    erasure.requested_by, erasure.requested_by_kind = actor.name, actor.kind
    try:
        with transaction.atomic():
            erasure.save(force_insert=True)
            audit.record(
                actor=actor,
                action="telemetry.erasure_requested",
                project=project,
                target=erasure,
                at=now,
                details={"user_digest": digest.hex()},
            )
            jobs.enqueue(JOB, erasure_id=erasure.pk)
    except IntegrityError:
        under_way = Erasure.objects.filter(project_id=project.pk, user_digest=digest, finished_at=None).first()
        if under_way is None:
            raise
        return under_way
    return erasure


def place_of(erasure: Erasure) -> str:
    """What the user's sealed id is bound to."""
    return f"telemetry_erasure:{erasure.uuid}:user"


def erase(erasure_id: int, *, now: datetime, max_seconds: float = MAX_SECONDS) -> bool:
    """Go on with an erasure until it is finished or the time is over; True when there is more to do.

    False as well when somebody else is at it, or it is finished.
    """
    erasure = _lease(erasure_id, now)
    if erasure is None:
        return False
    names = _names(erasure)
    until = time.monotonic() + max_seconds
    while time.monotonic() < until:
        if not _with_retry(erasure, names):
            _finish(erasure, names)
            return False
    Erasure.objects.filter(pk=erasure.pk).update(leased_until=None)
    return True


def _lease(erasure_id: int, now: datetime) -> Erasure | None:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    if not Erasure.objects.filter(free, pk=erasure_id, finished_at=None).update(leased_until=now + LEASE):
        return None
    erasure = Erasure.objects.get(pk=erasure_id)
    if erasure.started_at is None:
        erasure.started_at = now
        erasure.save(update_fields=["started_at"])
    return erasure


def _names(erasure: Erasure) -> list[str]:
    """The names under which the user may be stored: as sent, and hashed."""
    user_id = sealing.unseal(erasure.sealed_user, place=place_of(erasure))
    masker = Masker(Rules(hashes_users=True), pepper_of(erasure.project_id, "masking"))
    return [user_id, masker.hashed_user(user_id)]


def _with_retry(erasure: Erasure, names: list[str]) -> bool:
    """One portion; again when a writer of the same rows was in the way."""
    for attempt in range(3):
        try:
            return _erase_portion(erasure, names)
        except OperationalError:
            if attempt == 2:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("the loop returns or raises")


@transaction.atomic
def _erase_portion(erasure: Erasure, names: list[str]) -> bool:
    """Erase some traces that name the user, and count them in the receipt; False when there was none."""
    project_id = erasure.project_id
    with connection.cursor() as cursor:
        cursor.execute(FIND, [project_id, names, TRACES_PER_PORTION])
        traces = [bytes(trace_id) for (trace_id,) in cursor.fetchall()]
        if not traces:
            return False
        cursor.execute(LOCK_SPANS, [project_id, traces])
        spans = cursor.fetchall()
        sessions = sorted({session for session, *_ in spans if session})
        counts = Counter({"traces": len(traces)})
        pepper = pepper_of(project_id, "erased ids")
        counts["spans"] = _run(cursor, BLANK_SPANS, [pepper, pepper, project_id, traces])
        for table in DELETED:
            counts[_word(table)] = _run(cursor, f"DELETE FROM {table} WHERE {OF_TRACES}", [project_id, traces])  # noqa: S608
        counts["scores"] = _run(cursor, BLANK_SCORES, [project_id, traces, sessions])
        counts["review_items"] = _run(cursor, BLANK_REVIEWS, [project_id, traces, names])
        counts["facts"] = _blank_facts(cursor, project_id, traces, [span[2:] for span in spans])
    _book(erasure, counts, [span[1] for span in spans])
    return True


def _blank_facts(cursor: CursorWrapper, project_id: int, traces: list[bytes], named: list[tuple[str, str, str]]) -> int:
    """Take names of spans out of the facts, and have what they are summed up to written anew; how many rows."""
    given = {name for _, *names in named for name in names}
    names = sorted({name for name, *_ in named} - given)
    # Last of all locks, as whoever looks through new spans takes it.
    cursor.execute(LOCK_FACTS, [FACTS_LOCK_KEY, project_id])
    values: dict[str, Any] = {"project": project_id, "traces": traces, "names": names}
    blanked = 0
    for statement in BLANK_FACTS:
        cursor.execute(f"{statement}, marked AS ({MARK_FACTS}) SELECT count(*) FROM blanked", values)  # noqa: S608
        blanked += cursor.fetchone()[0]
    return blanked


def _finish(erasure: Erasure, names: list[str]) -> None:
    """Erase what names the user beside their traces, and close the receipt."""
    project_id = erasure.project_id
    finished_at = clock.now()
    with transaction.atomic(), connection.cursor() as cursor:
        counts = Counter(
            scores=_run(cursor, BLANK_SCORES_OF_USER, [project_id, names]),
            review_items=_run(cursor, BLANK_REVIEWS, [project_id, [], names]),
            refused_items=_run(cursor, BLANK_REJECTIONS, [project_id, *(f'"{_escaped(name)}"' for name in names)]),
            saved_views=_forget_views(project_id, names),
        )
        _book(erasure, counts, [])
        Erasure.objects.filter(pk=erasure.pk).update(sealed_user="", finished_at=finished_at, leased_until=None)
        project = Project.objects.filter(pk=project_id).first()
        if project is None:
            return
        audit.record(
            actor=Actor(kind="system", id=None, name="system"),
            action="telemetry.user_erased",
            project=project,
            target=erasure,
            at=finished_at,
            details={
                "user_digest": bytes(erasure.user_digest).hex(),
                "requested_by": erasure.requested_by,
                "counts": [f"{name}: {number}" for name, number in sorted(erasure.counts.items())],
            },
        )


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _forget_views(project_id: int, names: list[str]) -> int:
    """Delete saved filters for the user."""
    views = SavedView.objects.filter(project_id=project_id, query__contains="user")
    naming = [view.pk for view in views if any(set(names) & set(values) for values in parse_qs(view.query).values())]
    return SavedView.objects.filter(pk__in=naming).delete()[0] if naming else 0


def _run(cursor: CursorWrapper, statement: str, values: list[Any]) -> int:
    cursor.execute(statement, values)
    return int(cursor.rowcount)


def _word(table: str) -> str:
    """What the receipt calls the rows of a table."""
    return {
        "telemetry_payload": "payloads",
        "telemetry_logpart": "log_parts",
        "telemetry_search": "search_rows",
        "telemetry_tracenote": "notes",
    }[table]


def _book(erasure: Erasure, counts: Counter[str], times: list[datetime]) -> None:
    """Add to the receipt, and keep the lease."""
    total = Counter(erasure.counts)
    total.update(counts)
    erasure.counts = dict(sorted(total.items()))
    erasure.first_at = min([*times, *([erasure.first_at] if erasure.first_at else [])], default=None)
    erasure.last_at = max([*times, *([erasure.last_at] if erasure.last_at else [])], default=None)
    erasure.leased_until = clock.now() + LEASE
    erasure.save(update_fields=["counts", "first_at", "last_at", "leased_until"])


def count_traces(project_id: int, user_id: str) -> tuple[int, int]:
    """How many traces name the user now, and how many spans those that do; both stop at 10,000."""
    masker = Masker(Rules(hashes_users=True), pepper_of(project_id, "masking"))
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [project_id, [user_id, masker.hashed_user(user_id)], MOST_COUNTED])
        traces, spans = cursor.fetchone()
    return traces, spans


def resume_erasures(*, now: datetime) -> None:
    """Wake up every erasure that is not finished and that nobody is at."""
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    for erasure_id in Erasure.objects.filter(free, finished_at=None).order_by("pk").values_list("pk", flat=True):
        jobs.enqueue(JOB, erasure_id=erasure_id)


def receipt(erasure: Erasure) -> dict[str, Any]:
    """An erasure as the API and the downloaded receipt show it."""
    return {
        "id": str(erasure.uuid),
        "status": erasure.status,
        "user_digest": bytes(erasure.user_digest).hex(),
        "requested_by": erasure.requested_by,
        "requested_at": _time(erasure.requested_at),
        "started_at": _time(erasure.started_at),
        "finished_at": _time(erasure.finished_at),
        "counts": erasure.counts,
        "first_at": _time(erasure.first_at),
        "last_at": _time(erasure.last_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

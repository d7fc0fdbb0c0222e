"""Writing scores: each once, the later of two reports of one, and with what it is grouped by.

What a score is grouped by is that of what it scores: its own span's where that is a call, else its trace's, or that of
its session's last spans. It is looked up when the score is stored, and again whenever a span of the trace arrives.

Every writer locks scores in the order of project and id, in one statement, and holds none before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.core.errors import DomainError
from apps.projects.types import Actor
from apps.telemetry.scoring import SCORE_COLUMNS, TASK_COMPLETION, Said, ScoreRecord, record_of
from apps.telemetry.selectors.counting import PROMPT_VERSION
from apps.telemetry.services import masking
from apps.telemetry.services.booking import book
from apps.telemetry.services.fresh import append_fresh
from apps.telemetry.types import Batch, Outcome
from apps.telemetry.wire import Refused

REVIEW = "review"
NO_SPAN = bytes(8)
Key = tuple[int, UUID]
SpanKey = tuple[int, bytes, bytes, datetime]

LOOK_BACK = timedelta(days=3)
"""How long before a score its spans are looked for at once; a job looks everywhere."""

LONGEST_TRACE = timedelta(days=1)
"""How far from one of its spans the others of a trace are looked for."""

LOOK_AHEAD = timedelta(hours=1)
FEW = 50
"""Up to so many scores are worth looking everywhere for their spans while somebody waits."""

PLACED_AT_ONCE = 1_000
PENDING_FOR = timedelta(minutes=15)
SESSIONS_PENDING_FOR = timedelta(days=1)

DIMENSIONS = ("environment", "feature", "provider", "model", "prompt_version", "call_source")
COLUMN_LIST = ", ".join(SCORE_COLUMNS)
REPLACED = tuple(name for name in SCORE_COLUMNS if name not in {"project_id", "score_id", "trace_id", "environment"})
SAME_TARGET = """held.session_id = excluded.session_id AND held.span_id IS NOT DISTINCT FROM excluded.span_id
  AND (held.trace_id IS NOT DISTINCT FROM excluded.trace_id
       OR excluded.trace_id IS NULL AND excluded.span_id IS NOT NULL)"""

UPSERT = f"""
INSERT INTO telemetry_score AS held ({COLUMN_LIST}, {", ".join(DIMENSIONS[1:])})
SELECT {COLUMN_LIST}, '', '', '', '', '' FROM json_populate_recordset(NULL::telemetry_score, %s)
ORDER BY project_id, score_id
ON CONFLICT (project_id, score_id) DO UPDATE SET
  {", ".join(f"{name} = excluded.{name}" for name in REPLACED)},
  trace_id = CASE WHEN {SAME_TARGET} THEN held.trace_id ELSE excluded.trace_id END,
  environment = CASE WHEN held.placed_at IS NOT NULL AND {SAME_TARGET} THEN held.environment
                     ELSE excluded.environment END,
  {", ".join(f"{name} = CASE WHEN {SAME_TARGET} THEN held.{name} ELSE '' END" for name in DIMENSIONS[1:])},
  placed_at = CASE WHEN {SAME_TARGET} THEN held.placed_at END
WHERE held.digest <> excluded.digest
  AND (excluded.at, excluded.received_at, excluded.digest) > (held.at, held.received_at, held.digest)
RETURNING project_id, score_id, xmax = 0
"""  # noqa: S608 -- only names of our own columns are put in

# Of two reports that say the same, the earlier time stands, in whatever order they arrive.
EARLIER = """
UPDATE telemetry_score AS held SET at = told.at
FROM json_populate_recordset(NULL::telemetry_score, %s) AS told
WHERE held.project_id = told.project_id AND held.score_id = told.score_id
  AND held.digest = told.digest AND told.at < held.at
"""

FIRST = "ORDER BY parent_span_id IS NOT NULL, started_at, span_id"
LAST_CALL = "ORDER BY started_at DESC, span_id) FILTER (WHERE counted AND kind = 'llm'))[1], '')"
OF_SPANS = f"""
  (array_agg(environment {FIRST}))[1] AS environment,
  coalesce((array_agg(feature {FIRST}) FILTER (WHERE feature <> ''))[1], '') AS feature,
  coalesce((array_agg(provider {LAST_CALL} AS provider,
  coalesce((array_agg(model {LAST_CALL} AS model,
  coalesce((array_agg(prompt_version {FIRST}) FILTER (WHERE prompt_version <> ''))[1], '') AS prompt_version,
  coalesce((array_agg(source {LAST_CALL} AS call_source
"""

FIND_SPANS_ALONE = """
UPDATE telemetry_score AS score SET trace_id = found.trace_id
FROM (SELECT DISTINCT ON (span_id) span_id, trace_id FROM telemetry_span
      WHERE project_id = %s AND span_id = ANY (%s) AND started_at >= %s AND started_at < %s
      ORDER BY span_id, started_at DESC) AS found
WHERE score.project_id = %s AND score.score_id = ANY (%s) AND score.trace_id IS NULL
  AND score.span_id = found.span_id
"""

# Each partition is asked once for all traces: asked trace by trace, one that the planner takes for empty would be read
# whole every time.
SPANS = f"""
  SELECT trace_id, span_id, session_id, parent_span_id, started_at, kind, counted, environment, feature, provider,
    model, {PROMPT_VERSION} AS prompt_version, source
  FROM telemetry_span
  WHERE project_id = %(project)s AND started_at >= %(since)s AND started_at < %(until)s
"""  # noqa: S608
PLACE = f"""
WITH scored AS MATERIALIZED (
  SELECT score_id, trace_id, span_id, session_id FROM telemetry_score
  WHERE project_id = %(project)s AND score_id = ANY (%(ids)s)
), spans AS MATERIALIZED (
  {SPANS} AND trace_id = ANY (ARRAY(SELECT DISTINCT trace_id FROM scored WHERE trace_id IS NOT NULL))
), traces AS MATERIALIZED (
  SELECT trace_id, {OF_SPANS} FROM spans GROUP BY trace_id
), sessions AS MATERIALIZED (
  SELECT session_id, {OF_SPANS}
  FROM ({SPANS} AND session_id <> ''
        AND session_id = ANY (ARRAY(SELECT DISTINCT session_id FROM scored WHERE session_id <> ''))) AS spans
  GROUP BY session_id
), placed AS (
  SELECT scored.score_id, traces.environment,
    coalesce(nullif(own.feature, ''), traces.feature) AS feature,
    coalesce(own.provider, traces.provider) AS provider,
    coalesce(own.model, traces.model) AS model,
    coalesce(nullif(own.prompt_version, ''), traces.prompt_version) AS prompt_version,
    coalesce(own.source, traces.call_source) AS call_source
  FROM scored JOIN traces ON traces.trace_id = scored.trace_id
  LEFT JOIN spans AS own ON own.trace_id = scored.trace_id AND own.span_id = scored.span_id AND own.counted
  UNION ALL
  SELECT scored.score_id, {", ".join(f"sessions.{name}" for name in DIMENSIONS)}
  FROM scored JOIN sessions ON sessions.session_id = scored.session_id
)
UPDATE telemetry_score AS score
SET {", ".join(f"{name} = placed.{name}" for name in DIMENSIONS)}, placed_at = coalesce(score.placed_at, %(now)s)
FROM placed
WHERE score.project_id = %(project)s AND score.score_id = placed.score_id
  AND (score.placed_at IS NULL OR ({", ".join(f"score.{name}" for name in DIMENSIONS)})
       IS DISTINCT FROM ({", ".join(f"placed.{name}" for name in DIMENSIONS)}))
"""  # noqa: S608

CONCERNED = """
SELECT score.score_id FROM telemetry_score AS score
WHERE score.project_id = %(project)s AND score.trace_id = ANY (%(traces)s)
UNION
SELECT score.score_id FROM telemetry_score AS score
WHERE score.project_id = %(project)s AND score.trace_id IS NULL AND score.span_id = ANY (%(spans)s)
UNION
SELECT score.score_id FROM telemetry_score AS score
WHERE score.project_id = %(project)s AND score.placed_at IS NULL AND score.received_at >= %(since)s
  AND score.session_id <> ''
  AND EXISTS (SELECT 1 FROM telemetry_span AS span
              WHERE span.project_id = score.project_id AND span.session_id = score.session_id
                AND span.session_id <> '' AND span.started_at >= %(since)s)
"""

LOCK = """
SELECT 1 FROM unnest(%s::bigint[], %s::uuid[]) AS wanted (project_id, score_id)
JOIN telemetry_score AS score USING (project_id, score_id)
ORDER BY project_id, score_id FOR UPDATE OF score
"""

ADOPT = """
UPDATE telemetry_score AS score SET trace_id = told.trace_id
FROM unnest(%s::bytea[], %s::bytea[]) AS told (trace_id, span_id)
WHERE score.project_id = %s AND score.score_id = ANY (%s) AND score.trace_id IS NULL AND score.span_id = told.span_id
"""

PENDING = """
SELECT project_id, score_id FROM telemetry_score
WHERE placed_at IS NULL AND received_at >= %s ORDER BY project_id, score_id LIMIT %s
"""

_encode = msgspec.json.Encoder().encode


@dataclass
class Fates:
    """What became of the scores of one batch."""

    stored: int = 0
    updated: int = 0
    duplicates: int = 0

    def count(self, fate: str) -> None:
        """One more with this fate."""
        self.stored += fate == "stored"
        self.updated += fate == "updated"
        self.duplicates += fate == "duplicate"


def store(batch: Batch, *, now: datetime) -> Outcome:
    """Mask and store the scores of one request, and write it into the account of the intake.

    Raises Unavailable when the project's rules of masking cannot be read.
    """
    masking.mask(batch)
    with transaction.atomic(), connection.cursor() as cursor:
        (fates,) = insert(cursor, [batch], now=now, everywhere=len(batch.scores) <= FEW)
        outcome = Outcome(fates.stored, fates.updated, fates.duplicates, list(batch.rejected))
        book(cursor, [batch], [outcome])
    return outcome


class NotAScore(DomainError):
    """What a person wrote cannot be a score."""

    code, http_status = "invalid", 422


@dataclass(frozen=True)
class Verdict:
    """What a person says of a trace, or of one of its spans: a number or a word under a name, and why."""

    trace_id: str
    span_id: str
    name: str
    judgement: str
    comment: str


def judge(*, project_id: int, verdict: Verdict, actor: Actor, now: datetime) -> None:
    """Store what a person says; what they said before of the same under this name is replaced. Raises NotAScore."""
    try:
        value: float | str = float(verdict.judgement)
    except ValueError:
        value = verdict.judgement
    said = Said(
        name=verdict.name,
        value=value,
        comment=verdict.comment,
        trace_id=bytes.fromhex(verdict.trace_id),
        span_id=bytes.fromhex(verdict.span_id) if verdict.span_id else None,
        user_id=actor.name,
        score_id=f"review {actor.id} {verdict.trace_id} {verdict.span_id} {verdict.name}",
        at=now,
    )
    try:
        record = record_of(said, project_id=project_id, received_at=now, source=REVIEW)
    except (Refused, ValueError) as reason:
        raise NotAScore(str(reason)) from reason
    batch = Batch(
        project_id=project_id,
        key_id=None,
        client="page of a trace",
        received_at=now,
        received=1,
        spans=[],
        positions=[],
        rejected=[],
        scores=[record],
    )
    store(batch, now=now)


def insert(cursor: CursorWrapper, batches: Sequence[Batch], *, now: datetime, everywhere: bool = False) -> list[Fates]:
    """Store the scores of these requests within the caller's transaction, after the spans of the same requests.

    A score that is there already with the same content is a duplicate; of two that differ, the later one stands, and
    what came too late is a duplicate as well. Their spans are looked for among those of the last days, and with
    `everywhere` among all, which takes longer the more days are kept.
    """
    reports = [(place, score) for place, batch in enumerate(batches) for score in batch.scores]
    outcomes = [Fates() for _ in batches]
    if not reports:
        return outcomes
    unique, fates = _merged([score for _place, score in reports])
    found = _upsert(cursor, list(unique.values()))
    duplicates = [score for score in unique.values() if score.key not in found]
    if duplicates:
        cursor.execute(EARLIER, [_json(duplicates)])
    for (place, score), fate in zip(reports, fates, strict=True):
        held = found.get(score.key, "duplicate")
        outcomes[place].count(held if fate == "first" else fate if held != "duplicate" else held)
    written = [score for score in unique.values() if score.key in found]
    _place_new(cursor, written, now, everywhere=everywhere)
    append_fresh(cursor, _judged_tasks(written), now=now)
    return outcomes


def _judged_tasks(scores: Iterable[ScoreRecord]) -> list[SpanKey]:
    """What says how a task ended: the facts of its trace are to be worked out anew."""
    return [
        (score.project_id, score.trace_id, score.span_id or NO_SPAN, score.at)
        for score in scores
        if score.name == TASK_COMPLETION and score.trace_id is not None
    ]


def _merged(scores: Sequence[ScoreRecord]) -> tuple[dict[Key, ScoreRecord], list[str]]:
    """The one report of each score that stands, and for each report whether it was the first, an update or the same."""
    unique: dict[Key, ScoreRecord] = {}
    fates = []
    for score in scores:
        earlier = unique.get(score.key)
        if earlier is None:
            unique[score.key] = score
            fates.append("first")
        elif earlier.digest == score.digest:
            earlier.at = min(earlier.at, score.at)
            fates.append("duplicate")
        else:
            unique[score.key] = max(earlier, score, key=lambda each: each.rank)
            fates.append("updated" if unique[score.key] is score else "duplicate")
    return unique, fates


def _upsert(cursor: CursorWrapper, scores: Sequence[ScoreRecord]) -> dict[Key, str]:
    """Write them; what became of those that changed something."""
    cursor.execute(UPSERT, [_json(scores)])
    return {
        (project_id, score_id): "stored" if is_new else "updated" for project_id, score_id, is_new in cursor.fetchall()
    }


def _json(scores: Iterable[ScoreRecord]) -> str:
    return _encode([_row(score) for score in scores]).decode()


def _row(score: ScoreRecord) -> dict[str, object]:
    row = {name: getattr(score, name) for name in SCORE_COLUMNS}
    return row | {name: _hexadecimal(row[name]) for name in ("trace_id", "span_id", "digest")}


def _hexadecimal(value: bytes | None) -> str | None:
    return None if value is None else f"\\x{value.hex()}"


def _place_new(cursor: CursorWrapper, scores: Sequence[ScoreRecord], now: datetime, *, everywhere: bool) -> None:
    """Look up what these scores, written by this transaction, are grouped by."""
    by_project: dict[int, list[ScoreRecord]] = defaultdict(list)
    for score in scores:
        by_project[score.project_id].append(score)
    for project_id, several in by_project.items():
        since, until = min(score.at for score in several) - LOOK_BACK, max(score.at for score in several) + LOOK_AHEAD
        ids = [score.score_id for score in several]
        _find_spans_alone(cursor, project_id, [score for score in several if score.trace_id is None and score.span_id])
        placed = _place(cursor, project_id, ids, since=since, until=until, now=now)
        if everywhere and placed < len(several):
            _place(cursor, project_id, ids, since=None, until=None, now=now)


def _find_spans_alone(cursor: CursorWrapper, project_id: int, scores: Sequence[ScoreRecord]) -> None:
    """Find the traces of scored spans whose trace was not said, among the spans of about that time."""
    if scores:
        since, until = min(score.at for score in scores) - LOOK_BACK, max(score.at for score in scores) + LOOK_AHEAD
        spans, ids = [score.span_id for score in scores], [score.score_id for score in scores]
        cursor.execute(FIND_SPANS_ALONE, [project_id, spans, since, until, project_id, ids])


def _place(
    cursor: CursorWrapper,
    project_id: int,
    ids: Sequence[UUID],
    *,
    since: datetime | None,
    until: datetime | None,
    now: datetime,
) -> int:
    """Look up what these scores are grouped by, among the spans of that time; returns how many rows changed."""
    values: dict[str, Any] = {
        "project": project_id,
        "ids": list(ids),
        "since": since or "-infinity",
        "until": until or "infinity",
        "now": now,
    }
    cursor.execute(PLACE, values)
    return int(cursor.rowcount)


def refresh(cursor: CursorWrapper, project_id: int, keys: Sequence[SpanKey], now: datetime) -> None:
    """Group the scores of these spans' traces anew, those included that came before their spans. Safe to repeat.

    A step of `digesting`: within a transaction that locks scores here alone, project by project in their order.
    """
    traces, spans = [key[1] for key in keys], [key[2] for key in keys]
    cursor.execute(
        CONCERNED,
        {
            "project": project_id,
            "traces": list(set(traces)),
            "spans": list(set(spans)),
            "since": now - SESSIONS_PENDING_FOR,
        },
    )
    ids = [score_id for (score_id,) in cursor.fetchall()]
    if ids:
        cursor.execute(LOCK, [[project_id] * len(ids), ids])
        cursor.execute(ADOPT, [traces, spans, project_id, ids])
        since, until = min(key[3] for key in keys) - LONGEST_TRACE, max(key[3] for key in keys) + LONGEST_TRACE
        _place(cursor, project_id, ids, since=since, until=until, now=now)


def place_pending(*, now: datetime) -> int:
    """Look everywhere for what recent scores are grouped by that were not found at once; returns how many were."""
    found = 0
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(PENDING, [now - PENDING_FOR, PLACED_AT_ONCE])
        pending: dict[int, list[UUID]] = defaultdict(list)
        rows = cursor.fetchall()
        for project_id, score_id in rows:
            pending[project_id].append(score_id)
        cursor.execute(LOCK, [[row[0] for row in rows], [row[1] for row in rows]])
        for project_id, ids in pending.items():
            found += _place(cursor, project_id, ids, since=None, until=None, now=now)
    return found

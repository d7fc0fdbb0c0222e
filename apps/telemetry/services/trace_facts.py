"""Facts of retrievals, tasks and tool runs, written from the spans of whole traces whenever some of them changed.

What is written is worked out from all spans of a trace, and only rows that differ from those held are written, so that
calling it again, or in another order, changes nothing. Each change appends a mark for its hour in the same transaction,
by which the summaries know what to add up anew (`services.fact_summaries`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.core.clock import floor_hour
from apps.telemetry.log_content import LogRecord, assemble
from apps.telemetry.scoring import TASK_COMPLETION
from apps.telemetry.trace_facts import (
    FACT_KINDS,
    SPAN_COLUMNS,
    Content,
    Fact,
    FactSpan,
    RetrievalFact,
    TaskFact,
    ToolFact,
    TraceFacts,
    Tree,
    completion_of,
    facts_of,
    wanted,
)

LONGEST_TRACE = timedelta(days=1)
"""Spans of one trace start within so much of each other."""

LOOK_BACK = timedelta(days=2)
LOOK_AHEAD = timedelta(hours=1)
MOST_SPANS = 20_000
"""So many spans of one trace are looked at, the earliest; also how many spans of several traces are held at once."""

TRACES_AT_ONCE = 500
LOCK_KEY = 0x50574654  # with the project's number, one writer of facts of a project at a time

Row = tuple[Any, ...]
Contents = dict[bytes, dict[bytes, Content]]
"""Contents by trace and span."""

Key = tuple[bytes, bytes, datetime]

LOCK = "SELECT pg_advisory_xact_lock(%s, hashint8(%s))"
OF_DAY = """
SELECT DISTINCT trace_id FROM telemetry_span
WHERE project_id = %s AND started_at >= %s AND started_at < %s AND kind = ANY (%s) ORDER BY 1
"""
FIND = """
SELECT trace_id, min(started_at), max(started_at), count(*), bool_or(kind = ANY (%s)) FROM telemetry_span
WHERE project_id = %s AND trace_id = ANY (%s){bounds} GROUP BY trace_id
"""
WITHIN = " AND started_at >= %s AND started_at < %s"
WITH_FACTS = """
SELECT trace_id FROM telemetry_retrieval WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s)
UNION SELECT trace_id FROM telemetry_agenttask WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s)
UNION SELECT trace_id FROM telemetry_toolrun WHERE project_id = %(project)s AND trace_id = ANY (%(traces)s)
"""
SPANS = f"""
SELECT trace_id, {", ".join(SPAN_COLUMNS)} FROM telemetry_span
WHERE project_id = %s AND trace_id = ANY (%s) AND started_at >= %s AND started_at < %s
ORDER BY started_at, span_id LIMIT %s
"""  # noqa: S608 -- only names of our own columns are put in

# Each wanted payload is one look-up in one partition; OFFSET 0 keeps the planner from joining partitions whole.
CONTENTS = """
SELECT wanted.trace, wanted.span, held.* FROM unnest(%s::bytea[], %s::bytea[], %s::timestamptz[], %s::text[])
  AS wanted (trace, span, at, part),
LATERAL (
  SELECT CASE WHEN wanted.part = 'output' THEN output END,
    CASE WHEN wanted.part = 'documents' THEN documents END,
    CASE WHEN wanted.part = 'documents' THEN attributes END,
    CASE WHEN wanted.part = 'arguments' THEN md5(input) END
  FROM telemetry_payload
  WHERE project_id = %s AND trace_id = wanted.trace AND span_id = wanted.span AND started_at = wanted.at OFFSET 0
) AS held
"""
LOGGED = """
SELECT trace_id, span_id, event_name, at, body, attributes FROM telemetry_logpart
WHERE project_id = %s AND trace_id = ANY (%s) AND span_id = ANY (%s) AND at >= %s AND at < %s
ORDER BY at, digest LIMIT 10000
"""
COMPLETIONS = """
SELECT trace_id, span_id, value, label FROM telemetry_score
WHERE project_id = %s AND trace_id = ANY (%s) AND name = %s ORDER BY at, score_id
"""
MARK = "INSERT INTO telemetry_factmark (project_id, hours, start) SELECT %s, 1, unnest(%s::timestamptz[])"


class Table(NamedTuple):
    """A table of facts: its name, the facts it holds and where they stand among those of a trace."""

    name: str
    fact: type[Fact]
    of_trace: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns after the project and the day, the key first."""
        return ("trace_id", *self.fact.__struct_fields__)


TABLES = (
    Table("telemetry_retrieval", RetrievalFact, "retrievals"),
    Table("telemetry_agenttask", TaskFact, "tasks"),
    Table("telemetry_toolrun", ToolFact, "tools"),
)


class _Found(NamedTuple):
    """A trace with facts, or that had some: when its spans started, and how many they are."""

    trace_id: bytes
    first: datetime
    last: datetime
    spans: int


def refresh(cursor: CursorWrapper, project_id: int, trace_ids: Sequence[bytes], *, now: datetime) -> int:
    """Write the facts of these traces anew from their spans; returns how many rows were written or deleted.

    Traces of which nothing is left lose their facts. Run it in a transaction, after the spans were stored; writers of
    one project wait for each other.
    """
    ids = list(dict.fromkeys(trace_ids))
    if not ids:
        return 0
    cursor.execute(LOCK, [LOCK_KEY, project_id])
    found, gone = _find(cursor, project_id, ids, now)
    changes = _write(cursor, project_id, gone, {}) if gone else _Changes(0, set())
    for portion in _portions(found):
        facts = _read(cursor, project_id, portion)
        changes = changes.plus(_write(cursor, project_id, [each.trace_id for each in portion], facts))
    if changes.hours:
        cursor.execute(MARK, [project_id, sorted(changes.hours)])
    return changes.rows


def rebuild(project_id: int, *, first: date, last: date, now: datetime) -> int:
    """Work out the facts of every trace with a span of these UTC days anew; returns how many traces had any.

    It is safe while spans arrive, and to repeat. A day at a time, in transactions of TRACES_AT_ONCE traces.
    """
    traces = 0
    day = datetime(first.year, first.month, first.day, tzinfo=UTC)
    while day.date() <= last:
        with connection.cursor() as cursor:
            cursor.execute(OF_DAY, [project_id, day, day + timedelta(days=1), list(FACT_KINDS)])
            ids = [bytes(trace_id) for (trace_id,) in cursor.fetchall()]
        for start in range(0, len(ids), TRACES_AT_ONCE):
            with transaction.atomic(), connection.cursor() as cursor:
                refresh(cursor, project_id, ids[start : start + TRACES_AT_ONCE], now=now)
        traces += len(ids)
        day += timedelta(days=1)
    return traces


def _find(cursor: CursorWrapper, project_id: int, ids: list[bytes], now: datetime) -> tuple[list[_Found], list[bytes]]:
    """The traces that have or had facts and still have spans, and those that have facts but no spans.

    Nearly all traces are of just now, so the last days are looked at first.
    """
    recent = _look(cursor, project_id, ids, (now - LOOK_BACK, now + LOOK_AHEAD))
    cursor.execute(WITH_FACTS, {"project": project_id, "traces": ids})
    known = {bytes(trace_id) for (trace_id,) in cursor.fetchall()}
    elsewhere = [id_ for id_ in ids if id_ not in recent or (id_ in known and not recent[id_][1])]
    every = recent | (_look(cursor, project_id, elsewhere, None) if elsewhere else {})
    found = [each for each, has_facts in every.values() if has_facts or each.trace_id in known]
    return found, [id_ for id_ in known if id_ not in every]


def _look(
    cursor: CursorWrapper, project_id: int, ids: list[bytes], bounds: tuple[datetime, datetime] | None
) -> dict[bytes, tuple[_Found, bool]]:
    """These traces by their ids, and whether they have a span that facts are made of."""
    cursor.execute(FIND.format(bounds=WITHIN if bounds else ""), [list(FACT_KINDS), project_id, ids, *(bounds or ())])
    return {
        bytes(trace_id): (_Found(bytes(trace_id), first, last, spans), has_facts)
        for trace_id, first, last, spans, has_facts in cursor.fetchall()
    }


def _portions(found: Iterable[_Found]) -> Iterator[list[_Found]]:
    """The traces in portions of so many spans that they can be held."""
    portion: list[_Found] = []
    spans = 0
    for each in sorted(found, key=lambda each: (each.first, each.trace_id)):
        if portion and spans + each.spans > MOST_SPANS:
            yield portion
            portion, spans = [], 0
        portion.append(each)
        spans += each.spans
    if portion:
        yield portion


def _read(cursor: CursorWrapper, project_id: int, portion: Sequence[_Found]) -> dict[bytes, TraceFacts]:
    """The facts of these traces."""
    ids = [each.trace_id for each in portion]
    start = min(each.first for each in portion) - LONGEST_TRACE
    end = max(each.last for each in portion) + LONGEST_TRACE
    # A trace outside the look of a moment ago may have more spans than were counted then.
    cursor.execute(SPANS, [project_id, ids, start, end, MOST_SPANS if len(ids) == 1 else MOST_SPANS * 4])
    spans: dict[bytes, list[FactSpan]] = {}
    for trace_id, *values in cursor.fetchall():
        plain: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in values]
        spans.setdefault(bytes(trace_id), []).append(FactSpan(*plain))
    trees = {trace_id: Tree(each) for trace_id, each in spans.items()}
    contents = _contents(cursor, project_id, trees)
    judged = _judged(cursor, project_id, ids)
    return {
        trace_id: facts_of(tree, contents.get(trace_id, {}), judged.get(trace_id)) for trace_id, tree in trees.items()
    }


def _judged(cursor: CursorWrapper, project_id: int, ids: list[bytes]) -> dict[bytes, dict[bytes | None, str]]:
    """The outcomes that scores give to these traces and their spans; the last one counts."""
    cursor.execute(COMPLETIONS, [project_id, ids, TASK_COMPLETION])
    found: dict[bytes, dict[bytes | None, str]] = {}
    for trace_id, span_id, value, label in cursor.fetchall():
        outcome = completion_of(value, label)
        if outcome is not None:
            found.setdefault(bytes(trace_id), {})[None if span_id is None else bytes(span_id)] = outcome
    return found


def _contents(cursor: CursorWrapper, project_id: int, trees: dict[bytes, Tree]) -> Contents:
    """What facts need of the payloads, by trace and span."""
    keys: list[tuple[bytes, bytes, datetime, str]] = []
    for trace_id, tree in trees.items():
        needs = wanted(tree)
        for part, places in (("documents", needs.documents), ("output", needs.outputs), ("arguments", needs.tools)):
            keys += [(trace_id, tree.spans[place].span_id, tree.spans[place].started_at, part) for place in places]
    if not keys:
        return {}
    cursor.execute(CONTENTS, [*map(list, zip(*keys, strict=True)), project_id])
    found: Contents = {}
    for trace_id, span_id, output, documents, attributes, arguments in cursor.fetchall():
        content = found.setdefault(bytes(trace_id), {}).setdefault(bytes(span_id), Content())
        content.output = output if output is not None else content.output
        content.documents = _documents(documents) if documents is not None else content.documents
        given = _loaded(attributes) if attributes else None
        content.attributes = given if isinstance(given, dict) else content.attributes
        content.arguments = arguments if arguments is not None else content.arguments
    silent = [key[:3] for key in keys if key[3] == "output" and not _has_output(found, key)]
    if silent:
        _add_logged(cursor, project_id, silent, found)
    return found


def _has_output(found: Contents, key: tuple[bytes, bytes, datetime, str]) -> bool:
    content = found.get(key[0], {}).get(key[1])
    return content is not None and content.output is not None


def _add_logged(cursor: CursorWrapper, project_id: int, keys: Sequence[Key], found: Contents) -> None:
    """Give these spans the answers that came as log records."""
    traces, spans, starts = (list(column) for column in zip(*keys, strict=True))
    bounds = (min(starts) - LONGEST_TRACE, max(starts) + LONGEST_TRACE)
    cursor.execute(LOGGED, [project_id, traces, spans, *bounds])
    records: dict[tuple[bytes, bytes], list[LogRecord]] = {}
    for trace_id, span_id, name, at, body, attributes in cursor.fetchall():
        given = _loaded(attributes) if attributes else None
        record = LogRecord(name, at, _loaded(body) if body else None, given if isinstance(given, dict) else {})
        records.setdefault((bytes(trace_id), bytes(span_id)), []).append(record)
    for (trace_id, span_id), several in records.items():
        output = assemble(several).output
        if output:
            found.setdefault(trace_id, {}).setdefault(span_id, Content()).output = json.dumps(output)


def _documents(text: str) -> list[dict[str, Any]] | None:
    value = _loaded(text)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else None


def _loaded(text: str) -> Any:
    """The value of a JSON text; None for what masking left in its place."""
    try:
        return json.loads(text)
    except ValueError:
        return None


class _Changes(NamedTuple):
    """How many rows were written or deleted, and of which hours."""

    rows: int
    hours: set[datetime]

    def plus(self, other: _Changes) -> _Changes:
        return _Changes(self.rows + other.rows, self.hours | other.hours)


def _write(cursor: CursorWrapper, project_id: int, trace_ids: list[bytes], facts: dict[bytes, TraceFacts]) -> _Changes:
    """Make the tables hold exactly these facts of these traces."""
    changes = _Changes(0, set())
    for table in TABLES:
        fresh = {
            (row[0], row[1], row[2]): row
            for trace_id, each in facts.items()
            for row in (_row(trace_id, fact) for fact in getattr(each, table.of_trace))
        }
        changes = changes.plus(_replace(cursor, project_id, table, trace_ids, fresh))
    return changes


def _row(trace_id: bytes, fact: Fact) -> Row:
    return (trace_id, *msgspec.structs.astuple(fact))


def _replace(
    cursor: CursorWrapper, project_id: int, table: Table, trace_ids: list[bytes], fresh: dict[Key, Row]
) -> _Changes:
    cursor.execute(
        f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE project_id = %s AND trace_id = ANY (%s)",  # noqa: S608
        [project_id, trace_ids],
    )
    held: dict[Key, Row] = {}
    for values in cursor.fetchall():
        row: Row = tuple(bytes(value) if isinstance(value, memoryview) else value for value in values)
        held[row[0], row[1], row[2]] = row
    wrong = [key for key, row in held.items() if fresh.get(key) != row]
    missing = [row for key, row in fresh.items() if held.get(key) != row]
    if wrong:
        cursor.execute(
            f"DELETE FROM {table.name} USING unnest(%s::bytea[], %s::bytea[], %s::timestamptz[]) AS gone (t, s, at)"  # noqa: S608
            " WHERE project_id = %s AND trace_id = t AND span_id = s AND started_at = at",
            [*map(list, zip(*wrong, strict=True)), project_id],
        )
    if missing:
        with cursor.copy(f"COPY {table.name} (project_id, day, {', '.join(table.columns)}) FROM STDIN") as copy:
            for row in missing:
                copy.write_row((project_id, _day(row[2]), *row))
    hours = {floor_hour(started_at) for _trace, _span, started_at in (*wrong, *(row[:3] for row in missing))}
    return _Changes(len({*wrong, *(row[:3] for row in missing)}), hours)


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()

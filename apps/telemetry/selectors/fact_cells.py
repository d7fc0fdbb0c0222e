"""What facts add up to: read from the summaries where they stand, and from the facts of what changed since.

A stretch has no mark only when its summaries were written after its last change (see `services.fact_summaries`). The
marks are read first: a mark that is taken away meanwhile does no harm, and one that comes meanwhile belongs to facts
that came after the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import sql
from psycopg.pq import Format

from apps.core.clock import floor_day
from apps.telemetry.coverage import Stretch
from apps.telemetry.fact_coverage import FACTS, Coverage, cover
from apps.telemetry.figures import Interval, bucket_starts
from apps.telemetry.selectors.counting import within
from apps.telemetry.tallies import BILLION, MILLION, Subject, Tally, add_up, nothing_of, tally_of
from apps.telemetry.trace_facts import FAILURE, SUCCESS, TIMEOUT
from apps.telemetry.utilisation import METHODS

STEPS = {Interval.MINUTE: "1 minute", Interval.HOUR: "1 hour", Interval.SIX_HOURS: "6 hours"}
WHOLE_DAY = "1 day"
NAME_CHARS = 128

TABLES = {
    Subject.RETRIEVAL: "telemetry_retrieval",
    Subject.TASK: "telemetry_agenttask",
    Subject.TOOL: "telemetry_toolrun",
}
IS_RETRIEVER = "kind = 'retriever'"


def _count(condition: str) -> str:
    return f"count(*) FILTER (WHERE {condition})"


def _sum(what: str, condition: str = "true") -> str:
    return f"coalesce(sum({what}) FILTER (WHERE {condition}), 0)::bigint"


def _millionths(column: str, condition: str = "true") -> str:
    return _sum(f"round({column} * {MILLION})::bigint", condition)


def _uses(method: str) -> tuple[str, str]:
    condition = f"{IS_RETRIEVER} AND utilisation_method = '{method}'"
    return _count(condition), _millionths("utilisation", condition)


SHIFTED = "mean_shift IS NOT NULL"
COUNTS: dict[Subject, tuple[str, ...]] = {
    Subject.RETRIEVAL: (
        _count(IS_RETRIEVER),
        _count(f"{IS_RETRIEVER} AND failed"),
        _count(f"{IS_RETRIEVER} AND chunks IS NOT NULL"),
        _sum("chunks", IS_RETRIEVER),
        _count(f"{IS_RETRIEVER} AND chunks = 0"),
        _count("reranked IS NOT NULL"),
        _count(SHIFTED),
        _millionths("mean_shift", SHIFTED),
        _sum("changed_top3", SHIFTED),
        *(expression for method in METHODS for expression in _uses(method)),
    ),
    Subject.TASK: (
        "count(*)",
        _count(f"outcome = '{SUCCESS}'"),
        _count(f"outcome = '{FAILURE}'"),
        _count(f"outcome = '{TIMEOUT}'"),
        _count("loop IS NOT NULL"),
        _count("loop > ''"),
        *(_sum(name) for name in ("steps", "model_calls", "tool_runs", "handoffs", "input_tokens", "output_tokens")),
        _count("cost_usd IS NOT NULL"),
        _sum("unpriced_calls"),
    ),
    Subject.TOOL: (
        "count(*)",
        _count(f"outcome = '{SUCCESS}'"),
        _count(f"outcome = '{FAILURE}'"),
        _count(f"outcome = '{TIMEOUT}'"),
    ),
}
"""The counts of `tallies.COUNTS`, in SQL."""


def _values(value: str, condition: str = "true") -> str:
    """Values as 64-bit whole numbers in a row, for `tallies` to put into their buckets."""
    return f"string_agg(int8send(({value})::bigint), ''::bytea) FILTER (WHERE {condition})"


VALUES: dict[Subject, tuple[str, ...]] = {
    Subject.RETRIEVAL: (
        _values("latency_ms", IS_RETRIEVER),
        _values("chunks", IS_RETRIEVER),
        _values(f"round(top_score * {MILLION})", IS_RETRIEVER),
    ),
    Subject.TASK: (
        _values("latency_ms"),
        _values("steps"),
        _values("tool_runs"),
        _values(f"round(cost_usd * {BILLION})"),
    ),
    Subject.TOOL: (_values("latency_ms"),),
}
"""The values of `tallies.SPREADS`, in SQL."""

SHARED_COLUMNS = f"started_at, environment, feature, left(name, {NAME_CHARS}) AS name, latency_ms"
COLUMNS = {
    Subject.RETRIEVAL: f"{SHARED_COLUMNS}, kind, failed, chunks, top_score, reranked, mean_shift, changed_top3,"
    " utilisation, utilisation_method",
    Subject.TASK: f"{SHARED_COLUMNS}, outcome, steps, model_calls, tool_runs, handoffs, loop, input_tokens,"
    " output_tokens, cost_usd, unpriced_calls",
    Subject.TOOL: f"{SHARED_COLUMNS}, outcome",
}
"""The columns of the facts that are added up."""

MARKS = "SELECT DISTINCT hours, start FROM telemetry_factmark WHERE project_id = %s AND start >= %s AND start < %s"

BY_TIME, BY_FEATURE, BY_NAME = "all", "feature", "name"
FULL = "full"
"""The slices of the summaries."""

MOST_GROUPS = 500
"""So many features, and indexes, agents or tools, are told apart at most: those with most facts. A client that names
its spans after what they look for would make a group of each.
"""


@dataclass(frozen=True)
class FactScope:
    """Which facts are asked for. None takes all; the empty text takes those that did not say."""

    start: datetime
    end: datetime
    interval: Interval = Interval.NONE
    environment: str | None = None
    feature: str | None = None

    @property
    def before(self) -> Stretch:
        """The time of the same length that ends where this one starts."""
        return Stretch(self.start - (self.end - self.start), self.start)

    @property
    def times(self) -> tuple[datetime, ...]:
        """The start of each interval of the range. Days are those of UTC."""
        return bucket_starts(self.start, self.end, self.interval, UTC)

    def conditions(self) -> sql.Composable:
        """The filters, as the end of a condition."""
        given = {"environment": self.environment, "feature": self.feature}
        parts = [
            sql.SQL(" AND {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in given.items()
            if value is not None
        ]
        return sql.SQL("").join(parts)


@dataclass(frozen=True)
class FactTable:
    """The answer: what the facts of the range add up to, in all, by interval and by what; and those of the time before.

    `by_name` is by index, agent or tool, at most MOST_GROUPS of them.
    """

    subject: Subject
    scope: FactScope
    total: Tally
    before: Tally
    by_time: Mapping[datetime, Tally]
    by_feature: Mapping[str, Tally]
    by_name: Mapping[str, Tally]

    @property
    def series(self) -> list[Tally]:
        """One for each interval of the range."""
        nothing = nothing_of(self.subject)
        return [self.by_time.get(at, nothing) for at in self.scope.times]


def read_facts(project_id: int, scope: FactScope, *subjects: Subject) -> list[FactTable]:
    """What the facts of these subjects add up to, in the range and in the time before it, in two queries altogether."""
    marks = _marks(project_id, scope.before.start, scope.end)
    # Summaries of hours do not tell features apart by name.
    shortest = 1 if scope.feature is None else 6
    now = cover(scope.start, scope.end, scope.interval, marks, shortest=shortest)
    before = cover(*scope.before, Interval.NONE, marks, shortest=shortest)
    statement = sql.SQL(" UNION ALL ").join(_folded(project_id, each, scope, now, before) for each in subjects)
    found: dict[tuple[Subject, bool, str], dict[Any, Tally]] = {}
    with binary_cursor() as cursor:
        cursor.execute(statement)
        for named, is_now, kind, seconds, value, *figures in cursor.fetchall():
            subject = Subject(named)
            group = value if seconds is None else datetime.fromtimestamp(seconds, UTC)
            found.setdefault((subject, is_now, kind), {})[group] = tally_of(subject, *figures)
    return [_table(subject, scope, found) for subject in subjects]


def _table(
    subject: Subject, scope: FactScope, found: Mapping[tuple[Subject, bool, str], Mapping[Any, Tally]]
) -> FactTable:
    by_time = found.get((subject, True, BY_TIME), {})
    return FactTable(
        subject,
        scope,
        total=add_up(subject, by_time.values()),
        before=add_up(subject, found.get((subject, False, BY_TIME), {}).values()),
        by_time=by_time,
        by_feature=found.get((subject, True, BY_FEATURE), {}),
        by_name=found.get((subject, True, BY_NAME), {}),
    )


def _marks(project_id: int, start: datetime, end: datetime) -> set[tuple[int, datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(MARKS, [project_id, floor_day(start), end])
        return set(cursor.fetchall())


def _folded(project_id: int, subject: Subject, scope: FactScope, now: Coverage, before: Coverage) -> sql.Composable:
    """Summaries and facts added up: by interval, by feature and by name; for the time before only as a whole."""
    kinds = (BY_TIME, BY_FEATURE, BY_NAME)
    parts = [
        *_parts(project_id, subject, scope, now, kinds, is_now=True),
        *_parts(project_id, subject, scope, before, (BY_TIME,), is_now=False),
    ]
    return sql.SQL(
        "SELECT {subject}::text, is_now, kind, at, value, counts, cost_usd, spreads, values FROM ("
        "SELECT is_now, kind, extract(epoch FROM at)::bigint AS at, value,"
        " ARRAY[{counts}]::bigint[] AS counts, sum(cost_usd) AS cost_usd, ARRAY[{spreads}]::bytea[] AS spreads,"
        " ARRAY[{values}]::bytea[] AS values,"
        " row_number() OVER (PARTITION BY is_now, kind ORDER BY sum(counts[1]) DESC, value) AS place"
        " FROM ({cells}) AS cell GROUP BY is_now, kind, at, value) AS folded WHERE kind = {whole} OR place <= {most}"
    ).format(
        subject=sql.Literal(subject.value),
        whole=sql.Literal(BY_TIME),
        most=sql.Literal(MOST_GROUPS),
        counts=_each("sum(counts[{}])", len(COUNTS[subject])),
        spreads=_each("string_agg(histograms[{}], ''::bytea)", len(VALUES[subject])),
        values=_each("string_agg(raw[{}], ''::bytea)", len(VALUES[subject])),
        cells=sql.SQL(" UNION ALL ").join(parts),
    )


def _each(expression: str, count: int) -> sql.SQL:
    """The expression for each place of an array."""
    return sql.SQL(", ".join(expression.format(place + 1) for place in range(count)))


def _parts(
    project_id: int, subject: Subject, scope: FactScope, coverage: Coverage, kinds: Sequence[str], *, is_now: bool
) -> Iterator[sql.Composable]:
    """Queries of `is_now, kind, at, value, counts, cost_usd, histograms, raw`."""
    at = (
        f"date_bin('{STEPS.get(scope.interval, WHOLE_DAY)}', {{}}, '2000-01-01T00:00Z')"
        if is_now
        else "NULL::timestamptz"
    )
    for hours, stretches in coverage.items():
        for kind in kinds:
            if hours == FACTS:
                break
            yield sql.SQL(
                "SELECT {is_now} AS is_now, {kind}::text AS kind, {at} AS at, {value} AS value, counts, cost_usd,"
                " histograms, NULL::bytea[] AS raw FROM telemetry_factsummary"
                " WHERE project_id = {project} AND subject = {subject} AND hours = {hours} AND slice = {slice}"
                " AND {within}{conditions}"
            ).format(
                is_now=sql.Literal(is_now),
                kind=sql.Literal(kind),
                at=sql.SQL(at.format("start") if kind == BY_TIME else "NULL::timestamptz"),
                value=sql.SQL("NULL::text" if kind == BY_TIME else kind),
                project=sql.Literal(project_id),
                subject=sql.Literal(subject.value),
                hours=sql.Literal(hours),
                slice=sql.Literal(kind if scope.feature is None else FULL),
                within=within("start", stretches),
                conditions=scope.conditions(),
            )
    if FACTS in coverage:
        yield _live(project_id, subject, scope, coverage[FACTS], kinds, at.format("started_at"), is_now=is_now)


def _live(
    project_id: int,
    subject: Subject,
    scope: FactScope,
    stretches: Sequence[Stretch],
    kinds: Sequence[str],
    at: str,
    *,
    is_now: bool,
) -> sql.Composable:
    """The same from the facts themselves."""
    kind, value, grouping = "'all'", "NULL::text", ""
    if len(kinds) > 1:
        kind = "CASE GROUPING(at, feature, name) WHEN 3 THEN 'all' WHEN 5 THEN 'feature' ELSE 'name' END"
        value, grouping = "coalesce(feature, name)", " GROUP BY GROUPING SETS ((at), (feature), (name))"
    return sql.SQL(
        "SELECT {is_now} AS is_now, {kind} AS kind, {when} AS at, {value} AS value, {figures}"
        " FROM (SELECT {columns}, {at} AS at FROM {table}"
        " WHERE project_id = {project} AND {within}{conditions}) AS fact{grouping}"
    ).format(
        is_now=sql.Literal(is_now),
        kind=sql.SQL(kind),
        when=sql.SQL("at" if grouping else "NULL::timestamptz"),
        value=sql.SQL(value),
        figures=_figures(subject),
        at=sql.SQL(at),
        columns=sql.SQL(COLUMNS[subject]),
        table=sql.Identifier(TABLES[subject]),
        project=sql.Literal(project_id),
        within=within("started_at", stretches),
        conditions=scope.conditions(),
        grouping=sql.SQL(grouping),
    )


def _figures(subject: Subject) -> sql.Composable:
    cost = "sum(cost_usd)" if subject is Subject.TASK else "NULL::numeric"
    return sql.SQL(
        "ARRAY[{counts}]::bigint[] AS counts, {cost} AS cost_usd, NULL::bytea[] AS histograms,"
        " ARRAY[{values}]::bytea[] AS raw"
    ).format(
        counts=sql.SQL(", ".join(COUNTS[subject])),
        cost=sql.SQL(cost),
        values=sql.SQL(", ".join(VALUES[subject])),
    )


def cells_of(project_id: int, subject: Subject, stretch: Stretch, *, has_full: bool) -> sql.Composable:
    """A query of what the facts of a stretch add up to, as summaries keep it: `slice, environment, feature, name,
    counts, cost_usd, histograms, raw`.
    """
    full = ", (environment, feature, name)" if has_full else ""
    return sql.SQL(
        "SELECT CASE GROUPING(feature, name) WHEN 3 THEN 'all' WHEN 1 THEN 'feature' WHEN 2 THEN 'name' ELSE 'full' END"
        ", environment, coalesce(feature, ''), coalesce(name, ''), {figures}"
        " FROM (SELECT {columns} FROM {table} WHERE project_id = {project} AND {within}) AS fact"
        " GROUP BY GROUPING SETS ((environment), (environment, feature), (environment, name){full})"
    ).format(
        figures=_figures(subject),
        columns=sql.SQL(COLUMNS[subject]),
        table=sql.Identifier(TABLES[subject]),
        project=sql.Literal(project_id),
        within=within("started_at", [stretch]),
        full=sql.SQL(full),
    )


def binary_cursor() -> CursorWrapper:
    """Histograms are bytes, which need no parsing in PostgreSQL's binary format; Django's cursors cannot ask for it."""
    connection.ensure_connection()
    raw: Any = psycopg.Cursor(connection.connection)
    raw.format = Format.BINARY
    return connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)

"""Reads for the health of a set: what is in it, how its runs went, and what production asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db import connection
from django.db.models import Min

from apps.evals import near_duplicates, traffic_coverage
from apps.evals.health import (
    LEAST_RUNS,
    DuplicateGroup,
    Health,
    Outcomes,
    SliceCount,
    Uncovered,
    VersionUse,
    from_dict,
    growth_of,
)
from apps.evals.models import EvalRun, EvalSet, Example, Revision, SetHealth
from apps.evals.types import ReviewState, RunState
from apps.telemetry.figures import Dimension, Filters
from apps.telemetry.selectors.figures import read_figures

TRAFFIC = timedelta(days=30)
DAYS = 30
CALLS_A_DAY = 10
NEWEST_RUNS = 10
MOST_SHOWN = 20
MOST_SLICES = 200
MOST_TEXTS = 100_000
MOST_COMPARED = 20_000
"""Examples that calls are compared with, the newest."""
OURS = ("playground", "eval", "judge")
"""Sources of calls that are not production."""
FRESH = timedelta(hours=1)
"""How long figures are good when the set does not change."""

SLICES = """
SELECT name, count(*) FILTER (WHERE state = 'approved') AS approved FROM evals_example, unnest(slices) AS name
WHERE eval_set_id = %s AND until IS NULL GROUP BY name ORDER BY approved, name LIMIT %s
"""
OUTCOMES = """
WITH runs AS (
  SELECT id FROM evals_evalrun WHERE eval_set_id = %s AND state = 'finished' ORDER BY created_at DESC LIMIT %s
), judged AS (
  SELECT example.key, bool_and(result.is_passed) AS passed, bool_or(result.is_passed) AS passed_once
  FROM runs JOIN evals_result AS result ON result.run_id = runs.id
  JOIN evals_example AS example ON example.id = result.example_id AND example.until IS NULL
  WHERE result.is_passed IS NOT NULL GROUP BY example.key HAVING count(DISTINCT result.run_id) >= %s
)
SELECT (SELECT count(*) FROM runs), count(*), count(*) FILTER (WHERE passed), count(*) FILTER (WHERE NOT passed_once),
  (array_agg(key ORDER BY key) FILTER (WHERE passed))[1:%s],
  (array_agg(key ORDER BY key) FILTER (WHERE NOT passed_once))[1:%s]
FROM judged
"""
# A few calls of each day, so that one busy hour does not stand for the month.
CALLS = """
SELECT encode(call.trace_id, 'hex'), encode(call.span_id, 'hex'), call.started_at, left(payload.input, 20000),
  payload.input_is_json
FROM unnest(%s::timestamptz[]) AS day (start) CROSS JOIN LATERAL (
  SELECT project_id, trace_id, span_id, started_at FROM telemetry_span
  WHERE project_id = %s AND started_at >= day.start AND started_at < day.start + interval '1 day'
    AND feature = %s AND kind = 'llm' AND source <> ALL (%s)
  ORDER BY started_at DESC LIMIT %s
) AS call JOIN telemetry_payload AS payload ON payload.project_id = call.project_id
  AND payload.trace_id = call.trace_id AND payload.span_id = call.span_id AND payload.started_at = call.started_at
WHERE payload.input IS NOT NULL ORDER BY call.started_at DESC
"""


def held_health(eval_set: EvalSet) -> SetHealth | None:
    """What was last found out, or is being found out; None when nobody asked yet."""
    return SetHealth.objects.filter(eval_set=eval_set).first()


def figures_of(row: SetHealth | None) -> Health | None:
    """The figures of the row; None while there are none, or of an older shape."""
    if row is None or row.figures is None:
        return None
    try:
        return from_dict(row.figures)
    except (KeyError, TypeError):
        return None


def is_current(row: SetHealth | None, eval_set: EvalSet, *, now: datetime) -> bool:
    """True when the figures are of the newest revision, and not old."""
    return (
        row is not None
        and row.computed_at is not None
        and row.revision == eval_set.head
        and row.computed_at > now - FRESH
        and figures_of(row) is not None
    )


def due(*, now: datetime) -> list[int]:
    """Sets whose figures were asked for and are not being worked out."""
    rows = SetHealth.objects.filter(asked_at__isnull=False).exclude(lease_until__gt=now)
    return list(rows.order_by("asked_at").values_list("eval_set_id", flat=True)[:50])


def work_out(eval_set: EvalSet, *, now: datetime) -> Health:
    """All figures of the set as it is now. May take minutes for a large set; not for a request."""
    held = Example.objects.filter(eval_set=eval_set, until=None)
    approved = held.filter(state=ReviewState.APPROVED.value)
    oldest = approved.aggregate(at=Min("made_at"))["at"]
    revisions = list(
        Revision.objects.filter(eval_set=eval_set).order_by("number").values_list("made_at", "examples", "approved")
    )
    points, grown = growth_of(revisions, now=now)
    texts = _texts(eval_set)
    found = _duplicates(texts)
    calls, covered, uncovered = _traffic(eval_set, texts, now=now)
    return Health(
        examples=held.count(),
        approved=approved.count(),
        minimum_examples=eval_set.minimum_examples,
        minimum_per_slice=eval_set.minimum_per_slice,
        fresh_days=eval_set.fresh_days,
        stale=approved.filter(made_at__lt=now - timedelta(days=eval_set.fresh_days)).count(),
        oldest_days=None if oldest is None else (now - oldest).days,
        feature=eval_set.feature,
        slices=_slices(eval_set),
        outcomes=_outcomes(eval_set),
        duplicates=found.shown,
        duplicate_groups=found.groups,
        duplicates_beyond=found.beyond,
        sampled=calls,
        covered=covered,
        uncovered=uncovered,
        versions=_versions(eval_set, now=now),
        growth=points,
        grown=grown,
    )


def _slices(eval_set: EvalSet) -> tuple[SliceCount, ...]:
    with connection.cursor() as cursor:
        cursor.execute(SLICES, [eval_set.pk, MOST_SLICES])
        return tuple(SliceCount(*row) for row in cursor.fetchall())


def _outcomes(eval_set: EvalSet) -> Outcomes:
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, [eval_set.pk, NEWEST_RUNS, LEAST_RUNS, MOST_SHOWN, MOST_SHOWN])
        runs, judged, passed, failed, passed_keys, failed_keys = cursor.fetchone()
    return Outcomes(runs, judged, passed, failed, tuple(passed_keys or ()), tuple(failed_keys or ()))


def _texts(eval_set: EvalSet) -> list[tuple[str, str]]:
    """Keys and what their examples ask, the newest first."""
    rows = Example.objects.filter(eval_set=eval_set, until=None).order_by("-pk")[:MOST_TEXTS]
    values = rows.values_list("key", "variables", "messages").iterator(chunk_size=500)
    return [(key, near_duplicates.input_text(variables, messages)) for key, variables, messages in values]


@dataclass(frozen=True, slots=True)
class _Doubled:
    """Groups of duplicates: how many, how many examples too many, and the first of them."""

    groups: int
    beyond: int
    shown: tuple[DuplicateGroup, ...]


def _duplicates(texts: Sequence[tuple[str, str]]) -> _Doubled:
    found = near_duplicates.groups([text for _, text in texts])
    shown = []
    for group in found[:MOST_SHOWN]:
        members = sorted(group.members, reverse=True)[:MOST_SHOWN]
        keys = tuple(texts[place][0] for place in members)
        shown.append(DuplicateGroup(keys, tuple(texts[place][1][:300] for place in members), group.similarity))
    return _Doubled(len(found), sum(len(group.members) - 1 for group in found), tuple(shown))


def _traffic(
    eval_set: EvalSet, texts: Sequence[tuple[str, str]], *, now: datetime
) -> tuple[int, int, tuple[Uncovered, ...]]:
    """Recent calls that were looked at, how many have an example like them, and the first that have none."""
    if not eval_set.feature:
        return 0, 0, ()
    days = [now - timedelta(days=day) for day in range(1, DAYS + 1)]
    with connection.cursor() as cursor:
        cursor.execute(CALLS, [days, eval_set.project_id, eval_set.feature, list(OURS), CALLS_A_DAY])
        calls = [
            (trace_id, span_id, at, text)
            for trace_id, span_id, at, raw, is_json in cursor.fetchall()
            if (text := _asked(raw, is_json).strip())
        ]
    near = traffic_coverage.neighbors([call[3] for call in calls], [text for _, text in texts[:MOST_COMPARED]])
    alone = [
        Uncovered(trace_id, span_id, at.isoformat(), text[:300], round(found.similarity, 3))
        for (trace_id, span_id, at, text), found in zip(calls, near, strict=True)
        if found.similarity < traffic_coverage.NEIGHBOR
    ]
    return len(calls), len(calls) - len(alone), tuple(sorted(alone, key=lambda one: one.similarity)[:MOST_SHOWN])


def _asked(raw: str, is_json: bool) -> str:
    if not is_json:
        return raw
    try:
        return traffic_coverage.asked_text(msgspec.json.decode(raw))
    except (msgspec.DecodeError, RecursionError):
        return raw  # it was cut


def _versions(eval_set: EvalSet, *, now: datetime) -> tuple[VersionUse, ...]:
    """Versions of prompts by their production calls of the set's feature, most used first."""
    if not eval_set.feature:
        return ()
    runs = EvalRun.objects.filter(eval_set=eval_set, state=RunState.FINISHED.value)
    evaluated = {f"{name}@{version}" for name, version in runs.values_list("prompt_name", "prompt_version").distinct()}
    table = read_figures(
        eval_set.project_id,
        start=now - TRAFFIC,
        end=now,
        group_by=(Dimension.PROMPT_VERSION, Dimension.SOURCE),
        filters=Filters(feature=eval_set.feature),
        has_lengths=False,
    )
    calls: dict[str, int] = {}
    for row in table.groups:
        version, source = row.group
        if version and source not in OURS:
            calls[version] = calls.get(version, 0) + row.calls
    ordered = sorted(calls.items(), key=lambda one: (-one[1], one[0]))
    return tuple(VersionUse(version, count, version in evaluated) for version, count in ordered[:MOST_SHOWN])

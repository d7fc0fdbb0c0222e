"""Reading the review queue: what waits, one case of it, what stands beside it, and what a flag copies from a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from apps.core.errors import DomainError, NotFound
from apps.telemetry.models import ReviewItem, ReviewRule, TraceNote
from apps.telemetry.selectors.log_content import add_log_content
from apps.telemetry.selectors.spans import read_rows

LONGEST_TRACE = timedelta(days=1)
"""How far from a known time of it the spans of a trace are looked for."""

WAITING = "waiting"
"""The filter for what is open or in review."""

USUAL_LABELS = ("made up facts", "wrong tone", "incomplete", "off topic", "unsafe", "ignored instructions")
"""Kinds of failure that are offered to a project before it has its own."""

CHOICES_AT_MOST = 300
BULKY = ("input", "output", "correction")

Place = tuple[datetime, int]
"""Where an item stands in the queue: when it was flagged, and its number among those of the same moment."""


class BadCursor(DomainError):
    """A cursor that was not given out here."""

    code, http_status, message = "bad_cursor", 422, "Take `next` of the page before as the cursor, or leave it out."


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items. `status` is a status, `waiting`, or None for all; `assignee` is a person's number."""

    status: str | None = WAITING
    assignee: int | None = None
    reason: str | None = None
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Items in the order of the queue, and the cursor of the next page if there is one."""

    items: list[ReviewItem]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many wait, and how many were decided or dismissed since a moment."""

    waiting: int
    done: int

    @property
    def total(self) -> int:
        """All that was to be done."""
        return self.waiting + self.done

    @property
    def share(self) -> float:
        """The part of it that is done, 0 to 1; 1 when nothing was to be done."""
        return self.done / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """How far the work is, what the items can be narrowed to, and what can have gone wrong."""

    progress: Progress
    reasons: list[str]
    features: list[str]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a flag copies from the span it is about, or from the span of a trace that shows best what was answered."""

    started_at: datetime
    name: str
    kind: str
    feature: str
    environment: str
    model: str
    prompt_version: str
    user_id: str
    session_id: str
    input: str | None
    output: str | None
    input_is_json: bool
    output_is_json: bool


def queue(
    project_id: int, matching: QueueFilter, *, limit: int, cursor: str | None = None, start: ReviewItem | None = None
) -> QueuePage:
    """Items without their texts, those that wait longest first (the newest first once they no longer wait).

    Begins behind the cursor, or with the item `start`. Raises BadCursor.
    """
    items = _ordered(_matching(project_id, matching), matching)
    if cursor:
        items = items.filter(_behind(_read_cursor(cursor), matching))
    elif start is not None:
        items = items.filter(_behind(_place(start), matching) | Q(pk=start.pk))
    found = list(items.select_related("assignee").defer(*BULKY)[: limit + 1])
    shown = found[:limit]
    return QueuePage(shown, _write_cursor(_place(shown[-1])) if len(found) > limit else None)


def next_item(project_id: int, matching: QueueFilter, item: ReviewItem | None) -> UUID | None:
    """The item behind this one, or the first of all when none is behind it; None when nothing else matches."""
    items = _ordered(_matching(project_id, matching), matching)
    if item is not None:
        items = items.exclude(pk=item.pk)
        behind = items.filter(_behind(_place(item), matching)).values_list("uuid", flat=True).first()
        if behind is not None:
            return behind
    return items.values_list("uuid", flat=True).first()


def previous_item(project_id: int, matching: QueueFilter, item: ReviewItem) -> UUID | None:
    """The item before this one."""
    items = _matching(project_id, matching).exclude(pk=item.pk).exclude(_behind(_place(item), matching))
    return _ordered(items, matching).reverse().values_list("uuid", flat=True).first()


def get_item(project_id: int, uuid: UUID) -> ReviewItem:
    """One item whole. Raises NotFound when the project has none such."""
    found = ReviewItem.objects.select_related("assignee").filter(project_id=project_id, uuid=uuid).first()
    if found is None:
        raise NotFound()
    return found


def items_of_trace(project_id: int, trace_id: bytes) -> list[ReviewItem]:
    """The trace's items without their texts, the newest first."""
    items = ReviewItem.objects.filter(project_id=project_id, trace_id=trace_id).select_related("assignee")
    return list(items.defer("input", "output").order_by("-flagged_at", "-pk")[:50])


def notes_of_trace(project_id: int, trace_id: bytes) -> list[TraceNote]:
    """The notes on the trace and its spans, in the order they were written."""
    notes = TraceNote.objects.filter(project_id=project_id, trace_id=trace_id)
    return list(notes.order_by("at", "pk")[:200])


def waiting_items(project_id: int, person_id: int) -> QuerySet[ReviewItem]:
    """The items that wait, for anybody."""
    return ReviewItem.objects.filter(project_id=project_id, status__in=ReviewItem.WAITING)


STATE = """
(SELECT 'reason', reason FROM telemetry_reviewitem WHERE project_id = %(project)s GROUP BY reason LIMIT %(most)s)
UNION ALL
(SELECT 'feature', feature FROM telemetry_reviewitem
 WHERE project_id = %(project)s AND feature <> '' GROUP BY feature LIMIT %(most)s)
UNION ALL
(SELECT 'label', name FROM telemetry_reviewlabel WHERE project_id = %(project)s LIMIT %(most)s)
UNION ALL
SELECT 'waiting', count(*)::text FROM telemetry_reviewitem
WHERE project_id = %(project)s AND status IN ('open', 'in_review')
UNION ALL
SELECT 'done', count(*)::text FROM telemetry_reviewitem
WHERE project_id = %(project)s AND decided_at >= %(since)s
"""


def state(project_id: int, *, since: datetime) -> QueueState:
    """How much waits and how much was done since then; every reason and feature that items of the project have, and its
    kinds of failure, its own before the usual ones."""
    with connection.cursor() as cursor:
        cursor.execute(STATE, {"project": project_id, "most": CHOICES_AT_MOST, "since": since})
        found = cursor.fetchall()
    values = {name: sorted(value for kind, value in found if kind == name) for name in ("reason", "feature", "label")}
    own = values["label"]
    counts = {kind: int(value) for kind, value in found if kind in {"waiting", "done"}}
    return QueueState(
        progress=Progress(**counts),
        reasons=values["reason"],
        features=values["feature"],
        labels=[*own, *(label for label in USUAL_LABELS if label not in own)],
    )


def reasons(project_id: int) -> list[str]:
    """Reasons that were given before, for whoever gives one."""
    given = ReviewItem.objects.filter(project_id=project_id).order_by("reason").values_list("reason", flat=True)
    return list(given.distinct()[:CHOICES_AT_MOST])


def rules(project_id: int) -> list[ReviewRule]:
    """The project's rules, by name."""
    return list(ReviewRule.objects.filter(project_id=project_id).order_by("name"))


def get_rule(project_id: int, uuid: UUID) -> ReviewRule:
    """One rule. Raises NotFound."""
    found = ReviewRule.objects.filter(project_id=project_id, uuid=uuid).first()
    if found is None:
        raise NotFound()
    return found


# --- Order and cursors --------------------------------------------------------------------------------------


def _matching(project_id: int, matching: QueueFilter) -> QuerySet[ReviewItem]:
    items = ReviewItem.objects.filter(project_id=project_id)
    if matching.status == WAITING:
        items = items.filter(status__in=ReviewItem.WAITING)
    elif matching.status is not None:
        items = items.filter(status=matching.status)
    for name in ("assignee", "reason", "feature"):
        value = getattr(matching, name)
        if value is not None:
            items = items.filter(**{name: value})
    return items


def _is_oldest_first(matching: QueueFilter) -> bool:
    return matching.status in {WAITING, *ReviewItem.WAITING}


def _ordered(items: QuerySet[ReviewItem], matching: QueueFilter) -> QuerySet[ReviewItem]:
    sign = "" if _is_oldest_first(matching) else "-"
    return items.order_by(f"{sign}flagged_at", f"{sign}pk")


def _behind(place: Place, matching: QueueFilter) -> Q:
    at, number = place
    if _is_oldest_first(matching):
        return Q(flagged_at__gt=at) | Q(flagged_at=at, pk__gt=number)
    return Q(flagged_at__lt=at) | Q(flagged_at=at, pk__lt=number)


def _place(item: ReviewItem) -> Place:
    return item.flagged_at, item.pk


def _write_cursor(place: Place) -> str:
    return f"{place[0].isoformat()}~{place[1]}"


def _read_cursor(cursor: str) -> Place:
    moment, _, number = cursor.partition("~")
    try:
        place = datetime.fromisoformat(moment), int(number)
    except ValueError as error:
        raise BadCursor() from error
    if place[0].tzinfo is None or not 0 <= place[1] < 2**63:
        raise BadCursor()
    return place


# --- Copies -------------------------------------------------------------------------------------------------

# For a whole trace the span that has both question and answer is taken, the root before others, the last answer before
# earlier ones; what it does not say itself (user, feature) is taken from the rest of the trace.
SNAPSHOT = """
SELECT span.started_at, span.name, span.kind,
  coalesce(nullif(span.feature, ''), max(span.feature) OVER ()), span.environment,
  coalesce(nullif(span.model, ''), max(span.model) OVER ()),
  coalesce(nullif(concat_ws('@', nullif(span.prompt_name, ''), nullif(span.prompt_version, '')), ''), ''),
  coalesce(nullif(span.user_id, ''), max(span.user_id) OVER ()),
  coalesce(nullif(span.session_id, ''), max(span.session_id) OVER ()),
  payload.input, payload.output, coalesce(payload.input_is_json, false), coalesce(payload.output_is_json, false),
  min(span.started_at) OVER ()
FROM telemetry_span AS span LEFT JOIN telemetry_payload AS payload USING (project_id, trace_id, span_id, started_at)
WHERE span.project_id = %(project)s AND span.trace_id = %(trace)s {bounds}
ORDER BY {wish} (payload.input IS NOT NULL AND payload.output IS NOT NULL) DESC, payload.output IS NULL,
  span.parent_span_id IS NOT NULL, span.kind <> 'llm', span.started_at DESC
LIMIT 1
"""
BOUNDS = "AND span.started_at >= %(first)s AND span.started_at < %(last)s"
WISH = "span.span_id <> %(span)s,"


def snapshot(project_id: int, trace_id: bytes, span_id: bytes, *, at: datetime | None) -> Snapshot | None:
    """What is to be copied for this span, or for the trace when `span_id` is empty; None when it is not stored.

    `at` is the time of any of the trace's spans, if known: it keeps the search within the partitions around it.
    """
    values: dict[str, Any] = {"project": project_id, "trace": trace_id, "span": span_id}
    if at is not None:
        values |= {"first": at - LONGEST_TRACE, "last": at + LONGEST_TRACE}
    query = SNAPSHOT.format(bounds=BOUNDS if at is not None else "", wish=WISH if span_id else "")
    with connection.cursor() as cursor:
        if span_id and not _has_span(cursor, values, at):
            return None
        cursor.execute(query, values)
        row = cursor.fetchone()
    if row is None:
        return None
    *fields, first = row
    found = Snapshot(*fields) if span_id else Snapshot(first, *fields[1:])
    if found.input is None and found.output is None:
        return _with_log_content(found, project_id, values, BOUNDS if at is not None else "")
    return found


LIKELY = """
SELECT started_at, trace_id, span_id FROM telemetry_span AS span
WHERE span.project_id = %(project)s AND span.trace_id = %(trace)s {bounds}
  AND (span.span_id = %(span)s OR %(span)s = ''::bytea AND span.kind = 'llm')
ORDER BY started_at DESC LIMIT 20
"""


def _with_log_content(found: Snapshot, project_id: int, values: dict[str, Any], bounds: str) -> Snapshot:
    """The copy with the messages that came apart from the span, as log records; of a trace's latest call with some."""
    with connection.cursor() as cursor:
        cursor.execute(LIKELY.format(bounds=bounds), values)
        places = [(at, bytes(trace), bytes(span)) for at, trace, span in cursor.fetchall()]
    views = read_rows(project_id, places)
    add_log_content(project_id, views)
    view = next((view for view in views if view.has_log_content), None)
    if view is None:
        return found
    return replace(
        found,
        name=view.name,
        kind=view.kind,
        model=view.model or found.model,
        input=json.dumps(view.input, ensure_ascii=False) if view.input is not None else None,
        output=json.dumps(view.output, ensure_ascii=False) if view.output is not None else None,
        input_is_json=True,
        output_is_json=True,
    )


def _has_span(cursor: Any, values: dict[str, Any], at: datetime | None) -> bool:
    bounds = BOUNDS if at is not None else ""
    cursor.execute(
        "SELECT 1 FROM telemetry_span AS span WHERE span.project_id = %(project)s AND span.trace_id = %(trace)s"  # noqa: S608
        f" AND span.span_id = %(span)s {bounds} LIMIT 1",
        values,
    )
    return cursor.fetchone() is not None


def content(text: str | None, is_json: bool) -> Any:
    """A copied text as the client sent it: text, or the value behind it."""
    if text is None or not is_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def waiting_without_output(project_id: int, trace_ids: Sequence[bytes]) -> list[ReviewItem]:
    """Waiting items of these traces that were flagged before their answer arrived."""
    items = ReviewItem.objects.filter(
        project_id=project_id, trace_id__in=list(trace_ids), status__in=ReviewItem.WAITING, output=None
    )
    return list(items[:200])

"""Rules that fill the review queue: failed calls and a part of all traffic as spans arrive, low scores a little later.

A rule looks at what comes after it was made, queues a target once, and at most so many a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.core.clock import floor_day
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry.models import ReviewItem, ReviewRule
from apps.telemetry.models.review import WHOLE_TRACE
from apps.telemetry.services import review
from apps.telemetry.services.fresh import Key

LOOK_BACK = timedelta(days=1)
"""How old a score may be when it is first looked at."""

MOST_AT_ONCE = 200

Target = tuple[bytes, bytes, datetime]
"""Trace, span (empty for the whole trace) and the time of one of its spans."""

FAILED = """
SELECT span.trace_id, span.span_id, span.started_at, span.feature, span.environment
FROM unnest(%s::bytea[], %s::bytea[], %s::timestamptz[]) AS wanted (trace_id, span_id, started_at)
JOIN telemetry_span AS span USING (trace_id, span_id, started_at)
WHERE span.project_id = %s AND span.counted AND span.status = 'error' AND span.received_at >= %s
ORDER BY span.started_at LIMIT %s
"""

# Features are told by any span of the trace.
ARRIVED = """
SELECT trace_id, min(started_at), max(feature), min(environment) FROM telemetry_span
WHERE project_id = %s AND trace_id = ANY (%s) AND started_at >= %s AND started_at < %s AND received_at >= %s
GROUP BY trace_id ORDER BY 2 LIMIT %s
"""

# A score is of a trace, or of a span whose trace is known by now.
SCORED = """
SELECT score.trace_id, coalesce(score.span_id, ''::bytea), score.at
FROM telemetry_score AS score
WHERE score.project_id = %(project)s AND score.name = %(name)s AND score.at >= %(since)s
  AND score.received_at >= %(made)s AND score.trace_id IS NOT NULL
  AND (%(label)s = '' OR lower(score.label) = lower(%(label)s))
  AND (%(below)s::float8 IS NULL OR score.value < %(below)s::float8)
  AND (%(feature)s = '' OR score.feature = %(feature)s)
  AND (%(environment)s = '' OR score.environment = %(environment)s)
  AND NOT EXISTS (SELECT 1 FROM telemetry_reviewitem AS item
                  WHERE item.project_id = score.project_id AND item.trace_id = score.trace_id
                    AND item.span_id = coalesce(score.span_id, ''::bytea))
ORDER BY score.at LIMIT %(limit)s
"""


class SameName(Conflict):
    """The project has a rule of that name."""

    code, message = "same_name", "There is a rule named {name}."


class TooManyRules(Conflict):
    """More rules than anybody can oversee."""

    code, message = "too_many_rules", "A project has at most {most} rules. Remove one first."


@dataclass(frozen=True)
class NewRule:
    """What a rule says; see `models.ReviewRule`."""

    name: str
    kind: str
    score_name: str = ""
    below: float | None = None
    label: str = ""
    feature: str = ""
    environment: str = ""
    percent: Decimal = Decimal(100)
    most_a_day: int = 50


@transaction.atomic
def add_rule(*, project: Project, rule: NewRule, actor: Actor, now: datetime) -> ReviewRule:
    """Queue by this rule from now on. Raises Invalid, SameName or TooManyRules."""
    if not rule.name.strip():
        raise Invalid(None, name=["Name the rule."])
    is_about_scores = rule.kind in {ReviewRule.Kind.SCORE_BELOW, ReviewRule.Kind.SCORE_LABEL}
    if ReviewRule.objects.filter(project_id=project.pk).count() >= review.MOST_RULES:
        raise TooManyRules(most=review.MOST_RULES)
    try:
        with transaction.atomic():
            made = ReviewRule.objects.create(
                project_id=project.pk,
                name=rule.name.strip(),
                kind=ReviewRule.Kind(rule.kind),
                score_name=rule.score_name.strip() if is_about_scores else "",
                below=rule.below if rule.kind == ReviewRule.Kind.SCORE_BELOW else None,
                label=rule.label.strip() if rule.kind == ReviewRule.Kind.SCORE_LABEL else "",
                feature=rule.feature.strip(),
                environment=rule.environment.strip(),
                percent=rule.percent,
                most_a_day=rule.most_a_day,
                created_at=now,
            )
    except IntegrityError as error:
        raise SameName(name=rule.name.strip()) from error
    audit.record(
        actor=actor,
        action="telemetry.review_rule_added",
        project=project,
        target=made,
        at=now,
        details={"kind": made.kind, "percent": f"{made.percent.normalize():f}", "most_a_day": made.most_a_day},
    )
    return made


@transaction.atomic
def remove_rule(*, rule: ReviewRule, project: Project, actor: Actor, now: datetime) -> None:
    """Queue nothing more by this rule; what it queued stays."""
    audit.record(actor=actor, action="telemetry.review_rule_removed", project=project, target=rule, at=now)
    rule.delete()


# --- As spans arrive ----------------------------------------------------------------------------------------


def queue_spans(cursor: CursorWrapper, project_id: int, keys: Sequence[Key], now: datetime) -> None:
    """Queue what the project's rules about calls and traffic choose among these spans. Safe to repeat.

    A step of `digesting`. Items that were flagged before their answer was stored get their copy here.
    """
    review.complete_copies(project_id, sorted({key[1] for key in keys}))
    kinds = (ReviewRule.Kind.ERROR, ReviewRule.Kind.SAMPLE)
    for rule in ReviewRule.objects.filter(project_id=project_id, kind__in=kinds).order_by("pk"):
        room = _room(rule, now)
        if room > 0:
            choose = _failed if rule.kind == ReviewRule.Kind.ERROR else _arrived
            _queue(rule, choose(cursor, rule, keys), room, now)


def _failed(cursor: CursorWrapper, rule: ReviewRule, keys: Sequence[Key]) -> list[Target]:
    """The failed calls among these spans that the rule is about."""
    chosen = [key for key in keys if is_chosen(key[1], rule)]
    columns = [[key[place] for key in chosen] for place in (1, 2, 3)]
    cursor.execute(FAILED, [*columns, rule.project_id, rule.created_at, MOST_AT_ONCE])
    return [
        (bytes(trace), bytes(span), at)
        for trace, span, at, feature, environment in cursor.fetchall()
        if _is_about(rule, feature, environment)
    ]


def _arrived(cursor: CursorWrapper, rule: ReviewRule, keys: Sequence[Key]) -> list[Target]:
    """The traces of these spans that belong to the part of the traffic that the rule is about."""
    chosen = sorted({key[1] for key in keys if is_chosen(key[1], rule)})
    if not chosen:
        return []
    first, last = min(key[3] for key in keys), max(key[3] for key in keys)
    cursor.execute(
        ARRIVED, [rule.project_id, chosen, first - LOOK_BACK, last + LOOK_BACK, rule.created_at, MOST_AT_ONCE]
    )
    return [
        (bytes(trace), WHOLE_TRACE, at)
        for trace, at, feature, environment in cursor.fetchall()
        if _is_about(rule, feature, environment)
    ]


def is_chosen(trace_id: bytes, rule: ReviewRule) -> bool:
    """Whether the trace belongs to the rule's part of all traces: by a hash of its id, so always the same."""
    drawn = int.from_bytes(hashlib.blake2b(trace_id, digest_size=8, key=rule.uuid.bytes).digest(), "big") % 10_000
    return drawn < rule.percent * 100


def _is_about(rule: ReviewRule, feature: str, environment: str) -> bool:
    return rule.feature in {"", feature} and rule.environment in {"", environment}


# --- Scores -------------------------------------------------------------------------------------------------


def queue_scores(*, now: datetime) -> int:
    """Queue what the rules about scores choose among the scores of the last day; returns how many items are new."""
    kinds = (ReviewRule.Kind.SCORE_BELOW, ReviewRule.Kind.SCORE_LABEL)
    rules = list(ReviewRule.objects.filter(kind__in=kinds).order_by("pk"))
    return sum(_queue_scored(rule, now) for rule in rules)


@transaction.atomic
def _queue_scored(rule: ReviewRule, now: datetime) -> int:
    room = _room(rule, now)
    if room <= 0:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            SCORED,
            {
                "project": rule.project_id,
                "name": rule.score_name,
                "since": now - LOOK_BACK,
                "made": rule.created_at,
                "label": rule.label,
                "below": rule.below,
                "feature": rule.feature,
                "environment": rule.environment,
                "limit": MOST_AT_ONCE if rule.percent == 100 else 10 * MOST_AT_ONCE,
            },
        )
        found = [(bytes(trace), bytes(span), at) for trace, span, at in cursor.fetchall()]
    return _queue(rule, [target for target in found if is_chosen(target[0], rule)], room, now)


# --- Both ---------------------------------------------------------------------------------------------------


def _room(rule: ReviewRule, now: datetime) -> int:
    """How many more items the rule may queue on this day of UTC."""
    queued = ReviewItem.objects.filter(project_id=rule.project_id, rule=rule, flagged_at__gte=floor_day(now)).count()
    return rule.most_a_day - queued


def _queue(rule: ReviewRule, targets: Iterable[Target], room: int, now: datetime) -> int:
    """Flag these targets but for those that were in the queue before; returns how many items are new."""
    several = list(dict.fromkeys(targets))
    known = ReviewItem.objects.filter(project_id=rule.project_id, trace_id__in=[target[0] for target in several])
    seen = {(bytes(trace), bytes(span)) for trace, span in known.values_list("trace_id", "span_id")}
    fresh = [target for target in several if target[:2] not in seen][:room]
    return sum(
        review.flag(
            project_id=rule.project_id,
            trace_id=trace_id,
            span_id=span_id,
            at=at,
            reason=rule.name,
            source=ReviewItem.Source.RULE,
            flagged_by=rule.name,
            rule=rule,
            now=now,
        ).is_new
        for trace_id, span_id, at in fresh
    )

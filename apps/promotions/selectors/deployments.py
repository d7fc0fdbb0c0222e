"""Reads of what is live everywhere, and of everything that happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import JSONObject

from apps.core.errors import Invalid
from apps.projects.models import AuditEntry, Project
from apps.promotions.deployment_words import (
    SPLIT_KINDS,
    ArmSaid,
    Candidate,
    Event,
    EventKind,
    EvidenceSaid,
    LiveLine,
    ReportSaid,
    SplitSaid,
)
from apps.promotions.models import Promotion, PromotionCheck, Rollback
from apps.promotions.types import PromotionKind
from apps.prompts.models import Deployment, Split, SplitArm
from apps.prompts.semver import Number

PAGE_SIZE = 30
MOST_LIVE = 500
SPLIT_ENDED, WITHDRAWN, SPLIT_BEGAN, DEPLOYED = range(4)
"""What the timeline is made of; of one moment, the last of these is shown first."""
DRILL_OVER = "The drill is over."


@dataclass(frozen=True, slots=True)
class Where:
    """Which part of what is or was live; what is empty does not filter."""

    prompt: str = ""
    environment: str = ""
    feature: str = ""
    kind: EventKind | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """True when everything is shown."""
        return self == Where()


class Timeline(NamedTuple):
    """What is live now, what happened, newest first, and the cursor to go on with, empty at the end."""

    live: list[LiveLine]
    events: list[Event]
    next: str


# --- Pages of the timeline ----------------------------------------------------------------------------------


def read_timeline(
    project: Project, where: Where, *, cursor: str = "", limit: int = PAGE_SIZE, with_live: bool = False
) -> Timeline:
    """A page of what happened in the project. Raises Invalid for a cursor that is none.

    `with_live` adds what is live now, whatever kind of event is asked for.
    """
    shown = list(_keys(project, where, _read_cursor(cursor))[: limit + 1])
    following = _cursor_of(shown[limit - 1]) if len(shown) > limit else ""
    shown = shown[:limit]
    rows = _deployments(project, where, {key[2] for key in shown if key[1] in (WITHDRAWN, DEPLOYED)}, with_live)
    splits = _splits({key[2] for key in shown if key[1] in (SPLIT_ENDED, SPLIT_BEGAN)})
    gone = _withdrawals(project, [rows[key[2]] for key in shown if key[1] == WITHDRAWN])
    events = [
        _split_event(splits[pk], at, rank)
        if rank in (SPLIT_ENDED, SPLIT_BEGAN)
        else _deployment_event(rows[pk], at, rank, gone.get((rows[pk].version_key, at)))
        for at, rank, pk in shown
    ]
    live = [line_of(row) for row in rows.values() if row.ended_at is None] if with_live else []
    live.sort(key=lambda line: line.prompt)
    return Timeline(live, events, following)


Key = tuple[datetime, int, int]


def _keys(project: Project, where: Where, cursor: Key | None) -> QuerySet[Any, Any]:
    """Moment, rank and row of each event, newest first; in one query however many of them are taken."""
    deployments, splits = _filtered(Deployment.objects, project, where), _filtered(Split.objects, project, where)
    follower = Deployment.objects.filter(
        prompt=OuterRef("prompt"), environment=OuterRef("environment"), started_at=OuterRef("ended_at")
    ).exclude(pk=OuterRef("pk"))
    next_share = Split.objects.filter(
        prompt=OuterRef("prompt"),
        environment=OuterRef("environment"),
        salt=OuterRef("salt"),
        started_at=OuterRef("ended_at"),
    ).exclude(pk=OuterRef("pk"))
    parts: list[QuerySet[Any]] = []
    kind = where.kind
    if kind is None or kind not in (SPLIT_KINDS | {EventKind.WITHDRAWN}):
        parts.append(_part(_of_kind(deployments, kind), DEPLOYED, "started_at", where, cursor))
    if kind in (None, EventKind.WITHDRAWN):
        gone = deployments.filter(~Exists(follower), ended_at__isnull=False)
        parts.append(_part(gone, WITHDRAWN, "ended_at", where, cursor))
    if kind in (None, EventKind.STARTED, EventKind.RAMPED):
        began = splits if kind is None else splits.filter(is_ramp=kind is EventKind.RAMPED)
        parts.append(_part(began, SPLIT_BEGAN, "started_at", where, cursor))
    if kind in (None, EventKind.STOPPED):
        over = splits.filter(~Exists(next_share), ended_at__isnull=False)
        parts.append(_part(over, SPLIT_ENDED, "ended_at", where, cursor))
    union = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    return union.order_by("-at", "-rank", "-key")


def _filtered(rows: Any, project: Project, where: Where) -> QuerySet[Any]:
    found: QuerySet[Any] = rows.filter(project=project).order_by()
    if where.prompt:
        found = found.filter(prompt__name=where.prompt)
    if where.environment:
        found = found.filter(environment__slug=where.environment)
    if where.feature:
        found = found.filter(prompt__feature=where.feature)
    if found.model is Split:
        earlier = Split.objects.filter(
            prompt=OuterRef("prompt"), environment=OuterRef("environment"), salt=OuterRef("salt"), pk__lt=OuterRef("pk")
        )
        found = found.annotate(is_ramp=Exists(earlier))
    return found


def _of_kind(rows: QuerySet[Any], kind: EventKind | None) -> QuerySet[Any]:
    """The deployments that came about in this way."""
    promoted = Promotion.objects.filter(uuid=OuterRef("evidence_id"))
    drill = Q(rollback__is_drill=True) | Q(reason=DRILL_OVER, actor_kind="system")
    automatic = Q(rollback__is_automatic=True, rollback__is_drill=False)
    back = Q(rollback__is_automatic=False, rollback__is_drill=False)
    back |= Q(rollback=None, evidence_kind="return") & ~drill
    if kind is EventKind.PROMOTION or kind is EventKind.OVERRIDE:
        wanted = PromotionKind.OVERRIDE if kind is EventKind.OVERRIDE else PromotionKind.PROMOTION
        return rows.filter(Exists(promoted.filter(kind=wanted.value)), evidence_kind="promotion")
    if kind is EventKind.DRILL:
        return rows.filter(drill)
    if kind is EventKind.AUTOMATIC:
        return rows.filter(automatic)
    if kind is EventKind.ROLLBACK:
        return rows.filter(back)
    if kind is EventKind.DEPLOY:
        return rows.filter(rollback=None, evidence_kind="").exclude(reason=DRILL_OVER, actor_kind="system")
    return rows


def _part(rows: QuerySet[Any], rank: int, moment: str, where: Where, cursor: Key | None) -> QuerySet[Any, Any]:
    if where.since is not None:
        rows = rows.filter(**{f"{moment}__gte": where.since})
    if where.until is not None:
        rows = rows.filter(**{f"{moment}__lte": where.until})
    if cursor is not None:
        at, last_rank, pk = cursor
        same = Q(**{moment: at})
        if rank == last_rank:
            rows = rows.filter(Q(**{f"{moment}__lt": at}) | (same & Q(pk__lt=pk)))
        else:
            rows = rows.filter(Q(**{f"{moment}__lt": at}) | (same if rank < last_rank else Q(pk__in=[])))
    ranked: QuerySet[Any] = rows.annotate(at=F(moment), rank=Value(rank, output_field=IntegerField()), key=F("pk"))
    return ranked.values_list("at", "rank", "key")


def _cursor_of(key: Any) -> str:
    at, rank, pk = key
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}-{rank}-{pk}"


def _read_cursor(text: str) -> Key | None:
    if not text:
        return None
    try:
        at, rank, pk = text.split("-")
        moment = datetime.strptime(at, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
        return moment, int(rank), min(int(pk), 2**63 - 1)
    except ValueError as error:
        raise Invalid(cursor=["Use the cursor of the page before."]) from error


# --- Deployments with what let them in ----------------------------------------------------------------------


def told_deployments(project: Project) -> QuerySet[Deployment]:
    """The project's deployments, each with what was there before, its evidence and the split that is open there."""
    before = Deployment.objects.filter(
        prompt=OuterRef("prompt"),
        environment=OuterRef("environment"),
        ended_at=OuterRef("started_at"),
        pk__lt=OuterRef("pk"),
    )
    promotion = Promotion.objects.filter(uuid=OuterRef("evidence_id")).values(
        told=JSONObject(number="number", kind="kind")
    )
    reports = PromotionCheck.objects.filter(promotion__uuid=OuterRef("evidence_id"), report__isnull=False)
    returned = Deployment.objects.filter(uuid=OuterRef("evidence_id"))
    arms = SplitArm.objects.filter(
        split__prompt=OuterRef("prompt"), split__environment=OuterRef("environment"), split__ended_at=None
    )
    rows = Deployment.objects.filter(project=project).select_related("prompt", "environment", "version", "rollback")
    return rows.defer("version__content", "version__resolved", "prompt__description").annotate(
        said_before=Subquery(before.order_by("-pk").values(told=_candidate("version__", "model"))[:1]),
        said_promotion=Subquery(promotion[:1]),
        said_reports=ArraySubquery(
            reports.order_by("gate__name").values(told=JSONObject(id="report__uuid", gate="gate__name"))
        ),
        returns_to=Subquery(returned.values("started_at")[:1]),
        open_arms=ArraySubquery(arms.order_by("position").values(told=_arm("split__"))),
        version_key=F("version__uuid"),
    )


def _candidate(version: str, model: str) -> JSONObject:
    parts = {name: f"{version}{name}" for name in ("major", "minor", "patch")}
    return JSONObject(model=model, **parts)


def _arm(split: str) -> JSONObject:
    parts = {name: f"version__{name}" for name in ("major", "minor", "patch")}
    whole = {name: f"{split}{name}" for name in ("experiment", "unit", "share")}
    return JSONObject(name="name", model="model", weight="weight", **parts, **whole)


def _deployments(project: Project, where: Where, wanted: set[int], with_live: bool) -> dict[int, Any]:
    chosen = Q(pk__in=wanted)
    if with_live:
        places = Q(ended_at=None)
        if where.prompt:
            places &= Q(prompt__name=where.prompt)
        if where.environment:
            places &= Q(environment__slug=where.environment)
        chosen |= places
    if not wanted and not with_live:
        return {}
    rows = told_deployments(project).filter(chosen)
    return {row.pk: row for row in rows.order_by("environment__position", "environment__slug")[:MOST_LIVE]}


def line_of(row: Any) -> LiveLine:
    """The deployment, read by `told_deployments`, in the words of pages and the API."""
    promotion: Mapping[str, Any] | None = row.said_promotion if row.evidence_kind == "promotion" else None
    evidence = EvidenceSaid(
        promotion=None if promotion is None else promotion["number"],
        is_override=promotion is not None and promotion["kind"] == PromotionKind.OVERRIDE,
        reports=tuple(ReportSaid(one["id"], one["gate"]) for one in row.said_reports),
        returns_to=row.returns_to if row.evidence_kind == "return" else None,
        rollback=str(rollback.uuid) if (rollback := getattr(row, "rollback", None)) is not None else None,
    )
    return LiveLine(
        id=str(row.uuid),
        prompt=row.prompt.name,
        feature=row.prompt.feature,
        environment=row.environment.slug,
        is_protected=row.environment.is_protected or row.environment.slug == "production",
        candidate=Candidate(str(row.version.number), row.model),
        before=None if row.said_before is None else _read_candidate(row.said_before),
        since=row.started_at,
        until=row.ended_at,
        by=row.actor_name,
        by_kind=row.actor_kind,
        reason=row.reason,
        kind=_kind_of(row, evidence),
        content_hash=row.version.content_hash,
        evidence=evidence,
        split=read_split(row.open_arms) if row.ended_at is None else None,
    )


def _kind_of(row: Any, evidence: EvidenceSaid) -> EventKind:
    rollback: Rollback | None = getattr(row, "rollback", None)
    if (rollback is not None and rollback.is_drill) or (row.reason == DRILL_OVER and row.actor_kind == "system"):
        return EventKind.DRILL
    if rollback is not None:
        return EventKind.AUTOMATIC if rollback.is_automatic else EventKind.ROLLBACK
    if row.evidence_kind == "return":
        return EventKind.ROLLBACK
    if row.evidence_kind == "promotion":
        return EventKind.OVERRIDE if evidence.is_override else EventKind.PROMOTION
    return EventKind.DEPLOY


def _read_candidate(told: Mapping[str, Any]) -> Candidate:
    return Candidate(str(Number(told["major"], told["minor"], told["patch"])), told["model"])


def read_split(arms: Iterable[Mapping[str, Any]]) -> SplitSaid | None:
    """The split that these arms are of; None for no arms."""
    found = list(arms)
    if not found:
        return None
    told = tuple(ArmSaid(arm["name"], _read_candidate(arm), arm["weight"]) for arm in found)
    return SplitSaid(found[0]["experiment"], found[0]["unit"], found[0]["share"], told)


# --- Events -------------------------------------------------------------------------------------------------


def _deployment_event(row: Any, at: datetime, rank: int, gone: tuple[str, str] | None) -> Event:
    line = line_of(row)
    by, reason, kind = line.by, line.reason, line.kind
    if rank == WITHDRAWN:
        kind = EventKind.WITHDRAWN
        by, reason = gone or ("", "")
    return Event(
        key=_cursor_of((at, rank, row.pk)),
        kind=kind,
        at=at,
        prompt=line.prompt,
        environment=line.environment,
        by=by,
        reason=reason,
        candidate=line.candidate,
        line=line,
    )


def _withdrawals(project: Project, rows: list[Any]) -> dict[tuple[UUID, datetime], tuple[str, str]]:
    """Who took these down and why, by version and moment, from the audit trail."""
    if not rows:
        return {}
    entries = AuditEntry.objects.filter(
        project_id=project.pk,
        action="prompts.withdrawn",
        at__in=[row.ended_at for row in rows],
        target_id__in=[str(row.version_key) for row in rows],
    )
    return {
        (UUID(entry.target_id), entry.at): (entry.actor_name, str(entry.details.get("reason") or ""))
        for entry in entries
    }


def _splits(wanted: set[int]) -> dict[int, Any]:
    if not wanted:
        return {}
    arms = SplitArm.objects.filter(split=OuterRef("pk")).order_by("position").values(told=_arm("split__"))
    earlier = Split.objects.filter(
        prompt=OuterRef("prompt"), environment=OuterRef("environment"), salt=OuterRef("salt"), pk__lt=OuterRef("pk")
    )
    rows = Split.objects.filter(pk__in=wanted).select_related("prompt", "environment")
    rows = rows.annotate(
        arms_said=ArraySubquery(arms), share_before=Subquery(earlier.order_by("-pk").values("share")[:1])
    )
    return {row.pk: row for row in rows}


def _split_event(row: Any, at: datetime, rank: int) -> Event:
    if rank == SPLIT_ENDED:
        kind = EventKind.STOPPED
    else:
        kind = EventKind.STARTED if row.share_before is None else EventKind.RAMPED
    return Event(
        key=_cursor_of((at, rank, row.pk)),
        kind=kind,
        at=at,
        prompt=row.prompt.name,
        environment=row.environment.slug,
        by="" if rank == SPLIT_ENDED else row.actor_name,
        split=read_split(row.arms_said),
        share_before=row.share_before if kind is EventKind.RAMPED else None,
    )


# --- For the API --------------------------------------------------------------------------------------------


class LinePage(NamedTuple):
    """Some deployments, newest first. `next` is the cursor to go on with, None at the end."""

    items: list[LiveLine]
    next: str | None


def deployments_page(
    project: Project,
    *,
    prompt: str = "",
    environment: str = "",
    live: bool = False,
    cursor: UUID | None = None,
    limit: int,
) -> LinePage:
    """Deployments of all prompts; with `live`, those that are live now. Raises Invalid for a cursor that is none."""
    rows = _filtered(told_deployments(project), project, Where(prompt=prompt, environment=environment))
    if live:
        rows = rows.filter(ended_at=None)
    if cursor is not None:
        last = Deployment.objects.filter(project=project, uuid=cursor).first()
        if last is None:
            raise Invalid(cursor=["Use the cursor of the page before."])
        rows = rows.filter(Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk))
    found = [line_of(row) for row in rows.order_by("-started_at", "-pk")[: limit + 1]]
    shown = found[:limit]
    return LinePage(shown, shown[-1].id if len(found) > limit else None)

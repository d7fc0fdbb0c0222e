"""Reads of promotions: one with all that it is decided by, lists, and how many wait for whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    BigIntegerField,
    BooleanField,
    CharField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Concat

from apps.core.errors import NotFound
from apps.evals.models import EvalRun
from apps.evals.selectors.gates import ReportView, view_of
from apps.projects.models import Membership, Project
from apps.projects.types import Role
from apps.promotions import deciding
from apps.promotions.models import Decision, Promotion, PromotionCheck, PromotionComment, PromotionEvent, Rollback
from apps.promotions.selectors.decisions import approvals_needed
from apps.promotions.types import OPEN, CheckState, DecisionKind, PromotionKind, PromotionState
from apps.prompts.models import Prompt
from apps.telemetry.models import CostDaySlice

PAGE_SIZE = 30
OPEN_SHOWN = 100
SHOWN_OF_A_PROMPT = 5
LARGEST_NUMBER = 2**31 - 1
TRAFFIC_DAYS = 7
JOINED = (
    "project",
    "prompt",
    "environment",
    "version",
    "version__author",
    "requester",
    "rule",
    "live_before__version",
    "deployment__watch__rollback",
    "follow_up__done_by",
)
LISTED = ("prompt", "environment", "version", "live_before__version", "deployment")
HEAVY = ("version__content", "version__resolved", "live_before__version__content", "live_before__version__resolved")
HEAVY_OF_RUNS = ("run__content", "run__estimate", "baseline__content", "baseline__estimate")


# --- One promotion ------------------------------------------------------------------------------------------


def get_promotion(project: Project, number: int, *, used_until: datetime | None = None) -> Promotion:
    """The project's promotion of this number, with what its page shows; also how much it was used up to a moment.

    One query. Raises NotFound.
    """
    found = None
    if 0 < number <= LARGEST_NUMBER:
        rows = Promotion.objects.select_related(*JOINED).annotate(undo_time=Subquery(_last_undo()))
        if used_until is not None:
            rows = rows.annotate(lately_called=Subquery(_calls_lately(used_until)))
        found = rows.filter(project=project, number=number).first()
    if found is None:
        raise NotFound(f"There is no promotion {number} in this project.")
    return found


def _calls_lately(until: datetime) -> QuerySet[CostDaySlice, dict[str, Any]]:
    """Calls of the prompt in the environment over the last days, by the day records."""
    name = OuterRef("prompt__name")
    rows = CostDaySlice.objects.filter(
        Q(value=name) | Q(value__startswith=Concat(name, Value("@"))),
        project_id=OuterRef("project_id"),
        dimension="prompt_version",
        environment=OuterRef("environment__slug"),
        day__gte=(until - timedelta(days=TRAFFIC_DAYS)).date(),
        day__lte=until.date(),
    )
    return rows.order_by().values("project_id").annotate(total=Sum("calls")).values("total")


def _last_undo() -> QuerySet[Rollback, dict[str, object]]:
    """How long the prompt's newest rollback that was measured took until every process served it."""
    took = ExpressionWrapper(F("everywhere_at") - F("asked_at"), output_field=DurationField())
    rows = Rollback.objects.filter(prompt=OuterRef("prompt"), everywhere_at__isnull=False)
    return rows.annotate(took=took).order_by("-asked_at").values("took")[:1]


def undo_seconds(promotion: Promotion) -> float | None:
    """Seconds that the prompt's last rollback or rehearsal took; None when none was measured."""
    took: timedelta | None = getattr(promotion, "undo_time", None)
    return None if took is None else took.total_seconds()


@dataclass(frozen=True, slots=True)
class CheckView:
    """One gate of a promotion with its report, or with how far its run is."""

    check: PromotionCheck
    report: ReportView | None

    @property
    def state(self) -> CheckState:
        """What the gate said so far."""
        return CheckState(self.check.state)

    @property
    def run(self) -> EvalRun | None:
        """The run that it is judged by."""
        return self.check.run if self.report is None else self.report.report.run

    @property
    def ended(self) -> int:
        """Results of the run that are there, failed ones too."""
        return 0 if self.run is None else self.run.done + self.run.failed

    @property
    def share(self) -> float:
        """How far the run is, 0..1."""
        return self.ended / self.run.total if self.run is not None and self.run.total else 0.0


def list_checks(promotion: Promotion) -> list[CheckView]:
    """The promotion's gates in the order of their names, with their reports. One query."""
    rows = PromotionCheck.objects.filter(promotion=promotion).select_related(
        "gate__eval_set", "run", "report__gate__eval_set", "report__run", "report__baseline"
    )
    rows = rows.defer(
        "run__content", "run__summary", "run__estimate", *(f"report__{name}" for name in HEAVY_OF_RUNS)
    ).order_by("gate__name", "pk")
    return [CheckView(check, None if check.report is None else view_of(check.report)) for check in rows]


@dataclass(frozen=True, slots=True)
class TrailLine:
    """Something that happened to a promotion. `what` is event, comment or decision; `kind` tells more."""

    what: str
    kind: str
    at: datetime
    by: str
    text: str
    person_id: int | None
    is_key: bool


def trail_of(promotion: Promotion) -> list[TrailLine]:
    """The promotion's history, comments and decisions, oldest first. One query."""
    events = _trail(PromotionEvent.objects.filter(promotion=promotion), "event", "kind", "at", "sentence")
    comments = _trail(PromotionComment.objects.filter(promotion=promotion), "comment", "", "written_at", "text")
    decisions = _trail(Decision.objects.filter(promotion=promotion), "decision", "kind", "decided_at", "reason")
    lines = [TrailLine(*row) for row in events.union(comments, decisions, all=True)]
    return sorted(lines, key=lambda line: (line.at, line.what != "event"))


def _trail(rows: QuerySet[Any], what: str, kind: str, at: str, text: str) -> QuerySet[Any, tuple[Any, ...]]:
    is_decision, has_kind = what == "decision", what != "event"
    found: QuerySet[Any, tuple[Any, ...]] = (
        rows.order_by()
        .annotate(
            _what=Value(what, output_field=CharField()),
            _kind=ExpressionWrapper(F(kind), CharField()) if kind else Value("", output_field=CharField()),
            _at=F(at),
            _by=F("actor_name"),
            _text=ExpressionWrapper(F(text), TextField()),
            _person=F("person_id") if is_decision else Cast(Value(None), BigIntegerField()),
            _is_key=ExpressionWrapper(Q(actor_kind="key"), BooleanField()) if has_kind else Value(False),
        )
        .values_list("_what", "_kind", "_at", "_by", "_text", "_person", "_is_key")
    )
    return found


def calls_a_day(promotion: Promotion) -> int | None:
    """Calls of the prompt in the environment a day, over the last seven days; None when there were none."""
    calls: int | None = getattr(promotion, "lately_called", None)
    return round(calls / TRAFFIC_DAYS) if calls else None


def standing_in(membership: Membership, trail: Sequence[TrailLine]) -> deciding.Standing:
    """The member before the promotion with this history. No query."""
    return deciding.Standing(
        person=membership.user_id,
        role=membership.role,
        is_active=True,
        has_decided=any(line.what == "decision" and line.person_id == membership.user_id for line in trail),
    )


# --- Lists --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromotionFilter:
    """Which promotions; empty fields do not filter."""

    prompt: str = ""
    environment: str = ""
    state: str = ""

    @property
    def is_empty(self) -> bool:
        """True when it finds everything."""
        return not (self.prompt or self.environment or self.state)


@dataclass(frozen=True, slots=True)
class PromotionLine:
    """A promotion as lists show it. `is_mine`: the person who looks may decide on it."""

    promotion: Promotion
    gates: int
    passed: int
    approvals: int
    is_mine: bool = False
    checks: tuple[CheckView, ...] = ()

    @property
    def state(self) -> PromotionState:
        """Where it stands."""
        return PromotionState(self.promotion.state)

    @property
    def needed(self) -> int:
        """How many people have to approve."""
        return approvals_needed(self.promotion)

    @property
    def is_live_now(self) -> bool:
        """True while what it made live is still what the environment answers."""
        deployment = self.promotion.deployment
        return deployment is not None and deployment.ended_at is None


def list_promotions(
    project: Project,
    where: PromotionFilter = PromotionFilter(),
    *,
    before: int | None = None,
    limit: int = PAGE_SIZE,
) -> list[PromotionLine]:
    """The project's promotions, newest first; with `before`, those with a lower number. One query."""
    rows = _lines(_matching(project, where))
    if before is not None:
        rows = rows.filter(number__lt=before)
    return [_line(row) for row in rows.order_by("-number")[:limit]]


def list_open(project: Project, where: PromotionFilter, membership: Membership) -> list[PromotionLine]:
    """What can still become live, newest first, with how far the runs are of what is being checked. Two queries."""
    mine = _decidable(membership.user_id, membership.role)
    rows = _lines(_matching(project, where).filter(state__in=sorted(OPEN)))
    found = list(rows.annotate(is_mine=ExpressionWrapper(mine, BooleanField())).order_by("-number")[:OPEN_SHOWN])
    checking = [row for row in found if row.state == PromotionState.CHECKING.value]
    checks = _checks_by_promotion(checking) if checking else {}
    return [_line(row, checks.get(row.pk, ())) for row in found]


def list_ended(
    project: Project, where: PromotionFilter, *, before: int | None = None, limit: int = PAGE_SIZE
) -> tuple[list[PromotionLine], int | None]:
    """What was decided or is void, newest first, and the number to go on from. One query."""
    rows = _lines(_matching(project, where).exclude(state__in=sorted(OPEN)))
    if before is not None:
        rows = rows.filter(number__lt=before)
    found = [_line(row) for row in rows.order_by("-number")[: limit + 1]]
    return found[:limit], found[limit - 1].promotion.number if len(found) > limit else None


def promotions_of(prompt: Prompt) -> list[PromotionLine]:
    """The prompt's open promotions, then its last ones."""
    found = [_line(row) for row in _lines(Promotion.objects.filter(prompt=prompt)).order_by("-number")[:PAGE_SIZE]]
    opens = [line for line in found if line.state.is_open]
    return opens + [line for line in found if not line.state.is_open][:SHOWN_OF_A_PROMPT]


def list_choices(project: Project) -> tuple[list[str], list[str]]:
    """The prompts and the environments that promotions are of, in their order. One query."""
    rows = Promotion.objects.filter(project=project).order_by().values_list("prompt__name", "environment__slug")
    pairs = list(rows.distinct())
    return sorted({name for name, _ in pairs}), sorted({slug for _, slug in pairs})


def waiting_for(project_id: int, person_id: int) -> QuerySet[Promotion]:
    """The promotions of the project that wait for this person's decision."""
    roles = Membership.objects.filter(project_id=project_id, user_id=person_id)
    role = Subquery(roles.values("role")[:1])
    rows = Promotion.objects.filter(project_id=project_id, state=PromotionState.WAITING.value).annotate(_role=role)
    return rows.filter(
        _undecided_by(person_id),
        Q(_role=Role.ADMIN.value) | Q(_role=Role.REVIEWER.value) & ~Q(kind=PromotionKind.OVERRIDE.value),
    )


def _decidable(person_id: int, role: str) -> Q:
    """What the person may decide on, as `deciding.why_not` says it of one."""
    mine = Q(state=PromotionState.WAITING.value) & _undecided_by(person_id)
    if role not in deciding.DECIDERS:
        return Q(pk__in=[])
    return mine if role == Role.ADMIN.value else mine & ~Q(kind=PromotionKind.OVERRIDE.value)


def _undecided_by(person_id: int) -> Q:
    """Neither written, nor asked for, nor decided on by the person."""
    written = Q(version__author_id=person_id) & Q(version__author_id__isnull=False)
    asked = Q(requester_id=person_id) & Q(requester_id__isnull=False)
    decided = Exists(Decision.objects.filter(promotion=OuterRef("pk"), person_id=person_id))
    return ~written & ~asked & ~Q(decided)


def _matching(project: Project, where: PromotionFilter) -> QuerySet[Promotion]:
    rows = Promotion.objects.filter(project=project)
    if where.prompt:
        rows = rows.filter(prompt__name=where.prompt)
    if where.environment:
        rows = rows.filter(environment__slug=where.environment)
    return rows.filter(state=where.state) if where.state else rows


def _lines(rows: QuerySet[Promotion]) -> QuerySet[Promotion]:
    checks = PromotionCheck.objects.filter(promotion=OuterRef("pk")).order_by().values("promotion")
    passed = checks.filter(state=CheckState.PASSED.value)
    approved = Decision.objects.filter(promotion=OuterRef("pk"), kind=DecisionKind.APPROVED.value)
    return (
        rows.select_related(*LISTED)
        .defer(*HEAVY)
        .annotate(
            gate_count=Subquery(checks.annotate(n=Count("pk")).values("n")),
            passed_count=Subquery(passed.annotate(n=Count("pk")).values("n")),
            approval_count=Subquery(approved.order_by().values("promotion").annotate(n=Count("pk")).values("n")),
        )
    )


def _line(row: Promotion, checks: tuple[CheckView, ...] = ()) -> PromotionLine:
    return PromotionLine(
        promotion=row,
        gates=getattr(row, "gate_count", 0) or 0,
        passed=getattr(row, "passed_count", 0) or 0,
        approvals=getattr(row, "approval_count", 0) or 0,
        is_mine=getattr(row, "is_mine", False),
        checks=checks,
    )


def _checks_by_promotion(found: Iterable[Promotion]) -> dict[int, tuple[CheckView, ...]]:
    rows = PromotionCheck.objects.filter(promotion__in=list(found)).select_related("gate", "run")
    by_promotion: dict[int, tuple[CheckView, ...]] = {}
    for check in rows.defer("run__content", "run__summary", "run__estimate").order_by("gate__name", "pk"):
        kept = by_promotion.get(check.promotion_id, ())
        by_promotion[check.promotion_id] = (*kept, CheckView(check, None))
    return by_promotion

"""Watches: which have to be looked at, and what one says."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.promotions.guardrail_judging import Report, Side, Taken
from apps.promotions.guardrails import USUAL, BadGuardrails, GuardrailConfig, read_config
from apps.promotions.models import ReleaseRule, Watch
from apps.promotions.types import WatchState
from apps.prompts.models import Deployment

FIRST_PAUSE = timedelta(seconds=30)
"""A watch is looked at after this time at the earliest, later less often: after a hundredth of its age."""

LONGEST_PAUSE = timedelta(minutes=5)
PAGE_SIZE = 50
MOST_DUE = 200


def _watches() -> QuerySet[Watch]:
    return Watch.objects.select_related(
        "project",
        "promotion",
        "rollback",
        "deployment__version__prompt",
        "deployment__prompt",
        "deployment__environment",
        "before__version__prompt",
        "before__prompt",
        "before__environment",
    )


def pause_at(watch: Watch, now: datetime) -> timedelta:
    """How long to wait between two looks."""
    return min(max(FIRST_PAUSE, (now - watch.started_at) / 100), LONGEST_PAUSE)


def list_due(now: datetime) -> list[Watch]:
    """The watches to look at now, those that waited longest first."""
    open_ones = _watches().filter(state=WatchState.WATCHING.value)
    waiting = open_ones.filter(Q(looked_at=None) | Q(looked_at__lte=now - FIRST_PAUSE)).order_by("looked_at")
    return [one for one in waiting[:MOST_DUE] if is_due(one, now)]


def is_due(watch: Watch, now: datetime) -> bool:
    """Whether it is time for the next look."""
    return watch.looked_at is None or now >= watch.until or now - watch.looked_at >= pause_at(watch, now)


def list_to_roll_back() -> list[Watch]:
    """Breached watches whose rule rolls back, whose deployment is still live, and that have no rollback yet; without
    those before which nothing was live, as there is nothing to go back to."""
    rows = _watches().filter(state=WatchState.BREACHED.value, rolls_back=True, rollback=None, deployment__ended_at=None)
    return list(rows.filter(before__isnull=False).order_by("pk")[:MOST_DUE])


def get_watch(project: Project, uuid: UUID) -> Watch:
    """The project's watch of this id. Raises NotFound."""
    found = _watches().filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such watch in this project.")
    return found


def watch_of(project: Project, number: int) -> Watch | None:
    """The watch of the promotion of this number; None while it has none."""
    return _watches().filter(project=project, promotion__number=number).order_by("-pk").first()


def list_watches(project: Project, *, state: str = "", prompt: str = "", limit: int = PAGE_SIZE) -> list[Watch]:
    """The newest watches of the project, those that still watch first."""
    rows = _watches().filter(project=project)
    if state:
        rows = rows.filter(state=state)
    if prompt:
        rows = rows.filter(deployment__prompt__name=prompt)
    watching = Q(state=WatchState.WATCHING.value)
    return list(rows.alias(is_open=watching).order_by("-is_open", "-started_at", "-pk")[:limit])


def deployment_before(deployment: Deployment) -> Deployment | None:
    """What was live there until this one went live."""
    rows = Deployment.objects.filter(prompt_id=deployment.prompt_id, environment_id=deployment.environment_id)
    earlier = rows.exclude(pk=deployment.pk).filter(ended_at__isnull=False, ended_at__lte=deployment.started_at)
    return earlier.order_by("-ended_at", "-pk").first()


def guardrails_of(rule: ReleaseRule | None) -> GuardrailConfig:
    """What the rule asks to be watched; the usual where it says nothing."""
    return USUAL if rule is None or not rule.guardrails else config_from(rule.guardrails)


def config_from(data: dict[str, object]) -> GuardrailConfig:
    """Guardrails as they were kept; the usual in place of some that this version of the product cannot read."""
    try:
        return read_config(data)  # type: ignore[arg-type]
    except BadGuardrails:
        return USUAL


def report_of(watch: Watch) -> Report | None:
    """What the newest look said; None before the first."""
    return Report.from_dict(watch.figures["report"]) if watch.figures.get("report") else None


def taken_by(watch: Watch) -> Taken:
    """Which looks have decided so far."""
    report = report_of(watch)
    return Taken() if report is None else report.taken


def kept_before(watch: Watch) -> Side | None:
    """The side before, if it was measured; it is measured once."""
    return Side.from_dict(watch.figures["before"]) if watch.figures.get("before") else None

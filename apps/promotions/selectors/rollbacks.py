"""What there is to go back to, rollbacks as they were, and rehearsals. The project or the prompt comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet, Subquery, Sum

from apps.core.errors import Invalid, NotFound
from apps.projects.models import Environment, Project
from apps.promotions.models import Drill, Experiment, Rollback, Watch
from apps.promotions.rollback_words import ALIVE_WITHIN, MEASURED_FOR, Ack, Watched, ack_from_dict
from apps.promotions.types import DrillState, ExperimentState, MeasureState, WatchState
from apps.prompts.models import Deployment, LiveProcess, LiveSeen, Prompt
from apps.telemetry.models import CostDaySlice

MOST_HISTORY = 500
PAGE_SIZE = 50
TRAFFIC_DAYS = 7


# --- What there is to go back to


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate that was live there: its newest deployment, and what speaks against it (empty: nothing)."""

    deployment: Deployment
    trouble: str

    @property
    def candidate(self) -> str:
        """The version, and the model where it is not the version's own."""
        return candidate_of(self.deployment)


def candidate_of(deployment: Deployment) -> str:
    """The version, and the model where it is not the version's own."""
    return f"{deployment.version.number}{f' on {deployment.model}' if deployment.model else ''}"


def live_in(prompt: Prompt, environment: Environment) -> Deployment | None:
    """What of the prompt is live there."""
    rows = Deployment.objects.select_related("version", "environment", "prompt")
    return rows.filter(prompt=prompt, environment=environment, ended_at=None).first()


def choices(prompt: Prompt, environment: Environment) -> list[Choice]:
    """Every other candidate that was live there, the newest first. One query."""
    found, seen = [], set()
    for row in _history(prompt, environment):
        key = (row.version_id, row.model)
        if row.ended_at is not None and key not in seen:
            found.append(Choice(row, _trouble(row)))
        seen.add(key)
    return found


def _history(prompt: Prompt, environment: Environment) -> QuerySet[Deployment]:
    """What is and was live there, what is live first; each with whether something speaks against it."""
    away = Rollback.objects.filter(bad=OuterRef("pk"), is_drill=False)
    breach = Watch.objects.filter(deployment=OuterRef("pk"), state=WatchState.BREACHED.value)
    return (
        Deployment.objects.filter(prompt=prompt, environment=environment)
        .select_related("version", "environment", "prompt")
        .annotate(was_rolled_back=Exists(away), breach=Subquery(breach.values("breach")[:1]))
        .order_by(F("ended_at").desc(nulls_first=True), "-started_at", "-pk")[:MOST_HISTORY]
    )


def _trouble(row: Deployment) -> str:
    told = row.__dict__
    if told["breach"] is not None:
        return str(told["breach"]) or "It broke a guardrail."
    return "It was rolled back." if told["was_rolled_back"] else ""


def last_healthy(prompt: Prompt, environment: Environment) -> Deployment | None:
    """The newest earlier deployment of another candidate there that nothing speaks against; None when there is none.

    What somebody rolled back from, and what broke a guardrail of its watch, is not gone back to by itself.
    """
    return next((choice.deployment for choice in choices(prompt, environment) if not choice.trouble), None)


def was_live(prompt: Prompt, environment: Environment, deployment: Deployment) -> bool:
    """Whether it is a deployment of this prompt there."""
    return Deployment.objects.filter(pk=deployment.pk, prompt=prompt, environment=environment).exists()


def find_deployment(prompt: Prompt, environment: Environment, wanted: str) -> Deployment | None:
    """The newest deployment there of a version, as `1.2.0`, or the one with this id."""
    for row in _history(prompt, environment):
        if wanted in (str(row.uuid), str(row.version.number)):
            return row
    return None


def calls_a_day(prompt: Prompt, environment: Environment, now: datetime) -> int | None:
    """Calls of the prompt there a day, over the last seven days; None when there were none. One query."""
    rows = CostDaySlice.objects.filter(
        Q(value=prompt.name) | Q(value__startswith=f"{prompt.name}@"),
        project_id=prompt.project_id,
        dimension="prompt_version",
        environment=environment.slug,
        day__gte=(now - timedelta(days=TRAFFIC_DAYS)).date(),
        day__lte=now.date(),
    )
    calls = rows.aggregate(calls=Sum("calls"))["calls"]
    return round(calls / TRAFFIC_DAYS) if calls else None


def running_experiment(prompt: Prompt, environment: Environment) -> Experiment | None:
    """The experiment that splits the traffic of the prompt there."""
    rows = Experiment.objects.filter(prompt=prompt, environment=environment, state=ExperimentState.RUNNING.value)
    return rows.first()


# --- Rollbacks


class RollbackPage(NamedTuple):
    """Some rollbacks, newest first. `next` is the cursor to go on with, None at the end."""

    items: list[Rollback]
    next: str | None


def _rollbacks() -> QuerySet[Rollback]:
    return Rollback.objects.select_related(
        "project", "prompt", "environment", "bad__version", "restored__version", "restored__environment"
    ).order_by("-asked_at", "-pk")


def get_rollback(project: Project, uuid: UUID) -> Rollback:
    """One rollback. Raises NotFound."""
    found = _rollbacks().filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such rollback in this project.")
    return found


def rollback_to(deployment: Deployment) -> Rollback | None:
    """The rollback that made this live."""
    return _rollbacks().filter(restored=deployment).first()


def list_rollbacks(
    project: Project, *, prompt: str = "", environment: str = "", cursor: UUID | None = None, limit: int = PAGE_SIZE
) -> RollbackPage:
    """The project's rollbacks but for rehearsals, newest first. Raises Invalid for a cursor that is none of them."""
    rows = _rollbacks().filter(project=project, is_drill=False)
    if prompt:
        rows = rows.filter(prompt__name=prompt)
    if environment:
        rows = rows.filter(environment__slug=environment)
    if cursor is not None:
        last = rows.filter(uuid=cursor).first()
        if last is None:
            raise Invalid(cursor=["Use the cursor of the page before."])
        rows = rows.filter(Q(asked_at__lt=last.asked_at) | Q(asked_at=last.asked_at, pk__lt=last.pk))
    found = list(rows[: limit + 1])
    shown = found[:limit]
    return RollbackPage(shown, str(shown[-1].uuid) if len(found) > limit else None)


def measuring(*, limit: int = 100) -> list[Rollback]:
    """Rollbacks whose stopwatch runs, the oldest first."""
    return list(_rollbacks().filter(state=MeasureState.MEASURING.value).order_by("asked_at")[:limit])


def watched(rollback: Rollback) -> Watched:
    """The moments of the rollback as they are known."""
    return Watched(
        asked_at=rollback.asked_at,
        committed_at=rollback.committed_at,
        acks=tuple(ack_from_dict(one) for one in rollback.processes),
        everywhere_at=rollback.everywhere_at,
        first_call_at=rollback.first_call_at,
        last_bad_call_at=rollback.last_bad_call_at,
        bad_calls_after=rollback.bad_calls_after,
        bad="" if rollback.bad is None else candidate_of(rollback.bad),
        restored=candidate_of(rollback.restored),
        is_measuring=rollback.state == MeasureState.MEASURING.value,
    )


# --- What the stopwatch reads


def acknowledgements(rollback: Rollback, *, now: datetime) -> tuple[Ack, ...]:
    """The processes that were alive and served the project's state from before the rollback, and since when each of
    them serves it. One query."""
    seen = LiveSeen.objects.filter(process=OuterRef("pk"), project=rollback.project_id)
    has_it = seen.filter(number__gte=rollback.mark).order_by().values("process").annotate(first=Min("at"))
    rows = (
        LiveProcess.objects.filter(
            Exists(seen.filter(number__lt=rollback.mark)), seen_at__gte=rollback.asked_at - ALIVE_WITHIN
        )
        .annotate(has_it_at=Subquery(has_it.values("first")))
        .values_list("uuid", "name", "seen_at", "has_it_at")
    )
    return tuple(
        Ack(str(uuid), name, at, is_lost=at is None and seen_at < now - ALIVE_WITHIN)
        for uuid, name, seen_at, at in rows
    )


class Calls(NamedTuple):
    """Calls that began after the click: the first with what was restored, the last with what was bad, and how many."""

    first_restored: datetime | None
    last_bad: datetime | None
    bad: int


# `counted` leaves out spans that only repeat the usage of calls that have spans of their own.
CALLS = """
SELECT min(started_at) FILTER (WHERE is_restored), max(started_at) FILTER (WHERE is_bad), count(*) FILTER (WHERE is_bad)
FROM (
  SELECT started_at,
    prompt_version = %(restored)s AND (%(restored_models)s::text[] IS NULL OR model = ANY (%(restored_models)s)
      OR request_model = ANY (%(restored_models)s)) AS is_restored,
    prompt_version = %(bad)s AND (%(bad_models)s::text[] IS NULL OR model = ANY (%(bad_models)s)
      OR request_model = ANY (%(bad_models)s)) AS is_bad
  FROM telemetry_span
  WHERE project_id = %(project)s AND started_at > %(since)s AND started_at < %(until)s
    AND environment = %(environment)s AND prompt_name = ANY (%(names)s) AND counted
) AS calls
"""


def calls_since(rollback: Rollback) -> Calls:
    """What telemetry says so far. Calls are told apart by their version; by their model, too, when the version is the
    same. One query."""
    bad, restored, prompt = rollback.bad, rollback.restored, rollback.prompt
    is_same_version = bad is not None and bad.version_id == restored.version_id
    with connection.cursor() as cursor:
        cursor.execute(
            CALLS,
            {
                "project": rollback.project_id,
                "since": rollback.asked_at,
                "until": rollback.asked_at + MEASURED_FOR,
                "environment": rollback.environment.slug,
                "names": [prompt.name, *prompt.former_names],
                "restored": str(restored.version.number),
                "bad": "" if bad is None else str(bad.version.number),
                "restored_models": _models(restored) if is_same_version else None,
                "bad_models": _models(bad) if bad is not None and is_same_version else None,
            },
        )
        first, last, count = cursor.fetchone()
    return Calls(first, last if bad is not None else None, count if bad is not None else 0)


def _models(deployment: Deployment) -> list[str]:
    """The model that answers, as callers may write it: with and without the provider before it."""
    name = deployment.model or str(deployment.version.content.get("model") or "")
    return sorted({name, name.partition("/")[2] or name})


# --- Drills


def _drills() -> QuerySet[Drill]:
    return Drill.objects.select_related(
        "project", "prompt__project", "environment", "kept__version", "rollback__bad__version",
        "rollback__restored__version", "rollback__prompt", "rollback__environment",
    ).order_by("-started_at", "-pk")  # fmt: skip


class DrillPage(NamedTuple):
    """Some drills, newest first. `next` is the cursor to go on with, None at the end."""

    items: list[Drill]
    next: str | None


def get_drill(project: Project, uuid: UUID) -> Drill:
    """One drill. Raises NotFound."""
    found = _drills().filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such drill in this project.")
    return found


def list_drills(project: Project, *, prompt: str = "", cursor: UUID | None = None, limit: int = PAGE_SIZE) -> DrillPage:
    """The project's drills, newest first. Raises Invalid for a cursor that is none of them."""
    rows = _drills().filter(project=project)
    if prompt:
        rows = rows.filter(prompt__name=prompt)
    if cursor is not None:
        last = rows.filter(uuid=cursor).first()
        if last is None:
            raise Invalid(cursor=["Use the cursor of the page before."])
        rows = rows.filter(Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk))
    found = list(rows[: limit + 1])
    shown = found[:limit]
    return DrillPage(shown, str(shown[-1].uuid) if len(found) > limit else None)


def running_drills(*, limit: int = 100) -> list[Drill]:
    """Drills that are not over, the oldest first."""
    return list(_drills().filter(state=DrillState.RUNNING.value).order_by("started_at")[:limit])


def latest_drill(prompt: Prompt) -> Drill | None:
    """The newest drill of the prompt that is over: the evidence that a rollback was rehearsed."""
    return _drills().filter(prompt=prompt).exclude(state=DrillState.RUNNING.value).first()


def drill_places(project: Project) -> list[Deployment]:
    """What is live in environments that are not protected: where a drill can be held."""
    rows = Deployment.objects.select_related("prompt", "environment", "version").filter(
        project_id=project.pk, ended_at=None, environment__is_protected=False, prompt__archived_at=None
    )
    return list(rows.exclude(environment__slug="production").order_by("prompt__name", "environment__position")[:500])


def names_of(found: Iterable[Deployment]) -> list[str]:
    """`support/answer in staging` for each."""
    return [f"{one.prompt.name} in {one.environment.slug}" for one in found]

"""Making online evals, changing them, and trying again what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.evals.models import OnlineEval, OnlineItem, OnlineScorer
from apps.evals.online import DROPPED, FILTERS
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors.scorers import resolve_choices
from apps.evals.types import ScorerChoice
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

MOST_EVALS = 50
MOST_SCORERS = 10
MOST_A_DAY = 100_000
RETRIED_DAYS = 30


class SameOnlineName(Conflict):
    """The project has an online eval of that name."""

    code, message = "same_name", "There is an online eval named {name}. Choose another name."


class TooManyOnline(Conflict):
    """More of them than anybody can oversee."""

    code, message = "too_many_online_evals", "A project has at most {most} online evals. Remove one first."


@dataclass(frozen=True, slots=True)
class OnlineSpec:
    """What an online eval does. `percent` of the traces that the filters find, at most so many calls a day."""

    name: str
    scorers: tuple[ScorerChoice, ...]
    filters: Mapping[str, str]
    percent: Decimal
    most_a_day: int = 500
    budget_usd_a_day: Decimal | None = None


@transaction.atomic
def create_online_eval(*, project: Project, spec: OnlineSpec, actor: Actor, now: datetime) -> OnlineEval:
    """Score from now on what arrives. Raises Invalid, SameOnlineName, TooManyOnline."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if OnlineEval.objects.filter(project=project).count() >= MOST_EVALS:
        raise TooManyOnline(most=MOST_EVALS)
    values = _values(spec)
    _require_unused(project, str(values["name"]), None)
    made = OnlineEval.objects.create(
        project=project, **values, seen_until=now, created_at=now, created_by=actor.name[:254], changed_at=now
    )
    _set_scorers(made, spec.scorers)
    _record(made, "evals.online_created", actor, now)
    return made


@transaction.atomic
def change_online_eval(*, online: OnlineEval, spec: OnlineSpec, actor: Actor, now: datetime) -> OnlineEval:
    """Do this from now on. Scores that were made stay. Raises Invalid and SameOnlineName."""
    online = locked(online)
    values = _values(spec)
    _require_unused(online.project, str(values["name"]), online)
    for name, value in values.items():
        setattr(online, name, value)
    online.changed_at = now
    online.save(update_fields=[*values, "changed_at"])
    _set_scorers(online, spec.scorers)
    _record(online, "evals.online_changed", actor, now)
    return online


@transaction.atomic
def pause(*, online: OnlineEval, is_on: bool, actor: Actor, now: datetime) -> OnlineEval:
    """Stop scoring, or go on with what arrives from now on."""
    online = locked(online)
    if online.is_on != is_on:
        online.is_on, online.changed_at = is_on, now
        if is_on:
            online.seen_until = now
        online.save(update_fields=["is_on", "seen_until", "changed_at"])
        _record(online, "evals.online_resumed" if is_on else "evals.online_paused", actor, now)
    return online


@transaction.atomic
def delete_online_eval(*, online: OnlineEval, actor: Actor, now: datetime) -> None:
    """Forget the online eval and its account. Scores in telemetry stay."""
    online = locked(online)
    _record(online, "evals.online_deleted", actor, now)
    online.delete()


@transaction.atomic
def retry_failed(*, online: OnlineEval, actor: Actor, now: datetime) -> int:
    """Let what failed, or could not be paid, wait again; how many those are."""
    online = locked(online)
    since = (now - timedelta(days=RETRIED_DAYS)).date()
    rows = OnlineItem.objects.filter(online_eval=online, day__gte=since)
    unpaid = rows.filter(state="not_scored", reason__in=("over_budget", "no_price"))
    again = {"state": "waiting", "tries": 0, "reason": "", "sentence": "", "ended_at": None}
    count = rows.filter(state="failed").update(**again) + unpaid.update(**again)
    if count:
        details: dict[str, audit.Detail] = {"items": count}
        audit.record(
            actor=actor,
            action="evals.online_retried",
            project=online.project,
            target=online,
            at=now,
            details=details,
        )
    return count


def locked(online: OnlineEval) -> OnlineEval:
    """The row as it is now, locked until the transaction ends."""
    rows = OnlineEval.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    return rows.get(pk=online.pk)


def _record(online: OnlineEval, action: str, actor: Actor, now: datetime) -> None:
    budget = online.budget_usd_a_day
    details: dict[str, audit.Detail] = {
        "percent": f"{Decimal(online.percent).normalize():f}",
        "most_a_day": online.most_a_day,
        "budget_usd_a_day": None if budget is None else f"{budget.normalize():f}",
        "filters": [f"{name}={value}" for name, value in sorted(online.filters.items())],
    }
    audit.record(actor=actor, action=action, project=online.project, target=online, at=now, details=details)


def _values(spec: OnlineSpec) -> dict[str, object]:
    problems: dict[str, list[str]] = {}
    name = " ".join(spec.name.split())
    if not name or len(name) > 200 or not name.isprintable():
        problems["name"] = ["A name has 1 to 200 characters."]
    unknown = sorted(set(spec.filters) - set(FILTERS))
    if unknown:
        problems["filters"] = [f"Unknown: {', '.join(unknown)}. Known are: {', '.join(FILTERS)}."]
    elif any(len(value) > 300 or "\x00" in value for value in spec.filters.values()):
        problems["filters"] = ["At most 300 characters each."]
    if not 0 < spec.percent <= 100:
        problems["percent"] = ["More than 0 and at most 100."]
    if not 1 <= spec.most_a_day <= MOST_A_DAY:
        problems["most_a_day"] = [f"From 1 to {MOST_A_DAY:,}."]
    if spec.budget_usd_a_day is not None and spec.budget_usd_a_day < 0:
        problems["budget_usd_a_day"] = ["Dollars, not below 0."]
    if problems:
        raise Invalid(None, **problems)
    return {
        "name": name,
        "filters": {key: value.strip() for key, value in spec.filters.items() if value.strip()},
        "percent": spec.percent.quantize(Decimal("0.001")) or Decimal("0.001"),
        "most_a_day": spec.most_a_day,
        "budget_usd_a_day": spec.budget_usd_a_day,
    }


def _require_unused(project: Project, name: str, own: OnlineEval | None) -> None:
    others = OnlineEval.objects.filter(project=project, name=name)
    if own is not None:
        others = others.exclude(pk=own.pk)
    if others.exists():
        raise SameOnlineName(name=name)


def _set_scorers(online: OnlineEval, choices: Sequence[ScorerChoice]) -> None:
    """The scorers, pinned. One that is dropped keeps its row while items tell of it: it is then at no place."""
    if not 1 <= len(choices) <= MOST_SCORERS:
        raise Invalid(scorers=[f"Choose 1 to {MOST_SCORERS} scorers."])
    versions = [version for version, _mark in resolve_choices(online.project, choices)]
    for version in versions:
        kind = KINDS[version.scorer.kind]
        if {"expected", "other_output"} & set(kind.needs):
            raise Invalid(
                scorers=[f"{version.scorer.slug} needs an expected output, which production calls do not have."]
            )
    held = {one.version_id: one for one in OnlineScorer.objects.filter(online_eval=online)}
    for place, version in enumerate(versions):
        kept = held.pop(version.pk, None)
        if kept is None:
            OnlineScorer.objects.create(project=online.project, online_eval=online, version=version, position=place)
        elif kept.position != place:
            OnlineScorer.objects.filter(pk=kept.pk).update(position=place)
    for gone in held.values():
        OnlineItem.objects.filter(scorer=gone, state="waiting").delete()
        OnlineScorer.objects.filter(pk=gone.pk).update(position=DROPPED)

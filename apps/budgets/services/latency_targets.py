"""Setting latency targets. Each change is in the audit trail; evidence that was measured for the old goals is void."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.budgets.latency_goals import FIELDS, LONGEST_MS, goals_from
from apps.budgets.models import LatencyIncident, LatencyTarget
from apps.budgets.models.latency import MOST_WINDOW_DAYS
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.types import Actor


class TargetExists(Conflict):
    """A feature has one target in an environment."""

    code = "latency_target_exists"
    message = "{feature} has a latency target in {environment} already. Change that one."


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A target as it shall be. `goals` holds milliseconds under the names of `latency_goals.FIELDS`."""

    feature: str
    environment: str
    goals: Mapping[str, int | None]
    window_days: int = 28


@transaction.atomic
def create_target(*, project: Project, target: NewTarget, actor: Actor, now: datetime) -> LatencyTarget:
    """Promise something new. Raises Invalid or TargetExists."""
    _require_good(project, target)
    made = LatencyTarget(
        project=project,
        feature=target.feature.strip(),
        environment=target.environment,
        window_days=target.window_days,
        created_at=now,
        changed_at=now,
        created_by=actor.name[:254],
        **{name: target.goals.get(name) for name in FIELDS},
    )
    LatencyTarget.objects.bulk_create([made], ignore_conflicts=True)
    found = LatencyTarget.objects.filter(uuid=made.uuid).first()
    if found is None:
        raise TargetExists(feature=made.feature, environment=made.environment)
    _record(found, "budgets.latency_target_set", actor, now)
    return found


@transaction.atomic
def change_target(
    *, target: LatencyTarget, goals: Mapping[str, int | None], window_days: int, actor: Actor, now: datetime
) -> LatencyTarget:
    """Promise something else: what burned is over, and evidence for other goals counts no more. Raises Invalid."""
    current = LatencyTarget.objects.select_for_update(no_key=True).select_related("project").get(pk=target.pk)
    _require_good(current.project, NewTarget(current.feature, current.environment, goals, window_days))
    before = (current.goals, current.window_days)
    for name in FIELDS:
        setattr(current, name, goals.get(name))
    current.window_days, current.changed_at = window_days, now
    if (current.goals, current.window_days) == before:
        return current
    current.save()
    _end_incidents(current, now)
    _record(current, "budgets.latency_target_changed", actor, now)
    return current


@transaction.atomic
def remove_target(*, target: LatencyTarget, actor: Actor, now: datetime) -> None:
    """Promise nothing any more. What was measured is kept."""
    if LatencyTarget.objects.filter(pk=target.pk, removed_at=None).update(removed_at=now):
        _end_incidents(target, now)
        _record(target, "budgets.latency_target_removed", actor, now)


def _end_incidents(target: LatencyTarget, now: datetime) -> None:
    LatencyIncident.objects.filter(target=target, ended_at=None).update(ended_at=now)


def _require_good(project: Project, target: NewTarget) -> None:
    problems: dict[str, list[str]] = {}
    if not target.feature.strip() or len(target.feature) > 128 or not target.feature.isprintable():
        problems["feature"] = ["Name the feature, in at most 128 characters."]
    if not Environment.objects.filter(project=project, slug=target.environment).exists():
        problems["environment"] = [f"This project has no environment {target.environment}."]
    if not 1 <= target.window_days <= MOST_WINDOW_DAYS:
        problems["window_days"] = [f"Between 1 and {MOST_WINDOW_DAYS} days."]
    problems |= _faults_of_goals(target.goals)
    if problems:
        raise Invalid(" ".join(sentence for found in problems.values() for sentence in found), **problems)


def _faults_of_goals(values: Mapping[str, int | None]) -> dict[str, list[str]]:
    goals = {goal.key: goal.most_ms for goal in goals_from(values)}
    if not goals:
        return {FIELDS[0]: ["Set at least one target."]}
    faults = {
        f"{key}_ms": [f"Between 1 and {LONGEST_MS:,} ms."] for key, most in goals.items() if not 1 <= most <= LONGEST_MS
    }
    for measure in ("total", "ttft"):
        low, high = goals.get(f"{measure}_p50"), goals.get(f"{measure}_p99")
        if low is not None and high is not None and high < low:
            faults[f"{measure}_p99_ms"] = ["The P99 is never below the P50."]
    return faults


def _record(target: LatencyTarget, action: str, actor: Actor, now: datetime) -> None:
    details: dict[str, audit.Detail] = {
        "feature": target.feature,
        "environment": target.environment,
        "window_days": target.window_days,
        **{name: getattr(target, name) for name in FIELDS},
    }
    audit.record(actor=actor, action=action, project=target.project, target=target, at=now, details=details)

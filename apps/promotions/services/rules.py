"""Setting release rules. Doors let admins do it; each change is in the audit trail with what it was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.errors import Invalid
from apps.evals.models import Gate
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.types import Actor
from apps.promotions import guardrails
from apps.promotions.models import ReleaseRule
from apps.promotions.rules import MOST_APPROVALS, MOST_GATES, MOST_WATCH_HOURS, changes_of
from apps.promotions.selectors import rules as selectors
from apps.prompts.models import Prompt

MOST_FEATURE = 128


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule as it shall be: for one prompt, one feature, or (neither given) everything in an environment."""

    environment: Environment
    gates: Sequence[Gate]
    prompt: Prompt | None = None
    feature: str = ""
    approvals_needed: int = 1
    asks_on_merge: bool = False
    guardrails: Mapping[str, Any] = field(default_factory=dict)
    rolls_back: bool = False
    watch_hours: int = 24


@transaction.atomic
def set_rule(*, project: Project, rule: NewRule, actor: Actor, now: datetime) -> ReleaseRule:
    """Set the rule for the prompt, the feature or the environment, in place of the one that there is.

    Promotions that are open are checked by the new rule when somebody decides on them, so another list of gates or
    another number of approvals voids them. Raises Invalid, and what `guardrails.read_config` raises.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    _require_good(project, rule)
    guardrails = _read_guardrails(rule.guardrails)
    found = selectors.find_rule(project, rule.environment, prompt=rule.prompt, feature=rule.feature.strip())
    before = None if found is None else _told(found)
    made = found or ReleaseRule(
        project=project,
        environment=rule.environment,
        prompt=rule.prompt,
        feature=rule.feature.strip(),
        created_at=now,
        created_by=actor.name[:254],
    )
    if rule.asks_on_merge and not made.asks_on_merge:
        made.asks_since = now
    made.approvals_needed, made.asks_on_merge = rule.approvals_needed, rule.asks_on_merge
    made.guardrails, made.rolls_back, made.watch_hours = guardrails, rule.rolls_back, rule.watch_hours
    made.changed_at = now
    made.save()
    made.gates.set(rule.gates)
    changed = changes_of(before, _told(made))
    if changed:
        _record(made, "promotions.rule_changed", actor, now, changed)
    return made


@transaction.atomic
def remove_rule(*, rule: ReleaseRule, actor: Actor, now: datetime) -> None:
    """Take the rule away: a more general one counts then, and without one nothing gets into the environment."""
    Project.objects.select_for_update(no_key=True).get(pk=rule.project_id)
    found = ReleaseRule.objects.select_related(*selectors.RELATED).filter(pk=rule.pk).first()
    if found is None:
        return
    told = changes_of(None, _told(found))
    # The promotions that name it are locked by this, and the audit trail is the last lock that anybody takes.
    found.delete()
    _record(found, "promotions.rule_removed", actor, now, told)


def _require_good(project: Project, rule: NewRule) -> None:
    problems: dict[str, list[str]] = {}
    if rule.environment.project_id != project.pk:
        problems["environment"] = ["There is no such environment in this project."]
    elif not selectors.is_guarded(rule.environment):
        problems["environment"] = [f"{rule.environment.slug} is not protected, so nothing is asked for there."]
    if rule.prompt is not None and rule.prompt.project_id != project.pk:
        problems["prompt"] = ["There is no such prompt in this project."]
    if rule.prompt is not None and rule.feature.strip():
        problems["feature"] = ["A rule is for a prompt or for a feature."]
    if len(rule.feature) > MOST_FEATURE or not rule.feature.isprintable():
        problems["feature"] = [f"At most {MOST_FEATURE} characters."]
    if faults := _faults_of_gates(project, rule.gates):
        problems["gates"] = faults
    if not 1 <= rule.approvals_needed <= MOST_APPROVALS:
        problems["approvals_needed"] = [f"Between 1 and {MOST_APPROVALS} approvals."]
    if not 1 <= rule.watch_hours <= MOST_WATCH_HOURS:
        problems["watch_hours"] = [f"Between 1 and {MOST_WATCH_HOURS} hours."]
    if problems:
        raise Invalid(" ".join(sentence for found in problems.values() for sentence in found), **problems)


def _faults_of_gates(project: Project, gates: Sequence[Gate]) -> list[str]:
    if not gates:
        return ["Choose at least one gate: without one nothing would be shown."]
    if len({gate.pk for gate in gates}) > MOST_GATES:
        return [f"At most {MOST_GATES} gates."]
    if any(gate.project_id != project.pk for gate in gates):
        return ["There is no such gate in this project."]
    rows = Gate.objects.filter(pk__in=[gate.pk for gate in gates], archived_at__isnull=False)
    return [
        f"The gate {slug} is archived. Restore it, or choose another one."
        for slug in rows.values_list("slug", flat=True)
    ]


def _read_guardrails(given: Mapping[str, Any]) -> dict[str, Any]:
    """The guardrails, complete; empty stays empty, which is the usual ones."""
    if not given:
        return {}
    read: dict[str, Any] = guardrails.read_config(given).as_dict()
    return read


def _told(rule: ReleaseRule) -> dict[str, Any]:
    """The rule's settings, for comparing."""
    return {
        "gates": [gate.slug for gate in selectors.gates_of(rule)],
        "approvals_needed": rule.approvals_needed,
        "asks_on_merge": rule.asks_on_merge,
        "guardrails": rule.guardrails,
        "rolls_back": rule.rolls_back,
        "watch_hours": rule.watch_hours,
    }


def _record(rule: ReleaseRule, action: str, actor: Actor, now: datetime, changed: list[str]) -> None:
    details: dict[str, audit.Detail] = {
        "environment": rule.environment.slug,
        "scope": selectors.scope_of(rule),
        "changed": changed,
    }
    audit.record(actor=actor, action=action, project=rule.project, target=rule, at=now, details=details)

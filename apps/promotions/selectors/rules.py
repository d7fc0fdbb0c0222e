"""Reads of release rules. The most particular rule counts: the prompt's, else its feature's, else the environment's."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from apps.core.errors import NotFound
from apps.evals.models import Gate
from apps.evals.selectors.gates import config_of
from apps.projects.models import Environment, Project
from apps.promotions.models import ReleaseRule
from apps.promotions.rules import GateSaid, RuleSaid
from apps.prompts.models import Prompt

RELATED = ("project", "environment", "prompt")


def is_guarded(environment: Environment) -> bool:
    """True when a version gets there by a promotion only."""
    return environment.is_protected or environment.slug == "production"


def rule_for(prompt: Prompt, environment: Environment) -> ReleaseRule | None:
    """The rule that counts for the prompt there; None when nobody set one."""
    rows = ReleaseRule.objects.select_related(*RELATED).filter(project_id=prompt.project_id, environment=environment)
    fits = Q(prompt=prompt) | Q(prompt=None, feature="")
    if prompt.feature:
        fits |= Q(prompt=None, feature=prompt.feature)
    found = list(rows.filter(fits))
    return max(found, key=_particular, default=None)


def _particular(rule: ReleaseRule) -> int:
    if rule.prompt_id is not None:
        return 2
    return 1 if rule.feature else 0


def list_rules(project: Project) -> list[ReleaseRule]:
    """The project's rules with their gates, by environment; the most general first."""
    rows = ReleaseRule.objects.select_related(*RELATED).prefetch_related("gates", "gates__eval_set")
    found = list(rows.filter(project=project).order_by("environment__position", "environment__slug", "pk"))
    found.sort(
        key=lambda one: (
            one.environment.position,
            one.environment.slug,
            _particular(one),
            one.prompt.name if one.prompt else one.feature,
        )
    )
    return found


def get_rule(project: Project, uuid: UUID) -> ReleaseRule:
    """The project's rule of this id. Raises NotFound."""
    found = ReleaseRule.objects.select_related(*RELATED).filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such release rule in this project.")
    return found


def find_rule(project: Project, environment: Environment, *, prompt: Prompt | None, feature: str) -> ReleaseRule | None:
    """The rule for exactly this."""
    rows = ReleaseRule.objects.select_related(*RELATED).filter(project=project, environment=environment)
    return rows.filter(prompt=prompt, feature=feature).first()


def gates_of(rule: ReleaseRule) -> list[Gate]:
    """The rule's gates in the order of their names, archived ones too."""
    return sorted(rule.gates.select_related("eval_set", "project"), key=lambda gate: (gate.name, gate.slug))


def said_of(rule: ReleaseRule) -> RuleSaid:
    """The rule in words, as it is now."""
    return RuleSaid(
        scope=scope_of(rule),
        environment=rule.environment.slug,
        gates=tuple(
            GateSaid(
                uuid=str(gate.uuid),
                slug=gate.slug,
                name=gate.name,
                eval_set=gate.eval_set.slug,
                minimum_examples=config_of(gate).minimum_examples,
                conditions=gate.config_hash,
            )
            for gate in gates_of(rule)
        ),
        approvals_needed=rule.approvals_needed,
        asks_on_merge=rule.asks_on_merge,
        rolls_back=rule.rolls_back,
        watch_hours=rule.watch_hours,
    )


def scope_of(rule: ReleaseRule) -> str:
    """For what the rule is, in words."""
    if rule.prompt is not None:
        return f"the prompt {rule.prompt.name}"
    return f"the feature {rule.feature}" if rule.feature else "every prompt"


def hash_of(rule: ReleaseRule) -> str:
    """The hash of what of the rule decides, as it is now."""
    return said_of(rule).hash

"""Release rules as their page shows them: by environment, with the prompts that none applies to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.evals.models import Gate
from apps.evals.selectors.gates import config_of
from apps.projects.models import Environment, Project
from apps.projects.selectors import list_environments
from apps.promotions import guardrails
from apps.promotions.models import ReleaseRule
from apps.promotions.selectors import rules
from apps.prompts.models import Prompt


@dataclass(frozen=True, slots=True)
class GateShown:
    """A gate of a rule."""

    gate: Gate
    minimum_examples: int
    is_lowered: bool


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule with its gates and in words."""

    rule: ReleaseRule
    gates: tuple[GateShown, ...]
    watched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A protected environment with its rules, the most general first, and the prompts that none applies to."""

    environment: Environment
    lines: tuple[RuleLine, ...]
    without: tuple[str, ...]


def places_of(project: Project) -> list[Place]:
    """Every protected environment of the project. Three queries, and one more where some have no general rule."""
    rows = ReleaseRule.objects.select_related(*rules.RELATED).prefetch_related("gates").filter(project=project)
    found = sorted(rows, key=lambda one: (one.prompt is not None, one.feature, one.prompt.name if one.prompt else ""))
    places = [one for one in list_environments(project) if rules.is_guarded(one)]
    general = {rule.environment_id for rule in found if rule.prompt_id is None and not rule.feature}
    prompts: list[Prompt] = []
    if any(place.pk not in general for place in places):
        prompts = list(Prompt.objects.filter(project=project, archived_at=None).order_by("name"))
    return [_place(one, [rule for rule in found if rule.environment_id == one.pk], prompts) for one in places]


def _place(environment: Environment, found: Sequence[ReleaseRule], prompts: Sequence[Prompt]) -> Place:
    own = {rule.prompt_id for rule in found if rule.prompt_id is not None}
    features = {rule.feature for rule in found if rule.feature}
    has_general = any(rule.prompt_id is None and not rule.feature for rule in found)
    without = [] if has_general else [one.name for one in prompts if one.pk not in own and one.feature not in features]
    return Place(environment, tuple(_line(rule) for rule in found), tuple(without))


def _line(rule: ReleaseRule) -> RuleLine:
    gates = sorted(rule.gates.all(), key=lambda gate: (gate.name, gate.slug))
    shown = []
    for gate in gates:
        config = config_of(gate)
        shown.append(GateShown(gate, config.minimum_examples, config.is_lowered))
    rails = guardrails.read_config(rule.guardrails) if rule.guardrails else guardrails.USUAL
    return RuleLine(rule, tuple(shown), _watched(rails))


def _watched(config: guardrails.GuardrailConfig) -> tuple[str, ...]:
    named = (
        ("failed calls", config.error_rate),
        ("P99", config.latency_p99),
        ("cost per call", config.cost_per_call),
    )
    return (*(word for word, rail in named if rail is not None), *(one.name for one in config.scores))


def list_gates(project: Project, *, besides: Sequence[Gate] = ()) -> list[Gate]:
    """The gates that a rule may have, and these, in the order of their names."""
    rows = list(Gate.objects.select_related("eval_set").filter(project=project, archived_at=None))
    there = {gate.pk for gate in rows}
    return sorted([*rows, *(one for one in besides if one.pk not in there)], key=lambda gate: (gate.name, gate.slug))


def gates_named(project: Project, slugs: Sequence[str]) -> list[Gate]:
    """The project's gates of these slugs; those that are not there are left out."""
    return list(Gate.objects.select_related("eval_set").filter(project=project, slug__in=list(slugs)))

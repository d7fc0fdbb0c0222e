"""Reads of experiments. The project comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum

from apps.core.errors import NotFound
from apps.projects.models import AuditEntry, Environment, Project
from apps.promotions.experiment_config import WHOLE, Plan, Treatment, read_guards, read_metric
from apps.promotions.experiment_figures import Figures
from apps.promotions.models import Experiment, ExperimentArm, ExperimentLook
from apps.promotions.types import ExperimentState, Unit
from apps.prompts.models import Prompt, Split

MOST_LISTED = 200
MOST_LOOKS = 200


def get_experiment(project: Project, slug: str) -> Experiment:
    """The project's experiment of this short name, with its prompt and environment. Raises NotFound."""
    rows = Experiment.objects.select_related("prompt", "environment", "project", "winner", "promotion")
    found = None if "\x00" in slug else rows.filter(project=project, slug=slug).first()
    if found is None:
        raise NotFound("There is no such experiment in this project.")
    return found


def arms_of(experiment: Experiment) -> list[ExperimentArm]:
    """Its arms in their order; a draft has treatments only."""
    return list(experiment.arms.select_related("version", "promotion").order_by("position"))


def plan_of(experiment: Experiment, arms: Sequence[ExperimentArm]) -> Plan:
    """What it is made of, as `experiment_config.read_plan` gives it."""
    treatments = tuple(
        Treatment(arm.name, str(arm.version.number), arm.model, arm.weight) for arm in arms if not arm.is_control
    )
    return Plan(
        unit=Unit(experiment.unit),
        treatments=treatments,
        control_weight=WHOLE - sum(one.weight for one in treatments),
        primary=read_metric(experiment.primary_metric),
        ramp=tuple(experiment.ramp),
        excluded=tuple(experiment.excluded),
        layer=experiment.layer,
        guards=read_guards(experiment.guardrails),
        stops_on_mismatch=experiment.stops_on_mismatch,
        alpha=experiment.alpha,
        minimum_effect=experiment.minimum_effect,
        planned_subjects=experiment.planned_subjects,
    )


@dataclass(frozen=True, slots=True)
class Look:
    """The figures of an experiment at one moment."""

    at: datetime
    subjects: int
    figures: Figures


def look_of(row: ExperimentLook) -> Look:
    """A look as a value."""
    return Look(row.at, row.subjects, Figures.from_dict(row.figures))


def newest_look(experiment: Experiment) -> Look | None:
    """Its newest look; None before the first."""
    row = experiment.looks.order_by("-at", "-pk").first()
    return None if row is None else look_of(row)


def list_looks(experiment: Experiment, *, most: int = MOST_LOOKS, before: datetime | None = None) -> list[Look]:
    """Its newest looks, oldest first; with `before`, those that are older."""
    rows = experiment.looks.order_by("-at", "-pk")
    if before is not None:
        rows = rows.filter(at__lt=before)
    return [look_of(row) for row in reversed(rows[:most])]


@dataclass(frozen=True, slots=True)
class ExperimentLine:
    """An experiment as lists show it."""

    experiment: Experiment
    state: ExperimentState
    figures: Figures | None
    arms: tuple[ExperimentArm, ...]

    @property
    def treatments(self) -> tuple[ExperimentArm, ...]:
        """The arms that are tried."""
        return tuple(arm for arm in self.arms if not arm.is_control)


def list_experiments(
    project: Project,
    *,
    state: ExperimentState | None = None,
    prompt: str = "",
    environment: str = "",
    most: int = MOST_LISTED,
) -> list[ExperimentLine]:
    """The project's experiments: running ones first, then drafts, then those that are over, in three queries."""
    newest = ExperimentLook.objects.filter(experiment=OuterRef("pk")).order_by("-at", "-pk").values("pk")[:1]
    rows = Experiment.objects.filter(project=project).select_related("prompt", "environment", "winner", "promotion")
    if state is not None:
        rows = rows.filter(state=state.value)
    if prompt:
        rows = rows.filter(prompt__name=prompt)
    if environment:
        rows = rows.filter(environment__slug=environment)
    found = list(rows.annotate(newest=Subquery(newest)).order_by("-created_at", "-pk")[:most])
    looks = {
        row.pk: look_of(row).figures for row in ExperimentLook.objects.filter(pk__in=[one.newest for one in found])
    }
    arms: dict[int, list[ExperimentArm]] = {}
    for arm in ExperimentArm.objects.filter(experiment__in=found).select_related("version").order_by("position"):
        arms.setdefault(arm.experiment_id, []).append(arm)
    lines = [
        ExperimentLine(one, ExperimentState(one.state), looks.get(one.newest), tuple(arms.get(one.pk, ())))
        for one in found
    ]
    order = {ExperimentState.RUNNING: 0, ExperimentState.DRAFT: 1}
    return sorted(lines, key=lambda line: order.get(line.state, 2))


def line_of(experiment: Experiment) -> ExperimentLine:
    """The experiment as lists show it."""
    look = newest_look(experiment)
    return ExperimentLine(
        experiment,
        ExperimentState(experiment.state),
        None if look is None else look.figures,
        tuple(arms_of(experiment)),
    )


@dataclass(frozen=True, slots=True)
class ArmSums:
    """What the calls of an arm's subjects add up to. Cost and latency are None where nothing was priced or timed."""

    subjects: int
    calls: int
    stray_calls: int
    errors: int
    cost_per_call: float | None
    latency_ms: float | None


def sums_of(experiment: Experiment) -> dict[int, ArmSums]:
    """Subjects, calls, cost and time of each arm, by its row."""
    rows = (
        experiment.exposures.order_by()
        .values("arm")
        .annotate(
            subjects=Count("pk"),
            all_calls=Sum("calls"),
            strays=Sum("stray_calls"),
            failed=Sum("errors"),
            cost=Sum("cost_usd"),
            unknown=Sum("unpriced"),
            time=Sum("latency_ms"),
            times=Sum("timed"),
        )
    )
    return {row["arm"]: _sums(row) for row in rows}


def _sums(row: Mapping[str, Any]) -> ArmSums:
    priced = row["all_calls"] - row["unknown"]
    return ArmSums(
        subjects=row["subjects"],
        calls=row["all_calls"],
        stray_calls=row["strays"],
        errors=row["failed"],
        cost_per_call=float(row["cost"] / priced) if priced > 0 else None,
        latency_ms=row["time"] / row["times"] if row["times"] else None,
    )


def taken_room(environment: Environment, layer: str) -> list[tuple[int, int]]:
    """The parts of a layer that running experiments take there, each as (from, the largest share of its ramp)."""
    rows = Experiment.objects.filter(environment=environment, layer=layer, state=ExperimentState.RUNNING.value)
    return [(one.layer_from, max(one.ramp)) for one in rows]


def open_split(prompt: Prompt, environment: Environment) -> Split | None:
    """The split that is served there now."""
    return Split.objects.filter(prompt=prompt, environment=environment, ended_at=None).first()


def list_history(experiment: Experiment) -> list[AuditEntry]:
    """What the audit trail says of it, newest first."""
    rows = AuditEntry.objects.filter(
        project_id=experiment.project_id, target_kind="experiment", target_id=str(experiment.uuid)
    )
    return list(rows.order_by("-number")[:100])


def unserved() -> QuerySet[Experiment]:
    """Running experiments whose split ended by something else than themselves."""
    split = Split.objects.filter(
        prompt=OuterRef("prompt"), environment=OuterRef("environment"), salt=OuterRef("salt"), ended_at=None
    )
    rows = Experiment.objects.filter(~Exists(split), state=ExperimentState.RUNNING.value)
    return rows.select_related("prompt", "environment", "project").order_by("pk")


def list_environments(project: Project) -> list[str]:
    """The project's environments, in their order."""
    return list(Environment.objects.filter(project=project).values_list("slug", flat=True))


def prompt_names(project: Project) -> list[str]:
    """The project's prompts, for choosing one."""
    rows = Prompt.objects.filter(project=project, archived_at=None).order_by("name")
    return list(rows.values_list("name", flat=True)[:500])

"""Drafting an experiment and changing it before it starts."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.core import ids
from apps.core.errors import Conflict, Invalid, NotFound
from apps.projects import audit
from apps.projects.models import Environment, Project
from apps.projects.types import Actor
from apps.promotions.experiment_config import BadExperiment, Json, Plan, read_plan
from apps.promotions.models import Experiment, ExperimentArm
from apps.promotions.types import ExperimentState
from apps.prompts import selectors as prompts
from apps.prompts.models import Prompt, Version

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
RESERVED = frozenset({"new"})
MOST_EXPERIMENTS = 2_000


class ExperimentExists(Conflict):
    """The project has an experiment with this short name."""

    code, message = "experiment_exists", "There already is an experiment called {slug}. Choose another short name."


class TooManyExperiments(Conflict):
    """The project has as many experiments as it may have."""

    code, message = "too_many_experiments", "A project has at most {most} experiments."


class NotADraft(Conflict):
    """What was started keeps its plan."""

    code = "not_a_draft"
    message = "{slug} is {state}, so its plan stays as it is. Name and hypothesis may change; else draft a new one."


@dataclass(frozen=True, slots=True)
class NewExperiment:
    """What an experiment is made of. An empty slug is made from the name."""

    name: str
    prompt: Prompt
    environment: Environment
    plan: Mapping[str, Json]
    slug: str = ""
    hypothesis: str = ""


@transaction.atomic
def create(*, project: Project, experiment: NewExperiment, actor: Actor, now: datetime) -> Experiment:
    """A draft: nothing is served by it. Raises BadExperiment, Invalid, ExperimentExists and TooManyExperiments."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    slug = experiment.slug or ids.slugify(experiment.name, limit=100)
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        raise Invalid(slug=["Up to 100 lower-case letters, digits and hyphens, and not new."])
    if experiment.prompt.project_id != project.pk or experiment.environment.project_id != project.pk:
        raise NotFound
    if Experiment.objects.filter(project=project, slug=slug).exists():
        raise ExperimentExists(slug=slug)
    if Experiment.objects.filter(project=project).count() >= MOST_EXPERIMENTS:
        raise TooManyExperiments(most=MOST_EXPERIMENTS)
    plan = read_plan(experiment.plan)
    versions = _versions(experiment.prompt, plan)
    made = Experiment(
        project=project,
        slug=slug,
        name=_good_name(experiment.name),
        hypothesis=_good_text("hypothesis", experiment.hypothesis),
        prompt=experiment.prompt,
        environment=experiment.environment,
        state=ExperimentState.DRAFT.value,
        salt=secrets.token_hex(16),
        created_at=now,
        created_by=actor.name[:254],
        **_columns(plan),
    )
    made.save(force_insert=True)
    _write_treatments(made, plan, versions)
    details: dict[str, audit.Detail] = {
        "prompt": made.prompt.name,
        "environment": made.environment.slug,
        "arms": _named(plan),
    }
    _record(made, "promotions.experiment_drafted", actor, now, details)
    return made


@transaction.atomic
def change(
    *,
    experiment: Experiment,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    hypothesis: str | None = None,
    plan: Mapping[str, Json] | None = None,
) -> Experiment:
    """Set what is given and leave the rest; a plan takes the place of the whole plan, and of a draft alone.

    Raises BadExperiment, Invalid and NotADraft.
    """
    experiment = locked(experiment)
    changed = []
    if name is not None and experiment.name != _good_name(name):
        experiment.name = _good_name(name)
        changed.append("name")
    if hypothesis is not None and experiment.hypothesis != _good_text("hypothesis", hypothesis):
        experiment.hypothesis = _good_text("hypothesis", hypothesis)
        changed.append("hypothesis")
    experiment.save(update_fields=["name", "hypothesis"])
    details: dict[str, audit.Detail] = {"changed": changed}
    if plan is not None:
        if experiment.state != ExperimentState.DRAFT.value:
            raise NotADraft(slug=experiment.slug, state=experiment.state)
        read = read_plan(plan)
        versions = _versions(experiment.prompt, read)
        columns = _columns(read)
        for field, value in columns.items():
            setattr(experiment, field, value)
        experiment.save(update_fields=list(columns))
        experiment.arms.all().delete()
        _write_treatments(experiment, read, versions)
        details = {"changed": [*changed, "plan"], "arms": _named(read)}
    if plan is not None or changed:
        _record(experiment, "promotions.experiment_changed", actor, now, details)
    return experiment


def locked(experiment: Experiment) -> Experiment:
    """The experiment as it is now, its row locked until the transaction ends; after its prompt and environment."""
    rows = Experiment.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("project", "prompt", "environment", "winner", "promotion").get(pk=experiment.pk)


def _columns(plan: Plan) -> dict[str, Json]:
    return {
        "unit": plan.unit.value,
        "layer": plan.layer,
        "excluded": list(plan.excluded),
        "ramp": list(plan.ramp),
        "primary_metric": plan.primary.as_dict(),
        "guardrails": [guard.as_dict() for guard in plan.guards],
        "stops_on_mismatch": plan.stops_on_mismatch,
        "alpha": plan.alpha,
        "minimum_effect": plan.minimum_effect,
        "planned_subjects": plan.planned_subjects,
    }


def _versions(prompt: Prompt, plan: Plan) -> list[Version]:
    """The version of each treatment. Raises BadExperiment for one that is not there."""
    found, problems = [], {}
    for place, one in enumerate(plan.treatments):
        try:
            found.append(prompts.get_version(prompt, one.version))
        except NotFound as error:
            problems[f"treatments.{place}.version"] = [error.text]
    if problems:
        raise BadExperiment(problems)
    return found


def _write_treatments(experiment: Experiment, plan: Plan, versions: list[Version]) -> None:
    ExperimentArm.objects.bulk_create(
        [
            ExperimentArm(
                experiment=experiment,
                name=one.name,
                position=place,
                version=version,
                model=one.model,
                weight=one.weight,
            )
            for place, (one, version) in enumerate(zip(plan.treatments, versions, strict=True), start=1)
        ]
    )


def _named(plan: Plan) -> list[str]:
    return [f"{one.name}: {one.version}{f' on {one.model}' if one.model else ''}" for one in plan.treatments]


def _good_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid(name=["A name has 1 to 200 characters."])
    return name


def _good_text(field: str, text: str) -> str:
    if len(text) > 10_000 or "\x00" in text:
        raise Invalid(None, **{field: ["At most 10,000 characters."]})
    return text.strip()


def _record(
    experiment: Experiment, action: str, actor: Actor, now: datetime, details: Mapping[str, audit.Detail]
) -> None:
    audit.record(actor=actor, action=action, project=experiment.project, target=experiment, at=now, details=details)

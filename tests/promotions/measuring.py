"""A running experiment in staging, and calls of its subjects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.projects.models import Project
from apps.projects.types import SYSTEM
from apps.promotions.models import Experiment
from apps.promotions.services import experiment_drafts, experiments
from apps.promotions.services.experiment_drafts import NewExperiment
from apps.prompts import services as prompts
from apps.prompts.splitting import Splitting, choose
from tests.factories import NOW
from tests.prompts.conftest import content, environment, make_prompt, publish
from tests.telemetry.conftest import make_span

VERSIONS = ("1.0.0", "1.1.0")
ARMS = ("control", "B")


def start(project: Project, at: datetime, **plan: Any) -> Experiment:
    """`support/answer` 1.1.0 against 1.0.0, half and half, of everybody unless the plan says otherwise."""
    prompt, staging = make_prompt(project), environment(project, "staging")
    first = publish(prompt)
    publish(prompt, content(parameters={"temperature": 0.7}))
    prompts.deploy(prompt=prompt, version=first, environment=staging, actor=SYSTEM, now=NOW)
    told = {"treatments": [{"version": "1.1.0"}], "ramp": [10_000], "primary_metric": {"name": "error_rate"}}
    draft = experiment_drafts.create(
        project=project,
        experiment=NewExperiment("Warmer", prompt, staging, told | plan),
        actor=SYSTEM,
        now=at,
    )
    return experiments.start(experiment=draft, actor=SYSTEM, is_reviewer=True, now=at)


def arm_of(experiment: Experiment, subject: str, *, share: int = 10_000) -> int | None:
    """0 for the control, 1 for the treatment, None for who does not take part at that share."""
    return choose(Splitting(salt=experiment.salt, share=share, weights=(5_000, 5_000)), subject)


def call(experiment: Experiment, subject: str, at: datetime, **changes: Any) -> dict[str, Any]:
    """A call of the subject with the version that it is given."""
    version = VERSIONS[arm_of(experiment, subject) or 0]
    told = {"user_id": subject, "started_at": at.isoformat(), "environment": "staging"}
    told |= {"prompt_name": "support/answer", "prompt_version": version}
    return make_span(**told | changes)

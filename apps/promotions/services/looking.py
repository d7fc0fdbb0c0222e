"""Looking at running experiments: what their counts say, kept whenever that changed."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from apps.promotions.experiment_config import read_guards, read_metric
from apps.promotions.experiment_figures import Figures
from apps.promotions.experiment_judging import ArmFacts, Asked, judge
from apps.promotions.models import Experiment, ExperimentCount, ExperimentLook
from apps.promotions.selectors import exposures
from apps.promotions.services import experiments
from apps.promotions.services.exposing import LATE
from apps.promotions.types import ExperimentState

log = logging.getLogger(__name__)

SOONEST = timedelta(minutes=1)
LOOKS_BY_AGE = 200
"""An old experiment is kept less often: at most so many looks in its age, again and again."""

RATE_OVER = timedelta(days=1)


def look_all(*, now: datetime) -> int:
    """Look at every experiment that runs, or ended a short while ago, and stop those that break a guardrail; how many
    looks were kept."""
    recent = Q(state=ExperimentState.RUNNING.value) | Q(started_at__isnull=False, ended_at__gte=now - LATE)
    kept = 0
    for experiment in Experiment.objects.filter(recent).select_related("environment", "prompt").order_by("pk"):
        try:
            figures = look(experiment, now)
            kept += keep(experiment, figures)
            if experiment.state == ExperimentState.RUNNING.value:
                experiments.guard(experiment=experiment, figures=figures, now=now)
        except Exception:
            # The others are not to wait for what is wrong with this one; the next round tries it again.
            log.exception("an experiment could not be looked at", extra={"experiment": experiment.slug})
    return kept


def look(experiment: Experiment, now: datetime) -> Figures:
    """What the experiment's counts say now. Nothing is kept."""
    primary, guards = read_metric(experiment.primary_metric), read_guards(experiment.guardrails)
    metrics = {metric.name: metric for metric in (primary, *(guard.metric for guard in guards))}
    told = {name: exposures.moments(experiment, metric) for name, metric in metrics.items()}
    counts = exposures.arm_counts(experiment)
    arms = [
        ArmFacts(
            name=arm.name,
            is_control=arm.is_control,
            weight=arm.weight,
            count=counts.get(arm.pk),
            moments={name: of[arm.pk] for name, of in told.items() if arm.pk in of},
        )
        for arm in experiment.arms.all()
    ]
    asked = Asked(
        primary=primary,
        guards=guards,
        alpha=experiment.alpha,
        minimum_effect=experiment.minimum_effect,
        tuned=_tuned(experiment),
        planned=experiment.planned_subjects,
    )
    return judge(asked, arms, at=now, per_day=_per_day(experiment, now))


@transaction.atomic
def keep(experiment: Experiment, figures: Figures, *, always: bool = False) -> bool:
    """Keep the look, unless it says the same as the last one or that is too young; True when it was kept.

    What something is decided by is kept `always`.
    """
    ExperimentCount.objects.get_or_create(experiment=experiment, defaults={"planned": experiment.planned_subjects})
    ExperimentCount.objects.select_for_update().get(experiment=experiment)
    last = ExperimentLook.objects.filter(experiment=experiment).order_by("-at", "-pk").first()
    if not always and last is not None and not _is_news(experiment, Figures.from_dict(last.figures), figures):
        return False
    ExperimentLook.objects.create(
        experiment=experiment, at=figures.at, subjects=figures.subjects, figures=figures.as_dict()
    )
    return True


def _is_news(experiment: Experiment, before: Figures, now: Figures) -> bool:
    if _said(before) == _said(now):
        return False
    started = experiment.started_at or before.at
    apart = now.at - before.at
    is_turn = _verdicts(before) != _verdicts(now)
    return apart >= SOONEST and (is_turn or apart >= (now.at - started) / LOOKS_BY_AGE)


def _said(figures: Figures) -> object:
    """Everything that is counted; the time and what is left of it move on by themselves."""
    return figures.arms, figures.primary, figures.guardrails, figures.sample_ratio, figures.planned.needed


def _verdicts(figures: Figures) -> object:
    states = [one.state for one in figures.guardrails]
    return [one.verdict for one in figures.primary], states, figures.sample_ratio.state


def _tuned(experiment: Experiment) -> int | None:
    """What the intervals are tuned to: the plan as it was when the first subject was counted."""
    held = ExperimentCount.objects.filter(experiment=experiment).first()
    return experiment.planned_subjects if held is None else held.planned


def _per_day(experiment: Experiment, now: datetime) -> float | None:
    """New subjects a day over the last day, or since the start; None before an hour has passed."""
    if experiment.started_at is None or experiment.ended_at is not None:
        return None
    since = max(experiment.started_at, now - RATE_OVER)
    days = (now - since) / timedelta(days=1)
    if days < 1 / 24:
        return None
    return exposures.subjects_since(experiment, since) / days or None

"""Comparing two runs: computed once, kept, and left to a worker when it takes long."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Q

from apps.accounts.models import User
from apps.core import jobs
from apps.core.errors import Conflict, Invalid
from apps.evals.compare import Comparison, Settings, compare
from apps.evals.models import Comparison as ComparisonRow
from apps.evals.models import EvalRun
from apps.evals.selectors.comparisons import facts_of, fitting_run, items_of, kept_comparison, newest_version
from apps.evals.services.runs import start_run
from apps.evals.types import RunSource, RunSpec, RunState, ScorerChoice
from apps.evals.upgrades import UpgradeWish
from apps.projects.models import Project
from apps.projects.types import Actor

TASK = "evals.compare"
MOST_AT_ONCE = 5_000
"""Results of a run that are compared while somebody waits."""
PATIENCE = timedelta(minutes=3)
"""A worker that said nothing for so long is asked again."""
METHOD = 1
"""Goes up when numbers are computed in another way, so that what was kept is not shown as the new."""


class RunsNotComparable(Invalid):
    """The two runs have nothing to compare."""

    code, http_status = "runs_not_comparable", 422
    message = "These two runs cannot be compared."


class RunNotOver(Conflict):
    """One of the runs has no figures yet."""

    code, message = "run_open", "Run {number} is not over yet. Wait for its end, or cancel it."


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison and its row; `outcome` is None while a worker computes it."""

    row: ComparisonRow
    outcome: Comparison | None


def comparison_of(
    candidate: EvalRun, baseline: EvalRun, settings: Settings, now: datetime, *, wait: bool = False
) -> Compared:
    """The comparison of two ended runs over one set, from what was kept or computed now. Runs of more than 5,000
    results are left to a worker, unless the caller waits.

    Different revisions are compared over the examples that are the same in both. Raises RunsNotComparable for runs of
    different sets or one and the same run, RunNotOver for one that goes on.
    """
    _require_comparable(candidate, baseline)
    settings = replace(settings, seed=_seed(candidate, baseline))
    settings_hash = _hash(candidate, baseline, settings)
    row = kept_comparison(candidate, baseline, settings_hash)
    if row is not None and row.outcome is not None:
        return Compared(row, Comparison.from_dict(row.outcome))
    if max(candidate.total, baseline.total) > MOST_AT_ONCE and not wait:
        return Compared(_asked(candidate, baseline, settings, settings_hash, now), None)
    outcome = _computed(candidate, baseline, settings)
    row, _ = ComparisonRow.objects.update_or_create(
        candidate=candidate,
        baseline=baseline,
        settings_hash=settings_hash,
        defaults={"project_id": candidate.project_id, "outcome": outcome.as_dict(), "made_at": now},
    )
    return Compared(row, outcome)


def compute_kept(comparison_id: int, margin: str, tail_margin: str, now: datetime) -> None:
    """Compute a comparison that waits; nothing when it is gone or was computed."""
    row = (
        ComparisonRow.objects.select_related("candidate", "baseline")
        .filter(pk=comparison_id, outcome__isnull=True)
        .first()
    )
    if row is not None:
        settings = Settings(margin=float(margin), tail_margin=float(tail_margin))
        comparison_of(row.candidate, row.baseline, settings, now, wait=True)


def _require_comparable(candidate: EvalRun, baseline: EvalRun) -> None:
    if candidate.pk == baseline.pk:
        raise RunsNotComparable("A run is not compared with itself. Choose another baseline.")
    if candidate.eval_set_id != baseline.eval_set_id:
        raise RunsNotComparable(
            f"Run {candidate.number} is over the set {candidate.eval_set.slug} and run {baseline.number} over "
            f"{baseline.eval_set.slug}. Choose two runs over one set."
        )
    for run in (candidate, baseline):
        if not RunState(run.state).is_end:
            raise RunNotOver(number=run.number)


def _computed(candidate: EvalRun, baseline: EvalRun, settings: Settings) -> Comparison:
    return compare(
        items_of(candidate),
        items_of(baseline),
        settings,
        scorers=facts_of(candidate),
        baseline_scorers=facts_of(baseline),
        against=f"run {baseline.number}",
    )


def _asked(
    candidate: EvalRun, baseline: EvalRun, settings: Settings, settings_hash: str, now: datetime
) -> ComparisonRow:
    """The row that waits, with a worker asked for it: when it is new, and when the last one kept silent."""
    row, is_new = ComparisonRow.objects.get_or_create(
        candidate=candidate,
        baseline=baseline,
        settings_hash=settings_hash,
        defaults={"project_id": candidate.project_id, "outcome": None, "made_at": now},
    )
    silent = Q(pk=row.pk, outcome__isnull=True, made_at__lt=now - PATIENCE)
    if is_new or ComparisonRow.objects.filter(silent).update(made_at=now):
        jobs.enqueue(TASK, comparison_id=row.pk, margin=str(settings.margin), tail_margin=str(settings.tail_margin))
    return row


def _seed(candidate: EvalRun, baseline: EvalRun) -> int:
    """The same for the same two runs."""
    return int(hashlib.sha256(f"{candidate.uuid} {baseline.uuid}".encode()).hexdigest()[:8], 16)


def _hash(candidate: EvalRun, baseline: EvalRun, settings: Settings) -> str:
    """Over how, and over when the runs ended: one whose failed examples were tried again is another."""
    ends = [None if run.ended_at is None else run.ended_at.isoformat() for run in (candidate, baseline)]
    told = [METHOD, settings.margin, settings.tail_margin, settings.level, settings.resamples, *ends]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def start_upgrade(
    *, project: Project, wish: UpgradeWish, actor: Actor, author: User | None, now: datetime
) -> tuple[EvalRun, EvalRun]:
    """The runs of the new and of the current model: those that fit and finished or go on, else new ones. Raises what
    `runs.start_run` raises."""
    version = wish.version or newest_version(project, wish.prompt)
    found = [
        _run_for(project, replace(wish, version=version), model, actor, author, now)
        for model in (wish.new_model, wish.current_model)
    ]
    return found[0], found[1]


def _run_for(
    project: Project, wish: UpgradeWish, model: str, actor: Actor, author: User | None, now: datetime
) -> EvalRun:
    fitting = fitting_run(
        project,
        eval_set=wish.eval_set,
        prompt=wish.prompt,
        version=wish.version,
        model=model,
        scorers=wish.scorers,
    )
    if fitting is not None:
        return fitting
    spec = RunSpec(
        eval_set=wish.eval_set,
        scorers=tuple(ScorerChoice(slug) for slug in wish.scorers),
        prompt=wish.prompt,
        version=wish.version,
        model=model,
    )
    return start_run(project=project, spec=spec, actor=actor, source=RunSource.UPGRADE, now=now, author=author)

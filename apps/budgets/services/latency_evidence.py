"""Measuring: a set of real calls becomes evidence, frozen with what it was measured for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from apps.budgets.latency_goals import Measure
from apps.budgets.latency_judging import LEVEL, NEEDED, Sample, judge
from apps.budgets.models import LatencyEvidence, LatencyTarget
from apps.budgets.selectors.latency import EVIDENCE_DAYS
from apps.core.errors import Conflict, DomainError, Invalid
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.telemetry.selectors.lengths import CallLength, read_lengths
from apps.telemetry.types import DEFAULT_SOURCE

MOST_CALLS = 20_000
"""The newest so many calls of the stretch are measured."""
LONGEST_DAYS = 30


class TooFewCalls(DomainError):
    """Not enough calls to bound the P99."""

    code, http_status = "too_few_calls", 422
    message = (
        "{calls} calls of {feature} in {environment} have a {length}, and {still_needed} more are needed: with fewer "
        "than {needed} the P99 has no upper bound at 95 %. Send more, or measure a longer stretch."
    )


class TargetMoved(Conflict):
    """The target changed while it was measured."""

    code, message = "latency_target_moved", "The target was changed or removed meanwhile. Measure it again."


def take_evidence(
    *, target: LatencyTarget, environment: str, start: datetime, end: datetime, actor: Actor, now: datetime
) -> LatencyEvidence:
    """Measure the calls that services made in `[start, end)`. Raises Invalid, TooFewCalls or TargetMoved."""
    _require_stretch(target, environment, start, end, now)
    calls = read_lengths(
        target.project_id,
        start=start,
        end=end,
        feature=target.feature,
        environment=environment,
        source=DEFAULT_SOURCE,
        most=MOST_CALLS,
    )
    samples = samples_of(calls)
    for measure in {goal.measure for goal in target.goals}:
        _require_enough(target, environment, measure, samples[measure])
    judged = judge(target.goals, samples)
    made = LatencyEvidence(
        project=target.project,
        target=target,
        feature=target.feature,
        environment=environment,
        started_at=min(call.started_at for call in calls),
        ended_at=max(call.started_at for call in calls),
        measured_at=now,
        measured_by=actor.name[:254],
        expires_at=now + timedelta(days=EVIDENCE_DAYS),
        fingerprint=target.fingerprint,
        level=float(LEVEL),
        calls=len(calls),
        figures=judged.figures,
        goals=judged.goals,
        verdict=judged.verdict.value,
        prompt_versions=sorted({f"{call.prompt_name} {call.prompt_version}".strip() for call in calls} - {""}),
        model_names=sorted({call.model for call in calls} - {""}),
    )
    return _keep(made, actor, now)


@transaction.atomic
def _keep(made: LatencyEvidence, actor: Actor, now: datetime) -> LatencyEvidence:
    target = LatencyTarget.objects.select_for_update(no_key=True).get(pk=made.target_id)
    if target.removed_at is not None or target.fingerprint != made.fingerprint:
        raise TargetMoved
    made.save(force_insert=True)
    details: dict[str, audit.Detail] = {
        "environment": made.environment,
        "calls": made.calls,
        "verdict": made.verdict,
    }
    audit.record(
        actor=actor,
        action="budgets.latency_measured",
        project=made.project,
        target=target,
        at=now,
        details=details,
    )
    return made


def samples_of(calls: Sequence[CallLength]) -> dict[Measure, Sample]:
    """The lengths of the calls. One that failed never answered; of the TTFT only streamed ones can say so."""
    total = [call.total_ms for call in calls if not call.has_failed and call.total_ms is not None]
    first = [call.ttft_ms for call in calls if call.ttft_ms is not None]
    failed = sum(call.has_failed for call in calls)
    silent = sum(call.has_failed and call.is_streamed and call.ttft_ms is None for call in calls)
    return {Measure.TOTAL: Sample(total, failed), Measure.TTFT: Sample(first, silent)}


def _require_stretch(target: LatencyTarget, environment: str, start: datetime, end: datetime, now: datetime) -> None:
    problems: dict[str, list[str]] = {}
    if not Environment.objects.filter(project=target.project_id, slug=environment).exists():
        problems["environment"] = [f"This project has no environment {environment}."]
    if not start < end <= now:
        problems["start"] = ["The stretch ends after it starts, and not in the future."]
    elif end - start > timedelta(days=LONGEST_DAYS) or start < now - timedelta(days=LONGEST_DAYS):
        problems["start"] = [f"Within the last {LONGEST_DAYS} days."]
    if problems:
        raise Invalid(" ".join(sentence for found in problems.values() for sentence in found), **problems)


def _require_enough(target: LatencyTarget, environment: str, measure: Measure, sample: Sample) -> None:
    if sample.still_needed:
        raise TooFewCalls(
            calls=sample.size,
            feature=target.feature,
            environment=environment,
            length="TTFT" if measure is Measure.TTFT else "length",
            still_needed=sample.still_needed,
            needed=NEEDED,
        )

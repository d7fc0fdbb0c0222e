"""Reads of latency targets: the list, what their budgets are like, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from apps.budgets.latency_burning import ALARMS, WINDOWS, Burn
from apps.budgets.latency_goals import Goal, Measure, Tally
from apps.budgets.latency_judging import NEEDED
from apps.budgets.models import LatencyEvidence, LatencyIncident, LatencyTarget
from apps.core.clock import zone_named
from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.selectors.lengths import read_lengths
from apps.telemetry.types import DEFAULT_SOURCE

GROUPS = (Dimension.FEATURE, Dimension.ENVIRONMENT)
SERVICE = Filters(source=DEFAULT_SOURCE)
"""Promises are about what services ask for, not about evals, judges and the playground."""
EVIDENCE_DAYS = 30


def list_targets(project: Project) -> list[LatencyTarget]:
    """The project's targets by feature and environment."""
    rows = LatencyTarget.objects.filter(project=project, removed_at=None)
    return list(rows.order_by("feature", "environment"))


def list_due(before: datetime) -> list[LatencyTarget]:
    """Targets of all projects that nobody has looked at since then."""
    rows = LatencyTarget.objects.select_related("project").filter(removed_at=None)
    return list(rows.exclude(looked_at__gt=before).order_by("project_id", "pk"))


def get_target(project: Project, uuid: UUID) -> LatencyTarget:
    """The project's target. Raises NotFound."""
    found = LatencyTarget.objects.filter(project=project, uuid=uuid, removed_at=None).first()
    if found is None:
        raise NotFound("This project has no such latency target.")
    return found


def find_target(project: Project, feature: str | None, environment: str | None) -> LatencyTarget | None:
    """The target of the feature there; None without one, and where either is not chosen."""
    if not feature or not environment:
        return None
    rows = LatencyTarget.objects.filter(project=project, removed_at=None)
    return rows.filter(feature=feature, environment=environment).first()


@dataclass(frozen=True, slots=True)
class GoalState:
    """One goal of a target: its window, what is left of its budget, and how it burns."""

    goal: Goal
    window: Tally
    measured_ms: int | None
    burns: tuple[Burn, ...]

    @property
    def is_kept(self) -> bool | None:
        """Whether the percentile over the window is at most the goal; None without calls."""
        return self.window.keeps(self.goal)

    @property
    def budget_left(self) -> float | None:
        """The share of the error budget that is left; below 0 when it is overspent."""
        return self.window.budget_left(self.goal)

    @property
    def is_burning(self) -> bool:
        """Whether an alarm rings."""
        return any(burn.rings for burn in self.burns)


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target with each of its goals."""

    target: LatencyTarget
    goals: tuple[GoalState, ...]

    @property
    def calls(self) -> int:
        """The calls of the window: the most that any goal has."""
        return max(state.window.calls for state in self.goals)


def read_states(project: Project, targets: Sequence[LatencyTarget], now: datetime) -> list[TargetState]:
    """How each target stands, in two queries however many there are."""
    if not targets:
        return []
    lengths = _lengths(targets)
    tables = dict(zip(lengths, read_tables(project.pk, _requests(lengths, now)), strict=True))
    return [_state(target, tables) for target in targets]


def _lengths(targets: Sequence[LatencyTarget]) -> list[timedelta]:
    return sorted({*WINDOWS, *(timedelta(days=target.window_days) for target in targets)})


def _requests(lengths: Sequence[timedelta], now: datetime) -> list[FigureRequest]:
    return [FigureRequest(now - length, now, GROUPS, filters=SERVICE) for length in lengths]


def _state(target: LatencyTarget, tables: dict[timedelta, FigureTable]) -> TargetState:
    window = tables[timedelta(days=target.window_days)]
    goals = []
    for goal in target.goals:
        burns = tuple(
            Burn(
                goal,
                alarm,
                alarm.rate(goal, target.window_days),
                tally_of(tables[alarm.long], target, goal),
                tally_of(tables[alarm.short], target, goal),
            )
            for alarm in ALARMS
        )
        goals.append(GoalState(goal, tally_of(window, target, goal), _measured(window, target, goal), burns))
    return TargetState(target, tuple(goals))


def tally_of(table: FigureTable, target: LatencyTarget, goal: Goal) -> Tally:
    """Calls of the target and those slower than the goal, over the whole table, which is grouped by GROUPS."""
    return _tallies(table, target, goal).get(None, Tally())


def _tallies(table: FigureTable, target: LatencyTarget, goal: Goal) -> dict[int | None, Tally]:
    """By the interval's number; None where the table is not cut."""
    lengths = table.ttft if goal.measure is Measure.TTFT else table.latency
    totals, above = lengths.totals().tolist(), lengths.above(goal.most_ms).tolist()
    wanted = (target.feature, target.environment)
    return {
        cell.bucket: Tally(totals[place], above[place])
        for place, cell in enumerate(table.cells)
        if cell.group == wanted
    }


def _measured(table: FigureTable, target: LatencyTarget, goal: Goal) -> int | None:
    wanted = (target.feature, target.environment)
    for row in table.groups:
        if row.group == wanted:
            lengths = row.ttft if goal.measure is Measure.TTFT else row.latency
            return lengths.p50 if goal.percentile == 50 else lengths.p99
    return None


@dataclass(frozen=True, slots=True)
class Course:
    """A target day by day in the project's time zone: percentiles as measured, and each goal's tally."""

    days: tuple[datetime, ...]
    measured: dict[tuple[Measure, int], list[int | None]]
    tallies: dict[str, list[Tally]]

    def kept_days(self, goal: Goal) -> tuple[int, int]:
        """On how many days the goal was kept, and on how many there were calls."""
        said = [tally.keeps(goal) for tally in self.tallies[goal.key] if tally.calls]
        return sum(bool(one) for one in said), len(said)


def read_target(project: Project, target: LatencyTarget, now: datetime) -> tuple[TargetState, Course]:
    """How the target stands, and the days of its window, in two queries."""
    lengths = _lengths([target])
    zone = zone_named(project.timezone)
    within = Filters(feature=target.feature, environment=target.environment, source=DEFAULT_SOURCE)
    by_day = FigureRequest(now - timedelta(days=target.window_days), now, GROUPS, Interval.DAY, within, zone)
    *windows, days = read_tables(project.pk, [*_requests(lengths, now), by_day])
    return _state(target, dict(zip(lengths, windows, strict=True))), _course(target, days)


def _course(target: LatencyTarget, table: FigureTable) -> Course:
    times = table.request.buckets
    tallies = {}
    for goal in target.goals:
        found = _tallies(table, target, goal)
        tallies[goal.key] = [found.get(place, Tally()) for place in range(len(times))]
    measured = {
        (measure, percentile): [getattr(getattr(row, name), f"p{percentile}") for row in table.series]
        for measure, name in ((Measure.TOTAL, "latency"), (Measure.TTFT, "ttft"))
        for percentile in (50, 99)
    }
    return Course(times, measured, tallies)


def list_incidents(target: LatencyTarget, *, limit: int = 20) -> list[LatencyIncident]:
    """The target's incidents, newest first."""
    return list(target.incidents.order_by("-opened_at", "-pk")[:limit])


# --- Evidence


class EvidenceState(StrEnum):
    """Whether there is evidence that counts. What it says of the target is its verdict."""

    ACCEPTED = "accepted"
    STALE = "stale"
    """It is too old, or the target has changed since."""
    TOO_FEW = "too_few"
    """There are calls, but not enough of them to say anything of the P99."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EvidenceLook:
    """What there is to show for a feature in an environment."""

    state: EvidenceState
    evidence: LatencyEvidence | None = None
    target: LatencyTarget | None = None
    reason: str = ""
    calls: int = 0
    still_needed: int = 0

    @property
    def is_met(self) -> bool:
        """Whether the box may be ticked: accepted, and every goal is met."""
        return self.state is EvidenceState.ACCEPTED and self.evidence is not None and self.evidence.verdict == "met"


def list_evidence(project: Project, *, target: LatencyTarget | None = None, limit: int = 100) -> list[LatencyEvidence]:
    """The project's evidence, or one target's, newest first."""
    rows = LatencyEvidence.objects.select_related("target").filter(project=project)
    if target is not None:
        rows = rows.filter(target=target)
    return list(rows.order_by("-measured_at", "-pk")[:limit])


def get_evidence(project: Project, uuid: UUID) -> LatencyEvidence:
    """The project's evidence. Raises NotFound."""
    found = LatencyEvidence.objects.select_related("target").filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("This project has no such latency evidence.")
    return found


def why_not_current(evidence: LatencyEvidence, target: LatencyTarget, now: datetime) -> str:
    """Why it counts no more; empty while it does."""
    if target.removed_at is not None:
        return "The target was removed."
    if evidence.fingerprint != target.fingerprint:
        return "The target has changed since it was measured."
    return "It is too old." if now >= evidence.expires_at else ""


def look_of(target: LatencyTarget, newest: LatencyEvidence | None, now: datetime) -> EvidenceLook:
    """How this evidence of the target stands."""
    if newest is None:
        return EvidenceLook(EvidenceState.NONE, None, target, "Nothing was measured yet.")
    reason = why_not_current(newest, target, now)
    state = EvidenceState.STALE if reason else EvidenceState.ACCEPTED
    return EvidenceLook(state, newest, target, reason, newest.calls)


def newest_by_target(project: Project, targets: Sequence[LatencyTarget]) -> dict[int, LatencyEvidence]:
    """Each target's newest evidence, by the target's key, in one query."""
    rows = LatencyEvidence.objects.filter(project=project, target__in=targets)
    found = rows.order_by("target_id", "-measured_at", "-pk").distinct("target_id")
    return {evidence.target_id: evidence for evidence in found}


def latest_evidence(project: Project, feature: str, environment: str, now: datetime) -> EvidenceLook:
    """What was measured of the feature's targets in that environment, for the readiness checklist.

    The newest evidence that counts comes first, whichever of the feature's targets it is for; then the newest that
    does not. Without any, it says how many calls of the last 30 days there are to measure.
    """
    rows = LatencyEvidence.objects.select_related("target").filter(
        project=project, feature=feature, environment=environment, target__removed_at=None
    )
    newest = list(rows.order_by("target_id", "-measured_at", "-pk").distinct("target_id"))
    looks = [look_of(one.target, one, now) for one in newest]
    if looks:
        return max(looks, key=lambda look: (look.state is EvidenceState.ACCEPTED, _measured_at(look)))
    lengths = read_lengths(
        project.pk,
        start=now - timedelta(days=EVIDENCE_DAYS),
        end=now,
        feature=feature,
        environment=environment,
        source=DEFAULT_SOURCE,
        most=NEEDED,
    )
    if 0 < len(lengths) < NEEDED:
        missing = NEEDED - len(lengths)
        return EvidenceLook(
            EvidenceState.TOO_FEW, reason=f"{missing} calls more are needed.", calls=len(lengths), still_needed=missing
        )
    return EvidenceLook(EvidenceState.NONE, reason="Nothing was measured yet.", calls=len(lengths))


def _measured_at(look: EvidenceLook) -> datetime:
    assert look.evidence is not None
    return look.evidence.measured_at

"""Reads of gates and their reports. The project comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery

from apps.core.errors import NotFound
from apps.evals.gate_config import GateConfig, read_config
from apps.evals.gating import Condition
from apps.evals.models import EvalRun, EvalSet, Gate, GateReport, Revision, ScorerVersion
from apps.evals.types import GateVerdict, RunState
from apps.projects.models import Environment, Project
from apps.prompts.models import Version

PAGE_SIZE = 50
HEAVY = (
    "run__content",
    "run__summary",
    "run__estimate",
    "baseline__content",
    "baseline__summary",
    "baseline__estimate",
)


def get_gate(project: Project, slug: str) -> Gate:
    """The project's gate of this slug, archived or not. Raises NotFound."""
    rows = Gate.objects.select_related("eval_set", "project")
    found = None if "\x00" in slug else rows.filter(project=project, slug=slug).first()
    if found is None:
        raise NotFound("There is no such gate in this project.")
    return found


def config_of(gate: Gate) -> GateConfig:
    """The gate's conditions."""
    return read_config(gate.config)


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report with its conditions as values."""

    report: GateReport
    conditions: tuple[Condition, ...]
    sentence: str
    notes: tuple[str, ...]

    @property
    def verdict(self) -> GateVerdict:
        """What the gate said."""
        return GateVerdict(self.report.verdict)

    @property
    def open(self) -> tuple[Condition, ...]:
        """The conditions that are not met."""
        return tuple(one for one in self.conditions if one.state is not GateVerdict.PASSED)


def view_of(report: GateReport) -> ReportView:
    """The report as pages and programs show it."""
    kept = report.conditions
    conditions = tuple(Condition.from_dict(one) for one in kept["conditions"])
    return ReportView(report, conditions, kept["sentence"], tuple(kept["notes"]))


@dataclass(frozen=True, slots=True)
class GateLine:
    """A gate as lists show it, with its newest report."""

    gate: Gate
    config: GateConfig
    report: ReportView | None
    reports: int = 0


def list_gates(project: Project, *, eval_set: EvalSet | None = None, with_archived: bool = False) -> list[GateLine]:
    """The project's gates in the order of their names, in two queries."""
    newest = GateReport.objects.filter(gate=OuterRef("pk")).order_by("-made_at", "-pk").values("pk")[:1]
    rows = Gate.objects.filter(project=project).select_related("eval_set")
    rows = rows.annotate(newest=Subquery(newest), report_count=Count("reports"))
    if eval_set is not None:
        rows = rows.filter(eval_set=eval_set)
    if not with_archived:
        rows = rows.filter(archived_at=None)
    gates = list(rows.order_by("name", "slug"))
    wanted = [gate.newest for gate in gates if gate.newest]
    reports = {one.pk: one for one in _reports().filter(pk__in=wanted)}
    return [
        GateLine(
            gate,
            config_of(gate),
            view_of(reports[gate.newest]) if gate.newest in reports else None,
            gate.report_count,
        )
        for gate in gates
    ]


def list_reports(gate: Gate, *, before: UUID | None = None, limit: int = PAGE_SIZE) -> list[ReportView]:
    """The gate's reports, newest first; with `before`, those that are older than that one."""
    rows = _reports().filter(gate=gate).order_by("-made_at", "-pk")
    if before is not None:
        rows = rows.filter(made_at__lt=get_report(gate.project, before).report.made_at)
    return [view_of(one) for one in rows[:limit]]


def get_report(project: Project, uuid: UUID) -> ReportView:
    """The project's report of this id. Raises NotFound."""
    found = _reports().filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such gate report in this project.")
    return view_of(found)


def _reports() -> QuerySet[GateReport]:
    return GateReport.objects.select_related("gate", "gate__eval_set", "run", "baseline").defer(*HEAVY)


@dataclass(frozen=True, slots=True)
class RunGate:
    """A gate of a run's set, and what it last said of that run."""

    gate: Gate
    report: ReportView | None


def gates_of_run(run: EvalRun) -> list[RunGate]:
    """The gates over the run's set, and their newest verdicts on the run; the one that started it comes first."""
    gates = list(
        Gate.objects.filter(project_id=run.project_id, eval_set_id=run.eval_set_id, archived_at=None).order_by("name")
    )
    gates.sort(key=lambda gate: gate.pk != run.gate_id)
    rows = _reports().filter(run=run).order_by("gate_id", "-made_at", "-pk").distinct("gate_id")
    reports = {one.gate_id: view_of(one) for one in rows}
    return [RunGate(gate, reports.get(gate.pk)) for gate in gates]


def newest_report(gate: Gate, run: EvalRun) -> ReportView | None:
    """What the gate last said of the run; None before it was checked."""
    found = _reports().filter(gate=gate, run=run).order_by("-made_at", "-pk").first()
    return None if found is None else view_of(found)


def checkable_runs(gate: Gate, limit: int = 50) -> list[EvalRun]:
    """Runs over the gate's set that ended, newest first."""
    ends = [state.value for state in RunState if state.is_end]
    rows = EvalRun.objects.filter(project_id=gate.project_id, eval_set_id=gate.eval_set_id, state__in=ends)
    return list(rows.defer("content", "summary", "estimate").order_by("-number")[:limit])


def newest_run_for(gate: Gate, *, version: Version, model: str) -> EvalRun | None:
    """The newest run that the gate started of this version over the set as it is now, unless it ended early.

    One over a part of the set, with drafts, or with other parameters than the version's is none that the gate asks for.
    """
    head = head_of(gate.eval_set)
    if head is None:
        return None
    rows = EvalRun.objects.filter(
        project_id=gate.project_id,
        gate=gate,
        version=version,
        revision_hash=head.content_hash,
        slices=[],
        with_drafts=False,
        parameters=dict(version.body.parameters),
    ).exclude(state__in=[RunState.FAILED.value, RunState.CANCELED.value, RunState.OVER_BUDGET.value])
    if model:
        rows = rows.filter(model=model)
    for run in rows.order_by("-number")[:10]:
        if used_versions(run) == wanted_versions(gate):
            return run
    return None


def head_of(eval_set: EvalSet) -> Revision | None:
    """The newest revision of the set; None before the first."""
    return Revision.objects.filter(eval_set=eval_set, number=eval_set.head).first()


def used_versions(run: EvalRun) -> dict[str, str]:
    """The settings' hash of each scorer of the run, by slug."""
    return dict(run.scorers.values_list("slug", "version__config_hash"))


def wanted_versions(gate: Gate) -> dict[str, str]:
    """The settings' hash of each scorer that the gate asks for, by slug; one that is not there any more is left out."""
    return {slug: version.config_hash for slug, version in versions_wanted(gate.project, config_of(gate)).items()}


def versions_wanted(project: Project, config: GateConfig) -> dict[str, ScorerVersion]:
    """The versions that the conditions name; without a number the newest. Archived scorers are left out."""
    slugs = [one.slug for one in config.scorers]
    rows = ScorerVersion.objects.filter(project=project, scorer__slug__in=slugs, scorer__archived_at=None)
    by_number: Mapping[tuple[str, int], ScorerVersion] = {
        (row.scorer.slug, row.number): row for row in rows.select_related("scorer")
    }
    heads = {slug: max((number for name, number in by_number if name == slug), default=0) for slug in slugs}
    wanted = {one.slug: by_number.get((one.slug, one.version or heads[one.slug])) for one in config.scorers}
    return {slug: version for slug, version in wanted.items() if version is not None}


def list_environments(project: Project) -> list[Environment]:
    """The project's environments, for choosing where a baseline is live."""
    return list(Environment.objects.filter(project=project).order_by("position", "slug"))


JUDGED_WITHIN = timedelta(days=1)


def list_unjudged(*, now: datetime) -> list[EvalRun]:
    """Runs that were started for a gate, ended within the last day, and have no report of that gate."""
    reports = GateReport.objects.filter(run=OuterRef("pk"), gate=OuterRef("gate"))
    ended = EvalRun.objects.filter(~Exists(reports), gate__archived_at=None, ended_at__gt=now - JUDGED_WITHIN)
    return list(ended.filter(gate__isnull=False).select_related("gate").order_by("ended_at")[:100])

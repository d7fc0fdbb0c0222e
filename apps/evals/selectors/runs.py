"""Reads of runs: one, a list by filter, how far one is, and what it may be compared with. The project comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from apps.core.errors import NotFound
from apps.evals.models import EvalRun, EvalSet, Gate, RunScorer
from apps.evals.summary import ScoreSummary, Summary
from apps.evals.types import RunKind, RunState
from apps.projects.models import Project
from apps.prompts.models import Deployment, Prompt

PAGE_SIZE = 50
CHOICES_SHOWN = 200
COMPARABLE_SHOWN = 100
PROMPTS_OFFERED = 500
LARGEST_NUMBER = 2**31 - 1
HEAVY = ("content",)
"""Columns that lists do not show."""


# --- One run ------------------------------------------------------------------------------------------------


def get_run(project: Project, which: int | str | UUID) -> EvalRun:
    """The project's run with this number or id. Raises NotFound."""
    rows = EvalRun.objects.select_related("project", "eval_set", "gate").filter(project=project)
    text = str(which)
    found = None
    if text.isascii() and text.isdecimal() and int(text) <= LARGEST_NUMBER:
        found = rows.filter(number=int(text)).first()
    elif (uuid := _uuid(text)) is not None:
        found = rows.filter(uuid=uuid).first()
    if found is None:
        raise NotFound(f"There is no eval run {text[:64]} in this project.")
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def scorers_of(run: EvalRun) -> list[RunScorer]:
    """The scorers of the run with their versions, in their order."""
    return list(RunScorer.objects.filter(run=run).select_related("version", "version__scorer").order_by("position"))


def scorers_by_run(found: Sequence[EvalRun]) -> dict[int, list[RunScorer]]:
    """The scorers of these runs by the runs' keys. One query."""
    rows = RunScorer.objects.filter(run__in=found).select_related("version").order_by("position")
    by_run: dict[int, list[RunScorer]] = {run.pk: [] for run in found}
    for row in rows:
        by_run[row.run_id].append(row)
    return by_run


def summary_of(run: EvalRun) -> Summary | None:
    """What the run says in numbers; None until it ended."""
    return None if run.summary is None else Summary.from_dict(run.summary)


def run_with_scorers(project: Project, number: str) -> tuple[EvalRun, list[RunScorer]]:
    """The project's run of this number with its scorers, in one query. Raises NotFound."""
    found: list[RunScorer] = []
    if number.isascii() and number.isdecimal() and int(number) <= LARGEST_NUMBER:
        rows = RunScorer.objects.filter(run__project=project, run__number=int(number))
        found = list(rows.select_related("run", "run__eval_set", "run__gate").order_by("position"))
    if not found:
        raise NotFound(f"There is no eval run {number[:64]} in this project.")
    return found[0].run, found


def prompt_names(project: Project) -> list[str]:
    """The names of the project's prompts that can be run, in their order."""
    names = Prompt.objects.filter(project=project, archived_at=None).order_by("name").values_list("name", flat=True)
    return list(names[:PROMPTS_OFFERED])


def gate_names(project: Project) -> list[tuple[str, str]]:
    """Slug and name of the project's gates, in the order of their names."""
    rows = Gate.objects.filter(project=project, archived_at=None).order_by("name", "slug")
    return list(rows.values_list("slug", "name")[:CHOICES_SHOWN])


# --- Lists --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; empty fields do not filter."""

    eval_set: str = ""
    prompt: str = ""
    version: str = ""
    model: str = ""
    state: str = ""

    @property
    def is_empty(self) -> bool:
        """True when it finds everything."""
        return not (self.eval_set or self.prompt or self.version or self.model or self.state)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run as lists show it. Figures are None until it ended, and where there are none."""

    run: EvalRun
    summary: Summary | None

    @property
    def overall(self) -> ScoreSummary | None:
        """Everything together."""
        return None if self.summary is None else self.summary.overall

    @property
    def is_open(self) -> bool:
        """True while it goes on."""
        return not RunState(self.run.state).is_end

    @property
    def ended(self) -> int:
        """Results nothing more happens with."""
        return self.run.done + self.run.failed

    @property
    def spent_usd(self) -> Decimal:
        """What was paid for answers and judges."""
        return self.run.spent_usd + self.run.judge_spent_usd

    @property
    def unscored(self) -> int:
        """How many results have no output, or no score although there should be one."""
        if self.summary is None:
            return 0
        return self.summary.failed + self.summary.overall.errors


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first. `next` is the number to go on before, None at the end."""

    items: list[RunLine] = field(default_factory=list)
    next: int | None = None


def list_runs(
    project: Project, *, where: RunFilter = RunFilter(), before: int | None = None, limit: int = PAGE_SIZE
) -> RunPage:
    """Runs of the project, newest first."""
    rows = _matching(EvalRun.objects.filter(project=project), where)
    if before is not None:
        rows = rows.filter(number__lt=min(before, LARGEST_NUMBER))
    found = list(rows.select_related("eval_set").defer(*HEAVY).order_by("-number")[: limit + 1])
    following = found[limit - 1].number if len(found) > limit else None
    return RunPage([run_line(run) for run in found[:limit]], following)


def run_line(run: EvalRun) -> RunLine:
    """One run as lists show it."""
    return RunLine(run, summary_of(run))


def _matching(rows: QuerySet[EvalRun], where: RunFilter) -> QuerySet[EvalRun]:
    named = {
        "eval_set__slug": where.eval_set,
        "prompt_name": where.prompt,
        "prompt_version": where.version,
        "model": where.model,
        "state": where.state,
    }
    if any("\x00" in value for value in named.values()):
        return rows.none()
    return rows.filter(**{name: value for name, value in named.items() if value})


@dataclass(frozen=True, slots=True)
class RunChoices:
    """What the list can be filtered by: what the project's runs have."""

    sets: tuple[tuple[str, str], ...]
    prompts: tuple[str, ...]
    models: tuple[str, ...]


def run_choices(project: Project) -> RunChoices:
    """The sets, prompts and models of the project's runs."""
    rows = EvalRun.objects.filter(project=project)
    sets = EvalSet.objects.filter(pk__in=rows.values("eval_set")).order_by("name", "slug").values_list("slug", "name")
    names = rows.exclude(prompt_name="").order_by("prompt_name").values_list("prompt_name", flat=True).distinct()
    models = rows.exclude(model="").order_by("model").values_list("model", flat=True).distinct()
    return RunChoices(tuple(sets[:CHOICES_SHOWN]), tuple(names[:CHOICES_SHOWN]), tuple(models[:CHOICES_SHOWN]))


def has_runs(project: Project) -> bool:
    """True once there was a run."""
    return EvalRun.objects.filter(project=project).exists()


# --- How far a run is ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. Rate and time left are None until something can be said of them."""

    total: int
    done: int
    failed: int
    from_cache: int
    spent_usd: Decimal
    budget_usd: Decimal | None
    is_lower_bound: bool
    """True when some calls have no known price."""
    rate: float | None
    """Results a second since the run began."""
    left_ms: int | None

    @property
    def ended(self) -> int:
        """Results nothing more happens with."""
        return self.done + self.failed

    @property
    def share(self) -> float:
        """How much of it is through, 0..1."""
        return self.ended / self.total if self.total else 0.0

    @property
    def budget_share(self) -> Decimal | None:
        """How much of the budget is spent, 0..1 and more; None without one."""
        return self.spent_usd / self.budget_usd if self.budget_usd else None


def progress_of(run: EvalRun, now: datetime) -> Progress:
    """How far the run is at this moment."""
    ended = run.done + run.failed
    seconds = (now - run.started_at).total_seconds() if run.started_at is not None else 0.0
    rate = ended / seconds if ended and seconds > 0 else None
    left = max(run.total - ended, 0)
    return Progress(
        total=run.total,
        done=run.done,
        failed=run.failed,
        from_cache=run.from_cache,
        spent_usd=run.spent_usd + run.judge_spent_usd,
        budget_usd=run.budget_usd,
        is_lower_bound=run.unpriced_calls > 0,
        rate=rate,
        left_ms=None if rate is None else round(left / rate * 1000),
    )


# --- What to compare with -----------------------------------------------------------------------------------


def comparable_runs(run: EvalRun, limit: int = COMPARABLE_SHOWN) -> list[EvalRun]:
    """Other runs over the same set that ended with figures, newest first. `is_live` of each says whether its version
    is live now, in the run's environment if it names one."""
    live = Deployment.objects.filter(version=OuterRef("version"), ended_at=None)
    if run.environment:
        live = live.filter(environment__slug=run.environment)
    rows = EvalRun.objects.filter(project_id=run.project_id, eval_set_id=run.eval_set_id, summary__isnull=False)
    rows = rows.exclude(pk=run.pk).annotate(is_live=Exists(live))
    return list(rows.defer(*HEAVY, "summary", "estimate").order_by("-number")[:limit])


def baseline_of(run: EvalRun, others: Sequence[EvalRun] | None = None) -> EvalRun | None:
    """What the run is best compared with: the newest run over the same set of another version of its prompt that is
    live now, else the newest run before this one. None when there is neither. `others`: the comparable runs, when
    they are known already."""
    known = comparable_runs(run) if others is None else others
    for one in known:
        is_own = one.prompt_name == run.prompt_name and one.version_id != run.version_id
        if run.kind == RunKind.MODEL.value and is_own and one.__dict__["is_live"]:
            return one
    return next((one for one in known if one.number < run.number), None)


# --- Runs of a prompt ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionEvals:
    """The runs of one version of a prompt, newest first."""

    version: str
    lines: tuple[RunLine, ...]


def runs_of_prompt(project: Project, prompt: str, limit: int = PAGE_SIZE) -> list[VersionEvals]:
    """The newest run of each version, set and model, by version; the version that was run last comes first."""
    rows = EvalRun.objects.filter(project=project, prompt_name=prompt).select_related("eval_set").defer(*HEAVY)
    newest = rows.order_by("prompt_version", "eval_set_id", "model", "-number")
    chosen = newest.distinct("prompt_version", "eval_set_id", "model").values("pk")
    found = [run_line(run) for run in rows.filter(pk__in=chosen).order_by("-number")[:limit]]
    return _by_version(found)


def _by_version(lines: Iterable[RunLine]) -> list[VersionEvals]:
    grouped: dict[str, list[RunLine]] = {}
    for line in lines:
        grouped.setdefault(line.run.prompt_version, []).append(line)
    return [VersionEvals(version, tuple(own)) for version, own in grouped.items()]

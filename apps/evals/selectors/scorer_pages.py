"""What the pages of scorers show beside them: where they are used, what they said, examples to try them on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.db.models import Avg, Count, Q

from apps.core.errors import NotFound
from apps.evals.models import EvalRun, Example, ResultScore, RunScorer, Scorer
from apps.evals.selectors.calibrations import licenses
from apps.evals.selectors.scorers import ScorerLine, list_scorers
from apps.evals.types import Case
from apps.projects.models import Project

EXAMPLES_SHOWN = 40
RUNS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ShownScorer:
    """A scorer in the list. `is_licensed` is whether it may decide a gate, `why` a sentence; `runs` used it."""

    line: ScorerLine
    group: str
    runs: int
    is_licensed: bool
    why: str


@dataclass(frozen=True, slots=True)
class RunOfScorer:
    """What a scorer said in one run. `mean` is over what it scored, None when that is nothing."""

    run: EvalRun
    version: int
    mean: float | None
    scored: int
    not_scored: int
    errors: int


def shown_lines(project: Project, *, with_archived: bool) -> list[ShownScorer]:
    """The project's scorers with what the list shows of them, in the order of their names."""
    lines = list_scorers(project, with_archived=with_archived)
    used = (
        RunScorer.objects.filter(project=project).values("version__scorer").annotate(runs=Count("run", distinct=True))
    )
    runs = {row["version__scorer"]: row["runs"] for row in used}
    found = licenses([line.version for line in lines])
    return [
        ShownScorer(line, line.kind.group if line.kind else "", runs.get(line.scorer.pk, 0), *found[line.version.pk])
        for line in lines
    ]


def runs_of(scorer: Scorer) -> list[RunOfScorer]:
    """The last runs that used the scorer, newest first, with what it said in them."""
    rows = RunScorer.objects.filter(version__scorer=scorer).select_related("run", "run__eval_set", "version")
    shown = list(rows.defer("run__content", "run__summary", "run__estimate").order_by("-run__created_at")[:RUNS_SHOWN])
    said = (
        ResultScore.objects.filter(scorer__in=[row.pk for row in shown])
        .values("scorer")
        .annotate(
            mean=Avg("value"),
            scored=Count("pk", filter=Q(state="scored")),
            not_scored=Count("pk", filter=Q(state="not_scored")),
            errors=Count("pk", filter=Q(state="error")),
        )
    )
    counts = {row["scorer"]: row for row in said}
    nothing = {"mean": None, "scored": 0, "not_scored": 0, "errors": 0}
    found = []
    for row in shown:
        told = counts.get(row.pk, nothing)
        figures = (told["mean"], told["scored"], told["not_scored"], told["errors"])
        found.append(RunOfScorer(row.run, row.version.number, *figures))
    return found


def example_choices(project: Project) -> list[tuple[str, str]]:
    """Examples that were changed last, as choices: the uuid, and the set with the key."""
    rows = Example.objects.filter(project=project, until=None, eval_set__archived_at=None).order_by("-pk")
    told = rows.values_list("uuid", "eval_set__slug", "key")[:EXAMPLES_SHOWN]
    return [(str(uuid), f"{slug} / {key}"[:120]) for uuid, slug, key in told]


def with_example(project: Project, uuid: str, case: Case) -> Case:
    """The case with the input, expectation and documents of an example, as far as they were not typed. Raises
    NotFound."""
    row = Example.objects.filter(project=project, uuid=uuid).first()
    if row is None:
        raise NotFound("There is no such example any more.")
    return replace(
        case,
        variables=case.variables or row.variables,
        messages=tuple(row.messages or ()),
        expected=row.expected if case.expected is None else case.expected,
        context=case.context or tuple(row.context),
        metadata=row.metadata,
    )

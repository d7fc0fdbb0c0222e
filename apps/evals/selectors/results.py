"""Reads of results: a page of them with the worst first, one with its repetitions, and one example over runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FloatField,
    Func,
    Min,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Left

from apps.core.errors import Invalid, NotFound
from apps.evals.models import EvalRun, EvalSet, Example, Result, ResultScore, RunScorer
from apps.evals.types import ResultState, ScoreState

PAGE_SIZE = 50
START_LENGTH = 240
HISTORY_SHOWN = 30
SHOWS = ("failed", "passed", "not_scored", "error", "waiting")
CURVE_POINTS = 101
GROUPS = 4
LARGEST_ID = 2**63 - 1

WORST_FIRST = """
WITH examples AS (SELECT example_id, avg(value) AS value FROM evals_result
                  WHERE run_id = %s AND value IS NOT NULL GROUP BY example_id)
SELECT percentile_cont(%s::float8[]) WITHIN GROUP (ORDER BY value) FROM examples
"""


GROUP = Case(
    When(state=ResultState.FAILED, then=Value(0)),
    When(is_passed=False, then=Value(1)),
    When(is_passed=True, then=Value(3)),
    default=Value(2),
)
"""In which order results are shown: no output, failing, undecided, passing."""

WORTH = Case(
    When(Q(state=ResultState.FAILED) | Q(is_passed=None), then=Value(0.0)),
    default=Coalesce("value", -1.0),
    output_field=FloatField(),
)
"""And within one of these: the lowest value first; -1 without one."""


# --- What is asked for --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Which results; empty fields do not filter.

    `show` is one of SHOWS: of everything together, or of the scorer when one is named. `error` are results without an
    output and those that a scorer failed on; `waiting` those nothing was decided of yet. `text` is looked for in key
    and output. `against`: only examples that fail here and passed throughout in that run.
    """

    show: str = ""
    scorer: str = ""
    slice: str = ""
    text: str = ""
    key: str = ""
    against: EvalRun | None = None

    @property
    def is_empty(self) -> bool:
        """True when it finds everything."""
        return not (self.show or self.scorer or self.slice or self.text or self.key or self.against)


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """What one scorer said of one result; `is_passed` None when it gave no score."""

    slug: str
    kind: str
    threshold: float
    row: ResultScore

    @property
    def is_passed(self) -> bool | None:
        """Whether the value reaches the threshold."""
        return None if self.row.value is None else self.row.value >= self.threshold


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A result as lists show it. `start` and `said` are the first characters of input and output."""

    result: Result
    key: str
    slices: tuple[str, ...]
    start: str
    said: str
    scores: tuple[ScoreLine, ...]

    @property
    def reason(self) -> str:
        """Why it is as it is, in a sentence: that of no output, else of the worst scorer."""
        if self.result.state == ResultState.FAILED.value:
            return self.result.error or self.result.error_code
        unscored = next((one for one in self.scores if one.row.state != ScoreState.SCORED.value), None)
        if self.result.is_passed is None and unscored is not None:
            return unscored.row.reason
        known = [one for one in self.scores if one.row.value is not None]
        return min(known, key=lambda one: one.row.value or 0.0).row.reason if known else ""


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Some results, worst first, and the cursor to go on with; None at the end."""

    items: list[ResultLine] = field(default_factory=list)
    next: str | None = None


# --- Pages --------------------------------------------------------------------------------------------------


def list_results(
    run: EvalRun,
    scorers: Sequence[RunScorer],
    *,
    where: ResultFilter = ResultFilter(),
    cursor: str = "",
    limit: int = PAGE_SIZE,
    whole: bool = False,
) -> ResultPage:
    """Results in the order in which somebody wants to see them: without an output, failing with the lowest value
    first, undecided, passing. `whole` brings outputs and messages whole. Raises Invalid for an unknown cursor.
    """
    places = _places(_matching(run, scorers, where), _read(cursor) if cursor else None, limit + 1)
    rows = Result.objects.filter(pk__in=places).annotate(group=GROUP, worth=WORTH).order_by("group", "worth", "pk")
    found = list(_shaped(rows, whole=whole)[: limit + 1])
    last = found[limit - 1].__dict__ if len(found) > limit else None
    following = None if last is None else f"{last['group']}:{last['worth']!r}:{last['id']}"
    return ResultPage(lines_of(found[:limit], scorers), following)


class _Place(NamedTuple):
    """Where a result stands in the order."""

    group: int
    worth: float
    pk: int


def _places(rows: QuerySet[Result], after: _Place | None, limit: int) -> QuerySet[Result, Any]:
    """The keys of at least the first results after a place. Each part of the statement is read by an index."""
    parts = []
    for at, group in enumerate(_groups(rows)):
        if after is not None and at < after.group:
            continue
        if after is not None and at == after.group:
            group = group.filter(Q(worth__gt=after.worth) | Q(worth=after.worth, pk__gt=after.pk))
        parts.append(group.order_by("worth", "pk").values("pk")[:limit])
    return parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]


def _groups(rows: QuerySet[Result]) -> list[QuerySet[Result]]:
    """The rows by how they came out, in the order of GROUP."""
    with_output = rows.exclude(state=ResultState.FAILED)
    return [
        rows.filter(state=ResultState.FAILED).alias(worth=Value(0.0)),
        with_output.filter(is_passed=False).alias(worth=Coalesce("value", -1.0)),
        with_output.filter(is_passed=None).alias(worth=Value(0.0)),
        with_output.filter(is_passed=True).alias(worth=Coalesce("value", -1.0)),
    ]


def _read(cursor: str) -> _Place:
    try:
        place, value, pk = cursor.split(":")
        told = _Place(int(place), float(value), int(pk))
    except ValueError as error:
        raise Invalid("This cursor is none that a page gave.", cursor=["Take the one of the last page."]) from error
    if not (0 <= told.group < GROUPS and -1.0 <= told.worth <= 1.0 and 0 <= told.pk <= LARGEST_ID):
        raise Invalid("This cursor is none that a page gave.", cursor=["Take the one of the last page."])
    return told


def _matching(run: EvalRun, scorers: Sequence[RunScorer], where: ResultFilter) -> QuerySet[Result]:
    rows = Result.objects.filter(run=run)
    if any("\x00" in text for text in (where.text, where.slice, where.key)):
        return rows.none()
    scorer = next((one for one in scorers if one.slug == where.scorer), None)
    if where.scorer and scorer is None:
        return rows.none()
    if where.show:
        rows = rows.filter(_shown(where.show) if scorer is None else _shown_by(where.show, scorer))
    if where.slice:
        rows = rows.filter(example__slices__contains=[where.slice])
    if where.key:
        rows = rows.filter(example__key=where.key)
    for word in where.text.split()[:10]:
        rows = rows.filter(Q(example__key__icontains=word) | Q(output__icontains=word))
    if where.against is not None:
        rows = rows.filter(is_passed=False, example__key__in=_passed_throughout(where.against))
    return rows


def _shown(show: str) -> Q:
    """Results of which this holds, everything together."""
    decided = Q(state=ResultState.DONE.value)
    errors = Exists(ResultScore.objects.filter(result=OuterRef("pk"), state=ScoreState.ERROR.value))
    if show == "passed":
        return Q(is_passed=True)
    if show == "failed":
        return Q(is_passed=False)
    if show == "error":
        return Q(state=ResultState.FAILED.value) | (decided & Q(errors))
    if show == "not_scored":
        unscored = ResultScore.objects.filter(result=OuterRef("pk"), state=ScoreState.NOT_SCORED.value)
        return decided & Q(Exists(unscored))
    return Q(state__in=[state.value for state in ResultState if state not in (ResultState.DONE, ResultState.FAILED)])


def _shown_by(show: str, scorer: RunScorer) -> Q:
    """Results of which this holds for one scorer."""
    scores = ResultScore.objects.filter(result=OuterRef("pk"), scorer=scorer)
    if show == "passed":
        return Q(Exists(scores.filter(value__gte=scorer.threshold)))
    if show == "failed":
        return Q(Exists(scores.filter(value__lt=scorer.threshold)))
    if show == "error":
        return Q(state=ResultState.FAILED.value) | Q(Exists(scores.filter(state=ScoreState.ERROR.value)))
    if show == "not_scored":
        return Q(Exists(scores.filter(state=ScoreState.NOT_SCORED.value)))
    return ~Q(Exists(scores)) & ~Q(state=ResultState.FAILED.value)


def _passed_throughout(run: EvalRun) -> QuerySet[Result, Any]:
    """Keys of the examples that passed in every repetition of the run."""
    rows = Result.objects.filter(run=run)
    others = rows.filter(Q(is_passed=False) | Q(is_passed=None)).values("example_id")
    return rows.filter(is_passed=True).exclude(example_id__in=others).values("example__key")


def _shaped(rows: QuerySet[Result], *, whole: bool) -> QuerySet[Result]:
    """With the example beside; unless whole, with the starts of long texts in place of them."""
    rows = rows.select_related("example")
    if whole:
        return rows
    told = Func(
        "example__variables",
        template="(SELECT string_agg(value, ' · ') FROM jsonb_each_text(%(expressions)s))",
        output_field=TextField(),
    )
    start = Coalesce(told, Cast("example__messages", TextField()), Value(""))
    rows = rows.annotate(start=Left(start, START_LENGTH), said=Left("output", START_LENGTH))
    names = [name.name for name in Example._meta.concrete_fields if name.name not in ("id", "key", "slices")]
    return rows.defer("output", "tool_calls", "steps", *(f"example__{name}" for name in names))


def lines_of(rows: Sequence[Result], scorers: Sequence[RunScorer]) -> list[ResultLine]:
    """The results with their scores in the order of the run's scorers. One query."""
    by_scorer = {scorer.pk: scorer for scorer in scorers}
    scores: dict[int, list[ScoreLine]] = {}
    for score in ResultScore.objects.filter(result__in=[row.pk for row in rows]):
        scorer = by_scorer.get(score.scorer_id)
        if scorer is not None:
            line = ScoreLine(scorer.slug, scorer.kind, scorer.threshold, score)
            scores.setdefault(score.result_id, []).append(line)
    order = {scorer.slug: place for place, scorer in enumerate(scorers)}
    return [_line(row, sorted(scores.get(row.pk, ()), key=lambda one: order[one.slug])) for row in rows]


def _line(row: Result, scores: Iterable[ScoreLine]) -> ResultLine:
    told = row.__dict__
    return ResultLine(
        result=row,
        key=row.example.key,
        slices=tuple(row.example.slices),
        start=str(told.get("start") or ""),
        said=str(told.get("said") if "said" in told else row.output),
        scores=tuple(scores),
    )


@dataclass(frozen=True, slots=True)
class ResultCounts:
    """How many results there are of each kind; one may be of several."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    no_output: int = 0
    undecided: int = 0


def count_results(run: EvalRun) -> ResultCounts:
    """How the results of the run came out. One query."""
    failed = Q(state=ResultState.FAILED.value)
    told = Result.objects.filter(run=run).aggregate(
        total=Count("pk"),
        passed=Count("pk", filter=Q(is_passed=True)),
        failed=Count("pk", filter=Q(is_passed=False)),
        no_output=Count("pk", filter=failed),
        undecided=Count("pk", filter=Q(is_passed=None) & ~failed),
    )
    return ResultCounts(**told)


def worst_first(run: EvalRun) -> list[float]:
    """The scores of the run's examples, from the worst to the best, at each percentile; empty without scores."""
    shares = [at / (CURVE_POINTS - 1) for at in range(CURVE_POINTS)]
    with connection.cursor() as cursor:
        cursor.execute(WORST_FIRST, [run.pk, shares])
        found = cursor.fetchone()[0]
    return [] if found is None else [float(value) for value in found]


# --- One result ---------------------------------------------------------------------------------------------


def results_of_example(
    run: EvalRun, key: str, scorers: Sequence[RunScorer], *, beside: EvalRun | None = None
) -> tuple[list[ResultLine], list[Result]]:
    """What came out for the example in each repetition, whole; and the same of another run over the set, without its
    scores. Raises NotFound when the run does not hold the example."""
    rows: list[Result] = []
    if "\x00" not in key:
        both = [run.pk] if beside is None else [run.pk, beside.pk]
        found = Result.objects.filter(run__in=both, example__key=key, example__eval_set_id=run.eval_set_id)
        rows = list(found.select_related("example").order_by("repetition"))
    own = [row for row in rows if row.run_id == run.pk]
    if not own:
        raise NotFound(f"Run {run.number} holds no example {key[:100]}.")
    return lines_of(own, scorers), [row for row in rows if row.run_id != run.pk]


@dataclass(frozen=True, slots=True)
class PastResult:
    """What came out for an example in one run; with repetitions, how many of them passed."""

    number: int
    prompt_version: str
    model: str
    value: float | None
    passed: int
    judged: int
    results: int
    without_output: int


def history_of(eval_set: EvalSet, key: str, limit: int = HISTORY_SHOWN) -> list[PastResult]:
    """The example in the runs that held it, newest first."""
    if "\x00" in key:
        return []
    rows = Result.objects.filter(example__eval_set=eval_set, example__key=key).values("run_id")
    told = rows.annotate(
        number=F("run__number"),
        prompt_version=F("run__prompt_version"),
        model=F("run__model"),
        worst=Min("value"),
        passed=Count("pk", filter=Q(is_passed=True)),
        judged=Count("pk", filter=Q(is_passed__isnull=False)),
        results=Count("pk"),
        without_output=Count("pk", filter=Q(state=ResultState.FAILED.value)),
    )
    names = ("number", "prompt_version", "model", "worst", "passed", "judged", "results", "without_output")
    return [PastResult(*one) for one in told.order_by("-number").values_list(*names)[:limit]]

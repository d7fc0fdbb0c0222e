"""Reads for comparisons: a run's results as numbers, runs to choose from, answers side by side, a feature's traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from apps.evals.models import Comparison as ComparisonRow
from apps.evals.models import EvalRun, Result, ResultScore, RunScorer
from apps.evals.summary import Item, ItemScore, ScorerFacts
from apps.evals.types import RunKind, RunState, ScoreState
from apps.projects.models import Project
from apps.prompts.selectors import get_prompt, versions
from apps.telemetry.figures import Filters
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.types import DEFAULT_SOURCE

TRAFFIC_DAYS = 30
CHOICES = 200
ENDS = tuple(state.value for state in RunState if state.is_end)
COLUMNS = (
    "pk",
    "example__key",
    "example__content_hash",
    "example__slices",
    "repetition",
    "is_passed",
    "error_code",
    "latency_ms",
    "ttft_ms",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "is_from_cache",
)


# --- A run in numbers ---------------------------------------------------------------------------------------


def facts_of(run: EvalRun) -> tuple[ScorerFacts, ...]:
    """The run's scorers. Two are the same when they are of one scorer and one version's settings."""
    rows = RunScorer.objects.filter(run=run).select_related("version__scorer").order_by("position")
    return tuple(
        ScorerFacts(
            slug=row.slug,
            kind=row.kind,
            title=row.version.scorer.name,
            threshold=row.threshold,
            identity=f"{row.version.scorer_id}:{row.version.config_hash}",
        )
        for row in rows
    )


def items_of(run: EvalRun) -> list[Item]:
    """The run's results with their scores, without their texts."""
    scores: dict[int, dict[str, ItemScore]] = {}
    rows = ResultScore.objects.filter(run=run).values_list("result_id", "scorer__slug", "state", "value")
    for result, slug, state, value in rows.iterator(chunk_size=5000):
        scores.setdefault(result, {})[slug] = ItemScore(ScoreState(state), value)
    results = Result.objects.filter(run=run).values_list(*COLUMNS)
    return [
        Item(
            key=key,
            scores=scores.get(pk, {}),
            repetition=repetition,
            content_hash=content_hash,
            slices=tuple(slices),
            is_passed=is_passed,
            error_code=error_code,
            latency_ms=latency_ms,
            ttft_ms=ttft_ms,
            cost_usd=cost_usd,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            is_from_cache=is_from_cache,
        )
        for (
            pk, key, content_hash, slices, repetition, is_passed, error_code, latency_ms, ttft_ms, cost_usd,
            input_tokens, output_tokens, is_from_cache,
        ) in results.iterator(chunk_size=5000)
    ]  # fmt: skip


def kept_comparison(candidate: EvalRun, baseline: EvalRun, settings_hash: str) -> ComparisonRow | None:
    """The comparison as it was computed before, or waits."""
    return ComparisonRow.objects.filter(candidate=candidate, baseline=baseline, settings_hash=settings_hash).first()


# --- Choosing -----------------------------------------------------------------------------------------------


def ended_runs(project: Project, *, like: EvalRun | None = None) -> list[EvalRun]:
    """The newest runs that ended, over the set of `like` when given."""
    rows = EvalRun.objects.filter(project=project, state__in=ENDS)
    if like is not None:
        rows = rows.filter(eval_set_id=like.eval_set_id)
    return list(rows.select_related("eval_set").defer("content", "estimate", "summary").order_by("-number")[:CHOICES])


def fitting_run(
    project: Project, *, eval_set: str, prompt: str, version: str, model: str, scorers: Sequence[str]
) -> EvalRun | None:
    """The newest run of this version and model over the newest revision of the set, with these scorers at their newest
    versions, that finished or still goes on; None when there is none that fits."""
    rows = EvalRun.objects.filter(
        project=project,
        kind=RunKind.MODEL.value,
        eval_set__slug=eval_set,
        prompt_name=prompt,
        prompt_version=version,
        model=model,
        slices=[],
        with_drafts=False,
        state__in=(RunState.QUEUED.value, RunState.RUNNING.value, RunState.FINISHED.value),
    )
    for run in rows.select_related("eval_set").order_by("-number")[:10]:
        used = RunScorer.objects.filter(run=run).select_related("version__scorer")
        newest = {row.slug for row in used if row.version.number == row.version.scorer.head}
        if run.revision == run.eval_set.head and newest == set(scorers) and not run.failed:
            return run
    return None


def newest_version(project: Project, prompt: str) -> str:
    """The newest version of the prompt. Raises NotFound."""
    return str(versions.get_version(get_prompt(project, prompt), versions.LATEST).number)


# --- Answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run answered to an example: its worst repetition, and the reason of its worst scorer."""

    text: str
    value: float | None
    is_passed: bool | None
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Both runs' answers to one example; None where there is none."""

    baseline: Answer | None
    candidate: Answer | None


MOST_TEXT = 4_000


def answers_of(candidate: EvalRun, baseline: EvalRun, keys: Sequence[str]) -> Mapping[str, AnswerPair]:
    """The answers of both runs to some examples, by key, each at most 4,000 characters."""
    rows = Result.objects.filter(run__in=(candidate, baseline), example__key__in=keys).select_related("example")
    found: dict[tuple[int, str], Result] = {}
    for row in rows:
        place = (row.run_id, row.example.key)
        if place not in found or _badness(row) < _badness(found[place]):
            found[place] = row
    reasons = _reasons([row.pk for row in found.values()])
    answers = {place: _answer(row, reasons.get(row.pk, "")) for place, row in found.items()}
    return {key: AnswerPair(answers.get((baseline.pk, key)), answers.get((candidate.pk, key))) for key in keys}


def _badness(row: Result) -> float:
    return 2.0 if row.value is None else row.value


def _reasons(results: Sequence[int]) -> dict[int, str]:
    rows = ResultScore.objects.filter(result_id__in=results).order_by("-value").values_list("result_id", "reason")
    return dict(rows)


def _answer(row: Result, reason: str) -> Answer:
    return Answer(row.output[:MOST_TEXT], row.value, row.is_passed, reason[:400], row.error)


# --- Traffic ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Traffic:
    """The calls that a feature's own service made in the last 30 days, as telemetry has them: no evals, no playground.
    Cost None when none is known."""

    feature: str
    calls: int
    cost_usd: Decimal | None
    input_tokens: int
    output_tokens: int


def traffic_of(project: Project, feature: str, now: datetime) -> Traffic | None:
    """What the feature asked for in the last 30 days; None without a feature or without calls."""
    if not feature:
        return None
    total = read_figures(
        project.pk,
        start=now - timedelta(days=TRAFFIC_DAYS),
        end=now,
        filters=Filters(feature=feature, source=DEFAULT_SOURCE),
        has_lengths=False,
    ).total
    if not total.calls:
        return None
    return Traffic(feature, total.calls, total.cost_usd, total.input_tokens, total.output_tokens)

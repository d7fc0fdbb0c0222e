"""What a gate judges a run by, read from the rows of the run and of its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from apps.evals.compare import Comparison, Settings, compare
from apps.evals.gate_config import GateConfig
from apps.evals.gating import CriticalExample, Evidence, ScorerUse
from apps.evals.models import EvalRun, Gate, Result, ResultScore, RunScorer
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors.calibrations import is_licensed
from apps.evals.selectors.gates import head_of, versions_wanted
from apps.evals.selectors.runs import scorers_of, summary_of
from apps.evals.summary import Item, ItemScore, ScorerFacts, Summary, summarize
from apps.evals.types import RunKind, RunState, ScoreState
from apps.prompts.models import Deployment


@dataclass(frozen=True, slots=True)
class FoundBaseline:
    """The run to compare with, or why there is none and what to do."""

    run: EvalRun | None
    why_none: str = ""


def baseline_for(gate: Gate, config: GateConfig, run: EvalRun) -> FoundBaseline:
    """The run that the gate's conditions name as the baseline of this one."""
    ended = EvalRun.objects.filter(
        project_id=gate.project_id, eval_set_id=gate.eval_set_id, state=RunState.FINISHED.value
    ).exclude(pk=run.pk)
    wanted = config.baseline
    if wanted.kind == "run":
        found = ended.filter(number=wanted.run or 0).first()
        return FoundBaseline(
            found, "" if found else f"Run {wanted.run} is not a finished run over this set. Name another one."
        )
    if wanted.kind != "live":
        return FoundBaseline(None)
    if not run.prompt_name:
        return FoundBaseline(None, "The run is of no prompt, so nothing of it is live. Name a run as the baseline.")
    live = (
        Deployment.objects.filter(
            prompt__project_id=gate.project_id,
            prompt__name=run.prompt_name,
            environment__slug=wanted.environment,
            ended_at=None,
        )
        .select_related("version")
        .first()
    )
    if live is None:
        return FoundBaseline(
            None,
            f"Nothing of {run.prompt_name} is live in {wanted.environment}. Deploy a version there, or name a run as "
            "the baseline.",
        )
    rows = ended.filter(version=live.version)
    if run.version_id == live.version_id:
        # Another model for what is live: its runs on that model say nothing of what is live.
        rows = rows.exclude(model=run.model)
    found = rows.order_by("-number").first()
    why = f"{live.version.number}, which is live in {wanted.environment}, has no finished run over this set. Run it."
    return FoundBaseline(found, "" if found else why)


def evidence_of(gate: Gate, config: GateConfig, run: EvalRun, baseline: FoundBaseline) -> Evidence:
    """What the gate judges the run by: its deciding scorers alone, at the gate's thresholds."""
    used = scorers_of(run)
    head = head_of(gate.eval_set)
    is_over = RunState(run.state) is RunState.FINISHED
    facts = facts_of(used, config)
    items = items_of(run, facts) if is_over else []
    compared, others = None, list[Item]()
    if baseline.run is not None and is_over:
        compared, others = _compared(config, items, facts, baseline.run)
    critical = _critical(config, items, others)
    return Evidence(
        state=RunState(run.state),
        summary=_summary(config, run, items, facts) if is_over else None,
        scorers=_uses(gate, config, used),
        model=run.model,
        repetitions=run.repetitions,
        revision=run.revision,
        is_newest=head is not None and head.content_hash == run.revision_hash,
        only_slices=tuple(run.slices),
        with_drafts=run.with_drafts,
        comparison=compared,
        baseline="" if baseline.run is None else f"run {baseline.run.number}",
        why_none=baseline.why_none,
        critical=critical,
        missing_keys=tuple(sorted(set(config.critical_examples) - {item.key for item in items})),
        informing=tuple(one.slug for one in config.scorers if one.informs_only),
        remarks=_remarks(run),
    )


def _remarks(run: EvalRun) -> tuple[str, ...]:
    if run.kind == RunKind.OUTPUTS.value:
        return ("The outputs were brought along; no model was asked here.",)
    return ()


def facts_of(used: Iterable[RunScorer], config: GateConfig) -> tuple[ScorerFacts, ...]:
    """The run's scorers that decide, each with the gate's threshold where it names one."""
    wanted = {one.slug: one for one in config.deciding}
    return tuple(
        ScorerFacts(
            slug=one.slug,
            kind=one.kind,
            title=one.version.scorer.name,
            threshold=own if (own := wanted[one.slug].threshold) is not None else one.threshold,
            identity=one.version.config_hash,
        )
        for one in used
        if one.slug in wanted
    )


def items_of(run: EvalRun, facts: Iterable[ScorerFacts]) -> list[Item]:
    """The run's results with the scores of these scorers, passing or not by their thresholds."""
    marks = {one.slug: one.threshold for one in facts}
    scores: dict[int, dict[str, ItemScore]] = {}
    rows = ResultScore.objects.filter(run=run, scorer__slug__in=list(marks))
    for result, slug, state, value, reason in rows.values_list("result_id", "scorer__slug", "state", "value", "reason"):
        scores.setdefault(result, {})[slug] = ItemScore(ScoreState(state), value, reason=reason)
    results = Result.objects.filter(run=run).select_related("example").defer("output", "tool_calls", "steps")
    return [_item(result, scores.get(result.pk, {}), marks) for result in results.iterator(chunk_size=2000)]


def _item(result: Result, scores: Mapping[str, ItemScore], marks: Mapping[str, float]) -> Item:
    example = result.example
    return Item(
        key=example.key,
        scores=scores,
        repetition=result.repetition,
        content_hash=example.content_hash,
        slices=tuple(example.slices),
        is_passed=_is_passed(scores, marks),
        error_code=result.error_code,
        latency_ms=result.latency_ms,
        ttft_ms=result.ttft_ms,
        cost_usd=result.cost_usd,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        is_from_cache=result.is_from_cache,
    )


def _is_passed(scores: Mapping[str, ItemScore], marks: Mapping[str, float]) -> bool | None:
    """Whether every scorer that gave a score passed; None when one failed, or none gave a score."""
    values = [(one.value, marks[slug]) for slug, one in scores.items() if one.value is not None]
    if any(value < mark for value, mark in values):
        return False
    if not values or any(one.state is ScoreState.ERROR for one in scores.values()):
        return None
    return True


def _summary(config: GateConfig, run: EvalRun, items: list[Item], facts: tuple[ScorerFacts, ...]) -> Summary:
    """Over the deciding scorers; those that only inform are taken from the run's own summary."""
    summary = summarize(items, facts)
    whole = summary_of(run)
    if whole is None:
        return summary
    informing = {one.slug for one in config.scorers if one.informs_only}
    return replace(summary, scorers=(*summary.scorers, *(one for one in whole.scorers if one.slug in informing)))


def _compared(
    config: GateConfig, items: list[Item], facts: tuple[ScorerFacts, ...], baseline: EvalRun
) -> tuple[Comparison, list[Item]]:
    settings = Settings(margin=config.baseline.margin, tail_margin=config.baseline.tail_margin)
    theirs = facts_of(scorers_of(baseline), config)
    others = items_of(baseline, theirs)
    name = f"run {baseline.number}"
    return compare(items, others, settings, scorers=facts, baseline_scorers=theirs, against=name), others


def _critical(config: GateConfig, items: list[Item], others: list[Item]) -> tuple[CriticalExample, ...]:
    slices, keys = set(config.critical_slices), set(config.critical_examples)
    critical = [item for item in items if item.key in keys or slices & set(item.slices)]
    now, then = _by_key(critical), _by_key(others)
    hashes = {item.key: item.content_hash for item in others}
    return tuple(
        CriticalExample(key, passed, then.get(key) if hashes.get(key) == content else None)
        for (key, passed), content in zip(
            sorted(now.items()), (one.content_hash for one in _firsts(critical)), strict=True
        )
    )


def _firsts(items: list[Item]) -> list[Item]:
    """One item an example, by key."""
    return [item for _, item in sorted({item.key: item for item in items}.items())]


def _by_key(items: list[Item]) -> dict[str, bool | None]:
    """Whether each example passed in all of its repetitions; None when that cannot be said."""
    found: dict[str, bool | None] = {}
    for item in items:
        before = found.get(item.key, True)
        if before is False or item.is_passed is False:
            found[item.key] = False
        else:
            found[item.key] = None if before is None or item.is_passed is None else True
    return found


def _uses(gate: Gate, config: GateConfig, used: Iterable[RunScorer]) -> tuple[ScorerUse, ...]:
    wanted = versions_wanted(gate.project, config)
    in_run = {one.slug: one.version for one in used}
    uses = []
    for one in config.deciding:
        version, own = wanted.get(one.slug), in_run.get(one.slug)
        kind = KINDS.get(version.scorer.kind) if version is not None else None
        is_judge = kind is not None and kind.is_judge
        uses.append(
            ScorerUse(
                slug=one.slug,
                used=None if own is None else own.number,
                wanted=None if version is None else version.number,
                is_judge=is_judge,
                is_licensed=not is_judge or (own is not None and is_licensed(own)[0]),
            )
        )
    return tuple(uses)

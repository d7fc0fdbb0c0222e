"""Whether a run meets the conditions of a gate: each condition with its number, its target and a sentence.

Three rules hold for all of them. What is missing never passes: no examples, no scores, no baseline are `failed` or
`cannot_tell`. Worse evidence never turns `failed` into `passed`. A gate passes when every condition does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from apps.core import formats
from apps.evals.compare import Comparison, Difference
from apps.evals.gate_config import USUAL_EXAMPLES, GateConfig, SliceFloor
from apps.evals.gate_config import BadGate as BadGate
from apps.evals.gate_config import read_config as read_config
from apps.evals.summary import Interval, ScoreSummary, Summary, Times
from apps.evals.types import GateVerdict, RunState

LEAST_CALLS = {"p50": 10, "p99": 100}
"""Of fewer calls than these, the percentile says nothing."""

MOST_NAMED = 10
PASSED, FAILED, CANNOT_TELL = GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.CANNOT_TELL
NAMES = {RunState.OVER_BUDGET: "stopped at its budget", RunState.CANCELED: "was canceled", RunState.FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class ScorerUse:
    """A scorer that the gate asks for: the version that the run used (None: it did not) and the one it should have."""

    slug: str
    used: int | None
    wanted: int | None
    is_judge: bool = False
    is_licensed: bool = True


@dataclass(frozen=True, slots=True)
class CriticalExample:
    """An example that must not fail, in this run and in the baseline; None where it was not judged."""

    key: str
    is_passed: bool | None
    baseline_passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a gate judges by. `summary` is over the gate's deciding scorers alone; None while there is none.

    `is_newest`: the run's examples are those that the set holds now. `missing_keys`: critical examples that the run
    does not hold. `informing` scorers decide nothing; `remarks` go into the report as they are. `baseline` names what
    it was compared with, and `why_none` says why there is no comparison.
    """

    state: RunState
    summary: Summary | None
    scorers: tuple[ScorerUse, ...] = ()
    model: str = ""
    repetitions: int = 1
    revision: int = 0
    is_newest: bool = True
    only_slices: tuple[str, ...] = ()
    with_drafts: bool = False
    comparison: Comparison | None = None
    baseline: str = ""
    why_none: str = ""
    critical: tuple[CriticalExample, ...] = ()
    missing_keys: tuple[str, ...] = ()
    informing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, judged. `number` and `target` are in `unit`: `share` and `points` in 0..1, `count`, `ms`, `usd`.

    `direction`: `at_least`, `at_most`, or empty where there is nothing to measure. `evidence` says where to look:
    `run`, `results`, `comparison`, `set` or `scorer:<slug>`.
    """

    name: str
    title: str
    state: GateVerdict
    sentence: str
    number: float | None = None
    target: float | None = None
    unit: str = ""
    direction: str = ""
    low: float | None = None
    high: float | None = None
    evidence: str = "run"

    @property
    def shown_number(self) -> str:
        """The number as people read it."""
        return _shown(self.number, self.unit)

    @property
    def shown_target(self) -> str:
        """The target as people read it, with its sign."""
        if self.target is None:
            return ""
        sign = {"at_least": "≥ ", "at_most": "≤ "}.get(self.direction, "")
        return sign + _shown(self.target, self.unit)

    @property
    def bar(self) -> tuple[float, float] | None:
        """Number and target as parts of one scale, 0..1; None where a bar would say nothing."""
        if self.number is None or not self.target or self.unit == "":
            return None
        if self.unit == "share" and self.direction == "at_least":
            return self.number, self.target
        if self.unit == "points":
            return min(max(0.5 + self.number * 2.5, 0.0), 1.0), min(max(0.5 + self.target * 2.5, 0.0), 1.0)
        end = max(self.number, self.target) * 1.25
        return (self.number / end, self.target / end) if end > 0 else None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `Report.as_dict` wrote of it."""
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        return cls(**{**values, "state": GateVerdict(data["state"])})


@dataclass(frozen=True, slots=True)
class Report:
    """A gate's verdict with its conditions; `notes` say what is unusual about the gate or the run."""

    verdict: GateVerdict
    sentence: str
    conditions: tuple[Condition, ...]
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """As JSON, as the report's row keeps it."""
        return {
            "sentence": self.sentence,
            "notes": list(self.notes),
            "conditions": [{**asdict(one), "state": one.state.value} for one in self.conditions],
        }


def judge(config: GateConfig, evidence: Evidence) -> Report:
    """The verdict of these conditions over this evidence. Never raises."""
    conditions = tuple(_conditions(config, evidence))
    failed = [one.title for one in conditions if one.state is FAILED]
    unclear = [one.title for one in conditions if one.state is CANNOT_TELL]
    count = len(conditions)
    if failed:
        verdict, sentence = FAILED, f"Gate failed, {len(failed)} of {count} not met: {'; '.join(failed[:MOST_NAMED])}."
    elif unclear or not conditions:
        verdict = CANNOT_TELL
        sentence = f"Cannot tell yet, {len(unclear)} of {count} open: {'; '.join(unclear[:MOST_NAMED])}."
    else:
        verdict, sentence = PASSED, f"Gate passed, {count} of {count}."
    return Report(verdict, sentence, conditions, tuple(_notes(config, evidence)))


def _notes(config: GateConfig, evidence: Evidence) -> Iterator[str]:
    if config.is_lowered:
        yield (
            f"This gate asks for {config.minimum_examples} examples only; {USUAL_EXAMPLES} are usual. "
            "An admin lowered it."
        )
    for slug in evidence.informing:
        scores = None if evidence.summary is None else evidence.summary.scorer(slug)
        mean = None if scores is None else scores.mean
        yield f"{slug} informs only and decided nothing{'' if mean is None else f'; its mean is {mean:.3f}'}."
    yield from evidence.remarks


def _conditions(config: GateConfig, evidence: Evidence) -> Iterator[Condition]:
    yield _complete(evidence)
    summary = evidence.summary
    if summary is None:
        return
    yield from _quality(config, summary)
    yield from _against_baseline(config, evidence)
    yield from _slices(config, summary)
    yield from _critical(config, evidence)
    yield from _limits(config, summary)
    yield from _is_whole(config, evidence, summary)


def _complete(evidence: Evidence) -> Condition:
    """That the run ended by itself: one that stopped at its budget says nothing of what it did not reach."""
    told = ("complete", "The run is complete")
    if evidence.state is RunState.FINISHED and evidence.summary is not None:
        return Condition(*told, PASSED, "Every example was tried.")
    if not evidence.state.is_end or evidence.state is RunState.FINISHED:
        return Condition(*told, CANNOT_TELL, "The run has not ended yet. Check again when it has.")
    how = NAMES.get(evidence.state, "ended early")
    return Condition(*told, FAILED, f"The run {how}. Start it again, or try its failed examples again.")


# --- Quality ------------------------------------------------------------------------------------------------


def _quality(config: GateConfig, summary: Summary) -> Iterator[Condition]:
    if config.minimum_pass_rate is not None:
        whole = summary.overall
        base = f"{whole.passed:,} of {whole.judged:,} examples pass every scorer"
        yield _floor(
            ("pass_rate", "Pass rate"), whole.pass_rate, whole.pass_interval, config.minimum_pass_rate, base, config.by
        )
    for wanted in config.deciding:
        if wanted.minimum_mean is None:
            continue
        scores = summary.scorer(wanted.slug) or ScoreSummary(slug=wanted.slug)
        told = (f"mean:{wanted.slug}", f"Mean of {wanted.slug}")
        base = f"Over {scores.examples:,} examples"
        floor = _floor(told, scores.mean, scores.mean_interval, wanted.minimum_mean, base, config.by)
        yield replace(floor, evidence=f"scorer:{wanted.slug}")


def _floor(
    told: tuple[str, str], value: float | None, interval: Interval | None, target: float, base: str, by: str
) -> Condition:
    """A figure that must reach a target: itself, or with `by` interval also the lower bound of its interval."""
    low, high = (None, None) if interval is None else (interval.low, interval.high)

    def answer(state: GateVerdict, sentence: str) -> Condition:
        return Condition(*told, state, sentence, value, target, "share", "at_least", low, high)

    if value is None:
        return answer(FAILED, "Nothing was scored, so there is no figure.")
    spread = "" if interval is None else f", interval {_span(interval)}"
    if value < target:
        return answer(FAILED, f"{base}{spread}.")
    if by == "mean" or target == 0:
        return answer(PASSED, f"{base}{spread}.")
    if low is None:
        return answer(CANNOT_TELL, f"{base}; too few for an interval. Add examples.")
    if low < target:
        return answer(CANNOT_TELL, f"{base}{spread}: the lower bound is below the target. Add examples.")
    return answer(PASSED, f"{base}{spread}.")


def _slices(config: GateConfig, summary: Summary) -> Iterator[Condition]:
    found = {one.name: one for one in summary.slices}
    for floor in config.slices:
        slice_ = found.get(floor.name)
        examples = 0 if slice_ is None else slice_.examples
        told = (f"slice:{floor.name}", f"Slice {floor.name}")
        if slice_ is None or examples < floor.minimum_examples:
            sentence = f"The run has {examples:,} examples of it; {floor.minimum_examples:,} are asked for."
            yield Condition(
                *told, FAILED, sentence, examples, floor.minimum_examples, "count", "at_least", evidence="set"
            )
            continue
        yield from _slice_floors(floor, told, (slice_.pass_rate, slice_.pass_interval), False, config.by, slice_.judged)
        yield from _slice_floors(floor, told, (slice_.mean, slice_.mean_interval), True, config.by, examples)


def _slice_floors(
    floor: SliceFloor,
    told: tuple[str, str],
    figure: tuple[float | None, Interval | None],
    is_mean: bool,
    by: str,
    examples: int,
) -> Iterator[Condition]:
    target = floor.minimum_mean if is_mean else floor.minimum_pass_rate
    if target is not None:
        what = "mean" if is_mean else "pass rate"
        named = (f"{told[0]}:{'mean' if is_mean else 'pass_rate'}", f"{told[1]}, {what}")
        yield _floor(named, figure[0], figure[1], target, f"Over {examples:,} examples of this slice", by)


def _critical(config: GateConfig, evidence: Evidence) -> Iterator[Condition]:
    """Critical examples pass; with a baseline, those pass that passed there."""
    if not config.critical_slices and not config.critical_examples:
        return
    told = ("critical", "No critical failure")
    compared = evidence.comparison is not None
    broken = [
        one.key
        for one in evidence.critical
        if one.is_passed is False and (one.baseline_passed is not False or not compared)
    ]
    unknown = [one.key for one in evidence.critical if one.is_passed is None] + list(evidence.missing_keys)
    asked = len(evidence.critical) + len(evidence.missing_keys)
    number = float(len(broken))
    rest = {"number": number, "target": 0.0, "unit": "count", "direction": "at_most", "evidence": "results"}
    if broken:
        yield Condition(*told, FAILED, f"Of {asked:,} critical examples these fail: {_listed(broken)}.", **rest)  # type: ignore[arg-type]
    elif unknown:
        yield Condition(*told, FAILED, f"Critical examples were not judged: {_listed(unknown)}.", **rest)  # type: ignore[arg-type]
    elif not asked:
        yield Condition(*told, FAILED, "The run holds no critical example. Put some into the set.", **rest)  # type: ignore[arg-type]
    else:
        which = "none fails that passed in the baseline" if compared else "all pass"
        yield Condition(*told, PASSED, f"Of {asked:,} critical examples {which}.", **rest)  # type: ignore[arg-type]


# --- Baseline -----------------------------------------------------------------------------------------------


def _against_baseline(config: GateConfig, evidence: Evidence) -> Iterator[Condition]:
    """The mean is not worse by more than the margin, and neither is the worst tenth. Both, because a better mean can
    hide a worse tail."""
    if config.baseline.kind == "none":
        return
    mean, tail = ("baseline", "Not worse than the baseline"), ("baseline_tail", "Worst tenth holds")
    compared, why = evidence.comparison, evidence.why_none
    if compared is not None:
        why = _not_comparable(config, compared)
    if compared is None or why:
        why = why or "There is nothing to compare with."
        yield Condition(*mean, CANNOT_TELL, why, target=-config.baseline.margin, **POINTS)
        yield Condition(*tail, CANNOT_TELL, why, target=-config.baseline.tail_margin, **POINTS)
        return
    whole = compared.overall
    base = f"Against {evidence.baseline}, {whole.pairs:,} pairs"
    yield _margin(mean, whole.mean, config.baseline.margin, base, config.by)
    if whole.tail is not None:
        yield _margin(
            tail, whole.tail, config.baseline.tail_margin, f"{base}, worst {whole.tail_examples:,}", config.by
        )
    elif not whole.is_binary:
        why = "The runs have no worst tenth to compare. Add examples."
        yield Condition(*tail, CANNOT_TELL, why, target=-config.baseline.tail_margin, **POINTS)


POINTS: dict[str, Any] = {"unit": "points", "direction": "at_least", "evidence": "comparison"}


def _not_comparable(config: GateConfig, compared: Comparison) -> str:
    """Why the comparison says too little, empty when it will do."""
    unlike = sorted({one.slug for one in config.deciding} & set(compared.unlike_scorers))
    if unlike:
        return f"The baseline was scored by another version of {_listed(unlike)}. Run the baseline again."
    if compared.overall.pairs < config.minimum_examples:
        return (
            f"Only {compared.overall.pairs:,} examples are the same in both runs; {config.minimum_examples:,} are "
            "asked for. Run the baseline again over this revision."
        )
    return ""


def _margin(told: tuple[str, str], change: Difference, margin: float, base: str, by: str) -> Condition:
    bounds = change.cautious or change.interval
    low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
    value = change.value

    def answer(state: GateVerdict, sentence: str) -> Condition:
        return Condition(*told, state, sentence, value, -margin, low=low, high=high, **POINTS)

    if value is None:
        return answer(CANNOT_TELL, "No example has a score in both runs.")
    spread = "" if bounds is None else f", interval {_shown(bounds.low, 'points')} to {_shown(bounds.high, 'points')}"
    if value < -margin:
        return answer(FAILED, f"{base}{spread}.")
    if by == "mean":
        return answer(PASSED, f"{base}{spread}.")
    if low is None:
        return answer(CANNOT_TELL, f"{base}; too few for an interval. Add examples.")
    if low < -margin:
        return answer(CANNOT_TELL, f"{base}{spread}: it may be worse by more than the margin. Add examples.")
    return answer(PASSED, f"{base}{spread}.")


# --- Time and money -----------------------------------------------------------------------------------------


def _limits(config: GateConfig, summary: Summary) -> Iterator[Condition]:
    if config.maximum_latency_p50_ms is not None:
        yield _latency("p50", summary.latency, config.maximum_latency_p50_ms)
    if config.maximum_latency_p99_ms is not None:
        yield _latency("p99", summary.latency, config.maximum_latency_p99_ms)
    if config.maximum_cost_per_call_usd is not None:
        yield _cost(config, summary)


def _latency(which: str, times: Times, target: float) -> Condition:
    value: float | None = getattr(times, which)
    interval: Interval | None = getattr(times, f"{which}_interval")
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    state, sentence = PASSED, f"{times.calls:,} calls were made."
    if value is None:
        state, sentence = CANNOT_TELL, "No call was timed: answers came from the cache. Run without the cache."
    elif value > target:
        state = FAILED
    elif times.calls < LEAST_CALLS[which]:
        state = CANNOT_TELL
        sentence = f"Only {times.calls:,} calls were made; {LEAST_CALLS[which]} are needed. Run without the cache."
    return Condition(
        f"latency_{which}", f"Latency, {which.upper()}", state, sentence, value, target, "ms", "at_most", low, high
    )


def _cost(config: GateConfig, summary: Summary) -> Condition:
    cost, target = summary.cost, float(config.maximum_cost_per_call_usd or 0)
    value = None if cost.per_answer_usd is None else float(cost.per_answer_usd)
    state, sentence = PASSED, f"{cost.priced:,} answers have a price."
    if value is None:
        state, sentence = CANNOT_TELL, "No answer has a price. Enter the model's price."
    elif value > target:
        state = FAILED
    elif cost.unpriced:
        state = CANNOT_TELL
        sentence = f"{cost.unpriced:,} answers have no known price, {cost.priced:,} have. Enter the model's price."
    return Condition("cost", "Cost per answer", state, sentence, value, target, "usd", "at_most")


# --- That the run is what the gate asked for ----------------------------------------------------------------


def _is_whole(config: GateConfig, evidence: Evidence, summary: Summary) -> Iterator[Condition]:
    yield _enough(config, evidence, summary)
    yield _same_set(evidence)
    share = summary.failed / summary.results if summary.results else None
    sentence = f"{summary.failed:,} of {summary.results:,} calls brought no answer."
    yield _ceiling(("errors", "Failed calls"), share, config.maximum_error_rate, sentence, "results")
    for use in evidence.scorers:
        yield from _scorer_conditions(config, use, summary)
    if config.model:
        is_it = evidence.model == config.model
        sentence = f"Ran on {evidence.model or 'no model'}; the gate asks for {config.model}."
        yield Condition("model", "The gate's model", PASSED if is_it else FAILED, sentence)
    if config.repetitions > 1:
        enough = min(evidence.repetitions, summary.repetitions) >= config.repetitions
        sentence = f"Each example was asked {evidence.repetitions} times."
        yield Condition(
            "repetitions", "Repetitions", PASSED if enough else FAILED, sentence,
            evidence.repetitions, config.repetitions, "count", "at_least",
        )  # fmt: skip


def _enough(config: GateConfig, evidence: Evidence, summary: Summary) -> Condition:
    """Examples that could be judged by everything that decides, not only those that were there."""
    counts = [summary.overall.judged]
    for use in evidence.scorers:
        scores = summary.scorer(use.slug)
        counts.append(0 if scores is None else scores.examples)
    number, target = min(counts), config.minimum_examples
    sentence = f"{number:,} of the run's {summary.examples:,} examples were judged by every scorer."
    state = PASSED if number >= target else FAILED
    if state is FAILED:
        sentence += " Add examples to the set and approve them."
    return Condition(
        "examples", "Enough examples", state, sentence, number, target, "count", "at_least", evidence="set"
    )


def _same_set(evidence: Evidence) -> Condition:
    """The whole set as it is now, approved examples alone."""
    told = ("set", "The set as it is now")
    if evidence.only_slices:
        return Condition(*told, FAILED, f"The run took only {_listed(evidence.only_slices)}.", evidence="set")
    if evidence.with_drafts:
        return Condition(*told, FAILED, "The run took examples that nobody approved.", evidence="set")
    if not evidence.is_newest:
        sentence = f"The set changed after revision {evidence.revision}. Run it again."
        return Condition(*told, FAILED, sentence, evidence="set")
    return Condition(*told, PASSED, f"Revision {evidence.revision}, every approved example.", evidence="set")


def _scorer_conditions(config: GateConfig, use: ScorerUse, summary: Summary) -> Iterator[Condition]:
    place = f"scorer:{use.slug}"
    scores = summary.scorer(use.slug)
    if use.used is None or scores is None:
        sentence = "The run did not use this scorer. Start a run from the gate."
        yield Condition(place, f"Scorer {use.slug}", FAILED, sentence, evidence=place)
        return
    if use.used != use.wanted:
        wanted = "there is none any more" if use.wanted is None else f"the gate asks for version {use.wanted}"
        sentence = f"The run used version {use.used}; {wanted}. Run it again."
        yield Condition(place, f"Scorer {use.slug}", FAILED, sentence, evidence=place)
    if use.is_judge:
        yield _licensed(use)
    total = summary.results
    errors = scores.errors / total if total else None
    yield _ceiling(
        (f"scorer_errors:{use.slug}", f"Errors of {use.slug}"),
        errors, config.maximum_scorer_error_rate, f"It failed on {scores.errors:,} of {total:,} answers.", place,
    )  # fmt: skip
    # What was neither scored nor an error, however it is named: a skipped metric must not look like a good one.
    skipped = max(total - scores.scored - scores.errors, 0)
    share = skipped / total if total and scores.scored else None
    yield _ceiling(
        (f"not_scored:{use.slug}", f"Not scored by {use.slug}"),
        share, config.maximum_not_scored_rate, f"It gave no score to {skipped:,} of {total:,} answers.", place,
    )  # fmt: skip


def _licensed(use: ScorerUse) -> Condition:
    told = (f"licensed:{use.slug}", f"{use.slug} agrees with people")
    if use.is_licensed:
        return Condition(
            *told, PASSED, "This version was calibrated and is above its floor.", evidence=f"scorer:{use.slug}"
        )
    sentence = (
        "This version of the judge was not calibrated, or is below its floor, so it may inform but not gate. "
        "Calibrate it, or let it inform only."
    )
    return Condition(*told, FAILED, sentence, evidence=f"scorer:{use.slug}")


def _ceiling(
    told: tuple[str, str], share: float | None, target: float, sentence: str, evidence: str = "run"
) -> Condition:
    if share is None:
        return Condition(
            *told, FAILED, "There is nothing to count.", None, target, "share", "at_most", evidence=evidence
        )
    state = PASSED if share <= target else FAILED
    return Condition(*told, state, sentence, share, target, "share", "at_most", evidence=evidence)


# --- Words --------------------------------------------------------------------------------------------------


def _points(value: float) -> str:
    return ("+" if value > 0 else "") + formats.plain(value, 3)


def _money(value: float) -> str:
    return f"${value:,.4f}" if value < 1 else f"${value:,.2f}"


SHOWN: dict[str, Callable[[float], str]] = {
    "share": formats.percent,
    "points": _points,
    "ms": formats.milliseconds,
    "usd": _money,
    "count": formats.plain,
}


def _shown(value: float | None, unit: str) -> str:
    return "" if value is None or unit not in SHOWN else SHOWN[unit](value)


def _span(interval: Interval) -> str:
    return f"{formats.percent(interval.low)} to {formats.percent(interval.high)}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


# --- Conditions in words ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a gate asks for, before anything was judged."""

    title: str
    target: str
    detail: str = ""


def described(config: GateConfig) -> tuple[Asked, ...]:
    """What the conditions ask for, in the order in which a report has them."""
    return tuple(_described(config))


def _described(config: GateConfig) -> Iterator[Asked]:
    bound = "lower bound of the interval" if config.by == "interval" else "the figure alone"
    if config.minimum_pass_rate is not None:
        yield Asked("Pass rate", f"≥ {formats.percent(config.minimum_pass_rate)}", bound)
    for one in config.deciding:
        if one.minimum_mean is not None:
            yield Asked(f"Mean of {one.slug}", f"≥ {formats.percent(one.minimum_mean)}", bound)
    yield from _described_baseline(config)
    for floor in config.slices:
        rate, mean = floor.minimum_pass_rate, floor.minimum_mean
        parts = [f"pass rate ≥ {formats.percent(rate)}"] if rate is not None else []
        parts += [f"mean ≥ {formats.percent(mean)}"] if mean is not None else []
        least = floor.minimum_examples
        yield Asked(f"Slice {floor.name}", ", ".join(parts), f"over at least {least:,} examples" if least > 1 else "")
    if config.critical_slices or config.critical_examples:
        named = [*config.critical_slices, *config.critical_examples]
        yield Asked("No critical failure", "0", _listed(named))
    for which, most in (("P50", config.maximum_latency_p50_ms), ("P99", config.maximum_latency_p99_ms)):
        if most is not None:
            yield Asked(f"Latency, {which}", f"≤ {formats.milliseconds(most)}")
    if config.maximum_cost_per_call_usd is not None:
        yield Asked("Cost per answer", f"≤ {_money(float(config.maximum_cost_per_call_usd))}")
    yield Asked("Enough examples", f"≥ {config.minimum_examples:,}", "judged by every scorer that decides")
    yield Asked("Failed calls", f"≤ {formats.percent(config.maximum_error_rate)}")
    yield Asked("Failures of a scorer", f"≤ {formats.percent(config.maximum_scorer_error_rate)}")
    yield Asked("Not scored", f"≤ {formats.percent(config.maximum_not_scored_rate)}", "by each scorer")
    if config.repetitions > 1:
        yield Asked("Repetitions", f"≥ {config.repetitions}")
    if config.model:
        yield Asked("The gate's model", config.model)


def _described_baseline(config: GateConfig) -> Iterator[Asked]:
    baseline = config.baseline
    if baseline.kind == "none":
        return
    name = f"what is live in {baseline.environment}" if baseline.kind == "live" else f"run {baseline.run}"
    yield Asked("Not worse than the baseline", f"≥ {_points(-baseline.margin)}", name)
    yield Asked("Worst tenth holds", f"≥ {_points(-baseline.tail_margin)}", name)

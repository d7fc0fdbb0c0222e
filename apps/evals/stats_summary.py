"""How a run's summary is computed. Call it by `summary.summarize`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from apps.evals import stats
from apps.evals.summary import (
    Cost,
    Interval,
    Item,
    LabelFigures,
    Reason,
    ScorerFacts,
    ScoreSummary,
    SliceSummary,
    Summary,
    Times,
)
from apps.evals.types import ScoreState

MOST_KEYS = 100
MOST_REASONS = 20
BINS = 10
LEVEL = 0.95
Value = Callable[[Item], float | None]
Passing = Callable[[Item], bool | None]


def overall_value(item: Item) -> float | None:
    """The worst scorer's value; None when nothing scored or when a scorer failed."""
    if any(score.state is ScoreState.ERROR for score in item.scores.values()):
        return None
    return min((score.value for score in item.scores.values() if score.value is not None), default=None)


def summarize(items: Sequence[Item], scorers: Sequence[ScorerFacts]) -> Summary:
    """As `summary.summarize`."""
    failures = Counter(item.error_code for item in items if item.error_code)
    overall = _Group(items, overall_value, lambda item: item.is_passed)
    return Summary(
        examples=len({item.key for item in items}),
        results=len(items),
        repetitions=len({item.repetition for item in items}) or 1,
        answered=len(items) - failures.total(),
        failed=failures.total(),
        failures=tuple(Reason("failed", code, count) for code, count in failures.most_common(MOST_REASONS)),
        from_cache=sum(item.is_from_cache for item in items),
        overall=_overall(items, overall),
        scorers=tuple(_scorer(items, facts) for facts in scorers),
        slices=_slices(items),
        flaky_keys=tuple(sorted(overall.flaky)[:MOST_KEYS]),
        latency=times(item.latency_ms for item in items if not item.is_from_cache),
        ttft=times(item.ttft_ms for item in items if not item.is_from_cache),
        cost=_cost(items),
    )


@dataclass(slots=True)
class _Group:
    """Items with one way to read a value and a verdict, gathered by example."""

    items: Sequence[Item]
    value: Value
    passing: Passing

    @property
    def means(self) -> list[float]:
        """One value an example: the mean of its repetitions."""
        gathered: dict[str, list[float]] = defaultdict(list)
        for item in self.items:
            value = self.value(item)
            if value is not None:
                gathered[item.key].append(value)
        return [sum(values) / len(values) for values in gathered.values()]

    @property
    def verdicts(self) -> dict[str, list[bool]]:
        """What can be said of each example's repetitions."""
        gathered: dict[str, list[bool]] = defaultdict(list)
        for item in self.items:
            passed = self.passing(item)
            if passed is not None:
                gathered[item.key].append(passed)
        return gathered

    @property
    def flaky(self) -> list[str]:
        """Examples whose repetitions disagree."""
        return [key for key, verdicts in self.verdicts.items() if len(set(verdicts)) > 1]

    @property
    def is_binary(self) -> bool:
        """True when every value is 0 or 1."""
        values = [value for item in self.items if (value := self.value(item)) is not None]
        return bool(values) and all(value in {0.0, 1.0} for value in values)


def _figures(group: _Group, start: ScoreSummary) -> ScoreSummary:
    """The summary with all figures of the group in it."""
    verdicts = group.verdicts
    passed = sum(all(each) for each in verdicts.values())
    rate = stats.rate_interval(passed, len(verdicts), level=LEVEL)
    start = replace(
        start,
        passed=passed,
        judged=len(verdicts),
        pass_rate=passed / len(verdicts) if verdicts else None,
        pass_interval=rate,
        flaky=len(group.flaky),
        is_binary=group.is_binary,
    )
    means = group.means
    if not means:
        return start
    values = stats.floats(means)
    return replace(
        start,
        examples=len(means),
        mean=float(values.mean()),
        mean_interval=_mean_interval(means),
        tail=float(stats.tail_mean(values)),
        tail_examples=stats.tail_size(len(means)),
        tail_interval=stats.tail_interval(means, level=LEVEL),
        p1=stats.quantile(values, 0.01),
        p5=stats.quantile(values, 0.05),
        median=stats.quantile(values, 0.5),
        histogram=_histogram(means),
    )


def _mean_interval(means: Sequence[float]) -> Interval | None:
    """Of pass or fail the interval of the rate, of graded scores that of the mean."""
    if all(value in {0.0, 1.0} for value in means):
        return stats.rate_interval(round(sum(means)), len(means), level=LEVEL)
    found: Interval | None = stats.mean_interval(means, level=LEVEL)
    return found


def _histogram(means: Sequence[float]) -> tuple[int, ...]:
    counts = Counter(min(BINS - 1, int(value * BINS + 1e-9)) for value in means)
    return tuple(counts[place] for place in range(BINS))


def _overall(items: Sequence[Item], group: _Group) -> ScoreSummary:
    scored = sum(overall_value(item) is not None for item in items)
    errors = sum(any(score.state is ScoreState.ERROR for score in item.scores.values()) for item in items)
    start = ScoreSummary("", scored=scored, errors=errors, not_scored=len(items) - scored - errors)
    return _figures(group, start)


def _scorer(items: Sequence[Item], facts: ScorerFacts) -> ScoreSummary:
    scores = [item.scores[facts.slug] for item in items if facts.slug in item.scores]
    states = Counter(score.state for score in scores)
    silent = Counter((score.state.value, score.reason) for score in scores if score.state is not ScoreState.SCORED)
    absent = len(items) - len(scores)
    if absent:
        silent["not_scored", "There is no output to score."] += absent

    def value(item: Item) -> float | None:
        return item.scores[facts.slug].value if facts.slug in item.scores else None

    def passing(item: Item) -> bool | None:
        found = value(item)
        return None if found is None else found >= facts.threshold

    start = ScoreSummary(
        facts.slug,
        kind=facts.kind,
        title=facts.title or facts.slug,
        threshold=facts.threshold,
        scored=states[ScoreState.SCORED],
        not_scored=states[ScoreState.NOT_SCORED] + absent,
        errors=states[ScoreState.ERROR],
        reasons=tuple(Reason(*known, count) for known, count in silent.most_common(MOST_REASONS)),
        labels=_labels([(score.expected_label, score.label) for score in scores if score.expected_label]),
    )
    return _figures(_Group(items, value, passing), start)


def _labels(pairs: Sequence[tuple[str, str]]) -> tuple[LabelFigures, ...]:
    """Precision, recall and F1 (van Rijsbergen 1979) of each class, by name."""
    right = Counter(expected for expected, found in pairs if expected == found)
    wanted, given = Counter(expected for expected, _ in pairs), Counter(found for _, found in pairs if found)
    figures = []
    for label in sorted({*wanted, *given}):
        precision = right[label] / given[label] if given[label] else None
        recall = right[label] / wanted[label] if wanted[label] else None
        both = wanted[label] + given[label]
        figures.append(LabelFigures(label, precision, recall, 2 * right[label] / both if both else None, wanted[label]))
    return tuple(figures)


def _slices(items: Sequence[Item]) -> tuple[SliceSummary, ...]:
    by_name: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for name in item.slices:
            by_name[name].append(item)
    return tuple(_slice(name, by_name[name]) for name in sorted(by_name))


def _slice(name: str, items: Sequence[Item]) -> SliceSummary:
    group = _Group(items, overall_value, lambda item: item.is_passed)
    means, verdicts = group.means, group.verdicts
    passed = sum(all(each) for each in verdicts.values())
    return SliceSummary(
        name=name,
        examples=len({item.key for item in items}),
        mean=sum(means) / len(means) if means else None,
        mean_interval=_mean_interval(means) if means else None,
        tail=float(stats.tail_mean(stats.floats(means))) if means else None,
        passed=passed,
        judged=len(verdicts),
        pass_rate=passed / len(verdicts) if verdicts else None,
        pass_interval=stats.rate_interval(passed, len(verdicts), level=LEVEL),
    )


def times(measured: Iterable[float | None]) -> Times:
    """Percentiles of what was measured."""
    known = [float(each) for each in measured if each is not None]
    if not known:
        return Times()
    values = stats.floats(known)
    return Times(
        calls=len(known),
        mean=float(values.mean()),
        p50=stats.quantile(values, 0.5),
        p95=stats.quantile(values, 0.95),
        p99=stats.quantile(values, 0.99),
        p50_interval=stats.percentile_interval(known, 0.5, level=LEVEL),
        p95_interval=stats.percentile_interval(known, 0.95, level=LEVEL),
        p99_interval=stats.percentile_interval(known, 0.99, level=LEVEL),
    )


def _cost(items: Sequence[Item]) -> Cost:
    answered = [item for item in items if not item.error_code]
    known = [item.cost_usd for item in answered if item.cost_usd is not None]
    total = sum(known, Decimal(0)) if known else None
    return Cost(
        priced=len(known),
        unpriced=len(answered) - len(known),
        total_usd=total,
        per_answer_usd=total / len(known) if total is not None else None,
        per_answer_interval=stats.mean_interval([float(each) for each in known], level=LEVEL),
        input_tokens=_sum(item.input_tokens for item in items),
        output_tokens=_sum(item.output_tokens for item in items),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None

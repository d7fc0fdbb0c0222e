"""What a run says in numbers: each scorer, everything together, slices, times and cost.

The unit is the example. Repetitions of one example are averaged first, so intervals are over examples and repetitions
of one count as one cluster. Scores lie in 0..1. What is not known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from apps.evals import stats_records
from apps.evals.types import ScoreState


@dataclass(frozen=True, slots=True)
class ItemScore:
    """What one scorer said of one result. `reason` is why there is no score; of a score it is not needed.
    `expected_label`: the class it should have been, for scorers that decide between classes."""

    state: ScoreState
    value: float | None
    label: str = ""
    reason: str = ""
    expected_label: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One result of a run. `scores` are by the scorer's slug. `is_passed` as the result has it: all scorers passed.
    `error_code` says why there is no output, empty when there is one."""

    key: str
    scores: Mapping[str, ItemScore]
    repetition: int = 0
    content_hash: str = ""
    slices: tuple[str, ...] = ()
    is_passed: bool | None = None
    error_code: str = ""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_from_cache: bool = False


@dataclass(frozen=True, slots=True)
class ScorerFacts:
    """A scorer as a run used it. `identity` names exactly what it does (slug, version, hash of its settings): scores of
    two runs are comparable only when it is the same."""

    slug: str
    kind: str = ""
    title: str = ""
    threshold: float = 0.5
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval at a level, with the method's name."""

    low: float
    high: float
    method: str
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there was no score or no output, and how often. `state`: `not_scored`, `error` or `failed`."""

    state: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Precision, recall and F1 of one class; None where it divides by nothing."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The scores of one scorer, or of everything together (`slug` empty).

    Counts are results: `scored` + `not_scored` + `errors` = all results. `examples` counts examples with a score.
    `mean` is over examples; `tail` is the mean of the worst tenth of them (expected shortfall). `p1`, `p5`, `median`
    are of examples. `passed` of `scored` examples pass (in each of their scored repetitions); `pass_rate` in 0..1.
    `histogram`: examples in ten equal bins from 0 to 1. `flaky`: examples that pass in some repetitions and fail in
    others. All figures None without any score.
    """

    slug: str
    kind: str = ""
    title: str = ""
    threshold: float | None = None
    examples: int = 0
    scored: int = 0
    not_scored: int = 0
    errors: int = 0
    reasons: tuple[Reason, ...] = ()
    mean: float | None = None
    mean_interval: Interval | None = None
    tail: float | None = None
    tail_examples: int = 0
    tail_interval: Interval | None = None
    p1: float | None = None
    p5: float | None = None
    median: float | None = None
    passed: int = 0
    judged: int = 0
    """Examples of which it can be said whether they passed: the base of `pass_rate`."""
    pass_rate: float | None = None
    pass_interval: Interval | None = None
    histogram: tuple[int, ...] = ()
    flaky: int = 0
    is_binary: bool = False
    labels: tuple[LabelFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceSummary:
    """One slice, everything together."""

    name: str
    examples: int
    mean: float | None
    mean_interval: Interval | None
    tail: float | None
    passed: int
    judged: int
    pass_rate: float | None
    pass_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of the calls that were really made (answers from the cache are left out). Intervals are None when
    there are too few for their percentile."""

    calls: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    p50_interval: Interval | None = None
    p95_interval: Interval | None = None
    p99_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the answers cost in US dollars, as if none came from the cache. `unpriced` answers have no known cost; then
    `total_usd` is a lower bound."""

    priced: int = 0
    unpriced: int = 0
    total_usd: Decimal | None = None
    per_answer_usd: Decimal | None = None
    per_answer_interval: Interval | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything a run says in numbers. `overall` takes for each result its worst scorer's value (an answer is as good
    as its worst property; the same as Result.value); it passes when all scorers pass."""

    examples: int = 0
    results: int = 0
    repetitions: int = 1
    answered: int = 0
    failed: int = 0
    failures: tuple[Reason, ...] = ()
    from_cache: int = 0
    overall: ScoreSummary = field(default_factory=lambda: ScoreSummary(slug=""))
    scorers: tuple[ScoreSummary, ...] = ()
    slices: tuple[SliceSummary, ...] = ()
    flaky_keys: tuple[str, ...] = ()
    """At most 100 of them, by key."""
    latency: Times = field(default_factory=Times)
    ttft: Times = field(default_factory=Times)
    cost: Cost = field(default_factory=Cost)
    format: int = 1

    def as_dict(self) -> dict[str, Any]:
        """As JSON, as EvalRun.summary keeps it."""
        told: dict[str, Any] = stats_records.to_json(self)
        return told

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `as_dict` wrote."""
        return stats_records.from_json(cls, data)

    def scorer(self, slug: str) -> ScoreSummary | None:
        """The figures of one scorer."""
        return next((each for each in self.scorers if each.slug == slug), None)


def summarize(items: Sequence[Item], scorers: Sequence[ScorerFacts]) -> Summary:
    """What a run's results say, for all scorers in their order. Never raises for what is in the items; nothing at all
    gives a summary with None in place of figures."""
    from apps.evals import stats_summary

    return stats_summary.summarize(items, scorers)

"""Two runs compared, example by example: which is better, how sure that is, and where.

`docs/eval-statistics.md` says what is computed and why, with sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from apps.evals import stats_records
from apps.evals.summary import Interval, Item, ScorerFacts
from apps.evals.types import Verdict


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are compared. Margins are differences of scores (0.02 is two points) that are still accepted: of the
    mean, and of the mean of the worst tenth. `seed` makes resampling repeatable."""

    margin: float = 0.02
    tail_margin: float = 0.10
    level: float = 0.95
    resamples: int = 2_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Significance:
    """A two-sided test of "no difference": its name and p-value."""

    name: str
    p_value: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus baseline of one figure over the same examples, with a paired bootstrap interval.

    `cautious` is what the verdict goes by: wider, because it leaves room for what so few examples cannot show.
    """

    baseline: float | None
    candidate: float | None
    value: float | None
    interval: Interval | None = None
    cautious: Interval | None = None
    student: Interval | None = None
    test: Significance | None = None


@dataclass(frozen=True, slots=True)
class ScorerComparison:
    """One scorer, or everything together (`slug` empty), over `pairs` examples that both runs have a score for.

    `missing_candidate` / `missing_baseline`: common examples with a score in the other run only. `wins`, `losses`,
    `ties` are examples where the candidate's score is higher, lower, the same. `effect` is Cohen's dz for graded
    scores, `odds_ratio` wins to losses for pass or fail (None when nothing was lost). `tail` compares each side's own
    worst tenth; `shared_tail` the tenth of examples that are worst in either run. Both are None for pass or fail,
    whose tail says nothing that the rate does not. `needed`: about how many examples more until a verdict, None when
    there is one or when no number would do.
    """

    slug: str
    verdict: Verdict
    sentence: str
    title: str = ""
    is_binary: bool = False
    pairs: int = 0
    missing_candidate: int = 0
    missing_baseline: int = 0
    wins: int = 0
    losses: int = 0
    ties: int = 0
    mean: Difference = field(default_factory=lambda: Difference(None, None, None))
    effect: float | None = None
    odds_ratio: float | None = None
    tail: Difference | None = None
    tail_examples: int = 0
    shared_tail: Difference | None = None
    p1: Difference | None = None
    p5: Difference | None = None
    pass_rate: Difference | None = None
    newly_failing: int = 0
    newly_passing: int = 0
    flaky: int = 0
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """One slice, everything together. `adjusted_p` is Holm's over all slices; `direction` is `better` or `worse` when
    it is below 1 - level, else empty."""

    name: str
    pairs: int
    mean: Difference
    adjusted_p: float | None
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of the runs' calls (milliseconds or dollars), its difference, and the change as a share of the
    baseline's (0.1: a tenth more)."""

    baseline: float | None
    candidate: float | None
    difference: Difference
    change: float | None
    direction: str = ""
    """`better` (lower), `worse`, or empty when the interval has zero in it."""


@dataclass(frozen=True, slots=True)
class ChangedExample:
    """One example of both runs. `became`: `failing` (passed before), `passing`, or empty. Values are everything
    together; None where a run has no score."""

    key: str
    slices: tuple[str, ...]
    baseline: float | None
    candidate: float | None
    change: float | None
    became: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared. `verdict` and `sentence` are those of everything together.

    `left_out`: examples that are in both runs and are not the same there; `only_candidate`, `only_baseline`: in one
    run only. `unlike_scorers` are those that are not the same in both runs; they are not compared. `examples` are those
    that changed (at most 5,000): newly failing first, then newly passing, then the largest loss first.
    """

    verdict: Verdict
    sentence: str
    settings: Settings
    overall: ScorerComparison
    pairs: int = 0
    left_out: int = 0
    only_candidate: int = 0
    only_baseline: int = 0
    scorers: tuple[ScorerComparison, ...] = ()
    unlike_scorers: tuple[str, ...] = ()
    slices: tuple[SliceComparison, ...] = ()
    latency_p50: Ratio | None = None
    latency_p99: Ratio | None = None
    cost: Ratio | None = None
    """Dollars an answer."""
    examples: tuple[ChangedExample, ...] = ()
    candidate_curve: tuple[float, ...] = ()
    baseline_curve: tuple[float, ...] = ()
    """Scores of everything together at the percentiles 0, 1, ... 100 of the compared examples, worst first."""
    format: int = 1

    @property
    def newly_failing(self) -> tuple[ChangedExample, ...]:
        """Examples that passed in the baseline and fail in the candidate, the largest loss first."""
        return tuple(each for each in self.examples if each.became == "failing")

    def as_dict(self) -> dict[str, Any]:
        """As JSON, as the comparison's row keeps it."""
        told: dict[str, Any] = stats_records.to_json(self)
        return told

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """What `as_dict` wrote."""
        return stats_records.from_json(cls, data)

    def scorer(self, slug: str) -> ScorerComparison | None:
        """The comparison by one scorer."""
        return next((each for each in self.scorers if each.slug == slug), None)


def compare(
    candidate: Sequence[Item],
    baseline: Sequence[Item],
    settings: Settings,
    *,
    scorers: Sequence[ScorerFacts],
    baseline_scorers: Sequence[ScorerFacts] | None = None,
    against: str = "the baseline",
) -> Comparison:
    """Two runs' results compared. `scorers` are the candidate's, and the baseline's too unless it has its own; those
    with the same identity are compared. `against` is what sentences call the baseline. Never raises for what is in the
    items; without any pair the verdict is `cannot_tell`."""
    from apps.evals import stats_compare

    old = scorers if baseline_scorers is None else baseline_scorers
    return stats_compare.compare(candidate, baseline, settings, scorers, old, against)

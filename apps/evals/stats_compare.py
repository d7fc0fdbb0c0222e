"""How two runs are compared. Call it by `compare.compare`; `docs/eval-statistics.md` says why it is done so."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from apps.evals import stats, verdicts
from apps.evals.compare import (
    ChangedExample,
    Comparison,
    Difference,
    Ratio,
    ScorerComparison,
    Settings,
    Significance,
    SliceComparison,
)
from apps.evals.stats import Floats
from apps.evals.summary import Interval, Item, ScorerFacts
from apps.evals.types import Verdict

MOST_CHANGED = 5_000
MOST_SLICES = 50
FEWEST_IN_SLICE = 5
POWER = 0.8
By = Mapping[str, Sequence[Item]]


@dataclass(frozen=True, slots=True)
class Runs:
    """The two sides over their common, unchanged examples, by key, and how to compare them."""

    candidate: By
    baseline: By
    keys: tuple[str, ...]
    slugs: tuple[str, ...]
    settings: Settings
    against: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Values of one scorer over the examples that have one on both sides: means over all repetitions, and over as many
    repetitions as both sides have (`even_…`), because fewer repetitions alone make a worse tail."""

    keys: tuple[str, ...]
    candidate: Floats
    baseline: Floats
    even_candidate: Floats
    even_baseline: Floats
    missing_candidate: int
    missing_baseline: int

    @property
    def change(self) -> Floats:
        """Candidate minus baseline; what differs by rounding alone does not differ."""
        change: Floats = np.where(np.isclose(self.candidate, self.baseline, rtol=0, atol=1e-12), 0.0, self._raw)
        return change

    @property
    def _raw(self) -> Floats:
        return self.candidate - self.baseline

    @property
    def is_binary(self) -> bool:
        """True when every value is 0 or 1."""
        both = np.concatenate([self.candidate, self.baseline])
        return bool(np.all((both == 0) | (both == 1)))


def compare(
    candidate: Sequence[Item],
    baseline: Sequence[Item],
    settings: Settings,
    scorers: Sequence[ScorerFacts],
    baseline_scorers: Sequence[ScorerFacts],
    against: str,
) -> Comparison:
    """As `compare.compare`."""
    old = {facts.slug: facts.identity for facts in baseline_scorers}
    alike = [facts for facts in scorers if old.get(facts.slug) == facts.identity]
    unlike = {facts.slug for facts in [*scorers, *baseline_scorers]} - {facts.slug for facts in alike}
    by_candidate, by_baseline = _by_key(candidate), _by_key(baseline)
    common = sorted(by_candidate.keys() & by_baseline.keys())
    keys = tuple(key for key in common if by_candidate[key][0].content_hash == by_baseline[key][0].content_hash)
    runs = Runs(by_candidate, by_baseline, keys, tuple(facts.slug for facts in alike), settings, against)
    pairs = _overall_pairs(runs)
    overall = _compared(runs, pairs, ScorerFacts(""))
    return Comparison(
        verdict=overall.verdict,
        sentence=overall.sentence,
        settings=settings,
        overall=overall,
        pairs=overall.pairs,
        left_out=len(common) - len(keys),
        only_candidate=len(by_candidate.keys() - by_baseline.keys()),
        only_baseline=len(by_baseline.keys() - by_candidate.keys()),
        scorers=tuple(_compared(runs, _scorer_pairs(runs, facts.slug), facts) for facts in alike),
        unlike_scorers=tuple(sorted(unlike)),
        slices=_slices(runs, pairs),
        latency_p50=_latency(runs, 0.5),
        latency_p99=_latency(runs, 0.99),
        cost=_cost(runs),
        examples=_changed(runs, pairs),
        candidate_curve=_curve(pairs.candidate),
        baseline_curve=_curve(pairs.baseline),
    )


def _by_key(items: Sequence[Item]) -> dict[str, list[Item]]:
    gathered: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda each: each.repetition):
        gathered[item.key].append(item)
    return gathered


def _scorer_values(items: Sequence[Item], slug: str) -> list[float]:
    scores = (item.scores.get(slug) for item in items)
    return [score.value for score in scores if score is not None and score.value is not None]


def _scorer_pairs(runs: Runs, slug: str) -> Pairs:
    candidate = {key: _scorer_values(runs.candidate[key], slug) for key in runs.keys}
    baseline = {key: _scorer_values(runs.baseline[key], slug) for key in runs.keys}
    return _pairs(runs.keys, candidate, baseline)


def _overall_pairs(runs: Runs) -> Pairs:
    """For each result its worst scorer's value, over the scorers that scored the example on both sides."""
    candidate, baseline = {}, {}
    for key in runs.keys:
        usable = [slug for slug in runs.slugs if _is_scored(runs.candidate[key], slug)]
        shared = [slug for slug in usable if _is_scored(runs.baseline[key], slug)]
        candidate[key] = _worst_values(runs.candidate[key], shared or usable)
        baseline[key] = _worst_values(runs.baseline[key], shared or list(runs.slugs))
    return _pairs(runs.keys, candidate, baseline)


def _is_scored(items: Sequence[Item], slug: str) -> bool:
    return any(slug in item.scores and item.scores[slug].value is not None for item in items)


def _worst_values(items: Sequence[Item], slugs: Sequence[str]) -> list[float]:
    found = []
    for item in items:
        values = [item.scores[slug].value for slug in slugs if slug in item.scores]
        known = [value for value in values if value is not None]
        if known and len(known) == len(slugs):
            found.append(min(known))
    return found


def _pairs(keys: Sequence[str], candidate: Mapping[str, list[float]], baseline: Mapping[str, list[float]]) -> Pairs:
    both = tuple(key for key in keys if candidate[key] and baseline[key])
    counts = {key: min(len(candidate[key]), len(baseline[key])) for key in both}
    return Pairs(
        keys=both,
        candidate=_means(candidate[key] for key in both),
        baseline=_means(baseline[key] for key in both),
        even_candidate=_means(candidate[key][: counts[key]] for key in both),
        even_baseline=_means(baseline[key][: counts[key]] for key in both),
        missing_candidate=sum(not candidate[key] and bool(baseline[key]) for key in keys),
        missing_baseline=sum(not baseline[key] and bool(candidate[key]) for key in keys),
    )


def _means(lists: Iterable[list[float]]) -> Floats:
    return stats.floats([sum(values) / len(values) for values in lists])


def _compared(runs: Runs, pairs: Pairs, facts: ScorerFacts) -> ScorerComparison:
    """Everything about one scorer, with verdict and sentence."""
    settings, change = runs.settings, pairs.change
    start = ScorerComparison(
        facts.slug,
        Verdict.CANNOT_TELL,
        "",
        title=facts.title or facts.slug,
        pairs=len(pairs.keys),
        missing_candidate=pairs.missing_candidate,
        missing_baseline=pairs.missing_baseline,
    )
    if not len(pairs.keys):
        return replace(start, sentence=verdicts.sentence(start, settings, runs.against))
    wins, losses = int(np.sum(change > 0)), int(np.sum(change < 0))
    spread = float(change.std(ddof=1)) if len(change) > 1 else 0.0
    found = replace(
        start,
        is_binary=pairs.is_binary,
        wins=wins,
        losses=losses,
        ties=len(change) - wins - losses,
        mean=_mean(pairs, settings, wins, losses),
        effect=float(change.mean()) / spread if spread and not pairs.is_binary else None,
        odds_ratio=wins / losses if losses and pairs.is_binary else None,
    )
    found = _with_passing(runs, pairs, facts, found if pairs.is_binary else _with_tails(pairs, settings, found))
    missing = pairs.missing_candidate + pairs.missing_baseline
    grounds = verdicts.Grounds(found.pairs, missing, found.mean, found.tail, found.shared_tail)
    verdict = verdicts.decide(grounds, settings)
    more = _needed(pairs, found, grounds, settings) if verdict is Verdict.CANNOT_TELL else None
    found = replace(found, verdict=verdict, needed=more)
    return replace(found, sentence=verdicts.sentence(found, settings, runs.against))


def verdict_of(
    candidate: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], settings: Settings
) -> Verdict:
    """The verdict alone, over the repetitions' scores of the same examples on both sides; for simulations."""
    keys = [str(place) for place in range(len(candidate))]
    pairs = _pairs(
        keys,
        {key: list(values) for key, values in zip(keys, candidate, strict=True)},
        {key: list(values) for key, values in zip(keys, baseline, strict=True)},
    )
    change = pairs.change
    mean = _mean_shown(pairs, settings, int(np.sum(change > 0)), int(np.sum(change < 0)))
    if pairs.is_binary:
        return verdicts.decide(verdicts.Grounds(len(keys), 0, mean, None), settings)
    shared = _shared_tail(pairs.even_candidate, pairs.even_baseline, settings)
    return verdicts.decide(verdicts.Grounds(len(keys), 0, mean, _tail(pairs, settings), shared), settings)


def _mean(pairs: Pairs, settings: Settings, wins: int, losses: int) -> Difference:
    """The difference of means with a test."""
    change = pairs.change
    if pairs.is_binary:
        test = Significance("McNemar, exact", stats.sign_test(wins, losses))
    else:
        p_value = stats.sign_flips(change, resamples=settings.resamples, seed=settings.seed)
        test = Significance("permutation of signs", p_value)
    return replace(_mean_shown(pairs, settings, wins, losses), test=test)


def _mean_shown(pairs: Pairs, settings: Settings, wins: int, losses: int) -> Difference:
    change = pairs.change
    shown = _bootstrap([change], np.mean, settings, "BCa")
    if pairs.is_binary:
        cautious = stats.cautious_rates(wins, losses, len(change), level=settings.level)
    else:
        cautious = stats.cautious_mean(pairs.candidate, pairs.baseline, shown, level=settings.level)
    return Difference(
        baseline=float(pairs.baseline.mean()),
        candidate=float(pairs.candidate.mean()),
        value=float(change.mean()),
        interval=shown,
        cautious=cautious,
        student=stats.student_interval(list(change), level=settings.level),
    )


def _bootstrap(samples: Sequence[Floats], statistic: stats.Statistic, settings: Settings, method: str) -> Any:
    return stats.bootstrap(
        samples, statistic, level=settings.level, resamples=settings.resamples, seed=settings.seed, method=method
    )


def _with_tails(pairs: Pairs, settings: Settings, found: ScorerComparison) -> ScorerComparison:
    candidate, baseline = pairs.even_candidate, pairs.even_baseline
    count = len(candidate)
    return replace(
        found,
        tail=_tail(pairs, settings),
        tail_examples=stats.tail_size(count),
        shared_tail=_shared_tail(candidate, baseline, settings),
        p1=_percentile(candidate, baseline, 0.01, settings) if count >= 100 else None,
        p5=_percentile(candidate, baseline, 0.05, settings) if count >= 20 else None,
    )


def _tail(pairs: Pairs, settings: Settings) -> Difference:
    candidate, baseline = pairs.even_candidate, pairs.even_baseline
    tail = _unlike(candidate, baseline, stats.tail_mean, settings)
    return replace(tail, cautious=stats.cautious_tail(candidate, baseline, tail.interval, level=settings.level))


def _unlike(candidate: Floats, baseline: Floats, figure: stats.Statistic, settings: Settings) -> Difference:
    """The difference of a figure of each side, with a percentile bootstrap over examples."""

    def statistic(new: Floats, old: Floats, axis: int = -1) -> Floats:
        result: Floats = figure(new, axis=axis) - figure(old, axis=axis)
        return result

    shown = _bootstrap([candidate, baseline], statistic, settings, "percentile")
    new, old = float(figure(candidate, axis=-1)), float(figure(baseline, axis=-1))
    return Difference(old, new, new - old, shown)


def _percentile(candidate: Floats, baseline: Floats, share: float, settings: Settings) -> Difference:
    return _unlike(candidate, baseline, lambda values, axis: np.quantile(values, share, axis=axis), settings)


def _shared_tail(candidate: Floats, baseline: Floats, settings: Settings) -> Difference:
    """Over the tenth of examples whose worse score of the two runs is lowest. The choice does not know which run a
    score is from, so without a difference either sign is as likely, and flipping signs tests it exactly."""
    worst = np.argsort(np.minimum(candidate, baseline), kind="stable")[: stats.tail_size(len(candidate))]
    new, old = candidate[worst], baseline[worst]
    change = new - old
    shown = _bootstrap([change], np.mean, settings, "BCa")
    p_value = stats.sign_flips(change, resamples=settings.resamples, seed=settings.seed)
    test = Significance("permutation of signs", p_value)
    return Difference(float(old.mean()), float(new.mean()), float(change.mean()), shown, test=test)


def _with_passing(runs: Runs, pairs: Pairs, facts: ScorerFacts, found: ScorerComparison) -> ScorerComparison:
    """Who passes now and did not, the other way round, and whose repetitions disagree in either run."""
    new = {key: _verdicts(runs.candidate[key], facts) for key in pairs.keys}
    old = {key: _verdicts(runs.baseline[key], facts) for key in pairs.keys}
    known = [key for key in pairs.keys if new[key] and old[key]]
    failing = sum(all(old[key]) and not all(new[key]) for key in known)
    passing = sum(all(new[key]) and not all(old[key]) for key in known)
    rate = None
    if known:
        before, after = (sum(all(side[key]) for key in known) / len(known) for side in (old, new))
        limits = stats.cautious_rates(passing, failing, len(known), level=runs.settings.level)
        test = Significance("McNemar, exact", stats.sign_test(passing, failing))
        rate = Difference(before, after, after - before, limits, test=test)
    flaky = sum(len(set(new[key])) > 1 or len(set(old[key])) > 1 for key in pairs.keys)
    return replace(found, pass_rate=rate, newly_failing=failing, newly_passing=passing, flaky=flaky)


def _verdicts(items: Sequence[Item], facts: ScorerFacts) -> list[bool]:
    if facts.slug:
        return [value >= facts.threshold for value in _scorer_values(items, facts.slug)]
    return [item.is_passed for item in items if item.is_passed is not None]


def _needed(pairs: Pairs, found: ScorerComparison, grounds: verdicts.Grounds, settings: Settings) -> int | None:
    """Sample size for a paired difference (Lachin 1981; for pass or fail with the variance of Connor 1987), by the
    verdict's own rule: standard errors shrink with the root of the number, and what may go unseen with the number."""
    normal = NormalDist()
    reach = normal.inv_cdf((1 + settings.level) / 2) + normal.inv_cdf(POWER)
    value, count = found.mean.value or 0.0, found.pairs
    change = pairs.change
    spread = math.sqrt(max(float(change.var()), 1 / count**2))
    level_of_scores = float(pairs.candidate.mean())

    def low_at(number: int) -> float:
        unseen = stats.unseen_share(number, settings.level) * level_of_scores
        return value - math.hypot(reach * spread / math.sqrt(number), unseen)

    if value <= -settings.margin:
        return _needed_for_worse(value, reach * spread, count)
    tail = found.tail
    if tail is None or tail.value is None or tail.value <= -settings.tail_margin:
        return verdicts.needed(low_at, None, grounds, settings)
    tail_value = tail.value
    parts = stats.tail_parts(pairs.even_candidate) - stats.tail_parts(pairs.even_baseline)
    tail_spread = float(parts.std())
    edge = float(np.quantile(pairs.even_candidate, stats.WORST))

    def tail_low_at(number: int) -> float:
        unseen = min(1.0, stats.unseen_share(number, settings.level) / stats.WORST) * edge
        return tail_value - math.hypot(reach * tail_spread / math.sqrt(number), unseen)

    return verdicts.needed(low_at, tail_low_at, grounds, settings)


def _needed_for_worse(value: float, reach: float, count: int) -> int | None:
    return verdicts.rounded_up(max(1, math.ceil((reach / value) ** 2) - count))


def _slices(runs: Runs, pairs: Pairs) -> tuple[SliceComparison, ...]:
    """The largest slices with enough examples, each with its interval, and p-values adjusted for their number."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(pairs.keys):
        for name in runs.candidate[key][0].slices:
            places[name].append(place)
    largest = sorted(places, key=lambda name: (-len(places[name]), name))[:MOST_SLICES]
    chosen = [name for name in largest if len(places[name]) >= FEWEST_IN_SLICE]
    found = [_slice(pairs, name, places[name], runs.settings) for name in chosen]
    adjusted = stats.holm([each.mean.test.p_value if each.mean.test else 1.0 for each in found])
    sure = 1 - runs.settings.level
    return tuple(
        replace(each, adjusted_p=p_value, direction=_direction(each.mean.value) if p_value < sure else "")
        for each, p_value in zip(found, adjusted, strict=True)
    )


def _slice(pairs: Pairs, name: str, places: Sequence[int], settings: Settings) -> SliceComparison:
    new, old, change = pairs.candidate[places], pairs.baseline[places], pairs.change[places]
    shown = _bootstrap([change], np.mean, settings, "BCa")
    if pairs.is_binary:
        p_value = stats.sign_test(int(np.sum(change > 0)), int(np.sum(change < 0)))
        test = Significance("McNemar, exact", p_value)
    else:
        p_value = stats.sign_flips(change, resamples=settings.resamples, seed=settings.seed)
        test = Significance("permutation of signs", p_value)
    mean = Difference(float(old.mean()), float(new.mean()), float(change.mean()), shown, test=test)
    return SliceComparison(name, len(places), mean, None)


def _direction(value: float | None, *, lower_is_better: bool = False) -> str:
    if not value:
        return ""
    return "better" if (value > 0) is not lower_is_better else "worse"


def _latency(runs: Runs, share: float) -> Ratio | None:
    """A percentile of the calls' milliseconds on both sides; resampled by example, all its calls together."""
    new = {key: _measured(runs.candidate[key]) for key in runs.keys}
    old = {key: _measured(runs.baseline[key]) for key in runs.keys}
    known = [key for key in runs.keys if new[key] and old[key]]
    if len(known) < 2:
        return None
    calls = min(min(len(new[key]), len(old[key])) for key in known)
    table_new = np.array([new[key][:calls] for key in known], dtype=np.float64)
    table_old = np.array([old[key][:calls] for key in known], dtype=np.float64)

    def statistic(chosen: Floats, axis: int = -1) -> Floats:
        rows = chosen.astype(int)
        shape = (*rows.shape[:-1], -1)
        after = np.quantile(table_new[rows].reshape(shape), share, axis=-1)
        result: Floats = after - np.quantile(table_old[rows].reshape(shape), share, axis=-1)
        return result

    places = np.arange(len(known), dtype=np.float64)
    shown = _bootstrap([places], statistic, runs.settings, "percentile")
    after, before = float(np.quantile(table_new, share)), float(np.quantile(table_old, share))
    return _ratio(before, after, shown)


def _measured(items: Sequence[Item]) -> list[float]:
    return [float(item.latency_ms) for item in items if item.latency_ms is not None and not item.is_from_cache]


def _cost(runs: Runs) -> Ratio | None:
    """Mean dollars an answer, over examples whose cost is known on both sides."""
    new = {
        key: [float(item.cost_usd) for item in runs.candidate[key] if item.cost_usd is not None] for key in runs.keys
    }
    old = {key: [float(item.cost_usd) for item in runs.baseline[key] if item.cost_usd is not None] for key in runs.keys}
    known = [key for key in runs.keys if new[key] and old[key]]
    if not known:
        return None
    after, before = _means(new[key] for key in known), _means(old[key] for key in known)
    shown = _bootstrap([after - before], np.mean, runs.settings, "BCa")
    return _ratio(float(before.mean()), float(after.mean()), shown)


def _paid(items: Sequence[Item]) -> list[float]:
    return [float(item.cost_usd) for item in items if item.cost_usd is not None]


def _ratio(before: float, after: float, shown: Interval | None) -> Ratio:
    is_clear = shown is not None and (shown.low > 0 or shown.high < 0)
    return Ratio(
        baseline=before,
        candidate=after,
        difference=Difference(before, after, after - before, shown),
        change=(after - before) / before if before else None,
        direction=_direction(after - before, lower_is_better=True) if is_clear else "",
    )


def _changed(runs: Runs, pairs: Pairs) -> tuple[ChangedExample, ...]:
    """Examples that changed: newly failing first, then newly passing, then the largest loss first."""
    places = {key: place for place, key in enumerate(pairs.keys)}
    change = pairs.change
    found = []
    for key in runs.keys:
        became = _became(runs, key)
        place = places.get(key)
        if became or (place is not None and change[place]):
            found.append(_changed_example(runs, pairs, key, place, became))
    ranks = {"failing": 0, "passing": 1, "": 2}
    found.sort(key=lambda each: (ranks[each.became], math.inf if each.change is None else each.change, each.key))
    return tuple(found[:MOST_CHANGED])


def _changed_example(runs: Runs, pairs: Pairs, key: str, place: int | None, became: str) -> ChangedExample:
    slices = tuple(runs.candidate[key][0].slices)
    if place is None:
        return ChangedExample(key, slices, None, None, None, became)
    old, new = float(pairs.baseline[place]), float(pairs.candidate[place])
    return ChangedExample(key, slices, old, new, new - old, became)


def _became(runs: Runs, key: str) -> str:
    everything = ScorerFacts("")
    old, new = _verdicts(runs.baseline[key], everything), _verdicts(runs.candidate[key], everything)
    if not old or not new or all(old) is all(new):
        return ""
    return "failing" if all(old) else "passing"


def _curve(values: Floats) -> tuple[float, ...]:
    if not len(values):
        return ()
    return tuple(round(float(each), 6) for each in np.quantile(values, np.linspace(0, 1, 101)))

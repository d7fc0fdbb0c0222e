"""Judging by a gate, as a table and by properties: little evidence never passes, worse evidence never helps."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.evals.compare import Comparison, Difference, ScorerComparison, Settings
from apps.evals.gating import CriticalExample, Evidence, ScorerUse, judge, read_config
from apps.evals.summary import Cost, Interval, ScoreSummary, SliceSummary, Summary, Times
from apps.evals.types import GateVerdict, RunState, Verdict

CONFIG = read_config(
    {
        "scorers": [{"slug": "exact", "minimum_mean": 0.8}],
        "minimum_pass_rate": 0.9,
        "baseline": {"kind": "run", "run": 1, "margin": 0.02, "tail_margin": 0.1},
        "slices": [{"name": "refunds", "minimum_pass_rate": 0.8, "minimum_examples": 10}],
        "critical_slices": ["refunds"],
        "maximum_latency_p50_ms": 1000,
        "maximum_latency_p99_ms": 5000,
        "maximum_cost_per_call_usd": "0.02",
    }
)


def around(value: float, half: float = 0.01) -> Interval:
    """An interval about the value."""
    return Interval(value - half, value + half, "test")


def scores(slug: str, **changes: Any) -> ScoreSummary:
    """Two hundred good scores."""
    return replace(
        ScoreSummary(
            slug=slug, examples=200, scored=200, mean=0.95, mean_interval=around(0.95), passed=190, judged=200,
            pass_rate=0.95, pass_interval=around(0.95, 0.03),
        ),
        **changes,
    )  # fmt: skip


def difference(value: float | None, half: float = 0.01) -> Difference:
    """Candidate minus baseline."""
    return Difference(0.9, 0.9, value, None if value is None else around(value, half))


def comparison(mean: Difference, tail: Difference | None, pairs: int = 200, **changes: Any) -> Comparison:
    """A comparison with these figures."""
    whole = ScorerComparison(
        "", Verdict.NOT_WORSE, "", pairs=pairs, mean=mean, tail=tail, tail_examples=pairs // 10, is_binary=tail is None
    )
    return Comparison(Verdict.NOT_WORSE, "", Settings(), whole, pairs=pairs, **changes)


SUMMARY = Summary(
    examples=200, results=200, answered=200, overall=scores(""), scorers=(scores("exact"),),
    slices=(SliceSummary("refunds", 40, 0.95, around(0.95), 0.5, 38, 40, 0.95, around(0.95, 0.05)),),
    latency=Times(calls=200, p50=600, p99=4000),
    cost=Cost(priced=200, total_usd=Decimal(2), per_answer_usd=Decimal("0.01")),
)  # fmt: skip
GOOD = Evidence(
    state=RunState.FINISHED, summary=SUMMARY, scorers=(ScorerUse("exact", 1, 1),), revision=3, baseline="run 1",
    comparison=comparison(difference(0.0), difference(-0.02)), critical=(CriticalExample("a", True, True),),
)  # fmt: skip
BARE = replace(SUMMARY, scorers=(), slices=(), overall=ScoreSummary(""), latency=Times(), cost=Cost())

P, F, C = GateVerdict.PASSED, GateVerdict.FAILED, GateVerdict.CANNOT_TELL
UNLIKE = comparison(difference(0.0), difference(0.0), unlike_scorers=("exact",))


def with_summary(**changes: Any) -> Evidence:
    """The good evidence with other figures."""
    return replace(GOOD, summary=replace(SUMMARY, **changes))


def used(**changes: Any) -> Evidence:
    """The good evidence with another use of the scorer."""
    return replace(GOOD, scorers=(replace(GOOD.scorers[0], **changes),))


CASES: dict[str, tuple[Evidence, GateVerdict, set[str]]] = {
    "good": (GOOD, P, set()),
    "empty": (Evidence(RunState.FINISHED, Summary()), F, {"examples", "pass_rate", "mean:exact"}),
    "no summary": (Evidence(RunState.FINISHED, None), C, {"complete"}),
    "still running": (Evidence(RunState.RUNNING, None), C, {"complete"}),
    "over budget": (replace(GOOD, state=RunState.OVER_BUDGET), F, {"complete"}),
    "below the floor": (
        with_summary(overall=scores("", pass_rate=0.85, pass_interval=around(0.85))), F, {"pass_rate"},
    ),
    "bound below the floor": (
        with_summary(overall=scores("", pass_rate=0.91, pass_interval=around(0.91, 0.05))), C, {"pass_rate"},
    ),
    "no interval": (with_summary(overall=scores("", pass_interval=None)), C, {"pass_rate"}),
    "99 examples": (with_summary(overall=scores("", judged=99)), F, {"examples"}),
    "the scorer skipped": (
        with_summary(scorers=(scores("exact", examples=190, scored=190, not_scored=10),)), F, {"not_scored:exact"},
    ),
    "the scorer failed": (
        with_summary(scorers=(scores("exact", examples=195, scored=195, errors=5),)), F, {"scorer_errors:exact"},
    ),
    "calls failed": (with_summary(failed=5, answered=195), F, {"errors"}),
    "the scorer is missing": (used(used=None), F, {"scorer:exact"}),
    "another version": (used(used=2), F, {"scorer:exact"}),
    "an unlicensed judge": (used(is_judge=True, is_licensed=False), F, {"licensed:exact"}),
    "the slice is empty": (with_summary(slices=()), F, {"slice:refunds"}),
    "a critical failure": (
        replace(GOOD, critical=(CriticalExample("a", False, True),)), F, {"critical"},
    ),
    "it failed before, too": (replace(GOOD, critical=(CriticalExample("a", False, False),)), P, set()),
    "nobody judged it": (replace(GOOD, critical=(CriticalExample("a", None, True),)), F, {"critical"}),
    "nothing critical": (replace(GOOD, critical=()), F, {"critical"}),
    "no baseline": (
        replace(GOOD, comparison=None, why_none="Run it."), C, {"baseline", "baseline_tail"},
    ),
    "better on average, worse in the tail": (
        replace(GOOD, comparison=comparison(difference(0.1), difference(-0.3))), F, {"baseline_tail"},
    ),
    "maybe worse": (
        replace(GOOD, comparison=comparison(difference(0.0, 0.05), difference(0.0))), C, {"baseline"},
    ),
    "few pairs": (
        replace(GOOD, comparison=comparison(difference(0.0), difference(0.0), 50)), C, {"baseline", "baseline_tail"},
    ),
    "pass or fail has no tail": (replace(GOOD, comparison=comparison(difference(0.0), None)), P, set()),
    "unlike scorers": (replace(GOOD, comparison=UNLIKE), C, {"baseline", "baseline_tail"}),
    "slow": (with_summary(latency=Times(calls=200, p50=600, p99=5001)), F, {"latency_p99"}),
    "all from the cache": (with_summary(latency=Times()), C, {"latency_p50", "latency_p99"}),
    "few calls": (with_summary(latency=Times(calls=50, p50=600, p99=900)), C, {"latency_p99"}),
    "dear": (with_summary(cost=Cost(priced=200, per_answer_usd=Decimal("0.03"))), F, {"cost"}),
    "unpriced": (with_summary(cost=Cost(priced=9, unpriced=9, per_answer_usd=Decimal("0.01"))), C, {"cost"}),
    "the set changed": (replace(GOOD, is_newest=False), F, {"set"}),
    "drafts": (replace(GOOD, with_drafts=True), F, {"set"}),
    "only a slice": (replace(GOOD, only_slices=("a",)), F, {"set"}),
    "nothing at all": (replace(GOOD, summary=BARE), F, {"examples", "slice:refunds"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_lack_is_named(name: str) -> None:
    """The verdict, and just the conditions that are not met; each has a sentence."""
    evidence, verdict, wanted = CASES[name]
    report = judge(CONFIG, evidence)
    not_met = {one.name for one in report.conditions if one.state is not P}
    assert report.verdict is verdict, report.sentence
    assert wanted <= not_met
    if len(wanted) < 3 and name != "nothing at all":
        assert {one.split(":")[0] for one in not_met} == {one.split(":")[0] for one in wanted}
    assert all(one.sentence and (one.target is None or one.shown_target) for one in report.conditions)


RANK = {F: 0, C: 1, P: 2}
shares = st.floats(0, 1)


@settings(max_examples=150)
@given(rate=shares, mean=shares, half=st.floats(0, 0.2), judged=st.integers(0, 300), failed=st.integers(0, 20),
       skipped=st.integers(0, 20), change=st.floats(-0.5, 0.5), tail=st.floats(-0.5, 0.5),
       worse=st.sampled_from(["rate", "mean", "judged", "failed", "skipped", "change", "tail"]), by=shares)  # fmt: skip
def test_worse_evidence_never_turns_failed_into_passed(worse: str, by: float, half: float, **figures: Any) -> None:
    """Make one figure worse: no condition, and not the whole, goes from failed to passed."""

    def evidence(**f: Any) -> Evidence:
        slug = scores(
            "exact", mean=f["mean"], mean_interval=around(f["mean"], half), scored=200 - f["skipped"],
            not_scored=f["skipped"],
        )  # fmt: skip
        whole = scores("", pass_rate=f["rate"], pass_interval=around(f["rate"], half), judged=f["judged"])
        summary = replace(SUMMARY, overall=whole, scorers=(slug,), failed=f["failed"])
        compared = comparison(difference(f["change"], half), difference(f["tail"], half))
        return replace(GOOD, summary=summary, comparison=compared)

    lower = figures | {worse: figures[worse] - (by if isinstance(figures[worse], float) else int(by * 100))}
    if worse in {"failed", "skipped"}:
        lower = figures | {worse: figures[worse] + int(by * 100)}
    before, after = judge(CONFIG, evidence(**figures)), judge(CONFIG, evidence(**lower))
    states = {one.name: one.state for one in before.conditions}
    assert RANK[after.verdict] <= RANK[before.verdict]
    assert all(RANK[one.state] <= RANK[states[one.name]] for one in after.conditions)

"""The rules by which the Overview says that something stands out, as tables of cases."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from apps.core.histogram import LogHistogram
from apps.dashboards.verdict import Finding, Kind, Pair, Side, judge, quantile_bounds, wilson


def latencies(*values: int) -> LogHistogram:
    return LogHistogram.of_values(np.zeros(len(values), dtype=np.int64), np.array(values, dtype=np.int64), 1)


def a_side(calls: int, errors: int = 0, cost: str = "0", unpriced: int = 0, each_ms: int = 1000) -> Side:
    """Calls whose latencies are spread evenly from half to one and a half of `each_ms`."""
    spread = [each_ms // 2 + each_ms * place // max(calls, 1) for place in range(calls)]
    return Side(calls, errors, unpriced, Decimal(cost), latencies(*spread))


def kinds(now: Side, before: Side) -> list[Kind]:
    return [finding.kind for finding in judge(Pair(None, now, before)).findings]


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        # More failures, enough of them to be sure.
        ((1000, 41), (1000, 5), [Kind.ERRORS_UP]),
        ((20, 5), (1000, 2), [Kind.ERRORS_UP]),
        # As many per cent more, of too few calls.
        ((12, 1), (12, 0), []),
        ((100, 4), (100, 1), []),
        # A sure rise that is too small to matter.
        ((1_000_000, 2_600), (1_000_000, 1_000), []),
        ((1000, 110), (1000, 100), [Kind.ERRORS_HIGH]),
        # Fewer failures are no alarm.
        ((1000, 5), (1000, 41), []),
        # High as before, and high without anything before.
        ((500, 150), (500, 150), [Kind.ERRORS_HIGH]),
        ((500, 150), (0, 0), [Kind.ERRORS_HIGH]),
        ((10, 2), (0, 0), []),
        ((1000, 4), (1000, 4), []),
    ],
)
def test_judges_error_rates(now: tuple[int, int], before: tuple[int, int], found: list[Kind]) -> None:
    assert kinds(a_side(*now), a_side(*before)) == found


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        # 1,000 calls each, half slower.
        ((1000, 1500), (1000, 1000), [Kind.LATENCY_UP]),
        # Ten per cent slower does not matter; a fifth of 100 ms is less than 50 ms.
        ((1000, 1100), (1000, 1000), []),
        ((1000, 125), (1000, 100), []),
        # Twenty calls have no interval for their P95.
        ((20, 3000), (20, 1000), []),
        ((1000, 3000), (20, 1000), []),
        ((1000, 600), (1000, 1000), []),
    ],
)
def test_judges_latency(now: tuple[int, int], before: tuple[int, int], found: list[Kind]) -> None:
    sides = [a_side(calls, each_ms=each_ms) for calls, each_ms in (now, before)]
    assert kinds(*sides) == found


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        ((1000, "142"), (1000, "100"), [Kind.SPEND_UP]),
        ((1000, "58"), (1000, "100"), [Kind.SPEND_DOWN]),
        # Less than a fifth; less than a dollar; fewer calls than chance needs.
        ((1000, "115"), (1000, "100"), []),
        ((1000, "0.90"), (1000, "0.10"), []),
        ((20, "142"), (20, "100"), []),
        ((1000, "142"), (0, "0"), []),
    ],
)
def test_judges_spend(now: tuple[int, str], before: tuple[int, str], found: list[Kind]) -> None:
    sides = [a_side(calls, cost=cost) for calls, cost in (now, before)]
    assert kinds(*sides) == found


def test_does_not_judge_spend_that_is_not_known() -> None:
    before = a_side(1000, cost="100")
    assert kinds(a_side(1000, cost="200", unpriced=101), before) == []
    assert kinds(a_side(1000, cost="200", unpriced=100), before) == [Kind.SPEND_UP]
    assert kinds(before, a_side(1000, cost="200", unpriced=101)) == []


def test_says_when_most_calls_have_no_price() -> None:
    assert kinds(a_side(20, unpriced=10), a_side(20)) == [Kind.UNPRICED]
    assert kinds(a_side(20, unpriced=9), a_side(20)) == []
    assert kinds(a_side(19, unpriced=19), a_side(19)) == []


def test_notices_silence() -> None:
    assert kinds(a_side(0), a_side(20)) == [Kind.SILENCE]
    assert kinds(a_side(0), a_side(19)) == []
    assert kinds(a_side(0), a_side(0)) == []


def test_puts_the_gravest_first() -> None:
    now = a_side(1000, 60, cost="200", each_ms=3000)
    assert kinds(now, a_side(1000, 2, cost="100")) == [Kind.ERRORS_UP, Kind.LATENCY_UP, Kind.SPEND_UP]


def findings(whole: Pair, *features: Pair) -> list[Finding]:
    return list(judge(whole, features).findings)


def test_names_the_feature_that_accounts_for_the_errors() -> None:
    answers = Pair("answers", a_side(500, 40), a_side(500, 2))
    search = Pair("search", a_side(500, 3), a_side(500, 2))
    whole = Pair(None, a_side(1000, 43), a_side(1000, 4))
    (found,) = findings(whole, answers, search)
    assert (found.kind, found.feature, found.pair) == (Kind.ERRORS_UP, "answers", answers)


def test_names_no_feature_when_all_fail_more() -> None:
    features = [Pair(f"feature {place}", a_side(400, 12), a_side(400, 2)) for place in range(5)]
    (found,) = findings(Pair(None, a_side(2000, 60), a_side(2000, 10)), *features)
    assert (found.kind, found.feature) == (Kind.ERRORS_UP, None)


def test_finds_a_feature_whose_errors_the_whole_hides() -> None:
    small = Pair("small", a_side(300, 60), a_side(300, 3))
    big = Pair("big", a_side(100_000, 2000), a_side(100_000, 2060))
    (found,) = findings(Pair(None, a_side(100_300, 2060), a_side(100_300, 2063)), small, big)
    assert (found.kind, found.feature) == (Kind.ERRORS_UP, "small")


def test_names_the_feature_that_got_slow() -> None:
    slow = Pair("slow", a_side(600, each_ms=4000), a_side(600, each_ms=1000))
    same = Pair("same", a_side(600), a_side(600))
    now = Side(1200, 0, 0, Decimal(0), latencies(*([1000] * 600 + [4000] * 600)))
    (found,) = findings(Pair(None, now, a_side(1200)), slow, same)
    assert (found.kind, found.feature) == (Kind.LATENCY_UP, "slow")
    assert found.p95_ms == pytest.approx((5800, 1450), rel=0.01)


def test_names_the_feature_most_of_the_money_goes_to() -> None:
    notes = Pair("notes", a_side(500, cost="90"), a_side(500, cost="50"))
    search = Pair("search", a_side(500, cost="52"), a_side(500, cost="50"))
    (found,) = findings(Pair(None, a_side(1000, cost="142"), a_side(1000, cost="100")), notes, search)
    assert (found.kind, found.feature, found.change) == (Kind.SPEND_UP, "notes", Decimal("0.42"))


def test_calls_errors_steady_only_of_enough_calls() -> None:
    assert judge(Pair(None, a_side(100, 1), a_side(100, 1))).errors_are_steady
    assert not judge(Pair(None, a_side(99, 1), a_side(100, 1))).errors_are_steady
    assert not judge(Pair(None, a_side(1000, 60), a_side(1000, 2))).errors_are_steady


def test_knows_the_interval_of_a_share() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    # From the formula at z = 1.96: 4 of 10.
    assert wilson(4, 10, 1.96) == pytest.approx((0.1682, 0.6873), abs=0.0001)
    low, high = wilson(0, 1000)
    assert low == pytest.approx(0)
    assert 0 < high < 0.01


def test_bounds_a_percentile_by_rank() -> None:
    bounds = quantile_bounds(latencies(*range(1, 1001)), 0.95, 1.96)
    assert bounds is not None
    # 950 ± 1.96 sqrt(1000 * 0.95 * 0.05): ranks 936 and 965.
    assert (bounds.low, bounds.value, bounds.high) == pytest.approx((936, 950, 965), rel=0.005)
    assert quantile_bounds(latencies(*range(1, 51)), 0.95) is None
    assert quantile_bounds(LogHistogram.of_values([], [], 1), 0.95) is None

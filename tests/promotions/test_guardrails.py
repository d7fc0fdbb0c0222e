"""What the figures of both sides say of each guardrail, and what may be asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.promotions.guardrail_bounds import Spread
from apps.promotions.guardrail_judging import Report, Side, Taken, judge
from apps.promotions.guardrails import USUAL, BadGuardrails, GuardrailConfig, ScoreRail, read_config


def side(calls: int, errors: int = 0, *, slow: float = 500.0, usd: float = 0.01, **scores: float) -> Side:
    """So many calls; one in fifty takes ten times as long, and costs spread by half their mean."""
    latencies = tuple((place / 10 + slow, 1) for place in range(calls - calls // 50))
    latencies += tuple((10 * slow + place, 1) for place in range(calls // 50))
    spreads = {name: Spread(calls, mean, 0.04) for name, mean in scores.items()}
    return Side(calls, errors, latencies, Spread(calls, usd, (usd / 2) ** 2), spreads)


WITH_SCORE = GuardrailConfig(scores=(ScoreRail("helpful", 0.05),))


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        (side(3_000, 60, helpful=0.8), side(2_000, 40, helpful=0.8), set()),
        (side(3_000, 60), side(2_000, 200), {"error_rate"}),
        (side(3_000, 60), side(2_000, 84), set()),
        (side(3_000), side(2_000, slow=1_500), {"latency_p99"}),
        (side(3_000), side(2_000, usd=0.02), {"cost_per_call"}),
        (side(3_000, helpful=0.8), side(2_000, helpful=0.6), {"score:helpful"}),
        (side(3_000, helpful=0.8), side(2_000, helpful=0.77), set()),
        (side(3_000, 60), side(49, 49, slow=5_000, usd=1.0), set()),
        (
            side(3_000, 60, helpful=0.8),
            side(2_000, 900, slow=5_000, helpful=0.1),
            {"error_rate", "latency_p99", "score:helpful"},
        ),
    ],
)
def test_is_broken_when_the_whole_interval_is_beyond(before: Side, after: Side, broken: set[str]) -> None:
    report = judge(WITH_SCORE, before, after, taken=Taken())
    assert {one.key for one in report.breached} == broken
    assert all(one.sentence for one in report.rails)
    assert Report.from_dict(report.as_dict()) == report


def test_without_anything_before_only_ceilings_hold() -> None:
    config = read_config({"error_rate": {"most": 0.1}, "latency_p99": {"most_ms": 4_000}, "cost_per_call": None})
    assert [one.key for one in judge(config, None, side(4_000, 200)).breached] == ["latency_p99"]
    assert [one.key for one in judge(config, None, side(500, 100, slow=100)).breached] == ["error_rate"]
    assert judge(config, None, side(500, 25, slow=100)).breached == ()


def test_a_release_that_keeps_within_is_seldom_called_breached() -> None:
    """300 watches of the same behavior on both sides, at most 5 % are told of whenever a look decides."""
    random, wrong = np.random.default_rng(5), 0
    for _ in range(300):
        errors = random.random(4_000) < 0.03
        costs = random.lognormal(-6, 0.8, 4_000)
        delays = np.sort(np.round(random.lognormal(6, 0.6, 2_000)))
        before = Side(
            2_000,
            int(random.binomial(2_000, 0.03)),
            _counted(delays),
            _spread(random.lognormal(-6, 0.8, 2_000)),
        )
        taken, calls = Taken(), 50
        own = np.round(random.lognormal(6, 0.6, 4_000))
        while calls <= 4_000:
            after = Side(calls, int(errors[:calls].sum()), _counted(np.sort(own[:calls])), _spread(costs[:calls]))
            report = judge(USUAL, before, after, taken=taken)
            if report.breached:
                wrong += 1
                break
            taken, calls = report.taken, report.needed_calls
    assert wrong <= 15


def _counted(values: np.ndarray) -> tuple[tuple[float, int], ...]:
    found, counts = np.unique(values, return_counts=True)
    return tuple(zip(found.tolist(), counts.tolist(), strict=True))


def _spread(values: np.ndarray) -> Spread:
    return Spread(len(values), float(values.mean()), float(values.var(ddof=1)))


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"error_rate": {"most_rise": 2}}, "error_rate.most_rise"),
        ({"error_rate": {}}, "error_rate.most_rise"),
        ({"latency_p99": {"most_ratio": 0.5}}, "latency_p99.most_ratio"),
        ({"cost_per_call": {"most_usd": "free"}}, "cost_per_call.most_usd"),
        ({"scores": [{"name": "a"}, {"name": "a"}]}, "scores"),
        ({"error_rate": None, "latency_p99": None, "cost_per_call": None}, "error_rate"),
        ({"happiness": 1}, "happiness"),
    ],
)
def test_says_what_is_wrong_with_guardrails(told: dict[str, Any], field: str) -> None:
    with pytest.raises(BadGuardrails) as raised:
        read_config(told)
    assert field in raised.value.details


def test_reads_back_what_it_wrote() -> None:
    config = read_config({"scores": [{"name": "helpful"}], "latency_p99": None, "cost_per_call": {"most_usd": "0.05"}})
    assert read_config(config.as_dict()) == config

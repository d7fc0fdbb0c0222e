"""The arithmetic of projections: the interval covers as often as it says, and differences are told apart exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.budgets.projecting import Inputs, NoCalls, Numbers, Sampled, draw_calls, project
from apps.budgets.projection_drift import ActualDay, compare
from apps.providers.pricing import cost_of
from apps.providers.rates import rates_from_json

RATES = rates_from_json(
    {"input": "2", "cached_read": "0.5", "output": "8", "tiers": [{"above": 5000, "input": "4", "output": "12"}]}
)
TYPED = Inputs(
    calls_per_second=Decimal("0.01"),
    input_mean=Decimal(1200),
    input_p95=Decimal(3000),
    output_mean=Decimal(200),
    output_p95=Decimal(500),
    model="atlas",
)
WEEK = TYPED.typed_calls()


def test_types_tokens_that_have_their_mean_and_p95() -> None:
    calls = draw_calls(TYPED)

    assert sum(call.input_tokens for call in calls) == 1200 * len(calls)
    above = sum(call.input_tokens > 3000 for call in calls) / len(calls)
    assert abs(above - 0.05) <= 0.005
    assert calls == draw_calls(TYPED)


def test_refuses_a_p95_that_no_log_normal_has() -> None:
    with pytest.raises(NoCalls, match=r"3\.8 times"):
        draw_calls(replace(TYPED, input_p95=Decimal(100_000)))


def test_projects_the_exact_mean_by_hand() -> None:
    calls = [Sampled(1000, 100), Sampled(6000, 100)]  # 0.002 + 0.0008; above 5000 tokens 0.024 + 0.0012

    numbers = project(replace(TYPED, tokens="telemetry", users=10), calls, [Decimal(7)] * 7, RATES)

    assert numbers.per_call_usd == Decimal("0.014")
    assert numbers.month_usd == Decimal("2.980833")  # 7 a day x 365/12 x 0.014
    assert numbers.per_user_usd == Decimal("0.298083")
    assert numbers.low_usd < numbers.month_usd < numbers.high_usd
    assert Numbers.of_json(numbers.as_json()) == numbers


def test_takes_cached_input_at_its_own_price() -> None:
    numbers = project(replace(TYPED, cache_rate=Decimal("0.5")), [Sampled(1000, 0)], [Decimal(1)] * 7, RATES)

    assert numbers.per_call_usd == Decimal("0.00125")  # 500 x 2 + 500 x 0.5
    assert numbers.cache_rate == Decimal("0.5")


@pytest.mark.parametrize("level", ["0.8", "0.9"])
def test_covers_the_true_cost_as_often_as_it_says(level: str) -> None:
    """Months whose traffic varies as stated, and whose tokens are only known from a sample of 200 calls."""
    dice = np.random.default_rng(11)
    inputs = replace(TYPED, tokens="telemetry", level=Decimal(level), traffic_uncertainty=Decimal("0.1"))
    z = {"0.8": 1.2816, "0.9": 1.6449}[level]
    flat = rates_from_json({"input": "2", "output": "8"})
    true_per_call = (1000 * float(np.exp(0.5)) * 2 + 100 * 8) / 1e6
    covered, tries = 0, 120
    for trial in range(tries):
        sample = [Sampled(int(count), 100) for count in 1000 * np.exp(dice.normal(0, 1, 200))]
        numbers = project(replace(inputs, seed=trial), sample, WEEK, flat)
        month = float(numbers.month_calls) * float(np.exp(dice.normal(0, np.log(1.1) / z))) * true_per_call
        covered += float(numbers.low_usd) <= month <= float(numbers.high_usd)
    # Three standard errors of the share.
    assert abs(covered / tries - float(level)) <= 3 * (float(level) * (1 - float(level)) / tries) ** 0.5


COUNT = st.integers(0, 10**7)
COST = st.one_of(st.none(), st.decimals(0, 10**6, places=12))
DAYS = st.lists(st.tuples(COST, st.integers(1, 10**6), COUNT, COUNT, COUNT), min_size=1, max_size=31)


@given(DAYS)
def test_tells_a_difference_apart_into_parts_that_sum_to_it_exactly(
    said: list[tuple[Decimal | None, int, int, int, int]],
) -> None:
    numbers = project(TYPED, draw_calls(TYPED), WEEK, RATES)
    days = [
        ActualDay(date(2026, 3, 1) + timedelta(place), cost, calls, 0, read, written, cached)
        for place, (cost, calls, read, written, cached) in enumerate(said)
    ]

    found = compare(numbers, RATES, days)

    assert found is not None
    assert found.effects.total_usd == found.actual_usd - found.projected_usd
    assert found.low_usd <= found.projected_usd <= found.high_usd


def test_names_what_made_the_difference() -> None:
    numbers = project(TYPED, [Sampled(1000, 100)], [Decimal(100)] * 7, rates_from_json({"input": "2", "output": "8"}))
    flat = rates_from_json({"input": "2", "output": "8"})
    # Twice the calls, each with twice the input, at a price that doubled.
    usage = Sampled(2000, 100).usage
    cost = cost_of(usage, rates_from_json({"input": "4", "output": "16"}))
    assert cost is not None
    day = ActualDay(date(2026, 3, 2), cost.usd * 200, 200, 0, 2000 * 200, 100 * 200)

    found = compare(numbers, flat, [day])

    assert found is not None
    assert found.effects.traffic_usd == Decimal("0.28")  # 100 more calls at 0.0028
    assert found.effects.tokens_usd == Decimal("0.40")  # 200 calls at 0.0048 instead of 0.0028
    assert found.effects.prices_usd == Decimal("0.96")  # 200 calls at 0.0096 instead of 0.0048


def test_calls_it_no_drift_when_spend_is_only_low_because_prices_are_unknown() -> None:
    numbers = project(TYPED, [Sampled(1000, 100)], [Decimal(100)] * 7, RATES)
    days = [ActualDay(date(2026, 3, 2) + timedelta(place), Decimal("0.01"), 100, 90) for place in range(3)]

    unknown, known = (
        compare(numbers, RATES, each) for each in (days, [replace(day, unpriced_calls=0) for day in days])
    )

    assert unknown is not None
    assert known is not None
    assert (unknown.has_drifted, known.has_drifted) == (False, True)

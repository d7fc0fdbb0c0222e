"""Forecasts of spend: what they promise holds about as often as they say."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from apps.budgets.forecasting import LEAST_DAYS, forecast

FIRST = date(2026, 1, 5)
WEEK = np.array([1.0, 1.1, 1.2, 1.1, 0.9, 0.4, 0.3])


def world(random: np.random.Generator, days: int, *, noise: float, drift: float) -> np.ndarray:
    """Daily spend with a week's shape, a level that wanders, and noise."""
    level = np.exp(np.cumsum(random.normal(0, drift, days)))
    shape = WEEK[np.arange(days) % 7]
    return np.asarray(100 * level * shape * np.exp(random.normal(0, noise, days)))


@pytest.mark.parametrize(("noise", "drift"), [(0.1, 0.0), (0.3, 0.02), (0.1, 0.1)])
def test_the_interval_holds_about_as_often_as_it_says(noise: float, drift: float) -> None:
    random, held, sums = np.random.default_rng(7), [], []
    for _ in range(60):
        values = world(random, 56, noise=noise, drift=drift)
        found = forecast(list(values[:42]), first=FIRST, days=14)
        assert found is not None
        held += [day.low <= value <= day.high for day, value in zip(found.days, values[42:], strict=True)]
        total = found.total()
        sums.append(total.low <= values[42:].sum() <= total.high)
    assert 0.72 <= np.mean(held) <= 0.95
    assert np.mean(sums) >= 0.65


def test_knows_the_days_of_the_week() -> None:
    values = world(np.random.default_rng(1), 42, noise=0.02, drift=0.0)
    found = forecast(list(values), first=FIRST, days=7)
    assert found is not None
    for day, usual in zip(found.days, 100 * WEEK, strict=True):
        assert day.middle == pytest.approx(usual, rel=0.12), day.day


def test_says_nothing_of_little_and_counts_from_the_first_spend() -> None:
    assert forecast([0.0] * 60, first=FIRST, days=3) is None
    assert forecast([0.0] * 60 + [1.0] * (LEAST_DAYS - 1), first=FIRST, days=3) is None
    found = forecast([0.0] * 60 + [1.0] * LEAST_DAYS, first=FIRST, days=3)
    assert found is not None
    assert found.days[0].day == FIRST + timedelta(days=60 + LEAST_DAYS)
    assert found.days[0].middle == pytest.approx(1.0, rel=0.05)


def test_a_day_that_has_begun_is_not_less_than_what_is_known() -> None:
    found = forecast([10.0] * 30, first=FIRST, days=5, known_today=25.0)
    assert found is not None
    assert found.days[0].low == 25.0
    assert found.total(known=100).low >= 125
    middle, low = found.crossing(100, 140)
    assert middle is not None
    assert low is not None
    assert middle <= low
    assert found.crossing(100, 10_000) == (None, None)

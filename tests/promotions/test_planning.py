"""How many subjects an experiment needs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apps.promotions import planning, sequential


def test_is_the_sum_for_two_means() -> None:
    """(1.95996 + 0.84162)² · 0.25 · 2 · 2 / 0.05² = 3,139.6 subjects of both arms."""
    told = planning.plan(effect=0.05, variance=0.25, weights=(1, 1))
    assert told is not None
    assert told.fixed == 3_140
    assert told.sequential == math.ceil(3_140 * planning.SEQUENTIAL_FACTOR)


def test_takes_more_with_unequal_arms_and_with_several() -> None:
    """The treatment with the least weight decides, at its part of the level."""
    even, uneven, three = (
        planning.plan(effect=0.05, variance=0.25, weights=weights) for weights in ((1, 1), (9, 1), (1, 1, 1))
    )
    assert even is not None
    assert uneven is not None
    assert three is not None
    assert even.fixed < three.fixed < uneven.fixed


@pytest.mark.parametrize(
    "given",
    [
        {"effect": 0.0, "variance": 0.25, "weights": (1, 1)},
        {"effect": 0.1, "variance": 0.0, "weights": (1, 1)},
        {"effect": 0.1, "variance": 0.25, "weights": (1,)},
        {"effect": 0.1, "variance": 0.25, "weights": (1, 0)},
    ],
)
def test_has_no_plan_without_an_effect_or_a_spread(given: dict[str, object]) -> None:
    assert planning.plan(**given) is None  # type: ignore[arg-type]


def test_the_planned_size_has_the_power_it_promises() -> None:
    """400 experiments with just the effect that was planned for, looked at after every 100 subjects."""
    told = planning.plan(effect=0.1, variance=0.25, weights=(1, 1))
    assert told is not None
    random, found = np.random.default_rng(3), 0
    for _ in range(400):
        treated = random.random(told.sequential) < 0.5
        values = (random.random(told.sequential) < np.where(treated, 0.55, 0.45)).astype(float)
        for size in [*range(200, told.sequential, 100), told.sequential]:
            sides = [values[:size][mine] for mine in (treated[:size], ~treated[:size])]
            samples = [sequential.Sample(len(one), float(one.mean()), float(one.var(ddof=1)), True) for one in sides]
            said = sequential.compare(*samples, alpha=0.05, planned=told.sequential)
            if said is not None and (said.low > 0 or said.high < 0):
                found += 1
                break
    assert found >= 0.75 * 400, "0.8 less twice the noise of 400"


def test_days_left() -> None:
    assert planning.days_left(None, 10, 5.0) is None
    assert planning.days_left(100, 100, None) == 0.0
    assert planning.days_left(100, 40, 20.0) == 3.0
    assert planning.days_left(100, 40, None) is None

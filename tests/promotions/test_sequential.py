"""Intervals that hold at every look: 1,000 seeded A/A tests, looked at after every 100 observations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from apps.promotions import sequential
from apps.promotions.sequential import Sample

TESTS = 1_000
SUBJECTS = 5_000
LEVEL = 0.05
LOOKS = np.arange(100, SUBJECTS + 1, 100)

Draw = Callable[[np.random.Generator, int], np.ndarray]


def failures(random: np.random.Generator, size: int) -> np.ndarray:
    """One call in twenty fails."""
    return (random.random(size) < 0.05).astype(float)


def costs(random: np.random.Generator, size: int) -> np.ndarray:
    """Most are small and a few large, as costs of calls are."""
    return random.lognormal(math.log(0.004) - 0.5, 1.0, size)


def looks_of(values: np.ndarray, treated: np.ndarray, *, is_share: bool) -> list[tuple[Sample, Sample]]:
    """Treatment and control at every look at one experiment."""
    sides = []
    for mine in (treated, ~treated):
        count = np.cumsum(mine)[LOOKS - 1]
        total = np.cumsum(values * mine)[LOOKS - 1]
        square = np.cumsum(values**2 * mine)[LOOKS - 1]
        mean = total / count
        variance = np.maximum(square - count * mean**2, 0) / (count - 1)
        sides.append(
            [Sample(*one, is_share) for one in zip(count.tolist(), mean.tolist(), variance.tolist(), strict=True)]
        )
    return list(zip(*sides, strict=True))


def finds(treatment: Sample, control: Sample) -> bool:
    """Whether the product's interval leaves zero out."""
    told = sequential.compare(treatment, control, alpha=LEVEL, planned=SUBJECTS)
    return told is not None and (told.low > 0 or told.high < 0)


def finds_once(treatment: Sample, control: Sample) -> bool:
    """The same of the plain interval, which is meant for one look."""
    if min(treatment.count, control.count) < sequential.MINIMUM_SUBJECTS:
        return False
    error = math.sqrt(treatment.variance / treatment.count + control.variance / control.count)
    return error > 0 and abs(treatment.mean - control.mean) > 1.96 * error


@pytest.mark.parametrize(("draw", "is_share"), [(failures, True), (costs, False)])
def test_names_a_winner_where_there_is_none_in_five_percent_at_most(draw: Draw, is_share: bool) -> None:
    """The plain interval breaks that by far in the same experiments, so they are able to show a wrong method."""
    random = np.random.default_rng(20260)
    wrong = plain = 0
    for _ in range(TESTS):
        values, treated = draw(random, SUBJECTS), random.random(SUBJECTS) < 0.5
        looks = looks_of(values, treated, is_share=is_share)
        wrong += any(finds(*one) for one in looks)
        plain += any(finds_once(*one) for one in looks)
    assert wrong <= LEVEL * TESTS
    assert plain > 3 * LEVEL * TESTS


def test_finds_a_difference_there_is_and_says_its_side() -> None:
    random = np.random.default_rng(7)
    treated = random.random(SUBJECTS) < 0.5
    values = (random.random(SUBJECTS) < np.where(treated, 0.10, 0.20)).astype(float)
    treatment, control = looks_of(values, treated, is_share=True)[-1]
    told = sequential.compare(treatment, control, alpha=LEVEL, planned=SUBJECTS)
    assert told is not None
    assert told.low < -0.1 < told.high < 0
    assert told.value == pytest.approx(treatment.mean - control.mean)
    assert told.p_value < LEVEL


def test_p_value_and_interval_say_the_same() -> None:
    """The p-value is at the level exactly where the interval touches zero."""
    rho2 = sequential.rho_squared(4_000, LEVEL)
    for size in (200, 4_000, 100_000):
        assert sequential.p_value(sequential.factor(size, rho2, LEVEL), size, rho2) == pytest.approx(LEVEL)


def test_is_tightest_where_it_was_planned() -> None:
    """Against one look at so many subjects, no other tuning reaches less far there."""
    best = sequential.factor(4_000, sequential.rho_squared(4_000, LEVEL), LEVEL)
    for other in (1_000, 2_000, 8_000, 16_000):
        assert best < sequential.factor(4_000, sequential.rho_squared(other, LEVEL), LEVEL)
    assert best > 1.96, "what may be looked at all the time reaches farther than what is looked at once"


@pytest.mark.parametrize(
    ("treatment", "control"),
    [
        (Sample(99, 0.5, 0.25, True), Sample(5_000, 0.5, 0.25, True)),
        (Sample(500, 3.0, 0.0), Sample(500, 3.0, 0.0)),
    ],
    ids=["too few subjects", "nobody differs"],
)
def test_says_nothing(treatment: Sample, control: Sample) -> None:
    assert sequential.compare(treatment, control, alpha=LEVEL, planned=None) is None


def test_an_arm_without_a_failure_is_not_taken_for_one_that_never_fails() -> None:
    told = sequential.compare(Sample(150, 0.0, 0.0, True), Sample(150, 0.02, 0.0197, True), alpha=LEVEL, planned=4_000)
    assert told is not None
    assert told.low < 0 < told.high

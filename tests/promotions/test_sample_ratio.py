"""Whether subjects fell into the arms as planned, looked at all the time."""

from __future__ import annotations

import numpy as np
import pytest

from apps.promotions import sample_ratio
from apps.promotions.experiment_figures import RatioState


def test_calls_one_sound_experiment_in_a_hundred_broken_at_most() -> None:
    """Over 1,000 experiments with 90 : 10, looked at after every 100 subjects; the plain test breaks that by far."""
    random = np.random.default_rng(11)
    broken = plain = 0
    looks = np.arange(100, 5_001, 100)
    for _ in range(1_000):
        second = np.cumsum(random.random(5_000) < 0.1)[looks - 1]
        found = [(int(total - one), int(one)) for total, one in zip(looks, second, strict=True)]
        broken += any(sample_ratio.sequential_p([9, 1], one) < sample_ratio.ALPHA for one in found)
        off = [abs(one - total * 0.1) / (total * 0.09) ** 0.5 for total, (_, one) in zip(looks, found, strict=True)]
        plain += max(off) > 2.576
    assert broken <= 10
    assert plain > 30


@pytest.mark.parametrize(
    ("weights", "found", "state"),
    [
        ((1, 1), (24, 25), RatioState.TOO_FEW),
        ((1, 1), (2_510, 2_490), RatioState.OK),
        ((9_000, 1_000), (9_020, 980), RatioState.OK),
        ((1, 1), (2_750, 2_250), RatioState.BROKEN),
        ((1, 1, 2), (2_500, 2_500, 4_200), RatioState.BROKEN),
    ],
)
def test_says_what_is_off(weights: tuple[int, ...], found: tuple[int, ...], state: RatioState) -> None:
    told = sample_ratio.check([f"arm {place}" for place in range(len(weights))], weights, found)
    assert told.state is state
    assert [one.found for one in told.arms] == list(found)
    assert sum(one.expected for one in told.arms) == pytest.approx(sum(found))
    if state is RatioState.BROKEN:
        assert f"arm 0 {found[0]:,} of" in told.sentence
        assert "no difference can be trusted" in told.sentence


def test_the_plain_test_stands_beside_it() -> None:
    """Pearson: (30² / 500) · 2 = 3.6, of which one degree of freedom leaves 0.0578."""
    assert sample_ratio.chi_square_p([500, 500], [530, 470]) == pytest.approx(0.0578, abs=1e-4)

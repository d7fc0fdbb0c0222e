"""Who gets which arm: shares, weights, and what stays as it was."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.prompts.splitting import WHOLE, Splitting, choose, draw, takes_part

SUBJECTS = [f"customer-{number}" for number in range(10_000)]
HALVES = Splitting(salt="5e0c", share=WHOLE, weights=(5_000, 5_000))


@pytest.mark.parametrize(
    ("share", "weights"),
    [
        (WHOLE, (5_000, 5_000)),
        (WHOLE, (9_000, 1_000)),
        (WHOLE, (3_334, 3_333, 3_333)),
        (2_500, (5_000, 5_000)),
        (500, (8_000, 2_000)),
        (100, (1, 9_999)),
    ],
)
def test_gives_each_arm_its_part_of_ten_thousand_subjects(share: int, weights: tuple[int, ...]) -> None:
    got = [choose(Splitting("a salt", share, weights), subject) for subject in SUBJECTS]
    within = len(SUBJECTS) * 0.02
    assert abs(sum(one is not None for one in got) - share) <= within
    for position, weight in enumerate(weights):
        assert abs(got.count(position) - share * weight / WHOLE) <= within


def test_keeps_who_is_in_and_their_arm_when_the_share_grows() -> None:
    shares = [choose_all(replace(HALVES, share=share)) for share in (500, 2_500, WHOLE)]
    for fewer, more in zip(shares, shares[1:], strict=False):
        assert fewer.items() <= more.items()
    assert len(shares[-1]) == len(SUBJECTS)


def choose_all(split: Splitting, subjects: list[str] = SUBJECTS) -> dict[str, int]:
    chosen = {subject: choose(split, subject) for subject in subjects}
    return {subject: position for subject, position in chosen.items() if position is not None}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (replace(HALVES, salt="one"), replace(HALVES, salt="other")),
        (replace(HALVES, salt="one", share=5_000), replace(HALVES, salt="other", share=5_000)),
        # The same subjects take part, in arms that have nothing to do with each other.
        (replace(HALVES, salt="one", layer="page"), replace(HALVES, salt="other", layer="page")),
    ],
)
def test_draws_for_two_experiments_independently(one: Splitting, other: Splitting) -> None:
    from scipy.stats import chi2_contingency

    both = [(choose(one, subject), choose(other, subject)) for subject in SUBJECTS]
    shown = [pair for pair in both if None not in pair]
    table = [[shown.count((row, column)) for column in (0, 1)] for row in (0, 1)]
    assert chi2_contingency(table).pvalue > 0.01


def test_says_nothing_of_the_arm_by_who_takes_part() -> None:
    early = choose_all(replace(HALVES, share=1_000))
    assert abs(sum(early.values()) - len(early) / 2) < 3 * (len(early) / 4) ** 0.5


def test_experiments_of_one_layer_share_nobody() -> None:
    one = choose_all(replace(HALVES, salt="one", layer="page", share=4_000))
    other = choose_all(replace(HALVES, salt="other", layer="page", layer_from=4_000, share=6_000))
    assert not one.keys() & other.keys()
    assert len(one) + len(other) == len(SUBJECTS)


def test_leaves_out_who_is_excluded_or_nobody() -> None:
    split = replace(HALVES, excluded=frozenset({"customer-1"}))
    assert choose(split, "customer-1") is None
    assert choose(split, "") is None
    assert choose(split, "customer-2") is not None


def test_draws_as_the_documentation_says() -> None:
    """A second reading of the description, as a client in another language would write it."""
    for subject in ("customer-7", "Zoë", "客户-42", "🛒", "a\0b"):
        digest = hashlib.sha256(b"part\x005e0c\x00" + subject.encode()).hexdigest()
        assert draw("part", "5e0c", subject) == int(digest[:16], 16) * 10_000 // 2**64
        digest = hashlib.sha256(b"arm\x005e0c\x00" + subject.encode()).hexdigest()
        assert choose(HALVES, subject) == (0 if int(digest[:16], 16) * 10_000 // 2**64 < 5_000 else 1)
    # These never change: who has an arm keeps it over releases.
    assert [draw("arm", "5e0c", f"customer-{number}") for number in range(4)] == FIXED


FIXED = [1450, 6370, 8717, 2306]


@settings(max_examples=200, deadline=None)
@given(
    subject=st.text(min_size=1, max_size=40),
    salt=st.text(min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, WHOLE - 1), min_size=1, max_size=4, unique=True),
    shares=st.tuples(st.integers(1, WHOLE), st.integers(1, WHOLE)),
)
def test_whoever_is_in_has_one_arm_and_keeps_it(
    subject: str, salt: str, cuts: list[int], shares: tuple[int, int]
) -> None:
    edges = [0, *sorted(cuts), WHOLE]
    weights = tuple(after - before for before, after in zip(edges, edges[1:], strict=False))
    small, large = (Splitting(salt, share, weights) for share in sorted(shares))
    chosen = choose(large, subject)
    assert (chosen is not None) == takes_part(large, subject)
    assert chosen is None or 0 <= chosen < len(weights)
    assert choose(small, subject) in (None, chosen)
    assert choose(replace(large, share=WHOLE), subject) is not None

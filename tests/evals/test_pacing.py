"""The pace of calls, on a clock that the tests move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals import pacing
from apps.evals.pacing import Bucket, Gate, Throttle, backoff


def test_halves_once_for_refusals_of_one_moment_and_comes_back_one_a_round() -> None:
    throttle = Throttle(40)
    for moment in (0.0, 0.1, 0.9):
        throttle.was_refused(moment)
    assert throttle.allowed == 20
    throttle.was_refused(2.0)
    assert throttle.allowed == 10
    for _ in range(11):
        throttle.went_well()
    assert throttle.allowed == 11
    for _ in range(2_000):
        throttle.went_well()
    assert throttle.allowed == 40


def test_after_a_pause_one_call_looks_before_the_others_follow() -> None:
    gate = Gate()
    assert gate.was_refused(10.0, asked=5) == 5
    assert not gate.may_ask(14.9, 0)
    assert gate.may_ask(15.0, 0)
    assert not gate.may_ask(15.0, 1)
    gate.went_well()
    assert gate.may_ask(15.1, 7)
    waits = [gate.was_refused(at, asked=None) for at in (20.0, 20.1, 30.0, 60.0, 100.0)]
    assert waits == [1.0, 1.0, 2.0, 4.0, 8.0]


def test_gives_up_on_a_provider_after_looking_in_vain() -> None:
    gate, at = Gate(), 0.0
    for _ in range(pacing.DOWN_AFTER - 1):
        assert not gate.could_not_be_made(at)
    for pause in pacing.DOWN_PAUSES:
        assert not gate.could_not_be_made(at)
        assert not gate.could_not_be_made(at), "those on their way do not count as looks"
        assert not gate.may_ask(at + pause - 0.01, 0)
        at += pause
    assert gate.could_not_be_made(at)


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 8))
def test_never_begins_more_calls_a_minute_than_it_may(gaps: list[float], most: int) -> None:
    bucket, at, begun = Bucket(most), 0.0, []
    for gap in gaps:
        at += gap
        at += bucket.wait(at)
        assert bucket.wait(at) == pytest.approx(0, abs=1e-6)
        bucket.begin(at)
        begun.append(at)
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(begun, begun[most:], strict=False))


@pytest.mark.parametrize(
    ("attempt", "asked", "least", "most"),
    [(1, None, 0.25, 0.75), (3, None, 1, 3), (20, None, 10, 30), (1, 7.0, 7, 7.1)],
)
def test_waits_longer_each_time_or_as_long_as_it_is_asked(
    attempt: int, asked: float | None, least: float, most: float
) -> None:
    assert [backoff(attempt, chance, asked) for chance in (0.0, 1.0)] == pytest.approx([least, most])

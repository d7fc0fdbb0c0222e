"""Latency histograms: how wrong an answer may be, that merging loses nothing, and that PostgreSQL agrees."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import histogram
from apps.core.histogram import BUCKETS, MAX_MS, HistogramError, LogHistogram

VALUES = st.lists(st.integers(0, MAX_MS), max_size=60)


def nearest_rank(values: list[int], q: float) -> int:
    """The exact quantile: the definition, without any histogram."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(round(q * len(ordered), 9))) - 1]


def answers(values: np.ndarray) -> np.ndarray:
    """What a histogram of one value answers, for each value."""
    found = LogHistogram.of_values(np.arange(len(values)), values, len(values)).quantiles([0.5])
    return np.array([row[0] for row in found])


def test_every_whole_number_up_to_two_million_is_answered_within_half_a_percent() -> None:
    values = np.arange(1, 2_000_001)

    errors = np.abs(answers(values) - values)

    assert (errors * 200 <= values).all()
    assert (errors[:198] == 0).all()


def test_large_numbers_are_answered_within_half_a_percent() -> None:
    values = np.random.default_rng(7).integers(2_000_000, 10**9, 200_000)
    edges = np.array([10**9, MAX_MS - 1, MAX_MS])
    values = np.concatenate((values, edges))

    assert (np.abs(answers(values) - values) * 200 <= values).all()


def test_zero_is_zero_and_what_is_too_large_counts_as_the_largest() -> None:
    assert answers(np.array([0])).tolist() == [0]
    assert answers(np.array([10 * MAX_MS])) == answers(np.array([MAX_MS]))
    assert answers(np.array([MAX_MS]))[0] <= MAX_MS


@pytest.mark.parametrize("values", [[-1], [0.5], [1.0]])
def test_refuses_what_is_no_length_of_time(values: list[float]) -> None:
    with pytest.raises(HistogramError):
        histogram.pack(values)


def test_an_empty_histogram_answers_nothing() -> None:
    assert histogram.pack([]) == b""
    assert histogram.count(b"") == 0
    assert histogram.count(None) == 0
    assert histogram.quantiles(histogram.merge([]), [0.5, 0.99]) == [None, None]


def test_the_rank_of_a_quantile_is_that_of_its_decimal_digits() -> None:
    values = list(range(1, 101))  # 0.07 * 100 is 7.000000000000001 in floats

    assert histogram.quantiles(histogram.merge([histogram.pack(values)]), [0, 0.07, 0.5, 0.99, 1]) == [
        1,
        7,
        50,
        99,
        100,
    ]


def test_refuses_a_quantile_outside_of_zero_to_one() -> None:
    with pytest.raises(HistogramError):
        histogram.quantiles(histogram.merge([]), [1.01])


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(0, MAX_MS), min_size=1, max_size=80), q=st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1])
)
def test_a_quantile_is_within_one_percent_of_the_exact_nearest_rank(values: list[int], q: float) -> None:
    (found,) = histogram.quantiles(histogram.merge([histogram.pack(values)]), [q])

    exact = nearest_rank(values, q)
    assert found is not None
    assert abs(found - exact) * 100 <= exact


@settings(max_examples=100, deadline=None)
@given(a=VALUES, b=VALUES, c=VALUES)
def test_merging_is_the_same_in_any_order_and_as_counting_all_at_once(a: list[int], b: list[int], c: list[int]) -> None:
    one, two, three = (histogram.pack(values) for values in (a, b, c))

    (pair,) = histogram.merge([one, two]).pack()
    (left,) = histogram.merge([pair, three]).pack()
    (right,) = histogram.merge([three, two, one]).pack()

    assert left == right == histogram.pack(a + b + c)
    assert histogram.count(left) == len(a) + len(b) + len(c)


@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.tuples(st.integers(0, 4), VALUES), max_size=8))
def test_merging_by_group_keeps_groups_apart(groups: list[tuple[int, list[int]]]) -> None:
    merged = histogram.merge_packed([group for group, _ in groups], [histogram.pack(values) for _, values in groups], 5)

    for group in range(5):
        values = [value for one, part in groups if one == group for value in part]
        assert merged.pack()[group] == histogram.pack(values)
        assert merged.totals()[group] == len(values)
        assert merged.quantiles([0.5])[group] == histogram.quantiles(histogram.merge([histogram.pack(values)]), [0.5])


def test_few_values_in_many_groups_and_many_in_few_are_added_alike() -> None:
    sparse = LogHistogram.of_values([0, 999, 999], [5, 400, 400], 1000)
    assert sparse.totals()[[0, 1, 999]].tolist() == [1, 0, 2]
    assert sparse.quantiles([0.5])[999] == [400]

    values = np.random.default_rng(1).integers(0, 5000, 10_000)
    dense = LogHistogram.of_values(np.zeros(10_000, dtype=int), values, 1)
    spread = LogHistogram.of_values(np.full(10_000, 999), values, 1000)
    assert dense.pack()[0] == spread.pack()[999]


def test_packs_into_sorted_pairs_of_six_bytes() -> None:
    assert histogram.pack([3, 1, 3]) == bytes.fromhex("0001 00000001 0003 00000002".replace(" ", ""))


def test_refuses_a_count_that_does_not_fit() -> None:
    full = LogHistogram.of_counts([0], [7], [2**32 - 1], 1)
    assert histogram.count(full.pack()[0]) == 2**32 - 1

    with pytest.raises(HistogramError):
        LogHistogram.of_counts([0, 0], [7, 7], [2**32 - 1, 1], 1).pack()


@pytest.mark.parametrize("blob", [b"\x00", b"\x00\x01\x00\x00\x00\x01\x00", b"\xff\xff\x00\x00\x00\x01"])
def test_refuses_bytes_that_are_no_histogram(blob: bytes) -> None:
    with pytest.raises(HistogramError):
        histogram.merge([blob])


def test_refuses_a_group_that_is_not_there() -> None:
    with pytest.raises(HistogramError):
        histogram.merge_packed([1], [histogram.pack([5])], 1)
    with pytest.raises(HistogramError):
        histogram.merge_packed([0, 0], [histogram.pack([5])], 1)


@pytest.mark.django_db
def test_postgresql_finds_the_same_bucket_for_every_number() -> None:
    rng = random.Random(3)
    lows = [int(low) for low in histogram._LOWS]
    numbers = sorted(
        {
            *range(300_001),
            *lows,
            *(low - 1 for low in lows),
            *(rng.randrange(MAX_MS) for _ in range(50_000)),
            MAX_MS + 1,
        }
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT array_agg({histogram.bucket_sql('n')} ORDER BY n) FROM unnest(%s::bigint[]) AS n", [numbers]
        )
        (found,) = cursor.fetchone()

    assert found == histogram.bucket_of(numbers).tolist()
    assert max(found) == BUCKETS - 1


@pytest.mark.django_db
def test_postgresql_finds_no_bucket_for_null() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {histogram.bucket_sql('NULL')}")
        assert cursor.fetchone() == (None,)

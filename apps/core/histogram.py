"""Mergeable histograms of whole milliseconds, whose quantiles are wrong by at most half a percent.

The method is DDSketch's (Charles Masson, Jee E. Rim and Homin K. Lee, "DDSketch: A Fast and Fully-Mergeable
Quantile Sketch with Relative-Error Guarantees", PVLDB 12(12), 2019): buckets grow by a constant factor, each
answers for its values with one representative, and merging adds counts, so nothing is lost on merging.

The paper takes logarithms. Here both the bounds and the representatives are whole numbers made with integer
arithmetic, so no rounding of a logarithm can put a value in one bucket here and in its neighbour in
PostgreSQL. A bucket that starts at `low` has the representative r = floor(low * 1.005) and ends at
floor(r / 0.995): every whole number in it is within 0.5 % of r, rounding included. Below 199 ms each has a
bucket of its own.

A value above `MAX_MS` (31 years) counts as `MAX_MS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Integers = NDArray[np.int64]
Packed = bytes | memoryview | None

ERROR = Fraction(1, 200)
"""The largest difference between an answer and the true value, as a share of the true value."""

DENSE_FACTOR = 16
"""Counts are added up in an array of all keys if it is at most this many times as long as the counts."""

MAX_MS = 10**12
MAX_COUNT = 2**32 - 1
PAIR = np.dtype([("bucket", ">u2"), ("count", ">u4")])
"""One entry of a packed histogram, six bytes. Entries are sorted by bucket; empty buckets are left out."""


class HistogramError(ValueError):
    """Values that cannot be counted, or bytes that are not a packed histogram."""


def _bounds() -> tuple[Integers, Integers]:
    """The first value of each bucket but number 0 (which holds 0 alone), and each bucket's representative."""
    lows, representatives, low = [], [0], 1
    while low <= MAX_MS:
        representative = low * 201 // 200
        lows.append(low)
        representatives.append(representative)
        low = representative * 200 // 199 + 1
    return np.array(lows, dtype=np.int64), np.array(representatives, dtype=np.int64)


_LOWS, _REPRESENTATIVES = _bounds()
BUCKETS = len(_REPRESENTATIVES)
"""How many buckets there are; they are numbered from 0."""


def _whole(values: ArrayLike) -> Integers:
    """The values as 64-bit whole numbers; HistogramError when one is negative or not whole."""
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise HistogramError("a histogram counts whole numbers only")
    whole = array.astype(np.int64, copy=False)
    if whole.size and int(whole.min()) < 0:
        raise HistogramError("a histogram counts no negative numbers")
    return whole


def bucket_of(values: ArrayLike) -> Integers:
    """The bucket of each value in milliseconds; raises HistogramError for negative values and fractions."""
    return np.searchsorted(_LOWS, _whole(values), side="right").astype(np.int64)


def bucket_sql(column: str) -> str:
    """A SQL expression for the bucket of a whole-number column, equal to `bucket_of`; NULL stays NULL.

    The column is put into the statement as it is, so it may never come from outside.
    """
    return f"width_bucket(({column})::bigint, {_lows_literal()})"


@cache
def _lows_literal() -> str:
    return "'{" + ",".join(map(str, _LOWS)) + "}'::bigint[]"


def _add_up(keys: Integers, counts: Integers, end: int) -> tuple[Integers, Integers]:
    """The distinct keys in order, all below `end`, with the sum of the counts of each, where that is not 0.

    Counting into an array of all possible keys is some thirty times faster than sorting the keys, when the array
    is not much larger than the input. It adds in floats, which are exact up to 2**53.
    """
    if end <= DENSE_FACTOR * len(keys) and int(counts.sum()) < 2**53:
        dense = np.bincount(keys, weights=counts, minlength=end)
        filled = np.flatnonzero(dense > 0)
        return filled, dense[filled].astype(np.int64)
    distinct, index = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, index, counts)
    return distinct[sums > 0], sums[sums > 0]


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """`size` histograms side by side, numbered from 0; only buckets that hold something take memory.

    `keys` is sorted, without repeats: the histogram's number times BUCKETS plus the bucket. `counts` fits it.
    """

    size: int
    keys: Integers
    counts: Integers

    @classmethod
    def of_counts(cls, groups: ArrayLike, buckets: ArrayLike, counts: ArrayLike, size: int) -> LogHistogram:
        """Add `counts[i]` to bucket `buckets[i]` of histogram `groups[i]`; entries may repeat."""
        group, bucket, count = _whole(groups), _whole(buckets), _whole(counts)
        if not len(group) == len(bucket) == len(count):
            raise HistogramError("groups, buckets and counts have different lengths")
        if len(group) and (int(group.max()) >= size or int(bucket.max()) >= BUCKETS):
            raise HistogramError("a histogram or bucket number is too large")
        return cls(size, *_add_up(group * BUCKETS + bucket, count, size * BUCKETS))

    @classmethod
    def of_values(cls, groups: ArrayLike, values: ArrayLike, size: int) -> LogHistogram:
        """Count each `values[i]`, in milliseconds, in histogram `groups[i]`."""
        buckets = bucket_of(values)
        return cls.of_counts(groups, buckets, np.ones(len(buckets), dtype=np.int64), size)

    @classmethod
    def of_packed(cls, groups: Sequence[int], blobs: Sequence[Packed], size: int) -> LogHistogram:
        """Merge: `blobs[i]` is added to histogram `groups[i]`. None and empty bytes hold nothing."""
        if len(groups) != len(blobs):
            raise HistogramError("groups and packed histograms have different lengths")
        parts = [bytes(blob) if blob else b"" for blob in blobs]
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        if np.any(lengths % PAIR.itemsize):
            raise HistogramError("a packed histogram was cut")
        pairs = np.frombuffer(b"".join(parts), dtype=PAIR)
        if len(pairs) and int(pairs["bucket"].max()) >= BUCKETS:
            raise HistogramError("a bucket number is too large")
        places = _whole(groups)
        if len(places) and int(places.max()) >= size:
            raise HistogramError("a histogram's number is too large")
        keys = np.repeat(places * BUCKETS, lengths // PAIR.itemsize) + pairs["bucket"]
        return cls(size, *_add_up(keys, pairs["count"].astype(np.int64), size * BUCKETS))

    def totals(self) -> Integers:
        """How many values each histogram holds."""
        sums = np.zeros(self.size, dtype=np.int64)
        np.add.at(sums, self.keys // BUCKETS, self.counts)
        return sums

    def above(self, limit_ms: int) -> Integers:
        """How many values of each histogram lie above the limit, which is taken as `highest_like(limit_ms)`."""
        slow = self.keys % BUCKETS > int(bucket_of([limit_ms])[0])
        sums = np.zeros(self.size, dtype=np.int64)
        np.add.at(sums, self.keys[slow] // BUCKETS, self.counts[slow])
        return sums

    def quantiles(self, qs: Sequence[float]) -> list[list[int | None]]:
        """For each histogram the quantiles (0 to 1) in whole milliseconds; None for each when it is empty.

        The rule is the nearest rank, PostgreSQL's `percentile_disc`: the smallest value that at least the
        share q of all values does not exceed. The answer is within 0.5 % of it.
        """
        ends, totals = np.cumsum(self.counts), self.totals()
        before = np.concatenate(([0], np.cumsum(totals)[:-1])).astype(np.int64)
        columns = []
        for q in qs:
            share = _share(q)
            ranks = np.maximum(1, -(-totals * share.numerator // share.denominator))
            at = np.searchsorted(ends, before + ranks, side="left")
            found = self.keys[np.minimum(at, len(self.keys) - 1)] if len(self.keys) else np.zeros_like(at)
            columns.append(np.minimum(_REPRESENTATIVES[found % BUCKETS], MAX_MS))
        return [[int(column[row]) if totals[row] else None for column in columns] for row in range(self.size)]

    def pack(self) -> list[bytes]:
        """Each histogram as bytes for `of_packed`; b"" for an empty one.

        Raises HistogramError when a bucket holds more than MAX_COUNT values.
        """
        if len(self.counts) and int(self.counts.max()) > MAX_COUNT:
            raise HistogramError(f"a bucket holds more than {MAX_COUNT} values")
        pairs = np.empty(len(self.keys), dtype=PAIR)
        pairs["bucket"], pairs["count"] = self.keys % BUCKETS, self.counts
        edges = np.searchsorted(self.keys, np.arange(self.size + 1, dtype=np.int64) * BUCKETS)
        return [pairs[start:end].tobytes() for start, end in zip(edges[:-1], edges[1:], strict=True)]


@cache
def _share(q: float) -> Fraction:
    """The quantile as written: 0.07 of 100 values is rank 7, which the float's last digit would make 8."""
    share = Fraction(str(q))
    if not 0 <= share <= 1:
        raise HistogramError("a quantile lies between 0 and 1")
    return share


def highest_like(limit_ms: int) -> int:
    """The largest value in the limit's bucket: the limit itself below 199 ms, and at most 1.01 % more above."""
    bucket = int(bucket_of([limit_ms])[0])
    return MAX_MS if bucket >= BUCKETS - 1 else int(_LOWS[bucket]) - 1


def pack(values: ArrayLike) -> bytes:
    """One histogram of the values in milliseconds, as bytes."""
    array = np.asarray(values)
    return LogHistogram.of_values(np.zeros(len(array), dtype=np.int64), array, 1).pack()[0]


def merge_packed(groups: Sequence[int], blobs: Sequence[Packed], ngroups: int) -> LogHistogram:
    """`ngroups` histograms, `blobs[i]` being added to number `groups[i]`."""
    return LogHistogram.of_packed(groups, blobs, ngroups)


def merge(blobs: Iterable[Packed]) -> LogHistogram:
    """All packed histograms added into one."""
    parts = list(blobs)
    return LogHistogram.of_packed([0] * len(parts), parts, 1)


def quantiles(histogram: LogHistogram, qs: Sequence[float]) -> list[int | None]:
    """The quantiles of a single histogram; see `LogHistogram.quantiles`."""
    if histogram.size != 1:
        raise HistogramError("this is not a single histogram; use its method")
    return histogram.quantiles(qs)[0]


def count(blob: Packed) -> int:
    """How many values a packed histogram holds."""
    return int(merge([blob]).totals()[0])

"""Facts added up: how many, how much, and how it is spread, by time and by what. Pure.

A `Tally` is what some facts add up to. Tallies of any stretches of time can be added, so a range is read partly from
summaries and partly from the facts.

Shares and scores are counted in millionths and money in billionths of a dollar, as whole numbers, so that adding up
neither rounds nor depends on the order; costs themselves are exact decimals. Percentiles are of the nearest rank and
come from the histograms of `apps.core.histogram`: within half a percent. Scores may be negative; they have a histogram
twice as long, with the buckets of their sizes to both sides of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from apps.core.histogram import BUCKETS, MAX_MS, PAIR, LogHistogram, bucket_of
from apps.telemetry.utilisation import METHODS

MILLION = 10**6
BILLION = 10**9
SIGNED_BUCKETS = 2 * BUCKETS
"""Buckets of a histogram of scores: number BUCKETS holds 0, larger ones positive scores, smaller ones negative."""


class Subject(StrEnum):
    """What facts are about."""

    RETRIEVAL = "retrieval"
    TASK = "task"
    TOOL = "tool"


COUNTS: Mapping[Subject, tuple[str, ...]] = {
    Subject.RETRIEVAL: (
        "retrievals", "failures", "counted", "chunks", "empty", "rerankings", "shifted", "shift_millionths",
        "replaced_of_top3", *(f"{method}_{part}" for method in METHODS for part in ("uses", "millionths")),
    ),
    Subject.TASK: (
        "tasks", "success", "failure", "timeout", "judged_loops", "loops", "steps", "model_calls", "tool_runs",
        "handoffs", "input_tokens", "output_tokens", "priced", "unpriced_calls",
    ),
    Subject.TOOL: ("runs", "success", "failure", "timeout"),
}  # fmt: skip
"""What is counted, in the order in which it is kept."""

SPREADS: Mapping[Subject, tuple[str, ...]] = {
    Subject.RETRIEVAL: ("latency_ms", "chunks", "top_score"),
    Subject.TASK: ("latency_ms", "steps", "tool_runs", "cost_billionths"),
    Subject.TOOL: ("latency_ms",),
}
"""What has a histogram, in the order in which they are kept."""

SIGNED = frozenset({"top_score"})


@cache
def _representatives() -> NDArray[np.float64]:
    """What each bucket of a length answers with."""
    every = np.arange(BUCKETS)
    rows = LogHistogram.of_counts(every, every, np.ones(BUCKETS, dtype=np.int64), BUCKETS).quantiles([0.5])
    return np.array([row[0] for row in rows], dtype=np.float64)


@cache
def _answers(is_signed: bool) -> NDArray[np.float64]:
    """What each bucket answers with: the number itself, or a score."""
    sizes = _representatives()
    if not is_signed:
        return sizes
    # Number 0 is never filled: the largest size to the left of 0 is number 1.
    return np.concatenate((-sizes[-1:], -sizes[:0:-1], [0.0], sizes[1:])) / MILLION


def packed(values: bytes | None, *, is_signed: bool) -> bytes:
    """A histogram, as `PAIR`s, of values that come as 64-bit whole numbers in a row, the largest byte first."""
    if not values:
        return b""
    numbers = np.frombuffer(values, dtype=">i8").astype(np.int64)
    buckets = bucket_of(np.minimum(np.abs(numbers), MAX_MS))
    if is_signed:
        buckets = BUCKETS + np.sign(numbers) * buckets
    distinct, counts = np.unique(buckets, return_counts=True)
    pairs = np.empty(len(distinct), dtype=PAIR)
    pairs["bucket"], pairs["count"] = distinct, counts
    return pairs.tobytes()


def packed_all(subject: Subject, values: Sequence[bytes | None]) -> list[bytes]:
    """A histogram for each of SPREADS."""
    return [packed(each, is_signed=kind in SIGNED) for kind, each in zip(SPREADS[subject], values, strict=True)]


@dataclass(frozen=True)
class Spread:
    """How the values of one kind are spread."""

    pairs: bytes
    is_signed: bool

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        pairs = np.frombuffer(self.pairs, dtype=PAIR)
        size = SIGNED_BUCKETS if self.is_signed else BUCKETS
        counts = np.bincount(pairs["bucket"], weights=pairs["count"].astype(np.float64), minlength=size)
        return _answers(self.is_signed), np.cumsum(counts.astype(np.int64))

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._sorted[1][-1]) if self.pairs else 0

    def quantile(self, percent: int) -> float | None:
        """The percentile of the nearest rank; None without values."""
        if not self.pairs:
            return None
        answers, ends = self._sorted
        rank = max(1, -(-int(ends[-1]) * percent // 100))
        return float(answers[int(np.searchsorted(ends, rank))])

    @property
    def p10(self) -> float | None:
        """A tenth of the values are at most this."""
        return self.quantile(10)

    @property
    def p50(self) -> float | None:
        """Half of the values are at most this."""
        return self.quantile(50)

    @property
    def p90(self) -> float | None:
        """Nine tenths of the values are at most this."""
        return self.quantile(90)

    @property
    def p99(self) -> float | None:
        """All but a hundredth of the values are at most this."""
        return self.quantile(99)


@dataclass(frozen=True)
class Tally:
    """What some facts of one subject add up to."""

    subject: Subject
    numbers: Mapping[str, int]
    cost_usd: Decimal | None
    spreads: Mapping[str, Spread]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def rate(self, part: str, whole: str) -> float | None:
        """One count as a share of another; None when that is 0."""
        return self.numbers[part] / self.numbers[whole] if self.numbers[whole] else None

    def mean(self, total: str, of: str) -> float | None:
        """A sum divided by how many it is of; sums in millionths become whole ones."""
        if not self.numbers[of]:
            return None
        scale = MILLION if total.endswith("_millionths") else 1
        return self.numbers[total] / scale / self.numbers[of]


def tally_of(
    subject: Subject,
    counts: Sequence[int],
    cost_usd: Decimal | None,
    spreads: Sequence[bytes | None],
    values: Sequence[bytes | None],
) -> Tally:
    """What was read, under its names: counts in the order of COUNTS; packed histograms, and values that are not in one
    yet, in that of SPREADS.
    """
    return Tally(
        subject,
        dict(zip(COUNTS[subject], counts, strict=True)),
        cost_usd,
        {
            kind: Spread(bytes(held or b"") + live, kind in SIGNED)
            for kind, held, live in zip(SPREADS[subject], spreads, packed_all(subject, values), strict=True)
        },
    )


def nothing_of(subject: Subject) -> Tally:
    """What no facts add up to."""
    nothing = [None] * len(SPREADS[subject])
    return tally_of(subject, [0] * len(COUNTS[subject]), None, nothing, nothing)


def add_up(subject: Subject, tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    several = list(tallies)
    costs = [tally.cost_usd for tally in several if tally.cost_usd is not None]
    return Tally(
        subject,
        {name: sum(tally.numbers[name] for tally in several) for name in COUNTS[subject]},
        sum(costs, Decimal(0)) if costs else None,
        {
            kind: Spread(b"".join(tally.spreads[kind].pairs for tally in several), kind in SIGNED)
            for kind in SPREADS[subject]
        },
    )

"""Figures: what calls cost, how long they took and how often they failed, by time and by what. Pure.

A `FigureRequest` says which calls, grouped how; a `FigureTable` answers it. Sums are of calls
(`Span.counted`). A cost is the exact sum of the calls whose price is known, with the number of the others
beside it; where none is known it is None and not 0. Percentiles are of the nearest rank (the smallest value
that at least that share of all values does not exceed), in whole milliseconds and at most half a percent off.
They come from histograms, so a table can be folded into totals or fewer groups without asking again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps.core.histogram import BUCKETS, LogHistogram

QUANTILES = (0.5, 0.95, 0.99)
MAX_GROUPS = 2
MAX_DAYS = 3_700
"""The longest range that can be asked for; it bounds the list of days a table holds."""

COUNTS = (
    "calls",
    "errors",
    "unpriced_calls",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The whole numbers of a row, in the order they are read."""

# Adding dollars must not round: sums have at most 22 digits before the point and 24 after it.
_EXACT = Context(prec=60)


class Dimension(StrEnum):
    """What calls can be grouped and filtered by. An empty value stands for the calls that did not say."""

    ENVIRONMENT = "environment"
    FEATURE = "feature"
    PROVIDER = "provider"
    MODEL = "model"
    PROMPT_VERSION = "prompt_version"
    SOURCE = "source"


class Interval(StrEnum):
    """How a range is cut. Minutes, hours and stretches of six hours (from midnight on) are those of UTC, days those of
    the request's time zone.
    """

    NONE = "none"
    MINUTE = "minute"
    HOUR = "hour"
    SIX_HOURS = "6h"
    DAY = "day"


STEPS = {
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.SIX_HOURS: timedelta(hours=6),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls: only those with exactly this value. None takes all; "" takes those that did not say."""

    environment: str | None = None
    feature: str | None = None
    provider: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    source: str | None = None

    def given(self) -> dict[Dimension, str]:
        """The dimensions that are filtered, with the value each must have."""
        values = {Dimension(item.name): getattr(self, item.name) for item in fields(self)}
        return {dimension: value for dimension, value in values.items() if value is not None}


class RangeError(ValueError):
    """A range that ends before it starts, has no time zone, or is too long."""


@dataclass(frozen=True)
class FigureRequest:
    """Which calls are asked for: those started from `start` up to, not including, `end`.

    Raises RangeError for an impossible range and ValueError for more than two groupings.
    """

    start: datetime
    end: datetime
    group_by: tuple[Dimension, ...] = ()
    interval: Interval = Interval.NONE
    filters: Filters = field(default_factory=Filters)
    timezone: tzinfo = UTC
    has_lengths: bool = True
    """Whether latency and TTFT are wanted. Without them the answer is much smaller, and its percentiles are None."""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise RangeError("start and end need a time zone")
        if not self.start <= self.end <= self.start + timedelta(days=MAX_DAYS):
            raise RangeError(f"end is not before start, and at most {MAX_DAYS} days after it")
        if len(set(self.group_by)) != len(self.group_by) or len(self.group_by) > MAX_GROUPS:
            raise ValueError(f"group_by takes up to {MAX_GROUPS} different dimensions")

    @property
    def dimensions(self) -> frozenset[Dimension]:
        """What the records must tell apart: the groupings and filters other than the environment."""
        return frozenset((*self.group_by, *self.filters.given())) - {Dimension.ENVIRONMENT}

    @cached_property
    def buckets(self) -> tuple[datetime, ...]:
        """The start of each interval that the range touches; its own start when it is not cut."""
        return bucket_starts(self.start, self.end, self.interval, self.timezone)


def bucket_starts(start: datetime, end: datetime, interval: Interval, timezone: tzinfo) -> tuple[datetime, ...]:
    """The starts, in UTC, of the intervals that the range touches; the first may lie before `start`."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if interval is Interval.NONE or start == end:
        return (start,)
    if interval is Interval.DAY:
        return _day_starts(start, end, timezone)
    step = STEPS[interval]
    first = start - (start - datetime(1970, 1, 1, tzinfo=UTC)) % step
    return tuple(first + step * index for index in range(-((first - end) // step)))


def _day_starts(start: datetime, end: datetime, timezone: tzinfo) -> tuple[datetime, ...]:
    day = start.astimezone(timezone).date()
    starts = []
    while (midnight := datetime(day.year, day.month, day.day, tzinfo=timezone).astimezone(UTC)) < end:
        starts.append(midnight)
        day += timedelta(days=1)
    return tuple(starts)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of how many values, and their percentiles in whole milliseconds; None when there are no values."""

    count: int
    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class FigureRow:
    """The figures of one group in one interval; `at` is the interval's start, None when the range is not cut.

    `input_tokens` include cached ones, `output_tokens` reasoning ones; tokens not told count nothing.
    """

    at: datetime | None
    group: tuple[str, ...]
    calls: int
    errors: int
    unpriced_calls: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    latency: Percentiles
    ttft: Percentiles

    @property
    def error_rate(self) -> float | None:
        """The share of calls that failed, 0 to 1; None without calls."""
        return self.errors / self.calls if self.calls else None

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


class Piece(NamedTuple):
    """A partial answer: one group in one interval, from one kind of record. Histograms are packed.

    `numbers` are in the order of COUNTS; `cost_usd` is the sum of the priced calls, None or 0 without any.
    """

    bucket: int
    group: tuple[str, ...]
    numbers: Sequence[int]
    cost_usd: Decimal | None
    latency: bytes | None
    ttft: bytes | None


class _Cell(NamedTuple):
    """Where a row stands: the interval's number (None when not cut) and the values of the group."""

    bucket: int | None
    group: tuple[str, ...]


@dataclass(frozen=True)
class FigureTable:
    """The answer to a request. Only intervals and groups with calls are kept; `series` fills the gaps."""

    request: FigureRequest
    cells: tuple[_Cell, ...]
    numbers: NDArray[np.int64]
    costs: tuple[Decimal, ...]
    latency: LogHistogram
    ttft: LogHistogram

    @classmethod
    def of_pieces(cls, request: FigureRequest, pieces: Sequence[Piece]) -> FigureTable:
        """Add up partial answers that together hold each call of the request once."""
        is_cut = request.interval is not Interval.NONE
        keys = [_Cell(piece.bucket if is_cut else None, piece.group) for piece in pieces]
        cells, places = _numbered(keys)
        numbers = np.array([piece.numbers for piece in pieces], dtype=np.int64).reshape(len(pieces), len(COUNTS))
        return cls(
            request,
            cells,
            _sums(numbers, places, len(cells)),
            _cost_sums([piece.cost_usd for piece in pieces], places, len(cells)),
            LogHistogram.of_packed(places, [piece.latency for piece in pieces], len(cells)),
            LogHistogram.of_packed(places, [piece.ttft for piece in pieces], len(cells)),
        )

    @cached_property
    def rows(self) -> tuple[FigureRow, ...]:
        """One row for each interval and group that has calls, by time and then by group."""
        rows = self._rows()
        order = sorted(range(len(rows)), key=lambda place: (self.cells[place].bucket or 0, self.cells[place].group))
        return tuple(rows[place] for place in order)

    @cached_property
    def total(self) -> FigureRow:
        """Everything added up; zeros, and None for what is then unknown, when there were no calls."""
        folded = self._by_group._fold(lambda cell: _Cell(None, ()))
        return folded._rows()[0] if folded.cells else self._nothing(None)

    @cached_property
    def groups(self) -> tuple[FigureRow, ...]:
        """One row for each group over the whole range: the dearest first, then by number of calls."""
        rows = self._by_group._rows()
        return tuple(sorted(rows, key=lambda row: (-(row.cost_usd or 0), -row.calls, row.group)))

    @cached_property
    def _by_group(self) -> FigureTable:
        """The whole range of each group; totals are added up from it, which is less than the cells."""
        if self.request.interval is Interval.NONE:
            return self
        return self._fold(lambda cell: _Cell(None, cell.group))

    @cached_property
    def series(self) -> tuple[FigureRow, ...]:
        """One row for each interval, groups added up; intervals without calls have zeros and None."""
        found = {row.at: row for row in self._fold(lambda cell: _Cell(cell.bucket, ()))._rows()}
        if self.request.interval is Interval.NONE:
            return (self.total,)
        return tuple(found.get(at) or self._nothing(at) for at in self.request.buckets)

    def by(self, *dimensions: Dimension) -> FigureTable:
        """The same figures grouped by fewer dimensions; raises ValueError for one that it does not have."""
        places = [self.request.group_by.index(dimension) for dimension in dimensions]
        return self._fold(lambda cell: _Cell(cell.bucket, tuple(cell.group[place] for place in places)))

    def _fold(self, into: Callable[[_Cell], _Cell]) -> FigureTable:
        cells, places = _numbered(map(into, self.cells))
        return FigureTable(
            self.request,
            cells,
            _sums(self.numbers, places, len(cells)),
            _cost_sums(self.costs, places, len(cells)),
            _moved(self.latency, places, len(cells)),
            _moved(self.ttft, places, len(cells)),
        )

    def _rows(self) -> list[FigureRow]:
        """The rows in the order of the cells."""
        latency, ttft = _percentiles(self.latency), _percentiles(self.ttft)
        rows = []
        for place, (cell, numbers) in enumerate(zip(self.cells, self.numbers.tolist(), strict=True)):
            at = None if cell.bucket is None else self.request.buckets[cell.bucket]
            rows.append(_row(at, cell.group, numbers, self.costs[place], latency[place], ttft[place]))
        return rows

    def _nothing(self, at: datetime | None) -> FigureRow:
        empty = Percentiles(0, None, None, None)
        return _row(at, (), [0] * len(COUNTS), Decimal(0), empty, empty)


def _row(
    at: datetime | None,
    group: tuple[str, ...],
    numbers: Sequence[int],
    cost_usd: Decimal,
    latency: Percentiles,
    ttft: Percentiles,
) -> FigureRow:
    """The numbers, in the order of COUNTS, under their names; the cost of unpriced calls alone is None."""
    calls, errors, unpriced, input_, output, cached, written, reasoning = numbers
    return FigureRow(
        at=at,
        group=group,
        calls=calls,
        errors=errors,
        unpriced_calls=unpriced,
        input_tokens=input_,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        cost_usd=None if calls and calls == unpriced else cost_usd,
        latency=latency,
        ttft=ttft,
    )


def _numbered(keys: Iterable[_Cell]) -> tuple[tuple[_Cell, ...], list[int]]:
    """The different keys, and for each key given the place it has among them."""
    places: dict[Hashable, int] = {}
    found: list[_Cell] = []
    at = []
    for key in keys:
        if key not in places:
            places[key] = len(found)
            found.append(key)
        at.append(places[key])
    return tuple(found), at


def _sums(numbers: NDArray[np.int64], places: Sequence[int], size: int) -> NDArray[np.int64]:
    sums = np.zeros((size, len(COUNTS)), dtype=np.int64)
    np.add.at(sums, np.asarray(places, dtype=np.int64), numbers)
    return sums


def _cost_sums(costs: Iterable[Decimal | None], places: Sequence[int], size: int) -> tuple[Decimal, ...]:
    sums = [Decimal(0)] * size
    for cost, place in zip(costs, places, strict=True):
        if cost is not None:
            sums[place] = _EXACT.add(sums[place], cost)
    return tuple(sums)


def _moved(histogram: LogHistogram, places: Sequence[int], size: int) -> LogHistogram:
    """The histograms renumbered, those that get the same number merged."""
    groups = np.asarray(places, dtype=np.int64)[histogram.keys // BUCKETS]
    return LogHistogram.of_counts(groups, histogram.keys % BUCKETS, histogram.counts, size)


def _percentiles(histogram: LogHistogram) -> list[Percentiles]:
    counts = histogram.totals().tolist()
    return [Percentiles(count, *values) for count, values in zip(counts, histogram.quantiles(QUANTILES), strict=True)]

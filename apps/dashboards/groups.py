"""Rows of the tables that break figures down: each group now, with the same group in the period before. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apps.core import formats
from apps.core.charts import Series, Value
from apps.core.histogram import BUCKETS, LogHistogram
from apps.dashboards.verdict import FEW_CALLS, Pair, Side
from apps.telemetry.figures import COUNTS, FigureRow, FigureTable

FEW_FOR_P99 = 100
MOST_GROWTH = 20
"""Calls that were this many times fewer in the period before had hardly begun; their change is not shown."""


@dataclass(frozen=True)
class GroupRow:
    """One line: what it is about, its figures, and those of the period before (None when it had no calls then).

    `share` is the part of the known spend, 0 to 1; None when nothing is known.
    """

    values: tuple[str, ...]
    now: FigureRow
    before: FigureRow | None
    share: Decimal | None

    @property
    def value(self) -> str:
        """The first of the values, for tables by one dimension."""
        return self.values[0]

    @property
    def cost_before(self) -> Decimal | None:
        """The spend of the period before; None when it is unknown, or so small that there is nothing to compare."""
        return self.before.cost_usd if self.before and is_comparable(self.now, self.before) else None

    @property
    def p99_before(self) -> int | None:
        """The 99th percentile of the period before, in milliseconds."""
        return self.before.latency.p99 if self.before else None

    @property
    def is_small(self) -> bool:
        """True when there are so few latencies that the 99th percentile is the largest of them."""
        return self.now.latency.count < FEW_FOR_P99

    @property
    def may_be_judged(self) -> bool:
        """True when both periods have enough latencies for a change to be called better or worse."""
        return not self.is_small and self.before is not None and self.before.latency.count >= FEW_FOR_P99

    @property
    def cost_per_call(self) -> Decimal | None:
        """Dollars per priced call; None without one."""
        priced = self.now.calls - self.now.unpriced_calls
        return None if self.now.cost_usd is None or not priced else self.now.cost_usd / priced


def group_rows(now: FigureTable, before: FigureTable) -> list[GroupRow]:
    """A row for each group with calls now, the dearest first."""
    earlier = {row.group: row for row in before.groups}
    known = now.total.cost_usd
    return [
        GroupRow(
            values=row.group,
            now=row,
            before=earlier.get(row.group),
            share=row.cost_usd / known if known and row.cost_usd is not None else None,
        )
        for row in now.groups
    ]


def is_comparable(now: FigureRow, before: FigureRow) -> bool:
    """False when the calls had hardly begun in the period before: a rise by 3,000 % says nothing."""
    return before.calls * MOST_GROWTH >= now.calls


def has_just_begun(rows: Sequence[FigureRow]) -> bool:
    """Whether the last interval has too few calls yet for a rate or a percentile, while others have enough."""
    return len(rows) > 1 and rows[-1].calls < FEW_CALLS <= max(row.calls for row in rows[:-1])


def direction(now: FigureRow, before: FigureRow) -> formats.Good:
    """`down` when both periods have enough calls for a change to be called good or bad, else `none`."""
    return "down" if min(now.calls, before.calls) >= FEW_FOR_P99 else "none"


def pairs(now: FigureTable, before: FigureTable) -> tuple[Pair, list[Pair]]:
    """All calls, and those of each group of a table by one dimension, for the verdict.

    A group without calls now is left out: silence of one feature is not an alarm of the whole.
    """
    sides, earlier = (_sides(table, [cell.group[0] for cell in table.cells]) for table in (now, before))
    all_now, all_before = (_sides(table, [""] * len(table.cells)).get("", NO_CALLS) for table in (now, before))
    return Pair(None, all_now, all_before), [
        Pair(group, side, earlier.get(group, NO_CALLS)) for group, side in sides.items()
    ]


NO_CALLS = Side(0, 0, 0, Decimal(0), LogHistogram.of_values([], [], 1))


def _sides(table: FigureTable, names: Sequence[str]) -> dict[str, Side]:
    """The cells of a table added up by the names that are given to them."""
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    places = np.array([order[name] for name in names], dtype=np.int64)
    numbers = np.zeros((len(order), len(COUNTS)), dtype=np.int64)
    np.add.at(numbers, places, table.numbers)
    costs = [Decimal(0)] * len(order)
    for place, cost in zip(places, table.costs, strict=True):
        costs[place] += cost
    found = zip(order, numbers.tolist(), costs, _histograms(table.latency, places, len(order)), strict=True)
    return {name: _side(counts, cost, latency) for name, counts, cost, latency in found}


def _histograms(histogram: LogHistogram, places: NDArray[np.int64], size: int) -> list[LogHistogram]:
    """The histograms of a table's cells merged into `size` single ones, cell by cell into its place."""
    if not len(histogram.keys):
        return [NO_CALLS.latency] * size
    keys = histogram.keys
    merged = LogHistogram.of_counts(places[keys // BUCKETS], keys % BUCKETS, histogram.counts, size)
    edges = np.searchsorted(merged.keys, np.arange(size + 1, dtype=np.int64) * BUCKETS)
    return [
        LogHistogram(1, merged.keys[start:end] % BUCKETS, merged.counts[start:end])
        for start, end in pairwise(edges.tolist())
    ]


def _side(numbers: Sequence[int], cost_usd: Decimal, latency: LogHistogram) -> Side:
    counted = dict(zip(COUNTS, numbers, strict=True))
    return Side(counted["calls"], counted["errors"], counted["unpriced_calls"], cost_usd, latency)


def spend_layers(table: FigureTable, names: Callable[[tuple[str, ...]], str], slots: Mapping[str, int]) -> list[Series]:
    """Dollars per interval for each group of which some are known, the dearest first.

    `names` says how a group is called, `slots` its color. Intervals without a call cost nothing; those whose calls are
    all unpriced are unknown.
    """
    layers: dict[tuple[str, ...], list[Value]] = {
        row.group: [0.0] * len(table.request.buckets) for row in table.groups if row.cost_usd is not None
    }
    # Not `rows`, which would work out the percentiles of every cell.
    for cell, numbers, cost in zip(table.cells, table.numbers.tolist(), table.costs, strict=True):
        assert cell.bucket is not None  # the table is cut into intervals
        if cell.group in layers:
            counted = dict(zip(COUNTS, numbers, strict=True))
            is_known = counted["unpriced_calls"] < counted["calls"]
            layers[cell.group][cell.bucket] = float(cost) if is_known else None
    return [Series(names(group), values, slots.get(names(group), 1)) for group, values in layers.items()]

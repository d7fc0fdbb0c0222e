"""What the Latency page shows, worked out from figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.core import formats
from apps.dashboards.groups import GroupRow, direction, group_rows, has_just_begun
from apps.telemetry.figures import Dimension, FigureRow, FigureTable

BY = (Dimension.FEATURE, Dimension.MODEL, Dimension.PROVIDER, Dimension.PROMPT_VERSION)
PERCENTILES = ("p99", "p95", "p50")
MOST_LINES = 6
MOST_ROWS = 50


def read_by(text: str | None) -> Dimension:
    """The dimension an address names, or the usual one."""
    return Dimension(text) if text in {str(each) for each in BY} else BY[0]


def other_of(by: Dimension) -> Dimension:
    """What the second table is by: models, or features beside models."""
    return Dimension.FEATURE if by is Dimension.MODEL else Dimension.MODEL


def read_percentile(text: str | None) -> str:
    """The percentile an address names, or the usual one."""
    return text if text in PERCENTILES else PERCENTILES[0]


@dataclass(frozen=True)
class LatencyTables:
    """The answers that the page is made of; `now` is by the chosen dimension, `other` by the other one."""

    now: FigureTable
    before: FigureTable
    other: FigureTable
    other_before: FigureTable


@dataclass(frozen=True)
class Latency:
    """The page's content. `rows` are of the chosen dimension, `other_rows` of the other."""

    total: FigureRow
    before: FigureRow
    times: Sequence[datetime]
    series: Sequence[FigureRow]
    rows: Sequence[GroupRow]
    other_rows: Sequence[GroupRow]
    tables: LatencyTables

    @property
    def good(self) -> formats.Good:
        """Which way less time lies: none while there are too few calls to call a change good or bad."""
        return direction(self.total, self.before)

    @property
    def model_names(self) -> list[str]:
        """The models of the page's calls, for the filter."""
        is_chosen = self.tables.now.request.group_by == (Dimension.MODEL,)
        return sorted(row.value for row in (self.rows if is_chosen else self.other_rows))


def build(tables: LatencyTables) -> Latency:
    """The page from its figures."""
    return Latency(
        total=tables.now.total,
        before=tables.before.total,
        times=tables.now.request.buckets,
        series=tables.now.series,
        rows=group_rows(tables.now, tables.before),
        other_rows=group_rows(tables.other, tables.other_before),
        tables=tables,
    )


def lines_by_group(table: FigureTable, percentile: str) -> list[tuple[str, list[int | None]]]:
    """One percentile over time for each of the groups with most calls; None where a group has no call."""
    most = sorted(table.groups, key=lambda row: -row.calls)[:MOST_LINES]
    lines: dict[tuple[str, ...], list[int | None]] = {row.group: [None] * len(table.request.buckets) for row in most}
    last = len(table.request.buckets) - 1 if has_just_begun(table.series) else None
    # Not `rows`, which would work out three percentiles of two lengths of every cell.
    values = table.latency.quantiles([int(percentile[1:]) / 100])
    for cell, (value,) in zip(table.cells, values, strict=True):
        if cell.group in lines and cell.bucket is not None and cell.bucket != last:
            lines[cell.group][cell.bucket] = value
    return [(group[0], values) for group, values in lines.items()]

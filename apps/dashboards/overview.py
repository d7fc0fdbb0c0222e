"""What the Overview shows, worked out from figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.core import formats
from apps.dashboards import verdict
from apps.dashboards.groups import GroupRow, direction, group_rows, has_just_begun, is_comparable, pairs
from apps.telemetry.figures import FigureRow, FigureTable

MOST_ROWS = 8
LEAST_POINTS = 2


@dataclass(frozen=True)
class OverviewTables:
    """The answers that the page is made of. `now` and `models` are of the page's period, `before` of the one before
    it; the others of the local day and month, whatever the page's period.
    """

    now: FigureTable
    before: FigureTable
    models: FigureTable
    models_before: FigureTable
    today: FigureTable
    yesterday: FigureTable
    month: FigureTable
    last_month: FigureTable
    all_models: FigureTable | None = None


@dataclass(frozen=True)
class Tile:
    """One figure of the strip: now, before, and its course within the period."""

    now: FigureRow
    before: FigureRow
    course: tuple[float | None, ...]

    @property
    def is_comparable(self) -> bool:
        """Whether a change against the period before says anything."""
        return is_comparable(self.now, self.before)


@dataclass(frozen=True)
class Overview:
    """The page's content."""

    verdict: verdict.Verdict
    today: Tile
    month: Tile
    errors: Tile
    latency: Tile
    tokens: Tile
    times: tuple[datetime, ...]
    series: tuple[FigureRow, ...]
    features: Sequence[GroupRow]
    models: Sequence[GroupRow]
    more_features: int
    more_models: int
    model_names: Sequence[str]
    tables: OverviewTables

    @property
    def good(self) -> formats.Good:
        """Which way fewer errors and less time lie: none while there are too few calls to call a change good or bad."""
        return direction(self.tables.now.total, self.tables.before.total)


def build(tables: OverviewTables) -> Overview:
    """The page from its figures."""
    total, earlier = tables.now.total, tables.before.total
    series = tables.now.series
    settled = series[:-1] if has_just_begun(series) else series
    whole, by_feature = pairs(tables.now, tables.before)
    features, models = group_rows(tables.now, tables.before), group_rows(tables.models, tables.models_before)
    return Overview(
        verdict=verdict.judge(whole, by_feature),
        today=Tile(tables.today.total, tables.yesterday.total, spend_course(tables.today)),
        month=Tile(tables.month.total, tables.last_month.total, spend_course(tables.month)),
        errors=Tile(total, earlier, tuple(row.error_rate for row in settled)),
        latency=Tile(total, earlier, tuple(row.latency.p99 for row in settled)),
        tokens=Tile(total, earlier, _whole_intervals(tables.now, [float(row.tokens) for row in series])),
        times=tables.now.request.buckets,
        series=series,
        features=features[:MOST_ROWS],
        models=models[:MOST_ROWS],
        more_features=max(0, len(features) - MOST_ROWS),
        more_models=max(0, len(models) - MOST_ROWS),
        model_names=_names(tables.all_models or tables.models),
        tables=tables,
    )


def _names(models: FigureTable) -> list[str]:
    """Models by name, for the filter; those that were not said last."""
    return sorted((row.group[0] for row in models.groups), key=lambda name: (not name, name))


def spend_course(table: FigureTable) -> tuple[float | None, ...]:
    """Dollars per interval; None where all calls are unpriced."""
    costs = [row.cost_usd for row in table.series]
    return _whole_intervals(table, [None if cost is None else float(cost) for cost in costs])


def _whole_intervals(table: FigureTable, values: Sequence[float | None]) -> tuple[float | None, ...]:
    """The values without the last: its interval has only begun, and would look like a fall."""
    is_partial = len(values) > LEAST_POINTS and table.request.end > table.request.buckets[-1]
    return tuple(values[:-1] if is_partial else values)

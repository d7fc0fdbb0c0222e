"""What lies behind the spend: who spends most, what for, per success, what caches saved, unusual days. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from functools import reduce

from apps.dashboards.anomalies import Anomaly, DaySpend
from apps.dashboards.cache_savings import CacheSavings
from apps.providers.pricing import EXACT
from apps.telemetry.figures import Dimension, FigureRow, FigureTable
from apps.telemetry.selectors.fact_cells import FactTable
from apps.telemetry.tallies import Tally

TOP = 5
TOPS = (Dimension.FEATURE, Dimension.MODEL, Dimension.PROMPT_VERSION)
EVALUATING = ("eval", "judge", "playground", "probe")
"""The sources whose calls answer nobody: they try out, judge and probe."""


@dataclass(frozen=True)
class Line:
    """One of the dearest. `share` is of all known spend, 0 to 1."""

    value: str
    row: FigureRow
    share: Decimal | None


@dataclass(frozen=True)
class Purpose:
    """What calls of some sources cost. A cost of None is unknown."""

    calls: int
    cost_usd: Decimal | None
    unpriced_calls: int


@dataclass(frozen=True)
class SuccessCost:
    """What a task that succeeded costs: the known cost of all tasks, failed ones too, by the number of successes."""

    name: str
    tasks: int
    successes: int
    cost_usd: Decimal | None
    priced_tasks: int

    @property
    def per_success_usd(self) -> Decimal | None:
        """Dollars; None without a success or a known cost."""
        return self.cost_usd / self.successes if self.successes and self.cost_usd is not None else None


@dataclass(frozen=True)
class Details:
    """All of it."""

    total: FigureRow
    tops: Mapping[Dimension, Sequence[Line]]
    sources: Sequence[Line]
    serving: Purpose
    evaluating: Purpose
    success: SuccessCost
    successes: Sequence[SuccessCost]
    cache: CacheSavings
    anomalies: Sequence[Anomaly]


def top(table: FigureTable, most: int | None = TOP) -> list[Line]:
    """The dearest groups."""
    known = table.total.cost_usd
    return [
        Line(row.group[0], row, row.cost_usd / known if known and row.cost_usd is not None else None)
        for row in table.groups[:most]
    ]


def purposes(sources: FigureTable) -> tuple[Purpose, Purpose]:
    """What answers people, and what evaluates: the sources apart."""
    kinds: tuple[list[FigureRow], list[FigureRow]] = ([], [])
    for row in sources.groups:
        kinds[row.group[0] in EVALUATING].append(row)
    return _purpose(kinds[0]), _purpose(kinds[1])


def _purpose(rows: Sequence[FigureRow]) -> Purpose:
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    cost = reduce(EXACT.add, known, Decimal(0)) if known or not rows else None
    return Purpose(sum(row.calls for row in rows), cost, sum(row.unpriced_calls for row in rows))


def success_costs(tasks: FactTable) -> tuple[SuccessCost, list[SuccessCost]]:
    """In all, and by feature, those with most tasks first."""
    by_feature = [_success(name, tally) for name, tally in tasks.by_feature.items()]
    return _success("", tasks.total), sorted(by_feature, key=lambda each: (-each.tasks, each.name))


def _success(name: str, tally: Tally) -> SuccessCost:
    cost = tally.cost_usd if tally["priced"] else None
    return SuccessCost(name, tally["tasks"], tally["success"], cost, tally["priced"])


def course_of(table: FigureTable, zone: tzinfo) -> dict[str, dict[date, DaySpend]]:
    """The days of each group of a table by one dimension and by day."""
    course: dict[str, dict[date, DaySpend]] = {}
    for row in table.rows:
        if row.at is not None:
            day = row.at.astimezone(zone).date()
            course.setdefault(row.group[0], {})[day] = DaySpend(float(row.cost_usd or 0), row.calls)
    return course


def total_of(table: FigureTable, zone: tzinfo) -> dict[date, DaySpend]:
    """The days of everything together."""
    return {
        row.at.astimezone(zone).date(): DaySpend(float(row.cost_usd or 0), row.calls)
        for row in table.series
        if row.at is not None
    }

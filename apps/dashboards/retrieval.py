"""What the Retrieval page shows, worked out from facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.core import formats
from apps.dashboards.verdict import FEW_CALLS
from apps.telemetry.fact_figures import RetrievalFigures

if TYPE_CHECKING:
    from apps.telemetry.selectors.fact_cells import FactTable
    from apps.telemetry.selectors.retrievals import IndexAge, WorstRetrieval

MOST_ROWS = 50
MORE_EMPTY = 0.02
MORE_EMPTY_SHARE = 1.5
LESS_SCORE = 0.1
LESS_USE = 0.1
OFTEN_EMPTY = 0.2


@dataclass(frozen=True)
class RetrievalRow:
    """A line of a table: a feature or an index, its figures, and for an index when it was last updated."""

    value: str
    figures: RetrievalFigures
    age: IndexAge | None = None


class RetrievalFinding(StrEnum):
    """What the page opens with."""

    NOTHING = "nothing"
    FEW = "few"
    EMPTY_UP = "empty_up"
    SCORE_DOWN = "score_down"
    USE_DOWN = "use_down"
    EMPTY_HIGH = "empty_high"
    CALM = "calm"


@dataclass(frozen=True)
class RetrievalPage:
    """The page's content."""

    table: FactTable
    total: RetrievalFigures
    before: RetrievalFigures
    series: Sequence[RetrievalFigures]
    features: Sequence[RetrievalRow]
    indexes: Sequence[RetrievalRow]
    worst: Mapping[str, Sequence[WorstRetrieval]]

    @property
    def is_comparable(self) -> bool:
        """Whether both times have enough retrievals for a change to say something."""
        return min(self.total.retrievals, self.before.retrievals) >= FEW_CALLS

    @property
    def worse_is(self) -> formats.Good:
        """The direction in which rates of what should not be are better; none while nothing can be compared."""
        return "down" if self.is_comparable else "none"

    @property
    def better_is(self) -> formats.Good:
        """The same for scores and utilisation."""
        return "up" if self.is_comparable else "none"

    @property
    def method(self) -> str:
        """The commonest method by which utilisation was found; empty when none was."""
        return next((method for method, _count, _mean in self.total.utilisations), "")

    @property
    def utilisation(self) -> float | None:
        """The mean utilisation by that method."""
        return self.total.utilisation(self.method) if self.method else None

    @property
    def utilisation_before(self) -> float | None:
        """The same in the time before."""
        return self.before.utilisation(self.method) if self.method else None

    @property
    def finding(self) -> RetrievalFinding:
        """What is most worth saying."""
        now, before = self.total, self.before
        if not now.retrievals:
            return RetrievalFinding.NOTHING
        if now.retrievals < FEW_CALLS:
            return RetrievalFinding.FEW
        if self.is_comparable:
            if _rose(now.empty_rate, before.empty_rate):
                return RetrievalFinding.EMPTY_UP
            if _fell(now.score_p50, before.score_p50, LESS_SCORE):
                return RetrievalFinding.SCORE_DOWN
            if _fell(self.utilisation, self.utilisation_before, LESS_USE):
                return RetrievalFinding.USE_DOWN
        if now.empty_rate is not None and now.empty_rate >= OFTEN_EMPTY:
            return RetrievalFinding.EMPTY_HIGH
        return RetrievalFinding.CALM


def _rose(now: float | None, before: float | None) -> bool:
    return now is not None and before is not None and now - before >= MORE_EMPTY and now >= before * MORE_EMPTY_SHARE


def _fell(now: float | None, before: float | None, share: float) -> bool:
    return now is not None and before is not None and before > 0 and before - now >= share * before


def build(
    table: FactTable, worst: Mapping[str, Sequence[WorstRetrieval]], ages: Mapping[str, IndexAge]
) -> RetrievalPage:
    """The page from what was read."""
    features = [RetrievalRow(value, RetrievalFigures(each)) for value, each in table.by_feature.items()]
    indexes = [RetrievalRow(value, RetrievalFigures(each), ages.get(value)) for value, each in table.by_name.items()]
    return RetrievalPage(
        table=table,
        total=RetrievalFigures(table.total),
        before=RetrievalFigures(table.before),
        series=[RetrievalFigures(each) for each in table.series],
        features=_largest(features),
        indexes=_largest(indexes),
        worst=worst,
    )


def _largest(rows: Sequence[RetrievalRow]) -> list[RetrievalRow]:
    """Those with most retrievals; what only reranks is no place of retrieval."""
    kept = [row for row in rows if row.figures.retrievals]
    return sorted(kept, key=lambda row: (-row.figures.retrievals, row.value))[:MOST_ROWS]

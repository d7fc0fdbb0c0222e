"""What the Costs page shows, worked out from figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.core.exports import Cell
from apps.dashboards.groups import GroupRow, group_rows, is_comparable
from apps.telemetry.figures import Dimension, FigureRow, FigureTable
from apps.telemetry.unpriced import Unpriced, unpriced_models

BY = (
    Dimension.FEATURE,
    Dimension.MODEL,
    Dimension.PROVIDER,
    Dimension.PROMPT_VERSION,
    Dimension.SOURCE,
    Dimension.ENVIRONMENT,
)
"""What spend can be broken down by; the first is the one to begin with."""

MOST_ROWS = 100


def read_by(text: str | None) -> Dimension:
    """The dimension an address names, or the usual one."""
    return Dimension(text) if text in {str(each) for each in BY} else BY[0]


@dataclass(frozen=True)
class CostTables:
    """The answers that the page is made of."""

    now: FigureTable
    before: FigureTable
    priced: FigureTable
    all_models: FigureTable | None = None


@dataclass(frozen=True)
class Costs:
    """The page's content."""

    total: FigureRow
    before: FigureRow
    rows: Sequence[GroupRow]
    more: int
    unpriced: Sequence[Unpriced]
    tables: CostTables

    @property
    def cost_before(self) -> Decimal | None:
        """The spend of the period before; None when it is unknown, or so small that there is nothing to compare."""
        return self.before.cost_usd if is_comparable(self.total, self.before) else None

    @property
    def dearest(self) -> GroupRow | None:
        """The group that most of the known spend goes to; None when nothing is known to be spent."""
        first = self.rows[0] if self.rows else None
        return first if first is not None and first.share else None


def build(tables: CostTables) -> Costs:
    """The page from its figures; rows are the dearest first."""
    rows = group_rows(tables.now, tables.before)
    return Costs(
        total=tables.now.total,
        before=tables.before.total,
        rows=rows[:MOST_ROWS],
        more=max(0, len(rows) - MOST_ROWS),
        unpriced=unpriced_models(tables.priced),
        tables=tables,
    )


def model_names(tables: CostTables) -> list[str]:
    """The models of the page's calls, for the filter."""
    if tables.all_models is not None:
        return sorted(row.group[0] for row in tables.all_models.groups)
    return sorted({row.group[0] for row in tables.priced.groups})


EXPORT_COLUMNS = (
    "calls",
    "errors",
    "unpriced_calls",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
    "cost_share",
    "cost_per_call_usd",
    "cost_before_usd",
)


def export_rows(tables: CostTables) -> Iterator[list[Cell]]:
    """Every group of the table, for the export; columns are the dimension and EXPORT_COLUMNS."""
    for row in group_rows(tables.now, tables.before):
        now = row.now
        yield [
            row.value,
            now.calls,
            now.errors,
            now.unpriced_calls,
            now.input_tokens,
            now.cached_input_tokens,
            now.cache_write_tokens,
            now.output_tokens,
            now.reasoning_tokens,
            now.cost_usd,
            None if row.share is None else round(row.share, 6),
            None if row.cost_per_call is None else round(row.cost_per_call, 12),
            row.cost_before,
        ]

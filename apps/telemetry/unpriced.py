"""Models whose calls have no price, from a table of figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.telemetry.figures import FigureRow, FigureTable


@dataclass(frozen=True)
class Unpriced:
    """A model without a price, as long as the page looks: calls without a cost of all its calls, and their tokens.

    `first_at` and `last_at` are the starts of the intervals of the first and last such call.
    """

    provider: str
    model: str
    unpriced_calls: int
    calls: int
    input_tokens: int
    output_tokens: int
    first_at: datetime
    last_at: datetime


def unpriced_models(table: FigureTable) -> list[Unpriced]:
    """The models with unpriced calls, by number of these; the table is by model, or by provider and
    model, and cut into intervals."""
    seen: dict[tuple[str, ...], list[FigureRow]] = {}
    for row in table.rows:
        if row.unpriced_calls:
            seen.setdefault(row.group, []).append(row)
    totals = {row.group: row for row in table.groups}
    found = [_unpriced(totals[group], rows) for group, rows in seen.items()]
    return sorted(found, key=lambda each: (-each.unpriced_calls, each.provider, each.model))


def _unpriced(total: FigureRow, rows: Sequence[FigureRow]) -> Unpriced:
    *provider, model = total.group
    times = [row.at for row in rows if row.at is not None]
    return Unpriced(
        provider="".join(provider),
        model=model,
        unpriced_calls=total.unpriced_calls,
        calls=total.calls,
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        first_at=min(times),
        last_at=max(times),
    )

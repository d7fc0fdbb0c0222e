"""What cached tokens saved: what they would have cost at the input price, less what they cost. Pure, and exact.

Per provider, model and UTC day, with the price in force at noon of the day: tokens read from a cache times (input
price less price of cached reads), less tokens written to it times (price of writing less input price).
Tokens are sums of records, so the standard prices below the first tier count. Without a price nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce

from apps.providers.pricing import EXACT
from apps.providers.rates import TokenPrices
from apps.telemetry.figures import FigureRow

NOON = timedelta(hours=12)
PriceAt = Callable[[str, str, datetime], TokenPrices | None]
"""The price of a provider's model at a moment, below its first tier; None without one."""


@dataclass(frozen=True)
class CachedModel:
    """One model's cached tokens. `saved_usd` is None when no day of it has a price, negative when writing cost more."""

    provider: str
    model: str
    input_tokens: int
    read_tokens: int
    written_tokens: int
    saved_usd: Decimal | None

    @property
    def share(self) -> float | None:
        """The part of the input that was read from a cache, 0 to 1."""
        return self.read_tokens / self.input_tokens if self.input_tokens else None


@dataclass(frozen=True)
class CacheSavings:
    """All models with cached tokens, what saved most first; `unknown_tokens` are cached ones without a price."""

    models: Sequence[CachedModel]
    saved_usd: Decimal | None
    unknown_tokens: int


def saved_on_day(row: FigureRow, prices: TokenPrices) -> Decimal | None:
    """Dollars that one model's cached tokens saved on one day; None when the price list says too little."""
    if prices.input is None or prices.cached_read is None or prices.cache_write is None:
        return None
    reading = EXACT.multiply(Decimal(row.cached_input_tokens), prices.input - prices.cached_read)
    writing = EXACT.multiply(Decimal(row.cache_write_tokens), prices.cache_write - prices.input)
    return EXACT.scaleb(EXACT.subtract(reading, writing), -6)


def savings(rows: Sequence[FigureRow], price_at: PriceAt) -> CacheSavings:
    """What all cached tokens saved; rows are by provider and model, one for each UTC day."""
    groups: dict[tuple[str, ...], list[FigureRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    unknown, models = 0, []
    for (provider, model), days in groups.items():
        if not any(row.cached_input_tokens or row.cache_write_tokens for row in days):
            continue
        saved: Decimal | None = None
        for row in days:
            assert row.at is not None  # the table is cut into days
            prices = price_at(provider, model, row.at + NOON)
            on_day = None if prices is None else saved_on_day(row, prices)
            if on_day is None:
                unknown += row.cached_input_tokens + row.cache_write_tokens
            else:
                saved = EXACT.add(saved or Decimal(0), on_day)
        read, written = sum(row.cached_input_tokens for row in days), sum(row.cache_write_tokens for row in days)
        models.append(CachedModel(provider, model, sum(row.input_tokens for row in days), read, written, saved))
    known = [each.saved_usd for each in models if each.saved_usd is not None]
    ordered = sorted(models, key=lambda each: -(each.saved_usd or 0))
    return CacheSavings(ordered, reduce(EXACT.add, known) if known else None, unknown)

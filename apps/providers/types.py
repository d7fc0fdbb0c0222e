"""What passes between modules: a price that was found, and what a synchronisation did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from apps.providers.price_file import BadEntry
from apps.providers.rates import PriceRates


@dataclass(frozen=True, slots=True)
class PricedModel:
    """The price list in force for a model at a moment. `price_id` is the row it was read from."""

    price_id: int
    provider: str
    model: str
    source: str
    starts_on: date
    rates: PriceRates


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a synchronisation found. `unpriced` models are listed in the file without a price by tokens."""

    models: int
    added: int
    changed: int
    unpriced: int
    not_by_token: int
    skipped: tuple[BadEntry, ...]
    is_new_content: bool


@dataclass(frozen=True, slots=True)
class StalePrices:
    """The price file in use is old; `since` is when its content was first read (None: no file was read
    yet)."""

    since: datetime | None
    days: int | None

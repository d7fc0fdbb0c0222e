"""What passes between modules: a price that was found, and what a synchronisation did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.providers.price_file import BadEntry
from apps.providers.rates import PriceRates

NO_ROW = 0
"""In place of a price row's id: the test model, whose price no row holds."""


@dataclass(frozen=True, slots=True)
class PricedModel:
    """The price list in force for a model at a moment. `price_id` is the row it was read from, or NO_ROW."""

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


class PriceState(StrEnum):
    """Whether a price holds on a day."""

    IN_FORCE = "in_force"
    COMING = "coming"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PriceLine:
    """A price as lists show it. The prices are dollars per million tokens up to the first tier; `extras`
    names what else the list has: tiers, plans, a price by request, off-peak hours."""

    uuid: UUID
    source: str
    provider: str
    model: str
    mode: str
    starts_on: date
    ends_on: date | None
    state: PriceState
    input: Decimal | None
    output: Decimal | None
    cached_read: Decimal | None
    cache_write: Decimal | None
    reasoning: Decimal | None
    extras: tuple[str, ...]
    rates: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PricePage:
    """Some prices in the order of their names. `next` is the cursor of what follows, None at the end."""

    items: list[PriceLine]
    next: int | None


@dataclass(frozen=True, slots=True)
class FileStatus:
    """The price file in use."""

    source: str
    version: str
    synced_at: datetime
    checked_at: datetime
    models: int


class ConnectionState(StrEnum):
    """What is known of a connection."""

    UNCHECKED = "unchecked"
    WORKS = "works"
    FAILS = "fails"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """A connection as lists and forms show it: everything but the key."""

    uuid: UUID
    slug: str
    name: str
    protocol: str
    provider: str
    base_url: str
    has_secret: bool
    secret_hint: str
    """The last four characters of a long key; else empty."""
    models: tuple[str, ...]
    connect_seconds: int
    first_byte_seconds: int
    idle_seconds: int
    total_seconds: int
    attempts: int
    state: ConnectionState
    created_at: datetime
    changed_at: datetime
    last_checked_at: datetime | None
    last_check_note: str
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that can be called from a project."""

    name: str
    """What `target_for` takes and people pick: the connection's slug, `/`, and the model."""
    model: str
    """As the provider names it."""
    connection: str
    """The connection's name for people."""
    provider: str
    is_test: bool
    is_embedding: bool
    """True where the name says so; a guess from words, only good for sorting."""
    is_price_known: bool

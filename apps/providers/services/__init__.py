"""Everything that changes prices and connections. Callers use these names alone."""

from apps.providers.services.prices import (
    FIRST_DAY,
    PriceExists,
    PriceFileRefused,
    add_own_price,
    end_own_price,
    sync_prices,
)

__all__ = [
    "FIRST_DAY",
    "PriceExists",
    "PriceFileRefused",
    "add_own_price",
    "end_own_price",
    "sync_prices",
]

"""Reading prices and connections. Callers use these names; `connections` is imported by its own name."""

from apps.providers.selectors.prices import (
    CHECK_SECONDS,
    NO_PROJECT,
    STALE_AFTER_DAYS,
    PriceBook,
    file_status,
    get_own_price,
    get_price,
    list_own_prices,
    list_prices,
    price_book,
    stale_prices,
)

__all__ = [
    "CHECK_SECONDS",
    "NO_PROJECT",
    "PriceBook",
    "STALE_AFTER_DAYS",
    "file_status",
    "get_own_price",
    "get_price",
    "list_own_prices",
    "list_prices",
    "price_book",
    "stale_prices",
]

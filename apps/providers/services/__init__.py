"""Everything that changes prices and connections. Callers use these names alone."""

from apps.providers.services.connections import (
    RANGES,
    ConnectionChanged,
    ConnectionExists,
    ConnectionFields,
    add_connection,
    change_connection,
    fields_of,
    note_check,
    remove_connection,
    set_secret,
    switch_connection,
)
from apps.providers.services.prices import (
    FIRST_DAY,
    PriceExists,
    PriceFileRefused,
    add_own_price,
    end_own_price,
    sync_prices,
)

__all__ = [
    "ConnectionChanged",
    "ConnectionExists",
    "ConnectionFields",
    "FIRST_DAY",
    "PriceExists",
    "PriceFileRefused",
    "RANGES",
    "add_connection",
    "add_own_price",
    "change_connection",
    "end_own_price",
    "fields_of",
    "note_check",
    "remove_connection",
    "set_secret",
    "switch_connection",
    "sync_prices",
]

"""Money is Decimal from end to end and is rounded here, once, for display."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

PER_MILLION = -6
"""Costs are tokens times dollars per million tokens, shifted by this many places; the shift is exact."""


def as_json(amount: Decimal | None) -> str | None:
    """The exact amount as a plain decimal string without an exponent, or None for an unknown one."""
    if amount is None:
        return None
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def display(amount: Decimal | None) -> str:
    """Dollars for people: cents from one dollar on, more places below so that a small cost is never shown as zero.

    `None` (unknown) is an en dash, which is not the same as `$0.00`.
    """
    if amount is None:
        return "–"
    sign, size = ("−" if amount < 0 else ""), abs(amount)
    if size == 0:
        return "$0.00"
    if size >= 10_000:
        places = 0
    elif size >= 1:
        places = 2
    else:
        # Three significant digits: adjusted() is the exponent of the first one.
        places = min(12, max(2, 2 - size.adjusted()))
    rounded = size.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    text = f"{rounded:,f}"
    if places > 4:
        text = text.rstrip("0")
    return f"{sign}${text}"

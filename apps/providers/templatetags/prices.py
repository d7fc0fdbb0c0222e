"""Prices per million tokens as pages show them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from django import template

from apps.core import formats

register = template.Library()
PLACES = 8


@register.filter
def price(value: Decimal | None) -> str:
    """`$2.50`, `$0.0375`; a dash when there is none. Every digit is shown, but for noise beyond the eighth
    place."""
    if value is None:
        return formats.UNKNOWN
    digits = f"{value.quantize(Decimal(1).scaleb(-PLACES), rounding=ROUND_HALF_EVEN):,f}".rstrip("0")
    whole, _, rest = digits.partition(".")
    if value and not Decimal(digits.replace(",", "")):
        return f"<{formats.SPACE}$0.{'0' * (PLACES - 1)}1"
    return f"${whole}.{rest.ljust(2, '0')}"

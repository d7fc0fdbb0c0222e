"""Prices of models that are named like one without a price."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from apps.providers.likeness import most_alike
from apps.providers.models import Price

MOST = 5


class SimilarPrice(NamedTuple):
    """A price of the price file in force: dollars per million tokens as text, so that no digit is lost."""

    model: str
    provider: str
    input: str
    output: str | None
    cached_read: str | None


def similar_prices(model: str, *, on: date, most: int = MOST) -> list[SimilarPrice]:
    """The listed models with a price on that day whose names are nearest to this one, in two queries."""
    listed = Price.objects.filter(project=None, starts_on__lte=on, rates__has_key="input")
    names = most_alike(model, listed.values_list("model", flat=True).distinct(), most=most)
    newest = {row.model: row for row in listed.filter(model__in=names).order_by("starts_on", "id")}
    return [_similar(newest[name]) for name in names]


def _similar(row: Price) -> SimilarPrice:
    return SimilarPrice(
        row.model, row.provider, row.rates["input"], row.rates.get("output"), row.rates.get("cached_read")
    )

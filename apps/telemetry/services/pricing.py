"""The cost of a span, frozen when it is stored."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from apps.providers import pricing
from apps.providers.selectors import price_book


class Priceable(Protocol):
    """What the price of a span depends on, and where its cost goes."""

    project_id: int
    started_at: datetime
    counted: bool
    provider: str
    request_model: str
    response_model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    service_tier: str
    cost_usd: Decimal | None
    client_cost_usd: Decimal | None
    price_id: int | None


def usage_of(span: Priceable) -> pricing.Usage:
    """The tokens of a span as prices are applied to them."""
    return pricing.Usage(
        input_tokens=span.input_tokens,
        output_tokens=span.output_tokens,
        cached_input_tokens=span.cached_input_tokens,
        cache_write_tokens=span.cache_write_tokens,
        cache_write_1h_tokens=span.cache_write_1h_tokens,
        reasoning_tokens=span.reasoning_tokens,
    )


def freeze_cost(span: Priceable) -> None:
    """Set `cost_usd` and `price_id` from the price that is in force at the span's start.

    A span that is not a counted call costs nothing and keeps None. Where no price is known, or not all tokens that the
    price needs, the cost that the client sent stands; without one the cost is unknown, which is None and never 0.
    """
    span.cost_usd = None
    span.price_id = None
    if not span.counted:
        return
    usage = usage_of(span)
    for model in dict.fromkeys((span.response_model, span.request_model)):
        if not model:
            continue
        priced = price_book.price_for(span.project_id, span.provider or None, model, span.started_at)
        if priced is None:
            continue
        cost = pricing.cost_of(usage, priced.rates, service_tier=span.service_tier)
        if cost is not None:
            span.cost_usd, span.price_id = cost.usd, priced.price_id
            return
    span.cost_usd = span.client_cost_usd

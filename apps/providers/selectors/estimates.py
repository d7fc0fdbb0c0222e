"""What a call would cost, before it is made."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from apps.providers.models import Connection
from apps.providers.presets import TEST
from apps.providers.pricing import Usage, cost_of
from apps.providers.selectors.prices import price_book


def estimate_cost(
    *, project_id: int, model: str, input_tokens: int, output_tokens: int = 0, now: datetime
) -> Decimal | None:
    """Dollars for so many tokens at the standard price in force now; None when it cannot be known.

    The model is named as calls name it: `<connection>/<model>`, or bare. The test model costs nothing.
    """
    if model.strip().startswith(f"{TEST}/"):
        return Decimal(0)
    provider, name = _provider_and_name(project_id, model.strip())
    priced = price_book.price_for(project_id, provider, name, now)
    if priced is None:
        return None
    cost = cost_of(Usage(input_tokens=input_tokens, output_tokens=output_tokens), priced.rates)
    return None if cost is None else cost.usd


def _provider_and_name(project_id: int, model: str) -> tuple[str | None, str]:
    """The provider of the connection that the model's name begins with; none when there is no such connection."""
    slug, slash, rest = model.partition("/")
    if slash and rest:
        provider = (
            Connection.objects.filter(project_id=project_id, slug=slug).values_list("provider", flat=True).first()
        )
        if provider is not None:
            return provider or None, rest
    return None, model

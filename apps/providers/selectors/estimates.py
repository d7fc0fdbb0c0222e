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
    if not model.strip():
        return None
    if model.strip().startswith(f"{TEST}/"):
        return Decimal(0)
    provider, name = _provider_and_name(project_id, model.strip())
    priced = price_book.price_for(project_id, provider, name, now)
    if priced is None:
        return None
    cost = cost_of(Usage(input_tokens=input_tokens, output_tokens=output_tokens), priced.rates)
    return None if cost is None else cost.usd


def _provider_and_name(project_id: int, model: str) -> tuple[str | None, str]:
    """The provider of the connection that a call of the model goes over, as `connections.target_for` finds it; none
    when there is no such connection."""
    enabled = Connection.objects.filter(project_id=project_id, disabled_at=None).order_by("created_at", "id")
    rows = list(enabled.values_list("slug", "provider", "model_names"))
    slug, slash, rest = model.partition("/")
    for name, provider, _ in rows if slash and rest else ():
        if name == slug:
            return provider or None, rest
    for _, provider, models in rows:
        if model in models:
            return provider or None, model
    return None, model

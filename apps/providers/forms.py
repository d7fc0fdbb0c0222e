"""Shape of the input of price pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.providers.price_file import MAX_NAME_LENGTH
from apps.providers.rates import PLACES

CLASSES = ("input", "output", "cached_read", "cache_write", "reasoning")
BATCH = {"batch_input": "input", "batch_output": "output"}


class DayField(forms.DateField):
    """A day (UTC)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), **kwargs)


class PriceField(forms.DecimalField):
    """Dollars per million tokens."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=Decimal(0),
            max_value=Decimal(9_999_999),
            max_digits=7 + PLACES,
            decimal_places=PLACES,
            widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
            **kwargs,
        )


class PriceForm(forms.Form):
    """A price of the project's own."""

    model = forms.CharField(
        label=_("Model"),
        max_length=MAX_NAME_LENGTH,
        help_text=_("As calls name it. Upper and lower case are the same."),
    )
    provider = forms.CharField(
        label=_("Provider"), max_length=64, required=False, help_text=_("Empty: whatever provider a call names.")
    )
    starts_on = DayField(label=_("Holds from"), help_text=_("The day begins at midnight UTC."))
    input = PriceField(label=_("Input"), help_text=_("0 means free."))
    output = PriceField(label=_("Output"), required=False)
    cached_read = PriceField(label=_("Cached input"), required=False, help_text=_("Empty: as input."))
    cache_write = PriceField(label=_("Written to the cache"), required=False, help_text=_("Empty: as input."))
    reasoning = PriceField(label=_("Reasoning"), required=False, help_text=_("Empty: as output."))
    batch_input = PriceField(label=_("Input of batches"), required=False, help_text=_("Empty: as input."))
    batch_output = PriceField(label=_("Output of batches"), required=False, help_text=_("Empty: as output."))

    def rates(self) -> dict[str, Any]:
        """The price list that was typed in."""
        typed = {name: f"{value:f}" for name, value in self.cleaned_data.items() if isinstance(value, Decimal)}
        rates: dict[str, Any] = {name: typed[name] for name in CLASSES if name in typed}
        batch = {kind: typed[name] for name, kind in BATCH.items() if name in typed}
        return {**rates, "plans": {"batch": batch}} if batch else rates


class EndForm(forms.Form):
    """When an own price ends."""

    ends_on = DayField(
        label=_("First day without it"), help_text=_("Its first day itself withdraws it: it never held.")
    )


class SearchForm(forms.Form):
    """A search in the price book. `model` and `provider` fill the form for an own price."""

    q = forms.CharField(max_length=MAX_NAME_LENGTH, required=False)
    cursor = forms.IntegerField(required=False, min_value=1, max_value=2**62)
    model = forms.CharField(max_length=MAX_NAME_LENGTH, required=False)
    provider = forms.CharField(max_length=64, required=False)

"""Shape of the input of the pages about costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.providers.rates import PLACES

CLASSES = ("input", "output", "cached_read", "cache_write", "reasoning")


class DollarsField(forms.DecimalField):
    """Dollars per million tokens."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=Decimal(0),
            max_value=Decimal(9_999_999),
            max_digits=7 + PLACES,
            decimal_places=PLACES,
            required=False,
            widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
            **kwargs,
        )


class RepriceForm(forms.Form):
    """Which costs to work out anew, and the price to set before; without one, the prices there are."""

    model = forms.CharField(max_length=200, widget=forms.HiddenInput)
    provider = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
    starts_on = forms.DateField(
        label=_("Holds from"),
        help_text=_("The day begins at midnight UTC. Calls from then on are worked out anew."),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    input = DollarsField(label=_("Input"), help_text=_("0 means free. Empty: with the prices there are."))
    output = DollarsField(label=_("Output"))
    cached_read = DollarsField(label=_("Cached input"), help_text=_("Empty: as input."))
    cache_write = DollarsField(label=_("Written to the cache"), help_text=_("Empty: as input."))
    reasoning = DollarsField(label=_("Reasoning"), help_text=_("Empty: as output."))
    includes_priced = forms.BooleanField(
        label=_("Also calls of this model that have a cost already"),
        required=False,
        help_text=_("Otherwise only calls whose cost is unknown change."),
    )

    def clean(self) -> dict[str, Any]:
        """A price needs its input."""
        typed = super().clean() or {}
        if typed.get("input") is None and any(typed.get(name) is not None for name in CLASSES):
            self.add_error("input", _("Give the price of input too; 0 means free."))
        return typed

    def rates(self) -> dict[str, str] | None:
        """The price list that was typed in; None when none was."""
        typed = {name: f"{self.cleaned_data[name]:f}" for name in CLASSES if self.cleaned_data[name] is not None}
        return typed or None

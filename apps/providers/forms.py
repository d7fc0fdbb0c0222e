"""Shape of the input of price pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.providers import services
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


SECRET_INPUT = {"autocomplete": "new-password", "spellcheck": "false"}


class ConnectionForm(forms.Form):
    """A connection. What was typed as key is never put back into the page."""

    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("For people."))
    slug = forms.CharField(
        label=_("Short name"),
        max_length=64,
        required=False,
        help_text=_("The first part of its models' full names, as in openai/gpt-4o. It cannot be changed later."),
    )
    protocol = forms.ChoiceField(
        label=_("Spoken to as"),
        choices=[
            ("openai", _("OpenAI's API, as most providers and local servers understand it")),
            ("anthropic", _("Anthropic's API")),
            ("litellm", _("another provider, through LiteLLM")),
        ],
    )
    base_url = forms.CharField(label=_("Address"), max_length=500, required=False)
    provider = forms.CharField(
        label=_("Provider in the price book"),
        max_length=64,
        required=False,
        help_text=_("Decides what calls cost. Empty: unknown, unless you set prices of your own."),
    )
    secret = forms.CharField(
        label=_("Key"),
        max_length=8192,
        required=False,
        widget=forms.PasswordInput(attrs=SECRET_INPUT, render_value=False),
        help_text=_("It is sealed, never shown again, and only ever sent to this address."),
    )
    removes_secret = forms.BooleanField(label=_("Remove the stored key"), required=False)
    models = forms.CharField(
        label=_("Models"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_("As the provider names them, one a line. These are offered wherever a model is chosen."),
    )
    connect_seconds = forms.IntegerField(label=_("Seconds to connect"), min_value=1, max_value=60, initial=5)
    first_byte_seconds = forms.IntegerField(label=_("Seconds to begin"), min_value=1, max_value=600, initial=30)
    idle_seconds = forms.IntegerField(label=_("Seconds of silence"), min_value=1, max_value=600, initial=30)
    total_seconds = forms.IntegerField(label=_("Seconds in all"), min_value=1, max_value=3600, initial=300)
    attempts = forms.IntegerField(label=_("Tries"), min_value=1, max_value=5, initial=2)

    def values(self) -> services.ConnectionFields:
        """What was typed, but the slug and the key."""
        typed = self.cleaned_data
        return services.ConnectionFields(
            name=typed["name"],
            protocol=typed["protocol"],
            provider=typed["provider"],
            base_url=typed["base_url"],
            models=tuple(typed["models"].splitlines()),
            connect_seconds=typed["connect_seconds"],
            first_byte_seconds=typed["first_byte_seconds"],
            idle_seconds=typed["idle_seconds"],
            total_seconds=typed["total_seconds"],
            attempts=typed["attempts"],
        )

    def new_secret(self) -> str | None:
        """The key that was typed; empty to remove the stored one; None to leave it."""
        typed: str = self.cleaned_data["secret"]
        return typed or ("" if self.cleaned_data["removes_secret"] else None)


class CheckForm(forms.Form):
    """Which model to try a connection with."""

    model = forms.CharField(max_length=200)

"""Shape of the input of the pages about what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.projects.models import Project
from apps.telemetry.masking import CAPTURE_HASHED, CAPTURE_OFF, CAPTURE_ON, MAX_OWN_RULES, OwnRule, Rules
from apps.telemetry.selectors.lifecycle import Ages

RULE_LABELS = [
    ("key", _("Keys and passwords: API keys, tokens, private keys, passwords in addresses")),
    ("email", _("E-mail addresses")),
    ("card", _("Payment cards, recognized by their check digit")),
    ("phone", _("Phone numbers")),
    ("ip", _("IP addresses")),
]
CAPTURE_LABELS = [
    (CAPTURE_ON, _("Keep inputs, outputs and documents, masked by the rules")),
    (CAPTURE_HASHED, _("Keep digests only: equal contents are seen to be equal, and cannot be read")),
    (CAPTURE_OFF, _("Keep no content at all, only lengths and numbers")),
]


class DaysField(forms.IntegerField):
    """A number of days to keep something."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=Project.MAX_RETENTION_DAYS, **kwargs)


class AgesForm(forms.Form):
    """For how many days what is kept."""

    payload_days = DaysField(
        label=_("Contents"), help_text=_("Inputs, outputs, documents, attributes, and the text search.")
    )
    span_days = DaysField(label=_("Spans"), help_text=_("Traces with their times, tokens and costs, without contents."))
    score_days = DaysField(label=_("Scores"), help_text=_("Thumbs, ratings, labels and comments."))
    cost_days = DaysField(label=_("Cost records"), help_text=_("Figures by the hour, without users or contents."))
    account_days = DaysField(
        label=_("Account of the intake"), help_text=_("What became of each request, with refused items.")
    )

    def ages(self) -> Ages:
        """The ages that were typed in."""
        return Ages(**{name: self.cleaned_data[name] for name in self.fields})


class MaskingForm(forms.Form):
    """What is masked."""

    kinds = forms.MultipleChoiceField(
        label=_("Replace"), choices=RULE_LABELS, required=False, widget=forms.CheckboxSelectMultiple
    )
    own = forms.CharField(
        label=_("Own patterns"),
        required=False,
        max_length=MAX_OWN_RULES * 600,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "mono"}),
        help_text=_("One a line: a name, a colon, a regular expression. What it finds becomes [the name]."),
    )
    capture = forms.ChoiceField(label=_("Contents"), choices=CAPTURE_LABELS, widget=forms.RadioSelect)
    hashes_users = forms.BooleanField(
        label=_("Keep users under a keyed digest of their id instead of the id"), required=False
    )

    def clean_own(self) -> list[OwnRule]:
        """The lines as rules."""
        rules = []
        for line in self.cleaned_data["own"].splitlines():
            if not line.strip():
                continue
            name, colon, pattern = line.partition(":")
            if not colon:
                raise forms.ValidationError(
                    _("Write each line as name: pattern. This one has no colon: “%(line)s”."), params={"line": line}
                )
            rules.append(OwnRule(name.strip(), pattern.strip()))
        return rules

    def rules(self) -> Rules:
        """What was chosen, as rules."""
        chosen = self.cleaned_data
        return Rules(
            kinds=tuple(chosen["kinds"]),
            own=tuple(chosen["own"]),
            capture=chosen["capture"],
            hashes_users=chosen["hashes_users"],
        )


class TryForm(MaskingForm):
    """A text to be tried, with the rules as they stand in the form."""

    text = forms.CharField(
        label=_("Text"),
        required=False,
        max_length=20_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
    )


def own_lines(own: list[dict[str, str]]) -> str:
    """Own rules as the form shows them."""
    return "\n".join(f"{rule['name']}: {rule['pattern']}" for rule in own)


class EraseForm(forms.Form):
    """Whose data to erase."""

    user_id = forms.CharField(
        label=_("User id"),
        max_length=256,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Exactly as your service sends it, even where users are kept under a digest."),
    )


class ExportForm(forms.Form):
    """Which spans to download, and how."""

    form = forms.ChoiceField(label=_("Format"), choices=[("jsonl", "JSON Lines"), ("parquet", "Parquet")])
    first = forms.DateField(
        label=_("From"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), help_text=_("Days are UTC.")
    )
    last = forms.DateField(
        label=_("To"),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text=_("This day is included."),
    )
    environment = forms.CharField(label=_("Environment"), max_length=64, required=False)
    feature = forms.CharField(label=_("Feature"), max_length=128, required=False)
    model = forms.CharField(label=_("Model"), max_length=128, required=False)
    user_id = forms.CharField(label=_("User"), max_length=256, required=False)

    def clean(self) -> dict[str, Any]:
        """The days are in order."""
        cleaned = super().clean() or {}
        if cleaned.get("first") and cleaned.get("last") and cleaned["first"] > cleaned["last"]:
            self.add_error("last", _("This day is before the first."))
        return cleaned

    def stretch(self) -> tuple[datetime, datetime]:
        """The days as moments."""
        first, last = self.cleaned_data["first"], self.cleaned_data["last"]
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return start, datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)

    def filters(self) -> tuple[tuple[str, str], ...]:
        """The columns that must have these values."""
        names = ("environment", "feature", "model", "user_id")
        return tuple((name, self.cleaned_data[name]) for name in names if self.cleaned_data[name])

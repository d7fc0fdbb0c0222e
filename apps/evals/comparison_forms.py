"""Forms of comparisons and model upgrades."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.evals.compare import Settings

SHOWS = (("", _("All that changed")), ("failing", _("Newly failing")), ("passing", _("Newly passing")))


class CompareForm(forms.Form):
    """Which runs, which loss would be accepted, and which examples are listed."""

    candidate = forms.CharField(required=False, max_length=64)
    baseline = forms.CharField(required=False, max_length=64)
    margin = forms.FloatField(required=False, min_value=0.01, max_value=100)
    tail_margin = forms.FloatField(required=False, min_value=0.01, max_value=100)
    show = forms.ChoiceField(required=False, choices=SHOWS)
    slice = forms.CharField(required=False, max_length=100)
    page = forms.IntegerField(required=False, min_value=1, max_value=1000)

    def settings(self) -> Settings:
        """How to compare; margins are given in points."""
        margin, tail_margin = (self.cleaned_data.get(name) for name in ("margin", "tail_margin"))
        return Settings(
            margin=Settings().margin if margin is None else margin / 100,
            tail_margin=Settings().tail_margin if tail_margin is None else tail_margin / 100,
        )


class UpgradeForm(forms.Form):
    """What an upgrade is tried on."""

    eval_set = forms.CharField(max_length=100, label=_("Eval set"))
    prompt = forms.CharField(max_length=200, label=_("Prompt"))
    version = forms.CharField(required=False, max_length=64, label=_("Version"))
    current_model = forms.CharField(max_length=300, label=_("Current model"))
    new_model = forms.CharField(max_length=300, label=_("New model"))
    scorers = forms.MultipleChoiceField(label=_("Scorers"))
    repetitions = forms.IntegerField(required=False, min_value=1, max_value=20, label=_("Repetitions"))

    def __init__(self, *args: Any, scorers: tuple[tuple[str, str], ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["scorers"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = scorers

    def clean(self) -> dict[str, Any]:
        """Two models are needed."""
        told = super().clean() or {}
        if told.get("current_model") and told.get("current_model") == told.get("new_model"):
            self.add_error("new_model", _("Choose another model than the current one."))
        return told

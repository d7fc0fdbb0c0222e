"""Forms of comparisons and model upgrades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from apps.evals.compare import Settings
from apps.evals.upgrades import UpgradeWish

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

    prompt = forms.CharField(
        label=_("Prompt"), max_length=200, widget=forms.TextInput(attrs={"list": "upgrade-prompts"})
    )
    version = forms.CharField(label=_("Version"), required=False, max_length=64, help_text=_("Empty for the newest."))
    eval_set = forms.ChoiceField(label=_("Eval set"))
    current_model = forms.CharField(
        label=_("Current model"), max_length=300, widget=forms.TextInput(attrs={"list": "upgrade-models"})
    )
    new_model = forms.CharField(
        label=_("New model"), max_length=300, widget=forms.TextInput(attrs={"list": "upgrade-models"})
    )
    scorers = forms.MultipleChoiceField(label=_("Scorers"), widget=forms.CheckboxSelectMultiple)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        sets: Sequence[tuple[str, str]],
        scorers: Sequence[tuple[str, str]],
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        for name, choices in (("eval_set", sets), ("scorers", scorers)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = list(choices)

    def clean(self) -> dict[str, Any]:
        """Two models are needed."""
        told = super().clean() or {}
        if told.get("current_model") and told.get("current_model") == told.get("new_model"):
            self.add_error("new_model", _("Choose another model than the current one."))
        return told

    def wish(self) -> UpgradeWish:
        """What is asked for; the form must be valid."""
        told = dict(self.cleaned_data)
        return UpgradeWish(**{**told, "scorers": tuple(told["scorers"])})

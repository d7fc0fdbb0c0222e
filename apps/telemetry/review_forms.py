"""Shape of the input of the review pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.telemetry.models import ReviewItem, ReviewRule


class DecisionForm(forms.Form):
    """What the reviewer found."""

    verdict = forms.ChoiceField(
        label=_("Verdict"),
        choices=ReviewItem.Verdict.choices,
        error_messages={"required": _("Choose good, bad or unsure.")},
    )
    failure_label = forms.CharField(label=_("What went wrong"), max_length=80, required=False)
    correction = forms.CharField(label=_("What the answer should have been"), max_length=20_000, required=False)


class NoteForm(forms.Form):
    """A note."""

    text = forms.CharField(max_length=20_000, error_messages={"required": _("Write a few words.")})


class FlagForm(forms.Form):
    """A reason to look at a trace, or at the span that is open."""

    reason = forms.CharField(max_length=200, error_messages={"required": _("Write a few words.")})
    target = forms.ChoiceField(choices=[("trace", "trace"), ("span", "span")], required=False)


class RuleForm(forms.Form):
    """What is to be queued by itself."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("The reason that its items show."))
    kind = forms.ChoiceField(label=_("Queue"), choices=ReviewRule.Kind.choices)
    score_name = forms.CharField(label=_("Score"), max_length=128, required=False, help_text=_("Such as thumbs."))
    below = forms.FloatField(label=_("Below"), required=False)
    label = forms.CharField(label=_("Label"), max_length=128, required=False, help_text=_("Such as down."))
    feature = forms.CharField(label=_("Feature"), max_length=128, required=False, help_text=_("All when empty."))
    environment = forms.CharField(label=_("Environment"), max_length=64, required=False, help_text=_("All when empty."))
    percent = forms.DecimalField(
        label=_("Of these, queue"),
        min_value=Decimal("0.01"),
        max_value=Decimal(100),
        max_digits=5,
        decimal_places=2,
        initial=Decimal(100),
    )
    most_a_day = forms.IntegerField(label=_("At most a day"), min_value=1, max_value=1_000, initial=50)

    def clean(self) -> dict[str, Any]:
        """A rule about scores names the score and what it is held against."""
        typed: dict[str, Any] = super().clean() or {}
        kind = typed.get("kind")
        if kind in {ReviewRule.Kind.SCORE_BELOW, ReviewRule.Kind.SCORE_LABEL} and not typed.get("score_name"):
            self.add_error("score_name", _("Name the score."))
        if kind == ReviewRule.Kind.SCORE_BELOW and typed.get("below") is None and "below" not in self.errors:
            self.add_error("below", _("Give a number."))
        if kind == ReviewRule.Kind.SCORE_LABEL and not typed.get("label"):
            self.add_error("label", _("Name the label."))
        return typed

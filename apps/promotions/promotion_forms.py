"""Forms of promotions: what is asked for, and what somebody decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.promotions.promotion_words import SHORT
from apps.promotions.selectors.promotions import LARGEST_NUMBER, PromotionFilter
from apps.promotions.types import Purpose

LONGEST_REASON, LONGEST_COMMENT, LONGEST_WHY = 2_000, 10_000, 10_000
AS_VERSION = _("the version's own")


class FilterForm(forms.Form):
    """What part of the list is shown."""

    prompt = forms.ChoiceField(label=_("Prompt"), required=False)
    environment = forms.ChoiceField(label=_("Environment"), required=False)
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[("", _("any state")), *((state.value, word) for state, word in SHORT.items())],
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_NUMBER, widget=forms.HiddenInput)

    def __init__(self, *args: Any, prompts: Iterable[str], environments: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in ("prompt", "environment", "state"):
            self.fields[field].widget.attrs |= {"class": "input", "aria-label": str(self.fields[field].label)}
        self.fields["prompt"].choices = [("", _("any prompt")), *((one, one) for one in prompts)]  # type: ignore[attr-defined]
        places = [("", _("any environment")), *((one, one) for one in environments)]
        self.fields["environment"].choices = places  # type: ignore[attr-defined]

    def where(self) -> PromotionFilter:
        """The filter; what cannot be read does not filter."""
        told = self.cleaned_data
        return PromotionFilter(*(told.get(name) or "" for name in ("prompt", "environment", "state")))


class AskForm(forms.Form):
    """What shall go live, where, and why."""

    prompt = forms.CharField(label=_("Prompt"), max_length=200)
    version = forms.CharField(label=_("Version"), max_length=64)
    environment = forms.CharField(label=_("Environment"), max_length=64)
    model = forms.CharField(label=_("Model"), max_length=300, required=False)
    purpose = forms.ChoiceField(choices=[(one.value, one.value) for one in Purpose], required=False)
    why = forms.CharField(
        label=_("Why"),
        max_length=LONGEST_WHY,
        required=False,
        help_text=_("Whoever decides reads this first."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class DecideForm(forms.Form):
    """A decision with its reason."""

    DECISIONS = ("approve", "reject", "withdraw", "check")

    decision = forms.ChoiceField(choices=[(one, one) for one in DECISIONS])
    reason = forms.CharField(
        label=_("Reason"), max_length=LONGEST_REASON, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class CommentForm(forms.Form):
    """A comment."""

    text = forms.CharField(label=_("Comment"), max_length=LONGEST_COMMENT, widget=forms.Textarea(attrs={"rows": 2}))


class OverrideForm(forms.Form):
    """Why it cannot wait for its gates."""

    why = forms.CharField(
        label=_("Why it cannot wait"), max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3})
    )


class FollowUpForm(forms.Form):
    """What the review after an override found."""

    finding = forms.CharField(
        label=_("What was found"), max_length=LONGEST_COMMENT, widget=forms.Textarea(attrs={"rows": 3})
    )

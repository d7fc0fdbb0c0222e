"""Shape of what a person says of a trace."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.telemetry.scoring import DOWN, MAX_NAME_CHARS, THUMBS, UP


class JudgeForm(forms.Form):
    """A thumb, or any score by its name; of the trace, or of the span that is open."""

    thumb = forms.ChoiceField(choices=[(UP, UP), (DOWN, DOWN)], required=False)
    name = forms.CharField(label=_("Score"), max_length=MAX_NAME_CHARS, required=False)
    judgement = forms.CharField(label=_("Number or label"), max_length=256, required=False)
    comment = forms.CharField(label=_("Why"), max_length=2_000, required=False)
    target = forms.ChoiceField(choices=[("trace", "trace"), ("span", "span")], required=False)

    def clean(self) -> dict[str, Any]:
        """A thumb is a score of that name; any other needs a name and a number or label."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("thumb"):
            given["name"], given["judgement"] = THUMBS, given["thumb"]
        elif "name" in given and not given["name"]:
            self.add_error("name", _("Name the score, such as tone."))
        elif "judgement" in given and not given["judgement"]:
            self.add_error("judgement", _("Give a number or a word."))
        return given

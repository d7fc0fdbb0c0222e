"""Shapes of the input of the rollback dialog and of a drill."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.promotions.selectors.rollbacks import Choice, names_of
from apps.prompts.models import Deployment


class RollbackForm(forms.Form):
    """What to go back to, and why. `live` is what was live when the page was shown."""

    to = forms.ChoiceField(
        label=_("Go back to"), error_messages={"invalid_choice": _("This is live by now, or never was. Look again.")}
    )
    live = forms.CharField(widget=forms.HiddenInput, required=False, max_length=36)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Kept with the rollback, in the audit trail and in the notice."),
    )

    def __init__(self, *args: object, choices: Sequence[Choice], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["to"].choices = [(str(one.deployment.uuid), one.candidate) for one in choices]  # type: ignore[attr-defined]


class DrillForm(forms.Form):
    """Where to rehearse."""

    place = forms.ChoiceField(
        label=_("Prompt and environment"),
        error_messages={"invalid_choice": _("Nothing of this prompt is live there any more.")},
    )

    def __init__(self, *args: object, places: Sequence[Deployment], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        named = zip(places, names_of(places), strict=True)
        self.fields["place"].choices = [(str(one.uuid), name) for one, name in named]  # type: ignore[attr-defined]

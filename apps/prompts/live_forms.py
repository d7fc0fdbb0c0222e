"""Shape of the input of the page that makes a version live."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.projects.models import Environment
from apps.prompts.models import Version


class WithdrawForm(forms.Form):
    """Where nothing is to be live any more, and why."""

    environment = forms.SlugField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        required=False,
        help_text=_("Kept in the audit trail."),
    )


class DeployForm(forms.Form):
    """Which version is to be live where, and why."""

    version = forms.ChoiceField(label=_("Version"), error_messages={"invalid_choice": _("There is no such version.")})
    environment = forms.ChoiceField(
        label=_("Environment"), error_messages={"invalid_choice": _("There is no such environment to deploy to.")}
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        required=False,
        help_text=_("Kept with the deployment and in the audit trail."),
    )

    def __init__(
        self, *args: object, versions: Sequence[Version], environments: Sequence[Environment], **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        numbers = [str(version.number) for version in versions]
        self.fields["version"].choices = [(number, number) for number in numbers]  # type: ignore[attr-defined]
        slugs = [environment.slug for environment in environments]
        self.fields["environment"].choices = [(slug, slug) for slug in slugs]  # type: ignore[attr-defined]

"""Forms of runs: what the lists are filtered by, and what a new run shall do."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.evals.selectors.results import SHOWS
from apps.evals.types import RunState

STATE_WORDS = {
    RunState.QUEUED: _("Queued"),
    RunState.RUNNING: _("Running"),
    RunState.FINISHED: _("Finished"),
    RunState.CANCELED: _("Canceled"),
    RunState.OVER_BUDGET: _("Over budget"),
    RunState.FAILED: _("Failed"),
}


class RunsForm(forms.Form):
    """Which runs the list shows; unknown values find nothing."""

    set = forms.CharField(required=False, max_length=100)
    prompt = forms.CharField(required=False, max_length=200)
    model = forms.CharField(required=False, max_length=300)
    state = forms.CharField(required=False, max_length=16)
    before = forms.IntegerField(required=False, min_value=1)


def read_filter(form: forms.Form) -> dict[str, Any]:
    """What was chosen; what cannot be read counts as not chosen."""
    form.is_valid()
    return {name: form.cleaned_data.get(name) for name in form.fields}


class ResultsForm(forms.Form):
    """Which results a page shows; what cannot be read counts as not chosen."""

    show = forms.ChoiceField(required=False, choices=[(name, name) for name in SHOWS])
    scorer = forms.CharField(required=False, max_length=100)
    slice = forms.CharField(required=False, max_length=100)
    q = forms.CharField(required=False, max_length=300)
    against = forms.IntegerField(required=False, min_value=1)
    cursor = forms.CharField(required=False, max_length=100)
    rep = forms.IntegerField(required=False, min_value=0, max_value=1000)

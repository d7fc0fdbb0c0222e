"""Forms of latency targets and of measuring them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.budgets.latency_goals import FIELDS, LONGEST_MS
from apps.budgets.models.latency import MOST_WINDOW_DAYS
from apps.budgets.services.latency_evidence import LONGEST_DAYS
from apps.projects.models import Environment


def _milliseconds(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=1, max_value=LONGEST_MS, required=False)


class LatencyTargetForm(forms.Form):
    """A target; for one that is there, its place is fixed."""

    feature = forms.CharField(label=_("Feature"), max_length=128)
    environment = forms.ChoiceField(label=_("Environment"))
    total_p50_ms = _milliseconds(_("Total, P50 at most"))
    total_p99_ms = _milliseconds(_("Total, P99 at most"))
    ttft_p50_ms = _milliseconds(_("TTFT, P50 at most"))
    ttft_p99_ms = _milliseconds(_("TTFT, P99 at most"))
    window_days = forms.IntegerField(
        label=_("Window, days"),
        min_value=1,
        max_value=MOST_WINDOW_DAYS,
        help_text=_("The error budget is that of the last so many days."),
    )

    def __init__(self, *args: Any, environments: Iterable[Environment], is_placed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].choices = [(one.slug, one.slug) for one in environments]  # type: ignore[attr-defined]
        for name in ("feature", "environment"):
            self.fields[name].disabled = is_placed

    @property
    def goals(self) -> dict[str, int | None]:
        """The goals as typed."""
        return {name: self.cleaned_data[name] for name in FIELDS}


class MeasureForm(forms.Form):
    """Which calls to measure."""

    environment = forms.ChoiceField(label=_("Calls made in"))
    days = forms.IntegerField(label=_("Of the last, days"), min_value=1, max_value=LONGEST_DAYS)

    def __init__(self, *args: Any, environments: Iterable[Environment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].choices = [(one.slug, one.slug) for one in environments]  # type: ignore[attr-defined]

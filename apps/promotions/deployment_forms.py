"""What part of the timeline, and which moment, a page is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.promotions.deployment_words import EventKind
from apps.promotions.selectors.deployments import Where

KINDS = {
    EventKind.DEPLOY: _("deployed"),
    EventKind.PROMOTION: _("promoted"),
    EventKind.OVERRIDE: _("by override"),
    EventKind.ROLLBACK: _("rolled back"),
    EventKind.AUTOMATIC: _("rolled back by itself"),
    EventKind.DRILL: _("rehearsed"),
    EventKind.WITHDRAWN: _("taken down"),
    EventKind.STARTED: _("experiment started"),
    EventKind.RAMPED: _("experiment ramped"),
    EventKind.STOPPED: _("experiment ended"),
}
HOURS = {6: _("6 hours before"), 24: _("24 hours before"), 72: _("3 days before"), 168: _("7 days before")}
USUAL_HOURS = 24


class _PlaceForm(forms.Form):
    """A prompt and an environment."""

    prompt = forms.ChoiceField(label=_("Prompt"), required=False)
    environment = forms.ChoiceField(label=_("Environment"), required=False)

    def __init__(self, *args: Any, prompts: Iterable[str], environments: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["prompt"].choices = [("", _("any prompt")), *((one, one) for one in prompts)]  # type: ignore[attr-defined]
        places = [("", _("any environment")), *((one, one) for one in environments)]
        self.fields["environment"].choices = places  # type: ignore[attr-defined]

    def told(self, name: str) -> Any:
        """What was given; None or empty when it was not, or is none of the choices."""
        return self.cleaned_data.get(name) if self.is_bound and self.is_valid() is not None else None


class TimelineForm(_PlaceForm):
    """Which events."""

    kind = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("everything")), *((kind.value, word) for kind, word in KINDS.items())],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"class": "input", "aria-label": str(field.label)}

    def where(self) -> Where:
        """The filter; what cannot be read does not filter."""
        kind = self.told("kind")
        return Where(self.told("prompt") or "", self.told("environment") or "", kind=EventKind(kind) if kind else None)


class MomentForm(_PlaceForm):
    """Before which moment, and how far back."""

    at = forms.DateTimeField(
        label=_("Moment, UTC"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M"),
    )
    hours = forms.TypedChoiceField(label=_("How far back"), required=False, coerce=int, choices=list(HOURS.items()))
    feature = forms.ChoiceField(label=_("Feature"), required=False)

    def __init__(self, *args: Any, features: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["feature"].choices = [("", _("any feature")), *((one, one) for one in features)]  # type: ignore[attr-defined]

    @property
    def hours_back(self) -> int:
        """How many hours before the moment are looked at."""
        return self.told("hours") or USUAL_HOURS

    def where(self, at: datetime) -> Where:
        """The filter before the moment."""
        return Where(
            self.told("prompt") or "",
            self.told("environment") or "",
            self.told("feature") or "",
            since=at - timedelta(hours=self.hours_back),
            until=at,
        )

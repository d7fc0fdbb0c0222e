"""Form of an online eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.evals.online import FILTERS
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.selectors.scorers import ScorerLine
from apps.evals.services.online import OnlineSpec
from apps.evals.types import ScorerChoice
from apps.projects.models import Environment


class OnlineForm(forms.Form):
    """Which calls are scored, how many, and by what."""

    name = forms.CharField(label=_("Name"), max_length=200)
    environment = forms.ChoiceField(label=_("Environment"), required=False)
    feature = forms.CharField(label=_("Feature"), max_length=128, required=False, help_text=_("Empty: every one."))
    model = forms.CharField(label=_("Model"), max_length=300, required=False, help_text=_("As traces name it."))
    prompt_name = forms.CharField(label=_("Prompt"), max_length=200, required=False)
    percent = forms.DecimalField(
        label=_("Share of traces"), min_value=0.001, max_value=100, max_digits=6, decimal_places=3, initial=5
    )
    most_a_day = forms.IntegerField(label=_("Calls a day, at most"), min_value=1, max_value=100_000, initial=500)
    budget_usd_a_day = forms.DecimalField(
        label=_("Budget for judges a day"),
        min_value=0,
        max_digits=18,
        decimal_places=10,
        required=False,
        help_text=_("When it is spent, judges rest until the next day."),
    )
    scorers = forms.MultipleChoiceField(label=_("Scorers"), widget=forms.CheckboxSelectMultiple)

    def __init__(
        self, *args: Any, lines: Sequence[ScorerLine], environments: Sequence[Environment], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        places = [("", _("Every environment")), *((one.slug, one.slug) for one in environments)]
        self.fields["environment"].choices = places  # type: ignore[attr-defined]
        names = [(one.scorer.slug, one.scorer.name) for one in lines if is_usable(one.kind)]
        self.fields["scorers"].choices = names  # type: ignore[attr-defined]

    def spec(self) -> OnlineSpec:
        """What was asked for. Only of a form that is valid."""
        typed = self.cleaned_data
        return OnlineSpec(
            name=typed["name"],
            scorers=tuple(ScorerChoice(slug) for slug in typed["scorers"]),
            filters={name: typed[name] for name in FILTERS},
            percent=typed["percent"],
            most_a_day=typed["most_a_day"],
            budget_usd_a_day=typed["budget_usd_a_day"],
        )


def is_usable(kind: ScorerKind | None) -> bool:
    """Whether the scorer can say something of a production call, which has nothing expected."""
    return kind is not None and not {"expected", "other_output"} & set(kind.needs)

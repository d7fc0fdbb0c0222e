"""The form of a spend budget."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.budgets import thresholds
from apps.budgets.models import Budget
from apps.budgets.scopes import SCOPE_FIELDS, SpendScope
from apps.budgets.spend_periods import PeriodKind


class BudgetForm(forms.Form):
    """What a budget says; thresholds as percentages with commas."""

    name = forms.CharField(label=_("Name"), max_length=120)
    period = forms.ChoiceField(label=_("For each"), choices=[("month", _("month")), ("day", _("day"))])
    amount_usd = forms.DecimalField(
        label=_("Amount"), min_value=Decimal("0.000001"), max_digits=20, decimal_places=6, help_text=_("US dollars.")
    )
    told_at = forms.CharField(
        label=_("Tell at"), max_length=80, help_text=_("Percent of the amount, with commas between them.")
    )
    is_hard = forms.BooleanField(
        label=_("Hard: the gateway refuses calls beyond it"),
        required=False,
        help_text=_("A soft budget only tells."),
    )
    environment = forms.ChoiceField(label=_("Environment"), required=False)
    feature = forms.ChoiceField(label=_("Feature"), required=False)
    provider = forms.CharField(label=_("Provider"), required=False, max_length=64)
    model = forms.CharField(label=_("Model"), required=False, max_length=200, help_text=_("As calls name it."))
    source = forms.CharField(
        label=_("Source"), required=False, max_length=64, help_text=_("Such as eval, judge or playground.")
    )
    user_id = forms.CharField(label=_("User"), required=False, max_length=256)

    USUAL: dict[str, Any] = {"period": "month", "told_at": ", ".join(map(str, thresholds.USUAL))}

    def __init__(self, *args: Any, environments: Iterable[str], features: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, every, known in (
            ("environment", _("every environment"), environments),
            ("feature", _("every feature"), features),
        ):
            choices = [("", every), *((one, one) for one in known)]
            self.fields[name].choices = choices  # type: ignore[attr-defined]

    def clean_told_at(self) -> list[int]:
        """The percentages in order."""
        words = [each for each in re.split(r"[\s,;%]+", self.cleaned_data["told_at"]) if each]
        if not words or not all(re.fullmatch(r"[0-9]{1,4}", each) for each in words):
            raise forms.ValidationError(_("Whole percentages with commas between them, such as 50, 80, 100."))
        found = sorted({int(each) for each in words})
        if len(found) > thresholds.MOST or not 1 <= found[0] <= found[-1] <= thresholds.HIGHEST:
            raise forms.ValidationError(
                _("At most %(most)d percentages from 1 to %(highest)d."),
                params={"most": thresholds.MOST, "highest": thresholds.HIGHEST},
            )
        return found

    def scope(self) -> SpendScope:
        """Whose spend, of a valid form."""
        return SpendScope(**{name: self.cleaned_data[name].strip() for name in SCOPE_FIELDS})

    def kind(self) -> PeriodKind:
        """A day or a month, of a valid form."""
        return PeriodKind(self.cleaned_data["period"])


def initial_of(budget: Budget) -> dict[str, Any]:
    """The form's fields of a budget that is there."""
    return {
        "name": budget.name,
        "period": budget.period,
        "amount_usd": format(budget.amount_usd.normalize(), "f"),
        "told_at": ", ".join(map(str, budget.thresholds)),
        "is_hard": budget.is_hard,
        **{name: getattr(budget, name) for name in SCOPE_FIELDS},
    }

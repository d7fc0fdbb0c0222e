"""Form of a release rule: for what, its gates, its approvals, and what is watched afterwards; shares in percent."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.errors import DomainError
from apps.evals.models import Gate
from apps.projects.models import Environment
from apps.promotions.guardrails import USUAL, GuardrailConfig, read_config
from apps.promotions.models import ReleaseRule
from apps.promotions.rules import MOST_APPROVALS, MOST_WATCH_HOURS

PLACES = {
    "error_rate": "error_rise",
    "error_rate.most_rise": "error_rise",
    "error_rate.most": "error_most",
    "latency_p99": "latency_ratio",
    "latency_p99.most_ratio": "latency_ratio",
    "latency_p99.most_ms": "latency_most_ms",
    "cost_per_call": "cost_ratio",
    "cost_per_call.most_ratio": "cost_ratio",
    "cost_per_call.most_usd": "cost_most_usd",
}
"""Which field shows what the guardrails complain of."""


def _number(label: Any, help_text: Any = "", *, low: float = 0, high: float | None = None) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=low,
        max_value=high,
        max_digits=18,
        decimal_places=10,
        required=False,
    )


class RuleForm(forms.Form):
    """A release rule."""

    environment = forms.ChoiceField(label=_("Environment"), help_text=_("Protected ones only."))
    prompt = forms.ChoiceField(label=_("Prompt"), required=False)
    feature = forms.CharField(
        label=_("Feature"),
        max_length=128,
        required=False,
        help_text=_("In place of a prompt: every prompt of this feature. Both empty: every prompt."),
    )
    gates = forms.MultipleChoiceField(label=_("Gates"), widget=forms.CheckboxSelectMultiple)
    approvals_needed = forms.IntegerField(
        label=_("Approvals"),
        min_value=1,
        max_value=MOST_APPROVALS,
        help_text=_("By people who neither wrote the version nor asked for it."),
    )
    asks_on_merge = forms.BooleanField(
        label=_("Ask by itself for a version that a merge in git brought"), required=False
    )
    watch_hours = forms.IntegerField(label=_("Watch for, hours"), min_value=1, max_value=MOST_WATCH_HOURS)
    rolls_back = forms.BooleanField(label=_("Roll back by itself when a guardrail is breached"), required=False)
    error_rise = _number(_("Failed calls may rise by, points"), _("Percentage points against the version before."))
    error_most = _number(_("Failed calls, at most"), high=100)
    latency_ratio = _number(_("P99 may be so many times that before"), _("Such as 1.5."))
    latency_most_ms = _number(_("P99, at most"))
    cost_ratio = _number(_("Cost per call may be so many times that before"), _("Such as 1.25."))
    cost_most_usd = _number(_("Cost per call, at most"))
    scores = forms.CharField(
        label=_("Scores"),
        max_length=4_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line: name, and by how much its mean may drop. Such as: helpful, 0.05"),
    )
    minimum_calls = forms.IntegerField(label=_("Calls on each side before anything is said"), min_value=20)

    def __init__(
        self,
        *args: Any,
        environments: Iterable[Environment],
        prompts: Sequence[str],
        gates: Iterable[Gate],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        choices: dict[str, list[tuple[str, Any]]] = {
            "environment": [(one.slug, one.slug) for one in environments],
            "prompt": [("", _("every prompt")), *((name, name) for name in prompts)],
            "gates": [(gate.slug, gate.name) for gate in gates],
        }
        for name, offered in choices.items():
            self.fields[name].choices = offered  # type: ignore[attr-defined]

    def clean_scores(self) -> list[dict[str, Any]]:
        """The scores, one a line."""
        scores = []
        for row in csv.reader(io.StringIO(self.cleaned_data["scores"]), skipinitialspace=True):
            if any(cell.strip() for cell in row):
                name, drop = [*row, ""][:2]
                try:
                    told = {"most_drop": float(drop)} if drop.strip() else {}
                except ValueError:
                    raise forms.ValidationError(_("“%(drop)s” is not a number."), params={"drop": drop}) from None
                scores.append({"name": name.strip(), **told})
        return scores

    def clean(self) -> dict[str, Any]:
        """As each field, and the guardrails by their own reader."""
        told = super().clean() or {}
        if not self.errors:
            try:
                told["guardrails"] = read_config(self._guardrails(told)).as_dict()
            except DomainError as error:
                for name, sentences in error.details.items():
                    self.add_error(PLACES.get(name, name.partition(".")[0]), sentences)
        return told

    def _guardrails(self, told: dict[str, Any]) -> dict[str, Any]:
        errors: dict[str, Any] = {"most_rise": _share(told["error_rise"]), "most": _share(told["error_most"])}
        latency = {"most_ratio": _float(told["latency_ratio"]), "most_ms": _float(told["latency_most_ms"])}
        usd = told["cost_most_usd"]
        cost = {"most_ratio": _float(told["cost_ratio"]), "most_usd": None if usd is None else str(usd)}
        rails: dict[str, dict[str, Any]] = {"error_rate": errors, "latency_p99": latency, "cost_per_call": cost}
        given: dict[str, Any] = {
            name: rail if any(value is not None for value in rail.values()) else None for name, rail in rails.items()
        }
        return given | {"scores": told["scores"], "minimum_calls": told["minimum_calls"]}


def initial_of(rule: ReleaseRule | None, gates: Sequence[Gate] = ()) -> dict[str, Any]:
    """What the form shows of the rule; the usual for a new one."""
    if rule is None:
        return {"approvals_needed": 1, "watch_hours": 24, **_rails(USUAL)}
    config = read_config(rule.guardrails) if rule.guardrails else USUAL
    return {
        "environment": rule.environment.slug,
        "prompt": rule.prompt.name if rule.prompt else "",
        "feature": rule.feature,
        "gates": [gate.slug for gate in gates],
        "approvals_needed": rule.approvals_needed,
        "asks_on_merge": rule.asks_on_merge,
        "watch_hours": rule.watch_hours,
        "rolls_back": rule.rolls_back,
        **_rails(config),
    }


def _rails(config: GuardrailConfig) -> dict[str, Any]:
    errors, latency, cost = config.error_rate, config.latency_p99, config.cost_per_call
    shown: dict[str, Any] = {"minimum_calls": config.minimum_calls}
    if errors is not None:
        shown |= {"error_rise": _percent(errors.most_rise), "error_most": _percent(errors.most)}
    if latency is not None:
        shown |= {"latency_ratio": _plain(latency.most_ratio), "latency_most_ms": _plain(latency.most_ms)}
    if cost is not None:
        shown |= {"cost_ratio": _plain(cost.most_ratio), "cost_most_usd": _plain(cost.most_usd)}
    shown["scores"] = "\n".join(f"{one.name}, {one.most_drop:g}" for one in config.scores)
    return shown


def _share(percent: Decimal | None) -> float | None:
    return None if percent is None else float(percent / 100)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _plain(value: float | Decimal | None) -> str:
    return "" if value is None else f"{Decimal(str(value)).normalize():f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{(Decimal(str(share)) * 100).normalize():f}"

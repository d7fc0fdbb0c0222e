"""Forms of projections; shares in percent."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.budgets.projecting import DAY_SHAPES, Inputs

LONGEST_REASON = 2_000
MOST_CALLS_A_SECOND = 100_000
MOST_TOKENS = 10_000_000


def _number(label: Any, help_text: Any = "", *, low: Any = 0, high: Any, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=Decimal(str(low)),
        max_value=Decimal(str(high)),
        max_digits=14,
        decimal_places=4,
        required=required,
    )


class ProjectionForm(forms.Form):
    """What a projection is worked out from."""

    name = forms.CharField(label=_("Name"), max_length=120)
    environment = forms.ChoiceField(label=_("Environment"))
    feature = forms.ChoiceField(label=_("Feature"), required=False)
    model = forms.CharField(label=_("Model"), max_length=128, help_text=_("As calls name it."))
    provider = forms.CharField(label=_("Provider"), max_length=64, required=False)
    traffic = forms.ChoiceField(
        label=_("Traffic"), choices=[("measured", _("as measured, times a factor")), ("typed", _("typed in"))]
    )
    factor = _number(_("Times"), _("2 for twice the measured calls."), low="0.01", high=1000)
    calls_per_second = _number(_("Calls per second at the peak"), low="0.0001", high=MOST_CALLS_A_SECOND)
    day_shape = forms.ChoiceField(
        label=_("Over the day"),
        required=False,
        choices=[("office", _("office hours")), ("even", _("even, day and night")), ("evening", _("evenings"))],
    )
    weekend = _number(_("Saturdays and Sundays"), _("Of a weekday."), high=1000)
    traffic_uncertainty = _number(_("Traffic known to within, ±"), low=1, high=300)
    tokens = forms.ChoiceField(
        label=_("Tokens a call"),
        choices=[
            ("telemetry", _("from calls that were made")),
            ("eval", _("from eval runs")),
            ("typed", _("typed in")),
        ],
    )
    days = forms.IntegerField(label=_("Look back"), min_value=1, max_value=92, required=False)
    input_mean = _number(_("Input tokens, mean"), high=MOST_TOKENS)
    input_p95 = _number(_("Input tokens, P95"), high=4 * MOST_TOKENS)
    output_mean = _number(_("Output tokens, mean"), high=MOST_TOKENS)
    output_p95 = _number(_("Output tokens, P95"), high=4 * MOST_TOKENS)
    reasoning = _number(_("Of the output, reasoning"), high=100)
    tokens_uncertainty = _number(_("Typed tokens known to within, ±"), low=1, high=300)
    cache_rate = _number(_("Input read from a cache"), _("Empty: as in the calls."), high=100)
    users = forms.IntegerField(
        label=_("Users a month"), min_value=1, max_value=10**9, required=False, help_text=_("For the cost of one.")
    )
    level = forms.ChoiceField(label=_("Interval holds"), choices=[("0.8", "80 %"), ("0.9", "90 %"), ("0.95", "95 %")])

    USUAL: dict[str, Any] = {
        "traffic": "measured",
        "factor": "1",
        "day_shape": "office",
        "weekend": "50",
        "traffic_uncertainty": "20",
        "tokens": "telemetry",
        "days": 28,
        "tokens_uncertainty": "10",
        "level": "0.9",
    }

    def __init__(self, *args: Any, environments: Iterable[str], features: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].choices = [(one, one) for one in environments]  # type: ignore[attr-defined]
        every = [("", _("every feature")), *((one, one) for one in features)]
        self.fields["feature"].choices = every  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """What one way of saying it needs must be there."""
        told = super().clean() or self.cleaned_data
        if told.get("traffic") == "typed" and "calls_per_second" not in self.errors:
            self._needs("calls_per_second", told)
        if told.get("tokens") == "typed":
            for name in ("input_mean", "output_mean"):
                if name not in self.errors:
                    self._needs(name, told)
        return told

    def _needs(self, name: str, told: dict[str, Any]) -> None:
        if told.get(name) is None:
            self.add_error(name, _("Type it in, or choose what was measured."))

    def inputs(self) -> Inputs:
        """The inputs of a valid form."""
        told = self.cleaned_data
        usual = Inputs()
        weekend = _share(told["weekend"], Decimal(1))
        return Inputs(
            traffic=told["traffic"],
            calls_per_second=told["calls_per_second"] or Decimal(0),
            hours=tuple(Decimal(each) for each in DAY_SHAPES[told["day_shape"] or "even"]),
            weekdays=(*(Decimal(1),) * 5, weekend, weekend),
            factor=told["factor"] or usual.factor,
            traffic_uncertainty=_share(told["traffic_uncertainty"], usual.traffic_uncertainty),
            tokens=told["tokens"],
            tokens_uncertainty=_share(told["tokens_uncertainty"], usual.tokens_uncertainty),
            days=told["days"] or usual.days,
            input_mean=told["input_mean"] or Decimal(0),
            input_p95=told["input_p95"] or Decimal(0),
            output_mean=told["output_mean"] or Decimal(0),
            output_p95=told["output_p95"] or Decimal(0),
            reasoning_share=_share(told["reasoning"], Decimal(0)),
            cache_rate=None if told["cache_rate"] is None else told["cache_rate"] / 100,
            provider=told["provider"],
            model=told["model"],
            users=told["users"],
            level=Decimal(told["level"]),
        )


def _share(percent: Decimal | None, usual: Decimal) -> Decimal:
    return usual if percent is None else percent / 100


def initial_of(name: str, feature: str, environment: str, inputs: Inputs) -> dict[str, Any]:
    """The form's fields of what was projected before, for a new revision."""
    shapes = {tuple(Decimal(each) for each in shape): key for key, shape in DAY_SHAPES.items()}
    shares = {
        "weekend": inputs.weekdays[5],
        "traffic_uncertainty": inputs.traffic_uncertainty,
        "tokens_uncertainty": inputs.tokens_uncertainty,
        "reasoning": inputs.reasoning_share,
        "cache_rate": inputs.cache_rate,
    }
    same = ("traffic", "tokens", "days", "provider", "model", "users", "factor")
    typed = ("calls_per_second", "input_mean", "input_p95", "output_mean", "output_p95")
    return {
        "name": name,
        "feature": feature,
        "environment": environment,
        "day_shape": shapes.get(tuple(inputs.hours), "even"),
        "level": f"{inputs.level:f}",
        **{key: getattr(inputs, key) for key in same},
        **{key: getattr(inputs, key) or None for key in typed},
        **{key: None if share is None else (share * 100).normalize().__format__("f") for key, share in shares.items()},
    }


class DecideForm(forms.Form):
    """A decision, with its reason."""

    decision = forms.ChoiceField(choices=[("ask", "ask"), ("approve", "approve"), ("reject", "reject")])
    reason = forms.CharField(
        label=_("Reason"), max_length=LONGEST_REASON, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

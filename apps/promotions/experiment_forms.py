"""Forms of experiments: where, the plan as people write it, and what is done with a running one. Shares in percent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from apps.promotions.experiment_config import (
    LONGEST_SUBJECT,
    MOST_EXCLUDED,
    MOST_TREATMENTS,
    PLAIN_METRICS,
    SCORE,
    WHOLE,
    Guard,
    Json,
    Plan,
    equal_weights,
    letter,
)
from apps.promotions.experiment_words import PLAIN_TITLES
from apps.promotions.selectors.experiment_arms import ArmOption
from apps.promotions.types import Unit

SCORE_GUARDS = 3
"""How many guardrails on scores the form offers; the API takes more."""

ACTS = ("start", "next", "back", "stop", "finish", "promote")
HARM_HINTS = {
    "error_rate": _("A share of calls: 0.01 is one point."),
    "cost_per_call": _("US dollars a call."),
    "latency_ms": _("Milliseconds a call."),
}
GUARD_TITLES = {
    "error_rate": _("Error rate may rise by"),
    "cost_per_call": _("Cost per call may rise by"),
    "latency_ms": _("Latency may rise by"),
}


class PlaceForm(forms.Form):
    """Which prompt, and where."""

    prompt = forms.CharField(
        label=_("Prompt"), max_length=200, widget=forms.TextInput(attrs={"list": "experiment-prompts"})
    )
    environment = forms.ChoiceField(label=_("Environment"))

    def __init__(self, *args: Any, environments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].choices = [(one, one) for one in environments]  # type: ignore[attr-defined]


class NameForm(forms.Form):
    """What may change at any time."""

    name = forms.CharField(label=_("Name"), max_length=200)
    hypothesis = forms.CharField(
        label=_("Hypothesis"),
        max_length=10_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("What you expect, and why."),
    )


@dataclass(frozen=True, slots=True)
class ArmRow:
    """The fields of one treatment in the form."""

    letter: str
    candidate: BoundField
    model: BoundField
    weight: BoundField


@dataclass(frozen=True, slots=True)
class ScoreGuardRow:
    """The fields of one guardrail on a score in the form."""

    name: BoundField
    direction: BoundField
    most_harm: BoundField
    stops: BoundField


@dataclass(frozen=True, slots=True)
class GuardRow:
    """The fields of one guardrail in the form."""

    most_harm: BoundField
    stops: BoundField


def _percent(label: Any, help_text: Any = "", *, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        min_value=Decimal("0.01"),
        max_value=100,
        max_digits=5,
        decimal_places=2,
        required=required,
    )


class ExperimentForm(NameForm):
    """A draft. Fields of treatments are named `arm-<place>-<part>`, of guardrails `guard-<metric>-<part>`, of those on
    scores `score-guard-<place>-<part>`."""

    unit = forms.ChoiceField(
        label=_("Split by"),
        choices=[(Unit.USER.value, _("user")), (Unit.SESSION.value, _("session"))],
        help_text=_("Who is asked for once stays in the same arm."),
    )
    control_weight = _percent(_("Control gets"), _("Of those who take part. Empty: equal shares."))
    metric = forms.ChoiceField(
        label=_("What decides"),
        choices=[("score", _("a score")), *((name, PLAIN_TITLES[name]) for name in PLAIN_METRICS)],
    )
    score = forms.CharField(label=_("Name of the score"), max_length=128, required=False)
    direction = forms.ChoiceField(label=_("Better is"), choices=[("up", _("more")), ("down", _("less"))])
    minimum_effect = forms.FloatField(
        label=_("Smallest difference that matters"),
        min_value=0,
        required=False,
        help_text=_("In the metric's own unit: 0.02 of a score, 0.01 is one point of errors, dollars, milliseconds."),
    )
    planned_subjects = forms.IntegerField(
        label=_("Planned subjects"),
        min_value=2,
        max_value=2**31 - 1,
        required=False,
        help_text=_("Empty: worked out from the smallest difference and the last 14 days, when it starts."),
    )
    alpha = _percent(_("False winners, at most"), _("Over all looks together."), required=True)
    ramp = forms.CharField(
        label=_("Ramp"), max_length=100, help_text=_("Shares of the traffic in percent: 5, 25, 100.")
    )
    stops_on_mismatch = forms.BooleanField(
        label=_("Stop when the arms do not fill as their weights say"), required=False
    )
    layer = forms.CharField(
        label=_("Layer"), max_length=100, required=False, help_text=_("Experiments of one layer share no subject.")
    )
    excluded = forms.CharField(
        label=_("Never take part"),
        max_length=MOST_EXCLUDED * (LONGEST_SUBJECT + 2),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Ids of users or sessions, one a line."),
    )

    def __init__(self, *args: Any, options: Sequence[ArmOption], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = options
        self.usable = [one for one in options if not one.is_live and not one.needs_approval]
        choices = [
            ("", "–"),
            *((one.value, f"{one.label} ({one.why})" if one.why else one.label) for one in self.usable),
        ]
        for place in range(MOST_TREATMENTS):
            name = letter(place)
            self.fields[f"arm-{place}-candidate"] = forms.ChoiceField(
                label=_("Arm %(name)s") % {"name": name}, choices=choices, required=False
            )
            self.fields[f"arm-{place}-model"] = forms.CharField(
                label=_("On another model"), max_length=300, required=False
            )
            self.fields[f"arm-{place}-weight"] = _percent(_("Gets"))
        for metric in PLAIN_METRICS:
            self.fields[f"guard-{metric}-most_harm"] = forms.FloatField(
                label=GUARD_TITLES[metric], min_value=0, required=False, help_text=HARM_HINTS[metric]
            )
            self.fields[f"guard-{metric}-stops"] = forms.BooleanField(
                label=_("Stop the experiment by itself"), required=False
            )

        for place in range(SCORE_GUARDS):
            self._add_score_guard(f"score-guard-{place}-")

    def _add_score_guard(self, name: str) -> None:
        self.fields[f"{name}name"] = forms.CharField(label=_("Score"), max_length=128, required=False)
        self.fields[f"{name}direction"] = forms.ChoiceField(
            label=_("Better is"), choices=[("up", _("more")), ("down", _("less"))], required=False
        )
        self.fields[f"{name}most_harm"] = forms.FloatField(
            label=_("May get worse by"), min_value=0, required=False, help_text=_("In the score's own unit.")
        )
        self.fields[f"{name}stops"] = forms.BooleanField(label=_("Stop the experiment by itself"), required=False)

    def arm_rows(self) -> list[ArmRow]:
        """The treatments with their fields."""
        parts = ("candidate", "model", "weight")
        return [ArmRow(letter(at), *(self[f"arm-{at}-{part}"] for part in parts)) for at in range(MOST_TREATMENTS)]

    def guard_rows(self) -> list[GuardRow]:
        """The guardrails with their fields."""
        return [GuardRow(*(self[f"guard-{one}-{part}"] for part in ("most_harm", "stops"))) for one in PLAIN_METRICS]

    def score_guard_rows(self) -> list[ScoreGuardRow]:
        """The guardrails on scores with their fields."""
        parts = ("name", "direction", "most_harm", "stops")
        return [ScoreGuardRow(*(self[f"score-guard-{at}-{part}"] for part in parts)) for at in range(SCORE_GUARDS)]

    def clean_ramp(self) -> list[int]:
        """The steps in 10,000ths."""
        try:
            steps = [Decimal(part.strip(" %")) * 100 for part in self.cleaned_data["ramp"].split(",") if part.strip()]
        except InvalidOperation:
            raise forms.ValidationError(_("Write percents with commas between them, such as 5, 25, 100.")) from None
        if any(not step.is_finite() or step != int(step) for step in steps):
            raise forms.ValidationError(_("At most two digits behind the point."))
        return [int(step) for step in steps]

    def plan(self) -> dict[str, Json]:
        """The plan as `experiment_config.read_plan` takes it. Only of a form that is valid."""
        typed = self.cleaned_data
        metric = f"{SCORE}{typed['score'].strip()}" if typed["metric"] == "score" else typed["metric"]
        treatments, control_weight = self._treatments()
        return {
            "unit": typed["unit"],
            "treatments": treatments,
            "control_weight": control_weight,
            "ramp": typed["ramp"],
            "excluded": [line.strip() for line in typed["excluded"].splitlines() if line.strip()],
            "layer": typed["layer"],
            "primary_metric": {
                "name": metric,
                "direction": typed["direction"] if typed["metric"] == "score" else "down",
            },
            "guardrails": [
                {"name": one, "most_harm": typed[f"guard-{one}-most_harm"], "stops": typed[f"guard-{one}-stops"]}
                for one in PLAIN_METRICS
                if typed[f"guard-{one}-most_harm"] is not None
            ]
            + self._score_guards(),
            "stops_on_mismatch": typed["stops_on_mismatch"],
            "alpha": float(typed["alpha"] / 100),
            "minimum_effect": typed["minimum_effect"],
            "planned_subjects": typed["planned_subjects"],
        }

    def _score_guards(self) -> list[dict[str, Json]]:
        typed, told = self.cleaned_data, []
        for place in range(SCORE_GUARDS):
            of = f"score-guard-{place}-"
            name = typed[f"{of}name"].strip()
            if name or typed[f"{of}most_harm"] is not None:
                told.append(
                    {
                        "name": f"{SCORE}{name}",
                        "direction": typed[f"{of}direction"] or "up",
                        "most_harm": typed[f"{of}most_harm"],
                        "stops": typed[f"{of}stops"],
                    }
                )
        return told

    def _treatments(self) -> tuple[list[dict[str, Json]], int | None]:
        typed = self.cleaned_data
        chosen = [place for place in range(MOST_TREATMENTS) if typed[f"arm-{place}-candidate"]]
        weights = [typed[f"arm-{place}-weight"] for place in chosen]
        told: list[dict[str, Json]] = []
        for place, weight in zip(chosen, weights, strict=True):
            version, _bar, model = typed[f"arm-{place}-candidate"].partition("|")
            one: dict[str, Json] = {
                "name": letter(place),
                "version": version,
                "model": typed[f"arm-{place}-model"].strip() or model,
            }
            if weight is not None:
                one["weight"] = int(weight * 100)
            told.append(one)
        control = typed["control_weight"]
        return told, None if control is None else int(control * 100)


def initial_of(plan: Plan) -> dict[str, Json]:
    """What the form shows of a plan."""
    shown: dict[str, Json] = {
        "unit": plan.unit.value,
        "metric": "score" if plan.primary.is_score else plan.primary.name,
        "score": plan.primary.score_name,
        "direction": plan.primary.direction,
        "minimum_effect": plan.minimum_effect,
        "planned_subjects": plan.planned_subjects,
        "alpha": _shown(Decimal(str(plan.alpha)) * 100),
        "ramp": ", ".join(_shown(Decimal(step) / 100) for step in plan.ramp),
        "stops_on_mismatch": plan.stops_on_mismatch,
        "layer": plan.layer,
        "excluded": "\n".join(plan.excluded),
    }
    for place, one in enumerate(plan.treatments):
        shown[f"arm-{place}-candidate"] = f"{one.version}|{one.model}"
    weights = (plan.control_weight, *(one.weight for one in plan.treatments))
    if weights != equal_weights(len(weights)):
        shown["control_weight"] = _shown(Decimal(plan.control_weight * 100) / WHOLE)
        for place, one in enumerate(plan.treatments):
            shown[f"arm-{place}-weight"] = _shown(Decimal(one.weight * 100) / WHOLE)
    for guard in plan.guards:
        if not guard.metric.is_score:
            shown |= _guard_initial(guard)
    for place, guard in enumerate([one for one in plan.guards if one.metric.is_score][:SCORE_GUARDS]):
        of = f"score-guard-{place}-"
        shown |= {f"{of}name": guard.metric.score_name, f"{of}direction": guard.metric.direction}
        shown |= {f"{of}most_harm": guard.most_harm, f"{of}stops": guard.stops}
    return shown


def _guard_initial(guard: Guard) -> dict[str, Json]:
    name = guard.metric.name
    return {f"guard-{name}-most_harm": guard.most_harm, f"guard-{name}-stops": guard.stops}


def _shown(number: Decimal) -> str:
    return f"{number.normalize():f}"


class ActForm(forms.Form):
    """What is done with an experiment."""

    act = forms.ChoiceField(choices=[(one, one) for one in ACTS])
    reason = forms.CharField(required=False, max_length=2_000)
    winner = forms.CharField(required=False, max_length=32)

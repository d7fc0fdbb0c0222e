"""Form of a gate: its conditions as people write them, with shares in percent."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from apps.evals.gate_config import BASELINES, GateConfig, GateScorer, SliceFloor
from apps.evals.models import EvalSet
from apps.evals.selectors.scorers import ScorerLine
from apps.evals.types import Json
from apps.projects.models import Environment

SHARES = ("minimum_pass_rate", "maximum_error_rate", "maximum_scorer_error_rate", "maximum_not_scored_rate")
NUMBERS = ("minimum_examples", "maximum_latency_p50_ms", "maximum_latency_p99_ms", "repetitions")
MONEY = ("maximum_cost_per_call_usd", "budget_usd")
LISTS = ("critical_slices", "critical_examples")
BASELINE_WORDS = {"none": _("nothing"), "live": _("what is live"), "run": _("a run")}
SCORER_PARTS = ("use", "minimum_mean", "threshold", "version", "informs_only")


def _percent(label: Any, help_text: Any = "", *, required: bool = False) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, help_text=help_text, min_value=0, max_value=100, max_digits=7, decimal_places=4, required=required
    )


def _whole(label: Any, help_text: Any = "", *, most: int = 86_400_000, required: bool = False) -> forms.IntegerField:
    return forms.IntegerField(label=label, help_text=help_text, min_value=1, max_value=most, required=required)


def _dollars(label: Any, help_text: Any = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label, help_text=help_text, min_value=0, max_digits=18, decimal_places=10, required=False
    )


def _share(label: Any, help_text: Any = "") -> forms.FloatField:
    return forms.FloatField(label=label, help_text=help_text, min_value=0, max_value=1, required=False)


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """The fields of one scorer in the form."""

    line: ScorerLine
    use: BoundField
    minimum_mean: BoundField
    threshold: BoundField
    version: BoundField
    informs_only: BoundField


class GateForm(forms.Form):
    """A gate. Fields of scorers are named `scorer-<slug>-<part>`."""

    name = forms.CharField(label=_("Name"), max_length=200)
    slug = forms.CharField(label=_("Short name"), max_length=100, required=False, help_text=_("From the name."))
    eval_set = forms.ChoiceField(label=_("Eval set"))
    description = forms.CharField(
        label=_("What it is for"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    minimum_pass_rate = _percent(_("Pass rate, at least"), _("Of examples that pass every deciding scorer."))
    by = forms.ChoiceField(
        label=_("Hold floors against"),
        choices=[("interval", _("the lower bound of the interval")), ("mean", _("the figure alone"))],
        help_text=_("The lower bound asks for more examples, and is rarely wrong."),
    )
    minimum_examples = _whole(_("Examples, at least"), _("Fewer than 100 takes an admin."), most=1_000_000)
    maximum_error_rate = _percent(_("Failed calls, at most"))
    maximum_scorer_error_rate = _percent(_("Failures of a scorer, at most"))
    maximum_not_scored_rate = _percent(_("Not scored, at most"), _("By each deciding scorer."))
    baseline_kind = forms.ChoiceField(
        label=_("Compare with"), choices=[(kind, BASELINE_WORDS[kind]) for kind in BASELINES]
    )
    baseline_environment = forms.ChoiceField(label=_("Live in"), required=False)
    baseline_run = _whole(_("Run number"), most=2**31 - 1)
    baseline_margin = _share(_("Mean may be lower by"), _("A difference of scores, such as 0.02."))
    baseline_tail_margin = _share(_("Worst tenth may be lower by"), _("A difference of scores, such as 0.1."))
    slices = forms.CharField(
        label=_("Floors of slices"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line: name, pass rate in percent, mean, least examples. Such as: refunds, 90, , 20"),
    )
    critical_slices = forms.CharField(
        label=_("Critical slices"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line. None of their examples may fail that passed before."),
    )
    critical_examples = forms.CharField(
        label=_("Critical examples"),
        max_length=200_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Their keys, one a line."),
    )
    maximum_latency_p50_ms = _whole(_("Latency P50, at most"))
    maximum_latency_p99_ms = _whole(_("Latency P99, at most"))
    maximum_cost_per_call_usd = _dollars(_("Cost of an answer, at most"))
    model = forms.CharField(
        label=_("Model"), max_length=300, required=False, help_text=_("Empty: the one that the prompt names.")
    )
    repetitions = _whole(_("Repetitions"), most=20)
    budget_usd = _dollars(_("Budget of a run"))

    def __init__(
        self,
        *args: Any,
        scorers: Sequence[ScorerLine],
        sets: Sequence[EvalSet],
        environments: Sequence[Environment],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.scorers = scorers
        self.fields["eval_set"].choices = [(one.slug, one.name) for one in sets]  # type: ignore[attr-defined]
        places = [("", "–"), *((one.slug, one.slug) for one in environments)]
        self.fields["baseline_environment"].choices = places  # type: ignore[attr-defined]
        for line in scorers:
            slug, name = line.scorer.slug, line.scorer.name
            self.fields[f"scorer-{slug}-use"] = forms.BooleanField(label=name, required=False)
            self.fields[f"scorer-{slug}-minimum_mean"] = _share(_("Mean, at least"))
            self.fields[f"scorer-{slug}-threshold"] = _share(_("Passes from"))
            self.fields[f"scorer-{slug}-version"] = _whole(_("Version"), most=2**31 - 1)
            for part in ("minimum_mean", "threshold", "version"):
                label = self.fields[f"scorer-{slug}-{part}"].label
                attrs = {"class": "input", "step": "any", "aria-label": f"{name}: {label}"}
                self.fields[f"scorer-{slug}-{part}"].widget.attrs |= attrs
            self.fields[f"scorer-{slug}-informs_only"] = forms.BooleanField(label=_("Informs only"), required=False)

    def scorer_rows(self) -> list[ScorerRow]:
        """The scorers with their fields."""
        return [
            ScorerRow(line, *(self[f"scorer-{line.scorer.slug}-{part}"] for part in SCORER_PARTS))
            for line in self.scorers
        ]

    def config(self) -> dict[str, Json]:
        """The conditions as `gate_config.read_config` takes them. Only of a form that is valid."""
        typed = self.cleaned_data
        told: dict[str, Json] = {name: typed[name] for name in NUMBERS if typed[name] is not None}
        told |= {name: float(typed[name] / 100) for name in SHARES if typed[name] is not None}
        told |= {name: str(typed[name]) for name in MONEY if typed[name] is not None}
        told |= {name: [line.strip() for line in typed[name].splitlines() if line.strip()] for name in LISTS}
        told["by"], told["model"] = typed["by"], typed["model"]
        baseline = {"environment": typed["baseline_environment"], "run": typed["baseline_run"]}
        if typed["baseline_kind"] == "none":
            baseline = {}
        for part in ("margin", "tail_margin"):
            if typed[f"baseline_{part}"] is not None:
                baseline[part] = typed[f"baseline_{part}"]
        told["baseline"] = {"kind": typed["baseline_kind"], **baseline}
        told["slices"] = typed["slices"]
        told["scorers"] = [self._scorer(line.scorer.slug) for line in self.scorers if self._is_used(line.scorer.slug)]
        return told

    def clean_slices(self) -> list[dict[str, Json]]:
        """The floors of slices, one a line."""
        floors = []
        for row in csv.reader(io.StringIO(self.cleaned_data["slices"]), skipinitialspace=True):
            if any(cell.strip() for cell in row):
                floors.append(_floor([*row, "", "", ""][:4]))
        return floors

    def _is_used(self, slug: str) -> bool:
        return bool(self.cleaned_data[f"scorer-{slug}-use"])

    def _scorer(self, slug: str) -> dict[str, Json]:
        parts = SCORER_PARTS[1:]
        return {"slug": slug, **{part: self.cleaned_data[f"scorer-{slug}-{part}"] for part in parts}}


def _floor(cells: list[str]) -> dict[str, Json]:
    try:
        rate, mean, examples = (Decimal(cell) if cell.strip() else None for cell in cells[1:])
    except ArithmeticError:
        raise forms.ValidationError(
            _("“%(line)s” is not a name and numbers."), params={"line": ", ".join(cells)}
        ) from None
    return {
        "name": cells[0].strip(),
        "minimum_pass_rate": None if rate is None else float(rate / 100),
        "minimum_mean": None if mean is None else float(mean),
        "minimum_examples": 1 if examples is None else int(examples),
    }


def initial_of(config: GateConfig) -> dict[str, Json]:
    """What the form shows of these conditions."""
    shown: dict[str, Json] = {name: getattr(config, name) for name in (*NUMBERS, *MONEY, "by", "model")}
    shown |= {name: _as_percent(getattr(config, name)) for name in SHARES}
    shown |= {name: "\n".join(getattr(config, name)) for name in LISTS}
    shown |= {f"baseline_{name}": getattr(config.baseline, name) for name in ("kind", "environment", "run")}
    shown |= {"baseline_margin": config.baseline.margin, "baseline_tail_margin": config.baseline.tail_margin}
    shown["slices"] = _lines(config.slices)
    for one in config.scorers:
        shown |= _scorer_initial(one)
    return shown


def _scorer_initial(one: GateScorer) -> dict[str, Json]:
    parts = {f"scorer-{one.slug}-{part}": getattr(one, part) for part in SCORER_PARTS[1:]}
    return {f"scorer-{one.slug}-use": True, **parts}


def _as_percent(share: float | None) -> Decimal | None:
    return None if share is None else Decimal(f"{Decimal(str(share)) * 100:f}").normalize() + 0


def _lines(floors: Iterable[SliceFloor]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for one in floors:
        rate = _as_percent(one.minimum_pass_rate)
        writer.writerow([one.name, "" if rate is None else f"{rate:f}", one.minimum_mean, one.minimum_examples])
    return out.getvalue().rstrip("\n")


class CheckForm(forms.Form):
    """Which run is judged."""

    run = forms.IntegerField(label=_("Run"), min_value=1, max_value=2**31 - 1)

"""Forms of runs: what the lists are filtered by, and what a new run shall do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from apps.evals.selectors.results import SHOWS
from apps.evals.types import RunSpec, RunState, ScorerChoice

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


# --- A new run ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """A scorer as the form offers it: whether it is chosen, and from which value on an example passes."""

    slug: str
    name: str
    kind: str
    pass_mark: float
    is_judge: bool
    is_chosen: bool = False
    threshold: str = ""
    problems: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The name of the threshold's field."""
        return f"threshold:{self.slug}"


class _Parameters(forms.JSONField):
    """JSON whose absence is an empty box."""

    def prepare_value(self, value: Any) -> Any:
        """What stands in the box."""
        return "" if value is None else super().prepare_value(value)


class NewRunForm(forms.Form):
    """What a new run shall do. The scorers' thresholds stand beside, see `ScorerRow`."""

    prompt = forms.CharField(label=_("Prompt"), max_length=200, widget=forms.TextInput(attrs={"list": "run-prompts"}))
    version = forms.CharField(
        label=_("Version"),
        required=False,
        max_length=64,
        help_text=_("Such as 1.2.0; empty for the newest, draft for your draft."),
    )
    model = forms.CharField(
        label=_("Model"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"list": "run-models"}),
        help_text=_("Empty for the one that the prompt names."),
    )
    parameters = _Parameters(
        label=_("Parameters"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("As JSON, in place of the prompt's."),
    )
    eval_set = forms.ChoiceField(label=_("Eval set"))
    revision = forms.IntegerField(
        label=_("Revision"), required=False, min_value=1, max_value=2**31 - 1, help_text=_("Empty for the newest.")
    )
    slices = forms.CharField(
        label=_("Slices"), required=False, max_length=2000, help_text=_("Separated by commas; empty for all.")
    )
    with_drafts = forms.BooleanField(label=_("Examples that nobody approved too"), required=False)
    repetitions = forms.IntegerField(
        label=_("Repetitions"), min_value=1, max_value=20, initial=1, help_text=_("More than one shows what is flaky.")
    )
    concurrency = forms.IntegerField(label=_("Calls at once"), min_value=1, max_value=200, initial=20)
    budget_usd = forms.DecimalField(
        label=_("Budget, $"),
        required=False,
        min_value=Decimal("0.000001"),
        max_digits=20,
        decimal_places=12,
        help_text=_("The run ends when it is spent."),
    )
    use_cache = forms.BooleanField(label=_("Use answers that are kept of the same calls"), required=False, initial=True)
    gate = forms.ChoiceField(label=_("Gate"), required=False, help_text=_("Judges the run when it ends."))
    name = forms.CharField(label=_("Note"), required=False, max_length=200)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        sets: Sequence[tuple[str, str]],
        gates: Sequence[tuple[str, str]],
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        for name, choices in (("eval_set", sets), ("gate", gates)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "–" if name == "gate" else _("Choose a set")), *choices]

    def clean_parameters(self) -> dict[str, Any] | None:
        """An object, or nothing."""
        typed = self.cleaned_data["parameters"]
        if typed in (None, "", {}):
            return None
        if not isinstance(typed, dict):
            raise forms.ValidationError(_('Parameters are a JSON object such as {"temperature": 0}.'))
        return typed

    def spec(self, scorers: tuple[ScorerChoice, ...]) -> RunSpec:
        """What was typed, as a run is told of it; only after it was found valid."""
        typed = self.cleaned_data
        return RunSpec(
            eval_set=typed["eval_set"],
            scorers=scorers,
            prompt=typed["prompt"].strip(),
            version=typed["version"].strip(),
            model=typed["model"].strip(),
            parameters=typed["parameters"],
            revision=typed["revision"],
            slices=tuple(part.strip() for part in typed["slices"].split(",") if part.strip()),
            with_drafts=typed["with_drafts"],
            repetitions=typed["repetitions"],
            concurrency=typed["concurrency"],
            budget_usd=typed["budget_usd"],
            use_cache=typed["use_cache"],
            name=typed["name"],
            gate=typed["gate"],
        )


def typed_scorers(rows: Sequence[ScorerRow], data: QueryDict) -> list[ScorerRow]:
    """The rows as they were typed, with a sentence beside each threshold that cannot be one."""
    chosen = set(data.getlist("scorers"))
    return [_typed(row, row.slug in chosen, data.get(row.field, "").strip()) for row in rows]


def _typed(row: ScorerRow, is_chosen: bool, text: str) -> ScorerRow:
    problems: tuple[str, ...] = ()
    if is_chosen and text and _threshold(text) is None:
        problems = (str(_("A threshold is a number from 0 to 1.")),)
    return replace(row, is_chosen=is_chosen, threshold=text, problems=problems)


def _threshold(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def choices_of(rows: Sequence[ScorerRow]) -> tuple[ScorerChoice, ...]:
    """The scorers that are chosen; an empty threshold is the scorer's own."""
    return tuple(ScorerChoice(row.slug, None, _threshold(row.threshold)) for row in rows if row.is_chosen)

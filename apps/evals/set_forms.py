"""Shapes of the input of the pages of eval sets and examples."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.errors import DomainError
from apps.evals.example_words import text_of
from apps.evals.examples import MAX_BYTES, MAX_KEY, BadExample, ExampleBody, body_from_dict
from apps.evals.models import EvalSet
from apps.evals.services.set_changes import MAX_NOTE
from apps.evals.services.sets import GOLDEN, SetChange
from apps.evals.types import ExampleOrigin, Json, ReviewState

STATES = (
    (ReviewState.DRAFT.value, _("draft")),
    (ReviewState.APPROVED.value, _("approved")),
    (ReviewState.REJECTED.value, _("rejected")),
)
ORIGINS = (
    (ExampleOrigin.PERSON.value, _("by hand")),
    (ExampleOrigin.API.value, _("over the API")),
    (ExampleOrigin.IMPORT.value, _("imported")),
    (ExampleOrigin.TRACE.value, _("from a trace")),
    (ExampleOrigin.REVIEW.value, _("from a review")),
    (ExampleOrigin.PLAYGROUND.value, _("from the playground")),
    (ExampleOrigin.SAMPLE.value, _("sample")),
)
NEW_SET = "new"


class SetsForm(forms.Form):
    """What part of the list of sets to show."""

    q = forms.CharField(required=False, max_length=200)
    archived = forms.BooleanField(required=False)
    after = forms.CharField(required=False, max_length=100)


class ExamplesForm(forms.Form):
    """What part of a set's examples to show."""

    q = forms.CharField(required=False, max_length=200)
    state = forms.ChoiceField(required=False, choices=[("", ""), *STATES])
    slice = forms.CharField(required=False, max_length=100)
    origin = forms.ChoiceField(required=False, choices=[("", ""), *ORIGINS])
    before = forms.IntegerField(required=False, min_value=1)


class ReviewForm(forms.Form):
    """What the examples that are ticked, or all that the filter finds, shall be."""

    state = forms.ChoiceField(choices=STATES)
    everything = forms.BooleanField(required=False)


class JsonField(forms.CharField):
    """Typed JSON; empty for none."""

    def __init__(self, *, kind: type | None = None, rows: int = 6, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false"})
        super().__init__(required=False, strip=True, max_length=MAX_BYTES, widget=widget, **kwargs)
        self._kind = kind

    def prepare_value(self, value: Json) -> str:
        """What was typed as it was; a value as JSON."""
        if isinstance(value, str):
            return value
        return "" if value in (None, {}, []) else json.dumps(value, ensure_ascii=False, indent=2)

    def clean(self, value: Any) -> Any:
        """The value that was typed, None for nothing."""
        text = super().clean(value)
        if not text:
            return None
        try:
            read = json.loads(text)
        except (ValueError, RecursionError) as error:
            where = f" {error}" if isinstance(error, json.JSONDecodeError) else ""
            raise forms.ValidationError(_("This is not JSON.%(where)s") % {"where": where}) from error
        if self._kind is not None and not isinstance(read, self._kind):
            raise forms.ValidationError(
                _("Write a JSON object, {…}.") if self._kind is dict else _("Write a JSON list, […].")
            )
        return read


class SetForm(forms.Form):
    """An eval set: what it is for, and what its examples must meet."""

    name = forms.CharField(label=_("Name"), max_length=200)
    description = forms.CharField(
        label=_("What it is for"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    feature = forms.CharField(
        label=_("Feature"),
        max_length=128,
        required=False,
        help_text=_("As your traces name it; its runs and gates go by it."),
    )
    minimum_examples = forms.IntegerField(
        label=_("Approved examples it needs"),
        initial=GOLDEN,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Below 100, a pass says little. A lower number is noted in the audit trail."),
    )
    minimum_per_slice = forms.IntegerField(
        label=_("Approved examples each slice needs"), initial=10, min_value=1, max_value=1_000_000
    )
    fresh_days = forms.IntegerField(
        label=_("Days until an example counts as stale"), initial=180, min_value=1, max_value=3_650
    )
    input_schema = JsonField(
        kind=dict, label=_("JSON Schema of the variables"), help_text=_("New and changed examples must meet it.")
    )
    expected_schema = JsonField(kind=dict, label=_("JSON Schema of the expected output"))

    def change(self) -> SetChange:
        """What was typed."""
        typed = dict(self.cleaned_data)
        clears = frozenset(name for name in ("input_schema", "expected_schema") if typed[name] is None)
        return SetChange(**typed, clears=clears)


def set_values(eval_set: EvalSet) -> dict[str, Any]:
    """The set as the form shows it."""
    return {name: getattr(eval_set, name) for name in SetForm.base_fields}


class ExampleForm(forms.Form):
    """One example, every part of it. `base` is the revision since which the editor saw it as it is."""

    EXPECTED_AS = (("text", _("text")), ("json", _("JSON")))

    key = forms.CharField(label=_("Key"), max_length=MAX_KEY, required=False, help_text=_("Left empty, one is made."))
    variables = JsonField(
        kind=dict,
        rows=7,
        label=_("Variables of the prompt, as a JSON object"),
        help_text=_('Such as {"question": "Where is my parcel?"}.'),
    )
    messages = JsonField(
        kind=list,
        rows=7,
        label=_("Or a conversation, as a JSON list"),
        help_text=_('Such as [{"role": "user", "content": "Hello"}]. For sets that are not about one prompt.'),
    )
    expected = forms.CharField(
        label=_("Expected output"),
        required=False,
        strip=False,
        max_length=MAX_BYTES,
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    expected_as = forms.ChoiceField(
        label=_("The expected output is"), choices=EXPECTED_AS, initial="text", widget=forms.RadioSelect
    )
    slices = forms.CharField(
        label=_("Slices"),
        max_length=6_000,
        required=False,
        help_text=_("Groups it belongs to, with commas between them. Results are also shown by slice."),
    )
    context = JsonField(kind=list, rows=4, label=_("Context documents, as a JSON list"))
    tools = JsonField(kind=list, rows=4, label=_("Tools, as a JSON list"))
    metadata = JsonField(kind=dict, rows=3, label=_("Metadata, as a JSON object"))
    note = forms.CharField(
        label=_("Note"), max_length=MAX_NOTE, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    state = forms.ChoiceField(label=_("State"), choices=STATES, initial="draft", widget=forms.RadioSelect)
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def body(self) -> ExampleBody | None:
        """What was typed; None with errors beside the fields."""
        typed = self.cleaned_data
        try:
            expected = self._expected()
            return body_from_dict(
                {
                    **{name: typed[name] for name in ("variables", "messages", "tools", "context", "metadata")},
                    "expected": expected,
                    "slices": [one.strip() for one in typed["slices"].split(",") if one.strip()],
                }
            )
        except DomainError as error:
            self.refuse(error)
            return None

    def _expected(self) -> Json:
        text = self.cleaned_data["expected"].replace("\r\n", "\n")
        if not text.strip():
            return None
        if self.cleaned_data["expected_as"] == "text":
            return text
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadExample({"expected": ["This is not JSON. Choose text, or correct it."]}) from error

    def refuse(self, error: DomainError) -> None:
        """Put the sentences of a refusal beside the fields they are about: `adds.0.variables.name` beside variables."""
        if error.code != BadExample.code:
            self.add_error(None, error.text)
            return
        for place, sentences in error.details.items():
            parts = [part for part in place.split(".") if part not in {"adds", "replaces"}]
            parts = parts[1:] if len(parts) > 1 and parts[0].isdigit() else parts
            field = parts[0] if parts and parts[0] in self.fields else None
            below = ".".join(parts[1:])
            self.add_error(field, [f"{below}: {one}" if below else one for one in sentences])


def example_values(body: ExampleBody, *, state: str = "draft", note: str = "") -> dict[str, Any]:
    """An example as the form shows it."""
    is_text = body.expected is None or isinstance(body.expected, str)
    return {
        "variables": dict(body.variables),
        "messages": None if body.messages is None else list(body.messages),
        "tools": None if body.tools is None else list(body.tools),
        "expected": text_of(body.expected),
        "expected_as": "text" if is_text else "json",
        "slices": ", ".join(body.slices),
        "context": list(body.context),
        "metadata": dict(body.metadata),
        "note": note,
        "state": state,
    }


class AddForm(ExampleForm):
    """An example made of a trace, a review or an answer: into which set, and whether it may be there twice."""

    eval_set = forms.ChoiceField(label=_("Eval set"))
    new_name = forms.CharField(
        label=_("Name of the new set"), max_length=200, required=False, help_text=_("For a new set only.")
    )
    again = forms.BooleanField(required=False, label=_("Add it although the set has an example of this call"))

    def __init__(self, *args: Any, sets: list[EvalSet], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sets = {one.slug: one for one in sets}
        field = self.fields["eval_set"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*((one.slug, one.name) for one in sets), (f"-{NEW_SET}", _("a new set"))]

    def clean(self) -> dict[str, Any]:
        """A new set needs a name."""
        typed = super().clean() or self.cleaned_data
        if typed.get("eval_set") == f"-{NEW_SET}" and not typed.get("new_name"):
            self.add_error("new_name", _("Name the new set."))
        return typed

    def chosen(self) -> EvalSet | None:
        """The set that was chosen; None for a new one."""
        return self.sets.get(self.cleaned_data["eval_set"])

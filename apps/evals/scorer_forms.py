"""Shape of the input of the scorers' pages: a form for each kind, made from its fields; the case to try; labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.errors import DomainError
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.types import Case, Json

SETTING = "set_"
"""Before the names of settings, so that none is taken for a name of the form."""
SECRET = "secret"  # noqa: S105 - a name, no key
FLOOR = 0.6
MODELS_LIST = "scorer-models"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A scorer that is added in a click."""

    key: str
    name: str
    about: str
    kind: str
    config: Mapping[str, Json] = field(default_factory=dict)


SUGGESTIONS = (
    Suggestion("exact", "Exact match", "The output is the expected text.", "exact"),
    Suggestion("numeric", "Number", "The last number in the output is the expected one.", "numeric"),
    Suggestion("fields", "JSON fields", "Each field of the JSON is the expected one; the share counts.", "json_fields"),
    Suggestion(
        "class", "Classification", "The label is the expected one, with figures for each label.", "classification"
    ),
    Suggestion("tools", "Tool calls", "The right functions with the right arguments.", "tool_calls"),
    Suggestion("faithful", "Faithfulness", "A judge checks each statement against the documents.", "faithfulness"),
    Suggestion(
        "judge",
        "Helpful and correct",
        "A judge says yes or no by a rubric that you refine.",
        "judge",
        {
            "rubric": "The output answers what the input asks, is correct, and leaves out nothing that matters.\n\n"
            "yes: a person who asked this would have what they need.\n"
            "no: it is wrong, evasive, incomplete in something that matters, or answers another question.",
        },
    ),
)
GROUPS = (
    ("text", _("Text")),
    ("numbers", _("Numbers")),
    ("json", _("JSON")),
    ("classes", _("Classes")),
    ("tools", _("Tools")),
    ("similarity", _("Likeness")),
    ("judge", _("Judges")),
    ("retrieval", _("Answers from documents")),
    ("agent", _("Agents")),
    ("limits", _("Limits")),
    ("own", _("Your own")),
)


class ScorerForm(forms.Form):
    """A scorer of one kind. New ones have a name and a short name; versions have a note."""

    name = forms.CharField(label=_("Name"), max_length=200)
    slug = forms.CharField(
        label=_("Short name"), max_length=100, required=False, help_text=_("As runs and the API call it.")
    )
    description = forms.CharField(
        label=_("What it is for"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    pass_mark = forms.FloatField(
        label=_("Passes from"), min_value=0, max_value=1, help_text=_("An example passes from this value on.")
    )
    note = forms.CharField(label=_("What changed, and why"), max_length=10_000, required=False)

    def __init__(self, *args: Any, kind: ScorerKind, is_new: bool, has_secret: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind, self.is_new = kind, is_new
        for name in ("note",) if is_new else ("name", "slug", "description"):
            del self.fields[name]
        for one in kind.fields:
            if one.name != SECRET:
                self.fields[SETTING + one.name] = form_field(one)
        if any(one.name == SECRET for one in kind.fields):
            self.fields[SECRET] = _secret_field(has_secret)

    def settings(self) -> list[forms.BoundField]:
        """The fields of the kind, in its order."""
        return [self[name] for name in self.fields if name.startswith(SETTING) or name == SECRET]

    def config(self) -> dict[str, Json]:
        """The settings as they were typed."""
        return {
            name.removeprefix(SETTING): value for name, value in self.cleaned_data.items() if name.startswith(SETTING)
        }

    def new_secret(self) -> str | None:
        """The key that was typed; None when none was."""
        return self.cleaned_data.get(SECRET) or None

    def placed(self, error: DomainError) -> DomainError:
        """The refusal with its sentences under the names of this form."""
        error.details = {
            SETTING + name if SETTING + name in self.fields else name: sentences
            for name, sentences in error.details.items()
        }
        return error


def _secret_field(has_secret: bool) -> forms.CharField:
    kept = _("There is a key. It is kept when this stays empty, unless the address changes.")
    told = _("Sent as a bearer token, stored sealed, never shown again.")
    return forms.CharField(
        label=_("Key"),
        required=False,
        max_length=8192,
        help_text=kept if has_secret else told,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


def form_field(one: Field) -> forms.Field:
    """The field of a form for a setting. What is typed is checked by the kind."""
    common: dict[str, Any] = {"label": one.label, "help_text": one.help, "required": False}
    if one.type is FieldType.BOOLEAN:
        return forms.BooleanField(**common, initial=one.default)
    if one.type is FieldType.CHOICE:
        return forms.ChoiceField(**common, initial=one.default, choices=one.choices)
    rows = {FieldType.LONG_TEXT: 8, FieldType.LIST: 3, FieldType.JSON: 4}.get(one.type)
    attrs: dict[str, Any] = {"spellcheck": "false"} if one.type is not FieldType.LONG_TEXT else {}
    if one.type is FieldType.MODEL:
        attrs["list"] = MODELS_LIST
    widget = forms.Textarea(attrs={"rows": rows, **attrs}) if rows else forms.TextInput(attrs=attrs)
    return forms.CharField(
        **common, initial=shown_setting(one, one.default), max_length=200_000, strip=False, widget=widget
    )


def shown_setting(one: Field, value: Json) -> Json:
    """A setting as a form shows it: lists one a line, JSON as text."""
    if one.type is FieldType.BOOLEAN:
        return bool(value)
    if value is None:
        return ""
    if one.type is FieldType.LIST:
        return "\n".join(map(str, value))
    if one.type is FieldType.JSON:
        return json.dumps(value, ensure_ascii=False, indent=2)
    return value


def initial_of(kind: ScorerKind, config: Config) -> dict[str, Json]:
    """What a form begins with for these settings; what they leave out has its default."""
    return {SETTING + one.name: shown_setting(one, config.get(one.name, one.default)) for one in kind.fields}


class CaseForm(forms.Form):
    """A case to try a scorer on: typed, or an example of a set with an output."""

    example = forms.ChoiceField(label=_("Example"), required=False)
    input = forms.CharField(label=_("Input"), required=False, widget=forms.Textarea(attrs={"rows": 2}))
    expected = forms.CharField(
        label=_("Expected"),
        required=False,
        help_text=_("A text, or JSON."),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    documents = forms.CharField(
        label=_("Documents"),
        required=False,
        help_text=_("With an empty line between two of them."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    output = forms.CharField(
        label=_("Output"),
        required=False,
        strip=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    tool_calls = forms.CharField(
        label=_("Tool calls"),
        required=False,
        help_text=_('A JSON list of {"name", "arguments"}.'),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    other_output = forms.CharField(
        label=_("The other output"), required=False, strip=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args: Any, kind: ScorerKind, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "prefix": "case"})
        example = self.fields["example"]
        assert isinstance(example, forms.ChoiceField)
        example.choices = [("", _("typed below")), *examples]
        is_rag, is_tools = kind.group == "retrieval" or kind.name in {"judge", "http"}, kind.group in {"tools", "agent"}
        wanted = {"documents": is_rag, "tool_calls": is_tools, "other_output": kind.is_pairwise}
        for name, is_wanted in {**wanted, "example": bool(examples)}.items():
            if not is_wanted:
                del self.fields[name]

    def clean_tool_calls(self) -> list[dict[str, Json]]:
        """The calls. Refused unless they are a list of objects."""
        text = self.cleaned_data["tool_calls"].strip()
        try:
            told = json.loads(text) if text else []
        except (ValueError, RecursionError):
            raise forms.ValidationError(_("This is not JSON.")) from None
        if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            raise forms.ValidationError(_("Give a list of objects."))
        return told

    def case(self) -> Case:
        """The case as it was typed."""
        said = self.cleaned_data
        documents = [part.strip() for part in said.get("documents", "").replace("\r\n", "\n").split("\n\n")]
        return Case(
            variables={"input": said["input"]} if said["input"] else {},
            expected=_value(said["expected"]),
            context=tuple({"id": str(n), "content": text} for n, text in enumerate(documents, start=1) if text),
            output=said["output"],
            tool_calls=tuple(said.get("tool_calls", ())),
            other_output=said.get("other_output") or None,
        )


def _value(text: str) -> Json:
    """JSON where it is an object, a list or a number; else the text; None for nothing."""
    text = text.strip()
    if not text:
        return None
    try:
        return json.loads(text) if text[0] in '{["-0123456789' else text
    except (ValueError, RecursionError):
        return text


class CalibrationForm(forms.Form):
    """Where people's labels come from, and what the judge must reach."""

    SOURCES = (
        ("upload", _("A file of cases with people's labels")),
        ("review", _("Outputs that people decided in the review queue")),
    )

    source = forms.ChoiceField(label=_("Labels"), choices=SOURCES, initial="upload", widget=forms.RadioSelect)
    file = forms.FileField(
        label=_("File"),
        required=False,
        help_text=_("JSON Lines or CSV: output, label, and any of input, expected, context, other_output."),
    )
    days = forms.IntegerField(
        label=_("Days of the review queue"), initial=90, min_value=1, max_value=3650, required=False
    )
    name = forms.CharField(label=_("Name"), max_length=200, required=False)
    floor = forms.FloatField(
        label=_("Floor of kappa"),
        initial=FLOOR,
        min_value=0,
        max_value=1,
        help_text=_("The lower end of the interval must reach it, on at least 50 items."),
    )

    def clean(self) -> dict[str, Any]:
        """A file, when the labels come from one."""
        said = super().clean() or self.cleaned_data
        if said.get("source") == "upload" and not said.get("file") and "file" not in self.errors:
            self.add_error("file", _("Choose a file."))
        return said

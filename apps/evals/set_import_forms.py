"""Shapes of the input of the import pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from apps.evals.importing.found import MAX_FILE, BadFile
from apps.evals.importing.mapping import Column, Mapped, Target, checked, from_dict
from apps.evals.services.set_imports import PIECE, Wish
from apps.evals.types import Json, ReviewState

MAX_TEXT = 2_000_000
MEBIBYTES = MAX_FILE // 1024 // 1024
STATES = [
    (ReviewState.DRAFT.value, _("drafts, which somebody approves afterwards")),
    (ReviewState.APPROVED.value, _("approved: somebody stands behind them already")),
]
MODES = [
    ("update", _("Add and update: examples that the file does not have stay")),
    ("replace", _("Replace the whole set: examples that the file does not have are removed")),
]
ENCODING_CHOICES = [
    ("auto", _("UTF-8, or UTF-16 with its mark")),
    ("utf-16", _("UTF-16 without a mark")),
    ("latin-1", _("Latin-1 (older programs)")),
]
TARGETS = [
    (Target.KEY, _("Key: the example’s name")),
    (Target.VARIABLE, _("Variable of the prompt")),
    (Target.VARIABLES, _("Variables: an object of several")),
    (Target.MESSAGES, _("Messages: a conversation")),
    (Target.EXPECTED, _("Expected output")),
    (Target.CONTEXT, _("Context documents")),
    (Target.SLICES, _("Slices")),
    (Target.METADATA, _("Metadata")),
    (Target.TOOLS, _("Tools")),
    (Target.STATE, _("State: draft, approved or rejected")),
    (Target.NOTE, _("Note")),
    (Target.SKIP, _("Leave it out")),
]


class SetUploadForm(forms.Form):
    """A file or a pasted text, and what to make of its rows."""

    upload = forms.FileField(
        label=_("File"),
        required=False,
        allow_empty_file=True,
        help_text=_("JSON, JSON Lines, CSV or TSV; up to 100,000 rows and %(size)s MiB.") % {"size": MEBIBYTES},
    )
    text = forms.CharField(
        label=_("Or paste rows"),
        required=False,
        strip=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "input mono"}),
    )
    state = forms.ChoiceField(
        label=_("New and changed examples are"), choices=STATES, widget=forms.RadioSelect, initial="draft"
    )
    mode = forms.ChoiceField(
        label=_("Examples that are there"), choices=MODES, widget=forms.RadioSelect, initial="update"
    )
    encoding = forms.ChoiceField(label=_("Encoding"), choices=ENCODING_CHOICES, initial="auto")

    def clean(self) -> dict[str, Any]:
        """Something must have been given."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not cleaned.get("upload") and not str(cleaned.get("text", "")).strip():
            raise forms.ValidationError(_("Choose a file, or paste rows."))
        uploaded = cleaned.get("upload")
        if uploaded and (uploaded.size or 0) > MAX_FILE:
            self.add_error("upload", _("A file may have %(size)s MiB. Split it.") % {"size": MEBIBYTES})
        return cleaned

    def wish(self) -> Wish:
        """How to read what was given."""
        told = self.cleaned_data
        encoding = told["encoding"] if told["upload"] else "utf-8"
        return Wish(state=ReviewState(told["state"]), replaces_all=told["mode"] == "replace", encoding=encoding)

    def given(self) -> tuple[str, Iterator[bytes]]:
        """The name and the bytes, piece by piece."""
        uploaded: UploadedFile | None = self.cleaned_data["upload"]
        if uploaded:
            return str(uploaded.name), iter(uploaded.chunks(PIECE))
        # Browsers send line ends as CRLF, whatever was pasted.
        return str(_("pasted rows")), iter([self.cleaned_data["text"].replace("\r\n", "\n").encode("utf-8", "replace")])


@dataclass(frozen=True, slots=True)
class MappingLine:
    """One column on the page: its name, its first values, and the two controls."""

    column: str
    samples: tuple[str, ...]
    target: BoundField
    name: BoundField


class MappingForm(forms.Form):
    """What each column becomes, and what to make of the rows."""

    state = forms.ChoiceField(label=_("New and changed examples are"), choices=STATES, widget=forms.RadioSelect)
    mode = forms.ChoiceField(label=_("Examples that are there"), choices=MODES, widget=forms.RadioSelect)

    def __init__(self, *args: Any, columns: tuple[str, ...], mapping: Mapping[str, Json], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = columns
        chosen = {column.source: column for column in from_dict(mapping)}
        for place, column in enumerate(columns):
            known = chosen.get(column, Column(column, Target.SKIP))
            self.fields[f"target_{place}"] = forms.ChoiceField(
                label=_("%(column)s becomes") % {"column": column},
                choices=TARGETS,
                initial=known.target,
                widget=forms.Select(attrs={"class": "input"}),
            )
            self.fields[f"name_{place}"] = forms.CharField(
                label=_("What %(column)s is called") % {"column": column},
                required=False,
                max_length=200,
                initial=known.name if known.name != column else "",
                widget=forms.TextInput(attrs={"class": "input", "placeholder": column}),
            )

    def lines(self, rows: tuple[Mapping[str, Json], ...]) -> list[MappingLine]:
        """The columns with their first values."""
        return [
            MappingLine(column, _samples(column, rows), self[f"target_{place}"], self[f"name_{place}"])
            for place, column in enumerate(self.columns)
        ]

    def clean(self) -> dict[str, Any]:
        """The columns must be usable together."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.mapping = checked(self._columns(cleaned))
            except BadFile as error:
                raise forms.ValidationError(error.text) from error
        return cleaned

    mapping: Mapped = ()
    """What was chosen, once the form is valid."""

    def _columns(self, cleaned: Mapping[str, Any]) -> Iterator[Column]:
        for place, source in enumerate(self.columns):
            target = Target(cleaned[f"target_{place}"])
            is_named = target in {Target.VARIABLE, Target.METADATA}
            yield Column(source, target, (cleaned[f"name_{place}"].strip() or source) if is_named else "")


def _samples(column: str, rows: tuple[Mapping[str, Json], ...]) -> tuple[str, ...]:
    """The first values of a column, as a person reads them."""
    values = [row[column] for row in rows if row.get(column) not in (None, "")][:3]
    return tuple(text if len(text := str(value)) <= 120 else f"{text[:120]} …" for value in values)


class ConfirmImportForm(forms.Form):
    """What to write beside the revision."""

    note = forms.CharField(label=_("Note on the revision"), required=False, max_length=2_000)


class _Keys(forms.MultipleChoiceField):
    """Any keys; which of them are there is found out when they are removed."""

    def valid_value(self, value: str) -> bool:
        """True for what a key can be."""
        return 0 < len(value) <= 200


class KeepForm(forms.Form):
    """The example to keep, and those that ask the same."""

    key = forms.CharField(max_length=200, strip=False)
    other = _Keys()

"""Shape of the input of the import pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from apps.prompts.files import detect

MAX_PATH = 300


class ManyFiles(forms.ClearableFileInput):
    """A file input for several files."""

    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Several files, of a bearable number and size."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """The files; each is looked at, none is stored."""
        given = data if isinstance(data, list | tuple) else [data] if data else []
        files = [super(ManyFilesField, self).clean(one, initial) for one in given]
        if len(files) > detect.MAX_FILES or sum(one.size or 0 for one in files) > detect.MAX_TOTAL:
            raise forms.ValidationError(
                _("Choose at most %(count)s files of %(size)s MiB in all."),
                params={"count": detect.MAX_FILES, "size": detect.MAX_TOTAL // 1024 // 1024},
            )
        return files


class UploadForm(forms.Form):
    """Files, or pasted text."""

    uploads = ManyFilesField(
        label=_("Files"),
        required=False,
        allow_empty_file=True,
        widget=ManyFiles(attrs={"multiple": True}),
        help_text=_("As many as you like: prompts, and the files that they refer to. Archives are not opened."),
    )
    text = forms.CharField(
        label=_("Or paste a text"),
        required=False,
        strip=False,
        max_length=detect.MAX_EXPORT,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "class": "input mono"}),
    )
    path = forms.CharField(
        label=_("File name of the pasted text"),
        required=False,
        max_length=MAX_PATH,
        help_text=_("Its ending says the format, as in answer.prompty. Empty: it is guessed."),
    )

    def uploaded(self) -> dict[str, bytes]:
        """The bytes by path. Two files of one name are told apart by a number."""
        found: dict[str, bytes] = {}
        for one in self.cleaned_data["uploads"]:
            found[_free(str(one.name)[-MAX_PATH:], found)] = one.read()
        text = self.cleaned_data["text"]
        if text.strip():
            # Browsers send line ends as CRLF, whatever was pasted.
            text = text.replace("\r\n", "\n")
            path = self.cleaned_data["path"].strip() or detect.guess_path(text)
            found[_free(path, found)] = text.encode()
        return found

    def clean(self) -> dict[str, Any]:
        """Something must have been given."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not cleaned.get("uploads") and not str(cleaned.get("text", "")).strip():
            raise forms.ValidationError(_("Choose a file, or paste a text."))
        return cleaned


def _free(path: str, taken: dict[str, bytes]) -> str:
    if path not in taken:
        return path
    stem, dot, ending = path.partition(".")
    number = next(number for number in range(2, len(taken) + 3) if f"{stem}-{number}{dot}{ending}" not in taken)
    return f"{stem}-{number}{dot}{ending}"


class ConfirmForm(forms.Form):
    """What to make of the files that were looked at."""

    mode = forms.ChoiceField(
        label=_("Make of them"),
        choices=[("versions", _("published versions")), ("drafts", _("drafts, which I publish myself"))],
        widget=forms.RadioSelect,
        initial="versions",
    )
    note = forms.CharField(label=_("Note on the versions"), required=False, max_length=2_000)
    step = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, *args: Any, steps: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["step"]
        assert isinstance(field, forms.TypedMultipleChoiceField)
        field.choices = [(str(place), str(place)) for place in range(steps)]

"""Shape of the input of the prompts' pages. The editor has a shape of its own, see `editing`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.prompts.types import Kind


class SearchForm(forms.Form):
    """What part of the list to show."""

    q = forms.CharField(required=False, max_length=200)
    folder = forms.CharField(required=False, max_length=200)
    tag = forms.CharField(required=False, max_length=64)
    archived = forms.BooleanField(required=False)
    after = forms.CharField(required=False, max_length=200)


class NewPromptForm(forms.Form):
    """A new prompt."""

    KINDS = (
        (Kind.CHAT.value, _("Conversation: messages with roles")),
        (Kind.TEXT.value, _("Text: one piece, also to be included in other prompts")),
    )

    name = forms.CharField(
        label=_("Name"), max_length=200, help_text=_("As your service asks for it. A / makes a folder.")
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=KINDS, initial=Kind.CHAT.value, widget=forms.RadioSelect)
    description = forms.CharField(
        label=_("What it is for"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


class SettingsForm(forms.Form):
    """What stands around the versions."""

    description = forms.CharField(
        label=_("What it is for"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    owner = forms.ChoiceField(label=_("Owner"), required=False, help_text=_("Who is asked about it."))
    tags = forms.CharField(label=_("Tags"), max_length=1500, required=False, help_text=_("With commas between them."))
    feature = forms.CharField(
        label=_("Feature"),
        max_length=128,
        required=False,
        help_text=_("That it serves. Release rules may be for a feature, so admins change it."),
        widget=forms.TextInput(attrs={"list": "prompt-features", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, members: list[User], is_admin: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["feature"].disabled = not is_admin
        self._members = {str(member.pk): member for member in members}
        field = self.fields["owner"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("nobody yet")), *((key, str(member)) for key, member in self._members.items())]

    def owner_chosen(self) -> User | None:
        """The member that was chosen."""
        return self._members.get(self.cleaned_data["owner"])

    def tags_typed(self) -> list[str]:
        """The tags between the commas."""
        return [tag.strip() for tag in str(self.cleaned_data["tags"]).split(",")]


class RenameForm(forms.Form):
    """Another name."""

    name = forms.CharField(
        label=_("Name"), max_length=200, help_text=_("Services that ask for the name of today are still answered.")
    )


class PublishForm(forms.Form):
    """What goes with a version. `revision` is the draft that the person has seen."""

    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    note = forms.CharField(
        label=_("What changed, and why"),
        max_length=10_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    bump = forms.CharField(required=False)
    lowered_because = forms.CharField(
        label=_("Why callers are not affected"),
        max_length=500,
        required=False,
        help_text=_("Needed when a change that breaks callers is published as a smaller step."),
    )
    no_secret = forms.BooleanField(required=False, label=_("I looked: what was found is not a secret."))

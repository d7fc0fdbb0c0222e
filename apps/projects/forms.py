"""Shape of the input of project pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.projects.models import Role, Scope


def show_error(form: forms.Form, error: DomainError) -> None:
    """Put the sentences of a refusal beside their fields; what belongs to no field goes above the form."""
    placed = False
    for name, sentences in error.details.items():
        if name in form.fields and isinstance(sentences, list):
            form.add_error(name, sentences)
            placed = True
    if not placed:
        sentences = [text for value in error.details.values() if isinstance(value, list) for text in value]
        form.add_error(None, sentences or [error.text])


@cache
def timezone_choices() -> list[tuple[str, str]]:
    """UTC, then the zones named after places."""
    places = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "SystemV/")))
    return [("UTC", "UTC"), *((zone, zone.replace("_", " ")) for zone in places)]


class TimezoneField(forms.ChoiceField):
    """A time zone by its name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=timezone_choices, **{"label": _("Time zone"), "initial": "UTC", **kwargs})


class NewPasswordField(forms.CharField):
    """A password to be set. Blanks at its ends are part of it; the rules are checked where it is set."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Password"),
            strip=False,
            max_length=1024,
            widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
            help_text=_("At least 12 characters. A sentence is fine; your name and the product's are not."),
        )


class ProjectForm(forms.Form):
    """A new project."""

    name = forms.CharField(label=_("Project name"), max_length=120, help_text=_("The team or the product it is for."))
    timezone = TimezoneField(help_text=_("Days and months of budgets and reviews begin at midnight here."))


class SetupForm(forms.Form):
    """The first account and its project."""

    email = forms.EmailField(
        label=_("Your e-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    name = forms.CharField(label=_("Your name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = NewPasswordField()
    project_name = forms.CharField(
        label=_("Project name"), max_length=120, help_text=_("The team or the product it is for.")
    )
    timezone = TimezoneField(help_text=_("Days and months of budgets and reviews begin at midnight here."))


class JoinForm(forms.Form):
    """The account of somebody who was invited; the address is the invitation's."""

    name = forms.CharField(label=_("Your name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = NewPasswordField()


class GeneralForm(ProjectForm):
    """What can be changed about a project here; for how long it keeps what is a page of its own."""


class DeleteProjectForm(forms.Form):
    """The name, typed, so that nobody deletes the wrong project."""

    typed_name = forms.CharField(
        label=_("Type the project's name"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.VIEWER)


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class KeyForm(forms.Form):
    """A new key. Only scopes that the maker's role may give are offered."""

    NEVER = "never"
    LIFETIMES = (
        ("30", _("30 days")),
        ("90", _("90 days")),
        ("180", _("180 days")),
        ("365", _("a year")),
        (NEVER, _("until it is revoked")),
    )

    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("The service that will use it."))
    scopes = forms.MultipleChoiceField(
        label=_("It may"), widget=forms.CheckboxSelectMultiple, initial=[Scope.INGEST.value]
    )
    lifetime = forms.ChoiceField(label=_("It works for"), choices=LIFETIMES, initial="180")

    def __init__(self, *args: Any, allowed: frozenset[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(scope.value, scope.label) for scope in Scope if scope in allowed]

    def expires_at(self, now: datetime) -> datetime | None:
        """When the key stops, counted from now; None for never."""
        lifetime = self.cleaned_data["lifetime"]
        return None if lifetime == self.NEVER else now + timedelta(days=int(lifetime))


class EnvironmentForm(forms.Form):
    """A new environment."""

    name = forms.CharField(label=_("Name"), max_length=64)
    is_protected = forms.BooleanField(
        label=_("Protected: changes of what is live there need more than a click"), required=False
    )


class EnvironmentChangeForm(forms.Form):
    """One change to an environment of the list."""

    ACTIONS = ("up", "down", "protect", "unprotect", "remove")

    name = forms.CharField(max_length=64)
    action = forms.ChoiceField(choices=[(action, action) for action in ACTIONS])


class FeatureForm(forms.Form):
    """What a feature is for and who answers for it."""

    description = forms.CharField(
        label=_("What it does"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    owner = forms.ChoiceField(label=_("Owner"), required=False, help_text=_("Who answers for its readiness."))

    def __init__(self, *args: Any, members: list[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._members = {str(member.pk): member for member in members}
        field = self.fields["owner"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("nobody yet")), *((key, str(member)) for key, member in self._members.items())]

    def owner_chosen(self) -> User | None:
        """The member that was chosen."""
        return self._members.get(self.cleaned_data["owner"])


class NewFeatureForm(FeatureForm):
    """A feature made by hand."""

    name = forms.CharField(
        label=_("Name"), max_length=128, help_text=_("As your service sends it, such as support-answers.")
    )
    field_order = ("name", "description", "owner")


class AuditFilterForm(forms.Form):
    """What part of the audit trail to show."""

    CHAINS = (("project", _("this project")), ("people", _("sign-ins of its people")))

    of = forms.ChoiceField(label=_("Of"), choices=CHAINS, required=False)
    action = forms.CharField(label=_("Action"), max_length=64, required=False)
    actor = forms.CharField(label=_("By"), max_length=254, required=False)
    cursor = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

"""Shape of the input of the account page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User


class ProfileForm(forms.Form):
    """What others see of a person, and how the pages look to them."""

    name = forms.CharField(
        label=_("Your name"), max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    theme = forms.ChoiceField(
        label=_("Theme"),
        choices=User.Theme.choices,
        help_text=_("A choice in the top bar is kept by that browser alone."),
    )

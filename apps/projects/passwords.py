"""The password rule that needs to know projects: their names are easy to guess."""

from __future__ import annotations

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.accounts.passwords import refuse_context_words
from apps.projects import selectors


class ProjectNamesValidator:
    """Refuses words of the names of the projects that the person belongs to."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError for a password that contains such a word."""
        if user is not None and user.pk is not None:
            names = [membership.project.name for membership in selectors.list_memberships(user=user)]
            refuse_context_words(password, names)

    def get_help_text(self) -> str:
        """The rule in a sentence."""
        return _("Do not use the names of your projects.")

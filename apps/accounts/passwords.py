"""What a password may not be, beyond length and Django's list of common ones: words an attacker would try
first here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from apps.accounts.models import User

PRODUCT_WORDS = ("prodworthy",)
SHORTEST_WORD = 4
WORD = re.compile(r"[^\W_]+")
MOST_CHARACTERS = 1024


def words_of(text: str) -> set[str]:
    """The words of four or more letters or digits, in lower case."""
    return {word.lower() for word in WORD.findall(text) if len(word) >= SHORTEST_WORD}


def refuse_context_words(password: str, texts: Iterable[str]) -> None:
    """Raise ValidationError when the password contains a word of the texts or the product's name."""
    lowered = password.lower()
    words = set(PRODUCT_WORDS).union(*(words_of(text) for text in texts))
    for word in sorted(words):
        if word in lowered:
            raise ValidationError(
                _("Leave out “%(word)s”: it is among the first things somebody would guess."),
                code="password_context_word",
                params={"word": word},
            )


class ContextWordsValidator:
    """Refuses the product's name, the parts of the person's own e-mail address, and their own name."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError for a password that contains such a word, or one too long to hash in good
        time.
        """
        if len(password) > MOST_CHARACTERS:
            raise ValidationError(
                _("Use at most %(most)d characters."),
                code="password_too_long",
                params={"most": MOST_CHARACTERS},
            )
        texts = [] if user is None else [user.email.rpartition(".")[0], user.name]
        refuse_context_words(password, texts)

    def get_help_text(self) -> str:
        """The rule in a sentence."""
        return _("Do not use the product's name, your project's name or parts of your e-mail address.")

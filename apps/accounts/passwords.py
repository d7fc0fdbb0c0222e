"""What a password may not be, beyond length and Django's list of common ones: words an attacker would try
first here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from apps.accounts.models import User

PRODUCT_WORDS = ("prodworthy",)
SHORTEST_WORD = 4
WORD = re.compile(r"[^\W_]+")
MOST_CHARACTERS = 1024
FEWEST_DIFFERENT = 5
DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")


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


class SimplePatternValidator:
    """Refuses what length alone lets through: runs, few different characters, and common passwords stretched.

    Stretched means repeated, or with digits and signs put around: `passwordpassword`, `Password2026!!`.
    """

    def __init__(self) -> None:
        self._common = CommonPasswordValidator().passwords

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError for such a password."""
        lowered = password.lower()
        if len(set(lowered)) < FEWEST_DIFFERENT or _is_run(lowered):
            raise ValidationError(
                _("Use more different characters, and no run such as 123456 or abcdef."), code="password_too_simple"
            )
        stem = DECORATION.sub("", lowered)
        if {_unrepeated(stem), _unrepeated(lowered)} & self._common:
            raise ValidationError(
                _("This is a common password, repeated or with digits and signs around it."),
                code="password_too_common",
            )

    def get_help_text(self) -> str:
        """The rule in a sentence."""
        return _("Do not stretch a common password by repeating it or by adding digits.")


def _is_run(text: str) -> bool:
    """True when each character follows the one before by the same step; after 9 comes 0."""
    if text.isdigit():
        steps = {(int(after) - int(before)) % 10 for before, after in pairwise(text)}
    else:
        steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


def _unrepeated(text: str) -> str:
    """The shortest text that, repeated, gives this one: `qwerty` for `qwertyqwerty`."""
    period = (text + text).find(text, 1)
    return text[:period] if period > 0 else text


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

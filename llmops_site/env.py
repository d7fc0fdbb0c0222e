"""Typed readers of the environment. Nonsense stops the start with a sentence that says what to change.

Every variable is read here and nowhere else, so that `docs/configuration.md` can be checked against the code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from apps.core.secret_files import made_once

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}


class Env:
    """Reads one mapping of strings, usually `os.environ`."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        """The variable as it is, or the default when it is missing or empty."""
        return self._values.get(name, "").strip() or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false from the usual words; anything else stops the start."""
        word = self._values.get(name, "").strip().lower()
        if name not in self._values or word == "":
            return default
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise ImproperlyConfigured(f"{name} must be one of 1, true, yes, on, 0, false, no, off; it is {word!r}.")

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number between low and high, both included."""
        raw = self.text(name)
        if not raw:
            return default
        try:
            number = int(raw)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}; it is {raw!r}.")
        return number

    def words(self, name: str) -> list[str]:
        """A comma-separated list without empty entries."""
        return [word.strip() for word in self._values.get(name, "").split(",") if word.strip()]

    def file_content(self, name: str) -> str:
        """What the file named by the variable holds, without blanks around it; empty when the variable is unset."""
        given = self.text(name)
        if not given:
            return ""
        try:
            return Path(given).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name} names {given}, which cannot be read: {error}.") from error

    def secret(self, name: str, *, file: Path) -> str:
        """A secret from the variable, from the file named by `<name>_FILE`, or from `file`, made on first use.

        Raises ImproperlyConfigured for a secret under 32 characters or with fewer than 8 different ones.
        """
        value = self.text(name) or self.file_content(f"{name}_FILE") or made_once(file)
        if len(value) < 32 or len(set(value)) < 8 or value.lower().startswith(("change", "secret", "django-insecure")):
            raise ImproperlyConfigured(
                f"{name} is too short or looks like a sample. Use at least 32 random characters, "
                "or leave it unset to have one made on first start."
            )
        return value


def with_password(url: str, password: str) -> str:
    """The URL with the password put in, if there is one and the URL has none of its own."""
    parts = urlsplit(url)
    if not url or not password or parts.password:
        return url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{place}"))

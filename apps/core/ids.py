"""Identifiers: random public ones, and the telemetry ids that arrive as hexadecimal text."""

from __future__ import annotations

import re
import secrets

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SLUG = re.compile(r"[^a-z0-9]+")


def random_base62(length: int) -> str:
    """A random string over 62 characters; 22 of them hold 130 bits."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def base62(number: int, width: int) -> str:
    """The number in base 62, padded on the left with zeros."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return digits.rjust(width, "0")


def slugify(text: str, *, limit: int = 64) -> str:
    """Lower-case words joined by hyphens; empty when the text has neither ASCII letter nor digit."""
    return SLUG.sub("-", text.lower()).strip("-")[:limit].strip("-")

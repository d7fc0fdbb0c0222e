"""Ids of our length out of ids of any kind, the same ones every time. Pure."""

from __future__ import annotations

import hashlib
import re

_HEX = re.compile(r"[0-9a-f]+\Z")


def trace_id(text: str) -> bytes:
    """16 bytes for a trace's id: its own digits if it is a UUID or has 32 hexadecimal ones after a prefix such as
    `trace_` or `tr-`, otherwise a digest of the text."""
    return _digits(text, 16) or hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def span_id(text: str) -> bytes:
    """8 bytes for a span's id: its own digits if it has 16 hexadecimal ones, otherwise a digest of the text."""
    return _digits(text, 8) or hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def is_trace_id(text: str) -> bool:
    """True for an id that holds 16 bytes of its own, such as a UUID, rather than some name for a group of calls."""
    return _digits(text, 16) is not None


def _digits(text: str, size: int) -> bytes | None:
    word = text.strip().lower()
    for digits in (word.replace("-", ""), re.split(r"[_-]", word)[-1]):
        if len(digits) == size * 2 and _HEX.match(digits):
            found = bytes.fromhex(digits)
            return found if any(found) else None
    return None

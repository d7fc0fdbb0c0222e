"""Making what clients send fit to be kept: text without what PostgreSQL cannot hold, and no longer than allowed.

Pure. Whatever is changed is noted in the span's flags: `text_replaced` and `truncated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

MAX_ATTRIBUTES = 256
MAX_ATTRIBUTE_BYTES = 65_536
MAX_ATTRIBUTE_NAME_CHARS = 1_024
MAX_TEXT_CHARS = 1_048_576
REPLACEMENT = "\ufffd"

encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def clean_text(text: str) -> tuple[str, bool]:
    """The text without what PostgreSQL cannot hold (NUL, lone surrogates), and whether something was replaced."""
    if "\x00" in text:
        text = text.replace("\x00", REPLACEMENT)
        return text.encode("utf-8", "replace").decode(), True
    if text.isascii():
        return text, False
    mended = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return mended, mended != text


def short_text(text: str | None, limit: int, flags: set[str]) -> str:
    """The clean text, cut after `limit` characters; empty for None."""
    if not text:
        return ""
    if len(text) <= limit and text.isascii() and "\x00" not in text:
        return text
    text, replaced = clean_text(text)
    if replaced:
        flags.add("text_replaced")
    if len(text) > limit:
        flags.add("truncated")
        text = text[:limit]
    return text


def content(value: Any, flags: set[str]) -> str | None:
    """An input or output as text: as it is, or as JSON when it is not text; at most a million characters."""
    if value is None:
        return None
    return short_text(value if isinstance(value, str) else encode(value).decode(), MAX_TEXT_CHARS, flags)


def short_attributes(attributes: dict[str, Any], flags: set[str]) -> Iterator[tuple[str, Any]]:
    """At most 256 attributes, each at most 64 KiB; what is over is cut and the span flagged."""
    if len(attributes) > MAX_ATTRIBUTES:
        flags.add("truncated")
    for name, value in list(attributes.items())[:MAX_ATTRIBUTES]:
        if isinstance(value, str):
            if len(value) > MAX_ATTRIBUTE_BYTES:
                flags.add("truncated")
                value = value[:MAX_ATTRIBUTE_BYTES]
        elif isinstance(value, dict | list):
            text = encode(value)
            if len(text) > MAX_ATTRIBUTE_BYTES:
                flags.add("truncated")
                value = text[:MAX_ATTRIBUTE_BYTES].decode("utf-8", "ignore")
        yield name[:MAX_ATTRIBUTE_NAME_CHARS], value


def sorted_json(value: Any, flags: set[str]) -> str:
    """JSON with sorted names that PostgreSQL's jsonb would accept: NUL is replaced, wherever it stands."""
    encoded = _encode_sorted(value)
    if b"\\u0000" in encoded:
        flags.add("text_replaced")
        encoded = _encode_sorted(_without_nul(value))
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", REPLACEMENT)
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return value

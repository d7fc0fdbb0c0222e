"""JSON values as YAML that people like to read, the same text for the same values on every day.

Texts of several lines are literal blocks, short lists of short values stand on one line, and whatever another reader
of YAML could take for something else (`no`, `1.0`, `2026-11-23`) is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from apps.prompts.files.yaml_text import resolve

Json = Any
STEP = 2
FLOW_WIDTH = 88

ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
NOT_IN_BLOCK = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029\ufeff]")
PLAIN = re.compile(r"[A-Za-z_/\u00c0-\u024f](?:[^\n\t]*[^\s:])?")
VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+")
OTHER_WORDS = re.compile(r"yes|no|on|off|true|false|null|nan|inf|nil|none", re.IGNORECASE)


def literal_fits(text: str) -> bool:
    """True when the text can stand in a literal block and come back unchanged."""
    return bool(text.strip(" \t\n")) and not NOT_IN_BLOCK.search(text)


def literal(text: str, indent: int) -> str:
    """The text as a literal block whose lines begin with `indent` spaces, without the last line break."""
    body = text.rstrip("\n")
    breaks = len(text) - len(body)
    chomp = "-" if breaks == 0 else "" if breaks == 1 else "+"
    hint = str(STEP) if body[:1] in (" ", "\n", "\t") else ""
    pad = " " * indent
    lines = [pad + line if line else "" for line in body.split("\n")]
    return "\n".join([f"|{hint}{chomp}", *lines]) + "\n" * max(breaks - 1, 0)


def quoted(text: str) -> str:
    """The text in double quotes."""
    escaped = json.dumps(text, ensure_ascii=False)
    return ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", escaped)


def is_plain(text: str, *, in_flow: bool = False) -> bool:
    """True when the text needs no quotes and nobody's reader takes it for anything but text."""
    if VERSION.fullmatch(text):
        return True
    if not PLAIN.fullmatch(text) or ": " in text or " #" in text or NOT_IN_BLOCK.search(text) or ESCAPED.search(text):
        return False
    if in_flow and re.search(r"[,\[\]{}:]", text):
        return False
    return not OTHER_WORDS.fullmatch(text) and isinstance(resolve(text), str)


def scalar(value: Json, *, in_flow: bool = False) -> str:
    """A value that is neither a list nor a mapping, on one line."""
    if isinstance(value, str):
        return value if is_plain(value, in_flow=in_flow) else quoted(value)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def key(name: str) -> str:
    """A mapping's key."""
    return name if is_plain(name) and len(name) <= 100 and "{" not in name else quoted(name)


def flow(items: list[Json] | tuple[Json, ...]) -> str | None:
    """The list on one line, when it is short and holds nothing but short values."""
    if any(isinstance(item, Mapping | list | tuple) or (isinstance(item, str) and "\n" in item) for item in items):
        return None
    text = f"[{', '.join(scalar(item, in_flow=True) for item in items)}]"
    return text if len(text) <= FLOW_WIDTH else None


def value(given: Json, column: int, *, as_block: bool = False) -> str:
    """What follows a key's colon at this column (from 0): a space and a scalar, or lines below. No last line break.

    `as_block` asks for a literal block even for a text of one line.
    """
    if isinstance(given, Mapping):
        return "\n" + entries(given, column + STEP) if given else " {}"
    if isinstance(given, list | tuple):
        line = flow(given)
        return f" {line}" if line is not None else "\n" + items(given, column + STEP)
    if isinstance(given, str) and (as_block or "\n" in given) and literal_fits(given):
        return " " + literal(given, column + STEP)
    return " " + scalar(given)


def entry(name: str, given: Json, column: int) -> str:
    """`key: value`, without the indent of its first line and without the last line break."""
    return f"{key(name)}:{value(given, column, as_block=is_prose(name, given))}"


def is_prose(name: str, given: Json) -> bool:
    """True for what a prompt says: it stands in a block even when it has one line, so that changes stay readable."""
    return name in ("content", "text") and isinstance(given, str) and not given.isidentifier()


def entries(given: Mapping[str, Json], column: int) -> str:
    """A mapping's lines."""
    pad = " " * column
    return "\n".join(pad + entry(name, one, column) for name, one in given.items())


def items(given: list[Json] | tuple[Json, ...], column: int) -> str:
    """A list's lines."""
    return "\n".join(" " * column + item(one, column) for one in given)


def item(given: Json, column: int) -> str:
    """`- value`, without the indent of its first line."""
    if isinstance(given, Mapping) and given:
        return "- " + entries(given, column + STEP).lstrip(" ")
    if isinstance(given, list | tuple) and flow(given) is None:
        return "- " + items(given, column + STEP).lstrip(" ")
    return "-" + value(given, column)

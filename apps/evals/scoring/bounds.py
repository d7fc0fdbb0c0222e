"""How much of a case a scorer looks at, and reading JSON and showing text within that.

Outputs come from models and may be megabytes long, nested a thousand levels deep or full of digits. Everything here
ends within a bounded time and memory, and says which bound was met.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.evals.types import Json

MAX_DEPTH = 64
MAX_JSON_CHARACTERS = 2_000_000
MAX_JSON_VALUES = 100_000
MAX_DIGITS = 1_000
SHOWN = 120

_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_FENCE = re.compile(r"```[ \t]*[\w+.-]*[ \t]*\r?\n(.*?)(?:\r?\n[ \t]*)?```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a text is not JSON that can be used."""

    reason: str


def shown(value: Json, most: int = SHOWN) -> str:
    """A value in quotation marks or as JSON for a reason: cut, and without characters that cannot be stored."""
    if isinstance(value, str):
        cut = value if len(value) <= most else value[: most - 1] + "…"
        return f"“{_UNSHOWABLE.sub('�', cut)}”"
    text = as_text(value)
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return _UNSHOWABLE.sub("�", cut)


def storable(value: Json, most: int = SHOWN) -> Json:
    """A value for `details`: texts cut and cleaned, numbers finite, and anything larger as a text of it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 10**15:
        return value
    if isinstance(value, float) and abs(value) < 1e15:
        return value
    return shown(value, most) if not isinstance(value, str) else shown(value, most)[1:-1]


def as_text(value: Json) -> str:
    """A value as a person would write it: texts as they are, 18.0 as 18, objects as JSON with sorted names."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (ValueError, RecursionError, TypeError):
        return "a value too large or too deep to write"


def too_much(value: Json) -> str:
    """Why a JSON value is more than scorers look at; empty when it is not. It walks without recursion."""
    waiting: list[tuple[Json, int]] = [(value, 0)]
    seen = 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            return f"is nested deeper than {MAX_DEPTH} levels"
        if seen > MAX_JSON_VALUES:
            return f"has more than {MAX_JSON_VALUES:,} values"
        if isinstance(item, Mapping):
            waiting.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, list | tuple):
            if len(item) > MAX_JSON_VALUES:
                return f"has more than {MAX_JSON_VALUES:,} values"
            waiting.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, int) and not isinstance(item, bool) and item.bit_length() > 4 * MAX_DIGITS:
            return f"has a number of more than {MAX_DIGITS:,} digits"
    return ""


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def read_json(text: str, *, fences: bool = True) -> Json | Unreadable:
    """The JSON value of a text. With `fences`, a Markdown code block around it or within it is looked into too."""
    if len(text) > MAX_JSON_CHARACTERS:
        return Unreadable(f"The text has {len(text):,} characters; JSON is read up to {MAX_JSON_CHARACTERS:,}.")
    first: Unreadable | None = None
    for candidate in _candidates(text, fences):
        found = _loads(candidate)
        if not isinstance(found, Unreadable):
            return found
        first = first or found
    return first or Unreadable("The output is empty.")


def _candidates(text: str, fences: bool) -> Iterator[str]:
    stripped = text.strip().removeprefix("\ufeff")
    if stripped:
        yield stripped
    if fences:
        for number, match in enumerate(_FENCE.finditer(text)):
            if number >= 10:
                return
            yield match.group(1)


def _loads(text: str) -> Json | Unreadable:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return Unreadable(f"It is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        return Unreadable(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    except ValueError as error:
        if "no JSON" in str(error):
            return Unreadable(f"It is not JSON: {error}.")
        return Unreadable(f"The JSON has a number of more than {MAX_DIGITS:,} digits.")
    problem = too_much(value)
    return Unreadable(f"The JSON {problem}.") if problem else value


def at_path(value: Json, path: str) -> tuple[bool, Json]:
    """Whether there is something at a dotted path (`items.0.price`) in a JSON value, and what."""
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.isascii() and part.isdigit():
            if len(part) > 9 or int(part) >= len(value):
                return False, None
            value = value[int(part)]
        else:
            return False, None
    return True, value


def canonical(value: Json) -> str:
    """A text that two JSON values share exactly when they are equal: 1 and 1.0 are, 1 and true are not. For values that
    `too_much` let pass."""
    if isinstance(value, Mapping):
        parts = sorted((json.dumps(str(name)), canonical(inner)) for name, inner in value.items())
        return "{" + ",".join(f"{name}:{inner}" for name, inner in parts) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(canonical(inner) for inner in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str)

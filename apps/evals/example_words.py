"""Examples in the words of pages: gists for tables, texts of fields, and what differs between two states of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apps.evals.examples import BODY_FIELDS, ExampleBody, body_as_dict
from apps.evals.types import Json
from apps.prompts.diff_lines import Hunk, hunks_of
from apps.prompts.diffing import text_pieces

GIST = 140
LONGEST_SHOWN = 60_000
"""Characters of one field that a page shows; the API has the whole."""


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A field that differs, as lines."""

    path: str
    hunks: tuple[Hunk, ...]


def text_of(value: Json) -> str:
    """A value as people read it: text as it is, nothing for none, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def cut(text: str) -> str:
    """The text as far as a page shows it."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}\n…"


def gist(value: Json) -> str:
    """A value in one line."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    line = " ".join(text[: GIST * 4].split())
    return line if len(line) <= GIST else f"{line[: GIST - 1]}…"


def input_gist(variables: Json, messages: Json) -> str:
    """What an example asks, in one line: its variables, or what was said last by the user."""
    if isinstance(variables, Mapping) and variables:
        if len(variables) == 1:
            return gist(next(iter(variables.values())))
        return gist(" · ".join(f"{name}: {gist(value)}" for name, value in list(variables.items())[:6]))
    if isinstance(messages, list) and messages:
        said = [one for one in messages if isinstance(one, Mapping) and one.get("role") == "user"] or messages
        last = said[-1]
        return gist(last.get("content") if isinstance(last, Mapping) else last)
    return gist(variables or messages)


def message_texts(body: ExampleBody) -> list[tuple[str, str]]:
    """Who says what in the example's conversation, as far as a page shows it."""
    said = []
    for one in body.messages or ():
        rest = {name: value for name, value in one.items() if name not in {"role", "content"}}
        parts = [text_of(one.get("content")), text_of(rest) if rest else ""]
        said.append((str(one.get("role")), cut("\n".join(part for part in parts if part))))
    return said


def field_texts(body: ExampleBody) -> dict[str, str]:
    """Each field of the body that says something, as text, by its place (`variables.question`)."""
    return dict(_fields(body))


def _fields(body: ExampleBody) -> Iterator[tuple[str, str]]:
    told = body_as_dict(body)
    for name in BODY_FIELDS:
        value = told[name]
        if name in {"variables", "metadata"}:
            yield from ((f"{name}.{inner}", text_of(one)) for inner, one in value.items())
        elif name == "messages" and value:
            yield from ((f"messages.{at}", text_of(one)) for at, one in enumerate(value))
        elif name == "slices":
            if value:
                yield name, ", ".join(value)
        elif value not in (None, []):
            yield name, text_of(value)


def differences(old: ExampleBody, new: ExampleBody) -> list[FieldDiff]:
    """The fields that differ, in the order of the body."""
    before, after = field_texts(old), field_texts(new)
    return [
        FieldDiff(path, tuple(hunks_of(text_pieces(cut(before.get(path, "")), cut(after.get(path, ""))))))
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    ]

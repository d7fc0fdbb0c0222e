"""Guesses at variables that a template uses and nothing declares: their types, and whether they must be given."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apps.prompts.content import Variable
from apps.prompts.types import Syntax, VariableType

JINJA_TAG = re.compile(r"\{[{%](?:(?!\{[{%]|[%}]\}).)*[%}]\}", re.DOTALL)
REPEATED = re.compile(r"\{%-?\s*for\s[\w\s,]{1,80}?\sin\s+(\w+)")
ASKED = re.compile(
    r"\{%-?\s*(?:el)?if\s+(?:not\s+)?(\w+)|\b(\w{1,100})\b\s+is\s+(?:not\s+)?defined|\b(\w{1,100})\b\s*\|\s*default\b"
)
PRINTED = re.compile(r"\{\{-?\s*(\w+)\s*(?:-?\}\}|\|)")
TAKEN_APART = re.compile(r"\b(\w{1,100})\b\s*(?:\.\s*[A-Za-z_]|\[)")

SECTION = re.compile(r"\{\{\s*[#^]\s*(\w+)\s*\}\}")
SECTION_END = re.compile(r"\{\{\s*/\s*(\w+)\s*\}\}")
ITEM = re.compile(r"\{\{\s*\.\s*\}\}")
MUSTACHE_NAME = re.compile(r"\{\{\{?\s*(?:&\s*)?(\w+)\s*\}")
DOTTED = re.compile(r"\{\{\{?\s*(?:&\s*)?(\w+)\.\w")


def variables(names: Iterable[str], texts: Iterable[str], syntax: Syntax) -> list[Variable]:
    """A variable for each of the names, as the texts use it."""
    names, text = list(names), "\n".join(texts)
    types, optional = _from_jinja(text) if syntax is Syntax.JINJA else _from_mustache(text, set(names))
    return [Variable(name, types.get(name, VariableType.TEXT), is_required=name not in optional) for name in names]


def _from_jinja(text: str) -> tuple[dict[str, VariableType], set[str]]:
    """Types other than text, and the names that are asked for before they are used."""
    tags = JINJA_TAG.findall(text)
    asked: set[str] = set()
    printed: set[str] = set()
    types: dict[str, VariableType] = {}
    for tag in tags:
        asked |= {name for groups in ASKED.findall(tag) for name in groups if name}
        printed |= set(PRINTED.findall(tag))
        types |= dict.fromkeys(TAKEN_APART.findall(tag), VariableType.OBJECT)
    types |= dict.fromkeys(asked - printed - types.keys(), VariableType.BOOLEAN)
    types |= dict.fromkeys((name for tag in tags for name in REPEATED.findall(tag)), VariableType.LIST)
    return types, asked


def _from_mustache(text: str, names: set[str]) -> tuple[dict[str, VariableType], set[str]]:
    """A section that shows its own value is text, one that shows others repeats, one that shows none is a switch."""
    sections = set(SECTION.findall(text))
    types = dict.fromkeys(DOTTED.findall(text), VariableType.OBJECT)
    for name in sections & names:
        body = _body(text, name)
        if ITEM.search(body):
            types[name] = VariableType.LIST
        elif name not in MUSTACHE_NAME.findall(body) and name not in types:
            types[name] = VariableType.LIST if MUSTACHE_NAME.search(body) else VariableType.BOOLEAN
    return types, sections


def _body(text: str, name: str) -> str:
    """What the first section of this name holds."""
    start = next((found.end() for found in SECTION.finditer(text) if found.group(1) == name), 0)
    end = next((found.start() for found in SECTION_END.finditer(text, start) if found.group(1) == name), start)
    return text[start:end]

"""Template text of others, brought into one of our two languages without changing what it says.

Most formats know nothing but simple variables. Their text becomes parts (text, a variable, an include), and the parts
are written as Mustache. Only where the plain text itself holds two opening braces, which Mustache cannot show, is it
written as Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apps.prompts.content import VARIABLE_NAME
from apps.prompts.types import Syntax

UNPINNED = "import"
"""Stands for the version of an include whose version is known only when the prompts are made."""
JINJA_SIGNS = re.compile(r"\{\{|\{%|\{#")
SIMPLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's place."""

    name: str


@dataclass(frozen=True, slots=True)
class Include:
    """A snippet's place."""

    name: str


Part = str | Variable | Include


def split(text: str, pattern: re.Pattern[str], make: Callable[[re.Match[str]], Part]) -> list[Part]:
    """The text cut where the pattern matches, each match made a part."""
    parts: list[Part] = []
    at = 0
    for match in pattern.finditer(text):
        parts += [text[at : match.start()], make(match)]
        at = match.end()
    parts.append(text[at:])
    return [part for part in parts if part != ""]


def simple(text: str) -> list[Part]:
    """Text whose only signs are `{{name}}`."""
    return split(text, SIMPLE, lambda match: Variable(variable_name(match.group(1))))


def variable_name(text: str) -> str:
    """The nearest good name of a variable."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text.strip())[:100]
    return name if VARIABLE_NAME.fullmatch(name) else f"v_{name}"[:100]


def syntax_for(texts: Iterable[Iterable[Part]]) -> Syntax:
    """Mustache, unless plain text holds `{{`."""
    plain = (part for parts in texts for part in parts if isinstance(part, str))
    return Syntax.JINJA if any("{{" in part for part in plain) else Syntax.MUSTACHE


def written(parts: Iterable[Part], syntax: Syntax) -> str:
    """The parts in this template language."""
    return "".join(_written(part, syntax) for part in parts)


def _written(part: Part, syntax: Syntax) -> str:
    if isinstance(part, Variable):
        return f"{{{{ {part.name} }}}}" if syntax is Syntax.JINJA else f"{{{{{part.name}}}}}"
    if isinstance(part, Include):
        return include(part.name, syntax)
    return as_text(part, syntax)


def include(name: str, syntax: Syntax, version: str = UNPINNED) -> str:
    """An include of this snippet."""
    reference = f"{name}@{version}" if version else name
    return f'{{% include "{reference}" %}}' if syntax is Syntax.JINJA else f"{{{{> {reference}}}}}"


def as_text(text: str, syntax: Syntax) -> str:
    """Plain text, so that the template language shows it as it is."""
    if syntax is Syntax.MUSTACHE:
        return text
    return JINJA_SIGNS.sub(lambda match: f'{{{{ "{match.group()}" }}}}', text)


def pinned(text: str, name: str, version: str, syntax: Syntax) -> str:
    """The text with includes of the snippet naming this version; with an empty one, no version."""
    return text.replace(include(name, syntax), include(name, syntax, version))


def unpinned_names(text: str) -> list[str]:
    """The snippets whose version is not known yet."""
    return list(dict.fromkeys(re.findall(rf"([A-Za-z0-9][A-Za-z0-9._/-]*)@{UNPINNED}\b", text)))

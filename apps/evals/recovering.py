"""What variables a prompt was filled with, read back from the messages that were sent. Free of Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import regex

TAG = regex.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,99})\s*\}\}")
OTHER_TAGS = regex.compile(r"\{\{|\{%|\{#")
MATCH_SECONDS = 0.5


def variables_of(templates: Sequence[Mapping[str, str]], sent: Sequence[Mapping[str, object]]) -> dict[str, str] | None:
    """The variables with which the templates say what was sent; None when that cannot be told.

    Only templates whose tags are all plain `{{ name }}` are read back, and only when each message of the template was
    sent, in its role and with nothing between. A value stands for one text everywhere.
    """
    if not templates or len(templates) != len(sent):
        return None
    found: dict[str, str] = {}
    for template, message in zip(templates, sent, strict=True):
        content = message.get("content")
        if template.get("role") != message.get("role") or not isinstance(content, str):
            return None
        values = _values(str(template.get("content") or ""), content, found)
        if values is None:
            return None
        found |= values
    return found or None


def _values(template: str, text: str, known: Mapping[str, str]) -> dict[str, str] | None:
    """The values in one text; None when the template cannot have said it."""
    pattern, names, end = "", [], 0
    for tag in TAG.finditer(template):
        pattern += regex.escape(template[end : tag.start()])
        name = tag[1]
        if name in known:
            pattern += regex.escape(known[name])
        elif name in names:
            pattern += f"(?P={name})"
        else:
            names.append(name)
            pattern += f"(?P<{name}>.*?)"
        end = tag.end()
    if OTHER_TAGS.search(TAG.sub("", template)):
        return None
    try:
        match = regex.fullmatch(pattern + regex.escape(template[end:]), text, flags=regex.DOTALL, timeout=MATCH_SECONDS)
    except TimeoutError:
        return None
    return None if match is None else match.groupdict()

"""Prompt hubs in plain YAML: `name` as owner/name, `text` with `{variables}`, and a card in Markdown beside it."""

from __future__ import annotations

import re
from typing import Any

from apps.prompts.files import templates, yaml_text
from apps.prompts.files.building import Builder, Files, name_from, tags_of, text_of
from apps.prompts.files.found import Found

TEXT_KEYS = ("text", "prompt_text", "prompt", "template")
KNOWN = frozenset({"name", "description", "tags", "version", "meta", *TEXT_KEYS})
VARIABLE = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")
CALL = re.compile(r"(?<!\{)\{[A-Za-z_]\w*\(")

Json = Any


def card_of(path: str) -> str:
    """Where the card of this file stands."""
    return re.sub(r"\.ya?ml$", ".md", path)


def read(files: Files, path: str) -> Found:
    """The prompt in this file. Raises BadFile."""
    root = yaml_text.mapping(text_of(files, path).removeprefix("\ufeff"))
    told = yaml_text.plain(root)
    build = Builder(path, "Prompt hub")
    key = next((one for one in TEXT_KEYS if isinstance(told.get(one), str)), None)
    if key is None:
        raise root.refuse("There is no 'text:' with the prompt's text.")
    parts = _parts(told[key], build)
    build.syntax = templates.syntax_for([parts])
    build.text(templates.written(parts, build.syntax))
    build.extra |= {one: value for one, value in told.items() if one not in KNOWN}
    if told.get("meta"):
        build.extra["meta"] = told["meta"]
    paths, card = [path], card_of(path)
    description = str(told.get("description") or "")
    if card in files:
        paths.append(card)
        build.extra["card"] = text_of(files, card)
        build.note(f"The card {card} was kept with the prompt.")
    name = str(told.get("name") or name_from(path, ".yaml", ".yml"))
    return build.found(
        name,
        paths=tuple(paths),
        version=told.get("version", ""),
        description=description,
        tags=tags_of(told.get("tags")),
    )


def _parts(text: str, build: Builder) -> list[templates.Part]:
    """The text with its variables. Calls of functions stay as text."""

    def part(match: re.Match[str]) -> templates.Part:
        build.declare(match.group(1))
        return templates.Variable(match.group(1))

    if "{{" in text:
        return templates.simple(text)
    call = CALL.search(text)
    if call is not None:
        line = text[: call.start()].count("\n") + 1
        build.note(f"A function is called in line {line} of the text, {call.group()}…; it stayed as text.")
    return templates.split(text, VARIABLE, part)

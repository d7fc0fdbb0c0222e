"""Bringing a draft onto a newer version: what either side changed is kept, part by part. Pure.

Parts are a message, a variable, a parameter, a tool, and the fields that stand alone. Where both sides changed one
part differently, the draft's stays and the part is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from apps.prompts.content import Content

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Rebased:
    """The merged content. `clashes` names the parts that both sides changed, in words."""

    content: Content
    clashes: tuple[str, ...]


def rebase(base: Content, mine: Content, theirs: Content) -> Rebased:
    """Mine, with what changed from base to theirs."""
    clashes: list[str] = []

    def part(words: str, old: Value, own: Value, new: Value) -> Value:
        if own in (old, new):
            return new
        if new != old:
            clashes.append(words)
        return own

    merged = replace(
        mine,
        syntax=part("syntax", base.syntax, mine.syntax, theirs.syntax),
        model=part("model", base.model, mine.model, theirs.model),
        response_schema=part("answer schema", base.response_schema, mine.response_schema, theirs.response_schema),
        variables=_by_key("variable", _variables(base), _variables(mine), _variables(theirs), clashes),
        parameters=_mapping("parameter", base.parameters, mine.parameters, theirs.parameters, clashes),
        tools=_by_key("tool", _tools(base), _tools(mine), _tools(theirs), clashes),
        extra=_mapping("key", base.extra, mine.extra, theirs.extra, clashes),
    )
    if len({(one.kind, len(one.messages)) for one in (base, mine, theirs)}) == 1:
        rows = zip(base.messages, mine.messages, theirs.messages, strict=True)
        kind, messages = mine.kind, tuple(part(f"message {at}", *row) for at, row in enumerate(rows, 1))
    else:
        # A text is one message, so the messages of one kind do not go with the other.
        kind, messages = part("messages", *((one.kind, one.messages) for one in (base, mine, theirs)))
    return Rebased(replace(merged, kind=kind, messages=messages), tuple(clashes))


def _variables(content: Content) -> dict[str, Any]:
    return {variable.name: variable for variable in content.variables}


def _tools(content: Content) -> dict[str, Any]:
    return {str(tool["function"]["name"]): tool for tool in content.tools}


def _by_key(
    word: str, old: Mapping[str, Any], own: Mapping[str, Any], new: Mapping[str, Any], clashes: list[str]
) -> tuple[Any, ...]:
    return tuple(_mapping(word, old, own, new, clashes).values())


def _mapping(
    word: str, old: Mapping[str, Any], own: Mapping[str, Any], new: Mapping[str, Any], clashes: list[str]
) -> dict[str, Any]:
    """Keys in the order of mine, then those that only theirs has."""
    missing = object()
    merged = {}
    for key in [*own, *(key for key in new if key not in own)]:
        was, mine, theirs = (side.get(key, missing) for side in (old, own, new))
        if mine in (was, theirs):
            kept = theirs
        else:
            kept = mine
            if theirs != was:
                clashes.append(f"{word} {key}")
        if kept is not missing:
            merged[key] = kept
    return merged

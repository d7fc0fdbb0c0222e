"""What a promotion changes, in sentences: the content, the model and the parameters of two candidates. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.prompts.content import Content
from apps.prompts.diffing import Change, FieldChange, MessageChange, PieceKind, difference

MOST_SENTENCES = 40
MOST_VALUE = 80
"""Characters of a value in a sentence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is, or would be, live: a version's content, on a model instead of its own when one is given."""

    version: str
    content: Content
    model: str = ""

    @property
    def answering(self) -> str:
        """The model that answers; empty when nobody named one."""
        return self.model or self.content.model or ""


def sentences(before: Candidate | None, after: Candidate) -> tuple[str, ...]:
    """What is different about `after`, the most telling first. Without a `before`, nothing was live."""
    on = f" on {after.answering}" if after.answering else ""
    if before is None:
        return (f"It is the first version here: {after.version}{on}.",)
    found = [*_version(before, after), *_model(before, after)]
    told = difference(before.content, after.content)
    found += [sentence for one in told.messages if (sentence := _message(one, len(told.messages)))]
    found += [_field(one) for one in told.fields if one.path != "model"]
    if told.is_same and before.answering == after.answering:
        found.append("It says the same, word by word.")
    if len(found) > MOST_SENTENCES:
        left = len(found) - MOST_SENTENCES + 1
        found = [*found[: MOST_SENTENCES - 1], f"{left} more changes."]
    return tuple(found)


def _version(before: Candidate, after: Candidate) -> list[str]:
    if before.version == after.version:
        return [f"The version stays {after.version}."]
    return [f"Version {after.version} replaces {before.version}."]


def _model(before: Candidate, after: Candidate) -> list[str]:
    old, new = before.answering, after.answering
    if old == new:
        return []
    if not old or not new:
        return [
            f"It names the model {new}; before, callers chose." if new else f"It names no model; before, it was {old}."
        ]
    return [f"The model changes from {old} to {new}."]


def _message(one: MessageChange, of: int) -> str:
    """What became of the message; empty when nothing did."""
    place = (one.new_index if one.new_index is not None else one.old_index or 0) + 1
    name = f"The {one.role} message" if of == 1 else f"Message {place} ({one.role})"
    if one.change is Change.ADDED:
        return f"{name} is new."
    if one.change is Change.REMOVED:
        return f"{name} is gone."
    if one.change is Change.MOVED:
        return f"{name} moved: it was number {(one.old_index or 0) + 1}."
    if one.change is Change.EQUAL:
        return ""
    added = _words(one, PieceKind.INSERT)
    removed = _words(one, PieceKind.DELETE)
    if not added and not removed:
        return f"{name} changed."
    return f"{name} changed: {_count(added)} added, {_count(removed)} removed."


def _words(one: MessageChange, kind: PieceKind) -> int:
    return sum(len(piece.text.split()) for piece in one.pieces if piece.kind is kind)


def _count(words: int) -> str:
    return "1 word" if words == 1 else f"{words:,} words"


def _field(one: FieldChange) -> str:
    if one.change is Change.ADDED:
        return f"{_named(one)} is new: {_short(one.new)}."
    if one.change is Change.REMOVED:
        return f"{_named(one)} is gone; it was {_short(one.old)}."
    return f"{_named(one)} changes from {_short(one.old)} to {_short(one.new)}."


SECTIONS = {"parameters": "The parameter", "variables": "The variable", "tools": "The tool"}


def _named(one: FieldChange) -> str:
    section, _, rest = one.path.partition(".")
    return f"{SECTIONS[section]} {rest}" if section in SECTIONS and rest else one.path.replace("_", " ").capitalize()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 1]}…"

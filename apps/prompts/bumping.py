"""How large a step a change of a prompt is, and why.

Major: whoever calls the prompt must change something (a variable or a part of the answer is gone, renamed, newly
required or of another type). Minor: callers may go on, and the answers may differ in kind (new optional variable,
model, parameters, tools, an answer with more fields). Patch: wording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.prompts.content import Content, content_hash
from apps.prompts.types import Bump


@dataclass(frozen=True, slots=True)
class Reason:
    """One difference, how large a step it alone would be, and a sentence that names it."""

    bump: Bump
    sentence: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The step that a change needs. `is_same` means that nothing changed that a model could notice."""

    bump: Bump
    reasons: tuple[Reason, ...]
    is_same: bool = False


def suggest(old: Content, new: Content) -> Suggestion:
    """The step from the old content to the new: the largest of its differences, which come largest first."""
    reasons = sorted(_differences(old, new), key=lambda reason: -reason.bump.rank)
    if not reasons:
        same = content_hash(old) == content_hash(new)
        return Suggestion(Bump.PATCH, (Reason(Bump.PATCH, "Nothing changed that a model could notice."),), same)
    return Suggestion(reasons[0].bump, tuple(reasons))


def _differences(old: Content, new: Content) -> Iterator[Reason]:
    yield from _variables(old, new)
    yield from _answer(old, new)
    if old.kind is not new.kind:
        yield Reason(Bump.MAJOR, f"It was a {old.kind.value} prompt and is a {new.kind.value} prompt.")
    if old.syntax is not new.syntax:
        yield Reason(Bump.MINOR, f"Templates are written in {new.syntax.value} instead of {old.syntax.value}.")
    if old.model != new.model:
        yield Reason(Bump.MINOR, f"Model: {old.model or 'none'} → {new.model or 'none'}.")
    yield from _keyed("Parameter", old.parameters, new.parameters)
    yield from _keyed("Tool", _by_name(old), _by_name(new))
    yield from _wording(old, new)


def _variables(old: Content, new: Content) -> Iterator[Reason]:
    before = {one.name: one for one in old.variables}
    after = {one.name: one for one in new.variables}
    for name in sorted(before.keys() - after.keys()):
        yield Reason(Bump.MAJOR, f"Variable {name} was removed or renamed.")
    for name in sorted(after.keys() - before.keys()):
        if after[name].is_required:
            yield Reason(Bump.MAJOR, f"Variable {name} is new and required.")
        else:
            yield Reason(Bump.MINOR, f"Optional variable {name} was added.")
    for name in sorted(before.keys() & after.keys()):
        was, now = before[name], after[name]
        if was.type is not now.type:
            yield Reason(Bump.MAJOR, f"Variable {name} is of type {now.type.value}, was {was.type.value}.")
        if now.is_required and not was.is_required:
            yield Reason(Bump.MAJOR, f"Variable {name} is required now.")
        elif was.is_required and not now.is_required:
            yield Reason(Bump.MINOR, f"Variable {name} is optional now.")
        if was.default != now.default:
            yield Reason(Bump.MINOR, f"Variable {name} has another default.")


def _answer(old: Content, new: Content) -> Iterator[Reason]:
    """What callers read from an answer with a schema."""
    was, now = old.response_schema, new.response_schema
    if was == now:
        return
    if was is None:
        yield Reason(Bump.MAJOR, "Answers have a schema now.")
    elif now is None:
        yield Reason(Bump.MAJOR, "Answers have no schema any more.")
    else:
        yield from _schema(was, now, "")


def _schema(was: Mapping[str, Any], now: Mapping[str, Any], place: str) -> Iterator[Reason]:
    before, after = _properties(was), _properties(now)
    for name in sorted(before.keys() - after.keys()):
        yield Reason(Bump.MAJOR, f"Field {place}{name} of the answer was removed or renamed.")
    for name in sorted(after.keys() - before.keys()):
        yield Reason(Bump.MINOR, f"Field {place}{name} of the answer was added.")
    for name in sorted(before.keys() & after.keys()):
        one, other = before[name], after[name]
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping) and one.get("type") == other.get("type"):
            yield from _schema(one, other, f"{place}{name}.")
        else:
            yield Reason(Bump.MAJOR, f"Field {place}{name} of the answer is of another type.")
    lost = sorted(set(_required(was)) & before.keys() & after.keys() - set(_required(now)))
    for name in lost:
        yield Reason(Bump.MAJOR, f"Field {place}{name} of the answer may be missing now.")
    others = [{key: value for key, value in one.items() if key not in {"properties", "required"}} for one in (was, now)]
    if others[0] != others[1]:
        yield Reason(Bump.MINOR, f"The schema of {place.rstrip('.') or 'the answer'} says something else.")
    elif set(_required(now)) - set(_required(was)) and not lost:
        yield Reason(Bump.MINOR, f"More fields of {place.rstrip('.') or 'the answer'} are always there.")


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an object's schema, also of the objects in a list."""
    items = schema.get("items")
    found = schema.get("properties") or (items.get("properties") if isinstance(items, Mapping) else None)
    return dict(found) if isinstance(found, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _by_name(content: Content) -> dict[str, Any]:
    return {str(tool["function"]["name"]): tool for tool in content.tools}


def _keyed(word: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Reason]:
    for name in sorted(old.keys() - new.keys()):
        yield Reason(Bump.MINOR, f"{word} {name} was removed.")
    for name in sorted(new.keys() - old.keys()):
        yield Reason(Bump.MINOR, f"{word} {name} was added.")
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield Reason(Bump.MINOR, f"{word} {name} was changed.")


def _wording(old: Content, new: Content) -> Iterator[Reason]:
    before, after = old.messages, new.messages
    if [message.role for message in before] != [message.role for message in after]:
        yield Reason(Bump.PATCH, f"The messages are others: {len(before)} before, {len(after)} now.")
    elif before != after:
        changed = [str(place + 1) for place, (was, now) in enumerate(zip(before, after, strict=True)) if was != now]
        numbers = ", ".join(changed)
        yield Reason(Bump.PATCH, f"Wording of message {numbers}." if len(before) > 1 else "Wording.")

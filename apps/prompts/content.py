"""What a version of a prompt holds, as values: read from JSON with errors by field, written back, and hashed.

The hash is over what changes a model's behaviour. Samples, descriptions and unknown keys of a file are not part of it,
so two versions with one hash behave alike.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from apps.core.errors import DomainError
from apps.prompts.types import Kind, Syntax, VariableType

ROLES = ("system", "developer", "user", "assistant", "tool", "placeholder")
MAX_TEXT = 256 * 1024
"""The most characters in one message."""
MAX_MESSAGES, MAX_VARIABLES, MAX_TOOLS = 200, 200, 128
MAX_JSON = 512 * 1024
"""The most characters of the whole content as JSON."""
MAX_DEPTH = 32
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
FIELDS = frozenset(
    {"kind", "syntax", "messages", "text", "variables", "model", "parameters", "tools", "response_schema", "extra"}
)
NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL cannot hold."""

Choice = TypeVar("Choice", Kind, Syntax, VariableType)
Json = Any


class BadContent(DomainError):
    """The content cannot be a prompt; `details` maps fields (as `messages.0.role`) to sentences."""

    code, http_status = "invalid", 422
    message = "One or more fields need a change."

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__()
        self.details = dict(problems)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. With the role `placeholder`, `content` names a variable of type messages that stands here."""

    role: str
    content: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that the caller gives. One that is not required and has no default is empty when it is not given."""

    name: str
    type: VariableType = VariableType.TEXT
    is_required: bool = True
    default: Json = None
    description: str = ""
    sample: Json = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is versioned. A text prompt has exactly one message, of role `user`."""

    kind: Kind = Kind.CHAT
    syntax: Syntax = Syntax.MUSTACHE
    messages: tuple[Message, ...] = ()
    variables: tuple[Variable, ...] = ()
    model: str = ""
    """The model it was written for, as `connection/model` or the bare name; empty: the caller chooses."""
    parameters: Mapping[str, Json] = field(default_factory=dict)
    tools: tuple[Mapping[str, Json], ...] = ()
    """Functions in OpenAI's shape."""
    response_schema: Mapping[str, Json] | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)
    """Keys of a prompt file that mean nothing here and are kept."""

    @property
    def text(self) -> str:
        """The text of a text prompt; of a conversation, its messages one after the other."""
        return "\n\n".join(message.content for message in self.messages)

    def variable(self, name: str) -> Variable | None:
        """The variable of this name."""
        return next((one for one in self.variables if one.name == name), None)

    @property
    def samples(self) -> dict[str, Json]:
        """The sample values of the variables that have one."""
        return {one.name: one.sample for one in self.variables if one.sample is not None}


def text_content(text: str, **others: Any) -> Content:
    """A text prompt with this text."""
    return Content(kind=Kind.TEXT, messages=(Message("user", text),), **others)


def content_as_dict(content: Content) -> dict[str, Json]:
    """The content as JSON values; `content_from_dict` gives it back equal."""
    told: dict[str, Json] = {
        "kind": content.kind.value,
        "syntax": content.syntax.value,
        "messages": [message_as_dict(message) for message in content.messages],
        "variables": [_variable_as_dict(variable) for variable in content.variables],
        "model": content.model,
        "parameters": dict(content.parameters),
        "tools": [dict(tool) for tool in content.tools],
        "response_schema": None if content.response_schema is None else dict(content.response_schema),
    }
    return {**told, "extra": dict(content.extra)} if content.extra else told


def message_as_dict(message: Message) -> dict[str, Json]:
    """The message as JSON values; a name only when there is one."""
    told = {"role": message.role, "content": message.content}
    return {**told, "name": message.name} if message.name else told


def _variable_as_dict(variable: Variable) -> dict[str, Json]:
    return {
        "name": variable.name,
        "type": variable.type.value,
        "required": variable.is_required,
        "default": variable.default,
        "description": variable.description,
        "sample": variable.sample,
    }


def content_hash(content: Content) -> str:
    """SHA-256, as 64 hexadecimal digits, over the canonical JSON of all that changes a model's behaviour."""
    told = content_as_dict(content)
    told.pop("extra", None)
    told["variables"] = sorted(
        ({key: one[key] for key in ("name", "type", "required", "default")} for one in told["variables"]),
        key=lambda one: str(one["name"]),
    )
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class _Problems:
    """Sentences by field, gathered while reading."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, place: str, sentence: str) -> None:
        self.found.setdefault(place, []).append(sentence)


def content_from_dict(told: Mapping[str, Json]) -> Content:
    """The content that the JSON object tells. Raises BadContent with sentences by field.

    `text` may stand in place of `messages` in a text prompt. Unknown fields are refused.
    """
    problems = _Problems()
    for unknown in sorted(set(told) - FIELDS):
        problems.add(unknown, f"Unknown field. Known are: {', '.join(sorted(FIELDS))}.")
    # Strangers in the values come first: nothing else here has to think of them.
    _look_through(told, problems)
    if problems.found:
        raise BadContent(problems.found)
    has_text = "text" in told and "messages" not in told
    kind = _choice(Kind, told.get("kind", "text" if has_text else "chat"), "kind", problems)
    content = Content(
        kind=kind,
        syntax=_choice(Syntax, told.get("syntax", "mustache"), "syntax", problems),
        messages=_messages(told, kind, problems),
        variables=_variables(told.get("variables", []), problems),
        model=_short_text(told.get("model") or "", "model", 200, problems),
        parameters=_object(told.get("parameters") or {}, "parameters", problems),
        tools=_tools(told.get("tools") or [], problems),
        response_schema=_schema(told.get("response_schema"), problems),
        extra=_object(told.get("extra") or {}, "extra", problems),
    )
    if problems.found:
        raise BadContent(problems.found)
    return content


def _look_through(told: Mapping[str, Json], problems: _Problems) -> None:
    """Find what cannot be stored: too much, too deep, characters and numbers that JSON in PostgreSQL cannot hold."""
    size = 0
    for place, value, depth in _walk(told):
        if depth > MAX_DEPTH:
            problems.add(place, f"This is nested more than {MAX_DEPTH} levels deep.")
            return
        if isinstance(value, str):
            size += len(value)
            if NOT_IN_TEXT.search(value):
                problems.add(place, "This holds a character that cannot be stored (NUL or half a surrogate pair).")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.add(place, "Use a number that is neither NaN nor infinite.")
        elif isinstance(value, int) and abs(value) >= 2**63:
            problems.add(place, "Use a smaller number.")
        size += 4
        if size > MAX_JSON:
            problems.add(place, f"A prompt may hold {MAX_JSON // 1024} KiB in all.")
            return


def _walk(told: Json) -> Iterator[tuple[str, Json, int]]:
    """Every value and key with its place and depth, without recursion."""
    waiting: list[tuple[str, Json, int]] = [("", told, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        yield place or "content", value, depth
        if depth > MAX_DEPTH:
            continue
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield place or "content", str(key), depth
                waiting.append((f"{place}.{key}" if place else str(key), item, depth + 1))
        elif isinstance(value, list | tuple):
            waiting += [(f"{place}.{index}", item, depth + 1) for index, item in enumerate(value)]


def _choice(choices: type[Choice], value: Json, place: str, problems: _Problems) -> Choice:
    try:
        return choices(value)
    except ValueError:
        problems.add(place, f"Choose one of: {', '.join(choices)}.")
        return next(iter(choices))


def _short_text(value: Json, place: str, limit: int, problems: _Problems) -> str:
    if not isinstance(value, str):
        problems.add(place, "This must be text.")
        return ""
    if len(value) > limit:
        problems.add(place, f"At most {limit:,} characters.")
    return value


def _object(value: Json, place: str, problems: _Problems) -> dict[str, Json]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        problems.add(place, "This must be an object.")
        return {}
    return dict(value)


def _list(value: Json, place: str, most: int, problems: _Problems) -> list[tuple[str, Mapping[str, Json]]]:
    """The objects of a list, each with its place."""
    if not isinstance(value, list | tuple):
        problems.add(place, "This must be a list.")
        return []
    if len(value) > most:
        problems.add(place, f"At most {most} of these.")
        return []
    items = []
    for index, item in enumerate(value):
        if isinstance(item, Mapping):
            items.append((f"{place}.{index}", item))
        else:
            problems.add(f"{place}.{index}", "This must be an object.")
    return items


def _refuse_unknown(item: Mapping[str, Json], known: frozenset[str], place: str, problems: _Problems) -> None:
    for unknown in sorted(set(item) - known):
        problems.add(f"{place}.{unknown}", f"Unknown field. Known are: {', '.join(sorted(known))}.")


def _messages(told: Mapping[str, Json], kind: Kind, problems: _Problems) -> tuple[Message, ...]:
    if "text" in told:
        if "messages" in told or kind is not Kind.TEXT:
            problems.add("text", "Only a text prompt has a text, and it has no messages beside it.")
        return (Message("user", _short_text(told["text"], "text", MAX_TEXT, problems)),)
    items = _list(told.get("messages", []), "messages", MAX_MESSAGES, problems)
    messages = tuple(_message(item, place, problems) for place, item in items)
    if kind is Kind.TEXT and [message.role for message in messages] != ["user"]:
        problems.add("messages", "A text prompt has exactly one message, of role user.")
    elif not messages and "messages" not in problems.found:
        problems.add("messages", "A prompt needs at least one message.")
    return messages


def _message(item: Mapping[str, Json], place: str, problems: _Problems) -> Message:
    _refuse_unknown(item, frozenset({"role", "content", "name"}), place, problems)
    role = item.get("role")
    if role not in ROLES:
        problems.add(f"{place}.role", f"Choose one of: {', '.join(ROLES)}.")
    content = _short_text(item.get("content", ""), f"{place}.content", MAX_TEXT, problems)
    if role == "placeholder" and not VARIABLE_NAME.fullmatch(content):
        problems.add(f"{place}.content", "A placeholder names a variable of type messages, such as history.")
    return Message(str(role), content, _short_text(item.get("name") or "", f"{place}.name", 200, problems))


def _variables(value: Json, problems: _Problems) -> tuple[Variable, ...]:
    found: dict[str, Variable] = {}
    for place, item in _list(value, "variables", MAX_VARIABLES, problems):
        variable = _variable(item, place, problems)
        if variable.name in found:
            problems.add(f"{place}.name", f"There are two variables {variable.name}.")
        found[variable.name] = variable
    return tuple(found.values())


VARIABLE_FIELDS = frozenset({"name", "type", "required", "default", "description", "sample"})


def _variable(item: Mapping[str, Json], place: str, problems: _Problems) -> Variable:
    _refuse_unknown(item, VARIABLE_FIELDS, place, problems)
    name = item.get("name")
    if not isinstance(name, str) or not VARIABLE_NAME.fullmatch(name):
        problems.add(f"{place}.name", "Use letters, digits and underscores, and begin with a letter.")
    required = item.get("required", item.get("default") is None)
    if not isinstance(required, bool):
        problems.add(f"{place}.required", "This is true or false.")
    variable = Variable(
        name=str(name),
        type=_choice(VariableType, item.get("type", "text"), f"{place}.type", problems),
        is_required=bool(required),
        default=item.get("default"),
        description=_short_text(item.get("description") or "", f"{place}.description", 2000, problems),
        sample=item.get("sample"),
    )
    for part in ("default", "sample"):
        given = getattr(variable, part)
        if given is not None and not fits(given, variable.type):
            problems.add(f"{place}.{part}", f"This is not a value of type {variable.type.value}.")
    return variable


def fits(value: Json, kind: VariableType) -> bool:
    """True when the JSON value is one of this type. A number also fits where text is wanted."""
    if kind is VariableType.TEXT:
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if kind is VariableType.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is VariableType.BOOLEAN:
        return isinstance(value, bool)
    if kind is VariableType.OBJECT:
        return isinstance(value, Mapping)
    if not isinstance(value, list | tuple):
        return False
    return kind is VariableType.LIST or all(_is_message(item) for item in value)


def _is_message(item: Json) -> bool:
    """True for a message as callers give one: a role, and text or anything a provider takes as content."""
    return isinstance(item, Mapping) and isinstance(item.get("role"), str) and "content" in item


def _tools(value: Json, problems: _Problems) -> tuple[Mapping[str, Json], ...]:
    tools = []
    for place, item in _list(value, "tools", MAX_TOOLS, problems):
        function = item.get("function")
        if item.get("type") != "function" or not isinstance(function, Mapping) or not function.get("name"):
            problems.add(place, 'A tool looks like {"type": "function", "function": {"name": …, "parameters": …}}.')
        tools.append(dict(item))
    return tuple(tools)


def _schema(value: Json, problems: _Problems) -> Mapping[str, Json] | None:
    if value is None or value == {}:
        return None
    if not isinstance(value, Mapping):
        problems.add("response_schema", "This must be a JSON Schema, as an object.")
        return None
    return dict(value)

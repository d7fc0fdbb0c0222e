"""What somebody has typed into the editor, kept as text until it is a content. Pure.

A content becomes text and the text becomes the same content again. Whatever cannot be read comes back as it was typed,
with a sentence beside its field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from apps.prompts.content import BadContent, Content, Message, Variable, content_as_dict, content_from_dict
from apps.prompts.types import Kind, Syntax, VariableType

Problems = Mapping[str, Sequence[str]]
"""Sentences by field: `messages.0.content`, `variables.2.sample`, `temperature`, `tools`; `""` is the whole form."""

EXAMPLES = {"temperature": "0.7", "max_tokens": "300", "top_p": "0.9"}
NUMBERS = tuple(EXAMPLES)
"""Parameters with a field of their own, besides `stop`."""
ROW_FIELDS = {
    "messages": ("role", "content", "name"),
    "variables": ("name", "type", "required", "default", "description", "sample"),
}
JSON_FIELDS = ("parameters", "tools", "response_schema", "extra")
PLAIN_FIELDS = ("kind", "syntax", "model", *NUMBERS, "stop", *JSON_FIELDS)
MOST_ROWS = 250


@dataclass(frozen=True, slots=True)
class TypedMessage:
    """One message as typed."""

    role: str
    content: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class TypedVariable:
    """One variable as typed; `required` is yes or no."""

    name: str
    type: str = VariableType.TEXT.value
    required: str = "yes"
    default: str = ""
    description: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """The whole form as typed."""

    kind: str = Kind.CHAT.value
    syntax: str = Syntax.MUSTACHE.value
    messages: tuple[TypedMessage, ...] = ()
    variables: tuple[TypedVariable, ...] = ()
    model: str = ""
    temperature: str = ""
    max_tokens: str = ""
    top_p: str = ""
    stop: str = ""
    parameters: str = ""
    tools: str = ""
    response_schema: str = ""
    extra: str = ""


EMPTY_CHAT = Content(kind=Kind.CHAT, messages=(Message("system", ""), Message("user", "")))
EMPTY_TEXT = Content(kind=Kind.TEXT, messages=(Message("user", ""),))


# --- From a content to text -------------------------------------------------------------------------------------------


def typed_from_content(content: Content) -> Typed:
    """The content as the fields of the editor show it."""
    others = dict(content.parameters)
    numbers = {name: _text(others.pop(name)) for name in NUMBERS if _is_number(others.get(name))}
    stop = _stop_text(others.pop("stop")) if _is_stop(others.get("stop")) else ""
    return Typed(
        kind=content.kind.value,
        syntax=content.syntax.value,
        messages=tuple(TypedMessage(one.role, one.content, one.name) for one in content.messages),
        variables=tuple(_typed_variable(one) for one in content.variables),
        model=content.model,
        stop=stop,
        parameters=_pretty(others) if others else "",
        tools=_pretty([dict(tool) for tool in content.tools]) if content.tools else "",
        response_schema="" if content.response_schema is None else _pretty(dict(content.response_schema)),
        extra=_pretty(dict(content.extra)) if content.extra else "",
        **numbers,
    )


def _typed_variable(variable: Variable) -> TypedVariable:
    return TypedVariable(
        name=variable.name,
        type=variable.type.value,
        required="yes" if variable.is_required else "no",
        default=_value_text(variable.default, variable.type),
        description=variable.description,
        sample=_value_text(variable.sample, variable.type),
    )


def _value_text(value: Any, kind: VariableType) -> str:
    """A value as typed. Text stands bare, unless it would be read as something else."""
    if value is None:
        return ""
    if kind is VariableType.TEXT and isinstance(value, str):
        return _text(value) if value == "" or _quoted(value) is not None else value
    return _text(value) if kind in {VariableType.NUMBER, VariableType.BOOLEAN, VariableType.TEXT} else _pretty(value)


def _quoted(text: str) -> str | None:
    """What the text says when it is JSON text in its quotes."""
    bare = text.strip()
    if len(bare) < 2 or not (bare[0] == bare[-1] == '"'):
        return None
    try:
        value = json.loads(bare)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_stop(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(one, str) for one in value)


def _stop_text(value: Any) -> str:
    if isinstance(value, str):
        return _text(value) if value != value.strip() or _quoted(value) is not None or value[0] == "[" else value
    return _text(list(value))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


# --- From a form to text ----------------------------------------------------------------------------------------------


def typed_from_form(lists: Mapping[str, Sequence[Any]]) -> Typed:
    """What the posted form says. Rows are lists side by side: the third `message_role` goes with the third
    `message_content`. Line ends are those of Unix, as nothing else can be told in a browser's form.
    """
    plain = {name: _unix(lists[name][-1]) for name in PLAIN_FIELDS if lists.get(name)}
    rows = {name: _rows(lists, name) for name in ROW_FIELDS}
    return Typed(
        messages=tuple(TypedMessage(**row) for row in rows["messages"]),
        variables=tuple(TypedVariable(**row) for row in rows["variables"]),
        **plain,
    )


def _rows(lists: Mapping[str, Sequence[Any]], table: str) -> list[dict[str, str]]:
    columns = {part: lists.get(f"{table[:-1]}_{part}", ()) for part in ROW_FIELDS[table]}
    count = min(max(len(column) for column in columns.values()), MOST_ROWS)
    defaults = {"type": VariableType.TEXT.value, "required": "yes", "role": "user"}
    return [
        {part: _unix(column[at]) if at < len(column) else defaults.get(part, "") for part, column in columns.items()}
        for at in range(count)
    ]


def _unix(text: Any) -> str:
    return str(text).replace("\r\n", "\n").replace("\r", "\n")


# --- From text to a content -------------------------------------------------------------------------------------------


def content_of(typed: Typed) -> Content:
    """The content that was typed. Raises BadContent, whose details are Problems."""
    found: dict[str, list[str]] = {}
    told = {
        "kind": typed.kind,
        "syntax": typed.syntax,
        "messages": [{"role": one.role, "content": one.content, "name": one.name} for one in typed.messages],
        "variables": [_variable(one, place, found) for place, one in enumerate(typed.variables)],
        "model": typed.model.strip(),
        "parameters": _parameters(typed, found),
        "tools": _json(typed.tools, "tools", list, "a list, such as [{…}]", found) or [],
        "response_schema": _json(typed.response_schema, "response_schema", dict, "a JSON Schema, as {…}", found),
        "extra": _json(typed.extra, "extra", dict, "an object, such as {…}", found) or {},
    }
    content = None
    try:
        content = content_from_dict(told)
    except BadContent as error:
        for place, sentences in error.details.items():
            _add(found, field_of(place), *sentences)
    if content is None or found:
        raise BadContent(found)
    return content


def field_of(place: str) -> str:
    """The field of the editor for a place in a content: `tools.0.function` is in `tools`."""
    parts = place.split(".")
    if parts[0] in ROW_FIELDS:
        if len(parts) >= 3 and parts[2] in ROW_FIELDS[parts[0]]:
            return ".".join(parts[:3])
        return parts[0]
    return parts[0] if parts[0] in PLAIN_FIELDS else ""


def _add(found: dict[str, list[str]], place: str, *sentences: str) -> None:
    kept = found.setdefault(place, [])
    kept += [sentence for sentence in sentences if sentence not in kept]


def _variable(one: TypedVariable, place: int, found: dict[str, list[str]]) -> dict[str, Any]:
    where = f"variables.{place}"
    return {
        "name": one.name.strip(),
        "type": one.type,
        "required": one.required != "no",
        "default": _value(one.default, one.type, f"{where}.default", found),
        "description": one.description,
        "sample": _value(one.sample, one.type, f"{where}.sample", found),
    }


WANTED = {
    VariableType.NUMBER.value: "a number, such as 3 or 0.5",
    VariableType.BOOLEAN.value: "true or false",
    VariableType.LIST.value: 'a list, such as ["one", "two"]',
    VariableType.OBJECT.value: 'an object, such as {"name": "value"}',
    VariableType.MESSAGES.value: 'a list of messages, such as [{"role": "user", "content": "Hello"}]',
}


def _value(text: str, kind: str, place: str, found: dict[str, list[str]]) -> Any:
    """A default or a sample; nothing typed is no value."""
    if kind == VariableType.TEXT.value or kind not in WANTED:
        quoted = _quoted(text)
        return (text or None) if quoted is None else quoted
    if kind not in {VariableType.NUMBER.value, VariableType.BOOLEAN.value}:
        return _json(text, place, object, WANTED[kind], found)
    unread: dict[str, list[str]] = {}
    value = _json(text, place, object, "", unread)
    if unread:
        _add(found, place, f"Write {WANTED[kind]}.")
    return value


def _parameters(typed: Typed, found: dict[str, list[str]]) -> dict[str, Any]:
    others = _json(typed.parameters, "parameters", dict, 'an object, such as {"seed": 7}', found) or {}
    own: dict[str, Any] = {}
    for name in NUMBERS:
        text = getattr(typed, name).strip()
        if not text:
            continue
        number = _json(text, name, object, "", {})
        if _is_number(number):
            own[name] = number
        else:
            _add(found, name, f"Write a number, such as {EXAMPLES[name]}.")
    if typed.stop.strip():
        own["stop"] = _stop(typed.stop, found)
    for name in own.keys() & others.keys():
        _add(found, "parameters", f"{name} has a field of its own. Write it there, and take it out here.")
    return {**others, **own}


def _stop(text: str, found: dict[str, list[str]]) -> Any:
    """One text that ends the answer, or several as a JSON list."""
    if text.lstrip().startswith("["):
        value = _json(text, "stop", list, 'one text, or several as ["END", "###"]', found)
        if value is not None and not _is_stop(value):
            _add(found, "stop", 'Write one text, or several as ["END", "###"].')
        return value
    quoted = _quoted(text)
    return text.strip() if quoted is None else quoted


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _json(text: str, place: str, kind: type, wanted: str, found: dict[str, list[str]]) -> Any:
    """The JSON value that was typed; None for nothing, and with a sentence in `found` for what is none."""
    if not text.strip():
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"Line {error.lineno}, column {error.colno}" if "\n" in text.strip() else f"Column {error.colno}"
        _add(found, place, f"This is not JSON. {where}: {error.msg[:1].lower()}{error.msg[1:]}. Write {wanted}.")
        return None
    except (ValueError, RecursionError):
        _add(found, place, f"This cannot be read as JSON. Write {wanted}.")
        return None
    if not isinstance(value, kind):
        _add(found, place, f"Write {wanted}.")
        return None
    return value


# --- Rows by button ---------------------------------------------------------------------------------------------------


def changed(typed: Typed, action: str) -> Typed:
    """The form after one of its buttons: `add_message`, `remove_message:1`, `up:1`, `down:0`, `add_variable`,
    `remove_variable:0`, `declare:name` (several with commas), `kind:text`. Anything else changes nothing.
    """
    verb, _, target = action.partition(":")
    at = int(target) if target.isdecimal() and len(target) < 6 else -1
    messages, variables = list(typed.messages), list(typed.variables)
    if verb == "add_message":
        messages.append(TypedMessage(_next_role(messages), ""))
    elif verb == "remove_message" and 0 <= at < len(messages):
        del messages[at]
    elif verb == "up" and 0 < at < len(messages):
        messages[at - 1 : at + 1] = messages[at], messages[at - 1]
    elif verb == "down" and 0 <= at < len(messages) - 1:
        messages[at : at + 2] = messages[at + 1], messages[at]
    elif verb == "add_variable":
        variables.append(TypedVariable(""))
    elif verb == "remove_variable" and 0 <= at < len(variables):
        del variables[at]
    elif verb == "declare":
        known = {one.name for one in variables}
        threads = {one.content.strip() for one in messages if one.role == "placeholder"}
        for name in dict.fromkeys(target.split(",")):
            if name and name not in known:
                kind = VariableType.MESSAGES if name in threads else VariableType.TEXT
                variables.append(TypedVariable(name, kind.value))
    elif verb == "kind":
        return _of_kind(typed, target)
    return replace(typed, messages=tuple(messages), variables=tuple(variables))


def _next_role(messages: Sequence[TypedMessage]) -> str:
    if not messages:
        return "system"
    return "assistant" if messages[-1].role == "user" else "user"


def _of_kind(typed: Typed, kind: str) -> Typed:
    """A conversation becomes one text with all its messages in it; a text becomes the message of a user."""
    if kind == Kind.TEXT.value:
        text = "\n\n".join(one.content for one in typed.messages if one.content)
        return replace(typed, kind=kind, messages=(TypedMessage("user", text),))
    return replace(typed, kind=kind) if kind == Kind.CHAT.value else typed


def same_content(one: Content, other: Content) -> bool:
    """True when nothing at all differs, descriptions and samples included."""
    return content_as_dict(one) == content_as_dict(other)


# --- Rows as they are shown -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its sentences by part; `lines` is how tall its text is without script."""

    at: int
    typed: Any
    problems: Mapping[str, Sequence[str]]
    lines: int = 1


def message_rows(typed: Typed, problems: Problems) -> list[Row]:
    """The messages with what is wrong with them."""
    return [
        Row(at, one, _of_row(problems, "messages", at), _lines(one.content)) for at, one in enumerate(typed.messages)
    ]


def variable_rows(typed: Typed, problems: Problems) -> list[Row]:
    """The variables with what is wrong with them."""
    return [
        Row(at, one, _of_row(problems, "variables", at), _lines(one.sample)) for at, one in enumerate(typed.variables)
    ]


def _of_row(problems: Problems, table: str, at: int) -> dict[str, Sequence[str]]:
    prefix = f"{table}.{at}."
    return {place.removeprefix(prefix): told for place, told in problems.items() if place.startswith(prefix)}


def _lines(text: str) -> int:
    return min(max(text.count("\n") + 1 + len(text) // 90, 2), 30)


# --- Text that was set aside ------------------------------------------------------------------------------------------


def as_json(typed: Typed) -> str:
    """The form as one text that `from_json` reads back, to go along in a hidden field."""
    return json.dumps(asdict(typed), ensure_ascii=False)


def from_json(text: str) -> Typed | None:
    """The form that the text holds; None for anything else."""
    try:
        told = json.loads(text)
        messages = tuple(TypedMessage(**row) for row in told.pop("messages"))
        variables = tuple(TypedVariable(**row) for row in told.pop("variables"))
        typed = Typed(messages=messages, variables=variables, **told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    values = [getattr(typed, name) for name in PLAIN_FIELDS]
    values += [value for message in messages for value in asdict(message).values()]
    values += [value for variable in variables for value in asdict(variable).values()]
    return typed if all(isinstance(value, str) for value in values) else None

"""The shape of what the page sends: rows of messages and variables, and what goes with them. Nothing typed is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.playground.case import MORE, Case, value_as_text
from apps.playground.selectors import Start
from apps.playground.services import Source
from apps.playground.types import MOST_COLUMNS, Origin
from apps.prompts.content import (
    NOT_IN_TEXT,
    BadContent,
    Content,
    Message,
    Variable,
    content_from_dict,
    fits,
)
from apps.prompts.types import Kind, Syntax, VariableType

Json = Any
LITERAL = "none"
"""In place of a template language: the texts go out as they stand."""

NUMBERS = ("temperature", "max_tokens", "top_p")
"""Parameters that have a field of their own."""
MOST_ROWS = 200
NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])")
"""What PostgreSQL cannot hold, as JSON escapes it: NUL, and halves of surrogate pairs."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as typed. `more` is JSON: what it has beyond its text."""

    role: str = "user"
    text: str = ""
    name: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class VariableRow:
    """A variable with its value as typed. `rest` is JSON: what else a prompt says of it."""

    name: str = ""
    type: str = VariableType.TEXT
    value: str = ""
    rest: str = ""
    error: str = ""
    is_unused: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that is typed, and what is wrong with it: sentences by field."""

    messages: tuple[MessageRow, ...]
    variables: tuple[VariableRow, ...] = ()
    syntax: str = Syntax.MUSTACHE
    kind: str = Kind.CHAT
    numbers: Mapping[str, str] = field(default_factory=dict)
    parameters: str = ""
    tools: str = ""
    response_schema: str = ""
    extra: str = ""
    models: tuple[str, ...] = ()
    origin: str = Origin.EMPTY
    prompt_name: str = ""
    prompt_version: str = ""
    revision: str = ""
    trace_id: str = ""
    span_id: str = ""
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        """True when no message says anything."""
        return not any(row.text or row.more for row in self.messages)

    @property
    def source(self) -> Source:
        """Where the case came from."""
        known = self.origin in set(Origin)
        return Source(
            origin=Origin(self.origin) if known else Origin.EMPTY,
            prompt_name=self.prompt_name[:200],
            prompt_version=self.prompt_version[:64],
            trace_id=self.trace_id[:32],
            span_id=self.span_id[:16],
        )


# --- From a case to the page ----------------------------------------------------------------------------------------


def sheet_of(start: Start) -> Sheet:
    """The case as it is typed."""
    case, content = start.case, start.case.content
    parameters = dict(content.parameters)
    numbers = {name: _typed(parameters.pop(name)) for name in NUMBERS if isinstance(parameters.get(name), int | float)}
    return Sheet(
        messages=tuple(
            MessageRow(message.role, message.content, message.name, _json(case.more_of(index)))
            for index, message in enumerate(content.messages)
        ),
        variables=tuple(_variable_row(variable, case.values.get(variable.name)) for variable in content.variables),
        syntax=LITERAL if case.is_literal else content.syntax,
        kind=content.kind,
        numbers=numbers,
        parameters=_json(parameters),
        tools=_json([dict(tool) for tool in content.tools]),
        response_schema=_json(content.response_schema),
        extra=_json(content.extra, indent=None),
        models=start.models,
        origin=start.origin,
        prompt_name=start.prompt_name,
        prompt_version=start.prompt_version,
        revision="" if start.revision is None else str(start.revision),
        trace_id=start.trace_id,
        span_id=start.span_id,
    )


def _typed(value: Json) -> str:
    return json.dumps(value)


def _json(value: Json, *, indent: int | None = 2) -> str:
    """JSON as one types it; nothing for what is empty."""
    return json.dumps(value, ensure_ascii=False, indent=indent) if value else ""


def _variable_row(variable: Variable, value: Json) -> VariableRow:
    rest = {"required": variable.is_required, "default": variable.default, "description": variable.description}
    shown = value if value is not None else variable.default
    return VariableRow(variable.name, variable.type, value_as_text(shown), _json(rest, indent=None))


# --- From the page to a case ----------------------------------------------------------------------------------------


def read_sheet(data: QueryDict) -> Sheet:
    """What was typed, row by row. Characters that cannot be stored are replaced."""
    data = _storable(data)
    texts = [text.replace("\r\n", "\n") for text in data.getlist("text")[:MOST_ROWS]]
    return Sheet(
        messages=tuple(
            MessageRow(*row) for row in zip(_column(data, "role", "user", texts), texts,
                                            _column(data, "name", "", texts), _column(data, "more", "", texts),
                                            strict=True)
        ),
        variables=_variable_rows(data),
        syntax=data.get("syntax", Syntax.MUSTACHE),
        kind=data.get("kind", Kind.CHAT),
        numbers={name: data.get(name, "").strip() for name in NUMBERS},
        parameters=data.get("parameters", ""),
        tools=data.get("tools", ""),
        response_schema=data.get("response_schema", ""),
        extra=data.get("extra", ""),
        models=tuple(model.strip() for model in data.getlist("model")[:MOST_COLUMNS] if model.strip()),
        origin=data.get("origin", Origin.EMPTY),
        prompt_name=data.get("prompt", ""),
        prompt_version=data.get("version", ""),
        revision=data.get("revision", ""),
        trace_id=data.get("trace", ""),
        span_id=data.get("span", ""),
    )  # fmt: skip


def _storable(data: QueryDict) -> QueryDict:
    clean = QueryDict(mutable=True)
    for name, values in data.lists():
        clean.setlist(name, [NOT_IN_TEXT.sub("\N{REPLACEMENT CHARACTER}", str(value)) for value in values])
    return clean


def _variable_rows(data: QueryDict) -> tuple[VariableRow, ...]:
    names = [name.strip() for name in data.getlist("variable")[:MOST_ROWS]]
    rows = zip(
        names,
        _column(data, "variable_type", VariableType.TEXT, names),
        _column(data, "variable_value", "", names),
        _column(data, "variable_rest", "", names),
        strict=True,
    )
    return tuple(VariableRow(name, kind, value.replace("\r\n", "\n"), rest) for name, kind, value, rest in rows if name)


def _column(data: QueryDict, name: str, otherwise: str, like: Sequence[str]) -> list[str]:
    """The values of a field that is repeated in each row; a row that has none gets the usual one."""
    given = data.getlist(name)
    return [given[index] if index < len(given) else otherwise for index in range(len(like))]


def case_of(sheet: Sheet) -> Case:
    """The case that was typed. Raises Invalid with sentences by field."""
    problems: dict[str, list[str]] = {}
    values: dict[str, Json] = {}
    variables = []
    for row in sheet.variables:
        told, value = _read_variable(row, problems)
        variables.append(told)
        if value is not None:
            values[row.name] = value
    parameters = {**_object(sheet.parameters, "parameters", problems), **_numbers(sheet, problems)}
    told = {
        "kind": _kind(sheet),
        "syntax": Syntax.MUSTACHE if sheet.syntax == LITERAL else sheet.syntax,
        "messages": [_message(sheet.messages[index]) for index in said_rows(sheet)] or [{"role": "user"}],
        "variables": variables,
        "parameters": parameters,
        "tools": _read(sheet.tools, "tools", list, problems) or [],
        "response_schema": _object(sheet.response_schema, "response_schema", problems) or None,
        "extra": _object(sheet.extra, "extra", problems),
    }
    rows = said_rows(sheet)
    more = tuple(_more(sheet.messages[index], index, problems) for index in rows) or ({},)
    if NUL_IN_JSON.search(json.dumps([values, more])):
        problems.setdefault("variables", []).append(_("A value holds a character that cannot be stored."))
    if problems:
        raise Invalid(None, **problems)
    try:
        content = content_from_dict(told)
    except BadContent as error:
        raise Invalid(**{_place(name, rows): texts for name, texts in error.details.items()}) from error
    return Case(content, values, more, sheet.syntax == LITERAL)


def said_rows(sheet: Sheet) -> list[int]:
    """The rows that say something; they are the messages of the case, in this order."""
    return [index for index, row in enumerate(sheet.messages) if row.text.strip() or row.more.strip()]


def _kind(sheet: Sheet) -> Kind:
    """A text prompt stays one while it is one message of the user."""
    is_one = [sheet.messages[index].role for index in said_rows(sheet)] == ["user"]
    return Kind.TEXT if sheet.kind == Kind.TEXT and is_one and sheet.syntax != LITERAL else Kind.CHAT


def _message(row: MessageRow) -> dict[str, Json]:
    return {"role": row.role, "content": row.text, "name": row.name}


def _more(row: MessageRow, index: int, problems: dict[str, list[str]]) -> Mapping[str, Json]:
    found = _object(row.more, f"messages.{index}", problems)
    return {name: value for name, value in found.items() if name in MORE and name != "name"}


def _read_variable(row: VariableRow, problems: dict[str, list[str]]) -> tuple[dict[str, Json], Json]:
    rest = _object(row.rest, "variables", problems)
    told = {"name": row.name, "type": row.type, **{name: rest[name] for name in REST if name in rest}}
    try:
        kind = VariableType(row.type)
        value = _value(row.value, kind)
    except ValueError:
        problems.setdefault(f"variable.{row.name}", []).append(_not_a_value(row.type))
        return told, None
    if value is not None and not fits(value, kind):
        problems.setdefault(f"variable.{row.name}", []).append(_not_a_value(row.type))
        return told, None
    return told, value


REST = ("required", "default", "description")


def _not_a_value(kind: str) -> str:
    sentences = {
        "number": _("Write a number, such as 3 or 0.5."),
        "boolean": _("Write true or false."),
        "list": _('Write a JSON list, such as ["a", "b"].'),
        "object": _('Write a JSON object, such as {"name": "Ana"}.'),
        "messages": _('Write a JSON list of messages: [{"role": "user", "content": "Hello"}].'),
    }
    return sentences.get(kind, _("This is no value."))


def _value(text: str, kind: VariableType) -> Json:
    """The typed value; None where nothing was typed. Raises ValueError."""
    if kind is VariableType.TEXT:
        return text or None
    return _loads(text) if text.strip() else None


def _loads(text: str) -> Json:
    """JSON without NaN and infinity. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(word: str) -> Json:
    raise ValueError(word)


def _numbers(sheet: Sheet, problems: dict[str, list[str]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, text in sheet.numbers.items():
        if not text:
            continue
        try:
            number = _loads(text)
        except ValueError:
            number = None
        if not isinstance(number, int | float) or isinstance(number, bool):
            problems.setdefault(name, []).append(_("Write a number."))
        else:
            found[name] = number
    return found


def _object(text: str, place: str, problems: dict[str, list[str]]) -> dict[str, Json]:
    return dict(_read(text, place, dict, problems) or {})


def _read(
    text: str, place: str, kind: type[list[Json]] | type[dict[str, Json]], problems: dict[str, list[str]]
) -> Json:
    """The JSON that was typed, None for nothing."""
    if not text.strip():
        return None
    try:
        found = _loads(text)
    except ValueError as error:
        where = f" {error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        problems.setdefault(place, []).append(_("This is not JSON%(where)s.") % {"where": where})
        return None
    if not isinstance(found, kind):
        wanted = _("a JSON list: [ … ]") if kind is list else _("a JSON object: { … }")
        problems.setdefault(place, []).append(_("This must be %(wanted)s.") % {"wanted": wanted})
        return None
    return found


def _place(name: str, rows: Sequence[int]) -> str:
    """The field of the page that a place in the content belongs to."""
    parts = name.split(".")
    if parts[0] != "messages" or len(parts) == 1:
        return parts[0]
    index = int(parts[1])
    return f"messages.{rows[index] if index < len(rows) else index}"


# --- Changing rows without script -----------------------------------------------------------------------------------


def changed(sheet: Sheet, action: str, undeclared: Sequence[Variable] = ()) -> Sheet:
    """The sheet with a row more or less, or moved, as a button says: `add_message`, `remove_message:2`, `up:2`."""
    word, _colon, number = action.partition(":")
    place = int(number) if number.isdecimal() and len(number) < 4 else -1
    rows = list(sheet.messages)
    if word == "add_message":
        last = rows[-1].role if rows else ""
        rows.append(MessageRow("assistant" if last == "user" else "user"))
    elif word == "remove_message" and 0 <= place < len(rows) and len(rows) > 1:
        del rows[place]
    elif word == "up" and 0 < place < len(rows):
        rows[place - 1], rows[place] = rows[place], rows[place - 1]
    variables = list(sheet.variables)
    if word == "remove_variable" and 0 <= place < len(variables):
        del variables[place]
    elif word == "add_variable":
        variables.append(VariableRow(_free_name(variables)))
    known = {row.name for row in variables}
    variables += [_variable_row(variable, None) for variable in undeclared if variable.name not in known]
    return replace(sheet, messages=tuple(rows), variables=tuple(variables))


def _free_name(rows: Sequence[VariableRow]) -> str:
    taken = {row.name for row in rows}
    return next(name for number in range(1, MOST_ROWS + 2) if (name := f"variable_{number}") not in taken)


def with_errors(sheet: Sheet, errors: Mapping[str, Sequence[str]]) -> Sheet:
    """The sheet with what is wrong, beside the variables it belongs to where it does."""
    rows = tuple(replace(row, error=" ".join(errors.get(f"variable.{row.name}", ()))) for row in sheet.variables)
    return replace(sheet, variables=rows, errors=dict(errors))


def with_unused(sheet: Sheet, names: Collection[str]) -> Sheet:
    """The sheet with the variables marked that no message uses."""
    return replace(sheet, variables=tuple(replace(row, is_unused=row.name in names) for row in sheet.variables))


def draft_case(sheet: Sheet) -> Case:
    """The messages and the names of variables alone, whatever else is wrong: for finding what is not declared."""
    syntax = Syntax(sheet.syntax) if sheet.syntax in set(Syntax) else Syntax.MUSTACHE
    content = Content(
        syntax=syntax,
        messages=tuple(Message(row.role, row.text) for row in sheet.messages),
        variables=tuple(Variable(row.name) for row in sheet.variables),
    )
    return Case(content, is_literal=sheet.syntax == LITERAL)

"""Putting together what a foreign file tells, with notes on the way."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from apps.prompts import names, semver
from apps.prompts.content import (
    MAX_VARIABLES,
    ROLES,
    VARIABLE_NAME,
    BadContent,
    Content,
    Message,
    Variable,
    content_as_dict,
    content_from_dict,
    fits,
)
from apps.prompts.files import guessing
from apps.prompts.files.found import Found, Note
from apps.prompts.files.problems import BadFile
from apps.prompts.templating import mustache
from apps.prompts.types import Kind, Syntax, VariableType

Json = Any
Files = Mapping[str, bytes]

TYPES: Mapping[str, VariableType] = {
    **dict.fromkeys(("string", "str", "text", "any", "image", "file", "date"), VariableType.TEXT),
    **dict.fromkeys(("number", "integer", "int", "float"), VariableType.NUMBER),
    **dict.fromkeys(("boolean", "bool"), VariableType.BOOLEAN),
    **dict.fromkeys(("array", "list"), VariableType.LIST),
    **dict.fromkeys(("object", "dict"), VariableType.OBJECT),
    **dict.fromkeys(("thread", "messages"), VariableType.MESSAGES),
}
PARAMETERS = {
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_output_tokens",
    "maxCompletionTokens": "max_completion_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "stopSequences": "stop",
    "stop_sequences": "stop",
    "chat_system_prompt": "",
}
"""Names of parameters elsewhere and here."""
MAX_NOTES = 40
KNOWN_PARAMETERS = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_output_tokens", "max_completion_tokens", "stop", "seed", "n"}
    | {"frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "logit_bias", "logprobs", "top_logprobs"}
    | {"reasoning", "reasoning_effort", "verbosity", "parallel_tool_calls", "tool_choice", "service_tier", "truncation"}
)


def text_of(files: Files, path: str) -> str:
    """The file as text. Raises BadFile for one that is not UTF-8."""
    raw = files[path]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw[: error.start].rfind(b"\n") + 1) + 1
        sentence = "This byte is not UTF-8; the file may be Latin-1 or Windows-1252. Save it as UTF-8 and try again."
        raise BadFile(sentence, line=line, column=column, path=path) from error


def json_of(text: str) -> Json:
    """The text as JSON. Raises BadFile with the place."""

    def once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        return dict(pairs)

    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise BadFile(f"This is not JSON: {error.msg}.", line=error.lineno, column=error.colno) from error
    except (RecursionError, ValueError) as error:
        raise BadFile("This is not JSON that can be read: it is nested too deep or has too long a number.") from error


def beside(path: str, other: str) -> str:
    """The path of a file that another one names, as the files' mapping spells it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), other))


def name_from(path: str, *endings: str) -> str:
    """A prompt's name from a file's path, without its ending and a folder `prompts/` in front."""
    trimmed = next((path.removesuffix(ending) for ending in endings if path.lower().endswith(ending)), path)
    parts = [part for part in trimmed.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if len(parts) > 1 and parts[0] == "prompts":
        parts = parts[1:]
    return "/".join(parts)


def variable_type(word: Json) -> VariableType | None:
    """Our type for a type's name elsewhere."""
    return TYPES.get(word.lower()) if isinstance(word, str) else None


def type_of_value(value: Json) -> VariableType:
    """The type that a value has."""
    if isinstance(value, bool):
        return VariableType.BOOLEAN
    if isinstance(value, int | float):
        return VariableType.NUMBER
    if isinstance(value, Mapping):
        return VariableType.OBJECT
    return VariableType.LIST if isinstance(value, list) else VariableType.TEXT


class Builder:
    """Gathers one prompt. `path` is the file that notes speak of."""

    def __init__(self, path: str, format: str, *, syntax: Syntax = Syntax.MUSTACHE) -> None:
        self.path, self.format, self.syntax = path, format, syntax
        self.kind = Kind.CHAT
        self.prefers = Syntax.MUSTACHE
        self.messages: list[Message] = []
        self.variables: dict[str, Variable] = {}
        self.model = ""
        self.parameters: dict[str, Json] = {}
        self.tools: list[Json] = []
        self.response_schema: Json = None
        self.extra: dict[str, Json] = {}
        self.notes: list[Note] = []

    def note(self, sentence: str, line: int | None = None) -> None:
        """Remember something for the report, once."""
        note = Note(sentence, self.path, line)
        if len(self.notes) < MAX_NOTES and note not in self.notes:
            self.notes.append(note)
        elif len(self.notes) == MAX_NOTES and note not in self.notes:
            self.notes.append(Note("There is more of this kind; compare the text with the file.", self.path))

    def text(self, text: str) -> None:
        """Make it a text prompt."""
        self.kind, self.messages = Kind.TEXT, [Message("user", text)]

    def message(self, role: Json, content: str, line: int | None = None) -> None:
        """Add a message. Roles of others become ours, with a note."""
        known = {"function": "tool", "model": "assistant", "ai": "assistant", "human": "user"}
        role = known.get(str(role), str(role))
        if role not in ROLES or role == "placeholder":
            self.note(f"The role '{role}' is not known here; the message became one of the user.", line)
            role = "user"
        self.messages.append(Message(role, content))

    def placeholder(self, name: str) -> None:
        """Add a place for messages that the caller gives."""
        self.messages.append(Message("placeholder", name))
        self.declare(name, VariableType.MESSAGES, is_required=False)

    def declare(
        self,
        name: str,
        kind: VariableType | None = None,
        *,
        is_required: bool | None = None,
        default: Json = None,
        description: Json = "",
        sample: Json = None,
    ) -> None:
        """Add a variable, or what is known about it. Values that do not fit the type are left out with a note."""
        if not VARIABLE_NAME.fullmatch(name):
            self.note(f"The variable '{name}' has no name that can be used here. Rename it in the text, too.")
            return
        old = self.variables.get(name)
        value = default if default is not None else sample
        type_ = kind or (old.type if old is not None else type_of_value(value))
        for word, given in (("default", default), ("sample", sample)):
            if given is not None and not fits(given, type_):
                self.note(f"The {word} value of '{name}' is not of type {type_.value} and was left out.")
        default = default if default is not None and fits(default, type_) else None
        sample = sample if sample is not None and fits(sample, type_) else None
        if old is not None:
            default, sample = (
                default if default is not None else old.default,
                sample if sample is not None else old.sample,
            )
            is_required = old.is_required if is_required is None else is_required
        required = (default is None) if is_required is None else is_required and default is None
        told = str(description or "")[:2000] or (old.description if old is not None else "")
        self.variables[name] = Variable(name, type_, required, default, told, sample)

    def declare_used(self) -> None:
        """Add the variables that Mustache text uses and nothing declares. Jinja is read elsewhere (`imports`)."""
        if self.syntax is not Syntax.MUSTACHE:
            return
        texts = [message.content for message in self.messages if message.role != "placeholder"]
        used = dict.fromkeys(name for text in texts for name in mustache.names_used(text))
        missing = [name for name in used if name not in self.variables and VARIABLE_NAME.fullmatch(name)]
        for variable in guessing.variables(missing[:MAX_VARIABLES], texts, self.syntax):
            self.variables[variable.name] = variable

    def take_parameters(self, given: Json, where: str) -> None:
        """Take a model's parameters, under the names they have here; tools and schemas among them find their places."""
        if not isinstance(given, Mapping):
            if given is not None:
                self.note(f"'{where}' is not a list of parameters and was left out.")
            return
        for key, value in given.items():
            name = PARAMETERS.get(key, key)
            if key == "tools":
                if value is not None:
                    self.take_tools(value)
            elif key in ("response_format", "responseFormat"):
                self.take_response_format(value)
            elif value is not None and name:
                self.parameters[name] = value

    def take_tools(self, given: Json) -> None:
        """Take tools in the shapes of OpenAI's two APIs and Prompty's."""
        if not isinstance(given, list):
            self.note("The tools are not a list and were left out.")
            return
        for tool in given:
            taken = _tool(tool)
            if taken is None:
                word = str(tool.get("type") or tool.get("kind")) if isinstance(tool, Mapping) else str(tool)
                self.note(f"The tool '{word[:60]}' has no function with parameters and was left out.")
            else:
                self.tools.append(taken)

    def take_response_format(self, given: Json) -> None:
        """Take a JSON Schema from OpenAI's `response_format` or `text.format`."""
        if not isinstance(given, Mapping):
            if given not in (None, "", "text"):
                self.parameters["response_format"] = {"type": str(given)}
            return
        inner = given.get("json_schema", given)
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        if isinstance(schema, Mapping):
            self.response_schema = dict(schema)
        elif given.get("type") not in (None, "text"):
            self.parameters["response_format"] = dict(given)

    def content(self) -> Content:
        """What was gathered. Raises BadFile when it cannot be a prompt."""
        self.declare_used()
        content = Content(
            kind=self.kind,
            syntax=self.syntax,
            messages=tuple(self.messages),
            variables=tuple(self.variables.values()),
            model=self.model,
            parameters=self.parameters,
            tools=tuple(self.tools),
            response_schema=self.response_schema,
            extra=self.extra,
        )
        try:
            return content_from_dict(content_as_dict(content))
        except BadContent as error:
            place, sentences = next(iter(error.details.items()))
            raise BadFile(f"{place}: {sentences[0]}", path=self.path) from error

    def found(self, name: str, *, paths: tuple[str, ...] = (), version: Json = "", **others: Any) -> Found:
        """The prompt, under a good name."""
        good = names.good_name(name)
        if good != name:
            self.note(f"The name '{name}' became '{good}', since names here have no spaces or other signs.")
        number = semver.parse(str(version)) if version else None
        if version and number is None:
            self.note(f"The version '{version}' is not of the form 1.2.0 and was left out.")
        return Found(
            name=good,
            content=self.content(),
            format=self.format,
            paths=paths or (self.path,),
            version="" if number is None else str(number),
            notes=tuple(self.notes),
            **others,
        )


def _tool(tool: Json) -> Json:
    """The tool in the shape we keep, or None."""
    if not isinstance(tool, Mapping):
        return None
    function = tool.get("function")
    if isinstance(function, Mapping) and function.get("name"):
        return {**tool, "type": "function"}
    if tool.get("type", tool.get("kind")) == "function" and tool.get("name"):
        inner = {key: value for key, value in tool.items() if key not in ("type", "kind", "id")}
        if "parameters" in inner:
            inner["parameters"] = json_schema(inner["parameters"])
        return {"type": "function", "function": inner}
    return None


def json_schema(given: Json) -> Json:
    """A JSON Schema from one, or from a list of named properties as Prompty writes it."""
    properties = given.get("properties") if isinstance(given, Mapping) else given
    if not isinstance(properties, list):
        if isinstance(given, Mapping) and properties is not None and "type" not in given:
            return {"type": "object", **given}
        return given
    named: dict[str, Json] = {}
    required = []
    for one in properties:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            continue
        rest = {key: value for key, value in one.items() if key not in ("name", "kind", "required")}
        kind = str(one.get("kind", one.get("type", "string")))
        named[one["name"]] = {"type": {"float": "number", "thread": "array"}.get(kind, kind), **rest}
        if one.get("required"):
            required.append(one["name"])
    return {"type": "object", "properties": named, **({"required": required} if required else {})}


def tags_of(given: Json) -> tuple[str, ...]:
    """Tags from a list or a text with commas."""
    listed = given if isinstance(given, list) else str(given or "").split(",")
    return tuple(dict.fromkeys(str(tag).strip()[:64] for tag in listed if str(tag).strip()))[:20]

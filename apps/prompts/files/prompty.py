"""Prompty: front matter, then sections that begin with `system:` or `user:`; Jinja2 or Mustache, `${file:...}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apps.prompts.content import MAX_MESSAGES
from apps.prompts.files import front_matter, yaml_text
from apps.prompts.files.building import (
    Builder,
    Files,
    beside,
    json_of,
    json_schema,
    name_from,
    tags_of,
    text_of,
    variable_type,
)
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile
from apps.prompts.types import Syntax, VariableType

ROLE = re.compile(
    r"^[ \t]{0,20}#?[ \t]{0,20}(system|user|assistant|developer|function|tool)(\[[^\]\n]*\])?[ \t]*:[ \t]*$",
    re.MULTILINE,
)
ESCAPE = re.compile(r"\\([_\[\]*])")
TAG = re.compile(r"\{\{(?:(?!\{\{|\}\}).)*\}\}|\{%(?:(?!\{%|%\}).)*%\}", re.DOTALL)
BLOCK = re.compile(r"\{%-?\s*(end)?(if|for|macro|call|filter|set|block|raw|with)\b([^%]*)%\}")
HISTORY = re.compile(
    r"\{%-?\s*for\s+(\w+)\s+in\s+(\w+)\s*-?%\}\s*"
    r"\{\{-?\s*\1(?:\.role|\[['\"]role['\"]\])\s*-?\}\}\s*:\s*"
    r"\{\{-?\s*\1(?:\.content|\[['\"]content['\"]\])\s*-?\}\}\s*\{%-?\s*endfor\s*-?%\}[ \t]*\n?"
)
HISTORY_MARK = "\ue000"
REFERENCE = re.compile(r"\$\{(file|env):([^}:$]*)(?::([^}$]*))?\}")
IMAGE = re.compile(r"!\[[^\[\]]*\]\([^()\n]*\)")
HEAD = frozenset(
    {"name", "description", "authors", "tags", "version", "model", "sample", "inputs", "inputSchema", "outputs"}
    | {"outputSchema", "template", "tools", "metadata", "base"}
)
CONNECTION = frozenset({"configuration", "connection", "id", "api", "apiType", "parameters", "options", "provider"})

Json = Any


def read(files: Files, path: str) -> Found:
    """The prompt in this file; others are looked up where it refers to them. Raises BadFile."""
    parts = front_matter.split(text_of(files, path))
    told = yaml_text.plain(parts.head)
    build = Builder(path, "Prompty", syntax=Syntax.JINJA)
    paths = [path]
    told = _resolved(told, build, files, paths)
    if not parts.has_head:
        build.note("There is no front matter; the whole file was read as messages.")
    build.syntax = _syntax(told.get("template"), build)
    _inputs(told, build)
    _model(told.get("model"), build)
    if told.get("tools") is not None:
        build.take_tools(told["tools"])
    _outputs(told.get("outputs", told.get("outputSchema")), build)
    _body(parts.body, parts.body_line, build)
    about = told["metadata"] if isinstance(told.get("metadata"), Mapping) else {}
    for key in told:
        if key not in HEAD:
            build.extra[key] = told[key]
    for key, value in {**about, "authors": told.get("authors", about.get("authors"))}.items():
        if key not in ("tags", "version") and value is not None:
            build.extra[key] = value
    return build.found(
        _name(path),
        paths=tuple(paths),
        version=told.get("version", about.get("version", "")),
        description=_description(told),
        tags=tags_of(told.get("tags", about.get("tags"))),
    )


def _name(path: str) -> str:
    return name_from(path, ".prompty")


def _description(told: Mapping[str, Json]) -> str:
    """The description, with the title in front where it says more than the file's name."""
    title, description = str(told.get("name") or ""), str(told.get("description") or "")
    return ": ".join(part for part in (title, description) if part) if title != description else title


def _resolved(value: Json, build: Builder, files: Files, paths: list[str]) -> Json:
    """The value with `${file:...}` read and `${env:...}` left out."""
    if isinstance(value, Mapping):
        return {key: _resolved(one, build, files, paths) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, build, files, paths) for one in value]
    found = REFERENCE.search(value) if isinstance(value, str) else None
    if found is None:
        return value
    kind, name, default = found.groups()
    if kind == "env":
        build.note(f"{found.group()} is filled in from the environment there; it was left out.")
        return default or None
    other = beside(build.path, name)
    if other not in files or found.group() != value.strip():
        build.note(f"It refers to the file '{name}', which was not among the files; that part was left out.")
        return None
    try:
        text = text_of(files, other)
        read_in = json_of(text) if other.endswith(".json") else text
    except BadFile as error:
        raise error.at(other) from error
    paths.append(other)
    return read_in


def _syntax(template: Json, build: Builder) -> Syntax:
    if isinstance(template, Mapping):
        template = template.get("format", template.get("type"))
        template = template.get("kind") if isinstance(template, Mapping) else template
    word = str(template or "jinja2").lower()
    if word not in ("jinja2", "jinja", "mustache", "nunjucks"):
        build.note(f"The template language '{word}' is not known here; it was read as Jinja.")
    return Syntax.MUSTACHE if word == "mustache" else Syntax.JINJA


def _inputs(told: Mapping[str, Json], build: Builder) -> None:
    sample = told.get("sample")
    samples = dict(sample) if isinstance(sample, Mapping) else {}
    given = told.get("inputs", told.get("inputSchema"))
    if isinstance(given, Mapping) and "properties" in given:
        given = given["properties"]
    if isinstance(given, list):
        given = {str(one.get("name")): one for one in given if isinstance(one, Mapping)}
    for name, one in given.items() if isinstance(given, Mapping) else []:
        if not isinstance(one, Mapping):
            samples.setdefault(name, one)
            continue
        default = one.get("default")
        build.declare(
            name,
            variable_type(one.get("type", one.get("kind"))),
            is_required=bool(one["required"]) if "required" in one else None,
            default=default if default != "" else None,
            description=one.get("description"),
            sample=samples.pop(name, one.get("sample", one.get("example"))),
        )
    for name, value in samples.items():
        build.declare(name, sample=value)


def _model(model: Json, build: Builder) -> None:
    if isinstance(model, str):
        build.model = model
    if not isinstance(model, Mapping):
        return
    places = [model, *(model[key] for key in ("configuration", "connection") if isinstance(model.get(key), Mapping))]
    for place in places:
        for key in ("id", "azure_deployment", "name", "model", "deployment"):
            if not build.model and isinstance(place.get(key), str):
                build.model = place[key]
    if len(places) > 1:
        build.note("How the model is reached (its connection) was left out; connections are set up in the project.")
    api = model.get("api", model.get("apiType", "chat"))
    if api not in ("chat", "responses", None):
        build.note(f"It was made for the API '{api}'; here it is a conversation.")
    for key in ("parameters", "options"):
        if isinstance(model.get(key), Mapping):
            build.take_parameters(model[key], f"model.{key}")
    for key in model:
        if key not in CONNECTION:
            build.extra.setdefault("model_settings", {})[key] = model[key]


def _outputs(given: Json, build: Builder) -> None:
    if given is None:
        return
    if isinstance(given, Mapping) and "properties" not in given and "type" not in given:
        given = [{"name": name, **(one if isinstance(one, Mapping) else {"type": one})} for name, one in given.items()]
    schema = json_schema(given)
    if isinstance(schema, Mapping):
        build.response_schema = schema


def _body(body: str, first_line: int, build: Builder) -> None:
    """Cut the body into messages at the role lines."""
    whole = body = _unescaped(body, build)
    names: list[str] = []

    def mark(match: re.Match[str]) -> str:
        names.append(match.group(2))
        return f"user:\n{HISTORY_MARK}{len(names) - 1}{HISTORY_MARK}\nuser:\n"

    if build.syntax is Syntax.JINJA:
        body = HISTORY.sub(mark, body)
    sections = _sections(body)
    if len(sections) > MAX_MESSAGES:
        sentence = f"There are more than {MAX_MESSAGES} messages."
        raise BadFile(sentence, line=first_line, column=1)
    if build.syntax is Syntax.JINJA and any(not _balanced(text) for _, text, _ in sections):
        build.note(
            "A condition or loop spans several messages, so that they cannot be told apart; all of it is one text."
        )
        build.text(whole.strip("\n"))
        return
    for role, text, offset in sections:
        line = first_line + body[:offset].count("\n")
        place = re.fullmatch(rf"\s*{HISTORY_MARK}(\d+){HISTORY_MARK}\s*", text)
        if place is not None:
            build.placeholder(names[int(place.group(1))])
            continue
        _section(role, text, line, build)
    if not build.messages:
        raise BadFile(
            "There is no message. Add a line 'system:' or 'user:' and text below it.", line=first_line, column=1
        )


def _sections(body: str) -> list[tuple[str, str, int]]:
    """(role, text, offset); text before the first role line is the system's."""
    found: list[tuple[str, str, int]] = []
    role, start = "system", 0
    for match in ROLE.finditer(body):
        found.append((role, body[start : match.start()], start))
        role, start = match.group(1), match.end() + 1
    found.append((role, body[start:], start))
    return [one for one in found if one[1].strip()]


def _section(role: str, text: str, line: int, build: Builder) -> None:
    """A message; a variable that is a thread, alone on its line, stands for messages of its own."""
    threads = [name for name, one in build.variables.items() if one.type is VariableType.MESSAGES]
    pattern = "|".join(re.escape(name) for name in threads)
    pieces = (
        re.split(rf"^[ \t]*\{{\{{-?\s*({pattern})\s*-?\}}\}}[ \t]*$", text, flags=re.MULTILINE) if threads else [text]
    )
    if IMAGE.search(text):
        build.note("It shows an image, which messages here do not hold; its address stays as text.", line)
    for index, piece in enumerate(pieces):
        if index % 2:
            build.placeholder(piece)
        elif piece.strip():
            build.message(role, piece.strip("\n"), line)


def _unescaped(body: str, build: Builder) -> str:
    """Template tags without the backslashes that Markdown editors put before underscores and brackets."""
    if any(ESCAPE.search(tag) for tag in TAG.findall(body)):
        build.note("Backslashes that an editor put before underscores and brackets in tags were taken out.")
    return TAG.sub(lambda match: ESCAPE.sub(r"\1", match.group()), body)


def _balanced(text: str) -> bool:
    """True when each Jinja block that begins in the text ends in it."""
    open_blocks: list[str] = []
    for end, word, rest in BLOCK.findall(text):
        if end:
            if not open_blocks or open_blocks.pop() != word:
                return False
        elif word != "set" or "=" not in rest:
            open_blocks.append(word)
    return not open_blocks

"""dotprompt: `.prompt` files with front matter and a Handlebars body; roles by `{{role "system"}}`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from apps.prompts import names
from apps.prompts.files import front_matter, handlebars, picoschema, yaml_text
from apps.prompts.files.building import Builder, Files, name_from, text_of, variable_type
from apps.prompts.files.found import Found
from apps.prompts.files.handlebars import Block, Node, Tag
from apps.prompts.files.problems import BadFile
from apps.prompts.types import Syntax, VariableType

NAME = "dotprompt"
KNOWN = frozenset(
    {"model", "config", "input", "output", "tools", "name", "variant", "version", "description", "metadata"}
)
ROLE = re.compile(r"\{\{~?\s*role\b")

Json = Any


def read(files: Files, path: str, *, prefers: Syntax = Syntax.MUSTACHE) -> Found:
    """The prompt in this file, in the preferred language where that can say it. Raises BadFile."""
    parts = front_matter.split(text_of(files, path))
    told = yaml_text.plain(parts.head)
    build = Builder(path, NAME)
    build.prefers = prefers
    _input(told.get("input"), build)
    _output(told.get("output"), build)
    build.model = str(told.get("model") or "")
    build.take_parameters(told.get("config"), "config")
    if told.get("tools"):
        build.extra["tools_there"] = told["tools"]
        build.note("Its tools are names that the program knows; they were kept with the prompt and are not used.")
    for key, value in told.items():
        if key not in KNOWN:
            build.extra[key] = value
    name = _name(path, told, build)
    if not parts.body.strip():
        raise BadFile("There is no text below the front matter.", line=parts.body_line, column=1)
    _body(parts.body, parts.body_line, path, build)
    return build.found(name, version=told.get("version", ""), description=str(told.get("description") or ""))


def is_partial(path: str) -> bool:
    """True for a file that others include."""
    return posixpath.basename(path).startswith("_")


def partial_name(folder: str, name: str) -> str:
    """The prompt that a partial of this name becomes, as included from a file in the folder."""
    return names.good_name(name_from(posixpath.join(folder, name)))


def _name(path: str, told: Mapping[str, Json], build: Builder) -> str:
    folder, base = posixpath.split(name_from(path, ".prompt"))
    if is_partial(path):
        return partial_name(folder, base.lstrip("_"))
    stem, dot, variant = base.partition(".")
    if dot:
        build.note(f"It is the variant '{variant}' of '{stem}'. Here it is a prompt of its own.")
    if told.get("name") and told["name"] != stem:
        build.extra["title"] = told["name"]
    return posixpath.join(folder, base)


def _input(given: Json, build: Builder) -> None:
    if not isinstance(given, Mapping):
        return
    defaults = given.get("default") if isinstance(given.get("default"), Mapping) else {}
    assert isinstance(defaults, Mapping)
    schema = _schema(given["schema"], "input", build) if given.get("schema") is not None else None
    properties = schema.get("properties", {}) if schema is not None else {}
    required = schema.get("required", []) if schema is not None else []
    for name, one in properties.items():
        build.declare(
            name,
            variable_type(one.get("type")) or VariableType.TEXT,
            is_required=name in required and name not in defaults,
            default=defaults.get(name),
            description=one.get("description"),
        )
    for name, value in defaults.items():
        if name not in properties:
            build.declare(name, default=value, is_required=False)


def _schema(given: Json, place: str, build: Builder) -> dict[str, Json] | None:
    try:
        return picoschema.json_schema(given)
    except picoschema.NotASchema as error:
        build.extra.setdefault("schemas_there", {})[place] = given
        build.note(f"The {place} schema names '{error}', which is defined elsewhere; it was kept and is not used.")
        return None


def _output(given: Json, build: Builder) -> None:
    if not isinstance(given, Mapping):
        return
    if given.get("schema") is not None:
        build.response_schema = _schema(given["schema"], "output", build)
    elif given.get("format") == "json":
        build.parameters["response_format"] = {"type": "json_object"}
    others = {key: value for key, value in given.items() if key not in ("schema", "format")}
    if others:
        build.extra["output"] = others
        build.note(f"'output' holds {', '.join(others)}, which is no schema; it was kept and is not used.")


def _body(body: str, first_line: int, path: str, build: Builder) -> None:
    folder = posixpath.dirname(name_from(path, ".prompt"))
    try:
        nodes = handlebars.parse(body, first_line)
    except handlebars.Unreadable as error:
        build.note(f"{error} The text was kept as it stands; mend it before you publish.")
        build.text(body.strip("\n"))
        return
    _replace(nodes, folder, build)
    groups, sources = _by_role(nodes, body)
    for name, one in list(build.variables.items()):
        if one.type is VariableType.TEXT and name in set().union(*(handlebars.lists_in(group) for _, group in groups)):
            build.declare(name, VariableType.LIST)
    build.syntax, texts = handlebars.translated_all([group for _, group in groups if group != []], sources, build)
    if len(groups) == 1 and groups[0][0] == "" and groups[0][1]:
        # An include alone on its line takes the line's end with it in Mustache, and leaves it in Jinja.
        text = texts[0].strip("\n") + ("\n" if is_partial(path) and build.syntax is Syntax.MUSTACHE else "")
        build.text(text)
        return
    remaining = iter(texts)
    for role, _ in groups:
        if role == "history":
            build.placeholder("history")
        else:
            build.message(role or "user", next(remaining).strip("\n"))


def _by_role(nodes: list[Node], body: str) -> tuple[list[tuple[str, list[Node]]], list[str]]:
    """(role, nodes) for each message, with `history` for the place of earlier ones; and the sources of the former."""
    groups: list[tuple[str, list[Node]]] = [("", [])]
    for node in nodes:
        if isinstance(node, Tag) and node.kind == "helper" and node.name in ("role", "history"):
            if node.name == "history":
                groups += [("history", []), ("model", [])]
            else:
                groups.append((node.args.strip("\"' "), []))
        else:
            groups[-1][1].append(node)
    kept = [(role, group) for role, group in groups if role == "history" or _has_text(group)]
    pieces = re.split(r"\{\{~?\s*(?:role\b[^}]*|history\s*)\}\}", body)
    sources = [piece for piece in pieces if piece.strip()]
    return kept, sources


def _has_text(group: list[Node]) -> bool:
    return any(not isinstance(node, str) or node.strip() for node in group)


def _replace(nodes: list[Node], folder: str, build: Builder) -> None:
    """Media become their address, partials the prompts that stand for them."""
    for index, node in enumerate(nodes):
        if isinstance(node, Block):
            _replace(node.body, folder, build)
            _replace(node.otherwise, folder, build)
            continue
        if not isinstance(node, Tag):
            continue
        line = node.line
        if node.kind == "partial":
            if node.args:
                build.note(
                    f"The values given to the include {node.source} were left out; the snippet takes the prompt's.",
                    line,
                )
            nodes[index] = Tag("partial", partial_name(folder, node.name), "", node.source, node.line)
        elif node.name == "media":
            address = re.search(r"url=([^\s]+)", node.args)
            build.note(f"{node.source} shows a picture or other media; only its address was kept, as text.", line)
            value = address.group(1) if address else ""
            quoted = value[:1] in ("'", '"')
            nodes[index] = value.strip("'\"") if quoted else Tag("variable", value, "", node.source, node.line)
        elif node.name == "section":
            build.note(f"{node.source} marks a place for others to fill in; it was left out.", line)
            nodes[index] = ""

"""Our own format: one readable YAML file a prompt (docs/prompt-files.md).

`read` and `write` are each other's inverse. With the former text, `write` changes the lines whose values changed and
no other character: comments, the order of keys, unknown keys, quotes, CRLF and a missing last line break stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.prompts import semver
from apps.prompts.content import BadContent, Content, Message, Variable, content_as_dict, content_from_dict
from apps.prompts.files import yaml_patching, yaml_text, yaml_writing
from apps.prompts.files.problems import BadFile
from apps.prompts.files.yaml_text import Node
from apps.prompts.types import Kind

ENDING = ".prompt.yaml"
ENDINGS = (".prompt.yaml", ".prompt.yml")

TEXT_KEYS = {"name": 200, "description": 10_000, "owner": 200}
"""Keys about the prompt whose values are texts, with the most characters."""
CONTENT_KEYS = ("kind", "syntax", "model", "parameters", "variables", "messages", "text", "tools", "response_schema")
KNOWN = frozenset({*TEXT_KEYS, "tags", "version", *CONTENT_KEYS})
MESSAGE_KEYS = frozenset({"role", "content", "name"})
VARIABLE_KEYS = frozenset({"type", "required", "default", "description", "sample"})
MAX_TAGS, MAX_TAG = 20, 64

Json = Any


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt as its file tells it. `version` is `1.2.0` or empty."""

    name: str
    content: Content
    version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""


def path_of(name: str) -> str:
    """Where the file of the prompt of this name stands, below the folder of all prompts."""
    return f"{name}{ENDING}"


def name_of(path: str) -> str:
    """The prompt's name that the file's path spells, without a folder `prompts/` in front."""
    name = next((path.removesuffix(ending) for ending in ENDINGS if path.endswith(ending)), path)
    return name.removeprefix("./").removeprefix("prompts/")


def read(text: str, *, default_name: str = "") -> PromptFile:
    """The prompt in the text. Raises BadFile with line and column.

    `default_name` is used where the file names none, which is allowed only then.
    """
    root = yaml_text.mapping(text.removeprefix("\ufeff"))
    if not root.entries:
        raise BadFile("The file is empty. It needs at least 'name:' and 'messages:' or 'text:'.", line=1, column=1)
    content = _content(root)
    name = _text(root, "name") or default_name
    if not name:
        raise BadFile("The name is missing. Add a line such as 'name: support/answer'.", line=1, column=1)
    return PromptFile(
        name=name,
        content=content,
        version=_version(root),
        description=_text(root, "description"),
        tags=_tags(root),
        owner=_text(root, "owner"),
    )


def write(prompt: PromptFile, base_text: str | None = None) -> str:
    """The file's text. With `base_text`, the file as it was, only what changed changes.

    A base that cannot be read as a prompt is not kept.
    """
    new = document(prompt)
    if base_text is not None:
        try:
            base = read(base_text, default_name=prompt.name)
        except BadFile:
            base = None
        if base is not None:
            if _same(base, prompt):
                return base_text
            changed = _patched(base_text, document(base), new, prompt)
            if changed is not None:
                return changed
    return yaml_writing.entries(new, 0) + "\n"


def document(prompt: PromptFile) -> dict[str, Json]:
    """The file's keys and values in the usual order, without those that say nothing."""
    content = prompt.content
    extra = dict(content.extra)
    told: dict[str, Json] = {"name": prompt.name}
    told |= {"description": prompt.description, "owner": prompt.owner, "tags": list(prompt.tags)}
    told |= {"version": prompt.version, "kind": content.kind.value, "syntax": content.syntax.value}
    told |= {"model": content.model, "parameters": dict(content.parameters)}
    told["variables"] = _variables_told(content, extra)
    told |= _messages_told(content, extra)
    told["tools"] = [dict(tool) for tool in content.tools]
    told["response_schema"] = dict(content.response_schema or {})
    told = {key: value for key, value in told.items() if value not in ("", {}, []) or key in ("text", "messages")}
    return told | {key: value for key, value in extra.items() if key not in KNOWN}


def _variables_told(content: Content, extra: Mapping[str, Json]) -> dict[str, Json]:
    more = extra.get("variables")
    more = more if isinstance(more, Mapping) else {}
    return {one.name: _variable_told(one) | _beside(more.get(one.name), VARIABLE_KEYS) for one in content.variables}


def _variable_told(variable: Variable) -> dict[str, Json]:
    told: dict[str, Json] = {"type": variable.type.value}
    if variable.is_required != (variable.default is None):
        told["required"] = variable.is_required
    told |= {"default": variable.default, "description": variable.description or None, "sample": variable.sample}
    return {key: value for key, value in told.items() if value is not None}


def _messages_told(content: Content, extra: Mapping[str, Json]) -> dict[str, Json]:
    more = extra.get("messages")
    more = more if isinstance(more, Mapping) else {}
    only = content.messages[0] if content.kind is Kind.TEXT and len(content.messages) == 1 else None
    if only is not None and only == Message("user", only.content) and not more:
        return {"text": only.content}
    told = []
    for index, message in enumerate(content.messages):
        one = {"role": message.role, **({"name": message.name} if message.name else {}), "content": message.content}
        told.append(one | _beside(more.get(str(index)), MESSAGE_KEYS))
    return {"messages": told}


def _beside(given: Json, known: frozenset[str]) -> dict[str, Json]:
    """The unknown keys that were kept beside known ones."""
    return {key: value for key, value in given.items() if key not in known} if isinstance(given, Mapping) else {}


def _told(prompt: PromptFile) -> str:
    """Everything a file says, to compare two of them by."""
    about = [prompt.name, prompt.version, prompt.description, list(prompt.tags), prompt.owner]
    return json.dumps([about, content_as_dict(prompt.content)], sort_keys=True)


def _same(one: PromptFile, other: PromptFile) -> bool:
    return _told(one) == _told(other)


def _patched(base_text: str, old: dict[str, Json], new: dict[str, Json], wanted: PromptFile) -> str | None:
    """The former text with the changes, or None where it cannot be had that way."""
    bom = "\ufeff" if base_text.startswith("\ufeff") else ""
    text = base_text.removeprefix("\ufeff")
    is_crlf = text.count("\r\n") == text.count("\n") > 0
    text = text.replace("\r\n", "\n") if is_crlf else text
    ends = text.endswith("\n")
    text = text if ends else text + "\n"
    root = yaml_text.mapping(text)
    for patch in (yaml_patching.patched, yaml_patching.rewritten):
        try:
            done = patch(text, root, old, new)
        except (yaml_patching.CannotPatch, ValueError):
            continue
        for candidate in (done if ends else done.removesuffix("\n"), done):
            shown = bom + (candidate.replace("\n", "\r\n") if is_crlf else candidate)
            if _reads_as(shown, wanted):
                return shown
    return None


def _reads_as(text: str, wanted: PromptFile) -> bool:
    try:
        return _same(read(text, default_name=wanted.name), wanted)
    except BadFile:
        return False


def _text(root: Node, key: str) -> str:
    node = root.get(key)
    if node is None or node.value is None and node.kind == "scalar":
        return ""
    if not isinstance(node.value, str):
        raise node.refuse(f"'{key}' must be text. Put quotes around it, as in {key}: \"...\".")
    if len(node.value) > TEXT_KEYS[key]:
        raise node.refuse(f"'{key}' may have {TEXT_KEYS[key]:,} characters.")
    return node.value


def _tags(root: Node) -> tuple[str, ...]:
    node = root.get("tags")
    if node is None or node.kind == "scalar" and node.value is None:
        return ()
    if node.kind != "sequence" or len(node.items) > MAX_TAGS:
        raise node.refuse(f"'tags' must be a list of at most {MAX_TAGS} texts, as in tags: [support, english].")
    for item in node.items:
        if not isinstance(item.value, str) or not 0 < len(item.value) <= MAX_TAG:
            raise item.refuse("A tag must be a text of 1 to 64 characters. Put quotes around it.")
    return tuple(item.value for item in node.items)


def _version(root: Node) -> str:
    node = root.get("version")
    if node is None or node.kind == "scalar" and node.value in (None, ""):
        return ""
    number = semver.parse(node.value) if isinstance(node.value, str) else None
    if number is None:
        raise node.refuse(
            "'version' has three numbers, as in version: 1.2.0. Leave the line out to have one suggested."
        )
    return str(number)


def _content(root: Node) -> Content:
    """The versioned part. Raises BadFile at the first field that is wrong."""
    if "text" in root.entries and "messages" in root.entries:
        raise root.entries["text"][0].refuse("Keep either 'text' or 'messages', not both.")
    extra = {key: yaml_text.plain(value) for key, (_, value) in root.entries.items() if key not in KNOWN}
    told: dict[str, Json] = {}
    for key in CONTENT_KEYS:
        node = root.get(key)
        if node is None or node.kind == "scalar" and node.value is None:
            continue
        if key == "variables":
            told[key], beside = _variables(node)
        elif key == "messages":
            told[key], beside = _messages(node)
        else:
            told[key], beside = yaml_text.plain(node), {}
        if beside:
            extra[key] = beside
    if extra:
        told["extra"] = extra
    try:
        return content_from_dict(told)
    except BadContent as error:
        raise _placed(root, error) from error


def _variables(node: Node) -> tuple[list[Json], dict[str, Json]]:
    """The variables as a list, and the unknown keys of each."""
    if node.kind != "mapping":
        raise node.refuse("'variables' has a line for each variable: its name, a colon, and below it 'type: text'.")
    told, beside = [], {}
    for name, (key, value) in node.entries.items():
        if value.kind == "scalar" and value.value is None:
            told.append({"name": name})
            continue
        if value.kind != "mapping":
            raise key.refuse(f"Below '{name}:' come lines such as 'type: text' and 'required: true'.")
        fields = yaml_text.plain(value)
        unknown = {one: fields.pop(one) for one in list(fields) if one not in VARIABLE_KEYS}
        if unknown:
            beside[name] = unknown
        told.append({"name": name} | {one: given for one, given in fields.items() if given is not None})
    return told, beside


def _messages(node: Node) -> tuple[list[Json], dict[str, Json]]:
    """The messages, and the unknown keys of each by its index."""
    if node.kind != "sequence":
        raise node.refuse("'messages' is a list: each begins with '- role: user' and has a 'content: |' below it.")
    told, beside = [], {}
    for index, item in enumerate(node.items):
        if item.kind != "mapping":
            raise item.refuse("A message begins with '- role: user' and has a 'content: |' below it.")
        fields = yaml_text.plain(item)
        if not isinstance(fields.get("content"), str):
            place = item.get("content") or item
            raise place.refuse("A message needs a 'content' that is text. Write 'content: |' and the text below it.")
        unknown = {one: fields.pop(one) for one in list(fields) if one not in MESSAGE_KEYS}
        if unknown:
            beside[str(index)] = unknown
        told.append(fields)
    return told, beside


def _placed(root: Node, error: BadContent) -> BadFile:
    """The first thing that is wrong, at its place in the file."""
    path, sentences = next(iter(error.details.items()))
    node = root
    for part in str(path).split("."):
        node = _step(node, part) or node
    return node.refuse(f"{path}: {sentences[0]}")


def _step(node: Node, part: str) -> Node | None:
    if node.kind == "mapping":
        if part in node.entries:
            return node.entries[part][1]
        values = [value for _, value in node.entries.values()]
        return values[int(part)] if part.isdigit() and int(part) < len(values) else None
    if node.kind == "sequence" and part.isdigit() and int(part) < len(node.items):
        return node.items[int(part)]
    return None

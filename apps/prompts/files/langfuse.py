"""Langfuse: prompts as its API and its export write them, JSON or CSV, with versions, labels and configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apps.prompts import names
from apps.prompts.files import templates
from apps.prompts.files.building import KNOWN_PARAMETERS, PARAMETERS, Builder, Files, tags_of
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile
from apps.prompts.files.records import records

NAME = "Langfuse"
COMPOSED = re.compile(r"@@@langfusePrompt:name=([^|@]+)\|(version|label)=([^@]+)@@@")
SIGN = re.compile(rf"{COMPOSED.pattern}|{templates.SIMPLE.pattern}")
WRAPPERS = ("data", "prompts", "items")

Json = Any


def is_one(record: Json) -> bool:
    """True for an object in the shape of Langfuse's prompts."""
    if not isinstance(record, Mapping) or "prompt" not in record or "name" not in record:
        return False
    if str(record.get("id", "")).startswith("pmpt_"):
        return False
    is_typed = record.get("type") in ("text", "chat")
    return isinstance(record["prompt"], str | list) and (
        is_typed or bool({"labels", "config", "commitMessage"} & set(record))
    )


def read(files: Files, path: str) -> list[Found]:
    """Every version in this file, oldest first. Raises BadFile."""
    found = [_one(record, path, place) for place, record in enumerate(records(files, path, WRAPPERS), start=1)]
    return sorted(found, key=lambda one: (one.name, one.order))


def _one(record: Mapping[str, Json], path: str, place: int) -> Found:
    build = Builder(path, NAME)
    name = str(record.get("name") or "")
    if not name:
        raise BadFile(f"The prompt at place {place} has no name.", path=path)
    prompt = record.get("prompt")
    if isinstance(prompt, str):
        parts = _parts(prompt, build)
        build.syntax = templates.syntax_for([parts])
        build.text(templates.written(parts, build.syntax))
        _declare(parts, build)
    elif isinstance(prompt, list):
        _chat(prompt, build, name)
    else:
        raise BadFile(f"The prompt '{name}' has neither a text nor messages.", path=path)
    _config(record.get("config"), build)
    labels = record.get("labels")
    version = record.get("version")
    order = int(version) if isinstance(version, int | str) and str(version).isdigit() else 0
    named = tuple(str(label) for label in labels) if isinstance(labels, list) else tags_of(labels)
    if set(named) - {"latest"}:
        build.note(f"There it had the labels {', '.join(named)}. Deploy it here to the environments you mean.")
    return build.found(
        name,
        order=order,
        tags=tags_of(record.get("tags")),
        labels=named,
        change_note=str(record.get("commitMessage") or record.get("commit_message") or ""),
    )


def _chat(messages: list[Json], build: Builder, name: str) -> None:
    texts: list[tuple[Mapping[str, Json], list[templates.Part]]] = []
    for message in messages:
        if not isinstance(message, Mapping):
            raise BadFile(f"A message of '{name}' is no object.", path=build.path)
        content = message.get("content")
        texts.append((message, _parts(content, build) if isinstance(content, str) else []))
    build.syntax = templates.syntax_for(parts for _, parts in texts)
    for message, parts in texts:
        if message.get("type") == "placeholder":
            build.placeholder(templates.variable_name(str(message.get("name") or "history")))
            continue
        if not isinstance(message.get("content"), str):
            build.note("A message holds more than text (images, files or calls); that part was left out.")
            parts = list(_texts_of(message.get("content")))
        build.message(message.get("role", "user"), templates.written(parts, build.syntax))
        _declare(parts, build)


def _texts_of(content: Json) -> Iterator[templates.Part]:
    for part in content if isinstance(content, list) else []:
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            yield from templates.simple(part["text"])


def _parts(text: str, build: Builder) -> list[templates.Part]:
    def part(match: re.Match[str]) -> templates.Part:
        name, kind, value, variable = match.groups()
        if variable is not None:
            return templates.Variable(templates.variable_name(variable))
        build.note(f"It includes '{name}' ({kind} {value}); here it includes the version that is made or found now.")
        return templates.Include(names.good_name(name))

    return templates.split(text, SIGN, part)


def _declare(parts: list[templates.Part], build: Builder) -> None:
    for part in parts:
        if isinstance(part, templates.Variable) and part.name not in build.variables:
            build.declare(part.name)


def _config(config: Json, build: Builder) -> None:
    """Model, parameters, tools and schema where they are usually kept; everything else is kept as it is."""
    if not isinstance(config, Mapping):
        return
    kept = {}
    for key, value in config.items():
        name = PARAMETERS.get(key, key)
        if key in ("model", "model_name", "modelName") and isinstance(value, str):
            build.model = value
        elif key in ("tools", "response_format") or name in KNOWN_PARAMETERS:
            build.take_parameters({key: value}, "config")
        elif key in ("json_schema", "response_schema", "schema") and isinstance(value, Mapping):
            build.take_response_format({"json_schema": value if "schema" in value else {"schema": value}})
        else:
            kept[key] = value
    if kept:
        build.extra["config"] = kept
        build.note(f"The configuration's {', '.join(kept)} was kept with the prompt; nothing here reads it.")

"""OpenAI's stored prompts, as JSON or CSV: prompt objects, or the responses that were made with one.

There is no official export. What is read is what people can copy: the object (`pmpt_…`) with its messages or
instructions, model, tools and text format, alone or in a list, one for each version; and the `instructions` of a
response, which hold the prompt's messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.prompts.files import templates
from apps.prompts.files.building import KNOWN_PARAMETERS, Builder, Files, tags_of
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile
from apps.prompts.files.records import records

NAME = "OpenAI stored prompt"
WRAPPERS = ("data", "prompts", "items")
MESSAGES = ("messages", "input", "items", "prompt", "content")

Json = Any


def is_one(record: Json) -> bool:
    """True for an object in the shape of a stored prompt or of a response made with one."""
    if not isinstance(record, Mapping):
        return False
    inner = record.get("prompt")
    if isinstance(inner, Mapping) and ("id" in inner or "version" in inner or "messages" in inner):
        return True
    marks = str(record.get("id", record.get("prompt_id", ""))).startswith("pmpt_")
    return (
        marks
        or record.get("object") in ("prompt", "prompt.version")
        or (
            bool({"model", "instructions"} & set(record))
            and any(record.get(key) for key in ("instructions", "messages", "input"))
        )
    )


def read(files: Files, path: str) -> list[Found]:
    """Every version in this file, oldest first. Raises BadFile."""
    found = []
    for place, record in enumerate(records(files, path, WRAPPERS), start=1):
        versions = record.get("versions")
        if isinstance(versions, list) and all(isinstance(one, Mapping) for one in versions):
            shared = {key: value for key, value in record.items() if key != "versions"}
            found += [_one({**shared, **one, "id": record.get("id", "")}, path, place) for one in versions]
        else:
            found.append(_one(record, path, place))
    return sorted(found, key=lambda one: (one.name, one.order))


def _one(record: Mapping[str, Json], path: str, place: int) -> Found:
    build = Builder(path, NAME)
    prompt = record.get("prompt")
    if isinstance(prompt, Mapping):
        # A response, or a wrapper: what is inside says which prompt it was.
        record = (
            {**record, **prompt}
            if "messages" in prompt or "instructions" in prompt
            else {**record, "prompt": None, **_who(prompt)}
        )
    texts = list(_messages(record, build))
    if not texts:
        raise BadFile(f"The prompt at place {place} has neither instructions nor messages.", path=path)
    build.syntax = templates.syntax_for(parts for _, parts in texts)
    for role, parts in texts:
        build.message(role, templates.written(parts, build.syntax))
        for part in parts:
            if isinstance(part, templates.Variable) and part.name not in build.variables:
                build.declare(part.name)
    _variables(record.get("variables"), build)
    _settings(record, build)
    identity = str(record.get("id") or record.get("prompt_id") or "")
    if identity:
        build.extra["openai_id"] = identity
    version = str(record.get("version") or "")
    name = str(record.get("name") or record.get("title") or identity or f"openai-prompt-{place}")
    return build.found(
        name,
        order=int(version) if version.isdigit() else 0,
        tags=tags_of(record.get("tags")),
        description=str(record.get("description") or ""),
    )


def _who(prompt: Mapping[str, Json]) -> dict[str, Json]:
    return {key: prompt[key] for key in ("id", "version", "variables", "name") if prompt.get(key) is not None}


def _messages(record: Mapping[str, Json], build: Builder) -> Iterator[tuple[str, list[templates.Part]]]:
    instructions = record.get("instructions") or record.get("system") or record.get("system_message")
    if isinstance(instructions, str) and instructions:
        yield "system", templates.simple(instructions)
    elif isinstance(instructions, list):
        yield from _listed(instructions, build)
    for key in MESSAGES:
        given = record.get(key)
        if isinstance(given, list) and given:
            yield from _listed(given, build)
            return
        if isinstance(given, str) and given.strip():
            yield "user", templates.simple(given)
            return


def _listed(messages: list[Json], build: Builder) -> Iterator[tuple[str, list[templates.Part]]]:
    for message in messages:
        if not isinstance(message, Mapping) or message.get("type", "message") not in ("message", "text"):
            build.note("An item that is no message was left out.")
            continue
        content = message.get("content", message.get("text", ""))
        texts = [content] if isinstance(content, str) else list(_texts(content, build))
        yield str(message.get("role") or "user"), templates.simple("\n".join(texts))


def _texts(content: Json, build: Builder) -> Iterator[str]:
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield text
        else:
            build.note("An image or a file in a message was left out; messages here are text.")


def _variables(given: Json, build: Builder) -> None:
    """Sample values, as an object, or names with their defaults, as a list."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            sample = value.get("default", value.get("example")) if isinstance(value, Mapping) else value
            if name in build.variables and isinstance(sample, str | int | float):
                build.declare(name, sample=sample)
    elif isinstance(given, list):
        for one in given:
            name = one.get("name") if isinstance(one, Mapping) else one
            if isinstance(name, str) and name in build.variables and isinstance(one, Mapping):
                build.declare(name, sample=one.get("default"), description=one.get("description"))


def _settings(record: Mapping[str, Json], build: Builder) -> None:
    build.model = str(record.get("model") or "")
    if record.get("tools"):
        build.take_tools(record["tools"])
    text = record.get("text")
    if isinstance(text, Mapping):
        build.take_response_format(text.get("format"))
        if text.get("verbosity"):
            build.parameters["verbosity"] = text["verbosity"]
    build.take_parameters(
        {key: value for key, value in record.items() if key in KNOWN_PARAMETERS or key == "response_format"}, "settings"
    )
    inner = record.get("parameters")
    if isinstance(inner, Mapping):
        build.take_parameters(inner, "parameters")

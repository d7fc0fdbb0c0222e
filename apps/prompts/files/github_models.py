"""GitHub Models: one YAML file with messages, test data and evaluators; simple `{{variable}}` only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.prompts.files import templates, yaml_text
from apps.prompts.files.building import Builder, Files, json_of, name_from, text_of
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile

KEYS = frozenset({"modelParameters", "testData", "evaluators", "responseFormat", "jsonSchema"})
"""Keys that only this format has."""
KNOWN = KEYS | {"name", "description", "model", "messages"}
ENDINGS = (".prompt.yaml", ".prompt.yml", ".yaml", ".yml")

Json = Any


def read(files: Files, path: str) -> Found:
    """The prompt in this file. Raises BadFile."""
    root = yaml_text.mapping(text_of(files, path).removeprefix("\ufeff"))
    told = yaml_text.plain(root)
    build = Builder(path, "GitHub Models")
    messages = root.get("messages")
    if messages is None or messages.kind != "sequence" or not messages.items:
        raise (messages or root).refuse("A prompt needs 'messages:', a list of roles and contents.")
    _messages(messages, build)
    build.model = str(told.get("model") or "")
    build.take_parameters(told.get("modelParameters"), "modelParameters")
    _answer(told, build)
    _test_data(told, build)
    for key, value in told.items():
        if key not in KNOWN:
            build.extra[key] = value
    title = str(told.get("name") or "")
    if title:
        build.extra["title"] = title
    return build.found(name_from(path, *ENDINGS), description=str(told.get("description") or title))


def _messages(node: yaml_text.Node, build: Builder) -> None:
    texts = []
    for item in node.items:
        content = item.get("content")
        if content is None or not isinstance(content.value, str):
            raise item.refuse("A message needs a 'content' that is text.")
        texts.append((item, templates.simple(content.value)))
    build.syntax = templates.syntax_for(parts for _, parts in texts)
    for item, parts in texts:
        role = item.get("role")
        build.message(role.value if role is not None else "user", templates.written(parts, build.syntax), item.line)
        for part in parts:
            if isinstance(part, templates.Variable):
                build.declare(part.name)


def _answer(told: Mapping[str, Json], build: Builder) -> None:
    """The answer's schema, which stands beside its format as text."""
    schema = told.get("jsonSchema")
    if isinstance(schema, str) and schema.strip():
        try:
            schema = json_of(schema)
        except BadFile:
            build.note("'jsonSchema' is not JSON and was left out.")
            schema = None
    if isinstance(schema, Mapping):
        build.take_response_format({"json_schema": schema if "schema" in schema else {"schema": schema}})
    elif told.get("responseFormat") not in (None, "text"):
        build.take_response_format(told["responseFormat"])


def _test_data(told: Mapping[str, Json], build: Builder) -> None:
    """The first row is the variables' sample; rows and evaluators are kept as they are."""
    rows = told.get("testData")
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else {}
    for name in list(build.variables):
        if first.get(name) is not None:
            build.declare(name, sample=first[name])
    for key, word in (("testData", "test data"), ("evaluators", "evaluators")):
        if isinstance(told.get(key), list) and told[key]:
            build.extra[key] = told[key]
            build.note(f"The {word} ({len(told[key])}) were kept with the prompt and are not used yet.")

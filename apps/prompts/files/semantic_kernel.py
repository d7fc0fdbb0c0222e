"""Semantic Kernel: a folder with `config.json` and `skprompt.txt`, two files for one prompt; `{{$input}}`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from apps.prompts.files import handlebars, templates
from apps.prompts.files.building import MAX_NOTES, Builder, Files, json_of, name_from, text_of, variable_type
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile
from apps.prompts.types import Syntax

CONFIG, PROMPT = "config.json", "skprompt.txt"
SIGN = re.compile(r"\{\{\s*\$([A-Za-z_]\w*)\s*\}\}")
CALL = re.compile(r"\{\{\s*(?!\$)([A-Za-z_][^{}]*?)\s*\}\}")

Json = Any


def read(files: Files, path: str) -> Found:
    """The prompt of this `skprompt.txt`, with the settings beside it. Raises BadFile."""
    build = Builder(path, "Semantic Kernel")
    folder = posixpath.dirname(path)
    config = posixpath.join(folder, CONFIG)
    told: Json = {}
    paths = [path]
    if config in files:
        try:
            told = json_of(text_of(files, config))
        except BadFile as error:
            raise error.at(config) from error
        paths.append(config)
    else:
        build.note(f"There is no {CONFIG} beside it; it came without settings.")
    if not isinstance(told, Mapping):
        raise BadFile("The settings must be an object in braces.", line=1, column=1, path=config)
    _variables(told, build)
    text = text_of(files, path).removeprefix("\ufeff").replace("\r\n", "\n")
    form = str(told.get("template_format") or "semantic-kernel")
    _text(text, form, build)
    _settings(told, build)
    return build.found(
        name_from(folder or "prompt"), paths=tuple(paths), description=str(told.get("description") or "")
    )


def _text(text: str, form: str, build: Builder) -> None:
    if form == "handlebars":
        build.syntax, text = handlebars.translated(text, build)
    elif form in ("jinja2", "jinja", "liquid"):
        build.syntax = Syntax.JINJA
        if form == "liquid":
            build.note("It is written in Liquid; it was read as Jinja, which is close to it.")
    else:
        for match in islice(CALL.finditer(text), MAX_NOTES + 1):
            line = text[: match.start()].count("\n") + 1
            build.note(f"{match.group()} calls a function there; it stayed as text.", line)
        parts = templates.split(text, SIGN, lambda match: templates.Variable(match.group(1)))
        for part in parts:
            if isinstance(part, templates.Variable) and part.name not in build.variables:
                build.declare(part.name)
        build.syntax = templates.syntax_for([parts])
        text = templates.written(parts, build.syntax)
    build.text(text)


def _variables(told: Mapping[str, Json], build: Builder) -> None:
    older = told.get("input")
    given = told.get("input_variables") or (older.get("parameters") if isinstance(older, Mapping) else None) or []
    for one in given if isinstance(given, list) else []:
        if isinstance(one, Mapping) and isinstance(one.get("name"), str):
            default = one.get("default", one.get("defaultValue"))
            build.declare(
                one["name"].lstrip("$"),
                variable_type(one.get("type")) if default is None else None,
                is_required=bool(one["is_required"]) if "is_required" in one else default is None,
                default=default if default != "" else None,
                description=one.get("description"),
            )


def _settings(told: Mapping[str, Json], build: Builder) -> None:
    services = told.get("execution_settings")
    services = services if isinstance(services, Mapping) else {}
    chosen = "default" if "default" in services else next(iter(services), "")
    settings = services.get(chosen, told.get("completion"))
    if isinstance(settings, Mapping):
        build.model = str(settings.get("model_id", settings.get("ai_model_id", "")) or "")
        skipped = ("model_id", "ai_model_id", "service_id", "extension_data")
        build.take_parameters(
            {key: value for key, value in settings.items() if key not in skipped}, "execution_settings"
        )
    others = [name for name in services if name != chosen]
    if others:
        build.note(f"Settings for other services were left out: {', '.join(others)}.")

"""Copilot's prompt files: `*.prompt.md`, front matter and Markdown, `${input:name}`."""

from __future__ import annotations

import re

from apps.prompts.files import front_matter, templates, yaml_text
from apps.prompts.files.building import Builder, Files, name_from, text_of
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile

SIGN = re.compile(r"\$\{(?:input:([^}:$\n]+)(?::([^}$\n]*))?|([A-Za-z]\w*)(?::([^}$\n]*))?)\}")
EDITOR = frozenset(
    {"workspaceFolder", "workspaceFolderBasename", "selection", "selectedText"}
    | {"file", "fileBasename", "fileDirname", "fileBasenameNoExtension"}
)
LINK = re.compile(r"(?:\[[^\[\]]*\]\((?!https?:|#|mailto:)[^()\s]+\)|#file:\S+)")


def read(files: Files, path: str) -> Found:
    """The prompt in this file. Raises BadFile."""
    parts = front_matter.split(text_of(files, path))
    told = yaml_text.plain(parts.head)
    build = Builder(path, "Copilot prompt file")

    def part(match: re.Match[str]) -> templates.Part:
        asked, hint, word, _ = match.groups()
        name = asked or word
        if asked is None and name not in EDITOR:
            return match.group()
        good = templates.variable_name(name)
        build.declare(good, description=hint or "")
        if asked is None:
            build.note(f"${{{name}}} is filled in by the editor there; here '{good}' is a variable like others.")
        return templates.Variable(good)

    body = templates.split(parts.body.strip("\n") + "\n", SIGN, part)
    if not parts.body.strip():
        raise BadFile("There is no text below the front matter.", line=parts.body_line, column=1)
    build.syntax = templates.syntax_for([body])
    build.text(templates.written(body, build.syntax))
    if LINK.search(parts.body):
        build.note("It links to other files of its repository, which a model here cannot open.")
    model = told.get("model")
    build.model = str(model[0] if isinstance(model, list) and model else model or "")
    for key, value in told.items():
        if key not in ("name", "description", "model") and value is not None:
            build.extra[key] = value
    if told.get("tools"):
        build.note("Its tools are names that only the editor knows; they were kept with the prompt and are not used.")
    return build.found(name_from(path, ".prompt.md", ".md"), description=str(told.get("description") or ""))

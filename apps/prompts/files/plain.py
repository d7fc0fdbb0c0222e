"""Templates without any settings: text and Jinja files."""

from __future__ import annotations

import posixpath
import re

from apps.prompts.files.building import Builder, Files, name_from, text_of
from apps.prompts.files.found import Found
from apps.prompts.files.problems import BadFile
from apps.prompts.types import Syntax

JINJA = (".jinja2", ".jinja", ".j2")
ENDINGS = (*JINJA, ".mustache", ".txt", ".md")
ROLE = re.compile(r"[._-](system|user|assistant|developer)$")


def stem_and_role(path: str) -> tuple[str, str]:
    """What the file's name says without ending and role, and the role: `answer.system.jinja2` is a system message."""
    stem = next((path[: -len(ending)] for ending in ENDINGS if path.lower().endswith(ending)), path)
    stem = next((stem[: -len(ending)] for ending in (".txt", ".md") if stem.lower().endswith(ending)), stem)
    found = ROLE.search(posixpath.basename(stem))
    if found is None or posixpath.basename(stem) == found.group():
        return stem, ""
    return stem[: -len(found.group())], found.group(1)


def read(files: Files, paths: list[str]) -> Found:
    """The prompt in these files: one file, or one for each role. Raises BadFile."""
    build = Builder(paths[0], "Jinja template" if paths[0].lower().endswith(JINJA) else "Text")
    build.syntax = Syntax.JINJA if build.format == "Jinja template" else Syntax.MUSTACHE
    order = ["developer", "system", "user", "assistant"]
    texts = {path: text_of(files, path).removeprefix("\ufeff").replace("\r\n", "\n") for path in paths}
    for path, text in texts.items():
        if not text.strip():
            raise BadFile("The file is empty.", line=1, column=1, path=path)
    stem, role = stem_and_role(paths[0])
    if len(paths) == 1 and role != "system":
        stem = f"{stem}-{role}" if role else stem
        build.text(texts[paths[0]])
    else:
        for path in sorted(paths, key=lambda one: order.index(stem_and_role(one)[1])):
            build.message(stem_and_role(path)[1], texts[path])
    return build.found(name_from(stem), paths=tuple(paths))

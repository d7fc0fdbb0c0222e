"""Files that begin with YAML between two lines of `---`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apps.prompts.files import yaml_text
from apps.prompts.files.problems import BadFile
from apps.prompts.files.yaml_text import Node

OPENING = re.compile(r"\A\s*^---[ \t]*$\n?", re.MULTILINE)
CLOSING = re.compile(r"^---[ \t]*$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parts:
    """The front matter and the body; `body_line` is the line, from 1, on which the body begins."""

    head: Node
    body: str
    body_line: int
    has_head: bool = True


def split(text: str) -> Parts:
    """The file in its two parts. Without front matter, all of it is body. Raises BadFile with the file's lines."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    opening = OPENING.match(text)
    if opening is None:
        return Parts(yaml_text.mapping(""), text, 1, has_head=False)
    closing = CLOSING.search(text, opening.end())
    if closing is None:
        line = text[: opening.end()].count("\n")
        raise BadFile("The front matter is not closed. Add a line '---' below it.", line=line, column=1)
    before = text[: opening.end()].count("\n")
    try:
        head = yaml_text.mapping(text[opening.end() : closing.start()], "The front matter")
    except BadFile as error:
        raise error.at("", lines_before=before) from error
    return Parts(head, text[closing.end() :], text[: closing.end()].count("\n") + 1)

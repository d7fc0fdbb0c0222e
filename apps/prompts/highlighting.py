"""Template text in pieces of one kind each, for whoever shows it: put together, the pieces are the source."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from apps.prompts.templating import rendering
from apps.prompts.templating.tokens import TokenKind
from apps.prompts.types import Syntax

KINDS = {
    TokenKind.TEXT: "text",
    TokenKind.VARIABLE: "variable",
    TokenKind.SECTION: "section",
    TokenKind.INVERTED: "section",
    TokenKind.CLOSE: "section",
    TokenKind.INCLUDE: "include",
    TokenKind.COMMENT: "comment",
    TokenKind.ERROR: "error",
}


class Piece(NamedTuple):
    """A stretch of the source as it is, to be escaped by whoever shows it.

    `kind` is text, variable, unknown (a variable that is not declared), section, include, comment or error. `name` is
    the variable or snippet, `message` what is wrong.
    """

    kind: str
    text: str
    name: str = ""
    message: str = ""


def pieces(source: str, syntax: Syntax, declared: Collection[str] | None = None) -> list[Piece]:
    """The source in pieces; never raises. With `declared`, variables outside of sections that are not among them are
    `unknown`."""
    found: list[Piece] = []
    depth = 0
    for token in rendering.tokens(source, syntax):
        kind = KINDS[token.kind]
        name = token.name if kind in ("variable", "include") else ""
        depth += (token.kind in (TokenKind.SECTION, TokenKind.INVERTED)) - (token.kind is TokenKind.CLOSE)
        is_certain = syntax is Syntax.MUSTACHE and depth <= 0 and name != "."
        if kind == "variable" and declared is not None and is_certain and name.partition(".")[0] not in declared:
            kind = "unknown"
        text = source[token.start : token.end]
        if found and kind == "text" == found[-1].kind:
            found[-1] = Piece("text", found[-1].text + text)
        else:
            found.append(Piece(kind, text, name, token.message))
    return found

"""Jinja, read and run by a child process; only its tags are found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.prompts.templating.tokens import Include, Problem, TemplateError, Token, TokenKind


class SourceError(TemplateError):
    """What is wrong with one of several sources; `index` says with which."""

    def __init__(self, problem: Problem, index: int = 0) -> None:
        self.index = index
        super().__init__(problem)


def render(sources: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Each source with the values in their places. Raises SourceError."""
    raise SourceError(Problem("Jinja prompts cannot be rendered yet."))


def check(source: str) -> list[Problem]:
    """What keeps the source from being rendered."""
    return []


def names_used(source: str) -> list[str]:
    """The variables that the source asks for."""
    return []


def includes(source: str) -> list[Include]:
    """The snippets that the source asks for."""
    return []


def expand(source: str, texts: Mapping[str, str]) -> str:
    """The source with its includes put in."""
    return source


def tokens(source: str) -> list[Token]:
    """The source as tokens."""
    return [Token(TokenKind.TEXT, 0, len(source), 1, 1)] if source else []

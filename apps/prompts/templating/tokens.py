"""What template text is made of, whichever language it is in: tokens with their places, includes, and problems."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

MAX_SOURCE_BYTES = 256 * 1024
"""Of one message's template, in UTF-8."""
MAX_OUTPUT_BYTES = 1024 * 1024
"""Of one rendered prompt, all messages together, in UTF-8."""
MAX_NESTING = 32
"""Sections inside sections."""


class TokenKind(StrEnum):
    """What a stretch of template text is."""

    TEXT = "text"
    VARIABLE = "variable"
    SECTION = "section"
    """Begins a part that is shown or repeated; in Jinja every `{% %}` but an include."""
    INVERTED = "inverted"
    """Begins a part that is shown when the value is empty."""
    CLOSE = "close"
    """Ends a section."""
    INCLUDE = "include"
    COMMENT = "comment"
    ERROR = "error"
    """Cannot be read; `Token.message` says why."""


class Token(NamedTuple):
    """A stretch of the source. Offsets count characters from 0, lines and columns from 1; `end` is exclusive."""

    kind: TokenKind
    start: int
    end: int
    line: int
    column: int
    name: str = ""
    """The name in the tag, or the reference of an include."""
    message: str = ""
    """For an error: a sentence that says what to do."""


class Include(NamedTuple):
    """A snippet that is asked for. Without a version it is not pinned and cannot be published."""

    name: str
    version: str | None
    start: int
    end: int

    @property
    def reference(self) -> str:
        """As written: `path/name@1.2.0`, or the bare name."""
        return self.name if self.version is None else f"{self.name}@{self.version}"


class Problem(NamedTuple):
    """Something in the source that must change. Lines and columns count from 1, 0 where it has no place."""

    sentence: str
    line: int = 0
    column: int = 0
    start: int = 0
    end: int = 0


class TemplateError(Exception):
    """A template that cannot be read or rendered; `problem` says where and what to do."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.sentence)


def refuse_long(source: str, what: str = "A message") -> None:
    """Raise TemplateError when the source is larger than a template may be."""
    if len(source) > MAX_SOURCE_BYTES or len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        raise TemplateError(Problem(f"{what} has at most {MAX_SOURCE_BYTES // 1024} KiB. Shorten it."))


def split_reference(reference: str) -> tuple[str, str | None]:
    """`name@1.2.0` as name and version; the version is None when there is none."""
    name, at, version = reference.rpartition("@")
    return (name, version) if at else (reference, None)


class Places:
    """Turns rising offsets into lines and columns, in one pass over the source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen = 0
        self._line = 1
        self._line_start = 0

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset that is not before the last one asked for."""
        breaks = self._source.count("\n", self._seen, offset)
        if breaks:
            self._line += breaks
            self._line_start = self._source.rindex("\n", self._seen, offset) + 1
        self._seen = offset
        return self._line, offset - self._line_start + 1

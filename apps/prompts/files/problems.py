"""What is wrong with a file, with the place and what to do."""

from __future__ import annotations

from apps.core.errors import DomainError


class BadFile(DomainError):
    """A file cannot be read as a prompt. `line` and `column` count from 1; None where the whole file is meant."""

    code, http_status = "bad_prompt_file", 422

    def __init__(self, sentence: str, *, line: int | None = None, column: int | None = None, path: str = "") -> None:
        self.sentence, self.line, self.column, self.path = sentence, line, column, path
        place = f"Line {line}, column {column}: " if line is not None else ""
        super().__init__(f"{place}{sentence}", line=line, column=column, path=path)

    def at(self, path: str, *, lines_before: int = 0) -> BadFile:
        """The same, in the file of this path, `lines_before` lines further down."""
        line = None if self.line is None else self.line + lines_before
        return BadFile(self.sentence, line=line, column=self.column, path=path)

"""What an import finds: prompts with notes on what could not be carried over, and files that are no prompts."""

from __future__ import annotations

from dataclasses import dataclass

from apps.prompts.content import Content


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is different here than in the file, in words. `line` counts from 1; None means the whole file."""

    sentence: str
    path: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}: " if self.line is not None else ""
        return f"{where}{self.sentence}"


@dataclass(frozen=True, slots=True)
class Found:
    """One prompt, or one version of one, as files tell it.

    `version` is `1.2.0` or empty; `order` is a count that its old home kept (3 for the third version), 0 without one.
    `source_text` is the text of a file in our own format.
    """

    name: str
    content: Content
    format: str
    paths: tuple[str, ...]
    version: str = ""
    order: int = 0
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    labels: tuple[str, ...] = ()
    change_note: str = ""
    source_text: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that could not be read, with what to do."""

    path: str
    sentence: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = f", line {self.line}, column {self.column}" if self.line is not None else ""
        return f"{self.path}{where}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a set of files holds."""

    found: tuple[Found, ...] = ()
    refused: tuple[Refused, ...] = ()

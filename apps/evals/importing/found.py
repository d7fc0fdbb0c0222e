"""What reading an upload finds: records and rows that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.core.errors import DomainError
from apps.evals.types import Json

MAX_FILE = 50 * 1024 * 1024
"""The most bytes of an upload."""
MAX_ROWS = 100_000
MAX_ROW = 8 * 1024 * 1024
"""The most characters of one row."""


class BadFile(DomainError):
    """The upload as a whole cannot be read; the sentence says why and what to do."""

    code, http_status = "unreadable_file", 422
    message = "This file cannot be read."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was not taken. `row` counts records from 1, a head row not counted; `column` is empty when the row as
    a whole is meant."""

    row: int
    column: str
    code: str
    message: str

    def as_dict(self) -> dict[str, Json]:
        """The problem as JSON."""
        return {"row": self.row, "column": self.column, "code": self.code, "message": self.message}


class RowRefused(Exception):
    """This row cannot be an example. The code is stable, the sentence says what to do."""

    def __init__(self, column: str, code: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Record:
    """One row as names and values, before anybody said what they mean."""

    row: int
    values: Mapping[str, Json]

"""Examples as files, piece by piece: JSON Lines and JSON, which come back exactly, and CSV for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from apps.core.exports import csv_text, safe_text
from apps.evals.types import Json

FIELDS = (
    "key", "variables", "messages", "tools", "expected", "context", "metadata", "slices", "state", "note",
)  # fmt: skip
"""What an exported line holds, in this order."""
MEDIA_TYPES = {"jsonl": "application/x-ndjson", "json": "application/json", "csv": "text/csv; charset=utf-8"}
MOST_VARIABLES = 50
"""Up to so many variables have a column of their own in CSV; beyond, they share one as JSON."""

Line = Mapping[str, Json]


def write(lines: Iterable[Line], form: str, variables: Sequence[str]) -> Iterator[bytes]:
    """The bytes of a file of the form, one of MEDIA_TYPES. `variables` are the names that occur, for CSV."""
    writers = {"jsonl": _jsonl, "json": _json}
    return writers[form](lines) if form in writers else _csv(lines, variables)


def plain_text(cell: str) -> str:
    """A cell without the apostrophe that keeps a spreadsheet from taking it for a formula."""
    return cell[1:] if cell.startswith("'") and safe_text(cell[1:]) != cell[1:] else cell


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _jsonl(lines: Iterable[Line]) -> Iterator[bytes]:
    for line in lines:
        yield f"{_text(line)}\n".encode()


def _json(lines: Iterable[Line]) -> Iterator[bytes]:
    yield b'{"examples": ['
    separator = "\n"
    for line in lines:
        yield f"{separator}{_text(line)}".encode()
        separator = ",\n"
    yield b"\n]}\n"


def _csv(lines: Iterable[Line], variables: Sequence[str]) -> Iterator[bytes]:
    named = list(variables) if len(variables) <= MOST_VARIABLES else []
    columns = [f"variables.{name}" for name in named] or ["variables"]
    head = ["key", *columns, *FIELDS[2:]]
    yield csv_text(head, []).encode()
    for line in lines:
        told = line["variables"]
        asked = [_cell(told.get(name)) for name in named] if named else [_cell(told)]
        rest = [_cell(line[name]) for name in FIELDS[2:]]
        yield csv_text([], [[str(line["key"]), *asked, *rest]]).partition("\r\n")[2].encode()


def _cell(value: Json) -> str:
    """Text as it is, anything else as JSON; nothing where there is nothing."""
    if value is None or value == [] or value == {}:
        return ""
    return value if isinstance(value, str) else _text(value)

"""Records of CSV and TSV: the delimiter is found from the head row, quotes may hold line ends."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from apps.evals.importing.found import MAX_ROW, BadFile, Problem, Record
from apps.evals.importing.texts import lines_of

DELIMITERS = ",;\t|"
MAX_COLUMNS = 200
MAX_NAME = 200
NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""What bytes that are not UTF-8 are read as."""

# The module's own limit, for all who read CSV in this process, is too small for a long document.
csv.field_size_limit(MAX_ROW)


def delimiter_of(head: str) -> str:
    """What separates the cells of the head row: the sign among DELIMITERS that occurs most outside quotes."""
    outside = "".join(head.split('"')[::2])
    return max(DELIMITERS, key=outside.count) if any(sign in outside for sign in DELIMITERS) else ","


def from_table(pieces: Iterable[str]) -> Iterator[Record | Problem]:
    """A record for each row below the head; empty cells are left out. Raises BadFile for a head that cannot be used."""
    lines = lines_of(pieces, limit=MAX_ROW)
    head = next(lines, "")
    while head and not head.strip():
        head = next(lines, "")
    delimiter = "\t" if "\t" in head and "," not in head else delimiter_of(head)
    reader = csv.reader(_chain(head, lines), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise BadFile("The head row cannot be read. A CSV file begins with the names of its columns.") from error
    _check_head(names)
    row = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row += 1
            yield Problem(row, "", "not_csv", f"Line {reader.line_num} is not CSV: {error}. Look at its quotes.")
            continue
        if not any(cells):
            continue
        row += 1
        yield _record(row, names, cells, reader.line_num)


def _chain(head: str, lines: Iterator[str]) -> Iterator[str]:
    yield head
    yield from lines


def _record(row: int, names: Sequence[str], cells: Sequence[str], line: int) -> Record | Problem:
    if len(cells) > len(names):
        return Problem(
            row,
            "",
            "too_many_cells",
            f"Line {line} has {len(cells)} cells and the head {len(names)}. Put quotes round cells with a delimiter.",
        )
    for name, cell in zip(names, cells, strict=False):
        if not cell.isascii() and NOT_UTF8.search(cell):
            advice = "Save the file as UTF-8, or say that it is latin-1."
            return Problem(row, name, "not_utf8", f"This is not UTF-8 in line {line}. {advice}")
    return Record(row, {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""})


def _check_head(names: Sequence[str]) -> None:
    if not any(names):
        raise BadFile("The head row is empty. A CSV file begins with the names of its columns.")
    if len(names) > MAX_COLUMNS:
        raise BadFile(f"The file has {len(names)} columns; at most {MAX_COLUMNS} are read.")
    for name in names:
        if not name:
            raise BadFile("A column has no name. Give each one a name in the head row.")
        if len(name) > MAX_NAME or "\x00" in name:
            raise BadFile("The name of a column is too long, or holds NUL. Is this a CSV file with a head row?")
        if names.count(name) > 1:
            raise BadFile(f"Two columns are called {name!r}. Rename one of them.")

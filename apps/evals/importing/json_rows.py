"""Records of JSON: one a line, or the items of an array that is taken apart while it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from apps.evals.importing.found import MAX_ROW, BadFile, Problem, Record
from apps.evals.importing.texts import lines_of
from apps.evals.types import Json

WRAPPERS = frozenset({"examples", "items", "data", "rows", "records", "tests"})
"""Under these names an object may hold the array."""
MAX_NESTING = 64
OUTSIDE = re.compile(r'["\[\]{},]')
INSIDE = re.compile(r'["\\]')


class RawItem(NamedTuple):
    """An item of the array as text; None when it was too long to be kept."""

    text: str | None


def from_lines(pieces: Iterable[str]) -> Iterator[Record | Problem]:
    """A record for each line that is not blank. The row is the number of the line."""
    for row, line in enumerate(lines_of(pieces, limit=MAX_ROW), 1):
        text = line.strip()
        if text:
            yield _record(row, text if len(line) <= MAX_ROW else None)


def from_array(pieces: Iterable[str]) -> Iterator[Record | Problem]:
    """A record for each item of the array. Raises BadFile when there is none."""
    splitter = ArraySplitter()
    row = 0
    for piece in pieces:
        for item in splitter.feed(piece):
            row += 1
            yield _record(row, item.text)
    if not splitter.found:
        raise BadFile('There is no array in this JSON. Send a list of examples, or {"examples": [...]}.')
    if not splitter.is_over:
        yield Problem(row + 1, "", "cut_off", "The file ends in the middle. Rows before this one were read.")


def value_of(text: str) -> Json:
    """The value that the JSON text spells. Raises ValueError with a sentence."""
    try:
        return msgspec.json.decode(text)
    except UnicodeEncodeError:
        raise ValueError("This row is not UTF-8. Save the file as UTF-8, or say which encoding it has.") from None
    except RecursionError:
        raise ValueError(f"This is nested more than {MAX_NESTING} levels deep.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"This is not JSON: {str(error).removeprefix('JSON is malformed: ')[:200]}.") from None


def _record(row: int, text: str | None) -> Record | Problem:
    if text is None:
        return Problem(row, "", "too_large", f"A row may have {MAX_ROW // 1024 // 1024} million characters.")
    try:
        value = value_of(text)
    except ValueError as error:
        return Problem(row, "", "not_json", str(error))
    if isinstance(value, dict) and set(value) == {"item"} and isinstance(value["item"], dict):
        value = value["item"]  # rows of OpenAI's evals are wrapped
    if not isinstance(value, Mapping):
        return Problem(row, "", "not_an_object", 'A row is a JSON object, as {"input": …, "expected": …}.')
    return Record(row, value)


class ArraySplitter:
    """Cuts the items out of a JSON array that comes in pieces, without reading them. The array stands at the top, or
    in an object under one of WRAPPERS. Holds at most one item and one piece of text."""

    def __init__(self) -> None:
        self.found = False
        self.is_over = False
        self._text = ""
        self._at = 0  # everything before was looked at
        self._start = 0  # of the item, or of a name while the array is looked for
        self._depth = 0
        self._in_string = False
        self._name = ""
        self._is_long = False
        self._has_begun = False

    def feed(self, piece: str) -> Iterator[RawItem]:
        """The items that are whole with this piece."""
        if self.is_over:
            return
        self._text += piece
        yield from self._scan()
        self._forget()

    def _scan(self) -> Iterator[RawItem]:
        while not self.is_over:
            match = (INSIDE if self._in_string else OUTSIDE).search(self._text, self._at)
            if match is None:
                self._at = len(self._text)
                return
            if match[0] == "\\" and match.end() == len(self._text):
                self._at = match.start()
                return
            self._at = match.end()
            if self._in_string:
                self._inside(match)
            elif self.found:
                yield from self._outside(match)
            else:
                self._seek(match)

    def _inside(self, match: re.Match[str]) -> None:
        if match[0] == "\\":
            self._at += 1
            return
        self._in_string = False
        if not self.found:
            self._name = self._text[self._start : match.start()]

    def _seek(self, match: re.Match[str]) -> None:
        """Look for the bracket that opens the array."""
        sign = match[0]
        if not self._has_begun:
            self._has_begun = True
            if sign not in "[{" or self._text[: match.start()].strip():
                raise BadFile("This is not JSON: it begins with neither [ nor {.")
        if sign == '"':
            self._in_string, self._start = True, match.end()
        elif sign == "[" and (self._depth == 0 or (self._depth == 1 and self._name in WRAPPERS)):
            self.found, self._depth, self._start = True, 0, match.end()
        elif sign in "[{":
            self._depth += 1
        elif sign in "]}":
            self._depth -= 1
            self.is_over = self._depth <= 0

    def _outside(self, match: re.Match[str]) -> Iterator[RawItem]:
        sign = match[0]
        if sign == '"':
            self._in_string = True
        elif sign in "[{":
            self._depth += 1
        elif self._depth and sign in "]}":
            self._depth -= 1
        elif not self._depth:
            # A comma between items, or the bracket at the end.
            self.is_over = sign != ","
            text = self._text[self._start : match.start()].strip()
            if self._is_long:
                yield RawItem(None)
            elif text or not self.is_over:
                yield RawItem(text)
            self._start, self._is_long = match.end(), False

    def _forget(self) -> None:
        """Drop what was cut out, and what is too long to be kept."""
        if self.found and self._at - self._start > MAX_ROW:
            self._is_long, self._start = True, self._at
        keep = self._start if self.found or self._in_string else self._at
        keep = min(keep, self._at)
        if not self.found and self._at - keep > 1_000:
            keep = self._start = self._at  # a long text before the array is no name
        self._text = self._text[keep:]
        self._at -= keep
        self._start = max(0, self._start - keep)

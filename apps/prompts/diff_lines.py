"""A difference as lines to be shown, one below the other or side by side. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apps.prompts.content import Content
from apps.prompts.diffing import Change, Difference, FieldChange, MessageChange, Piece, PieceKind, difference

CONTEXT = 3
"""Equal lines that are shown around a change."""


class Segment(NamedTuple):
    """A stretch of a line; `is_marked` where the line differs."""

    text: str
    is_marked: bool


class Line(NamedTuple):
    """A line of one side, or of both when it is equal. Numbers count from 1; None on the side that lacks it."""

    sign: str
    old: int | None
    new: int | None
    segments: tuple[Segment, ...]

    @property
    def look(self) -> str:
        """The class that colors it."""
        return {"-": "is-removed", "+": "is-added"}.get(self.sign, "")


class Pair(NamedTuple):
    """What stands side by side."""

    left: Line | None
    right: Line | None


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that belong together; `skipped` equal ones before them are left out."""

    skipped: int
    lines: tuple[Line, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message that differs."""

    role: str
    change: Change
    number: int
    was: int | None
    """Where it stood before, when that was elsewhere."""
    hunks: tuple[Hunk, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class ShownField:
    """A value that differs, as text."""

    path: str
    change: Change
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A whole difference, ready for a page. `equal` counts the messages that do not differ."""

    messages: tuple[ShownMessage, ...]
    fields: tuple[ShownField, ...]
    equal: int

    @property
    def is_same(self) -> bool:
        """True when nothing differs."""
        return not self.messages and not self.fields


def shown(old: Content, new: Content) -> Shown:
    """What differs between the two contents."""
    return _shown(difference(old, new))


def _shown(found: Difference) -> Shown:
    messages = tuple(_message(one) for one in found.messages if one.change is not Change.EQUAL)
    return Shown(messages, tuple(_field(one) for one in found.fields), len(found.messages) - len(messages))


def _message(one: MessageChange) -> ShownMessage:
    index = one.new_index if one.new_index is not None else one.old_index
    assert index is not None
    moved = one.old_index if one.old_index != one.new_index and one.new_index is not None else None
    message = one.new or one.old
    hunks = () if one.change is Change.MOVED else tuple(hunks_of(one.pieces))
    return ShownMessage(
        role=one.role,
        change=one.change,
        number=index + 1,
        was=None if moved is None else moved + 1,
        hunks=hunks,
        name="" if message is None else message.name,
    )


def _field(one: FieldChange) -> ShownField:
    return ShownField(one.path, one.change, _text(one.old), _text(one.new))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


# --- Lines ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Side:
    """Lines of one side that are not closed yet."""

    lines: list[list[Segment]] = field(default_factory=lambda: [[]])

    def write(self, text: str, is_marked: bool) -> None:
        """Add text; a line end in it begins another line."""
        for at, part in enumerate(text.split("\n")):
            if at:
                self.lines.append([])
            if part:
                self.lines[-1].append(Segment(part, is_marked))


@dataclass(slots=True)
class _Stretch:
    """Lines between two line ends that both sides share."""

    old: _Side = field(default_factory=_Side)
    new: _Side = field(default_factory=_Side)


def _stretches(pieces: Iterable[Piece]) -> Iterator[_Stretch]:
    stretch = _Stretch()
    for piece in pieces:
        if piece.kind is PieceKind.DELETE:
            stretch.old.write(piece.text, True)
        elif piece.kind is PieceKind.INSERT:
            stretch.new.write(piece.text, True)
        else:
            for at, part in enumerate(piece.text.split("\n")):
                if at:
                    yield stretch
                    stretch = _Stretch()
                stretch.old.write(part, False)
                stretch.new.write(part, False)
    yield stretch


def _rows(pieces: Iterable[Piece]) -> Iterator[tuple[list[list[Segment]], list[list[Segment]]]]:
    """Old and new lines that stand in each other's place; equal ones one by one."""
    for stretch in _stretches(pieces):
        old, new = stretch.old.lines, stretch.new.lines
        tail = []
        while old and new and _is_equal(old[-1], new[-1]):
            tail.append(old.pop())
            new.pop()
        while old and new and _is_equal(old[0], new[0]):
            line = old.pop(0)
            new.pop(0)
            yield [line], [line]
        if old or new:
            yield old, new
        for line in reversed(tail):
            yield [line], [line]


def _is_equal(old: Sequence[Segment], new: Sequence[Segment]) -> bool:
    return old == new and not any(segment.is_marked for segment in old)


def hunks_of(pieces: Sequence[Piece]) -> Iterator[Hunk]:
    """The changed lines with some equal ones around them."""
    rows = _whole(pieces) or _numbered(_rows(pieces))
    keep = _kept(rows)
    at = 0
    while at < len(rows):
        start = at
        while at < len(rows) and not keep[at]:
            at += 1
        begun = at
        while at < len(rows) and keep[at]:
            at += 1
        if begun < at:
            group = rows[begun:at]
            yield Hunk(begun - start, tuple(_in_order(group)), tuple(pair for row in group for pair in row))


def _whole(pieces: Sequence[Piece]) -> list[list[Pair]]:
    """A text that is only there on one side; empty for any other."""
    if len(pieces) != 1 or pieces[0].kind is PieceKind.EQUAL:
        return []
    is_new = pieces[0].kind is PieceKind.INSERT
    lines = [(Segment(text, False),) if text else () for text in pieces[0].text.split("\n")]
    if is_new:
        return [[Pair(None, Line("+", None, at, line))] for at, line in enumerate(lines, 1)]
    return [[Pair(Line("-", at, None, line), None)] for at, line in enumerate(lines, 1)]


def _numbered(rows: Iterable[tuple[list[list[Segment]], list[list[Segment]]]]) -> list[list[Pair]]:
    """Each row as pairs with the lines' numbers."""
    numbered = []
    old_at = new_at = 0
    for old, new in rows:
        if old is not new and not (len(old) == len(new) == 1 and old[0] is new[0]):
            left = [Line("-", old_at + at, None, tuple(line)) for at, line in enumerate(old, 1)]
            right = [Line("+", None, new_at + at, tuple(line)) for at, line in enumerate(new, 1)]
            height = max(len(left), len(right))
            pairs = [
                Pair(left[at] if at < len(left) else None, right[at] if at < len(right) else None)
                for at in range(height)
            ]
        else:
            line = Line(" ", old_at + 1, new_at + 1, tuple(old[0]))
            pairs = [Pair(line, line)]
        numbered.append(pairs)
        old_at, new_at = old_at + len(old), new_at + len(new)
    return numbered


def _kept(rows: Sequence[Sequence[Pair]]) -> list[bool]:
    """Which rows are shown: changes, and what is close to one."""
    keep = [False] * len(rows)
    for at, row in enumerate(rows):
        if row[0].left is not row[0].right:
            for near in range(max(0, at - CONTEXT), min(len(rows), at + CONTEXT + 1)):
                keep[near] = True
    return keep


def _in_order(rows: Iterable[Sequence[Pair]]) -> Iterator[Line]:
    """The lines one below the other: of a change first what is gone."""
    for row in rows:
        if row[0].left is not None and row[0].left is row[0].right:
            yield row[0].left
            continue
        yield from (pair.left for pair in row if pair.left is not None)
        yield from (pair.right for pair in row if pair.right is not None)

"""The difference of two contents, for people: messages word by word, and everything else by path.

Lines are compared first, then the words of lines that changed, with Myers' algorithm (E. W. Myers, "An O(ND) difference
algorithm and its variations", 1986). The work of one comparison is bounded: what is left when the bound is met is shown
as removed and added, which is true, only less fine.
"""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

from apps.prompts.content import Content, Message, Variable

MOST_STEPS = 1_000_000
"""Comparisons in one difference; some 0.5 s."""
MOST_EDITS = 2_000
"""Insertions and deletions that one run of the algorithm looks for."""
LEAST_ALIKE = 0.3
"""Texts of which a smaller part is equal are shown as replaced: patches of common words only confuse."""
LONG = 500
"""Items from which on sequences are cut before they are compared."""
WORDS_COMPARED = 64
"""Of two messages, to see whether one became the other."""
CONTEXT_LINES = 3
MOST_VALUE = 200
"""Characters of a value in the plain form."""

WORD = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")


class Change(StrEnum):
    """What became of a message or field."""

    EQUAL = "equal"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    """The same, in another place."""
    CHANGED = "changed"


class PieceKind(StrEnum):
    """Whether a stretch of text is in both, only in the new or only in the old."""

    EQUAL = "equal"
    INSERT = "insert"
    DELETE = "delete"


class Piece(NamedTuple):
    """A stretch of text."""

    kind: PieceKind
    text: str


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A message in both contents, or in one; indexes count from 0. The pieces of one that moved or is equal are one."""

    change: Change
    old_index: int | None
    new_index: int | None
    old: Message | None
    new: Message | None
    pieces: tuple[Piece, ...]

    @property
    def role(self) -> str:
        """The role, or `old → new` where it changed."""
        roles = dict.fromkeys(one.role for one in (self.old, self.new) if one is not None)
        return " → ".join(roles)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value outside of the messages. `path` is as in `parameters.temperature`, its first part is the `section`; a
    value that is not there is None, as is one that is null."""

    section: str
    path: str
    change: Change
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, and the messages that do not."""

    messages: tuple[MessageChange, ...]
    fields: tuple[FieldChange, ...]

    @property
    def is_same(self) -> bool:
        """True when nothing differs."""
        return not self.fields and all(one.change is Change.EQUAL for one in self.messages)


def difference(old: Content, new: Content) -> Difference:
    """What must change in the old content to get the new one."""
    budget = _Budget()
    return Difference(tuple(_messages(old.messages, new.messages, budget)), tuple(_fields(old, new)))


# --- Messages -----------------------------------------------------------------------------------------------------


def _messages(old: Sequence[Message], new: Sequence[Message], budget: _Budget) -> Iterator[MessageChange]:
    """The messages of both in the new order, removed ones where they were."""
    pairs = _paired(old, new, budget)
    partner = dict(pairs)
    origin = {new_index: old_index for old_index, new_index in pairs}
    in_order = _rising(pairs)
    shown = 0
    for new_index, message in enumerate(new):
        old_index = origin.get(new_index)
        if old_index is not None and (old_index, new_index) in in_order:
            yield from _removed(old, range(shown, old_index), partner)
            shown = old_index + 1
        yield _message_change(old, old_index, new_index, message, (old_index, new_index) in in_order, budget)
    yield from _removed(old, range(shown, len(old)), partner)


def _removed(old: Sequence[Message], indexes: range, partner: Mapping[int, int]) -> Iterator[MessageChange]:
    for index in indexes:
        if index not in partner:
            piece = (Piece(PieceKind.DELETE, old[index].content),)
            yield MessageChange(Change.REMOVED, index, None, old[index], None, piece)


def _message_change(
    old: Sequence[Message], old_index: int | None, new_index: int, new: Message, is_in_order: bool, budget: _Budget
) -> MessageChange:
    if old_index is None:
        return MessageChange(Change.ADDED, None, new_index, None, new, (Piece(PieceKind.INSERT, new.content),))
    before = old[old_index]
    if before == new:
        change = Change.EQUAL if is_in_order else Change.MOVED
        return MessageChange(change, old_index, new_index, before, new, (Piece(PieceKind.EQUAL, new.content),))
    pieces = text_pieces(before.content, new.content, budget)
    return MessageChange(Change.CHANGED, old_index, new_index, before, new, pieces)


def _paired(old: Sequence[Message], new: Sequence[Message], budget: _Budget) -> list[tuple[int, int]]:
    """Which old message became which new one: equal ones in their order, then equal ones elsewhere, then the most
    alike."""
    numbers = _numbered([*old, *new])
    pairs = _matches(numbers[: len(old)], numbers[len(old) :], budget)
    _pair_equal(old, new, pairs)
    left_old = [one for one in range(len(old)) if one not in {pair[0] for pair in pairs}]
    left_new = [one for one in range(len(new)) if one not in {pair[1] for pair in pairs}]
    words = {id(message): _words_of(message) for message in (*old, *new)}
    scored = sorted(
        (
            (-_likeness(old[a], new[b], words), abs((a - len(old)) - (b - len(new))), a, b)
            for a in left_old
            for b in left_new
        ),
    )
    for score, _, a, b in scored:
        if score < 0 and a in left_old and b in left_new:
            pairs.append((a, b))
            left_old.remove(a)
            left_new.remove(b)
    return sorted(pairs)


def _pair_equal(old: Sequence[Message], new: Sequence[Message], pairs: list[tuple[int, int]]) -> None:
    """Add pairs of equal messages that changed their place."""
    taken_old, taken_new = {one for one, _ in pairs}, {other for _, other in pairs}
    free: dict[Message, list[int]] = {}
    for index, message in enumerate(new):
        if index not in taken_new:
            free.setdefault(message, []).append(index)
    for index, message in enumerate(old):
        if index not in taken_old and free.get(message):
            pairs.append((index, free[message].pop(0)))


def _words_of(message: Message) -> frozenset[str]:
    """Some of the words, the same ones for the same text and mostly the same ones for similar texts."""
    words = {word for word in WORD.findall(message.content[:20_000]) if len(word) > 1}
    return frozenset(sorted(words, key=lambda word: zlib.crc32(word.encode("utf-8", "replace")))[:WORDS_COMPARED])


def _likeness(old: Message, new: Message, words: Mapping[int, frozenset[str]]) -> float:
    """How alike two messages are, from 0 (not the same message) to 1.1. Of one role, any are alike a little."""
    mine, yours = words[id(old)], words[id(new)]
    shared = len(mine & yours) / max(1, len(mine), len(yours))
    if old.role == new.role:
        return shared + 0.1
    return shared if shared > 0.5 else 0.0


def _rising(pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The longest part of the pairs that is in the same order in both; the others moved."""
    best: list[tuple[int, int]] = []  # (length, index of the pair before)
    for index, (_, new) in enumerate(pairs):
        before = max(
            ((best[one][0], one) for one in range(index) if pairs[one][1] < new),
            default=(0, -1),
            key=lambda one: one[0],
        )
        best.append((before[0] + 1, before[1]))
    at = max(range(len(best)), key=lambda one: best[one][0], default=-1)
    kept = set()
    while at >= 0:
        kept.add(pairs[at])
        at = best[at][1]
    return kept


# --- Text ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Budget:
    """How many comparisons are left."""

    steps: int = field(default=MOST_STEPS)


def text_pieces(old: str, new: str, budget: _Budget | None = None) -> tuple[Piece, ...]:
    """The two texts as pieces: without the inserted ones they are the old text, without the deleted ones the new."""
    budget = budget or _Budget()
    if old == new:
        return (Piece(PieceKind.EQUAL, new),) if new else ()
    old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    pieces: list[Piece] = []
    for is_equal, before, after in _blocks(old_lines, new_lines, budget):
        if is_equal:
            pieces.append(Piece(PieceKind.EQUAL, "".join(after)))
        else:
            pieces += _word_pieces("".join(before), "".join(after), budget)
    return tuple(_merged(_joined(pieces)))


def _word_pieces(old: str, new: str, budget: _Budget) -> list[Piece]:
    pieces: list[Piece] = []
    for is_equal, before, after in _blocks(WORD.findall(old), WORD.findall(new), budget):
        if is_equal:
            pieces.append(Piece(PieceKind.EQUAL, "".join(after)))
        else:
            pieces += [Piece(PieceKind.DELETE, "".join(before)), Piece(PieceKind.INSERT, "".join(after))]
    # Only words count: two texts always share blanks.
    alike = sum(len(piece.text.strip()) for piece in pieces if piece.kind is PieceKind.EQUAL)
    if alike < LEAST_ALIKE * min(len(old.strip()), len(new.strip())):
        return [Piece(PieceKind.DELETE, old), Piece(PieceKind.INSERT, new)]
    return pieces


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one, blanks between two changes as part of them, deletions before insertions."""
    deleted, inserted, blank = "", "", ""
    for piece in pieces:
        if piece.kind is PieceKind.EQUAL:
            blank += piece.text
            if (deleted or inserted) and blank.isspace() and "\n" not in blank:
                continue
            yield from _change(deleted, inserted)
            if blank:
                yield Piece(PieceKind.EQUAL, blank)
            deleted = inserted = blank = ""
        else:
            deleted += blank + (piece.text if piece.kind is PieceKind.DELETE else "")
            inserted += blank + (piece.text if piece.kind is PieceKind.INSERT else "")
            blank = ""
    yield from _change(deleted, inserted)
    if blank:
        yield Piece(PieceKind.EQUAL, blank)


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one."""
    for kind, group in groupby(pieces, key=lambda piece: piece.kind):
        text = "".join(piece.text for piece in group)
        if text:
            yield Piece(kind, text)


def _change(deleted: str, inserted: str) -> Iterator[Piece]:
    if deleted:
        yield Piece(PieceKind.DELETE, deleted)
    if inserted:
        yield Piece(PieceKind.INSERT, inserted)


def _blocks(
    old: Sequence[str], new: Sequence[str], budget: _Budget
) -> Iterator[tuple[bool, Sequence[str], Sequence[str]]]:
    """The two sequences in blocks that are equal or not."""
    numbers = _numbered([*old, *new])
    at_old = at_new = 0
    run_start = (0, 0)
    for one, other in [*_matches(numbers[: len(old)], numbers[len(old) :], budget), (len(old), len(new))]:
        if (one, other) != (at_old, at_new):
            if run_start != (at_old, at_new):
                yield True, old[run_start[0] : at_old], new[run_start[1] : at_new]
            yield False, old[at_old:one], new[at_new:other]
            run_start = (one, other)
        at_old, at_new = one + 1, other + 1
    if run_start != (len(old), len(new)):
        yield True, old[run_start[0] :], new[run_start[1] :]


def _numbered(items: Sequence[Any]) -> list[int]:
    """A number for each item, the same for equal ones; numbers compare faster."""
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(item, len(numbers)) for item in items]


def _matches(old: Sequence[int], new: Sequence[int], budget: _Budget) -> list[tuple[int, int]]:
    """Pairs of indexes of equal items, rising in both."""
    start, end = 0, 0
    shortest = min(len(old), len(new))
    while start < shortest and old[start] == new[start]:
        start += 1
    while end < shortest - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle = _between_anchors(old[start : len(old) - end], new[start : len(new) - end], budget)
    return [
        *((index, index) for index in range(start)),
        *((start + one, start + other) for one, other in middle),
        *((len(old) - end + index, len(new) - end + index) for index in range(end)),
    ]


def _between_anchors(old: Sequence[int], new: Sequence[int], budget: _Budget) -> list[tuple[int, int]]:
    """As `_myers`; long sequences are first cut at items that both have once, which keeps the work in proportion."""
    if len(old) * len(new) < LONG * LONG:
        return _myers(old, new, budget)
    anchors = _anchors(old, new)
    pairs: list[tuple[int, int]] = []
    at_old = at_new = 0
    for one, other in [*anchors, (len(old), len(new))]:
        found = _myers(old[at_old:one], new[at_new:other], budget)
        pairs += [(at_old + first, at_new + second) for first, second in found]
        if one < len(old):
            pairs.append((one, other))
        at_old, at_new = one + 1, other + 1
    return pairs


def _anchors(old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int]]:
    """The longest rising run of items that stand once in both (patience sorting)."""
    in_old, in_new = Counter(old), Counter(new)
    place = {item: index for index, item in enumerate(new) if in_new[item] == 1}
    pairs = [(index, place[item]) for index, item in enumerate(old) if in_old[item] == 1 and item in place]
    tails: list[int] = []
    ends: list[int] = []  # the index in pairs of each tail
    before: list[int] = []
    for index, (_, other) in enumerate(pairs):
        length = bisect_left(tails, other)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [other]
        ends[length : length + 1] = [index]
    run: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        run.append(pairs[at])
        at = before[at]
    return run[::-1]


def _myers(old: Sequence[int], new: Sequence[int], budget: _Budget) -> list[tuple[int, int]]:
    """The greedy algorithm of the paper: the furthest that each diagonal gets with one edit more, and the way back.
    No pairs when it takes more edits or steps than allowed."""
    if not old or not new:
        return []
    furthest = {1: 0}
    history: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), MOST_EDITS) + 1):
        history.append(furthest.copy())
        budget.steps -= edits  # the copy
        for diagonal in range(-edits, edits + 1, 2):
            is_insertion = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
            at = furthest[diagonal + 1] if is_insertion else furthest[diagonal - 1] + 1
            begun = at
            while at < len(old) and at - diagonal < len(new) and old[at] == new[at - diagonal]:
                at += 1
            furthest[diagonal] = at
            budget.steps -= at - begun + 1
            if at >= len(old) and at - diagonal >= len(new):
                return _way_back(history, len(old), len(new))
        if budget.steps < 0:
            break
    return []


def _way_back(history: Sequence[Mapping[int, int]], old_end: int, new_end: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    one, other = old_end, new_end
    for edits in range(len(history) - 1, -1, -1):
        furthest = history[edits]
        diagonal = one - other
        is_insertion = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
        before = diagonal + 1 if is_insertion else diagonal - 1
        before_one = furthest[before] if edits else 0
        before_other = before_one - before if edits else 0
        while one > before_one and other > before_other:
            one, other = one - 1, other - 1
            pairs.append((one, other))
        one, other = before_one, before_other
    return pairs[::-1]


# --- Structure ----------------------------------------------------------------------------------------------------


def _fields(old: Content, new: Content) -> Iterator[FieldChange]:
    """Everything but the messages, by path."""
    for section in ("kind", "syntax", "model"):
        before, after = getattr(old, section), getattr(new, section)
        if before != after:
            yield FieldChange(section, section, Change.CHANGED, str(before) or None, str(after) or None)
    yield from _variables(old.variables, new.variables)
    yield from _values("parameters", old.parameters, new.parameters)
    yield from _values("tools", _tools_by_name(old), _tools_by_name(new))
    yield from _values("response_schema", old.response_schema, new.response_schema)
    yield from _values("extra", old.extra, new.extra)


def _variables(old: Sequence[Variable], new: Sequence[Variable]) -> Iterator[FieldChange]:
    before = {one.name: _variable_as_dict(one) for one in old}
    after = {one.name: _variable_as_dict(one) for one in new}
    yield from _values("variables", before, after)


def _variable_as_dict(variable: Variable) -> dict[str, Any]:
    told = {
        "type": variable.type.value,
        "required": variable.is_required,
        "default": variable.default,
        "description": variable.description or None,
        "sample": variable.sample,
    }
    return {name: value for name, value in told.items() if value is not None}


def _tools_by_name(content: Content) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for index, tool in enumerate(content.tools):
        function = tool.get("function")
        name = str(function.get("name")) if isinstance(function, Mapping) else f"tool {index + 1}"
        named[name if name not in named else f"{name} ({index + 1})"] = tool
    return named


def _values(path: str, old: Any, new: Any) -> Iterator[FieldChange]:
    """The differences of two JSON values: objects by key, lists of one length item by item, others as a whole."""
    waiting = [(path, old, new, True, True)]
    while waiting:
        here, before, after, was, is_now = waiting.pop()
        section = path
        if was and is_now and isinstance(before, Mapping) and isinstance(after, Mapping):
            keys = [*before, *(key for key in after if key not in before)]
            waiting += [
                (f"{here}.{key}", before.get(key), after.get(key), key in before, key in after)
                for key in reversed(keys)
            ]
        elif was and is_now and _are_alike_lists(before, after):
            rows = list(zip(before, after, strict=True))
            waiting += [(f"{here}.{index}", *rows[index], True, True) for index in range(len(rows) - 1, -1, -1)]
        elif (was, before) != (is_now, after) or type(before) is not type(after):
            change = Change.CHANGED
            if not was or (before is None and here == path):
                change = Change.ADDED
            elif not is_now or (after is None and here == path):
                change = Change.REMOVED
            yield FieldChange(section, here, change, before, after)


def _are_alike_lists(old: Any, new: Any) -> bool:
    return isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new)


# --- Plain text ---------------------------------------------------------------------------------------------------

SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~", Change.MOVED: "~", Change.EQUAL: " "}


def unified(old: Content, new: Content, old_label: str = "old", new_label: str = "new") -> str:
    """The difference as plain text, for a pull request: changed fields one a line, then messages as unified diffs."""
    found = difference(old, new)
    lines = [f"--- {old_label}", f"+++ {new_label}"]
    lines += [_field_line(one) for one in found.fields]
    budget = _Budget()
    for message in found.messages:
        if message.change is not Change.EQUAL:
            lines += _message_lines(message, budget)
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _field_line(one: FieldChange) -> str:
    if one.change is Change.ADDED:
        return f"+ {one.path}: {_short(one.new)}"
    if one.change is Change.REMOVED:
        return f"- {one.path}: {_short(one.old)}"
    return f"~ {one.path}: {_short(one.old)} → {_short(one.new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split()) or '""'
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}…"


def _message_lines(message: MessageChange, budget: _Budget) -> list[str]:
    number = message.new_index if message.new_index is not None else message.old_index
    assert number is not None
    place = f"message {number + 1}"
    if message.new_index is None:
        place = f"old {place}"
    lines = [f"@@ {place} ({message.role}): {message.change.value} @@"]
    if message.change is Change.MOVED:
        assert message.old_index is not None
        return [f"@@ {place} ({message.role}): moved, was {message.old_index + 1} @@"]
    before = (message.old.content if message.old else "").split("\n") if message.old else []
    after = message.new.content.split("\n") if message.new else []
    return lines + _with_context(list(_blocks(before, after, budget)))


def _with_context(blocks: Sequence[tuple[bool, Sequence[str], Sequence[str]]]) -> list[str]:
    """Changed lines with signs, and a few equal ones around them; what is left out is told."""
    lines: list[str] = []
    for index, (is_equal, before, after) in enumerate(blocks):
        if not is_equal:
            lines += [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
            continue
        head = list(after[:CONTEXT_LINES]) if index else []
        tail = list(after[-CONTEXT_LINES:]) if index + 1 < len(blocks) else []
        left_out = len(after) - len(head) - len(tail)
        if left_out <= 0:
            lines += [f" {line}" for line in after]
            continue
        lines += [f" {line}" for line in head]
        lines.append(f"@@ {left_out} equal lines @@" if left_out > 1 else "@@ 1 equal line @@")
        lines += [f" {line}" for line in tail]
    return lines

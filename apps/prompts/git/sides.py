"""Two texts side by side, with the lines marked that the other one does not have. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple


class Line(NamedTuple):
    """A line, and whether the other side lacks it."""

    text: str
    is_other: bool


def sides(ours: str, theirs: str) -> tuple[list[Line], list[Line]]:
    """The lines of both texts. Where one of them is empty, nothing is marked."""
    one, other = ours.splitlines(), theirs.splitlines()
    if not one or not other:
        return [Line(text, False) for text in one], [Line(text, False) for text in other]
    marks: tuple[set[int], set[int]] = (set(), set())
    for kind, start, end, other_start, other_end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "equal":
            marks[0].update(range(start, end))
            marks[1].update(range(other_start, other_end))
    return (
        [Line(text, place in marks[0]) for place, text in enumerate(one)],
        [Line(text, place in marks[1]) for place, text in enumerate(other)],
    )

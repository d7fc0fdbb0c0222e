"""Spans in the order of their tree. Pure, and quick: a trace may have tens of thousands."""

from __future__ import annotations

from collections.abc import Sequence

NO_PARENT = bytes(8)


def in_tree_order(ids: Sequence[bytes], parents: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Places in the given order and, for each place given, its depth: parents before their children, siblings as given.

    A span whose parent is not here counts as a root; parents that form a ring are broken at the span given first. Of
    two spans with one id, the later one given has the children.
    """
    by_id = dict(zip(ids, range(len(ids)), strict=True))
    children: dict[int, list[int]] = {}
    for place, (own, parent) in enumerate(zip(ids, parents, strict=True)):
        above = -1 if parent == own else by_id.get(parent, -1)
        if above in children:
            children[above].append(place)
        else:
            children[above] = [place]
    ordered: list[int] = []
    depths = [0] * len(ids)
    is_placed = bytearray(len(ids))
    for start in (*children.get(-1, ()), *range(len(ids))):
        if is_placed[start]:
            continue
        waiting = [start]
        while waiting:
            place = waiting.pop()
            if is_placed[place]:
                continue
            is_placed[place] = 1
            ordered.append(place)
            below = children.get(place)
            if below:
                depth = depths[place] + 1
                for child in below:
                    depths[child] = depths[child] if is_placed[child] else depth
                waiting += reversed(below)
    return ordered, depths

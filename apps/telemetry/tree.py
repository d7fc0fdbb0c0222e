"""Spans in the order of their tree. Pure, and quick: a trace may have tens of thousands."""

from __future__ import annotations

from collections.abc import Sequence

NO_PARENT = bytes(8)


def in_tree_order(ids: Sequence[bytes], parents: Sequence[bytes]) -> list[tuple[int, int]]:
    """Places in the given order and depths: parents before their children, siblings as they were given.

    A span whose parent is not here counts as a root; parents that form a ring are broken at the span given first. Of
    two spans with one id, the later one given has the children.
    """
    by_id = {span_id: place for place, span_id in enumerate(ids)}
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        above = by_id.get(parent, -1) if parent != ids[place] else -1
        children.setdefault(above, []).append(place)
    ordered: list[tuple[int, int]] = []
    is_placed = bytearray(len(ids))
    for start in (*children.get(-1, ()), *range(len(ids))):
        if is_placed[start]:
            continue
        waiting = [(start, 0)]
        while waiting:
            place, depth = waiting.pop()
            if is_placed[place]:
                continue
            is_placed[place] = 1
            ordered.append((place, depth))
            below = children.get(place)
            if below:
                waiting.extend((child, depth + 1) for child in reversed(below))
    return ordered

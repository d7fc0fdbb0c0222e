"""Who gets which arm of a split. Pure, and the same in every process and language.

Two numbers are drawn for a subject, each from a hash of its own, so that one says nothing about the other: a place
among 10,000, which says whether the subject takes part, and a second one, which says which arm it gets. A draw is the
first 64 bits of SHA-256, read as one big-endian number and scaled to 0…9,999, over these UTF-8 bytes:

    part, without a layer   "part" 00 salt 00 subject
    part, in a layer        "layer" 00 layer 00 subject
    arm                     "arm" 00 salt 00 subject

Who takes part are the subjects whose place lies in `[layer_from, layer_from + share)`: a larger share keeps everybody
who was in already, and experiments of one layer that take different parts share nobody.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

WHOLE = 10_000
"""Shares and weights are counted in so many parts."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How a split draws. `weights` are those of the arms in their order and add up to 10,000."""

    salt: str
    share: int
    weights: tuple[int, ...]
    excluded: frozenset[str] = frozenset()
    layer: str = ""
    layer_from: int = 0


def choose(split: Splitting, subject: str) -> int | None:
    """The position of the subject's arm; None without a subject, and for who is excluded or does not take part."""
    if not subject or subject in split.excluded or not takes_part(split, subject):
        return None
    left = draw("arm", split.salt, subject)
    for position, weight in enumerate(split.weights):
        left -= weight
        if left < 0:
            return position
    return None


def takes_part(split: Splitting, subject: str) -> bool:
    """Whether the subject's place lies in the part that the split takes."""
    place = draw("layer", split.layer, subject) if split.layer else draw("part", split.salt, subject)
    return split.layer_from <= place < split.layer_from + split.share


def draw(what: str, key: str, subject: str) -> int:
    """A number from 0 to 9,999, always the same for the same three words."""
    told = f"{what}\0{key}\0{subject}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") * WHOLE >> 64

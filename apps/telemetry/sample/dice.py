"""Numbers that look random and are fixed by a name, on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

T = TypeVar("T")

NORMAL = NormalDist()
_UNPACK = struct.Struct("<8Q").unpack
_SCALE = 2.0**-64


class Dice:
    """A stream of numbers fixed by its name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = 0
        self._numbers: list[int] = []

    def share(self) -> float:
        """The next number, at least 0 and below 1."""
        if not self._numbers:
            self._numbers = list(_UNPACK(hashlib.blake2b(f"{self._name}/{self._turn}".encode()).digest()))
            self._turn += 1
        return min(self._numbers.pop() * _SCALE, 0.9999999999999999)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.share() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, each as likely as the others."""
        return choices[int(self.share() * len(choices))]

    def weigh(self, choices: Sequence[tuple[T, float]]) -> T:
        """One of the choices by their shares, which add up to 1."""
        rest = self.share()
        for choice, share in choices:
            rest -= share
            if rest < 0:
                return choice
        return choices[-1][0]

    def spread(self, sigma: float) -> float:
        """A factor around 1, log-normal: twice as much is as likely as half."""
        return math.exp(sigma * NORMAL.inv_cdf(max(self.share(), 1e-12)))

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.share() * (high - low + 1))


def fixed_id(name: str, size: int) -> str:
    """An id of so many bytes, as hexadecimal digits, fixed by the name."""
    return hashlib.blake2b(name.encode(), digest_size=size).hexdigest()

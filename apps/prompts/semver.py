"""Semantic versions of prompts: three numbers (https://semver.org), without pre-releases.

The first version of a prompt is 1.0.0: what is published is used.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from apps.prompts.types import Bump

MOST = 999_999
"""The largest number of a part."""
SHAPE = re.compile(r"v?(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})", re.ASCII)


class Number(NamedTuple):
    """A version's number. Numbers compare as versions do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def after(self, bump: Bump) -> Number:
        """The next number for a step of this size."""
        if bump is Bump.MAJOR:
            return Number(self.major + 1, 0, 0)
        if bump is Bump.MINOR:
            return Number(self.major, self.minor + 1, 0)
        return Number(self.major, self.minor, self.patch + 1)

    def step_from(self, older: Number) -> Bump | None:
        """How large the step from the older number to this one is; None when this one is not newer."""
        if self <= older:
            return None
        if self.major != older.major:
            return Bump.MAJOR
        return Bump.MINOR if self.minor != older.minor else Bump.PATCH


FIRST = Number(1, 0, 0)


def parse(text: str) -> Number | None:
    """The number that the text spells, as `1.2.0` or `v1.2.0`; None for anything else."""
    found = SHAPE.fullmatch(text)
    return None if found is None else Number(*(int(part) for part in found.groups()))

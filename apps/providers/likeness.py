"""Which listed models are named like one that is not listed: a hint for a person, never a price of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)*")
LEAST = 0.3
"""Names that share fewer of their words than this part are not alike."""


def words_of(name: str) -> frozenset[str]:
    """The words and numbers of a model's name: `openai/GPT-4o-mini` has openai, gpt, 4, o, mini."""
    return frozenset(WORD.findall(name.lower()))


def most_alike(name: str, names: Iterable[str], *, most: int) -> list[str]:
    """The names that share most words with this one, the nearest first: shared words by words of either."""
    wanted = words_of(name)
    scored = []
    for other in names:
        words = words_of(other)
        either = len(wanted | words)
        share = len(wanted & words) / either if either else 0.0
        if share >= LEAST:
            scored.append((-share, len(other), other))
    return [other for _, _, other in sorted(scored)[:most]]

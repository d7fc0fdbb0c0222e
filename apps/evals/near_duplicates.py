"""Which examples ask the same, word for word or almost. Pure.

Exact: equal inputs. Near: sets of three-word runs whose Jaccard similarity (shared runs by all runs; Broder, "On the
resemblance and containment of documents", 1997) is at least a threshold. Candidates are found by MinHash (Broder 1997)
with banding (Indyk and Motwani, "Approximate nearest neighbors", 1998) and each pair is then compared exactly, so
nothing is called near that is not; a pair just above the threshold may be missed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.evals.types import Json

THRESHOLD = 0.8
RUN = 3
"""Words of a run."""
PERMUTATIONS = 128
ROWS_OF_BAND = 8
"""With 16 bands of 8, a pair of similarity 0.8 is a candidate with probability 0.95, one of 0.9 almost surely."""
MOST_COMPARED = 20
"""In a crowd of candidates each is compared with so many others."""
MAX_CHARACTERS = 20_000
"""So much of a text is looked at."""
WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Group:
    """Examples, by their places, that ask the same. `similarity` is the least of the pairs that joined them."""

    members: tuple[int, ...]
    similarity: float

    @property
    def is_exact(self) -> bool:
        """True when all of them have the same words."""
        return self.similarity == 1.0


def input_text(variables: Mapping[str, Json], messages: Sequence[Mapping[str, Json]] | None) -> str:
    """All that the model is asked, as one text: what stands in the variables and messages, in order."""
    parts = [text for value in variables.values() for text in _texts(value)]
    parts += [text for message in messages or () for text in _texts(message.get("content"))]
    return "\n".join(parts)[:MAX_CHARACTERS]


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif value is not None:
        yield str(value)


def runs_of(text: str) -> frozenset[str]:
    """The runs of three words; of a shorter text, all its words as one run. Case does not matter."""
    words = WORDS.findall(text.lower())
    if len(words) <= RUN:
        return frozenset({" ".join(words)}) if words else frozenset()
    return frozenset(" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared elements by all elements; 0 for two empty sets, which say nothing."""
    union = len(one | other)
    return len(one & other) / union if union else 0.0


def groups(texts: Sequence[str], *, threshold: float = THRESHOLD) -> list[Group]:
    """The groups of at least two, largest first. Groups are joined by pairs: A with B and B with C puts C with A."""
    runs = lru_cache(maxsize=20_000)(lambda place: runs_of(texts[place]))
    joined = _Joined(len(texts))
    first: dict[str, int] = {}
    for place, text in enumerate(texts):
        plain = " ".join(WORDS.findall(text.lower()))
        if plain and first.setdefault(plain, place) != place:
            joined.join(first[plain], place, 1.0)
    # Equal texts stand for each other from here on.
    distinct = list(first.values())
    for one, other in _candidates([texts[place] for place in distinct]):
        left, right = distinct[one], distinct[other]
        similarity = jaccard(runs(left), runs(right))
        if similarity >= threshold:
            joined.join(left, right, similarity)
    return joined.groups()


def _candidates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs, each once, that agree in a band of their signatures."""
    if len(texts) < 2:
        return
    signatures = _signatures(texts)
    for start in range(0, PERMUTATIONS, ROWS_OF_BAND):
        crowds: dict[bytes, list[int]] = {}
        for place in range(len(texts)):
            crowds.setdefault(signatures[place, start : start + ROWS_OF_BAND].tobytes(), []).append(place)
        for crowd in crowds.values():
            for at, other in enumerate(crowd):
                for one in [*crowd[: MOST_COMPARED // 2], *crowd[max(0, at - MOST_COMPARED // 2) : at]]:
                    if one < other:
                        yield one, other


def _signatures(texts: Sequence[str]) -> Any:
    # Imported here: they cost every web process memory otherwise.
    import numpy as np
    from datasketch import MinHash

    signatures = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    empty = MinHash(num_perm=PERMUTATIONS, seed=1)
    for place, text in enumerate(texts):
        sketch = empty.copy()
        sketch.update_batch([run.encode("utf-8", "replace") for run in runs_of(text)])
        signatures[place] = sketch.hashvalues
    return signatures


class _Joined:
    """Places that belong together, as a forest of parents."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._least: dict[int, float] = {}

    def join(self, one: int, other: int, similarity: float) -> None:
        """Put two groups together."""
        top, below = sorted((self._top(one), self._top(other)))
        if top != below:
            self._parent[below] = top
            self._least[top] = min(similarity, self._least.get(top, 1.0), self._least.get(below, 1.0))

    def _top(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def groups(self) -> list[Group]:
        """Those of at least two."""
        members: dict[int, list[int]] = {}
        for place in range(len(self._parent)):
            members.setdefault(self._top(place), []).append(place)
        found = [Group(tuple(each), self._least[top]) for top, each in members.items() if len(each) > 1]
        return sorted(found, key=lambda group: (-len(group.members), group.members))


def nearest(text: str, others: Iterable[frozenset[str]]) -> float:
    """The similarity of the text to the one most like it; 0 when there is none."""
    runs = runs_of(text)
    return max((jaccard(runs, other) for other in others), default=0.0)

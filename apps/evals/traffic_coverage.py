"""How much of what a feature is really asked looks like something in its eval set. Pure.

Two texts are as alike as the cosine of their word counts, each word weighted by log(documents / documents with it)
(Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988), so that words of the prompt that
every call has count for nothing.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.evals.near_duplicates import WORDS
from apps.evals.types import Json

NEIGHBOR = 0.35
"""From this cosine on an example is a neighbor of a call: among questions of people, where the subject is shared."""
MAX_WORDS = 400
"""So many words of a text are looked at."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """The example most like a call, by its place; None when no word is shared. `similarity` is the cosine, 0 to 1."""

    place: int | None
    similarity: float


def asked_text(value: Json) -> str:
    """What a recorded input asks: the last message of the user, or the text itself."""
    if isinstance(value, str):
        return value
    messages = value.get("messages", value.get("input")) if isinstance(value, Mapping) else value
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list):
        for message in reversed(messages):
            if isinstance(message, Mapping) and message.get("role") == "user":
                return _content(message.get("content"))
    if isinstance(value, Mapping):
        return " ".join(one for one in value.values() if isinstance(one, str))
    return ""


def _content(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, Mapping)]
        return " ".join(part for part in parts if isinstance(part, str))
    return ""


def neighbors(calls: Sequence[str], examples: Sequence[str]) -> list[Neighbor]:
    """The nearest example of each call."""
    counted = [_words(text) for text in (*calls, *examples)]
    occurs = Counter(word for words in counted for word in words)
    weight = {word: math.log((len(counted) + 1) / count) for word, count in occurs.items()}
    vectors = [_unit({word: count * weight[word] for word, count in words.items()}) for words in counted]
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for place, vector in enumerate(vectors[len(calls) :]):
        for word, value in vector.items():
            postings[word].append((place, value))
    return [_nearest(vector, postings) for vector in vectors[: len(calls)]]


def _words(text: str) -> Counter[str]:
    return Counter(WORDS.findall(text.lower())[:MAX_WORDS])


def _unit(vector: Mapping[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(value * value for value in vector.values()))
    return {word: value / length for word, value in vector.items()} if length else {}


def _nearest(vector: Mapping[str, float], postings: Mapping[str, list[tuple[int, float]]]) -> Neighbor:
    sums: dict[int, float] = defaultdict(float)
    for word, value in vector.items():
        for place, other in postings.get(word, ()):
            sums[place] += value * other
    if not sums:
        return Neighbor(None, 0.0)
    place = max(sums, key=lambda one: sums[one])
    return Neighbor(place, min(1.0, sums[place]))

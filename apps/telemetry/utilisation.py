"""How much of what a retrieval brought was used in the answer. Pure; three methods, the best that is possible.

`marked`: the client says of documents whether they were used. The share of those it says it of.

`citation`: the answer cites documents, by their id as a word of its own, or by a number in square brackets that counts
the documents from 1 in the order in which they were shown. The share of the retrieved documents that are cited.

`overlap`: the share of the retrieved documents with a text that share words with the answer in a row. Texts are
compared by their word N-grams (N = 4) after normalisation: Unicode NFKC, case folded, words being runs of letters and
digits, with each Chinese, Japanese or Korean character a word of its own; everything else is left out. A document was
used when at least LEAST (2) different N-grams of it occur in the answer, as they do where five words in a row are
the same, or all of them when it has fewer. A document shorter than N words was used when all of it occurs in a row.

Overlap misses what was said in other words, and counts what both have from elsewhere: it is for following one feature
over time, not for comparing features. Where no answer is known, or no document has what a method needs, utilisation is
unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

N = 4
LEAST = 2
MOST_CHARS = 200_000
"""So much of each text is looked at."""

SHORTEST_ID = 3
"""A shorter id would be found in any text; it counts as cited in brackets only."""

MARKED, CITATION, OVERLAP, UNKNOWN = "marked", "citation", "overlap", ""
METHODS = (MARKED, CITATION, OVERLAP)

Document = Mapping[str, Any]
Grams = set[tuple[str, ...]]

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
NUMBERS = re.compile(r"\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]")


@dataclass(frozen=True, slots=True)
class Utilisation:
    """The share of documents that were used, 0 to 1, and how it was found."""

    share: float
    method: str


class Answer:
    """An answer, read once for all the documents that it is compared with."""

    def __init__(self, text: str) -> None:
        self.text = text[:MOST_CHARS]
        self._words: list[str] | None = None
        self._grams: dict[int, Grams] = {}

    def numbers(self) -> set[int]:
        """The numbers in square brackets, as in `[2]` and `[1, 3]`."""
        return {int(each) for match in NUMBERS.finditer(self.text) for each in re.findall(r"\d+", match[1])}

    def grams(self, length: int) -> Grams:
        """All runs of so many words."""
        if self._words is None:
            self._words = words_of(self.text)
        if length not in self._grams:
            self._grams[length] = set(_runs(self._words, length))
        return self._grams[length]

    def names(self, id_: str) -> bool:
        """Whether the id stands there, not as a part of a longer one."""
        if f"[{id_}]" in self.text:
            return not id_.isdigit()  # a number in brackets is a place, not an id
        if len(id_) < SHORTEST_ID or id_.isdigit() or id_ not in self.text:
            return False
        return re.search(rf"(?<![\w/#.-]){re.escape(id_)}(?![\w/#-])", self.text) is not None


def words_of(text: str) -> list[str]:
    """The words of a text, normalised."""
    return WORD.findall(unicodedata.normalize("NFKC", text[:MOST_CHARS]).casefold())


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(length)), strict=False)


def utilisation(
    documents: Sequence[Document], answer: Answer | None, *, shown: Sequence[Document] | None = None
) -> Utilisation | None:
    """The utilisation of a retrieval's documents; None when it is unknown.

    `shown` are the documents as they were put before the model, which is what numbers in the answer count; the
    retrieved ones in their order unless something else is given.
    """
    if not documents:
        return None
    marks = [document["used"] for document in documents if isinstance(document.get("used"), bool)]
    if marks:
        return Utilisation(sum(marks) / len(marks), MARKED)
    if answer is None or not answer.text.strip():
        return None
    cited = _cited(documents, answer, documents if shown is None else shown)
    if cited:
        return Utilisation(cited / len(documents), CITATION)
    texts = [text for document in documents if (text := _text(document))]
    if not texts:
        return None
    return Utilisation(sum(_overlaps(text, answer) for text in texts) / len(texts), OVERLAP)


def identity(document: Document) -> str:
    """What tells a document from others: its id, else its text; empty when it has neither."""
    id_ = document.get("id")
    return f"id:{id_}" if id_ not in (None, "") else f"text:{_text(document)}" if _text(document) else ""


def _cited(documents: Sequence[Document], answer: Answer, shown: Sequence[Document]) -> int:
    numbers = answer.numbers()
    by_number = {identity(document) for place, document in enumerate(shown, start=1) if place in numbers} - {""}
    return sum(
        identity(document) in by_number or (document.get("id") not in (None, "") and answer.names(str(document["id"])))
        for document in documents
    )


def _text(document: Document) -> str:
    content = document.get("content")
    return content if isinstance(content, str) else ""


def _overlaps(text: str, answer: Answer) -> bool:
    words = words_of(text)
    if not words:
        return False
    length = min(N, len(words))
    grams = set(_runs(words, length))
    return len(grams & answer.grams(length)) >= min(LEAST, len(grams))

"""Words of a text and words of a search, cut the same way, so that what is typed is found as it stands. Pure.

A word is a run of letters and digits, in any case. Runs that `-`, `_`, `.`, `@`, `+` or `'` join (order numbers, e-mail
addresses, names of functions) are kept one by one and in pairs with what joins them: `70-4412` gives `70`, `4412` and
`70-4412`. Scripts that do not part words give characters and pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

MOST_CHARS = 65_536
"""So much text of one span is looked through; longer texts share it."""

MOST_WORDS = 20_000
LONGEST_WORD = 64
MOST_TERMS = 24
"""So many words of one search are heeded."""

RUN = re.compile(r"[^\W_]+(?:[-_.@+'][^\W_]+)*")
PIECE = re.compile(r"[^\W_]+|[-_.@+']")
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
UNPARTED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, Kana, Han and Hangul."""

FRAME_NAMES = frozenset(
    {
        "arguments", "content", "contents", "function", "id", "index", "input", "message", "messages", "name", "object",
        "output", "parts", "role", "text", "tool_calls", "type",
    }
)  # fmt: skip
"""Names that every list of messages has; finding them would find everything."""

FRAME_VALUES = frozenset({"object", "role", "type"})
"""Names whose values every list of messages has."""


@dataclass(frozen=True)
class Search:
    """What is looked for: every word of `words`, and a word that begins with each of `beginnings`."""

    words: tuple[str, ...]
    beginnings: tuple[str, ...] = ()

    def is_in(self, words: Collection[str]) -> bool:
        """True when all of it occurs among the words."""
        if not all(word in words for word in self.words):
            return False
        return all(any(word.startswith(beginning) for word in words) for beginning in self.beginnings)


def read_search(text: str | None) -> Search | None:
    """What somebody typed: words, all of which must occur; `refun*` stands for any word that begins so.

    None when there is no word in it.
    """
    words: dict[str, None] = {}
    beginnings: dict[str, None] = {}
    for term in (text or "")[:2_000].split():
        found = list(_needed(_folded(term)))
        if not found:
            continue
        if term.endswith("*"):
            beginnings[found.pop()] = None
        words |= dict.fromkeys(found)
    if not words and not beginnings:
        return None
    return Search(tuple(words)[:MOST_TERMS], tuple(beginnings)[:MOST_TERMS])


def words_of(texts: Iterable[str]) -> set[str]:
    """The words of all these texts, at most MOST_WORDS of them."""
    words: set[str] = set()
    for text in _shared(list(texts)):
        for run in set(RUN.findall(_folded(text))):
            if run.isascii() and run.isalnum():
                words.add(run[:LONGEST_WORD])
            else:
                words.update(_all_of(run))
        if len(words) >= MOST_WORDS:
            return set(sorted(words)[:MOST_WORDS])
    return words


def texts_in(text: str | None, *, is_json: bool) -> Iterator[str]:
    """The texts within a payload's text: its strings and numbers where it is JSON, else itself."""
    if not text:
        return
    if is_json or text[:1] in {"{", "["}:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            yield text
        else:
            yield from _strings(value)
    else:
        yield text


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            for name, inner in item.items():
                if name not in FRAME_NAMES:
                    yield name
                if name not in FRAME_VALUES or not isinstance(inner, str):
                    waiting.append(inner)
        elif isinstance(item, list):
            waiting.extend(item)
        elif item is not None and not isinstance(item, bool):
            yield str(item)


def _shared(texts: list[str]) -> Iterator[str]:
    """The texts, cut so that together they have MOST_CHARS: short ones whole, long ones their share."""
    left = MOST_CHARS
    ordered = sorted(filter(None, texts), key=len)
    for place, text in enumerate(ordered):
        share = text[: left // (len(ordered) - place)]
        left -= len(share)
        yield share


def _folded(text: str) -> str:
    """One spelling for all: lower case, compatible characters made one, escapes of JSON within texts undone."""
    if "\\" in text:
        text = ESCAPE.sub(_unescaped, text)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else " "


def _all_of(run: str) -> Iterator[str]:
    """Every word under which a run is found."""
    pieces = PIECE.findall(run)
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            yield from _parted(piece)
            if place:
                yield "".join(pieces[place - 2 : place + 1])[:LONGEST_WORD]


def _parted(piece: str) -> Iterator[str]:
    if piece.isascii():
        yield piece[:LONGEST_WORD]
        return
    end = 0
    for match in UNPARTED.finditer(piece):
        if match.start() > end:
            yield piece[end : match.start()][:LONGEST_WORD]
        characters = match[0]
        yield from characters
        yield from map("".join, zip(characters, characters[1:], strict=False))
        end = match.end()
    if end < len(piece):
        yield piece[end:][:LONGEST_WORD]


def _needed(term: str) -> Iterator[str]:
    """The words by which a term is found: no more than needed, the last of them the last in the term."""
    for run in RUN.findall(term):
        pieces = PIECE.findall(run)
        if len(pieces) > 1:
            for place in range(2, len(pieces), 2):
                yield "".join(pieces[place - 2 : place + 1])[:LONGEST_WORD]
            continue
        words = list(_parted(run))
        pairs = [word for word in words if len(word) > 1]
        yield from pairs or words

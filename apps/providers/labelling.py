"""Picks a label by the words it shares with a text: how the test model `classify` answers.

Labels are read from the prompt, each with what the prompt says of it. A prompt that describes its labels in the words
that inputs use, or shows examples, therefore does better than one that merely lists them: enough to see an evaluation
tell a good prompt from a bad one, at no cost. It is no classifier.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

ENUMERATED = re.compile(
    r"\b(?:labels?|categor(?:y|ies)|class(?:es)?|options?|one of|choose from|pick from|either)\b[^:\n]{0,60}?"
    r"(?::|\bof\b|\bfrom\b)\s*([^\n.]{3,400})",
    re.IGNORECASE,
)
ONE_OF = re.compile(r"\b(?:one of|choose from|pick from|either)\s*:?\s*([^\n.:]{3,400})", re.IGNORECASE)
BULLET = re.compile(r"^[ \t]{0,16}(?:[-*•]|\d{1,2}[.)])[ \t]{1,8}(\S.{0,600})$", re.MULTILINE)
DESCRIBED = re.compile(r"^[\"'`*]*([\w][\w /&-]{0,39}?)[\"'`*]*\s*(?::|–|—| - |=)\s*(.+)$")
EXAMPLE = re.compile(
    r"^(.{3,400}?)[ \t]{0,8}(?:->|=>|→|⇒)[ \t]{0,8}[\"'`]*([\w][\w /&-]{0,39}?)[\"'`]*[ \t]*$", re.MULTILINE
)
MARKED = re.compile(
    r"^[ \t]*(?:input|text|message|ticket|question|review|email|query|customer|user)[ \t]*:[ \t]*", re.IGNORECASE | re.M
)
FENCES = (('"""', '"""'), ("```", "```"), ("<input>", "</input>"), ("<text>", "</text>"), ("<message>", "</message>"))
SEPARATOR = re.compile(r"\s*(?:,|;|\||/|\bor\b|\band\b)\s*", re.IGNORECASE)
WORD = re.compile(r"[^\W_]{3,}")
ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ed", "es", "ly", "s", "e", "y")
EMPTY_WORDS = frozenset(
    {"the", "and", "for", "that", "this", "with", "you", "your", "are", "was", "were", "not", "but", "have", "has"}
    | {"had", "they", "them", "their", "from", "what", "when", "which", "who", "how", "can", "could", "would"}
    | {"should", "will", "about", "into", "than", "then", "there", "here", "any", "all", "our", "out", "its", "his"}
    | {"her", "she", "him", "one", "please", "where", "last", "does", "very", "just", "need", "want"}
)
MOST_CHARACTERS = 20_000
MOST_LABELS = 100


def words_of(text: str) -> list[str]:
    """The words that carry meaning, in lower case, without their commonest endings."""
    return [_stem(word) for word in WORD.findall(text.lower()) if word not in EMPTY_WORDS]


def _stem(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def labels_in(prompt: str) -> dict[str, str]:
    """The labels that a prompt lists, each with the words it says of it: a list with bullets, `one of a, b or c`,
    or examples as `text -> label`."""
    prompt = prompt[:MOST_CHARACTERS]
    found: dict[str, str] = {}
    for line in BULLET.findall(prompt):
        described = DESCRIBED.match(line.strip())
        label = described[1] if described else line
        if "->" not in line and "→" not in line and _is_label(label):
            _note(found, label, described[2] if described else "")
    if len(found) < 2:
        for listed in [*ENUMERATED.findall(prompt), *ONE_OF.findall(prompt)]:
            parts = [part.strip(" \"'`*()[]:") for part in SEPARATOR.split(listed)]
            labels = [part for part in parts if _is_label(part)]
            if len(labels) >= 2:
                for label in labels:
                    _note(found, label, "")
    for text, label in EXAMPLE.findall(prompt):
        if label.lower() in {known.lower() for known in found} or len(found) < 2:
            _note(found, label, text)
    return dict(list(found.items())[:MOST_LABELS])


def _note(found: dict[str, str], label: str, said: str) -> None:
    label = label.strip(" \"'`*")
    known = next((one for one in found if one.lower() == label.lower()), label)
    found[known] = f"{found.get(known, '')} {said}".strip()


def _is_label(text: str) -> bool:
    """Up to four words."""
    return bool(text.strip()) and len(text) <= 40 and len(text.split()) <= 4


def input_in(prompt: str) -> str:
    """What of a single text is to be classified: what is fenced, what follows the last `Input:`, or the last
    paragraph."""
    for opening, closing in FENCES:
        end = prompt.rfind(closing)
        start = prompt.rfind(opening, 0, max(end, 0))
        if start >= 0:
            return prompt[start + len(opening) : end].strip()
    marks = list(MARKED.finditer(prompt))
    if marks:
        return prompt[marks[-1].end() :]
    return re.split(r"\n\s*\n", prompt.strip())[-1]


def pick(labels: dict[str, str], text: str, *, seed: str) -> str | None:
    """The label whose name and description share most words with the text, each counted once.

    Of several that share as many, one is picked by a hash of the seed; None where there are no labels.
    """
    if not labels:
        return None
    asked = set(words_of(text[:MOST_CHARACTERS]))
    shared = {label: len(asked & set(words_of(f"{label} {said}"))) for label, said in labels.items()}
    best = max(shared.values())
    return _by_hash([label for label, count in shared.items() if count == best], seed)


def _by_hash(labels: Sequence[str], seed: str) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6])
    return labels[number % len(labels)]


def matching(values: Iterable[object], text: str, described: dict[str, str], *, seed: str) -> object:
    """Of the values of an enumeration, the one that fits the text best, by what the prompt says of it."""
    by_name = {str(value): value for value in values}
    said = {name.lower(): words for name, words in described.items()}
    labels = {name: said.get(name.lower(), "") for name in by_name}
    picked = pick(labels, text, seed=seed)
    return by_name.get(picked or "")

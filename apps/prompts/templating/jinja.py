"""Jinja templates, from the outside: their tags are found here, everything else is asked of a child process.

This process never parses a template with Jinja, never compiles one and never runs one; it does not even import Jinja.
What is found here, the tags and the includes, takes time in proportion to the source.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apps.prompts.templating.children import Stopped, children
from apps.prompts.templating.tokens import (
    MAX_SOURCE_BYTES,
    Include,
    Places,
    Problem,
    TemplateError,
    Token,
    TokenKind,
    refuse_long,
    split_reference,
)

MOST_REMEMBERED = 512

OPENING = re.compile(r"\{[{%#]")
INSIDE = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')|(?P<end>[-+]?[%}]\})|[^"'%}+\-(){}\[\]]++|.""", re.S
)
"""One step inside a tag. A closing sign inside of a text or of brackets does not end the tag."""
RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
INCLUDE = re.compile(r"""\{%([-+]?)\s*include\s+(?:"([^"\\]*)"|'([^'\\]*)')\s*([-+]?)%\}""")
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}(?:@[^\s@]{1,40})?")
NAME = re.compile(r"[-+]?\s*([\w.]{1,200})")


class SourceError(TemplateError):
    """What is wrong with one of several sources; `index` says with which."""

    def __init__(self, problem: Problem, index: int = 0) -> None:
        self.index = index
        super().__init__(problem)


class Reading(NamedTuple):
    """What a child found in a template."""

    names: tuple[str, ...]
    problems: tuple[Problem, ...]


# --- Rendering and checking ---------------------------------------------------------------------------------------


def render(sources: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Each source with these JSON values in their places, together at most 1 MiB, in one child. Raises SourceError."""
    for index, source in enumerate(sources):
        try:
            refuse_long(source)
        except TemplateError as error:
            raise SourceError(error.problem, index) from error
        for include in includes(source):
            text = f"{include.reference} was not put in. Publish it, and include it with its version."
            raise SourceError(_placed(Problem(text, start=include.start, end=include.end), source), index)
    if not sources:
        return []
    try:
        answer = children.ask({"do": "render", "sources": list(sources), "values": dict(values)})
    except Stopped as error:
        raise SourceError(Problem(str(error))) from error
    if "problem" in answer:
        told = answer["problem"]
        index = answer["index"]
        raise SourceError(_placed(Problem(told["message"], told["line"]), sources[index]), index)
    texts: list[str] = answer["texts"]
    return texts


def check(source: str) -> list[Problem]:
    """What keeps the source from being rendered, whatever the values; empty when it is well formed."""
    return list(read(source).problems)


def names_used(source: str) -> list[str]:
    """The variables that the source asks its caller for, in order of first use; empty for what cannot be read."""
    return list(read(source).names)


def read(source: str) -> Reading:
    """What a child finds in the source. Readings are remembered by the source's hash."""
    try:
        refuse_long(source)
    except TemplateError as error:
        return Reading((), (error.problem,))
    if not OPENING.search(source):
        return Reading((), ())
    found = _readings.get(source)
    if found is None:
        try:
            found = _ask_for([source])[0]
        except Stopped as error:
            # Not remembered: a busy machine may have been the reason.
            return Reading((), (Problem(str(error)),))
    return found


def read_ahead(sources: Sequence[str]) -> None:
    """Have one child read all messages of a prompt that have not been read yet, rather than one child each."""
    wanted = [source for source in dict.fromkeys(sources) if OPENING.search(source) and _readings.get(source) is None]
    if len(wanted) > 1 and all(len(source) <= MAX_SOURCE_BYTES for source in wanted):
        # Where all together take too long, each is read on its own later.
        with contextlib.suppress(Stopped):
            _ask_for(wanted)


def _ask_for(sources: Sequence[str]) -> list[Reading]:
    answer = children.ask({"do": "read", "sources": [_without_includes(source) for source in sources], "values": {}})
    found = []
    for source, told in zip(sources, answer["readings"], strict=True):
        problems = [_placed(Problem(one["message"], one["line"]), source) for one in told["problems"]]
        found.append(Reading(tuple(told["names"]), tuple(problems)))
        _readings.keep(source, found[-1])
    return found


class _Readings:
    """What was read lately, by the hash of the source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[bytes, Reading] = {}

    def get(self, source: str) -> Reading | None:
        with self._lock:
            return self._found.get(_hash(source))

    def keep(self, source: str, reading: Reading) -> None:
        with self._lock:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            self._found[_hash(source)] = reading


def _hash(source: str) -> bytes:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()


_readings = _Readings()


def _without_includes(source: str) -> str:
    """The source with each include replaced by as many line breaks, so that lines keep their numbers."""
    parts, at = [], 0
    for include in includes(source):
        parts += [source[at : include.start], "\n" * source.count("\n", include.start, include.end)]
        at = include.end
    return "".join([*parts, source[at:]])


def _placed(problem: Problem, source: str) -> Problem:
    """The problem at the first tag of its line, because Jinja tells lines only."""
    if not problem.line and not problem.end:
        return problem
    for token in _tokens(source):
        if token.kind is TokenKind.TEXT:
            continue
        last = token.line + source.count("\n", token.start, token.end)
        if token.start == problem.start if problem.end else token.line <= problem.line <= last:
            return Problem(problem.sentence, problem.line or token.line, token.column, token.start, token.end)
    return problem


# --- Tags ---------------------------------------------------------------------------------------------------------


def tokens(source: str) -> list[Token]:
    """The source as tokens that together are the whole of it. Never raises; what cannot be read is an error token."""
    return list(_tokens(source))


def _tokens(source: str) -> Iterator[Token]:
    places = Places(source)
    at = 0
    while at < len(source):
        opening = OPENING.search(source, at)
        start = len(source) if opening is None else opening.start()
        if start > at:
            yield Token(TokenKind.TEXT, at, start, *places.at(at))
        if start < len(source):
            tag = _tag(source, start, *places.at(start))
            yield tag
            start = tag.end
        at = start


def _tag(source: str, start: int, line: int, column: int) -> Token:
    if source.startswith("{#", start):
        end = source.find("#}", start + 2)
        if end < 0:
            return _unclosed(source, start, line, column, "#}")
        return Token(TokenKind.COMMENT, start, end + 2, line, column)
    raw = RAW.match(source, start)
    if raw is not None:
        closing = END_RAW.search(source, raw.end())
        if closing is None:
            return _unclosed(source, start, line, column, "{% endraw %}")
        return Token(TokenKind.TEXT, start, closing.end(), line, column)
    close = _end_of_tag(source, start)
    if close is None:
        return _unclosed(source, start, line, column, "%}" if source[start + 1] == "%" else "}}")
    include = INCLUDE.fullmatch(source, start, close)
    if include is not None and REFERENCE.fullmatch(include[2] or include[3] or ""):
        return Token(TokenKind.INCLUDE, start, close, line, column, include[2] or include[3])
    name = NAME.match(source, start + 2, close)
    kind = TokenKind.VARIABLE if source[start + 1] == "{" else TokenKind.SECTION
    return Token(kind, start, close, line, column, name[1] if name else "")


def _unclosed(source: str, start: int, line: int, column: int, closing: str) -> Token:
    message = f"This tag is not closed. Write {closing} where it ends."
    return Token(TokenKind.ERROR, start, len(source), line, column, "", message)


def _end_of_tag(source: str, start: int) -> int | None:
    """Where the tag ends; None when it does not, which the rest of the source then cannot mend."""
    closing = "%}" if source[start + 1] == "%" else "}}"
    depth, at = 0, start + 2
    while at < len(source):
        step = INSIDE.match(source, at)
        assert step is not None
        part = step[0]
        if step["end"] is not None and part.endswith(closing) and depth == 0:
            return step.end()
        if step["text"] is None and part in "\"'":
            return None
        if step["end"] is not None:
            # Not this tag's end: its first sign is taken alone, because the next may begin something.
            depth = max(0, depth - (source[at] == "}"))
            at += 1
            continue
        depth = max(0, depth + (part in "([{") - (part in ")]}"))
        at = step.end()
    return None


# --- Includes -----------------------------------------------------------------------------------------------------


def includes(source: str) -> list[Include]:
    """The snippets that the source asks for, in their order. Those named by a variable are none: `check` refuses
    them."""
    if "include" not in source:
        return []
    return [
        Include(*split_reference(token.name), token.start, token.end)
        for token in _tokens(source)
        if token.kind is TokenKind.INCLUDE
    ]


def expand(source: str, texts: Mapping[tuple[str, str], str]) -> str:
    """The source with each include replaced by the text for its name and version; TemplateError for one without.

    As in Jinja, the end of the text's last line is not put in, and `{%-` and `-%}` trim around the tag.
    """
    refuse_long(source)
    parts: list[str] = []
    at = size = 0
    for token in tokens(source):
        if token.kind is not TokenKind.INCLUDE:
            continue
        name, version = split_reference(token.name)
        text = None if version is None else texts.get((name, version))
        if text is None:
            sentence = f"There is no {token.name} to include. Name a published version."
            raise TemplateError(Problem(sentence, token.line, token.column, token.start, token.end))
        before = source[at : token.start]
        at = token.end
        if source.startswith("{%-", token.start):
            before = before.rstrip()
        if source.startswith("-%}", token.end - 3):
            at += len(source[at:]) - len(source[at:].lstrip())
        if text.endswith("\n"):
            text = text[:-1].removesuffix("\r")
        parts += [before, text]
        size += len(before) + len(text)
        if size > MAX_SOURCE_BYTES:
            break
    whole = "".join([*parts, source[at:]])
    refuse_long(whole, "With its snippets a message")
    return whole

"""Mustache as the public specification describes it (https://github.com/mustache/spec), for text that a model reads.

Five things differ, all on purpose. Nothing is HTML-escaped: `{{x}}`, `{{{x}}}` and `{{&x}}` are the same. A name that
is not known is an error, not nothing. There are no lambdas and no other delimiters. Includes are pinned,
`{{> name@1.2.0}}`, and are put in before rendering. An include alone on its line stays a line, whether or not its text
ends one.

Everything is bounded: source, nesting, tags worked through, and output. Time grows with the sum of these, never with a
product.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.prompts.templating.tokens import (
    MAX_NESTING,
    MAX_OUTPUT_BYTES,
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

MAX_STEPS = 200_000
"""Pieces of text and tags that one rendering works through, repetitions counted; some 0.2 s."""
MAX_SEGMENTS = 16
"""Parts of a dotted name."""

NAME = re.compile(r"\.|[\w-]{1,100}(?:\.[\w-]{1,100})*+")
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}(?:@[^\s@]{1,40})?")
HELPER = re.compile(r"(each|if|unless|with|role|media|history|section|else)\b")
LINE_END = re.compile(r"[ \t]*+(\r?\n|\Z)")

OPENING = {"#": TokenKind.SECTION, "^": TokenKind.INVERTED}
ALONE = frozenset({TokenKind.SECTION, TokenKind.INVERTED, TokenKind.CLOSE, TokenKind.COMMENT, TokenKind.INCLUDE})
"""Tags that take their line with them when nothing else is on it."""


# --- Reading --------------------------------------------------------------------------------------------------------


def tokens(source: str) -> list[Token]:
    """The source as tokens that together are the whole of it. Never raises; what cannot be read is an error token."""
    found: list[Token] = []
    places = Places(source)
    at = 0
    while at < len(source):
        start = source.find("{{", at)
        if start != at:
            end = len(source) if start < 0 else start
            found.append(Token(TokenKind.TEXT, at, end, *places.at(at)))
            at = end
            continue
        token = _tag(source, start, *places.at(start))
        found.append(token)
        at = token.end
    return found


def _tag(source: str, start: int, line: int, column: int) -> Token:
    """The tag that begins here."""
    sign = source[start + 2 : start + 3]
    closing = "}}}" if sign == "{" else "}}"
    end = source.find(closing, start + 2)
    if end < 0:
        message = f"This tag is not closed. Write {closing} after the name. Only Jinja can show two braces as text."
        return Token(TokenKind.ERROR, start, len(source), line, column, "", message)
    inside = source[start + 2 : end]
    kind, name, message = _meaning(inside)
    return Token(kind, start, end + len(closing), line, column, name, message)


def _meaning(inside: str) -> tuple[TokenKind, str, str]:
    """Kind, name and complaint of what stands between the braces."""
    sign = inside[:1]
    if sign == "!":
        return TokenKind.COMMENT, "", ""
    if sign == "=":
        return TokenKind.ERROR, "", "Other delimiters are not supported. Leave the braces as they are."
    if sign in "<$" and sign:
        return TokenKind.ERROR, "", "Blocks and parents are not supported. Include a snippet: {{> name@1.2.0}}."
    name = inside[1:].strip() if sign and sign in "#^/>&{" else inside.strip()
    if sign == ">":
        if REFERENCE.fullmatch(name):
            return TokenKind.INCLUDE, name, ""
        return TokenKind.ERROR, "", "An include names a prompt and its version: {{> path/name@1.2.0}}."
    if not NAME.fullmatch(name) or name.count(".") >= MAX_SEGMENTS:
        return TokenKind.ERROR, "", _complaint(sign, name)
    if sign == "/":
        return TokenKind.CLOSE, name, ""
    return OPENING.get(sign, TokenKind.VARIABLE), name, ""


def _complaint(sign: str, name: str) -> str:
    if not name:
        return "There is no name in this tag. Write one, such as {{question}}."
    if HELPER.match(name):
        return "This is Handlebars, which has helpers. Here {{#name}} … {{/name}} shows or repeats a part."
    if "|" in name or "(" in name:
        return "Mustache has no filters or calls. Choose Jinja for this prompt, or give the value as it shall appear."
    if sign == "" or not name.isprintable() or len(name) > 100:
        return "This is no name. Use letters, digits, _ and -, with a dot between parts."
    return f"{name} is no name. Use letters, digits, _ and -, with a dot between parts."


@dataclass(slots=True)
class _Section:
    """A part that depends on a value; the whole template is one without a name."""

    token: Token
    parts: list[str | Token | _Section] = field(default_factory=list)


def check(source: str) -> list[Problem]:
    """Everything about the source that keeps it from being rendered; empty when it is well formed."""
    try:
        refuse_long(source)
    except TemplateError as error:
        return [error.problem]
    return _tree(source, tokens(source))[1]


def _tree(source: str, found: Sequence[Token]) -> tuple[_Section, list[Problem]]:
    """The tokens as nested sections, and what is wrong with them."""
    problems: list[Problem] = []
    root = _Section(Token(TokenKind.SECTION, 0, 0, 1, 1))
    open_sections = [root]
    texts = _texts(source, found)
    for index, token in enumerate(found):
        inner = open_sections[-1]
        if token.kind is TokenKind.TEXT:
            if texts[index]:
                inner.parts.append(texts[index])
        elif token.kind is TokenKind.ERROR:
            problems.append(_problem(token, token.message))
        elif token.kind is TokenKind.CLOSE:
            if len(open_sections) == 1 or inner.token.name != token.name:
                problems.append(_problem(token, _stray(token, open_sections)))
                continue
            open_sections.pop()
        elif token.kind in (TokenKind.SECTION, TokenKind.INVERTED):
            section = _Section(token)
            if len(open_sections) > MAX_NESTING:
                problems.append(_problem(token, f"Sections nest at most {MAX_NESTING} deep. Flatten the values."))
                return root, problems
            inner.parts.append(section)
            open_sections.append(section)
        elif token.kind is not TokenKind.COMMENT:
            inner.parts.append(token)
    for section in open_sections[1:]:
        problems.append(_problem(section.token, f"This section is not closed. Write {{{{/{section.token.name}}}}}."))
    return root, problems


def _stray(token: Token, open_sections: Sequence[_Section]) -> str:
    if len(open_sections) == 1:
        return f"Nothing is open here. Remove this, or write {{{{#{token.name}}}}} before it."
    expected = open_sections[-1].token
    return f"This closes {token.name}, but {expected.name} of line {expected.line} is open. Close that first."


def _problem(token: Token, message: str) -> Problem:
    return Problem(message, token.line, token.column, token.start, token.end)


def _texts(source: str, found: Sequence[Token]) -> list[str]:
    """The text of each text token, without the lines that tags alone on them take away; empty for tags."""
    texts = [source[token.start : token.end] if token.kind is TokenKind.TEXT else "" for token in found]
    for index, token in enumerate(found):
        if token.kind not in ALONE or token.kind is TokenKind.INCLUDE:
            continue
        alone = _line_of(source, found, index)
        if alone is None:
            continue
        before, after = alone
        if index and before < token.start:
            texts[index - 1] = texts[index - 1][: len(texts[index - 1]) - (token.start - before)]
        if index + 1 < len(found) and after > token.end:
            texts[index + 1] = source[after : found[index + 1].end]
    return texts


def _line_of(source: str, found: Sequence[Token], index: int) -> tuple[int, int] | None:
    """Where the line begins and ends (its break included) that holds nothing but this tag; None when it holds more."""
    token = found[index]
    floor = found[index - 1].start if index else 0
    before = token.start
    while before > floor and source[before - 1] in " \t":
        before -= 1
    if before and source[before - 1] != "\n":
        return None
    rest = LINE_END.match(source, token.end)
    return None if rest is None else (before, rest.end())


# --- Names and includes ---------------------------------------------------------------------------------------------


def names_used(source: str, plain: Collection[str] = ()) -> list[str]:
    """The variables that the source surely asks its caller for, in order of first use.

    Inside a section a name may be a field of the section's value, so it is not certain, unless that value is one of
    the `plain` ones, which have no fields (text, numbers, booleans). `names_possible` has the others too.
    """
    return list(dict.fromkeys(name for name, is_certain in _names(source, plain) if is_certain))


def names_possible(source: str) -> list[str]:
    """Every name of the source that a variable could answer, those inside sections included."""
    return list(dict.fromkeys(name for name, _ in _names(source, ())))


def _names(source: str, plain: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Each name used, and whether it is certain that it is a variable."""
    opened: list[bool] = []
    with_fields = 0
    for token in tokens(source):
        if token.kind is TokenKind.CLOSE and opened:
            with_fields -= opened.pop()
        if token.kind in (TokenKind.VARIABLE, TokenKind.SECTION, TokenKind.INVERTED) and token.name != ".":
            yield token.name.partition(".")[0], with_fields == 0
        if token.kind in (TokenKind.SECTION, TokenKind.INVERTED):
            # Inside an inverted section the values are those outside of it.
            opened.append(token.kind is TokenKind.SECTION and token.name not in plain)
            with_fields += opened[-1]


def includes(source: str) -> list[Include]:
    """The snippets that the source asks for, in their order."""
    return [
        Include(*split_reference(token.name), token.start, token.end)
        for token in tokens(source)
        if token.kind is TokenKind.INCLUDE
    ]


def expand(source: str, texts: Mapping[tuple[str, str], str]) -> str:
    """The source with each include replaced by the text for its name and version; TemplateError for one without.

    An include alone on its line is a line or lines of its own: every line of the text is indented as it is, and an
    end of line of the text does not add an empty one.
    """
    refuse_long(source)
    found = tokens(source)
    parts: list[str] = []
    at = size = 0
    for index, token in enumerate(found):
        if token.kind is not TokenKind.INCLUDE:
            continue
        name, version = split_reference(token.name)
        text = None if version is None else texts.get((name, version))
        if text is None:
            raise TemplateError(_problem(token, f"There is no {token.name} to include. Name a published version."))
        alone = _line_of(source, found, index)
        start, end = token.start, token.end
        if alone is not None:
            start = alone[0]
            text = _indented(text, source[start : token.start], token)
            end = alone[1] if text.endswith("\n") else token.end
        parts += [source[at:start], text]
        size += start - at + len(text)
        at = end
        if size > MAX_SOURCE_BYTES:
            break
    whole = "".join([*parts, source[at:]])
    refuse_long(whole, "With its snippets a message")
    return whole


def _indented(text: str, indent: str, token: Token) -> str:
    """The text with every line of it indented."""
    breaks = text.count("\n", 0, -1)
    if len(text) + (breaks + 1) * len(indent) > MAX_SOURCE_BYTES:
        raise TemplateError(_problem(token, "Indented like this the snippet is larger than 256 KiB. Indent it less."))
    return indent + text.replace("\n", f"\n{indent}", breaks) if indent and text else text


# --- Rendering ------------------------------------------------------------------------------------------------------


def render(source: str, values: Mapping[str, Any]) -> str:
    """The text with these JSON values in their places; TemplateError with the place when that cannot be done."""
    refuse_long(source)
    root, problems = _tree(source, tokens(source))
    if problems:
        raise TemplateError(problems[0])
    run = _Run(values)
    run.parts(root.parts)
    return "".join(run.output)


_MISSING = object()


class _Run:
    """One rendering: the values in reach, innermost last, and what was written."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.stack: list[Any] = [values]
        self.output: list[str] = []
        self.size = 0
        self.steps = 0

    def parts(self, parts: Sequence[str | Token | _Section]) -> None:
        for part in parts:
            if isinstance(part, str):
                self.write(part, None)
            elif isinstance(part, _Section):
                self.section(part)
            else:
                self.write(self.text_of(part), part)

    def write(self, text: str, token: Token | None) -> None:
        self.count(token)
        self.size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if self.size > MAX_OUTPUT_BYTES:
            raise TemplateError(_somewhere(token, "The rendered text is larger than 1 MiB. Give smaller values."))
        self.output.append(text)

    def count(self, token: Token | None) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateError(_somewhere(token, f"This repeats more than {MAX_STEPS:,} parts. Give shorter lists."))

    def text_of(self, token: Token) -> str:
        if token.kind is TokenKind.INCLUDE:
            raise TemplateError(
                _problem(token, f"{token.name} was not put in. Publish it, and include it with its version.")
            )
        value = self.find(token.name)
        if value is _MISSING:
            raise TemplateError(
                _problem(
                    token, f"There is no value for {_short(token.name)}. Give one, or make it an optional variable."
                )
            )
        return text_of_value(value)

    def section(self, section: _Section) -> None:
        token = section.token
        self.count(token)
        value = self.find(token.name)
        # A field that some items have and others lack is usual; a variable that nobody gave is a slip.
        if value is _MISSING and len(self.stack) == 1:
            raise TemplateError(
                _problem(
                    token, f"There is no value for {_short(token.name)}. Give one, or make it an optional variable."
                )
            )
        shows = value is not _MISSING and bool(value)
        if token.kind is TokenKind.INVERTED:
            if not shows:
                self.parts(section.parts)
        elif shows:
            for item in value if isinstance(value, list | tuple) else (value,):
                self.count(token)
                self.stack.append(item)
                self.parts(section.parts)
                self.stack.pop()

    def find(self, name: str) -> Any:
        """The value of a dotted name: its first part from the innermost value that has it, the others from there."""
        if name == ".":
            return self.stack[-1]
        first, *others = name.split(".")
        value: Any = _MISSING
        for scope in reversed(self.stack):
            if isinstance(scope, Mapping) and first in scope:
                value = scope[first]
                break
        for part in others:
            if not isinstance(value, Mapping) or part not in value:
                return _MISSING
            value = value[part]
        return value


def _somewhere(token: Token | None, message: str) -> Problem:
    return Problem(message) if token is None else _problem(token, message)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"


def text_of_value(value: Any) -> str:
    """A JSON value as text: text as it is, nothing for null, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=dict)

"""What a careful colleague would say about a prompt before it is published: findings, with a fix where there is one.

Errors keep a prompt from working or from being published, warnings are most likely slips, hints are worth a thought.
Everything here is thought from the content alone; what else is known (its size in tokens, the model's window, snippets)
is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from apps.prompts.content import Content, Message, Variable
from apps.prompts.templating import rendering
from apps.prompts.templating.rendering import RenderFailed, Texts
from apps.prompts.templating.tokens import Token, TokenKind
from apps.prompts.types import Syntax, VariableType

MOST_FINDINGS = 200
MOST_OF_A_KIND = 50
"""In one message."""
ROOM_FOR_ANSWER = 0.9
"""A prompt that fills more of the window leaves hardly any room for values and the answer."""


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


class FixKind(StrEnum):
    """What a fix does to the content."""

    REPLACE = "replace"
    """Puts `text` in the finding's place in its message."""
    STRIP = "strip"
    """Takes white space from the ends of the message's lines."""
    DECLARE = "declare"
    """Adds the finding's variable."""
    FORGET = "forget"
    """Removes the finding's variable."""
    RETYPE = "retype"
    """Makes the finding's variable a list of messages."""
    DROP = "drop"
    """Removes the message."""
    MOVE_FIRST = "move_first"
    SWITCH_SYNTAX = "switch_syntax"
    """Makes it a Jinja prompt."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One action that mends a finding; `label` is what a button says."""

    kind: FixKind
    label: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend, and where: in a message (its index from 0, offsets in characters, line and column from 1),
    or at a variable, or in the prompt as a whole."""

    level: Level
    code: str
    sentence: str
    message: int | None = None
    start: int = 0
    end: int = 0
    line: int = 0
    column: int = 0
    variable: str = ""
    fix: Fix | None = None


class Knowledge(NamedTuple):
    """What the caller knows besides the content; all of it may be missing."""

    tokens: int | None = None
    """Of all messages, with sample values in their places or without."""
    window: int | None = None
    """The most input tokens of the model."""
    snippets: Texts = {}
    """Texts of pinned snippets, expanded."""
    newest: Mapping[str, str] = {}
    """The newest version of each snippet."""


NOTHING_KNOWN = Knowledge()


def lint(content: Content, known: Knowledge = NOTHING_KNOWN) -> list[Finding]:
    """Everything found, errors first, then in the order of the prompt. At most 200."""
    rendering.read_ahead(content)
    found: list[Finding] = []
    broken = set()
    for index, message in enumerate(content.messages):
        if message.role != "placeholder":
            problems = list(_syntax(message, index, content.syntax))
            broken |= {index} if problems else set()
            found += problems
        for rule in RULES:
            found += islice(rule(content, message, index), MOST_OF_A_KIND)
        found += islice(_includes(content, message, index, known), MOST_OF_A_KIND)
    found += _variables(content, known, broken)
    found += _order(content)
    found += _size(content, known)
    ranks = list(Level)
    found.sort(key=lambda one: (ranks.index(one.level), one.message is None, one.message or 0, one.start))
    return found[:MOST_FINDINGS]


def fixed(content: Content, finding: Finding) -> Content:
    """The content with the finding's fix applied; as it is when there is none, or when it no longer fits."""
    fix, index = finding.fix, finding.message
    if fix is None:
        return content
    if fix.kind is FixKind.DECLARE and content.variable(finding.variable) is None:
        kind = VariableType.MESSAGES if _is_placeholder(content, finding) else VariableType.TEXT
        return replace(content, variables=(*content.variables, Variable(finding.variable, kind)))
    if fix.kind is FixKind.FORGET:
        return replace(content, variables=tuple(one for one in content.variables if one.name != finding.variable))
    if fix.kind is FixKind.RETYPE:
        return replace(content, variables=tuple(_retyped(one, finding.variable) for one in content.variables))
    if fix.kind is FixKind.SWITCH_SYNTAX:
        return replace(content, syntax=Syntax.JINJA)
    if index is None or index >= len(content.messages):
        return content
    messages = list(content.messages)
    message = messages[index]
    if fix.kind is FixKind.DROP:
        del messages[index]
    elif fix.kind is FixKind.MOVE_FIRST:
        messages.insert(0, messages.pop(index))
    elif fix.kind is FixKind.STRIP:
        messages[index] = replace(message, content=LINE_TAIL.sub("", message.content))
    elif fix.kind is FixKind.REPLACE:
        text = message.content[: finding.start] + fix.text + message.content[finding.end :]
        messages[index] = replace(message, content=text)
    return replace(content, messages=tuple(messages))


def _is_placeholder(content: Content, finding: Finding) -> bool:
    index = finding.message
    return index is not None and index < len(content.messages) and content.messages[index].role == "placeholder"


def _retyped(variable: Variable, name: str) -> Variable:
    if variable.name != name:
        return variable
    return replace(variable, type=VariableType.MESSAGES, default=None, sample=None)


# --- Places -------------------------------------------------------------------------------------------------------


def _at(text: str, start: int) -> tuple[int, int]:
    """Line and column of an offset."""
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def _in_message(
    level: Level, code: str, sentence: str, message: Message, index: int, start: int, end: int, fix: Fix | None = None
) -> Finding:
    line, column = _at(message.content, start)
    return Finding(level, code, sentence, index, start, end, line, column, fix=fix)


def _plain_texts(message: Message, syntax: Syntax) -> Iterator[tuple[int, str]]:
    """The parts of a message that are no template, each with its offset."""
    for token in rendering.tokens(message.content, syntax):
        if token.kind is TokenKind.TEXT:
            yield token.start, message.content[token.start : token.end]


# --- Templates ----------------------------------------------------------------------------------------------------


def _syntax(message: Message, index: int, syntax: Syntax) -> Iterator[Finding]:
    for problem in rendering.check(message.content, syntax):
        yield Finding(
            Level.ERROR,
            "syntax_error",
            problem.sentence,
            index,
            problem.start,
            problem.end,
            problem.line,
            problem.column,
        )


def _includes(content: Content, message: Message, index: int, known: Knowledge) -> Iterator[Finding]:
    if message.role == "placeholder":
        return
    for include in rendering.includes(message.content, content.syntax):
        if include.version is not None:
            continue
        newest = known.newest.get(include.name)
        sentence, fix = f"Name the version of the snippet: {include.name}@1.2.0, for instance.", None
        if newest is not None:
            pinned = f"{include.name}@{newest}"
            tag = message.content[include.start : include.end].replace(include.name, pinned, 1)
            sentence = f"Name the version of the snippet: {pinned} is the newest."
            fix = Fix(FixKind.REPLACE, f"Use {pinned}", tag)
        yield _in_message(Level.ERROR, "unpinned_include", sentence, message, index, include.start, include.end, fix)


def _variables(content: Content, known: Knowledge, broken: set[int]) -> Iterator[Finding]:
    """Names that are used and not declared, and declared and not used."""
    declared = {variable.name for variable in content.variables}
    possible: set[str] = set()
    is_all_known = not broken
    for index, message in enumerate(content.messages):
        if message.role == "placeholder":
            possible.add(message.content)
            yield from _placeholder(content, message, index)
        if message.role == "placeholder" or index in broken:
            continue
        text, is_whole = _expanded(message.content, content.syntax, known)
        is_all_known &= is_whole
        possible |= rendering.names_possible(text, content.syntax)
        unknown = sorted(rendering.names_used(text, content.syntax, content.variables) - declared)
        tokens = rendering.tokens(message.content, content.syntax) if unknown else []
        for name in unknown[:MOST_OF_A_KIND]:
            token = _use_of(name, message, tokens)
            line, column = _at(message.content, token.start) if token else (0, 0)
            yield Finding(
                Level.ERROR,
                "undefined_variable",
                f"{name} is used and not declared. Add it to the variables, or mend its name.",
                index,
                token.start if token else 0,
                token.end if token else 0,
                line,
                column,
                name,
                Fix(FixKind.DECLARE, f"Add the variable {name}"),
            )
    if is_all_known:
        for name in sorted(declared - possible):
            yield Finding(
                Level.WARNING,
                "unused_variable",
                f"{name} is declared and not used. Use it, or remove it.",
                variable=name,
                fix=Fix(FixKind.FORGET, f"Remove the variable {name}"),
            )


def _placeholder(content: Content, message: Message, index: int) -> Iterator[Finding]:
    name = message.content
    variable = content.variable(name)
    end = len(name)
    if variable is None:
        sentence = f"{name} stands for messages and is not declared. Add it to the variables."
        fix = Fix(FixKind.DECLARE, f"Add the variable {name}")
        yield Finding(Level.ERROR, "undefined_variable", sentence, index, 0, end, 1, 1, name, fix)
    elif variable.type is not VariableType.MESSAGES:
        sentence = f"{name} stands for messages and is of type {variable.type.value}. Make it a list of messages."
        fix = Fix(FixKind.RETYPE, f"Make {name} a list of messages")
        yield Finding(Level.ERROR, "placeholder_type", sentence, index, 0, end, 1, 1, name, fix)


def _expanded(source: str, syntax: Syntax, known: Knowledge) -> tuple[str, bool]:
    """The source with its snippets, and True; or as it is, and False when a snippet is not known."""
    if not rendering.includes(source, syntax):
        return source, True
    try:
        return rendering.expand(source, syntax, known.snippets), True
    except RenderFailed:
        return source, False


def _use_of(name: str, message: Message, tokens: Sequence[Token]) -> Token | None:
    """The first tag that uses the variable; None when a snippet does."""
    word = re.compile(rf"(?<![\w.'\"]){re.escape(name)}(?!\w)")
    for token in tokens:
        if token.kind in (TokenKind.TEXT, TokenKind.COMMENT, TokenKind.CLOSE, TokenKind.INCLUDE):
            continue
        if word.search(message.content, token.start, token.end):
            return token
    return None


# --- Slips in the text --------------------------------------------------------------------------------------------

LINE_TAIL = re.compile(r"(?<![ \t])[ \t]++(?=\r?\n|\Z)")


def _trailing_space(_content: Content, message: Message, index: int) -> Iterator[Finding]:
    first = LINE_TAIL.search(message.content)
    if first is not None and message.role != "placeholder" and message.content.strip():
        sentence = "Lines end in white space, which a model reads too. Remove it."
        fix = Fix(FixKind.STRIP, "Remove it everywhere")
        yield _in_message(Level.HINT, "trailing_space", sentence, message, index, first.start(), first.end(), fix)


def _empty(content: Content, message: Message, index: int) -> Iterator[Finding]:
    if message.role != "placeholder" and not message.content.strip():
        fix = Fix(FixKind.DROP, "Remove the message") if len(content.messages) > 1 else None
        sentence = "This message says nothing, and some providers refuse it. Write it, or remove it."
        yield Finding(Level.WARNING, "empty_message", sentence, index, 0, len(message.content), 1, 1, fix=fix)


FOREIGN = re.compile(r"(?:\$\{\{?([A-Za-z_]\w{0,60})\}?\}|(?<![{$\w])\{([A-Za-z_]\w{0,60})\}(?!\}))", re.ASCII)
JINJA_TAG = re.compile(r"\{%[-+]?\s*(?:if|for|set|include|macro|raw|endif|endfor)\b")


def _foreign(content: Content, message: Message, index: int) -> Iterator[Finding]:
    """`${name}` and `{name}`, which are variables in other languages, and Jinja in a Mustache prompt."""
    if message.role == "placeholder":
        return
    if content.syntax is Syntax.MUSTACHE and (tag := JINJA_TAG.search(message.content)):
        fix = Fix(FixKind.SWITCH_SYNTAX, "Make this a Jinja prompt")
        sentence = "This looks like Jinja, and this is a Mustache prompt: it would be sent as it stands."
        yield _in_message(Level.WARNING, "foreign_tag", sentence, message, index, tag.start(), tag.end(), fix)
    for offset, text in _plain_texts(message, content.syntax):
        for match in FOREIGN.finditer(text):
            name = match[1] or match[2]
            level = Level.WARNING if match[1] or content.variable(name) else Level.HINT
            fix = Fix(FixKind.REPLACE, f"Write {{{{{name}}}}}", f"{{{{{name}}}}}")
            sentence = f"{match[0]} is a variable in other languages and plain text here. Variables are {{{{{name}}}}}."
            start = offset + match.start()
            yield _in_message(level, "foreign_variable", sentence, message, index, start, offset + match.end(), fix)


INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\U000e0000-\U000e007f]+"
)


def _invisible(_content: Content, message: Message, index: int) -> Iterator[Finding]:
    """Characters that people do not see and models read: zero width, direction overrides, tags. Joiners that emoji and
    Persian need are not among them."""
    for match in INVISIBLE.finditer(message.content):
        sign = ord(match[0][0])
        sentence = f"There is an invisible character here (U+{sign:04X}), which a model reads. Remove it."
        fix = Fix(FixKind.REPLACE, "Remove it")
        yield _in_message(
            Level.WARNING, "invisible_character", sentence, message, index, match.start(), match.end(), fix
        )


def _raw_in_system(content: Content, message: Message, index: int) -> Iterator[Finding]:
    """A caller's text among the instructions."""
    if message.role not in ("system", "developer"):
        return
    seen = set()
    for token in rendering.tokens(message.content, content.syntax):
        name = token.name.partition(".")[0]
        variable = content.variable(name)
        if token.kind is not TokenKind.VARIABLE or variable is None or name in seen:
            continue
        if variable.type in (VariableType.TEXT, VariableType.LIST, VariableType.OBJECT):
            seen.add(name)
            sentence = (
                f"{name} stands among the instructions: whoever writes its value can write instructions too. "
                "If it comes from users, put it into a user message."
            )
            finding = _in_message(Level.HINT, "value_in_instructions", sentence, message, index, token.start, token.end)
            yield replace(finding, variable=name)


# --- Secrets ------------------------------------------------------------------------------------------------------

SECRETS: Mapping[str, re.Pattern[str]] = {
    "a key of Anthropic": re.compile(r"(?<![0-9A-Za-z])sk-ant-[0-9A-Za-z_-]{20,}"),
    "a key of OpenAI or another provider": re.compile(r"(?<![0-9A-Za-z])sk-(?!ant-)[0-9A-Za-z_-]{20,}"),
    "a key of this product": re.compile(
        r"(?<![0-9A-Za-z])pw_(?:ingest|read|gateway|admin)_(?:live|local)_[0-9A-Za-z]{16,}[0-9A-Za-z_]*"
    ),
    "a key of AWS": re.compile(r"(?<![0-9A-Za-z])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])"),
    "a token of GitHub": re.compile(r"(?<![0-9A-Za-z])(?:gh[pousr]_[0-9A-Za-z]{30,}|github_pat_[0-9A-Za-z_]{22,})"),
    "a token of GitLab": re.compile(r"(?<![0-9A-Za-z])glpat-[0-9A-Za-z_-]{20,}"),
    "a token of Slack": re.compile(
        r"(?<![0-9A-Za-z])xox[abeoprs]-[0-9A-Za-z-]{10,}|hooks\.slack\.com/services/T[0-9A-Z]{6,}/B[0-9A-Z]{6,}/\w{16,}"
    ),
    "a key of Google": re.compile(r"(?<![0-9A-Za-z])AIza[0-9A-Za-z_-]{35}"),
    "a token of Hugging Face": re.compile(r"(?<![0-9A-Za-z])hf_[0-9A-Za-z]{30,}"),
    "a key of Stripe": re.compile(r"(?<![0-9A-Za-z])[sr]k_(?:live|test)_[0-9A-Za-z]{16,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    "a signed token (JWT)": re.compile(
        r"(?<![0-9A-Za-z])eyJ[0-9A-Za-z_-]{8,}+\.eyJ[0-9A-Za-z_-]{8,}+\.[0-9A-Za-z_-]{16,}+"
    ),
    "a bearer token": re.compile(r"(?<=[Bb]earer )[0-9A-Za-z._~+/-]{24,}+=*"),
    "a password in an address": re.compile(r"(?<=://)[^\s/:@\"'<>{}]{1,64}+:[^\s/@\"'<>{}]{3,128}+(?=@)"),
}
STAND_INS = re.compile(r"(?i)your|example|placeholder|dummy|xxx|\.\.\.|<")
FEWEST_DIFFERENT = 6
"""A key has at least this many different characters; `sk-aaaaaaaa…` is a stand-in."""


def secrets_in(text: str) -> list[tuple[str, int, int]]:
    """What looks like a secret in the text: what it is, where it begins and ends. A place counts once."""
    found: list[tuple[str, int, int]] = []
    for what, pattern in SECRETS.items():
        for match in pattern.finditer(text):
            is_stand_in = STAND_INS.search(match[0]) or len(set(match[0])) < FEWEST_DIFFERENT
            is_taken = any(start < match.end() and match.start() < end for _, start, end in found)
            if not is_stand_in and not is_taken and len(found) < MOST_FINDINGS:
                found.append((what, match.start(), match.end()))
    return found


def _leaked(_content: Content, message: Message, index: int) -> Iterator[Finding]:
    for what, start, end in secrets_in(message.content):
        sentence = f"This looks like {what}. Remove it, and revoke it: drafts and versions are kept."
        fix = Fix(FixKind.REPLACE, "Remove it", "[removed]")
        yield _in_message(Level.ERROR, "leaked_secret", sentence, message, index, start, end, fix)


Rule = Callable[[Content, Message, int], Iterator[Finding]]
RULES: Sequence[Rule] = (_leaked, _empty, _trailing_space, _foreign, _invisible, _raw_in_system)


# --- The prompt as a whole ----------------------------------------------------------------------------------------


def _order(content: Content) -> Iterator[Finding]:
    """System messages after others, and secrets in variables."""
    has_other = False
    for index, message in enumerate(content.messages):
        if message.role in ("system", "developer") and has_other:
            sentence = "A system message comes after others, which some providers refuse. Put it first."
            fix = Fix(FixKind.MOVE_FIRST, "Put it first")
            yield Finding(Level.WARNING, "system_not_first", sentence, index, 0, 0, 1, 1, fix=fix)
        has_other |= message.role not in ("system", "developer")
    for variable in content.variables:
        for value in (variable.default, variable.sample, variable.description):
            for what, _, _ in secrets_in(value) if isinstance(value, str) else ():
                sentence = f"The variable {variable.name} holds what looks like {what}. Remove it, and revoke it."
                yield Finding(Level.ERROR, "leaked_secret", sentence, variable=variable.name)


def _size(content: Content, known: Knowledge) -> Iterator[Finding]:
    if known.tokens is None or known.window is None:
        return
    if known.tokens > known.window:
        sentence = (
            f"The prompt has some {known.tokens:,} tokens, and the model takes {known.window:,}. Shorten it, or choose "
            "another model."
        )
        yield Finding(Level.ERROR, "overlong", sentence)
        return
    asked = content.parameters.get("max_tokens") or content.parameters.get("max_completion_tokens") or 0
    answer = asked if isinstance(asked, int) else 0
    if known.tokens + answer > known.window or known.tokens > ROOM_FOR_ANSWER * known.window:
        sentence = (
            f"The prompt has some {known.tokens:,} of the model's {known.window:,} tokens: the answer may not fit. "
            "Shorten it, or choose another model."
        )
        yield Finding(Level.WARNING, "overlong", sentence)

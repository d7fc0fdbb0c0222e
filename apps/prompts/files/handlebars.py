"""Handlebars, read into a tree and written as Mustache where that says the same, else as Jinja, else not at all.

Mustache has no plain condition: `{{#list}}` repeats for each item, so an `{{#if list}}` that holds more than the
repetition cannot be said in it. Jinja can say it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apps.prompts.content import VARIABLE_NAME
from apps.prompts.files import templates
from apps.prompts.types import Syntax, VariableType

if TYPE_CHECKING:
    from apps.prompts.files.building import Builder

TAG = re.compile(r"\{\{(~?)(!--(?:(?!--~?\}\}|\{\{!--).)*--|\{[^{}]*\}|[^{}]*?)(~?)\}\}", re.DOTALL)
PATH = re.compile(r"(?:(?:\.\./)*(?:this|@?[A-Za-z_]\w*)(?:[./][A-Za-z_]\w*)*|\.|\.\./?)")
BLOCKS = frozenset({"if", "unless", "each", "with", "ifEquals", "unlessEquals"})
LINE_END = re.compile(r"[ \t]*(?:\n|\Z)")
SPACES = re.compile(r"\s*")
QUIET = frozenset({"else", "role", "history", "section"})
TOGETHER = "it goes together with one that had to"
AFTER_ALONE = "\ue001"
MAX_NESTING = 24


@dataclass(slots=True)
class Tag:
    """A tag that is no block: a variable, a partial, a helper with its arguments."""

    kind: str
    name: str
    args: str
    source: str
    line: int


@dataclass(slots=True)
class Block:
    """`{{#kind arg}} body {{else}} otherwise {{/kind}}`. `alone` says whether its tags have lines of their own."""

    kind: str
    arg: str
    line: int
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] = field(default_factory=list)
    alone: bool = False


Node = str | Tag | Block


@dataclass(frozen=True, slots=True)
class Piece:
    """A tag as it stands: what is inside its braces, and whether it is alone on its line."""

    inside: str
    line: int
    is_alone: bool
    source: str

    @property
    def word(self) -> str:
        """The first word."""
        return self.inside.partition(" ")[0]


class CannotSay(Exception):
    """The language has no way to say this; the text names it."""


class Unreadable(Exception):
    """The tags do not fit together; the text says how."""


def parse(text: str, first_line: int = 1) -> list[Node]:
    """The text, which begins on this line of its file, as a tree. Raises Unreadable for blocks that do not close."""
    reading = _Reading(list(_pieces(text, first_line)))
    nodes, end = reading.nodes(0)
    if end is not None:
        raise Unreadable(f"{end.source} in line {end.line} closes nothing that is open.")
    return nodes


@dataclass(slots=True)
class _Reading:
    """Goes through the pieces once."""

    pieces: list[str | Piece]
    at: int = 0

    def nodes(self, depth: int) -> tuple[list[Node], Piece | None]:
        """What comes up to the tag that ends or turns the open block, and that tag."""
        found: list[Node] = []
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if isinstance(piece, str):
                found.append(piece)
            elif piece.inside.startswith("/") or piece.word == "else" or piece.inside == "^":
                return found, piece
            elif piece.inside.startswith(("#", "^")):
                block = _block(piece.inside, piece)
                found.append(self.block(block, block, depth, is_inverted=piece.inside[0] == "^"))
            elif piece.inside and not piece.inside.startswith("!"):
                found.append(_tag(piece.inside, piece.line, piece.source))
        return found, None

    def block(self, block: Block, outer: Block, depth: int, *, is_inverted: bool = False) -> Block:
        """Read the block up to its end; `outer` is the one whose name closes it."""
        if depth > MAX_NESTING:
            raise Unreadable(f"Blocks in line {block.line} are nested too deep.")
        body, end = self.nodes(depth + 1)
        block.body, block.otherwise = ([], body) if is_inverted else (body, [])
        if end is not None and not end.inside.startswith("/"):
            condition = end.inside.removeprefix("else").strip() if end.word == "else" else ""
            if condition:
                inner = _block(f"#{condition}", end)
                block.otherwise = [self.block(inner, outer, depth + 1)]
                return block
            rest, end = self.nodes(depth + 1)
            block.body, block.otherwise = (rest, body) if is_inverted else (body, rest)
        name = outer.arg if outer.kind == "section" else outer.kind
        if end is None or end.inside[1:].strip() != name:
            raise Unreadable(f"{{{{#{name}}}}} of line {outer.line} is not closed.")
        return block


def _pieces(text: str, line: int) -> Iterator[str | Piece]:
    """Text and tags. The lines on which a block's tag is alone are taken away."""
    at = line_start = counted = 0
    for match in TAG.finditer(text):
        left, inside, right = match.groups()
        inside = inside.strip("{}").strip() if inside.startswith("{") else inside.strip()
        start, after = match.start(), match.end()
        breaks = text.count("\n", counted, start)
        if breaks:
            line, line_start = line + breaks, text.rfind("\n", counted, start) + 1
        counted = start
        end_of_line = LINE_END.match(text, after)
        is_quiet = inside.startswith(("#", "/", "^", "!")) or inside.split(" ")[0] in QUIET
        alone = is_quiet and end_of_line is not None and line_start >= at and text[line_start:start].isspace()
        alone = alone or (is_quiet and end_of_line is not None and line_start == start)
        before = text[at:line_start] if alone else text[at:start]
        if alone and end_of_line is not None:
            after = end_of_line.end()
        if left:
            before = before.rstrip()
        if right:
            spaces = SPACES.match(text, match.end())
            after = spaces.end() if spaces is not None else after
        if before:
            yield before
        yield Piece(inside, line, alone, match.group())
        at = max(at, after)
    if text[at:]:
        yield text[at:]


def _block(inside: str, piece: Piece) -> Block:
    word, _, arg = inside[1:].strip().partition(" ")
    if word in BLOCKS or arg.strip():
        return Block(word, arg.strip(), piece.line, alone=piece.is_alone)
    return Block("section", word, piece.line, alone=piece.is_alone)


def _tag(inside: str, line: int, source: str) -> Tag:
    if inside.startswith(">"):
        name, _, args = inside[1:].strip().partition(" ")
        return Tag("partial", name.strip("\"'"), args.strip(), source, line)
    inside = inside.removeprefix("&").strip()
    word, _, args = inside.partition(" ")
    if not args.strip() and PATH.fullmatch(word):
        return Tag("variable" if word not in ("history",) else "helper", word, "", source, line)
    return Tag("helper", word, args.strip(), source, line)


def walk(nodes: Iterable[Node]) -> Iterator[Tag | Block]:
    """Every tag and block."""
    for node in nodes:
        if isinstance(node, str):
            continue
        yield node
        if isinstance(node, Block):
            yield from walk(node.body)
            yield from walk(node.otherwise)


def lists_in(nodes: Iterable[Node]) -> set[str]:
    """The variables that are repeated over."""
    return {node.arg for node in walk(nodes) if isinstance(node, Block) and node.kind == "each"}


def translated(text: str, build: Builder) -> tuple[Syntax, str]:
    """The text in one of our languages; what cannot be translated is kept as it stands, with a note."""
    try:
        nodes = parse(text)
    except Unreadable as error:
        build.note(f"{error} The text was kept as it stands.")
        return Syntax.MUSTACHE, text
    syntax, texts = translated_all([nodes], [text], build)
    return syntax, texts[0]


def translated_all(groups: list[list[Node]], sources: list[str], build: Builder) -> tuple[Syntax, list[str]]:
    """Several trees in one language."""
    declare(groups, build)
    lists = {name for name, one in build.variables.items() if one.type is VariableType.LIST}
    try:
        if build.prefers is Syntax.JINJA:
            raise CannotSay(TOGETHER)
        if any("{{" in node for group in groups for node in group if isinstance(node, str)):
            raise CannotSay("two braces as text")
        return Syntax.MUSTACHE, [_mustache(group, lists) for group in groups]
    except CannotSay as error:
        reason = str(error)
    try:
        texts = [_settle(_jinja(group, [])) for group in groups]
    except CannotSay as error:
        build.note(f"{error} cannot be said here; the text was kept as it stands. Change it before you publish.")
        return Syntax.MUSTACHE, sources
    why = reason if reason is TOGETHER else f"Mustache cannot say {reason}"
    build.note(f"It became a Jinja prompt, since {why}.")
    return Syntax.JINJA, texts


def declare(groups: list[list[Node]], build: Builder) -> None:
    """Declare the variables in use that nothing declared; a list where one is repeated over."""
    lists = set().union(*(lists_in(group) for group in groups)) if groups else set()
    for group in groups:
        _declare(group, build, lists, inside=False)


def _declare(nodes: list[Node], build: Builder, lists: set[str], *, inside: bool) -> None:
    for node in nodes:
        if isinstance(node, Block):
            name = re.split(r"[./ ]", node.arg)[0]
            if not inside and VARIABLE_NAME.fullmatch(name) and name != "this":
                kind = VariableType.LIST if node.arg in lists else None
                kind = VariableType.OBJECT if "." in node.arg or node.kind == "with" else kind
                if name not in build.variables or (kind is VariableType.LIST and build.variables[name].sample is None):
                    build.declare(name, kind, is_required=False)
            scoped = inside or node.kind in ("each", "with")
            _declare(node.body, build, lists, inside=scoped)
            _declare(node.otherwise, build, lists, inside=inside)
        elif isinstance(node, Tag) and node.kind == "variable" and not inside:
            name, dot, _ = node.name.partition(".")
            if name not in build.variables and VARIABLE_NAME.fullmatch(name) and name != "this":
                build.declare(name, VariableType.OBJECT if dot else None)


def _mustache(nodes: list[Node], lists: set[str]) -> str:
    return "".join(_mustache_of(node, lists) for node in nodes)


def _mustache_of(node: Node, lists: set[str]) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, Tag):
        if node.kind == "partial":
            return templates.include(node.name, Syntax.MUSTACHE)
        if node.kind == "helper":
            raise CannotSay(f"{node.source} in line {node.line}")
        return f"{{{{{_mustache_path(node.name, node)}}}}}"
    end = "\n" if node.alone else ""
    if node.kind in ("if", "unless") and (node.arg in lists or _speaks_of_this(node.body)):
        raise CannotSay(f"{{{{#{node.kind} {node.arg}}}}} in line {node.line}, where {node.arg} is a list or has parts")
    if node.kind not in ("if", "unless", "each", "with", "section"):
        raise CannotSay(f"{{{{#{node.kind}}}}} in line {node.line}")
    if node.kind == "each" and _speaks_of_a_count(node.body):
        raise CannotSay(f"the count in {{{{#each}}}} of line {node.line}")
    name = _mustache_path(node.arg, node)
    body, otherwise = _mustache(node.body, lists), _mustache(node.otherwise, lists)
    if node.kind == "unless":
        body, otherwise = otherwise, body
    shown = f"{{{{#{name}}}}}{end}{body}{{{{/{name}}}}}{end}" if body or not otherwise else ""
    return shown + (f"{{{{^{name}}}}}{end}{otherwise}{{{{/{name}}}}}{end}" if otherwise else "")


def _mustache_path(path: str, node: Tag | Block) -> str:
    path = path.replace("/", ".") if not path.startswith("..") else path
    while path.startswith("../"):
        path = path[3:]
    path = path.removeprefix("@root.")
    if path in ("this", "."):
        return "."
    path = path.removeprefix("this.").removeprefix("this/")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", path):
        raise CannotSay(f"{path} in line {node.line}")
    return path


def _speaks_of_this(nodes: list[Node]) -> bool:
    """True when `this` of the surroundings is meant inside a condition."""
    for node in nodes:
        if isinstance(node, Tag) and (node.name in ("this", ".") or node.name.startswith("this.")):
            return True
        if isinstance(node, Block) and node.kind in ("if", "unless") and _speaks_of_this(node.body + node.otherwise):
            return True
    return False


def _speaks_of_a_count(nodes: list[Node]) -> bool:
    return any("@" in (one.name if isinstance(one, Tag) else one.arg).replace("@root.", "") for one in walk(nodes))


def _jinja(nodes: list[Node], scopes: list[str]) -> str:
    return "".join(_jinja_of(node, scopes) for node in nodes)


def _jinja_of(node: Node, scopes: list[str]) -> str:
    if isinstance(node, str):
        return templates.as_text(node, Syntax.JINJA)
    if isinstance(node, Tag):
        if node.kind == "partial":
            return templates.include(node.name, Syntax.JINJA)
        if node.kind == "variable":
            return f"{{{{ {_jinja_path(node.name, scopes, node)} }}}}"
        if node.name == "json" and PATH.fullmatch(node.args.split(" ")[0]):
            return f"{{{{ {_jinja_path(node.args.split(' ')[0], scopes, node)} | tojson }}}}"
        raise CannotSay(f"{node.source} in line {node.line}")
    return _jinja_block(node, scopes)


def _jinja_block(node: Block, scopes: list[str]) -> str:
    end = AFTER_ALONE if node.alone else ""
    otherwise = f"{{% else %}}{end}{_jinja(node.otherwise, scopes)}" if node.otherwise else ""
    if node.kind in ("each", "section"):
        item = "item" if not scopes else f"item{len(scopes) + 1}"
        body = _jinja(node.body, [*scopes, item])
        if node.kind == "section":
            raise CannotSay(f"{{{{#{node.arg}}}}} in line {node.line}")
        value = _jinja_path(node.arg, scopes, node)
        return f"{{% for {item} in {value} %}}{end}{body}{otherwise}{{% endfor %}}{end}"
    if node.kind == "with":
        name = f"part{len(scopes) + 1}"
        value = _jinja_path(node.arg, scopes, node)
        body = _jinja(node.body, [*scopes, name])
        return f"{{% if {value} %}}{{% set {name} = {value} %}}{end}{body}{otherwise}{{% endif %}}{end}"
    condition = _jinja_condition(node, scopes)
    return f"{{% if {condition} %}}{end}{_jinja(node.body, scopes)}{otherwise}{{% endif %}}{end}"


def _jinja_condition(node: Block, scopes: list[str]) -> str:
    if node.kind in ("if", "unless"):
        return ("not " if node.kind == "unless" else "") + _jinja_path(node.arg, scopes, node)
    if node.kind in ("ifEquals", "unlessEquals"):
        words = re.findall(r"\"[^\"]*\"|'[^']*'|\S+", node.arg)
        if len(words) == 2:
            one, other = (_jinja_value(word, scopes, node) for word in words)
            return f"{one} {'==' if node.kind == 'ifEquals' else '!='} {other}"
    raise CannotSay(f"{{{{#{node.kind}}}}} in line {node.line}")


def _jinja_value(word: str, scopes: list[str], node: Block) -> str:
    if re.fullmatch(r"\"[^\"\\]*\"|'[^'\\]*'|-?[0-9]+(\.[0-9]+)?", word):
        return word
    return word if word in ("true", "false") else _jinja_path(word, scopes, node)


def _jinja_path(path: str, scopes: list[str], node: Tag | Block) -> str:
    counts = {"@index": "loop.index0", "@first": "loop.first", "@last": "loop.last"}
    if path in counts and scopes:
        return counts[path]
    if path.startswith("@root."):
        path, scopes = path.removeprefix("@root."), []
    while path.startswith("../") and scopes:
        path, scopes = path[3:], scopes[:-1]
    path = path.replace("/", ".")
    if path in ("this", ".") and scopes:
        return scopes[-1]
    path = path.removeprefix("this.")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", path) or path == "this":
        raise CannotSay(f"{path} in line {node.line}")
    return f"{scopes[-1]}.{path}" if scopes else path


def _settle(text: str) -> str:
    """Tags that had a line of their own keep it where Jinja can be told to leave the line out."""
    text = re.sub(rf"%\}}{AFTER_ALONE}(?=\S)", "-%}\n", text)
    return text.replace(AFTER_ALONE, "")

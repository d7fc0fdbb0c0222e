"""YAML with places, read strictly: what would surprise somebody is refused with its line.

Refused are anchors and aliases (a small file could unfold into a huge one), tags, keys that stand twice, several
documents in one file, and what is too large or too deep. Values are those of YAML 1.2's core schema: `no` and
`2026-11-23` are text. Keys are always text, as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from apps.prompts.files.problems import BadFile

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000

NULL = re.compile(r"~|null|Null|NULL|")
TRUE, FALSE = re.compile(r"true|True|TRUE"), re.compile(r"false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]{1,30}|0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

Json = Any
Kind = Literal["scalar", "mapping", "sequence"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place: `start` and `end` are offsets in the text, `line` and `column` count from 1.

    `style` is `'`, `"`, `|` or `>` for a scalar that is not plain; `is_flow` is true for `[...]` and `{...}`.
    """

    kind: Kind
    start: int
    end: int
    line: int
    column: int
    value: Json = None
    style: str = ""
    is_flow: bool = False
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[Node, Node]] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key."""
        entry = self.entries.get(key)
        return None if entry is None else entry[1]

    def refuse(self, sentence: str) -> BadFile:
        """An error at this place."""
        return BadFile(sentence, line=self.line, column=self.column)


def parse(text: str) -> Node:
    """The one document in the text. Raises BadFile with line and column."""
    if len(text) > MAX_CHARACTERS:
        raise BadFile(f"The file is larger than {MAX_CHARACTERS // 1024} KiB.")
    try:
        return _Composer(text).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = str(error.problem or error.context or "this is not YAML")
        raise _unreadable(words, None if mark is None else (mark.line + 1, mark.column + 1)) from error
    except YAMLError as error:
        at = getattr(error, "position", None)
        place = None if not isinstance(at, int) else _place(text, at)
        raise _unreadable(str(getattr(error, "reason", "this is not YAML")), place) from error
    except (ValueError, OverflowError) as error:
        raise BadFile(f"This is not YAML: {error}.") from error


def _unreadable(words: str, place: tuple[int, int] | None) -> BadFile:
    line, column = place or (None, None)
    return BadFile(f"This is not YAML: {words}. Mend it here.", line=line, column=column)


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def mapping(text: str, what: str = "The file") -> Node:
    """The text as a mapping; an empty text is an empty one. Raises BadFile."""
    node = parse(text)
    if node.kind == "scalar" and node.value is None:
        return Node("mapping", node.start, node.end, node.line, node.column)
    if node.kind != "mapping":
        raise node.refuse(f"{what} must be a list of 'key: value' lines.")
    return node


def plain(node: Node) -> Json:
    """The value as JSON: text, numbers, booleans, None, lists and dicts."""
    if node.kind == "mapping":
        return {key: plain(value) for key, (_, value) in node.entries.items()}
    if node.kind == "sequence":
        return [plain(item) for item in node.items]
    return node.value


class _Composer:
    """Builds nodes from the parser's events and refuses what is not wanted on the way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self.count = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                raise _refused(event, "A second document begins here. Keep one prompt in a file.")
            if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                root = self.node(event, 0)
        return root or Node("scalar", 0, 0, 1, 1)

    def node(self, event: Event, depth: int) -> Node:
        self.count += 1
        if not isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) or event.anchor is not None:
            raise _refused(event, "Anchors and aliases (& and *) are not read. Write the value out.")
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            limit = f"{MAX_VALUES:,} values" if self.count > MAX_VALUES else f"{MAX_DEPTH} levels"
            raise _refused(event, f"The file holds more than {limit} here.")
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, depth)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(event, depth)
        return _scalar(event)

    def mapping(self, start: MappingStartEvent, depth: int) -> Node:
        _refuse_tag(start, "!!map")
        entries: dict[str, tuple[Node, Node]] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self.node(event, depth + 1)
            if key.kind != "scalar":
                raise key.refuse("A key must be text.")
            name = event.value if isinstance(event, ScalarEvent) else ""
            if name in entries:
                raise key.refuse(f"The key '{name}' stands twice; the first is on line {entries[name][0].line}.")
            value = self.node(next(self.events), depth + 1)
            if value.end == value.start:
                # An empty value is reported where the next thing begins; here it stands behind its colon.
                at = max(self.text.find(":", key.end) + 1, key.end)
                value = Node("scalar", at, at, key.line, key.column + at - key.start)
            entries[name] = (key, value)
        return _node("mapping", start, event.end_mark.index, is_flow=bool(start.flow_style), entries=entries)

    def sequence(self, start: SequenceStartEvent, depth: int) -> Node:
        _refuse_tag(start, "!!seq")
        items = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return _node("sequence", start, event.end_mark.index, is_flow=bool(start.flow_style), items=items)


def _node(kind: Kind, event: Event, end: int, **others: Any) -> Node:
    mark = event.start_mark
    return Node(kind, mark.index, end, mark.line + 1, mark.column + 1, **others)


def _refused(event: Event, sentence: str) -> BadFile:
    return BadFile(sentence, line=event.start_mark.line + 1, column=event.start_mark.column + 1)


def _refuse_tag(event: MappingStartEvent | SequenceStartEvent | ScalarEvent, usual: str) -> None:
    tag = str(event.tag) if event.tag is not None else ""
    if tag and tag not in ("!", f"tag:yaml.org,2002:{usual.removeprefix('!!')}"):
        raise _refused(event, f"Tags such as {tag} are not read. Write the plain value.")


def _scalar(event: ScalarEvent) -> Node:
    _refuse_tag(event, "!!str")
    style = event.style or ""
    value: Json = event.value
    if not style and event.tag is None:
        if NOT_A_NUMBER.fullmatch(event.value):
            raise _refused(event, "Use a number that is neither NaN nor infinite.")
        value = resolve(event.value)
    return _node("scalar", event, event.end_mark.index, value=value, style=style)


def resolve(text: str) -> Json:
    """What a plain scalar of this text means."""
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return text[0] in "tT"
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    return float(text) if FLOAT.fullmatch(text) else text

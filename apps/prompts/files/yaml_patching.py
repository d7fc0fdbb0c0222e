"""Changing a few values in a YAML text and leaving every other character as it is.

Libraries that read and write YAML back keep comments but rewrap, reindent and requote. Here the text is cut at the
places of the values that differ, and only those are written anew: comments, order, quotes, unknown keys and blank lines
of all others stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.prompts.files import yaml_writing
from apps.prompts.files.yaml_text import Node

Json = Any
BLANK_END = re.compile(r"(\r?\n[ \t]*)+\Z")
HEADER_COMMENT = re.compile(r"[|>][0-9+-]*([ \t]+#[^\n]*)?")
COMMENT_BELOW_KEY = re.compile(r"\s*:([ \t]+#[^\n\r]*)\r?\n")


class CannotPatch(Exception):
    """The place is written in a way that cannot be changed by lines."""


def same(one: Json, other: Json) -> bool:
    """Equal as JSON: `true` is not 1, the order of an object's keys does not matter."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def patched(text: str, root: Node, old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    """The text, a mapping that was read as `old`, changed so that it reads as `new`. It ends in a line break.

    Raises CannotPatch. Whoever calls this reads the outcome again to be sure.
    """
    patch = _Patch(text)
    patch.mapping(root, old, new, whole_keys_on_trouble=True)
    return patch.apply()


def rewritten(text: str, root: Node, old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    """As `patched`, but each key of the file whose value changed is written anew as a whole."""
    patch = _Patch(text)
    for name in [*old, *(name for name in new if name not in old)]:
        if name in new and name in root.entries:
            if name not in old or json.dumps(old[name]) != json.dumps(new[name]):
                patch.whole(*root.entries[name], new[name])
        else:
            patch.entry(root, name, old, new)
    return patch.apply()


@dataclass(slots=True)
class _Patch:
    text: str
    edits: list[tuple[int, int, int, str]] = field(default_factory=list)

    def edit(self, start: int, end: int, replacement: str) -> None:
        self.edits.append((start, end, len(self.edits), replacement))

    def apply(self) -> str:
        done = self.text
        for start, end, _, replacement in sorted(self.edits, reverse=True):
            done = done[:start] + replacement + done[end:]
        return done

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """The offset after the line break of the line."""
        return self.text.index("\n", offset) + 1

    def content_end(self, node: Node) -> int:
        """Where the value's last character is over; blank lines after a block are not part of it."""
        if node.kind == "mapping" and not node.is_flow and node.entries:
            return self.content_end(list(node.entries.values())[-1][1])
        if node.kind == "sequence" and not node.is_flow and node.items:
            return self.content_end(node.items[-1])
        if node.style in ("|", ">"):
            raw = self.text[node.start : node.end]
            keeps = "+" in raw.split("\n", 1)[0]
            return node.start + len(raw.rstrip("\n") if keeps else BLANK_END.sub("", raw))
        return node.end

    def mapping(
        self, node: Node, old: Mapping[str, Json], new: Mapping[str, Json], *, whole_keys_on_trouble: bool = False
    ) -> None:
        if node.is_flow or not node.entries:
            raise CannotPatch
        for name in [*old, *(name for name in new if name not in old)]:
            if name in old and name in new and same(old[name], new[name]):
                continue
            before = len(self.edits)
            try:
                self.entry(node, name, old, new)
            except CannotPatch:
                if not whole_keys_on_trouble or name not in new or name not in node.entries:
                    raise
                del self.edits[before:]
                self.whole(*node.entries[name], new[name])

    def entry(self, node: Node, name: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
        if name not in new:
            if name in node.entries:
                self.delete_lines(node.entries[name][0].start, self.content_end(node.entries[name][1]))
        elif name in node.entries:
            self.value(*node.entries[name], old.get(name), new[name])
        else:
            self.insert(node, name, new)

    def value(self, key: Node, node: Node, old: Json, new: Json) -> None:
        """Change the value behind a key."""
        if node.kind == "mapping" and isinstance(old, Mapping) and isinstance(new, Mapping) and new:
            self.mapping(node, old, new)
        elif node.kind == "sequence" and isinstance(old, list) and isinstance(new, list) and new:
            self.sequence(node, old, new)
        elif node.kind == "scalar" and not isinstance(new, Mapping | list) and node.end > node.start:
            self.scalar(node, new, key.column - 1)
        else:
            self.whole(key, node, new)

    def whole(self, key: Node, node: Node, new: Json) -> None:
        """Write the value behind a key anew."""
        written = yaml_writing.value(new, key.column - 1, as_block=yaml_writing.is_prose(key.value, new))
        end = self.content_end(node)
        comment = COMMENT_BELOW_KEY.match(self.text[key.end : end])
        if comment is not None and written.startswith("\n"):
            written = comment.group(1) + written
        self.edit(key.end, max(end, key.end + 1), ":" + written)

    def scalar(self, node: Node, new: Json, parent_column: int, *, in_flow: bool = False) -> None:
        """Change a scalar and keep the way it is quoted."""
        end = self.content_end(node)
        if not isinstance(new, str):
            self.edit(node.start, end, yaml_writing.scalar(new))
        elif not in_flow and (node.style in ("|", ">") or "\n" in new) and yaml_writing.literal_fits(new):
            self.block(node, new, parent_column, end)
        elif node.style == "'" and "\n" not in new and not yaml_writing.NOT_IN_BLOCK.search(new):
            self.edit(node.start, end, "'" + new.replace("'", "''") + "'")
        elif node.style == '"':
            self.edit(node.start, end, yaml_writing.quoted(new))
        else:
            self.edit(node.start, end, yaml_writing.scalar(new, in_flow=in_flow))

    def block(self, node: Node, new: str, parent_column: int, end: int) -> None:
        indent = parent_column + yaml_writing.STEP
        comment = ""
        if node.style in ("|", ">"):
            head, _, body = self.text[node.start : node.end].partition("\n")
            comment = (found := HEADER_COMMENT.match(head)) and found.group(1) or ""
            first = next((line for line in body.split("\n") if line.strip()), "")
            if not re.search(r"[0-9]", head.split("#")[0]) and new[:1] not in (" ", "\n", "\t"):
                indent = len(first) - len(first.lstrip(" ")) or indent
        written = yaml_writing.literal(new, indent)
        head, _, rest = written.partition("\n")
        if head.endswith("+"):
            end = max(end, node.end - 1 if node.style in ("|", ">") else end)
        self.edit(node.start, end, head + comment + "\n" + rest)

    def sequence(self, node: Node, old: list[Json], new: list[Json]) -> None:
        if len(node.items) != len(old) or not node.items:
            raise CannotPatch
        if node.is_flow:
            line = yaml_writing.flow(new)
            if line is None:
                raise CannotPatch
            self.edit(node.start, node.end, line)
            return
        first = _common(old, new)
        last = _common(old[first:][::-1], new[first:][::-1])
        olds, news = old[first : len(old) - last], new[first : len(new) - last]
        for offset, (before, after) in enumerate(zip(olds, news, strict=False)):
            self.item(node, node.items[first + offset], before, after)
        for extra in node.items[first + len(news) : first + len(olds)]:
            self.delete_lines(self.dash(node, extra), self.content_end(extra))
        if len(news) > len(olds):
            self.insert_items(node, first + len(olds), news[len(olds) :])

    def dash(self, node: Node, item: Node) -> int:
        """Where the dash before the item stands; it must be the first thing on its line."""
        at = self.text.rfind("-", 0, item.start)
        if (
            item.end == item.start
            or at - self.line_start(at) != node.column - 1
            or self.text[self.line_start(at) : at].strip()
        ):
            raise CannotPatch
        return at

    def item(self, node: Node, item: Node, old: Json, new: Json) -> None:
        """Change one item of a list, inside where possible."""
        before = len(self.edits)
        try:
            if item.kind == "mapping" and isinstance(old, Mapping) and isinstance(new, Mapping) and new:
                self.mapping(item, old, new)
                return
            if item.kind == "scalar" and not isinstance(new, Mapping | list) and item.end > item.start:
                self.scalar(item, new, node.column - 1)
                return
        except CannotPatch:
            del self.edits[before:]
        self.edit(self.dash(node, item), self.content_end(item), yaml_writing.item(new, node.column - 1))

    def insert_items(self, node: Node, index: int, new: list[Json]) -> None:
        column = node.column - 1
        lines = yaml_writing.items(new, column) + "\n"
        if index > 0:
            at = self.line_end(self.content_end(node.items[index - 1]))
        else:
            at = self.line_start(self.dash(node, node.items[0]))
        self.edit(at, at, lines)

    def insert(self, node: Node, name: str, new: Mapping[str, Json]) -> None:
        """Add a key after the one that stands before it in the usual order."""
        column = node.column - 1
        before = list(new)[: list(new).index(name)]
        neighbour = next((one for one in reversed(before) if one in node.entries), None)
        if neighbour is None and column == 0:
            at = self.line_start(node.start)
        else:
            known = neighbour if neighbour is not None else list(node.entries)[-1]
            at = self.line_end(self.content_end(node.entries[known][1]))
        self.edit(at, at, " " * column + yaml_writing.entry(name, new[name], column) + "\n")

    def delete_lines(self, start: int, end: int) -> None:
        first = self.line_start(start)
        if self.text[first:start].strip():
            raise CannotPatch
        self.edit(first, self.line_end(end), "")


def _common(one: list[Json], other: list[Json]) -> int:
    """How many items at the beginning are the same."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if not same(first, second):
            break
        count += 1
    return count

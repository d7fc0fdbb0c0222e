"""Reading pages as a person does: text as it is shown, tables by row and column."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "input", "br", "hr", "img", "line", "rect", "path", "use", "text"}


class _Reader(HTMLParser):
    """Collects the text of the elements that a test asks for."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.heads: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.scripts: list[dict[str, str | None]] = []
        self.handlers: list[str] = []
        self._box = ""
        self._cell: list[str] | None = None
        self._head: list[str] | None = None
        self._link: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "script":
            self.scripts.append(given)
        elif tag == "div" and (given.get("id") or "").startswith(("table-", "chart-")):
            self._box = given["id"] or ""
            self.tables[self._box] = []
        elif tag == "tr" and self._box:
            self.tables[self._box].append([])
        elif tag in {"td", "th"} and self._box:
            self._cell = []
        elif tag == "h1":
            self._head = []
        if tag == "a":
            self._link = (given.get("href") or "", [])

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[self._box][-1].append(_tidy(self._cell))
            self._cell = None
        elif tag == "table":
            self._box = ""
        elif tag == "h1" and self._head is not None:
            self.heads.append(_tidy(self._head))
            self._head = None
        elif tag == "a" and self._link is not None:
            self.links.append((_tidy(self._link[1]), self._link[0]))
            self._link = None

    def handle_data(self, data: str) -> None:
        for kept in (self._cell, self._head, self._link[1] if self._link else None):
            if kept is not None:
                kept.append(data)


def _tidy(parts: list[str]) -> str:
    """Text as it is seen: runs of space are one, and the kind that does not break is an ordinary one."""
    return re.sub(r"\s+", " ", "".join(parts)).strip()


class Page:
    """What a response shows."""

    def __init__(self, response: Any) -> None:
        assert response.status_code == 200, response.status_code
        self.source = response.content.decode()
        self._reader = _Reader()
        self._reader.feed(self.source)
        within_words = re.sub(r"</?time[^>]*>", "", self.source)
        self.text = _tidy([html.unescape(re.sub(r"<[^>]+>", " ", within_words))])

    @property
    def answer(self) -> str:
        """The sentence that the page opens with."""
        (head,) = self._reader.heads
        return head

    def table(self, name: str) -> dict[str, dict[str, str]]:
        """The rows of a table by their heads, each by its columns."""
        columns, *rows = self._reader.tables[name]
        return {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}

    def link(self, words: str) -> str:
        """Where the link with these words leads."""
        return next(href for text, href in self._reader.links if text == words)

    def stat(self, name: str) -> str:
        """All that a tile says after its name."""
        found = re.search(rf">{re.escape(name)}<.*?(?=stat__name|</section>)", self.source, re.DOTALL)
        assert found is not None, f"no tile {name}"
        text = re.sub(r"<[^>]*>|^[^>]*>|<[^<]*$", " ", found[0])
        return _tidy([html.unescape(text)]).removeprefix(name).strip()

    @property
    def links(self) -> list[tuple[str, str]]:
        """The words of every link and where it leads."""
        return self._reader.links

    @property
    def scripts(self) -> list[dict[str, str | None]]:
        """The attributes of every script element."""
        return self._reader.scripts

    @property
    def handlers(self) -> list[str]:
        """Attributes that the content policy forbids."""
        return self._reader.handlers

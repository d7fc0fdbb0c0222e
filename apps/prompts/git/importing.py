"""Commits as the stream that `git fast-import` reads. Equal commits give equal bytes, and so equal commit ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

PLAIN_PATH = re.compile(r"[A-Za-z0-9._/ @+-]*[A-Za-z0-9._/@+-]", re.ASCII)
NOT_IN_NAME = re.compile(r"[\x00-\x1f\x7f<>]+")
NO_ADDRESS = "nobody@prodworthy.invalid"


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to be made: files to write and to take away, and tags.

    A tag without a source names this commit; its source is another tag otherwise.
    """

    message: str
    author: str
    address: str
    at: datetime
    writes: tuple[tuple[str, str], ...] = ()
    deletes: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = field(default=())


def tag_of(name: str, number: str) -> str:
    """The tag of a version, `support/answer@1.2.0`. What no ref may hold is written as in an address (`%2E`)."""
    safe = re.sub(r"\.lock(?=/)", "%2Elock", name.replace("..", "%2E%2E"))
    return f"{safe}@{number}"


def stream(commits: Iterable[NewCommit], *, ref: str, tip: str | None) -> bytes:
    """The stream that puts the commits onto the tip (None: onto nothing) and lets the ref name the last of them."""
    parts: list[bytes] = [f"reset {ref}\nfrom {tip}\n\n".encode()] if tip is not None else []
    for mark, commit in enumerate(commits, start=1):
        who = f"{person(commit.author, commit.address)} {int(commit.at.timestamp())} +0000"
        parts.append(f"commit {ref}\nmark :{mark}\nauthor {who}\ncommitter {who}\n".encode())
        parts.append(_data(commit.message))
        if mark == 1 and tip is not None:
            parts.append(f"from {tip}\n".encode())
        parts += [b"D " + _path(path) + b"\n" for path in commit.deletes]
        for path, text in commit.writes:
            parts += [b"M 100644 inline " + _path(path) + b"\n", _data(text)]
        parts.append(b"\n")
        for tag, source in commit.tags:
            parts.append(f"reset refs/tags/{tag}\nfrom {f'refs/tags/{source}' if source else f':{mark}'}\n\n".encode())
    return b"".join([*parts, b"done\n"])


def person(name: str, address: str) -> str:
    """`Name <address>`, without the characters that would end either."""
    clean = NOT_IN_NAME.sub(" ", name).strip(" .,:;\"'\\") or "nobody"
    return f"{clean} <{NOT_IN_NAME.sub('', address).replace(' ', '') or NO_ADDRESS}>"


def _data(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    return b"data %d\n%s\n" % (len(encoded), encoded)


def _path(path: str) -> bytes:
    """The path, quoted as C does it unless it is plain."""
    if PLAIN_PATH.fullmatch(path):
        return path.encode()
    escaped = "".join(
        f"\\{character}"
        if character in '"\\'
        else "".join(f"\\{byte:03o}" for byte in character.encode())
        if not character.isascii() or not character.isprintable()
        else character
        for character in path
    )
    return f'"{escaped}"'.encode()

"""From the bytes of an upload to its text: which encoding, and piece by piece."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from apps.evals.importing.found import BadFile

AUTO = "auto"
ENCODINGS = {AUTO: "utf-8", "utf-8": "utf-8", "utf-16": "utf-16", "latin-1": "latin-1"}
"""What may be declared, and Python's name for it. `auto` is UTF-8, or UTF-16 where the file begins with its mark."""
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

NOT_TEXT = {
    b"PK\x03\x04": "This is a zip archive or a spreadsheet (.xlsx). Unpack it, or save the sheet as CSV.",
    b"\x1f\x8b": "This file is compressed with gzip. Unpack it first.",
    b"\x28\xb5\x2f\xfd": "This file is compressed with zstd. Unpack it first.",
    b"BZh": "This file is compressed with bzip2. Unpack it first.",
    b"\xfd7zXZ": "This file is compressed with xz. Unpack it first.",
    b"PAR1": "This is a Parquet file. Convert it to JSON Lines or CSV first.",
    b"%PDF": "This is a PDF file. Send JSON, JSON Lines or CSV.",
    b"\xd0\xcf\x11\xe0": "This is a file of an older spreadsheet program. Save it as CSV.",
    b"SQLite format 3": "This is a database file. Export the table as CSV.",
}
UTF16_HEAD = re.compile(rb"(?:[\x09\x0a\x0d\x20-\x7e]\x00){4}|(?:\x00[\x09\x0a\x0d\x20-\x7e]){4}")
MOST_CONTROLS = 0.05


def encoding_of(head: bytes, declared: str = AUTO) -> str:
    """The encoding to read the file with, as Python names it.

    Raises BadFile for what is not text, and for an encoding that is not known.
    """
    if declared not in ENCODINGS:
        known = ", ".join(name for name in ENCODINGS if name != AUTO)
        raise BadFile(f"The encoding {declared[:40]!r} is not known. Known are: {known}.")
    for start, sentence in NOT_TEXT.items():
        if head.startswith(start):
            raise BadFile(sentence)
    if head.startswith(UTF32_MARKS):
        raise BadFile("This file is UTF-32. Save it as UTF-8.")
    if declared == "latin-1":
        return declared
    if head.startswith(UTF16_MARKS):
        return "utf-16"
    if declared == "utf-16" and UTF16_HEAD.match(head):
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    if UTF16_HEAD.match(head):
        raise BadFile("This file looks like UTF-16 without its mark. Say that it is UTF-16, or save it as UTF-8.")
    if declared == "utf-16":
        raise BadFile("This file is not UTF-16. Choose another encoding.")
    controls = sum(byte < 32 and byte not in (9, 10, 12, 13) for byte in head)
    if controls > len(head) * MOST_CONTROLS:
        raise BadFile("This is not a text file. Send JSON, JSON Lines, CSV or TSV.")
    return "utf-8"


def pieces_of_text(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The text, piece by piece, without a mark at its start.

    Bytes that are not UTF-8 become half surrogate pairs, which no example may hold, so that just their rows are
    refused. Raises BadFile for broken UTF-16.
    """
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    is_first = True
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            if is_first and text:
                text, is_first = text.removeprefix("\ufeff"), False
            if text:
                yield text
        if rest := decoder.decode(b"", final=True):
            yield rest
    except UnicodeDecodeError as error:
        raise BadFile("The file is not whole UTF-16. Save it as UTF-8.") from error


def lines_of(pieces: Iterable[str], *, limit: int) -> Iterator[str]:
    """Lines with their ends; CRLF, LF and CR all end one. A line longer than `limit` is cut to `limit + 1`."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        start = 0
        for end in _ends(text):
            yield text[start:end][: limit + 1]
            start = end
        rest = text[start:]
        if len(rest) > limit + 1:
            # What follows of the line is dropped, its end is not: a CR may be half an end.
            rest = rest[: limit + 1] + (rest[-1] if rest[-1] == "\r" else "")
    if rest:
        yield rest[: limit + 1]


LINE_END = re.compile(r"\r\n|\n|\r(?=.)", re.DOTALL)


def _ends(text: str) -> Iterator[int]:
    """Behind each end of a line; a CR at the very end may be half of one."""
    return (match.end() for match in LINE_END.finditer(text))

"""Which format an upload has, and its records, whatever the format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain

import msgspec

from apps.evals.importing import json_rows, tables
from apps.evals.importing.found import BadFile, Problem, Record
from apps.evals.importing.texts import encoding_of, pieces_of_text


class Format(StrEnum):
    """How the rows are written. TSV is CSV with tabs."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


ENDINGS = {
    "json": Format.JSON,
    "jsonl": Format.JSONL,
    "ndjson": Format.JSONL,
    "csv": Format.CSV,
    "tsv": Format.CSV,
    "tab": Format.CSV,
}
MEDIA_TYPES = {
    "application/x-ndjson": Format.JSONL,
    "application/jsonl": Format.JSONL,
    "application/jsonlines": Format.JSONL,
    "application/json": Format.JSON,
    "text/csv": Format.CSV,
    "text/tab-separated-values": Format.CSV,
}
HEAD = 64 * 1024
WRAPPED = re.compile(rf'\{{\s*"(?:{"|".join(sorted(json_rows.WRAPPERS))})"\s*:\s*\[')
READERS = {Format.JSON: json_rows.from_array, Format.JSONL: json_rows.from_lines, Format.CSV: tables.from_table}


def format_of(head: bytes, *, filename: str = "", declared: str = "", encoding: str = "utf-8") -> Format:
    """The format, from the first bytes where they tell, else as declared, else by the ending of the name.

    A .json file that holds lines of JSON is read as lines, since many exports are called so.
    """
    text = "".join(pieces_of_text([head], encoding)).lstrip()
    told = Format(declared) if declared else ENDINGS.get(filename.rpartition(".")[2].lower())
    if told is Format.CSV:
        return told
    if text.startswith("["):
        return Format.JSON if told is not Format.JSONL else told
    if text.startswith("{"):
        return _of_objects(text)
    if told is not None:
        return told
    return Format.CSV


def _of_objects(text: str) -> Format:
    """Lines of objects, or one object around an array."""
    line, _, rest = text.partition("\n")
    try:
        first = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        if WRAPPED.match(text):
            return Format.JSON
        # One long line that is cut here, an object over many lines, or a broken first line of many.
        return Format.JSONL if rest.lstrip().startswith('{"') or not rest else Format.JSON
    is_wrapper = isinstance(first, dict) and any(isinstance(first.get(name), list) for name in json_rows.WRAPPERS)
    return Format.JSON if is_wrapper and not rest.strip() else Format.JSONL


def records(pieces: Iterable[bytes], *, format: Format, encoding: str) -> Iterator[Record | Problem]:
    """The rows of the file, while it arrives. Raises BadFile for what cannot be read as a whole, also midway."""
    return READERS[format](pieces_of_text(pieces, encoding))


def look_at(
    pieces: Iterable[bytes], *, filename: str = "", declared_format: str = "", declared_encoding: str = "auto"
) -> tuple[Format, str, Iterator[bytes]]:
    """Format, encoding, and all the pieces. Raises BadFile for an empty file and for what is no text."""
    source = iter(pieces)
    head = b""
    taken = []
    for piece in source:
        taken.append(piece)
        head += piece[: HEAD - len(head)]
        if len(head) >= HEAD:
            break
    if not head.strip(b" \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise BadFile("The file is empty.")
    encoding = encoding_of(head, declared_encoding)
    # UTF-16 must not be cut within a character.
    whole = head if len(head) < HEAD else head[: len(head) // 4 * 4]
    format = format_of(whole, filename=filename, declared=declared_format, encoding=encoding)
    return format, encoding, chain(taken, source)

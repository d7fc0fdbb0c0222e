"""Exports that hold many records: a JSON list, one object, JSON Lines, or CSV whose cells may hold JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from apps.prompts.files.building import Files, json_of, text_of
from apps.prompts.files.problems import BadFile

MOST = 2_000
"""The most records of one file."""

Json = Any


def records(files: Files, path: str, wrappers: tuple[str, ...] = ()) -> list[Mapping[str, Json]]:
    """The records in the file; `wrappers` are keys whose list holds them. Raises BadFile with the place."""
    text = text_of(files, path).removeprefix("\ufeff")
    if path.lower().endswith(".csv"):
        found = _from_csv(text)
    elif path.lower().endswith((".jsonl", ".ndjson")):
        found = _from_lines(text)
    else:
        found = _from_json(text, wrappers)
    if len(found) > MOST:
        raise BadFile(f"The file holds {len(found):,} prompts; at most {MOST:,} are read. Split it.", path=path)
    return found


def _from_json(text: str, wrappers: tuple[str, ...]) -> list[Mapping[str, Json]]:
    told = json_of(text)
    if isinstance(told, Mapping):
        inner = next((told[key] for key in wrappers if isinstance(told.get(key), list)), None)
        told = inner if inner is not None and not {"role", "content"} <= _keys(inner) else [told]
    if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
        raise BadFile("The file must hold an object or a list of objects.", line=1, column=1)
    return told


def _keys(listed: list[Json]) -> set[str]:
    return set(listed[0]) if listed and isinstance(listed[0], Mapping) else set()


def _from_lines(text: str) -> list[Mapping[str, Json]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            told = json_of(line)
        except BadFile as error:
            raise error.at("", lines_before=number - 1) from error
        if not isinstance(told, Mapping):
            raise BadFile("Each line must hold an object.", line=number, column=1)
        found.append(told)
    return found


def _from_csv(text: str) -> list[Mapping[str, Json]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="_more")
    found: list[Mapping[str, Json]] = []
    try:
        for row in reader:
            if "_more" in row or None in row.values():
                raise BadFile("This row has more or fewer cells than the first line.", line=reader.line_num, column=1)
            found.append({str(key).strip(): _cell(value) for key, value in row.items()})
    except csv.Error as error:
        raise BadFile(f"This is not CSV: {error}.", line=reader.line_num, column=1) from error
    return found


def _cell(text: str) -> Json:
    """The cell; JSON lists and objects are read."""
    stripped = text.strip()
    if stripped[:1] in ("[", "{") and stripped[-1:] in ("]", "}"):
        try:
            told = json.loads(stripped)
        except (ValueError, RecursionError):
            return text
        return told if isinstance(told, list | dict) else text
    return text

"""Picoschema, dotprompt's short way to write a JSON Schema: `name?: string, what it is` and `tags(array): string`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Json = Any
SCALARS = frozenset({"string", "number", "integer", "boolean", "null", "any"})
KEY = re.compile(r"(\w[\w.-]*)(\?)?(?:\(([a-z*]+)(?:,\s*(.*))?\))?(\?)?", re.DOTALL)


class NotASchema(Exception):
    """This part is neither Picoschema nor JSON Schema; the text says which part."""


def json_schema(given: Json) -> dict[str, Json]:
    """The JSON Schema. Raises NotASchema, also for the name of a schema that stands elsewhere."""
    if isinstance(given, str):
        return _scalar(given)
    if not isinstance(given, Mapping):
        raise NotASchema(str(given)[:80])
    if (
        isinstance(given.get("type"), str)
        and given["type"] in (SCALARS | {"object", "array"})
        and _is_json_schema(given)
    ):
        return dict(given)
    if "properties" in given and isinstance(given["properties"], Mapping):
        return {"type": "object", **given}
    return _object(given)


def _is_json_schema(given: Mapping[str, Json]) -> bool:
    return given["type"] not in ("object", "array") or "properties" in given or "items" in given or len(given) == 1


def _object(given: Mapping[str, Json]) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    required: list[str] = []
    schema: dict[str, Json] = {"type": "object", "properties": properties}
    for key, value in given.items():
        if key == "(*)":
            schema["additionalProperties"] = True if value == "any" else json_schema(value)
            continue
        match = KEY.fullmatch(key)
        if match is None:
            raise NotASchema(key)
        name, early, kind, description, late = match.groups()
        properties[name] = _property(kind, value)
        if description:
            properties[name]["description"] = description.strip()
        if not (early or late):
            required.append(name)
    return {**schema, "required": required} if required else schema


def _property(kind: str | None, value: Json) -> dict[str, Json]:
    if kind is None:
        return json_schema(value)
    if kind == "array":
        return {"type": "array", "items": json_schema(value)}
    if kind == "enum":
        if not isinstance(value, list):
            raise NotASchema(f"enum {value}")
        return {"enum": value}
    if kind == "object":
        return _object(value if isinstance(value, Mapping) else {})
    raise NotASchema(kind)


def _scalar(text: str) -> dict[str, Json]:
    kind, _, description = text.partition(",")
    kind = kind.strip()
    if kind not in SCALARS:
        raise NotASchema(kind)
    schema: dict[str, Json] = {} if kind == "any" else {"type": kind}
    return {**schema, "description": description.strip()} if description.strip() else schema

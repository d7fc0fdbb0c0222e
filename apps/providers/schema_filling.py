"""Fills a JSON Schema with values, always the same ones for the same seed: what the test model answers with.

The keywords that response schemas and tools commonly use are understood; an unknown one is not, and then the value may
miss it. Nothing is looked up outside the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DEEPEST = 12
"""Below this, only what is required is filled; a schema that requires itself ends with null."""
FILLS_OPTIONAL_TO = 6

WORDS = ("order", "invoice", "answer", "customer", "ticket", "report", "account", "detail", "summary", "example")
FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T10:30:00Z",
    "time": "10:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Choose = Callable[[str, Sequence[Any]], Any]
"""Picks one of an enumeration's values; gets where it stands in the answer."""


def fill(schema: Mapping[str, Any], *, seed: str, choose: Choose | None = None) -> Any:
    """A value that meets the schema, the same for the same seed. `choose` decides among the values of an `enum`."""
    return _Filling(schema, seed, choose).value(schema, "$", 0)


class _Filling:
    """One answer in the making."""

    def __init__(self, root: Mapping[str, Any], seed: str, choose: Choose | None) -> None:
        self._root = root
        self._seed = seed
        self._choose = choose or self._by_chance

    def _number(self, place: str) -> int:
        """A number that belongs to the place."""
        return int.from_bytes(hashlib.sha256(f"{self._seed}:{place}".encode()).digest()[:6])

    def _by_chance(self, place: str, values: Sequence[Any]) -> Any:
        return values[self._number(place) % len(values)]

    def value(self, schema: Any, place: str, depth: int) -> Any:
        """What stands at a place."""
        if not isinstance(schema, Mapping) or depth > DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._choose(place, schema["enum"])
        if isinstance(schema.get("$ref"), str):
            return self.value(self._referred(schema["$ref"]), place, depth + 1)
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                return self.value(_first_that_is_something(schema[word]), place, depth + 1)
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            return self.value(self._joined(schema), place, depth + 1)
        return self._by_type(schema, place, depth)

    def _by_type(self, schema: Mapping[str, Any], place: str, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, place, depth)
            case "array":
                return self._array(schema, place, depth)
            case "integer":
                return self._integer(schema, place)
            case "number":
                low, high = _bounds(schema)
                return round(low + (high - low) * (self._number(place) % 100) / 100, 2)
            case "boolean":
                return self._number(place) % 2 == 0
            case "null":
                return None
        return self._text(schema, place)

    def _object(self, schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        required = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        names = [name for name in properties if depth < FILLS_OPTIONAL_TO or name in required]
        names += [name for name in required if name not in properties]
        return {name: self.value(properties.get(name, {}), f"{place}.{name}", depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], place: str, depth: int) -> list[Any]:
        least, most = _whole(schema, "minItems", 1), _whole(schema, "maxItems", 20)
        size = min(max(least, 1 + self._number(place) % 2), max(most, least), 20)
        if depth >= FILLS_OPTIONAL_TO:
            size = min(least, 20) if "minItems" in schema else 0
        return [self.value(schema.get("items", {}), f"{place}[{index}]", depth + 1) for index in range(size)]

    def _integer(self, schema: Mapping[str, Any], place: str) -> int:
        low, high = _bounds(schema)
        first, last = -int(-low // 1), int(high // 1)
        number = first + self._number(place) % max(last - first + 1, 1)
        step = schema.get("multipleOf")
        return (
            number - number % step if isinstance(step, int) and step > 0 and number - number % step >= low else number
        )

    def _text(self, schema: Mapping[str, Any], place: str) -> str:
        known = FORMATS.get(str(schema.get("format")))
        if known is not None:
            return known
        name = place.rpartition(".")[2].partition("[")[0].replace("_", " ")
        text = f"{WORDS[self._number(place) % len(WORDS)]} {name}".replace("$", "").strip()
        least, most = _whole(schema, "minLength", 0), _whole(schema, "maxLength", 200)
        while len(text) < min(least, 10_000):
            text += " " + text
        return text[: max(most, least)]

    def _referred(self, reference: str) -> Any:
        """What a reference within the schema points to; nothing for one that leaves it."""
        found: Any = self._root
        if not reference.startswith("#"):
            return None
        for part in reference.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if name and isinstance(found, Mapping):
                found = found.get(name)
        return found

    def _joined(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """All parts of an `allOf` as one."""
        joined: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            part = self._referred(part["$ref"]) if isinstance(part, Mapping) and "$ref" in part else part
            if not isinstance(part, Mapping):
                continue
            properties = {**joined.get("properties", {}), **part.get("properties", {})}
            required = [*joined.get("required", []), *part.get("required", [])]
            joined = {**joined, **part, "properties": properties, "required": required}
        return joined if joined["properties"] else {name: joined[name] for name in joined if name != "properties"}


def _first_that_is_something(choices: Sequence[Any]) -> Any:
    """The first choice that is not null."""
    return next((one for one in choices if isinstance(one, Mapping) and one.get("type") != "null"), choices[0])


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """The smallest and largest number that are allowed; a range of ten where only one is said."""
    low, high = _limit(schema, "minimum"), _limit(schema, "maximum")
    above, below = _limit(schema, "exclusiveMinimum"), _limit(schema, "exclusiveMaximum")
    low = above + 1 if low is None and above is not None else low
    high = below - 1 if high is None and below is not None else high
    if low is None and high is None:
        return 0.0, 10.0
    if low is None:
        assert high is not None
        return high - 10, high
    if high is None:
        return low, low + 10
    return (low, high) if low <= high else (low, low)


def _limit(schema: Mapping[str, Any], name: str) -> float | None:
    value = schema.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(schema: Mapping[str, Any], name: str, default: int) -> int:
    value = schema.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default

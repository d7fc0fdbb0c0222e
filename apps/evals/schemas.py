"""JSON Schemas that the examples of a set must meet: whether a schema can be used, and what breaks it.

Nothing is fetched for a `$ref`, and a pattern gets a limited time. Free of Django.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import regex

from apps.evals.examples import BadExample, body_from_dict, canonical, shown
from apps.evals.types import Json

MOST_VIOLATIONS = 20
"""Sentences about one example; further ones help nobody."""
MAX_SCHEMA = 256 * 1024
PATTERN_SECONDS = 0.2


def schema_problem(schema: Json) -> str:
    """What is wrong with a schema; empty when it can be used. None is no schema, which is fine."""
    from jsonschema import Draft202012Validator, SchemaError

    if schema is None:
        return ""
    if not isinstance(schema, dict):
        return "A schema is a JSON object."
    try:
        # What an example can hold can be stored; a schema is looked through the same way.
        body_from_dict({"variables": {"schema": schema}})
        if len(canonical(schema)) > MAX_SCHEMA:
            return f"A schema may have {MAX_SCHEMA // 1024} KiB."
        Draft202012Validator.check_schema(schema)
        for place in _references(schema):
            if not place.startswith("#"):
                return f"A $ref points into the schema itself, as #/$defs/name does; {shown(place)} does not."
    except BadExample as error:
        return " ".join(sentence for sentences in error.details.values() for sentence in sentences)
    except SchemaError as error:
        return f"This is not a JSON Schema: {shown(error.message)}"
    return ""


def violations(schema: Mapping[str, Json] | None, value: Json, place: str) -> dict[str, list[str]]:
    """What of the value breaks the schema, by field below `place`; empty when nothing does."""
    if not schema:
        return {}
    from referencing.exceptions import Unresolvable

    found: dict[str, list[str]] = {}
    try:
        for count, error in enumerate(_validator(canonical(schema)).iter_errors(value)):
            if count == MOST_VIOLATIONS:
                break
            where = ".".join([place, *(shown(str(part)) for part in error.absolute_path)])
            found.setdefault(where, []).append(_sentence(str(error.message)))
    except Unresolvable:
        found.setdefault(place, []).append("The schema of the set has a $ref that points nowhere. Correct the schema.")
    except RecursionError:
        found.setdefault(place, []).append("The schema of the set refers to itself without end. Correct the schema.")
    return found


def _sentence(message: str) -> str:
    """The validator's words, without a value of megabytes in them."""
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    import json

    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    kind = validators.extend(Draft202012Validator, {"pattern": _pattern})
    # A registry of our own: the default one would fetch what a $ref names.
    return kind(json.loads(schema), registry=Registry())


def _pattern(validator: Any, pattern: Json, value: Json, schema: Json) -> Iterator[Any]:
    """The keyword `pattern`, with a limited time."""
    from jsonschema import ValidationError

    if not isinstance(value, str):
        return
    try:
        is_met = regex.search(str(pattern), value, timeout=PATTERN_SECONDS)
    except TimeoutError:
        yield ValidationError(f"The pattern {shown(str(pattern))} takes too long on this text.")
    except regex.error:
        yield ValidationError(f"The pattern {shown(str(pattern))} of the schema cannot be read.")
    else:
        if not is_met:
            yield ValidationError(f"This does not match the pattern {shown(str(pattern))}.")


def _references(schema: Json) -> Iterator[str]:
    """What each `$ref` of the schema names."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            place = value.get("$ref", "#")
            yield place if isinstance(place, str) else "#"
        elif isinstance(value, list):
            waiting.extend(value)

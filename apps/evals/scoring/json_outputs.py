"""Outputs that shall be JSON: whether they are, and whether they keep to a schema."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import regex

from apps.evals.scoring.bounds import Unreadable, at_path, canonical, read_json, shown, too_much
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed

MAX_STEPS = 300_000
MAX_SECONDS = 3.0
PATTERN_SECONDS = 0.1
SHOWN_ERRORS = 5

STRICT = Field(
    "strict",
    "Nothing but JSON",
    FieldType.BOOLEAN,
    default=False,
    help="A Markdown code block around the JSON is wrong too. Otherwise the JSON is taken out of it.",
)

# --- valid -----------------------------------------------------------------------------------------------------------

VALID_FIELDS = (
    STRICT,
    Field(
        "type",
        "It must be",
        FieldType.CHOICE,
        default="any",
        choices=(("any", "Any JSON"), ("object", "An object"), ("array", "A list")),
    ),
)


def score_json_valid(case: Case, config: Config) -> Score:
    """Whether the output is JSON: alone, or (unless strict) in a Markdown code block. NaN and Infinity are no JSON."""
    value = read_json(case.output, fences=not config["strict"])
    if isinstance(value, Unreadable):
        return scored(0.0, value.reason)
    wanted = {"object": Mapping, "array": list}.get(config["type"])
    if wanted is not None and not isinstance(value, wanted):
        return scored(0.0, f"It is JSON, but no {config['type']}.")
    return scored(1.0, "It is JSON.")


# --- schema ----------------------------------------------------------------------------------------------------------

SCHEMA_FIELDS = (
    Field("schema", "JSON Schema", FieldType.JSON, default=None, help="Empty: the schema of the example's metadata."),
    Field("metadata_field", "Metadata with the schema", default="schema"),
    Field("formats", "Check formats such as date and email", FieldType.BOOLEAN, default=True),
    STRICT,
)


_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


class _TooMuch(Exception):
    """The check of a schema takes more steps or time than it may."""


@dataclass(slots=True)
class _Budget:
    steps: int
    until: float

    def take(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0 or time.monotonic() > self.until:
            raise _TooMuch


_budget: ContextVar[_Budget] = ContextVar("budget")


def _counted(keyword: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _budget.get().take(len(value) if isinstance(value, list) else 1)
        for error in keyword(validator, value, instance, schema) or ():
            error.message = error.message[:300]  # It may hold the whole instance, once for each branch that failed.
            yield error

    return check


def _searches(pattern: str, text: str) -> bool:
    try:
        return regex.search(pattern, text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise _TooMuch from None


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(instance, "string") and not _searches(pattern, instance):
        yield ValidationError(f"{shown(instance, 80)} does not match {shown(pattern, 80)}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if _searches(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if wanted and validator.is_type(instance, "array") and len({canonical(item) for item in instance}) < len(instance):
        yield ValidationError("has the same item more than once")


@lru_cache(maxsize=8)
def _validator_class(dialect: str) -> Any:
    import jsonschema
    from jsonschema import validators

    base = validators.validator_for({"$schema": dialect}, default=jsonschema.Draft202012Validator)
    own = {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items}
    return validators.extend(base, {name: _counted(rule) for name, rule in {**base.VALIDATORS, **own}.items()})


@lru_cache(maxsize=1)
def _formats() -> Any:
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=["date", "email", "ipv4", "ipv6", "regex", "uuid"])
    rules = {
        "date-time": r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)",
        "time": r"\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)?",
        "uri": r"[A-Za-z][A-Za-z0-9+.-]{0,30}:[^\s<>\"{}|\\^`]+",
        "hostname": rf"(?=.{{1,253}}$){_HOST_LABEL}(?:\.{_HOST_LABEL})*",
        "duration": r"P(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?",
    }
    for name, rule in rules.items():
        compiled = regex.compile(rule)
        checker.checks(name)(
            lambda value, compiled=compiled: not isinstance(value, str) or bool(compiled.fullmatch(value))
        )
    return checker


def schema_problem(schema: Json) -> str:
    """Why a value is no JSON Schema that can be used; empty when it is one. A reference to another document cannot:
    nothing is fetched."""
    if not isinstance(schema, Mapping | bool):
        return "A schema is an object."
    problem = too_much(schema)
    if problem:
        return f"The schema {problem}."
    from jsonschema.exceptions import SchemaError

    try:
        _class_for(schema).check_schema(schema)
    except SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        return f"The schema is wrong{' at ' + place[:200] if place else ''}: {error.message[:200]}."
    except (RecursionError, ValueError, TypeError, AttributeError, _TooMuch):
        return "This is no JSON Schema."
    return ""


def _class_for(schema: Json) -> Any:
    dialect = schema.get("$schema") if isinstance(schema, Mapping) else None
    return _validator_class(dialect if isinstance(dialect, str) and len(dialect) < 200 else "")


def schema_errors(schema: Json, value: Json, *, formats: bool = True) -> list[str]:
    """What is wrong with a value by a schema that `schema_problem` let pass, as sentences with the place.

    Raises _TooMuch when it takes too long, ValueError when the schema refers to what is not there.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # An empty registry: references to the network are not followed.
    validator = _class_for(schema)(schema, registry=Registry(), format_checker=_formats() if formats else None)
    token = _budget.set(_Budget(MAX_STEPS, time.monotonic() + MAX_SECONDS))
    try:
        return [_sentence(error) for error in islice(validator.iter_errors(value), 20)]
    except Unresolvable as error:
        raise ValueError(f"it refers to {str(error)[:100]}, which is not in it") from None
    except RecursionError:
        raise ValueError("it refers to itself without an end") from None
    finally:
        _budget.reset(token)


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error.absolute_path) or "the output"
    return f"{shown(place, 100)[1:-1]}: {shown(error.message, 200)[1:-1]}"


def _check_schema(settings: Settings, problems: Problems) -> None:
    if settings["schema"] is not None:
        problem = schema_problem(settings["schema"])
        if problem:
            problems["schema"] = [problem]


def score_json_schema(case: Case, config: Config) -> Score:
    """1 when the output is JSON that keeps to the schema of the settings, or else of the example's metadata. The reason
    names the first places that do not."""
    schema = config["schema"]
    if schema is None:
        is_there, schema = at_path(case.metadata, config["metadata_field"])
        if not is_there or schema is None:
            return not_scored(
                f"Neither the scorer nor the example's metadata ({config['metadata_field']}) has a schema."
            )
        problem = schema_problem(schema)
        if problem:
            return scorer_failed(problem)
    value = read_json(case.output, fences=not config["strict"])
    if isinstance(value, Unreadable):
        return scored(0.0, value.reason)
    try:
        errors = schema_errors(schema, value, formats=bool(config["formats"]))
    except _TooMuch:
        return scorer_failed(
            "Checking the output against the schema takes too long; make the schema or its patterns simpler."
        )
    except (ValueError, ArithmeticError, TypeError, regex.error) as error:
        return scorer_failed(f"The schema cannot be applied: {str(error)[:200]}.")
    if not errors:
        return scored(1.0, "It keeps to the schema.")
    more = f" and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    return scored(0.0, f"{'; '.join(errors[:SHOWN_ERRORS])}{more}.", errors=errors)


KINDS = (
    ScorerKind(
        name="json_valid",
        title="Valid JSON",
        about="The output is JSON.",
        group="json",
        fields=VALID_FIELDS,
        read=config_reader(VALID_FIELDS),
        score=score_json_valid,
    ),
    ScorerKind(
        name="json_schema",
        title="JSON Schema",
        about="The output is JSON that keeps to a schema; the reason names the places that do not.",
        group="json",
        fields=SCHEMA_FIELDS,
        read=config_reader(SCHEMA_FIELDS, check=_check_schema),
        score=score_json_schema,
    ),
)

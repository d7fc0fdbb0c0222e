"""Reading the settings of scorers: every kind names its fields, and one reader checks them and writes out defaults."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from apps.evals.scoring.bounds import as_text, too_much
from apps.evals.scoring.kinds import BadConfig, Config, Field, FieldType
from apps.evals.types import Json

MAX_TEXT = 2_000
MAX_LONG_TEXT = 50_000
MAX_ITEMS = 1_000
MAX_JSON = 200_000

Settings = dict[str, Json]
Problems = dict[str, list[str]]
Check = Callable[[Settings, Problems], None]
Ranges = Mapping[str, tuple[float | None, float | None]]


class _Wrong(Exception):
    """What is wrong with one setting, as a sentence."""


def config_reader(
    fields: Sequence[Field],
    *,
    ranges: Ranges | None = None,
    whole: frozenset[str] = frozenset(),
    check: Check | None = None,
) -> Callable[[Config], Config]:
    """A function that reads settings for these fields. A setting that is absent, null or an empty text has its default.

    Numbers and JSON may come as text, as forms send them. `ranges` has the least and the most of numbers, `whole` the
    names of those without fractions; `check` is called when every field is well formed, and may add problems.
    The function raises BadConfig with all problems at once.
    """
    names = {field.name for field in fields}

    def read(config: Config) -> Config:
        if not isinstance(config, Mapping):
            raise BadConfig({"config": ["Settings are an object with names and values."]})
        problems: Problems = {
            str(name)[:100]: ["There is no such setting."] for name in list(config)[:MAX_ITEMS] if name not in names
        }
        settings: Settings = {}
        for field in fields:
            try:
                settings[field.name] = _read_field(field, config.get(field.name))
                _check_range(field, settings[field.name], (ranges or {}).get(field.name), field.name in whole)
            except _Wrong as wrong:
                problems.setdefault(field.name, []).append(str(wrong))
        if check is not None and not problems:
            check(settings, problems)
        if problems:
            raise BadConfig(problems)
        return settings

    return read


def _read_field(field: Field, value: Json) -> Json:
    if value is None or (isinstance(value, str) and not value.strip() and field.type is not FieldType.LIST):
        return list(field.default or ()) if field.type is FieldType.LIST else field.default
    if field.type in {FieldType.TEXT, FieldType.LONG_TEXT, FieldType.MODEL}:
        return _text(value, MAX_LONG_TEXT if field.type is FieldType.LONG_TEXT else MAX_TEXT)
    if field.type is FieldType.NUMBER:
        return _number(value)
    if field.type is FieldType.BOOLEAN:
        return _boolean(value)
    if field.type is FieldType.CHOICE:
        return _choice(value, field)
    if field.type is FieldType.LIST:
        return _texts(value)
    return _json(value)


def _text(value: Json, most: int) -> str:
    if not isinstance(value, str):
        raise _Wrong("Give a text.")
    if len(value) > most:
        raise _Wrong(f"Use at most {most:,} characters.")
    if "\x00" in value:
        raise _Wrong("The text has a character that cannot be stored.")
    return value


def _number(value: Json) -> int | float:
    if isinstance(value, str):
        try:
            value = float(Decimal(value.strip()))
        except (InvalidOperation, OverflowError, ValueError):
            raise _Wrong("Give a number.") from None
        value = int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("Give a number.")
    if not -1e15 < value < 1e15:
        raise _Wrong("Give a number of at most 15 digits.")
    number: int | float = value
    return number


def _check_range(field: Field, value: Json, span: tuple[float | None, float | None] | None, is_whole: bool) -> None:
    if field.type is not FieldType.NUMBER or value is None:
        return
    least, most = span or (None, None)
    if is_whole and value != int(value):
        raise _Wrong("Give a whole number.")
    if least is not None and value < least:
        raise _Wrong(f"Give {least:g} or more.")
    if most is not None and value > most:
        raise _Wrong(f"Give {most:g} or less.")


def _boolean(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "on", "yes"):
        return True
    if value in ("false", "off", "no"):
        return False
    raise _Wrong("Give true or false.")


def _choice(value: Json, field: Field) -> str:
    allowed = [name for name, _label in field.choices]
    if not isinstance(value, str) or value not in allowed:
        raise _Wrong(f"Give one of: {', '.join(allowed)}.")
    return value


def _texts(value: Json) -> list[str]:
    if isinstance(value, str):
        value = [line.strip() for line in value.splitlines() if line.strip()]
    if not isinstance(value, list | tuple):
        raise _Wrong("Give a list of texts.")
    if len(value) > MAX_ITEMS:
        raise _Wrong(f"Give at most {MAX_ITEMS:,} texts.")
    texts = []
    for item in value:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise _Wrong("Give a list of texts.")
        text = _text(as_text(item), MAX_TEXT)
        if text.strip():
            texts.append(text)
    return texts


def _json(value: Json) -> Json:
    if isinstance(value, str):
        if len(value) > MAX_JSON:
            raise _Wrong(f"Use at most {MAX_JSON:,} characters.")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _Wrong("Give JSON.") from None
    problem = too_much(value)
    if problem:
        raise _Wrong(f"The JSON {problem}.")
    if len(as_text(value)) > MAX_JSON:
        raise _Wrong(f"Use at most {MAX_JSON:,} characters.")
    return value

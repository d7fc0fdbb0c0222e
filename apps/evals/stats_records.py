"""Records of statistics as JSON and back: dataclasses of numbers, texts, enums, decimals and tuples of such."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar

Record = TypeVar("Record")


def to_json(value: Any) -> Any:
    """A record as values that JSON has. Decimals become text; everything else stays what it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    return value


def from_json(cls: type[Record], data: Mapping[str, Any]) -> Record:
    """The record that `to_json` wrote. Fields that are missing get their defaults, unknown ones are left out. Raises
    TypeError when a field without a default is missing."""
    known: Any = cls
    told = {name: _read(kind, data[name]) for name, kind in _kinds(known).items() if name in data}
    return cls(**told)


@cache
def _kinds(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _read(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return _read(next(each for each in arguments if each is not types.NoneType), value)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], each) for each in value)
        return tuple(_read(each, part) for each, part in zip(arguments, value, strict=True))
    if isinstance(kind, type):
        return _read_plain(kind, value)
    return value


def _read_plain(kind: type[Any], value: Any) -> Any:
    if is_dataclass(kind):
        return from_json(kind, value)
    if issubclass(kind, Decimal | Enum | float):
        return kind(value)
    return value

"""Brings what is sealed with an old encryption key over to the one in use, row by row.

Apps above name where they keep sealed texts with `register`. Each row is changed by itself and only if nobody changed
it meanwhile, so the work may be killed anywhere and done again: what is over already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import models

from apps.core import sealing

PORTION = 200


class SealedText(NamedTuple):
    """A sealed text in a row."""

    pk: int
    sealed: str
    place: str


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """Where sealed texts are kept. `rows` reads some with a primary key above the given one, in their order; `write`
    replaces one if it is still the old one, and says whether it was."""

    name: str
    rows: Callable[[int, int], list[SealedText]]
    write: Callable[[int, str, str], bool]


@dataclass(slots=True)
class Resealed:
    """What became of the texts of one column. Those that somebody changed meanwhile count as current."""

    name: str
    brought_over: int = 0
    current: int = 0
    unreadable: int = 0


_columns: dict[str, SealedColumn] = {}


def register(column: SealedColumn) -> None:
    """Name a place of sealed texts. The name replaces an earlier one, so that loading twice does no harm."""
    _columns[column.name] = column


def names() -> frozenset[str]:
    """Every place that was named."""
    return frozenset(_columns)


def column(model: type[models.Model], field: str, place: Callable[[Any], str]) -> SealedColumn:
    """A field that holds a sealed text, or nothing, in each row. `place` says what a row's text is bound to."""
    rows_of = model._default_manager

    def rows(after: int, limit: int) -> list[SealedText]:
        found = rows_of.filter(pk__gt=after).exclude(**{field: ""}).order_by("pk")[:limit]
        return [SealedText(row.pk, getattr(row, field), place(row)) for row in found]

    def write(pk: int, old: str, new: str) -> bool:
        return bool(rows_of.filter(pk=pk, **{field: old}).update(**{field: new}))

    return SealedColumn(f"{model._meta.db_table}.{field}", rows, write)


def reseal() -> Iterator[Resealed]:
    """Go through every place, and tell of each when it is done."""
    for name in sorted(_columns):
        yield _reseal_column(_columns[name])


def _reseal_column(place: SealedColumn) -> Resealed:
    done = Resealed(place.name)
    after = 0
    while rows := place.rows(after, PORTION):
        for row in rows:
            after = row.pk
            if sealing.is_current(row.sealed):
                done.current += 1
                continue
            try:
                text = sealing.unseal(row.sealed, place=row.place)
            except sealing.CannotOpen:
                done.unreadable += 1
                continue
            if place.write(row.pk, row.sealed, sealing.seal(text, place=row.place)):
                done.brought_over += 1
            else:
                done.current += 1
    return done

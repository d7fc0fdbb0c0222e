"""How a filter stands in a page's address: a value, nothing for all, and a word of its own for what was not said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.telemetry.figures import Dimension

NOT_SAID = "(none)"
"""Stands for the calls that did not name a feature, a model or whatever the parameter is."""


def read_value(text: str | None) -> str | None:
    """A filter's value: None for no filter, the empty text for what was not said."""
    if not text:
        return None
    return "" if text == NOT_SAID else text.replace("\x00", "")


def write_value(value: str) -> str:
    """The value as it stands in an address."""
    return value or NOT_SAID


def not_said(dimension: str) -> str:
    """What stands for the calls that did not name one."""
    return {
        Dimension.FEATURE: _("no feature"),
        Dimension.MODEL: _("no model"),
        Dimension.PROVIDER: _("no provider"),
        Dimension.PROMPT_VERSION: _("no prompt"),
        Dimension.SOURCE: _("no source"),
        Dimension.ENVIRONMENT: _("no environment"),
    }[Dimension(dimension)]


@dataclass(frozen=True)
class Option:
    """One choice of a filter: its value in the address, its words, and whether it is the one in force."""

    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True)
class Choice:
    """A filter of the filter bar; `every` are the words for no filter."""

    name: str
    label: str
    every: str
    is_set: bool
    options: tuple[Option, ...]


def choice(
    dimension: Dimension, *, label: str, every: str, chosen: str | None, values: Sequence[str], name: str = ""
) -> Choice:
    """The filter for a dimension. What is chosen is offered even when the project no longer knows it."""
    offered = list(dict.fromkeys([*values, *([chosen] if chosen else [])]))
    return Choice(
        name=name or str(dimension),
        label=label,
        every=every,
        is_set=chosen is not None,
        options=tuple(
            Option(write_value(value), value or not_said(dimension), value == chosen)
            for value in [*filter(None, offered), ""]
        ),
    )

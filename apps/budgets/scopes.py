"""Whose spend a budget is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from apps.telemetry.figures import Filters


@dataclass(frozen=True, slots=True)
class SpendScope:
    """Which calls: only those with exactly this value, and empty text takes every one.

    Cost records tell all of these apart but users, whose calls are added up from the spans.
    """

    environment: str = ""
    feature: str = ""
    provider: str = ""
    model: str = ""
    source: str = ""
    user_id: str = ""

    @property
    def filters(self) -> Filters:
        """As figures are asked for; a user is left out."""
        names = ("environment", "feature", "provider", "model", "source")
        return Filters(**{name: getattr(self, name) or None for name in names})

    def given(self) -> Iterator[tuple[str, str]]:
        """What is narrowed, as (field, value)."""
        for one in fields(self):
            if value := getattr(self, one.name):
                yield one.name, value

    def holds(self, call: SpendScope) -> bool:
        """True when a call of these dimensions counts against it."""
        return all(getattr(call, name) == value for name, value in self.given())


SCOPE_FIELDS = tuple(one.name for one in fields(SpendScope))

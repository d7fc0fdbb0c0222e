"""Costs of past calls worked out anew: what is wished, and what it would change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from apps.providers.pricing import EXACT

MOST_PREVIEWED = 20_000
"""A preview works out so many calls at most, the oldest first; what is done counts all of them."""


class Call(msgspec.Struct, gc=False):
    """The columns of a counted call that its cost depends on, named as in SpanRecord."""

    project_id: int
    trace_id: bytes
    span_id: bytes
    started_at: datetime
    counted: bool
    provider: str
    model: str
    request_model: str
    response_model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    service_tier: str
    cost_usd: Decimal | None
    client_cost_usd: Decimal | None
    price_id: int | None


COLUMNS = Call.__struct_fields__


@dataclass(frozen=True)
class Wish:
    """Which calls' costs to work out anew: those of one model that have none, or with `includes_priced` all of them.

    `rates` is a price that is to be set before, in force from `starts_on` (UTC) on; None: with the prices there are.
    """

    provider: str
    model: str
    starts_on: date
    includes_priced: bool = False
    rates: Mapping[str, Any] | None = None

    @property
    def starts_at(self) -> datetime:
        """The first moment of the first day."""
        return datetime.combine(self.starts_on, time.min, tzinfo=UTC)

    def holds(self, call: Call) -> bool:
        """True for a call whose cost is to be worked out."""
        is_of_model = call.counted and (call.provider, call.model) == (self.provider, self.model)
        return is_of_model and (self.includes_priced or call.cost_usd is None)


class Outcome(NamedTuple):
    """One call and its cost before and after; None is unknown."""

    call: Call
    before_usd: Decimal | None
    after_usd: Decimal | None

    @property
    def is_changed(self) -> bool:
        """True when the cost differs."""
        return self.before_usd != self.after_usd


@dataclass
class Sums:
    """What outcomes add up to. The dollars are exact sums of the calls whose cost is known."""

    seen_calls: int = 0
    changed_calls: int = 0
    newly_priced_calls: int = 0
    still_unpriced_calls: int = 0
    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)

    @property
    def is_unknown_before(self) -> bool:
        """True when none of the calls had a cost, which is not a cost of 0."""
        return not self.before_usd and self.seen_calls == self.newly_priced_calls + self.still_unpriced_calls

    @property
    def is_unknown_after(self) -> bool:
        """True when none of the calls gets one."""
        return not self.after_usd and self.seen_calls == self.still_unpriced_calls

    def add(self, outcome: Outcome) -> None:
        """Count one more call."""
        self.seen_calls += 1
        self.changed_calls += outcome.is_changed
        self.newly_priced_calls += outcome.before_usd is None and outcome.after_usd is not None
        self.still_unpriced_calls += outcome.after_usd is None
        self.before_usd = EXACT.add(self.before_usd, outcome.before_usd or Decimal(0))
        self.after_usd = EXACT.add(self.after_usd, outcome.after_usd or Decimal(0))


@dataclass(frozen=True)
class Preview:
    """What would change, in all and by day of the project's time zone. Not whole: of the oldest calls alone."""

    wish: Wish
    starts_at: datetime
    ends_at: datetime
    sums: Sums
    days: Mapping[date, Sums]
    is_whole: bool


def sums_of(outcomes: Iterable[Outcome]) -> Sums:
    """All of them added up."""
    sums = Sums()
    for outcome in outcomes:
        sums.add(outcome)
    return sums


def sums_by_day(outcomes: Iterable[Outcome], zone: tzinfo) -> dict[date, Sums]:
    """The outcomes of each day, in order."""
    days: dict[date, Sums] = {}
    for outcome in outcomes:
        days.setdefault(outcome.call.started_at.astimezone(zone).date(), Sums()).add(outcome)
    return dict(sorted(days.items()))

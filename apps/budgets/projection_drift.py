"""How actual spend lies against a projection, and what made the difference. Pure.

Both are of the same full days. The projected part is pro rata: the calls that the projection has on each weekday, times
its cost a call; the interval is as wide, in proportion, as the month's. The difference is told apart in this order:

- *traffic*: other calls than projected, each at the projected cost;
- *tokens*: other tokens a call, at the projection's prices;
- *prices and mix*: what is left: prices that changed, other models, tiers, calls that cost unlike their mean.

The three sum to the difference exactly, because the last is what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apps.budgets.projecting import Numbers
from apps.providers.pricing import Usage, cost_of
from apps.providers.rates import PriceRates

MINIMUM_CALLS = 100
MINIMUM_DAYS = 3
PLACE = Decimal("0.000000000001")


@dataclass(frozen=True)
class ActualDay:
    """What a day's calls really cost, as far as their price is known."""

    day: date
    cost_usd: Decimal | None
    calls: int
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Effects:
    """The difference in dollars, told apart; the three sum to it exactly."""

    traffic_usd: Decimal
    tokens_usd: Decimal
    prices_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """Actual less projected."""
        return self.traffic_usd + self.tokens_usd + self.prices_usd


@dataclass(frozen=True)
class Comparison:
    """Actual against projected over the same full days."""

    first: date
    last: date
    days: int
    calls: int
    unpriced_calls: int
    actual_usd: Decimal
    low_usd: Decimal
    projected_usd: Decimal
    high_usd: Decimal
    projected_calls: Decimal
    effects: Effects

    @property
    def is_enough(self) -> bool:
        """Whether there are days and calls enough to say anything."""
        return self.days >= MINIMUM_DAYS and self.calls >= MINIMUM_CALLS

    @property
    def is_outside(self) -> bool:
        """Whether what was spent lies outside the interval. What is below may be more, where prices are unknown."""
        is_below = self.actual_usd < self.low_usd and not self.unpriced_calls
        return is_below or self.actual_usd > self.high_usd

    @property
    def has_drifted(self) -> bool:
        """Outside of the interval, with enough to say so."""
        return self.is_enough and self.is_outside


def projected_on(numbers: Numbers, day: date) -> Decimal:
    """What the projection has for a day."""
    return (numbers.calls_by_weekday[day.weekday()] * numbers.per_call_usd).quantize(PLACE)


def band(numbers: Numbers) -> tuple[Decimal, Decimal]:
    """The interval's ends as multiples of the middle; 1 where the middle is nothing."""
    if not numbers.month_usd:
        return Decimal(1), Decimal(1)
    return numbers.low_usd / numbers.month_usd, numbers.high_usd / numbers.month_usd


def compare(numbers: Numbers, rates: PriceRates | None, days: Sequence[ActualDay]) -> Comparison | None:
    """The days, which follow each other, against the projection; None without any."""
    if not days:
        return None
    projected = sum((projected_on(numbers, each.day) for each in days), Decimal(0))
    projected_calls = sum((numbers.calls_by_weekday[each.day.weekday()] for each in days), Decimal(0))
    actual = sum((each.cost_usd or Decimal(0) for each in days), Decimal(0))
    low, high = band(numbers)
    calls = sum(each.calls for each in days)
    return Comparison(
        first=days[0].day,
        last=days[-1].day,
        days=len(days),
        calls=calls,
        unpriced_calls=sum(each.unpriced_calls for each in days),
        actual_usd=actual,
        low_usd=(projected * low).quantize(PLACE),
        projected_usd=projected,
        high_usd=(projected * high).quantize(PLACE),
        projected_calls=projected_calls,
        effects=_effects(numbers, rates, days, actual, projected, calls),
    )


def _effects(
    numbers: Numbers,
    rates: PriceRates | None,
    days: Sequence[ActualDay],
    actual: Decimal,
    projected: Decimal,
    calls: int,
) -> Effects:
    by_calls = (calls * numbers.per_call_usd).quantize(PLACE)
    traffic = by_calls - projected
    tokens = (_by_tokens(numbers, rates, days, calls, by_calls) - by_calls).quantize(PLACE)
    return Effects(traffic, tokens, actual - projected - traffic - tokens)


def _by_tokens(
    numbers: Numbers, rates: PriceRates | None, days: Sequence[ActualDay], calls: int, by_calls: Decimal
) -> Decimal:
    """What the calls would cost at the projected cost, scaled by what their mean call costs against the projected
    mean call, both at the projection's prices."""
    if rates is None or not calls:
        return by_calls
    names = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    means = Usage(**{name: round(sum(getattr(each, name) for each in days) / calls) for name in names})
    now, then = cost_of(means, rates), cost_of(_usage_of(numbers), rates)
    if now is None or then is None or not then.usd:
        return by_calls
    return by_calls * now.usd / then.usd


def _usage_of(numbers: Numbers) -> Usage:
    return Usage(
        input_tokens=round(numbers.mean_input),
        output_tokens=round(numbers.mean_output),
        cached_input_tokens=round(numbers.mean_cached),
        cache_write_tokens=round(numbers.mean_written),
        reasoning_tokens=round(numbers.mean_reasoning),
    )

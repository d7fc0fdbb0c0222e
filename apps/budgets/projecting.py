"""What a feature will cost in a month, with an interval. Pure.

Three inputs. *Traffic*: calls on each weekday, known to within a stated share. *Tokens*: a sample of calls, taken from
telemetry or drawn from a mean and a P95 that somebody typed in (log-normal, the usual shape of token counts). *Prices*:
price lists as `apps.providers.pricing` applies them.

The middle is exact: every call of the sample is priced in Decimal, tiers and all, and the mean is multiplied by the
calls of a month of 365/12 days. The interval is simulated with a fixed seed: traffic varies log-normally such that it
lies within its stated share at the stated level; a sample's mean is bootstrapped, and a typed one varies as traffic
does. The quantiles of the simulated totals are the interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from apps.providers.pricing import EXACT, Usage, cost_of
from apps.providers.rates import PriceRates

DAYS_A_MONTH = Decimal(365) / Decimal(12)
DRAWS = 2_000
FEW_DRAWS = 100
"""Of a what-if, of which only the middle is shown."""
TYPED_CALLS = 400
"""How many calls are drawn from typed quantiles; their mean is set right afterwards."""
P95 = NormalDist().inv_cdf(0.95)
CENT_OF_CENT = Decimal("0.000001")
SECONDS_AN_HOUR = 3600
LARGEST_COST_USD = Decimal(10) ** 15

DAY_SHAPES: dict[str, tuple[str, ...]] = {
    "even": ("1",) * 24,
    "office": ("0.05",) * 7 + ("0.5",) + ("1",) * 10 + ("0.5",) * 2 + ("0.1",) * 4,
    "evening": ("0.2",) * 7 + ("0.4",) * 10 + ("1",) * 6 + ("0.5",),
}
"""Calls per second by hour of the day, as a share of the peak."""


class Sampled(NamedTuple):
    """The token counts of one call. Input includes cached and cache-written ones, output reasoning ones."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def with_cache_rate(self, rate: Decimal) -> Sampled:
        """The call with this share of its input read from a cache and nothing written to one."""
        cached = int((self.input_tokens * rate).to_integral_value(ROUND_HALF_EVEN))
        return self._replace(cached_input_tokens=cached, cache_write_tokens=0)

    @property
    def usage(self) -> Usage:
        """As prices are applied to it."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )


@dataclass(frozen=True)
class Inputs:
    """What a projection was asked with. Shares lie in 0..1.

    `calls_per_second` is the peak; `hours` (24) and `weekdays` (7, Monday first) are shares of it. With traffic
    `measured` the project's own calls of `days` days are multiplied by `factor` instead.
    """

    traffic: str = "typed"
    calls_per_second: Decimal = Decimal(0)
    hours: tuple[Decimal, ...] = (Decimal(1),) * 24
    weekdays: tuple[Decimal, ...] = (Decimal(1),) * 7
    factor: Decimal = Decimal(1)
    traffic_uncertainty: Decimal = Decimal("0.2")
    tokens: str = "typed"
    tokens_uncertainty: Decimal = Decimal("0.1")
    days: int = 28
    input_mean: Decimal = Decimal(0)
    input_p95: Decimal = Decimal(0)
    output_mean: Decimal = Decimal(0)
    output_p95: Decimal = Decimal(0)
    reasoning_share: Decimal = Decimal(0)
    cache_rate: Decimal | None = None
    provider: str = ""
    model: str = ""
    users: int | None = None
    level: Decimal = Decimal("0.9")
    seed: int = 7

    def as_json(self) -> dict[str, Any]:
        """As it is frozen: numbers as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Inputs:
        """What was frozen."""
        numbers = {name: _number(name, value) for name, value in said.items() if name in cls.__dataclass_fields__}
        return cls(**numbers)

    def typed_calls(self) -> tuple[Decimal, ...]:
        """Calls on each weekday by the typed profile."""
        a_day = self.calls_per_second * SECONDS_AN_HOUR * sum(self.hours, Decimal(0))
        return tuple(a_day * weekday for weekday in self.weekdays)


TEXTS = frozenset({"traffic", "tokens", "provider", "model"})
WHOLE = frozenset({"days", "users", "seed"})


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _number(name: str, value: Any) -> Any:
    if name in TEXTS or name in WHOLE or value is None:
        return value
    return tuple(Decimal(each) for each in value) if isinstance(value, list) else Decimal(value)


class NoCalls(ValueError):
    """There is nothing to project from; the sentence says what to do."""


@dataclass(frozen=True)
class Numbers:
    """A projection's result, in dollars a month. The interval is at `level`."""

    low_usd: Decimal
    month_usd: Decimal
    high_usd: Decimal
    per_call_usd: Decimal
    per_user_usd: Decimal | None
    calls_by_weekday: tuple[Decimal, ...]
    month_calls: Decimal
    sample_size: int
    mean_input: Decimal
    mean_output: Decimal
    mean_cached: Decimal
    mean_written: Decimal
    mean_reasoning: Decimal
    level: Decimal

    def as_json(self) -> dict[str, Any]:
        """As it is frozen: numbers as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Numbers:
        """What was frozen."""
        whole = {"sample_size": said["sample_size"]}
        return cls(**{name: _number(name, value) for name, value in said.items() if name not in whole}, **whole)

    @property
    def cache_rate(self) -> Decimal | None:
        """The share of input tokens that are read from a cache; None without input."""
        return _over(self.mean_cached, self.mean_input)


def draw_calls(inputs: Inputs) -> list[Sampled]:
    """Calls whose token counts are log-normal with the typed mean and P95, drawn with the projection's seed.

    The quantiles are evenly spaced and shuffled, so that tails are as heavy as they should be with few calls; the mean
    is then set right to the token. Raises NoCalls where a P95 is not reachable with the mean.
    """
    dice = np.random.default_rng(inputs.seed)
    tokens_in = _log_normal(float(inputs.input_mean), float(inputs.input_p95), dice)
    tokens_out = _log_normal(float(inputs.output_mean), float(inputs.output_p95), dice)
    share = float(inputs.reasoning_share)
    return [
        Sampled(int(one), int(other), reasoning_tokens=round(int(other) * share))
        for one, other in zip(tokens_in, tokens_out, strict=True)
    ]


def _log_normal(mean: float, p95: float, dice: np.random.Generator) -> list[int]:
    if mean <= 0:
        return [0] * TYPED_CALLS
    sigma = _sigma(mean, p95 or mean)
    places = (np.arange(TYPED_CALLS) + 0.5) / TYPED_CALLS
    quantiles = np.exp(sigma * np.array([NormalDist().inv_cdf(float(place)) for place in places]))
    exact = quantiles * (mean / quantiles.mean())
    counts = np.floor(exact).astype(np.int64)
    short = round(mean * TYPED_CALLS) - int(counts.sum())
    counts[np.argsort(exact - counts)[::-1][: max(short, 0)]] += 1
    dice.shuffle(counts)
    return [int(count) for count in counts]


def _sigma(mean: float, p95: float) -> float:
    """The spread of a log-normal with this mean and P95: the smaller root of sigma²/2 - z sigma + ln(p95/mean) = 0."""
    under = P95 * P95 - 2 * math.log(p95 / mean)
    if p95 < mean or under < 0:
        raise NoCalls("The P95 lies between the mean and 3.8 times the mean; other pairs have no log-normal shape.")
    return P95 - math.sqrt(under)


def project(
    inputs: Inputs, calls: Sequence[Sampled], by_weekday: Sequence[Decimal], rates: PriceRates, *, draws: int = DRAWS
) -> Numbers:
    """The month's cost by these inputs. Raises NoCalls when there is nothing to project from."""
    if not calls or not any(by_weekday):
        raise NoCalls("There are no calls to project from. Type the traffic and the tokens in.")
    if inputs.cache_rate is not None:
        calls = [call.with_cache_rate(inputs.cache_rate) for call in calls]
    costs = [cost.usd for cost in (cost_of(call.usage, rates) for call in calls) if cost is not None]
    if len(costs) < len(calls):
        raise NoCalls("Its prices do not say what these calls cost. Set a price for every class of tokens.")
    total = Decimal(0)
    for cost in costs:
        total = EXACT.add(total, cost)
    per_call = total / len(costs)
    month_calls = sum(by_weekday, Decimal(0)) / 7 * DAYS_A_MONTH
    month = month_calls * per_call
    if month > LARGEST_COST_USD:
        raise NoCalls("This comes to more than a quadrillion dollars a month. Check the traffic and the tokens.")
    low, high = _interval(inputs, costs, draws)
    return Numbers(
        low_usd=_rounded(month * low),
        month_usd=_rounded(month),
        high_usd=_rounded(month * high),
        per_call_usd=per_call.quantize(Decimal("0.000000000001")),
        per_user_usd=_rounded(month / inputs.users) if inputs.users else None,
        calls_by_weekday=tuple(each.quantize(Decimal("0.0001")) for each in by_weekday),
        month_calls=month_calls.quantize(Decimal("0.01")),
        sample_size=len(calls),
        **_means(calls),
        level=inputs.level,
    )


def _means(calls: Sequence[Sampled]) -> dict[str, Decimal]:
    names = ("mean_input", "mean_output", "mean_cached", "mean_written", "mean_reasoning")
    sums = (sum(column) for column in zip(*calls, strict=True))
    return {
        name: (Decimal(each) / len(calls)).quantize(Decimal("0.0001")) for name, each in zip(names, sums, strict=True)
    }


def _interval(inputs: Inputs, costs: Sequence[Decimal], draws: int) -> tuple[Decimal, Decimal]:
    """The ends of the interval as multiples of the middle."""
    dice = np.random.default_rng(inputs.seed)
    level = float(inputs.level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    totals = np.exp(dice.normal(0, math.log1p(float(inputs.traffic_uncertainty)) / z, draws))
    if inputs.tokens == "typed":
        totals *= np.exp(dice.normal(0, math.log1p(float(inputs.tokens_uncertainty)) / z, draws))
    else:
        totals *= _bootstrapped(np.array([float(cost) for cost in costs]), dice, draws)
    low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
    return Decimal(repr(float(low))), Decimal(repr(float(high)))


def _bootstrapped(costs: Any, dice: np.random.Generator, draws: int) -> Any:
    """Means of resamples, as multiples of the mean; a free model stays free."""
    mean = costs.mean()
    if mean == 0:
        return np.ones(draws)
    picks = dice.integers(0, len(costs), size=(draws, len(costs)))
    return costs[picks].mean(axis=1) / mean


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_OF_CENT, ROUND_HALF_EVEN)


def _over(part: Decimal, whole: Decimal) -> Decimal | None:
    return (part / whole).quantize(Decimal("0.0001")) if whole else None


class WhatIf(NamedTuple):
    """What a month would cost with another model or another share of the input cached; why, where it is not known."""

    provider: str
    model: str
    cache_rate: Decimal | None
    numbers: Numbers | None
    problem: str = ""


def what_if(
    inputs: Inputs,
    calls: Sequence[Sampled],
    by_weekday: Sequence[Decimal],
    *,
    provider: str,
    model: str,
    rates: PriceRates | None,
    cache_rate: Decimal | None,
) -> WhatIf:
    """One row of the table of what-ifs."""
    if rates is None:
        return WhatIf(provider, model, cache_rate, None, "It has no price. Set one under Settings, Prices.")
    changed = replace(inputs, provider=provider, model=model, cache_rate=cache_rate)
    try:
        return WhatIf(provider, model, cache_rate, project(changed, calls, by_weekday, rates, draws=FEW_DRAWS))
    except NoCalls as problem:
        return WhatIf(provider, model, cache_rate, None, str(problem))

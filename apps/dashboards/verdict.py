"""The answer that the Overview opens with: what stands out in a period against the one before. Pure.

Rules, from the gravest finding to the mildest; the first is the sentence, a second may follow it.

1. *Silence*: no call now, but at least 20 before.
2. *Errors rose*: the 99 % interval (Newcombe) of the difference of the two error rates lies above zero, and the
   rate rose by at least half a point and a quarter of itself. A single feature is tested at 99.9 %, because there
   are many of them; it is named when it alone rose, or accounts for at least half of the additional errors.
3. *Latency rose*: P95 is at least a fifth and 50 ms higher, and the 99 % interval of its rank now lies above that
   of the period before. Too few calls have no such interval, hence no alarm. Features as in 2.
4. *Unknown cost*: at least half of 20 or more calls have no price.
5. *Spend changed* by at least a fifth and a dollar, and by more than chance moves a sum of so many calls
   (99 %, each call's cost assumed to vary by as much as its mean). Not judged when more than a tenth of the calls
   of either period is unpriced. A feature is named when it accounts for at least 60 % of the change.
6. *Errors high*, though they did not rise: the rate is above 5 % with 99 % confidence.

With fewer than 20 calls and nothing of this, the answer says how many calls there are and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import ceil, floor, sqrt

from apps.core.histogram import LogHistogram

FEW_CALLS = 20
Z, Z_OF_MANY = 2.576, 3.291
"""Normal quantiles of 99 % and 99.9 %, both sides."""

RATE_STEP, RATE_FACTOR, RATE_HIGH = 0.005, 1.25, 0.05
LATENCY_FACTOR, LATENCY_STEP_MS = 1.2, 50
SPEND_FACTOR, SPEND_STEP_USD = Decimal("0.2"), Decimal(1)
MOST_UNPRICED, MAINLY_UNPRICED = 0.1, 0.5
MOST_OF_ERRORS, MOST_OF_SPEND = 0.5, Decimal("0.6")
STEADY_CALLS = 100


@dataclass(frozen=True)
class Side:
    """The calls of one period. `cost_usd` is the sum of the priced ones; the histogram holds all latencies."""

    calls: int
    errors: int
    unpriced_calls: int
    cost_usd: Decimal
    latency: LogHistogram

    @property
    def error_rate(self) -> float:
        """The share of calls that failed; 0 without calls."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Pair:
    """The same calls now and in the period before; `feature` is None for all of them together."""

    feature: str | None
    now: Side
    before: Side


class Kind(StrEnum):
    """What can be found."""

    SILENCE = "silence"
    ERRORS_UP = "errors_up"
    LATENCY_UP = "latency_up"
    UNPRICED = "unpriced"
    SPEND_UP = "spend_up"
    SPEND_DOWN = "spend_down"
    ERRORS_HIGH = "errors_high"


@dataclass(frozen=True)
class Finding:
    """One thing that stands out; the pair holds the numbers it rests on.

    `feature` is the one it is about, None for all. `p95_ms` is set for latency (now, before), `change` for spend, a
    ratio of what was before.
    """

    kind: Kind
    pair: Pair
    feature: str | None = None
    p95_ms: tuple[int, int] | None = None
    change: Decimal | None = None


@dataclass(frozen=True)
class Verdict:
    """What stands out, gravest first, and what it was judged by."""

    findings: tuple[Finding, ...]
    whole: Pair
    errors_are_steady: bool

    @property
    def is_small(self) -> bool:
        """True when there are too few calls to say that nothing is unusual."""
        return self.whole.now.calls < FEW_CALLS


def judge(whole: Pair, features: Sequence[Pair] = ()) -> Verdict:
    """What stands out in all calls and in those of single features."""
    found = [
        _silence(whole),
        _errors_up(whole, features),
        _latency_up(whole, features),
        _unpriced(whole),
        _spend(whole, features),
    ]
    if found[1] is None:
        found.append(_errors_high(whole))
    enough = min(whole.now.calls, whole.before.calls) >= STEADY_CALLS
    return Verdict(tuple(finding for finding in found if finding), whole, enough and found[1] is None)


# --- Findings -----------------------------------------------------------------------------------------------


def _silence(whole: Pair) -> Finding | None:
    return Finding(Kind.SILENCE, whole) if not whole.now.calls and whole.before.calls >= FEW_CALLS else None


def _errors_up(whole: Pair, features: Sequence[Pair]) -> Finding | None:
    worst = max((pair for pair in features if _rate_rose(pair, Z_OF_MANY)), key=_additional_errors, default=None)
    if not _rate_rose(whole, Z):
        return _about(Kind.ERRORS_UP, worst) if worst else None
    explains = worst is not None and _additional_errors(worst) >= MOST_OF_ERRORS * _additional_errors(whole)
    return _about(Kind.ERRORS_UP, worst if worst is not None and explains else whole)


def _about(kind: Kind, pair: Pair, p95_ms: tuple[int, int] | None = None) -> Finding:
    return Finding(kind, pair, feature=pair.feature, p95_ms=p95_ms)


def _rate_rose(pair: Pair, z: float) -> bool:
    now, before = pair.now, pair.before
    if not now.calls or not before.calls:
        return False
    step = now.error_rate - before.error_rate
    if step < RATE_STEP or now.error_rate < RATE_FACTOR * before.error_rate:
        return False
    below, _ = wilson(now.errors, now.calls, z)
    _, above = wilson(before.errors, before.calls, z)
    return step > sqrt((now.error_rate - below) ** 2 + (above - before.error_rate) ** 2)


def _additional_errors(pair: Pair) -> float:
    return pair.now.errors - pair.before.error_rate * pair.now.calls


def _errors_high(whole: Pair) -> Finding | None:
    if not whole.now.calls or wilson(whole.now.errors, whole.now.calls, Z)[0] <= RATE_HIGH:
        return None
    return Finding(Kind.ERRORS_HIGH, whole)


def _latency_up(whole: Pair, features: Sequence[Pair]) -> Finding | None:
    rises = [(pair, p95) for pair in features if (p95 := _latency_rise(pair, Z_OF_MANY))]
    all_calls = _latency_rise(whole, Z)
    if rises:
        pair, p95 = max(rises, key=lambda rise: rise[0].now.calls)
        # One feature that got slow may hide in the whole, or be all there is to its rise; several are not it.
        if all_calls is None or len(rises) == 1:
            return _about(Kind.LATENCY_UP, pair, p95)
    return _about(Kind.LATENCY_UP, whole, all_calls) if all_calls else None


def _latency_rise(pair: Pair, z: float) -> tuple[int, int] | None:
    """P95 now and before when it rose, else None."""
    now, before = quantile_bounds(pair.now.latency, 0.95, z), quantile_bounds(pair.before.latency, 0.95, z)
    if now is None or before is None or now.low <= before.high:
        return None
    if now.value < before.value * LATENCY_FACTOR or now.value - before.value < LATENCY_STEP_MS:
        return None
    return now.value, before.value


def _unpriced(whole: Pair) -> Finding | None:
    mainly = whole.now.unpriced_calls >= MAINLY_UNPRICED * whole.now.calls
    return Finding(Kind.UNPRICED, whole) if mainly and whole.now.calls >= FEW_CALLS else None


def _spend(whole: Pair, features: Sequence[Pair]) -> Finding | None:
    now, before = whole.now, whole.before
    if not now.calls or not before.calls or not before.cost_usd:
        return None
    if any(side.unpriced_calls > MOST_UNPRICED * side.calls for side in (now, before)):
        return None
    step = now.cost_usd - before.cost_usd
    change = step / before.cost_usd
    chance = Z * sqrt(2 / now.calls + 2 / before.calls)
    if abs(step) < SPEND_STEP_USD or abs(change) < max(SPEND_FACTOR, Decimal(str(chance))):
        return None
    kind = Kind.SPEND_UP if step > 0 else Kind.SPEND_DOWN
    mainly = [pair.feature for pair in features if _share_of(step, pair) >= MOST_OF_SPEND]
    return Finding(kind, whole, feature=mainly[0] if len(features) > 1 and mainly else None, change=change)


def _share_of(step: Decimal, pair: Pair) -> Decimal:
    """How much of a change in spend is this pair's."""
    return (pair.now.cost_usd - pair.before.cost_usd) / step


# --- Uncertainty --------------------------------------------------------------------------------------------


def wilson(hits: int, of: int, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of a share; (0, 1) when nothing was counted."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, z * z
    middle = share + square / (2 * of)
    reach = z * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (middle - reach) / (1 + square / of)), min(1.0, (middle + reach) / (1 + square / of))


@dataclass(frozen=True)
class Bounds:
    """A percentile in milliseconds with the ends of its interval."""

    low: int
    value: int
    high: int


def quantile_bounds(histogram: LogHistogram, q: float, z: float = Z) -> Bounds | None:
    """A percentile of a single histogram with its interval by rank; None when the interval leaves the sample.

    The number of values below the true percentile is binomial, so the values at the ranks n q ± z sqrt(n q (1-q))
    hold it between them, whatever the distribution.
    """
    size = int(histogram.totals()[0]) if histogram.size else 0
    reach = z * sqrt(size * q * (1 - q))
    low, high = floor(size * q - reach), ceil(size * q + reach) + 1
    if low < 1 or high > size:
        return None
    # Half a rank below, so that the nearest rank is the one meant whatever the float's last digit.
    found = histogram.quantiles([(low - 0.5) / size, q, (high - 0.5) / size])[0]
    values = [value for value in found if value is not None]
    return Bounds(*values)

"""Price lists of models: checked, and worked out to the price of every class of tokens a call may have.

A price list is plain JSON whose prices are decimal strings in dollars per million tokens, because some have
eighteen places and none may be rounded. A class without a price of its own is charged as the class that
includes it: cached and cache-written tokens as input, reasoning as output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PLACES = 18
"""Decimal places of a price per million tokens; `docs/decisions/0003-price-precision.md` says why."""

ZERO = Decimal(0)
PRICE = re.compile(rf"\d{{1,7}}(?:\.\d{{1,{PLACES}}})?", re.ASCII)
STANDARD = "standard"
MAX_ROWS = 50

DISCOUNTED_PLANS = frozenset({"batch", "flex", "balanced"})
"""Plans that cost less than the standard one: where the list has no price for them, the standard price is
charged, which is never less than the bill."""

DEARER_PLANS = frozenset({"priority", "ultrafast"})
"""Plans that cost more: where the list has no price for them, the cost is unknown."""


class RatesError(ValueError):
    """A price list that breaks a rule; the message says which."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Dollars per million tokens by class; None where the class has no price of its own."""

    input: Decimal | None = None
    output: Decimal | None = None
    cached_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None

    def over(self, below: TokenPrices) -> TokenPrices:
        """These prices, and those of `below` where these say nothing."""
        pairs = ((getattr(self, name), getattr(below, name)) for name in CLASSES)
        return TokenPrices(*(below_one if own is None else own for own, below_one in pairs))

    def filled(self) -> TokenPrices:
        """Every class with the price it is charged: its own, or that of the class which includes it."""
        write = _first(self.cache_write, self.input)
        return TokenPrices(
            input=self.input,
            output=self.output,
            cached_read=_first(self.cached_read, self.input),
            cache_write=write,
            cache_write_1h=_first(self.cache_write_1h, write),
            reasoning=_first(self.reasoning, self.output),
            input_audio=_first(self.input_audio, self.input),
            output_audio=_first(self.output_audio, self.output),
        )


CLASSES = tuple(field.name for field in fields(TokenPrices))


class Band(NamedTuple):
    """The prices of calls with more than `above` input tokens, up to the next band. None: this is not
    priced."""

    above: int
    prices: TokenPrices | None
    is_upper_bound: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A daily span of time in minutes of the UTC day, on some weekdays (1 is Monday) of a time zone."""

    start: int
    end: int
    weekdays: frozenset[int]
    zone: ZoneInfo

    def holds(self, moment: datetime) -> bool:
        """True when the moment is inside. A window may pass midnight; equal ends mean the whole day."""
        if moment.astimezone(self.zone).isoweekday() not in self.weekdays:
            return False
        utc = moment.astimezone(UTC)
        minute = utc.hour * 60 + utc.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class OffPeak:
    """Other prices for the standard plan at certain hours."""

    windows: tuple[Window, ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class PriceRates:
    """What a model costs, ready for arithmetic; made by `rates_from_json`. No bands: it has no price by
    tokens."""

    plans: Mapping[str, tuple[Band, ...]]
    per_request: Decimal = ZERO
    off_peak: OffPeak | None = None

    def at(self, moment: datetime) -> PriceRates:
        """The rates of that moment: the off-peak ones inside their hours, else these."""
        if self.off_peak is None or not any(window.holds(moment) for window in self.off_peak.windows):
            return self
        return PriceRates(plans={**self.plans, STANDARD: self.off_peak.bands}, per_request=self.per_request)


def _first(own: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if own is None else own


def rates_from_json(data: object) -> PriceRates:
    """Check a price list and prepare it; raises RatesError with the reason.

    `{"input": "2.5", "output": "10", "cached_read": "1.25", "tiers": [{"above": 200000, "input": "5"}],
    "plans": {"batch": {"input": "1.25", "output": "5"}}, "per_request": "0.005", "off_peak": {...}}`; all may
    be absent. A class that a tier does not name keeps its price from below the tier. A plan does not name
    input or output: they are the standard ones.
    """
    table = _table(data, {*CLASSES, "tiers", "plans", "per_request", "off_peak"})
    standard = _prices(table)
    tiers = _tiers(table)
    plans: dict[str, tuple[Band, ...]] = {}
    if standard.input is not None:
        plans[STANDARD] = _bands(standard, tiers)
        for name, value in _table(table.get("plans", {}), DISCOUNTED_PLANS | DEARER_PLANS).items():
            plan = _table(value, {*CLASSES, "tiers"})
            plans[name] = _plan_bands(name, _prices(plan), _tiers(plan), plans[STANDARD], standard)
    per_request = _price("per_request", table["per_request"]) if "per_request" in table else ZERO
    return PriceRates(plans, per_request, _off_peak(table.get("off_peak"), standard))


def _table(data: object, known: set[str] | frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise RatesError("a price list is an object")
    unknown = sorted(str(name) for name in data if name not in known)
    if unknown:
        raise RatesError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return data


def _rows(name: str, table: Mapping[str, Any]) -> list[object]:
    rows = table.get(name, [])
    if not isinstance(rows, list) or len(rows) > MAX_ROWS:
        raise RatesError(f"{name}: a list of at most {MAX_ROWS}")
    return rows


def _price(name: str, value: object) -> Decimal:
    if not isinstance(value, str) or not PRICE.fullmatch(value):
        raise RatesError(f"{name}: a price is text such as '2.5', from 0 to 9999999, up to {PLACES} places")
    return Decimal(value)


def _prices(table: Mapping[str, Any]) -> TokenPrices:
    return TokenPrices(**{name: _price(name, table[name]) for name in CLASSES if name in table})


def _tiers(table: Mapping[str, Any]) -> list[tuple[int, TokenPrices]]:
    found: list[tuple[int, TokenPrices]] = []
    for tier in _rows("tiers", table):
        checked = _table(tier, {*CLASSES, "above"})
        above = checked.get("above")
        if not isinstance(above, int) or isinstance(above, bool) or above <= (found[-1][0] if found else 0):
            raise RatesError("tiers: 'above' is a whole number of input tokens that grows from tier to tier")
        found.append((above, _prices(checked)))
    return found


def _bands(base: TokenPrices, tiers: list[tuple[int, TokenPrices]]) -> tuple[Band, ...]:
    return (Band(0, base.filled()), *(Band(above, prices.over(base).filled()) for above, prices in tiers))


def _plan_bands(
    name: str,
    own: TokenPrices,
    tiers: list[tuple[int, TokenPrices]],
    standard_bands: tuple[Band, ...],
    standard: TokenPrices,
) -> tuple[Band, ...]:
    """The bands of a plan. Above a line that only the standard plan has, a discounted plan costs the standard
    price at most and a dearer one is not priced."""
    base = own.over(TokenPrices(input=standard.input, output=standard.output))
    bands = _bands(base, tiers)
    last = bands[-1].above
    extra = [band for band in standard_bands if band.above > last]
    if name in DISCOUNTED_PLANS:
        return (*bands, *(band._replace(is_upper_bound=True) for band in extra))
    return (*bands, *(Band(band.above, None) for band in extra))


def _off_peak(data: object, standard: TokenPrices) -> OffPeak | None:
    if data is None:
        return None
    table = _table(data, {*CLASSES, "windows"})
    windows = tuple(_window(window) for window in _rows("windows", table))
    return OffPeak(windows, _bands(_prices(table).over(standard), []))


def _window(data: object) -> Window:
    table = _table(data, {"start", "end", "weekdays", "timezone"})
    start, end, weekdays = table.get("start"), table.get("end"), table.get("weekdays", [1, 2, 3, 4, 5, 6, 7])
    if not all(isinstance(minute, int) and 0 <= minute < 1440 for minute in (start, end)):
        raise RatesError("off_peak: 'start' and 'end' are minutes of the UTC day")
    if not isinstance(weekdays, list) or not all(day in range(1, 8) for day in weekdays):
        raise RatesError("off_peak: 'weekdays' are numbers from 1 (Monday) to 7")
    try:
        zone = ZoneInfo(table.get("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise RatesError("off_peak: 'timezone' is not a known time zone") from error
    assert isinstance(start, int)
    assert isinstance(end, int)
    return Window(start, end, frozenset(weekdays), zone)

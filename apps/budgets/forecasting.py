"""What will be spent in the days to come, with an interval. Pure.

Method, told wherever a forecast is shown: simple exponential smoothing of the logarithm of daily spend, with a factor
for each day of the week. The smoothing weight is the one that would have foreseen the past days best. The interval
comes from paths simulated with the errors that were really made, drawn again and again (a bootstrap with a fixed
seed), and made larger for what was fitted. Below three weeks of history the days of the week are not told apart, and
below one week nothing is said. `benchmarks/forecast.py` measures on real traffic how often the interval holds.

R. J. Hyndman et al., *Forecasting with Exponential Smoothing* (2008), chapters 5 and 6: model and simulated intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_DAYS = 7
SEASON_FROM = 21
MOST_DAYS = 92
PATHS = 2_000
SEED = 20_261
WEEK = 7
WEIGHTS = tuple(place / 20 for place in range(2, 20))
HASTY_BELOW = 21
"""With fewer days the level follows at least as fast as `HASTY_WEIGHT`: so few cannot show that it is steady."""
HASTY_WEIGHT = 0.5
UNSEEN = 3.0
"""Errors grow by this over the number of days: what so few have not shown yet. Chosen on real traffic."""

FLOOR_SHARE = 0.01
"""A day without spend counts as this share of an average one, since it has no logarithm."""

LEAST_SPREAD = 0.02
"""Errors are never believed to be smaller than this share of a day."""

METHOD = "exponential smoothing by day of the week, simulated from past errors"

Floats = NDArray[np.float64]


class ForecastDay(NamedTuple):
    """A day's spend: between `low` and `high` in the stated share of cases, `middle` the median."""

    day: date
    low: float
    middle: float
    high: float


class Range(NamedTuple):
    """A sum's interval and its median."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """The days after a history. `paths` are simulated courses, a row each and a column for each day."""

    days: tuple[ForecastDay, ...]
    level: float
    method: str
    paths: Floats

    def total(self, known: float = 0.0, days: int | None = None) -> Range:
        """What is already known to be spent and the first so many days (all, when not said) together."""
        chosen = self.paths if days is None else self.paths[:, :days]
        return Range(*_quantiles(known + chosen.sum(axis=1), self.level))

    def crossing(self, known: float, amount: float) -> tuple[date | None, date | None]:
        """The day on which the sum reaches the amount: by the median course, and by the low bound. None: not in these
        days."""
        sums = known + np.cumsum(self.paths, axis=1)
        low, middle, _ = _quantiles_by_day(sums, self.level)
        return self._first_at(middle, amount), self._first_at(low, amount)

    def _first_at(self, sums: Floats, amount: float) -> date | None:
        over = np.flatnonzero(sums >= amount)
        return self.days[int(over[0])].day if len(over) else None


def forecast(
    history: Sequence[float], *, first: date, days: int, level: float = 0.8, known_today: float | None = None
) -> Forecast | None:
    """The `days` after a history of daily spend whose first day is `first`; None with less than a week of history.

    Days before the first spend are not history. With `known_today` the first day to come has begun, and is not less
    than that.
    """
    values, first = _begun(history, first)
    if len(values) < LEAST_DAYS or days < 1:
        return None
    start = first + timedelta(days=len(values))
    paths = _simulate(values, days=days, weekday=start.weekday())
    if known_today is not None:
        paths[:, 0] = np.maximum(paths[:, 0], known_today)
    low, middle, high = _quantiles_by_day(paths, level)
    found = tuple(
        ForecastDay(start + timedelta(days=place), float(low[place]), float(middle[place]), float(high[place]))
        for place in range(days)
    )
    return Forecast(found, level, METHOD, paths)


def _begun(history: Sequence[float], first: date) -> tuple[Floats, date]:
    """The history from its first spend on, at most the last MOST_DAYS of it."""
    values = np.asarray(history, dtype=np.float64)
    spent = np.flatnonzero(values > 0)
    begin = max(int(spent[0]) if len(spent) else len(values), len(values) - MOST_DAYS)
    return values[begin:], first + timedelta(days=begin)


def _simulate(values: Floats, *, days: int, weekday: int) -> Floats:
    """Courses of the days to come; the first is of this weekday."""
    logs = np.log(np.maximum(values, FLOOR_SHARE * values.mean()))
    place_of = (weekday - len(values) + np.arange(len(values) + days)) % WEEK
    factors, counts = _factors(logs, place_of[: len(values)])
    weight, level, errors = _smoothed(logs - factors[place_of[: len(values)]])
    parameters = 2 + (WEEK - 1 if factors.any() else 0)
    errors = _enlarged(errors, parameters)
    random = np.random.default_rng(SEED)
    drawn = random.choice(errors, size=(PATHS, days))
    unsure = random.normal(size=(PATHS, WEEK)) * errors.std() / np.sqrt(np.maximum(counts, 1))
    levels = level + weight * np.concatenate([np.zeros((PATHS, 1)), np.cumsum(drawn, axis=1)[:, :-1]], axis=1)
    ahead = place_of[len(values) :]
    season = factors[ahead] + (unsure[:, ahead] if factors.any() else 0.0)
    found: Floats = np.exp(levels + season + drawn)
    return found


def _factors(logs: Floats, weekdays: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The usual difference of each weekday from the days around it, and of how many days; zeros for little history."""
    factors, counts = np.zeros(WEEK), np.bincount(weekdays, minlength=WEEK).astype(np.float64)
    if len(logs) < SEASON_FROM:
        return factors, counts
    # The days at both ends have no whole week around them.
    around = np.convolve(logs, np.ones(WEEK) / WEEK, mode="valid")
    apart, inner = logs[3:-3] - around, weekdays[3:-3]
    for weekday in range(WEEK):
        factors[weekday] = apart[inner == weekday].mean()
    return factors - factors.mean(), counts


def _smoothed(logs: Floats) -> tuple[float, float, Floats]:
    """The weight that would have foreseen these days best, the level it ends at, and the errors it made."""
    best: tuple[float, float, float, Floats] | None = None
    for weight in (each for each in WEIGHTS if len(logs) >= HASTY_BELOW or each >= HASTY_WEIGHT):
        level, errors = float(logs[: min(len(logs), 3)].mean()), np.empty(len(logs))
        for place, value in enumerate(logs):
            errors[place] = value - level
            level += weight * errors[place]
        size = float((errors[1:] ** 2).sum())
        if best is None or size < best[0]:
            best = (size, weight, level, errors[1:])
    assert best is not None
    return best[1], best[2], best[3]


def _enlarged(errors: Floats, parameters: int) -> Floats:
    """The errors around zero, as large as they would be on days that were not fitted."""
    around = errors - errors.mean()
    fitted = np.sqrt(len(errors) / max(1.0, len(errors) - min(parameters, len(errors) / 2)))
    grown = around * fitted * (1 + UNSEEN / len(errors))
    size = float(grown.std())
    if size < LEAST_SPREAD:
        return np.random.default_rng(SEED).normal(0, LEAST_SPREAD, len(errors))
    return np.asarray(grown)


def _quantiles(values: Floats, level: float) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return float(low), float(middle), float(high)


def _quantiles_by_day(values: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    low, middle, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)
    return low, middle, high

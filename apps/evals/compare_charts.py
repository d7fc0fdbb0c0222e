"""Drawings of a comparison as numbers: where lines and points of the forest plot and the tail plot lie.

Everything is in units of the drawing's view box; the templates write the SVG, the style sheet colors it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.evals.compare import Comparison, Difference
from apps.evals.verdicts import points

FOREST_LEFT, FOREST_RIGHT, FOREST_TOP, ROW = 180.0, 580.0, 8.0, 34.0
TAIL_LEFT, TAIL_RIGHT, TAIL_TOP, TAIL_BOTTOM = 40.0, 456.0, 14.0, 302.0
STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MOST_ROWS = 14


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid and what is written at it."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A difference with its interval; places None without an interval."""

    name: str
    pairs: int
    y: str
    text_y: str
    at: str
    low: str
    high: str
    top: str
    bottom: str
    value: str
    word: str
    """`better`, `worse` or empty."""
    is_all: bool


@dataclass(frozen=True, slots=True)
class Forest:
    """The forest plot: one row for everything together, then scorers, then slices."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]
    zero: str
    bottom: str
    label_y: str
    side_y: str
    height: str


@dataclass(frozen=True, slots=True)
class TailPlot:
    """Both runs' scores, worst first."""

    candidate: str
    baseline: str
    zone: str
    """Width of the worst tenth."""


def forest(found: Comparison) -> Forest | None:
    """The plot of differences; None without any interval."""
    told = [("", found.overall.pairs, found.overall.mean, _word(found.overall.mean))]
    if len(found.scorers) > 1:
        told += [(each.title, each.pairs, each.mean, _word(each.mean)) for each in found.scorers]
    told += [(each.name, each.pairs, each.mean, each.direction) for each in found.slices]
    told = told[:MOST_ROWS]
    ends = [abs(end) for _, _, mean, _ in told if mean.interval for end in (mean.interval.low, mean.interval.high)]
    if not ends:
        return None
    reach = max(*ends, 0.01)
    step = next((each for each in STEPS if reach / each <= 3), STEPS[-1])
    bottom = FOREST_TOP + ROW * len(told) + 4
    rows = tuple(_row(index, *each, reach=reach) for index, each in enumerate(told))
    marks = [index * step for index in range(-3, 4) if index and abs(index * step) <= reach * 1.02]
    ticks = tuple(Tick(_x(mark, reach), f"{points(mark)}") for mark in marks)
    return Forest(
        rows, ticks, _x(0, reach), _place(bottom), _place(bottom + 17), _place(bottom + 34), _place(bottom + 44)
    )


def _word(mean: Difference) -> str:
    if mean.interval is None or mean.interval.low <= 0 <= mean.interval.high:
        return ""
    return "better" if mean.interval.low > 0 else "worse"


def _row(index: int, name: str, pairs: int, mean: Difference, word: str, *, reach: float) -> ForestRow:
    y = FOREST_TOP + ROW * (index + 0.5)
    low, high = (mean.interval.low, mean.interval.high) if mean.interval else (None, None)
    return ForestRow(
        name=name if len(name) <= 20 else name[:19] + "…",
        pairs=pairs,
        y=_place(y),
        text_y=_place(y + 4),
        at="" if mean.value is None else _x(mean.value, reach),
        low="" if low is None else _x(low, reach),
        high="" if high is None else _x(high, reach),
        top=_place(y - 4),
        bottom=_place(y + 4),
        value=points(mean.value),
        word=word,
        is_all=index == 0,
    )


def _x(value: float, reach: float) -> str:
    middle, half = (FOREST_LEFT + FOREST_RIGHT) / 2, (FOREST_RIGHT - FOREST_LEFT) / 2
    return _place(middle + half * value / (reach * 1.02))


def _place(value: float) -> str:
    return f"{value:.1f}"


def tail_plot(found: Comparison) -> TailPlot | None:
    """The plot of sorted scores; None without scores."""
    if not found.candidate_curve or not found.baseline_curve:
        return None
    zone = (TAIL_RIGHT - TAIL_LEFT) / 10
    return TailPlot(_path(found.candidate_curve), _path(found.baseline_curve), _place(zone))


def _path(curve: Sequence[float]) -> str:
    width = (TAIL_RIGHT - TAIL_LEFT) / max(1, len(curve) - 1)
    spots = [
        f"{_place(TAIL_LEFT + index * width)} {_place(TAIL_BOTTOM - (TAIL_BOTTOM - TAIL_TOP) * value)}"
        for index, value in enumerate(curve)
    ]
    return "M" + "L".join(spots)


@dataclass(frozen=True, slots=True)
class Balance:
    """The bar of wins, ties and losses, in percent of its width."""

    wins: str
    ties_at: str
    ties: str
    losses_at: str
    losses: str


def balance(wins: int, ties: int, losses: int) -> Balance:
    """Shares of the bar; nothing of nothing."""
    total = max(1, wins + ties + losses)
    won, tied = 100 * wins / total, 100 * ties / total
    rest = 0.0 if not losses else math.floor(1000 * losses / total) / 10
    return Balance(f"{won:.1f}%", f"{won:.1f}%", f"{tied:.1f}%", f"{100 - rest:.1f}%", f"{rest:.1f}%")

"""The drawing of an experiment: how the difference and its interval went from look to look. Pure.

Everything is in units of the drawing's view box; the template writes the SVG, the style sheet colors it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.core import formats
from apps.promotions import experiment_words as words
from apps.promotions.experiment_figures import Figures

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 700.0, 84.0, 690.0, 12.0, 212.0
STEPS = (1.0, 2.0, 5.0)
MOST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid and what is written at it."""

    at: str
    text: str
    is_zero: bool = False


@dataclass(frozen=True, slots=True)
class LookRow:
    """A line of the table with the same numbers."""

    when: str
    subjects: str
    difference: str
    interval: str


@dataclass(frozen=True, slots=True)
class Course:
    """The difference of one treatment over the looks. `band` is empty before any interval was known."""

    treatment: str
    title: str
    unit: str
    line: str
    band: str
    end_x: str
    end_y: str
    ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    rows: tuple[LookRow, ...]


def courses(looks: Sequence[Figures]) -> tuple[Course, ...]:
    """One drawing for each treatment of the newest look; none with fewer than two looks at a difference."""
    if not looks:
        return ()
    drawn = (_course(one.treatment, one.metric, one.unit, looks) for one in looks[-1].primary)
    return tuple(one for one in drawn if one is not None)


@dataclass(frozen=True, slots=True)
class _Point:
    figures: Figures
    at: float
    low: float | None
    high: float | None


def _course(treatment: str, metric: str, unit: str, looks: Sequence[Figures]) -> Course | None:
    points = []
    for figures in looks:
        found = words.verdict_of(treatment, figures)
        if found is not None and found.difference is not None:
            points.append(_Point(figures, found.difference, found.low, found.high))
    if len(points) < 2:
        return None
    known = [point for point in points if point.low is not None and point.high is not None]
    # Early intervals are far wider than everything after them; the last two thirds set the scale.
    settled = known[len(known) // 3 :]
    reach = [0.0, *(point.at for point in points), *(end for one in settled for end in (one.low or 0, one.high or 0))]
    low, high = min(reach), max(reach)
    margin = (high - low or 1.0) * 0.06
    low, high = low - margin, high + margin
    begin, span = points[0].figures.subjects, max(1, points[-1].figures.subjects - points[0].figures.subjects)

    def x(point: _Point) -> str:
        return _place(LEFT + (RIGHT - LEFT) * (point.figures.subjects - begin) / span)

    def y(value: float) -> str:
        return _place(BOTTOM - (BOTTOM - TOP) * (min(max(value, low), high) - low) / (high - low))

    over = [f"{x(one)} {y(one.high or 0.0)}" for one in known]
    under = [f"{x(one)} {y(one.low or 0.0)}" for one in reversed(known)]
    return Course(
        treatment=treatment,
        title=metric,
        unit=unit,
        line="M" + "L".join(f"{x(one)} {y(one.at)}" for one in points),
        band="M" + "L".join(over + under) + "Z" if len(known) > 1 else "",
        end_x=x(points[-1]),
        end_y=y(points[-1].at),
        ticks=tuple(Tick(y(at), words.difference(at, unit) if at else "0", at == 0) for at in _steps(low, high)),
        marks=tuple(Tick(x(one), f"{one.figures.subjects:,}") for one in _ends(points)),
        rows=tuple(_row(one, unit) for one in reversed(points[-MOST_ROWS:])),
    )


def _ends(points: Sequence[_Point]) -> tuple[_Point, ...]:
    """The first, the middle and the last look."""
    middle = points[len(points) // 2]
    return (points[0], middle, points[-1]) if len(points) > 4 else (points[0], points[-1])


def _row(point: _Point, unit: str) -> LookRow:
    return LookRow(
        formats.exact(point.figures.at),
        f"{point.figures.subjects:,}",
        words.difference(point.at, unit),
        words.interval(point.low, point.high, unit) or formats.UNKNOWN,
    )


def _steps(low: float, high: float) -> list[float]:
    """Three to six round values within the bounds, zero among them."""
    size = high - low
    power = 10.0
    while power > size:
        power /= 10
    while power * 10 <= size:
        power *= 10
    step = next(
        (power * part / 10 * scale for scale in (1, 10) for part in STEPS if size / (power * part / 10 * scale) <= 5),
        power,
    )
    first = int(low / step) - 1
    return [round(step * count, 12) for count in range(first, first + 12) if low <= step * count <= high]


def _place(value: float) -> str:
    return f"{value:.1f}"

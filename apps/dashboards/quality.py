"""What the Quality page shows, worked out from scores. Pure.

Numbers between 0 and 1 alone are read as a share (thumbs up, tasks done), all others as they are. Of most scores nobody
but the sender knows which way is better, so only changes of thumbs and of completed tasks are called good or bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.core import formats
from apps.telemetry.figures import Dimension
from apps.telemetry.scoring import TASK_COMPLETION, THUMBS, ScorePoint
from apps.telemetry.selectors.scores import BREAKDOWN, Bar, Breakdown, Course, Coverage, ScoreView

MOST_TILES = 5
MOST_ROWS = 20
FEW = 30
"""Fewer scores than these are no reason to call a change good or bad."""

BETTER_UP = {THUMBS, TASK_COMPLETION}


@dataclass(frozen=True)
class Figures:
    """Some scores added up: how many, how many of them with a number, and these numbers' mean and bounds."""

    count: int = 0
    valued: int = 0
    total: float = 0.0
    lowest: float | None = None
    highest: float | None = None

    @property
    def mean(self) -> float | None:
        """The mean of the numbers; None without any."""
        return self.total / self.valued if self.valued else None

    @property
    def is_share(self) -> bool:
        """True when every number lies between 0 and 1."""
        return self.lowest is not None and self.highest is not None and self.lowest >= 0 and self.highest <= 1


def add_up(points: Iterable[ScorePoint]) -> Figures:
    """The figures of all these points."""
    several = list(points)
    lows = [point.lowest for point in several if point.lowest is not None]
    highs = [point.highest for point in several if point.highest is not None]
    return Figures(
        count=sum(point.count for point in several),
        valued=sum(point.valued for point in several),
        total=sum(point.total for point in several),
        lowest=min(lows, default=None),
        highest=max(highs, default=None),
    )


def good_way(name: str, now: Figures, before: Figures) -> formats.Good:
    """Which way a change is good, as far as it is known and there are enough scores to say."""
    return "up" if name in BETTER_UP and min(now.valued, before.valued) >= FEW else "none"


@dataclass(frozen=True)
class Name:
    """The scores of one name: now, in the time before, and interval by interval."""

    name: str
    now: Figures
    before: Figures
    means: tuple[float | None, ...]
    counts: tuple[int, ...]

    @property
    def is_share(self) -> bool:
        """Whether its mean is written as a percentage."""
        return self.now.is_share and (self.before.is_share or not self.before.valued)

    @property
    def good(self) -> formats.Good:
        """Which way a change is good."""
        return good_way(self.name, self.now, self.before)

    @property
    def unit(self) -> formats.Unit:
        """How a change is written."""
        return "points" if self.is_share else "relative"


@dataclass(frozen=True)
class Row:
    """One feature, model or prompt version: its scores now and in the time before."""

    value: str
    now: Figures
    before: Figures


@dataclass(frozen=True)
class Quality:
    """The page's content. `chosen` is the score in full; None when there is none in this time."""

    names: tuple[Name, ...]
    chosen: Name | None
    times: Sequence[datetime]
    rows: dict[Dimension, list[Row]]
    bars: list[Bar]
    worst: list[ScoreView]
    comments: list[ScoreView]
    coverage: Coverage

    @property
    def tiles(self) -> tuple[Name, ...]:
        """The names that get a tile: the most frequent ones, and the chosen one."""
        first = self.names[:MOST_TILES]
        if self.chosen is None or self.chosen in first:
            return first
        return (*first[:-1], self.chosen)

    @property
    def most(self) -> int:
        """The largest count of the distribution."""
        return max((bar.count for bar in self.bars), default=0)


def names_of(course: Course) -> tuple[Name, ...]:
    """Every name with scores now, thumbs and completed tasks first, then the most frequent ones."""
    places = {at: place for place, at in enumerate(course.times)}
    by_name: dict[str, list[ScorePoint]] = {}
    for point in course.now:
        by_name.setdefault(point.name, []).append(point)
    before = {point.name: add_up([point]) for point in course.before}
    names = []
    for name, points in by_name.items():
        means: list[float | None] = [None] * len(places)
        counts = [0] * len(places)
        for point in points:
            assert point.at is not None  # the course is cut into intervals
            means[places[point.at]], counts[places[point.at]] = point.mean, point.count
        names.append(Name(name, add_up(points), before.get(name, Figures()), tuple(means), tuple(counts)))
    return tuple(sorted(names, key=lambda each: (each.name not in BETTER_UP, -each.now.count, each.name)))


def choose(names: Sequence[Name], wish: str | None) -> Name | None:
    """The name in the address, else the first."""
    return next((each for each in names if each.name == wish), names[0] if names else None)


def rows_of(found: Iterable[Breakdown]) -> dict[Dimension, list[Row]]:
    """The rows of each table, the most frequent first."""
    figures: dict[tuple[Dimension, str, bool], Figures] = {
        (each.dimension, each.point.group[0], each.is_now): add_up([each.point]) for each in found
    }
    tables: dict[Dimension, list[Row]] = {dimension: [] for dimension in BREAKDOWN}
    for (dimension, value, is_now), now in figures.items():
        if is_now:
            tables[dimension].append(Row(value, now, figures.get((dimension, value, False), Figures())))
    for rows in tables.values():
        rows.sort(key=lambda row: (-row.now.count, row.value))
    return tables

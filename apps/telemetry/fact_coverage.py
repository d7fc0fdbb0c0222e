"""Which part of a range is answered by which summary of facts, and which by the facts themselves. Pure.

There are summaries of whole days, of quarters of a day and of hours, all of UTC. The longest that fits is taken, unless
it is marked: then those within it, and where an hour is marked, its facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from apps.core.clock import floor_hour
from apps.telemetry.coverage import HOUR, Stretch, union
from apps.telemetry.figures import Interval

FACTS = 0
LENGTHS = (24, 6, 1)
"""The hours of the stretches that have summaries. They begin at midnight, and after each other."""

LONGEST: Mapping[Interval, int] = {
    Interval.MINUTE: FACTS,
    Interval.HOUR: 1,
    Interval.SIX_HOURS: 6,
    Interval.DAY: 24,
    Interval.NONE: 24,
}
"""The longest stretch that fits into an interval."""

Marks = Collection[tuple[int, datetime]]
Coverage = dict[int, tuple[Stretch, ...]]
"""Disjoint stretches that together are a range, by the hours of the summaries to read; FACTS for the rest."""


def floor_stretch(moment: datetime, hours: int) -> datetime:
    """The start of the stretch of so many hours that holds the moment."""
    hour = floor_hour(moment.astimezone(UTC))
    return hour - timedelta(hours=hour.hour % hours)


def cover(start: datetime, end: datetime, interval: Interval, marks: Marks, *, shortest: int = 1) -> Coverage:
    """How to answer for a range cut into such intervals, with these stretches marked: pairs of hours and start.

    Stretches shorter than `shortest` are read from the facts.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    longest = LONGEST[interval]
    offered = [hours for hours in LENGTHS if shortest <= hours <= longest]
    # A mark of an hour holds for the longer stretches around it too, whose own marks come later.
    marked = {(hours, floor_stretch(at, hours)) for length, at in marks for hours in LENGTHS if hours >= length}
    found: dict[int, list[Stretch]] = {hours: [] for hours in (*offered, FACTS)}
    at = start
    while at < end:
        hours = next((each for each in offered if _fits(at, end, each, marked)), FACTS)
        after = at + hours * HOUR if hours else min(floor_hour(at) + HOUR, end)
        if not offered:
            after = end
        found[hours].append(Stretch(at, after))
        at = after
    return {hours: union(stretches) for hours, stretches in found.items() if stretches}


def _fits(at: datetime, end: datetime, hours: int, marked: Collection[tuple[int, datetime]]) -> bool:
    return floor_stretch(at, hours) == at and at + hours * HOUR <= end and (hours, at) not in marked


def together(coverages: Iterable[Coverage]) -> Coverage:
    """Ranges that have nothing in common, as one."""
    found: Coverage = {}
    for coverage in coverages:
        for hours, stretches in coverage.items():
            found[hours] = found.get(hours, ()) + stretches
    return found

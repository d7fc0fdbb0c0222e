"""Which part of a time range is answered by which record, so that every call is counted once. Pure.

Whole days whose hours are all clean come from day rows, other whole clean hours from hour rows, and the rest
from the spans: hours whose spans changed since their record was written (dirty), the hours that the range
begins or ends within, and those that a day of a time zone with a half-hour offset cuts in two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from apps.core.clock import ceil_day, ceil_hour, floor_day, floor_hour
from apps.telemetry.figures import FigureRequest, Interval

HOUR = timedelta(hours=1)


class Stretch(NamedTuple):
    """A half-open stretch of time, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """Disjoint stretches that together are the range: whole UTC days, whole UTC hours, and the rest."""

    days: tuple[Stretch, ...]
    hours: tuple[Stretch, ...]
    spans: tuple[Stretch, ...]


def cover(request: FigureRequest, dirty: Collection[datetime]) -> Coverage:
    """How to answer the request when these hours (their UTC starts) are dirty."""
    start, end = request.start.astimezone(UTC), request.end.astimezone(UTC)
    first, last = ceil_hour(start), floor_hour(end)
    if request.interval is Interval.MINUTE or first >= last:
        return Coverage((), (), _kept([Stretch(start, end)]))
    holes = sorted({hour for hour in (*dirty, *_cut_hours(request)) if first <= hour < last})
    clean = _between(first, last, holes)
    days, hours = _split_days(clean) if _fits_days(request) else ((), clean)
    edges = [Stretch(start, first), *(Stretch(hour, hour + HOUR) for hour in holes), Stretch(last, end)]
    return Coverage(days, hours, union(_kept(edges)))


def _cut_hours(request: FigureRequest) -> set[datetime]:
    """The hours within which one interval ends and the next begins."""
    if request.interval is not Interval.DAY:
        return set()
    return {floor_hour(start) for start in request.buckets if start != floor_hour(start)}


def _fits_days(request: FigureRequest) -> bool:
    """True when no interval begins or ends within a UTC day."""
    if request.interval is Interval.DAY:
        return all(start == floor_day(start) for start in request.buckets)
    return request.interval is Interval.NONE


def _between(first: datetime, last: datetime, holes: Iterable[datetime]) -> tuple[Stretch, ...]:
    """What is left between the two when the hours that start at `holes` (sorted) are taken out."""
    kept, at = [], first
    for hole in holes:
        kept.append(Stretch(at, hole))
        at = hole + HOUR
    return _kept([*kept, Stretch(at, last)])


def _split_days(stretches: Iterable[Stretch]) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...]]:
    """The whole days within the stretches, and the rest of them."""
    days, hours = [], []
    for start, end in stretches:
        first, last = ceil_day(start), floor_day(end)
        if first < last:
            days.append(Stretch(first, last))
            hours += [Stretch(start, first), Stretch(last, end)]
        else:
            hours.append(Stretch(start, end))
    return tuple(days), _kept(hours)


def _kept(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    return tuple(stretch for stretch in stretches if stretch.start < stretch.end)


def union(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The stretches in order, with those that overlap or touch made one."""
    joined: list[Stretch] = []
    for stretch in sorted(stretches):
        if joined and stretch.start <= joined[-1].end:
            joined[-1] = Stretch(joined[-1].start, max(joined[-1].end, stretch.end))
        else:
            joined.append(stretch)
    return tuple(joined)

"""Where each span lies in the time of its trace, as shares of the whole. Pure.

Places come from the clients' own clocks, lengths from what they measured. A span whose clock cannot be right has no
place among spans whose clocks are, and starts at the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.telemetry.selectors.spans import SpanView

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
STEPS = (
    *(step * size for size in (1, 10, 100) for step in (1, 2, 5)),
    *(step * SECOND for step in (1, 2, 5, 10, 20, 30)),
    *(step * MINUTE for step in (1, 2, 5, 10, 20, 30)),
    *(step * HOUR for step in (1, 2, 6, 12, 24)),
)
"""Distances between the lines of the time axis, in milliseconds."""

MOST_TICKS = 5
DEEPEST = 5
LEAST_SHARE = 0.3
"""A bar is at least so many percent wide, so that it can be seen."""

LOOKS = {"llm": "llm", "tool": "tool", "agent": "chain", "chain": "chain"}


@dataclass(frozen=True)
class Bar:
    """One row: the span, its indent (0 to 5), and where its bar lies, in percent. `wait` is up to the first token."""

    span: SpanView
    indent: int
    look: str
    start_ms: int
    length_ms: int | None
    x: float
    width: float
    wait: float

    @property
    def after_wait(self) -> float:
        """Where the bar's full color begins, in percent."""
        return round(self.x + self.wait, 3)

    @property
    def rest(self) -> float:
        """How wide the bar is in its full color."""
        return round(max(self.width - self.wait, LEAST_SHARE), 3)


@dataclass(frozen=True)
class Tick:
    """A line of the time axis."""

    x: float
    ms: int


@dataclass(frozen=True)
class Waterfall:
    """All rows, the axis, and the length of the trace; None when no span of it has a length."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    length_ms: int | None


@dataclass(frozen=True)
class Extent:
    """The time of a whole trace: when it began by the clocks that can be right, and how many milliseconds it lasted.
    `are_clocks_wrong` says that no clock can be right; their distances still hold."""

    first: datetime
    length_ms: int
    has_length: bool
    are_clocks_wrong: bool = False


def extent_of(spans: Sequence[SpanView]) -> Extent:
    """The time that these spans take."""
    right = [span for span in spans if "clock" not in span.flags] or list(spans)
    first = min(span.client_started_at for span in right)
    extent = Extent(first, 0, False, are_clocks_wrong="clock" in right[0].flags)
    lengths = [length_of(span) for span in spans]
    ends = [_start(span, extent) + (length or 0) for span, length in zip(spans, lengths, strict=True)]
    return replace(extent, length_ms=max(ends), has_length=any(length is not None for length in lengths))


def draw(spans: Sequence[SpanView], extent: Extent | None = None) -> Waterfall:
    """The picture of spans that are in the order of their tree; `extent` is that of the trace they are part of."""
    extent = extent or extent_of(spans)
    # Room at the right, so that the last bar and the last tick's word do not touch the edge.
    scale = 100 / (max(extent.length_ms, 1) * 1.05)
    bars = [_bar(span, _start(span, extent), length_of(span), scale) for span in spans]
    return Waterfall(tuple(bars), _ticks(extent.length_ms, scale), extent.length_ms if extent.has_length else None)


def length_of(span: SpanView) -> int | None:
    """How long the span took, in milliseconds."""
    if span.latency_ms is not None:
        return int(span.latency_ms)
    if span.ended_at is None:
        return None
    length: timedelta = span.ended_at - span.client_started_at
    return max(0, length // timedelta(milliseconds=1))


def _start(span: SpanView, extent: Extent) -> int:
    if "clock" in span.flags and not extent.are_clocks_wrong:
        return 0
    since: timedelta = span.client_started_at - extent.first
    return since // timedelta(milliseconds=1)


def _bar(span: SpanView, start: int, length: int | None, scale: float) -> Bar:
    width = max((length or 0) * scale, LEAST_SHARE)
    wait = 0.0
    if span.kind == "llm" and span.ttft_ms and length and span.ttft_ms < length:
        wait = span.ttft_ms * scale
    return Bar(
        span=span,
        indent=min(span.depth, DEEPEST),
        look="error" if span.status == "error" else LOOKS.get(span.kind, "io"),
        start_ms=start,
        length_ms=length,
        x=round(start * scale, 3),
        width=round(width, 3),
        wait=round(wait, 3),
    )


def _ticks(whole: int, scale: float) -> tuple[Tick, ...]:
    """Round times, at most five and the start; none where there is no time."""
    if whole <= 0:
        return ()
    step = next((each for each in STEPS if whole <= each * MOST_TICKS), -(-whole // MOST_TICKS))
    return tuple(Tick(round(at * scale, 3), at) for at in range(0, whole + 1, step))


def share_of(stretches: Sequence[tuple[int, int]], length_ms: int | None) -> Decimal | None:
    """Which part of the trace's time these stretches (start and length in milliseconds) take, overlaps counted once;
    None when unknown."""
    if not length_ms or not stretches:
        return None
    taken, end = 0, min(start for start, _length in stretches)
    for start, length in sorted(stretches):
        taken += max(0, start + length - max(start, end))
        end = max(end, start + length)
    return Decimal(taken) / length_ms

"""Where each span lies in the time of its trace, as shares of the whole. Pure.

Places come from the clients' own clocks, lengths from what they measured. A span whose clock cannot be right has no
place among spans whose clocks are, and starts at the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.telemetry.selectors.traces import SpanView

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


def draw(spans: Sequence[SpanView]) -> Waterfall:
    """The picture of spans that are in the order of their tree."""
    starts = _starts(spans)
    lengths = [length_of(span) for span in spans]
    ends = [start + length for start, length in zip(starts, lengths, strict=True) if length is not None]
    whole = max([*starts, *ends], default=0)
    # Room at the right, so that the last bar and the last tick's word do not touch the edge.
    scale = 100 / (max(whole, 1) * 1.05)
    bars = [_bar(*each, scale) for each in zip(spans, starts, lengths, strict=True)]
    return Waterfall(tuple(bars), _ticks(whole, scale), whole if ends else None)


def length_of(span: SpanView) -> int | None:
    """How long the span took, in milliseconds."""
    if span.latency_ms is not None:
        return int(span.latency_ms)
    if span.ended_at is None:
        return None
    length: timedelta = span.ended_at - span.client_started_at
    return max(0, length // timedelta(milliseconds=1))


def _starts(spans: Sequence[SpanView]) -> list[int]:
    right = [span for span in spans if "clock" not in span.flags] or list(spans)
    first = min(span.client_started_at for span in right)
    kept = {id(span) for span in right}
    return [(span.client_started_at - first) // timedelta(milliseconds=1) if id(span) in kept else 0 for span in spans]


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


def share_of_models(spans: Sequence[SpanView], length_ms: int | None) -> Decimal | None:
    """Which part of the trace's time its counted model calls took, overlaps counted once; None when unknown."""
    if not length_ms:
        return None
    starts = _starts(spans)
    stretches = sorted(
        (start, start + length)
        for span, start in zip(spans, starts, strict=True)
        if span.kind == "llm" and span.counted and (length := length_of(span))
    )
    taken, end = 0, 0
    for begin, finish in stretches:
        taken += max(0, finish - max(begin, end))
        end = max(end, finish)
    return Decimal(taken) / length_ms if stretches else None

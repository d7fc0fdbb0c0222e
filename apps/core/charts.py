"""Charts as values: from series of numbers to a Plotly figure, its legend and the table of the same numbers.

Figures are plain dicts; colors of paper, ink and lines come from the style sheet in the browser (static/js/charts.js),
so that one figure serves both themes. Series keep one color everywhere. What people named (features, models) is
escaped, because Plotly reads a subset of HTML in every text. An unknown value is a gap, never zero.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from apps.core import formats, money

PALETTE = ("#445dee", "#a54d1d", "#287169", "#ad4aaf", "#988408", "#af7aef", "#7f96af", "#e46f72")
"""Series colors by slot (1 to 8), as in static/css/tokens.css; at least 3:1 on both surfaces."""

DASHES = ("solid", "dot", "solid", "dash", "longdash", "dashdot", "dot", "dash")
"""Line styles by slot, so that two lines differ by more than color."""

OTHER_SLOT = 0
OTHER_COLOR = "#868d9a"
NAME_WIDTH, NAME_HEIGHT = 0.35, 0.12
"""About how much of the plot a target's name covers."""

ROW_HEIGHT = 15
"""Pixels from one row of names above the plot to the next."""

LABEL_GAP = 0.085
"""Two labels at the ends of lines stay this part of the plot's height apart."""

Value = float | int | Decimal | None


@dataclass(frozen=True)
class Unit:
    """How values of one kind are written, and on which scale an axis shows them.

    `steps` are (from this size on, divisor, suffix), the largest first.
    """

    write: Callable[[Any], str]
    steps: tuple[tuple[float, float, str], ...]
    prefix: str = ""

    def scale(self, biggest: float) -> tuple[float, str]:
        """Divisor and suffix of an axis that reaches up to `biggest`."""
        for least, divisor, suffix in self.steps:
            if biggest >= least:
                return divisor, suffix
        return self.steps[-1][1:]


def _dollars(value: Value) -> str:
    return money.display(None if value is None else Decimal(str(value)))


_COUNTS = ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k"), (0, 1, ""))
USD = Unit(_dollars, ((1e6, 1e6, " M"), (1e4, 1e3, " k"), (0, 1, "")), "$")
MS = Unit(formats.milliseconds, ((6e6, 3.6e6, " h"), (120_000, 60_000, " min"), (1000, 1000, " s"), (0, 1, " ms")))
PERCENT = Unit(formats.percent, ((0, 0.01, " %"),))
COUNT = Unit(formats.number, _COUNTS)
TOKENS = Unit(formats.tokens, _COUNTS)


@dataclass(frozen=True)
class Series:
    """A named row of values, one for each time of its chart. `slot` is its color, see `slots`."""

    name: str
    values: Sequence[Value]
    slot: int = 1

    def floats(self) -> list[float | None]:
        """The values as Plotly needs them."""
        return [None if value is None else float(value) for value in self.values]


@dataclass(frozen=True)
class Target:
    """A dotted line across the chart, with a name that says what it is."""

    value: float | int | Decimal
    name: str


@dataclass(frozen=True)
class Event:
    """A thin vertical line: something that happened then. Names in different rows do not cover each other."""

    at: datetime
    name: str
    row: int = 0


@dataclass(frozen=True)
class LegendEntry:
    """A button of the legend; `slot` and `dash` end class names of the style sheet."""

    index: int
    name: str
    slot: str
    dash: str
    is_bar: bool


@dataclass(frozen=True)
class Row:
    """A line of the table: when, and what every series had then."""

    head: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """All that the chart frame needs. `title` is the question that the chart answers."""

    id: str
    title: str
    subtitle: str
    figure: dict[str, Any]
    legend: tuple[LegendEntry, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    is_empty: bool
    is_tall: bool = False


def slots(shown: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """A color slot (1 to 8) for each shown name, the same on every page.

    `known` are all names in a lasting order, such as the features by the time they were made; up to eight of them
    each have their own color. With more, a name whose color is taken gets the next free one.
    """
    order = {name: index for index, name in enumerate(known)}
    chosen: dict[str, int] = {}
    for name in sorted(shown, key=lambda name: (order.get(name, len(order)), name)):
        wish = order.get(name, len(order)) % len(PALETTE)
        free = [(wish + step) % len(PALETTE) + 1 for step in range(len(PALETTE))]
        chosen[name] = next((slot for slot in free if slot not in chosen.values()), wish + 1)
    return chosen


def with_other(series: Sequence[Series], *, most: int = 8, name: str = "other") -> list[Series]:
    """At most `most` series, the largest by sum; the rest is added up as a gray last one."""
    if len(series) <= most:
        return list(series)
    by_size = sorted(series, key=lambda each: sum(value or 0 for value in each.floats()), reverse=True)
    kept = {each.name for each in by_size[: most - 1]}
    rest = [each for each in series if each.name not in kept]
    summed = [_sum(column) for column in zip(*(each.values for each in rest), strict=True)]
    return [*(each for each in series if each.name in kept), Series(name, summed, OTHER_SLOT)]


def lines(
    *,
    id: str,
    title: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    unit: Unit,
    subtitle: str = "",
    targets: Sequence[Target] = (),
    events: Sequence[Event] = (),
    from_zero: bool = True,
    end_labels: bool = False,
    is_tall: bool = False,
) -> Chart:
    """A line for each series over time. `end_labels` writes name and last value at the end of each line."""
    plot = _Plot(times, series, unit, targets, events, [each.floats() for each in series], from_zero)
    layout = _layout(plot)
    if end_labels and times:
        layout["annotations"] += _end_labels(plot)
    figure = {"data": [_line(plot, each) for each in series], "layout": layout}
    return _chart(plot, figure, id=id, title=title, subtitle=subtitle, is_tall=is_tall)


def stacked_bars(
    *,
    id: str,
    title: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    unit: Unit,
    subtitle: str = "",
    targets: Sequence[Target] = (),
    events: Sequence[Event] = (),
    is_tall: bool = False,
) -> Chart:
    """A bar for each time, stacked from the series in their order."""
    totals = [_sum(column) for column in zip(*(each.floats() for each in series), strict=True)]
    plot = _Plot(times, series, unit, targets, events, [totals])
    figure = {"data": [_bar(plot, each) for each in series], "layout": {**_layout(plot), "barmode": "stack"}}
    return _chart(plot, figure, id=id, title=title, subtitle=subtitle, is_tall=is_tall)


def with_events(chart: Chart, events: Sequence[Event], *, middle: datetime) -> Chart:
    """The chart with a line for each event, and its name above the plot, towards the `middle` of the chart's time.

    An event without a name is only drawn. A chart without values stays as it is.
    """
    if chart.is_empty or not events:
        return chart
    layout = chart.figure["layout"]
    names = [
        {**_event_name(each, is_late=each.at > middle), "yanchor": "bottom", "yshift": ROW_HEIGHT * each.row}
        for each in events
        if each.name
    ]
    more = {
        "margin": {"t": ROW_HEIGHT * (2 + max(each.row for each in events))},
        "shapes": [*layout["shapes"], *(_event_line(each) for each in events)],
        "annotations": [*layout["annotations"], *names],
    }
    return replace(chart, figure={**chart.figure, "layout": {**layout, **more}})


def color(slot: int) -> str:
    """The color of a slot; slot 0 is the gray of "other"."""
    return OTHER_COLOR if slot == OTHER_SLOT else PALETTE[slot - 1]


@dataclass(frozen=True)
class _Plot:
    """What a figure is made of. `heights` are the rows of values that the eye sees: lines, or tops of bars."""

    times: Sequence[datetime]
    series: Sequence[Series]
    unit: Unit
    targets: Sequence[Target]
    events: Sequence[Event]
    heights: Sequence[Sequence[float | None]]
    from_zero: bool = True

    @cached_property
    def known(self) -> list[float]:
        """All heights that are known."""
        return [height for row in self.heights for height in row if height is not None]

    @cached_property
    def scale(self) -> tuple[float, str]:
        """Divisor and suffix of the axis."""
        return self.unit.scale(max(self._sizes, default=0.0))

    @property
    def _sizes(self) -> list[float]:
        return [*(abs(height) for height in self.known), *(abs(float(target.value)) for target in self.targets)]

    @property
    def tick_format(self) -> str:
        """How the axis writes its values: small sums of money with their cents, so that all have two digits."""
        reach = max(self._sizes, default=0.0)
        return ",.2f" if self.unit.prefix and 0.05 <= reach < 5 else ",~f"

    def on_axis(self, value: float | int | Decimal) -> float:
        """A value on the axis's scale, without the noise of a binary division."""
        return float(f"{float(value) / self.scale[0]:.10g}")


def _trace(plot: _Plot, series: Series) -> dict[str, Any]:
    return {
        "name": html.escape(series.name, quote=False),
        "x": [_iso(time) for time in plot.times],
        "y": [None if value is None else plot.on_axis(value) for value in series.floats()],
        "hovertemplate": "%{customdata}",
    }


def _bar(plot: _Plot, series: Series) -> dict[str, Any]:
    return {**_trace(plot, series), "type": "bar", "marker": {"color": color(series.slot)}}


def _line(plot: _Plot, series: Series) -> dict[str, Any]:
    trace: dict[str, Any] = {
        **_trace(plot, series),
        "type": "scatter",
        "mode": "lines",
        "line": {"color": color(series.slot), "dash": dash(series.slot)},
        "connectgaps": False,
    }
    values = series.floats()
    alone = [_is_alone(values, index) for index in range(len(values))]
    if any(alone):
        # A line needs two points; one between gaps is drawn as a dot.
        trace["mode"] = "lines+markers"
        trace["marker"] = {"color": color(series.slot), "size": [6 if each else 0 for each in alone]}
    return trace


def dash(slot: int) -> str:
    """The line style of a slot."""
    return "solid" if slot == OTHER_SLOT else DASHES[slot - 1]


def _is_alone(values: Sequence[float | None], index: int) -> bool:
    before = values[index - 1] if index else None
    after = values[index + 1] if index + 1 < len(values) else None
    return values[index] is not None and before is None and after is None


def _sum(column: Sequence[Any]) -> Any:
    """The sum in the type of the values, exact for money; unknown only when all are."""
    known = [value for value in column if value is not None]
    return sum(known[1:], known[0]) if known else None


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _layout(plot: _Plot) -> dict[str, Any]:
    times = plot.times
    yaxis: dict[str, Any] = {
        "tickformat": plot.tick_format,
        "tickprefix": plot.unit.prefix,
        "ticksuffix": plot.scale[1],
        "rangemode": "tozero" if plot.from_zero else "normal",
    }
    if plot.targets:
        yaxis["autorangeoptions"] = {"include": [plot.on_axis(target.value) for target in plot.targets]}
    xaxis: dict[str, Any] = {"type": "date", "tickformat": _tick_format(times), "hoverformat": _hover_format(times)}
    if len(times) > 1:
        # Without this, a stretch without calls at either end would be cut off.
        half = (times[1] - times[0]) / 2
        xaxis["range"] = [_iso(times[0] - half), _iso(times[-1] + half)]
    return {
        "xaxis": xaxis,
        "yaxis": yaxis,
        "shapes": [*(_target_line(plot, each) for each in plot.targets), *(_event_line(each) for each in plot.events)],
        "annotations": [
            *(_target_name(plot, each) for each in plot.targets),
            *(_event_name(each, is_late=_is_late(plot, each)) for each in plot.events),
        ],
    }


def _tick_format(times: Sequence[datetime]) -> str:
    return "%H:%M" if _length(times) <= timedelta(hours=36) else "%b %-d"


def _hover_format(times: Sequence[datetime]) -> str:
    step = times[1] - times[0] if len(times) > 1 else timedelta()
    return "%b %-d" if step >= timedelta(days=1) else "%b %-d, %H:%M"


def _length(times: Sequence[datetime]) -> timedelta:
    return times[-1] - times[0] if times else timedelta()


def _target_line(plot: _Plot, target: Target) -> dict[str, Any]:
    height = plot.on_axis(target.value)
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height, "layer": "above"}


def _target_name(plot: _Plot, target: Target) -> dict[str, Any]:
    """The target's name above or below its line, at the end where the fewest values are in the way."""
    places = (("left", "bottom"), ("right", "bottom"), ("left", "top"), ("right", "top"))
    side, edge = min(places, key=lambda place: _in_the_way(plot, float(target.value), *place))
    return {
        "text": html.escape(target.name, quote=False),
        "xref": "paper",
        "x": 0.01 if side == "left" else 0.99,
        "y": plot.on_axis(target.value),
        "yshift": 2 if edge == "bottom" else -2,
        "xanchor": side,
        "yanchor": edge,
        "showarrow": False,
    }


def _in_the_way(plot: _Plot, value: float, side: str, edge: str) -> int:
    """How many values a name at this end of the target's line would cover."""
    base = [0.0] if plot.from_zero else []
    reach = (max([value, *plot.known]) - min([value, *base, *plot.known])) * NAME_HEIGHT
    low, high = (value, value + reach) if edge == "bottom" else (value - reach, value)
    width = max(1, round(len(plot.times) * NAME_WIDTH))
    parts = (row[:width] if side == "left" else row[-width:] for row in plot.heights)
    return sum(low <= height <= high for part in parts for height in part if height is not None)


def _event_line(event: Event) -> dict[str, Any]:
    at = _iso(event.at)
    return {
        "type": "line",
        "name": "event",
        "yref": "paper",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "line": {"width": 1, "dash": "solid", "color": OTHER_COLOR},
    }


def _is_late(plot: _Plot, event: Event) -> bool:
    return bool(plot.times) and event.at > plot.times[0] + _length(plot.times) / 2


def _event_name(event: Event, *, is_late: bool) -> dict[str, Any]:
    return {
        "text": html.escape(event.name, quote=False),
        "x": _iso(event.at),
        "yref": "paper",
        "y": 1,
        "xanchor": "right" if is_late else "left",
        "xshift": -4 if is_late else 4,
        "yanchor": "middle",
        "showarrow": False,
    }


def _end_labels(plot: _Plot) -> list[dict[str, Any]]:
    """Name and last known value at the right end of each line, pushed apart where lines end close together."""
    ends = []
    for each in plot.series:
        known = [value for value in each.floats() if value is not None]
        if known:
            ends.append((known[-1], each))
    base = [0.0] if plot.from_zero else []
    gap = (max(plot.known, default=0.0) - min([*base, *plot.known], default=0.0)) * LABEL_GAP
    labels, lowest = [], float("-inf")
    for value, each in sorted(ends, key=lambda end: end[0]):
        height = max(value, lowest)
        lowest = height + gap
        labels.append(
            {
                "text": html.escape(f"{each.name} {plot.unit.write(value)}", quote=False),
                "name": "end",
                "xref": "paper",
                "x": 1,
                "xshift": 6,
                "y": plot.on_axis(height),
                "xanchor": "left",
                "yanchor": "middle",
                "showarrow": False,
            }
        )
    return labels


def _chart(plot: _Plot, figure: dict[str, Any], *, id: str, title: str, subtitle: str, is_tall: bool) -> Chart:
    rows = [
        Row(_row_head(time, plot.times), tuple(plot.unit.write(each.values[index]) for each in plot.series))
        for index, time in enumerate(plot.times)
    ]
    legend = tuple(_legend_entry(index, each, figure) for index, each in enumerate(plot.series))
    return Chart(
        id=id,
        title=title,
        subtitle=subtitle,
        figure=figure,
        legend=legend,
        columns=tuple(each.name for each in plot.series),
        rows=tuple(reversed(rows)),
        is_empty=not any(value is not None for each in plot.series for value in each.values),
        is_tall=is_tall,
    )


def _legend_entry(index: int, series: Series, figure: dict[str, Any]) -> LegendEntry:
    trace = figure["data"][index]
    slot = "-other" if series.slot == OTHER_SLOT else str(series.slot)
    return LegendEntry(index, series.name, slot, trace.get("line", {}).get("dash", "solid"), trace["type"] == "bar")


def _row_head(time: datetime, times: Sequence[datetime]) -> str:
    here = time.astimezone(UTC)
    text = f"{here:%b} {here.day}"
    return text if _hover_format(times) == "%b %-d" else f"{text}, {here:%H:%M}"

"""Charts of a run: how its scores are spread, and how bad the worst are. Titles come from the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.core import formats
from apps.core.charts import Chart, LegendEntry, Row, color

SLOT = 1
WORST_SHARE = 10
"""The worst tenth, in percent."""


def distribution(*, id: str, title: str, subtitle: str, column: str, bins: Sequence[int]) -> Chart:
    """Bars of how many examples lie in each of the equal bins from 0 to 1."""
    names = [_bin(at, len(bins)) for at in range(len(bins))]
    trace: dict[str, Any] = {
        "type": "bar",
        "name": column,
        "x": names,
        "y": list(bins),
        "marker": {"color": color(SLOT)},
        "hovertemplate": "%{customdata}",
    }
    layout = {
        "xaxis": {"type": "category"},
        "yaxis": {"rangemode": "tozero", "tickformat": ",~f"},
        "shapes": [],
        "annotations": [],
        "bargap": 0.12,
    }
    rows = tuple(Row(name, (formats.number(count),)) for name, count in zip(names, bins, strict=True))
    return _chart(id, title, subtitle, {"data": [trace], "layout": layout}, column, rows, is_empty=not any(bins))


def _bin(at: int, count: int) -> str:
    return f"{at / count:.1f}–{(at + 1) / count:.1f}"


def worst_first(*, id: str, title: str, subtitle: str, column: str, worst: str, values: Sequence[float]) -> Chart:
    """A line of the examples' scores from the worst (left) to the best; the worst tenth stands on a ground of its own,
    named `worst`. `values` are the scores at equal steps from the 0th to the 100th percentile."""
    steps = max(len(values) - 1, 1)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": column,
        "x": [at * 100 / steps for at in range(len(values))],
        "y": list(values),
        "line": {"color": color(SLOT)},
        "hovertemplate": "%{customdata}",
    }
    shade = {
        "type": "rect",
        "name": "worst",
        "xref": "x",
        "yref": "paper",
        "x0": 0,
        "x1": WORST_SHARE,
        "y0": 0,
        "y1": 1,
    }
    layout = {
        "xaxis": {"type": "linear", "range": [0, 100], "ticksuffix": " %", "tickvals": [0, 10, 25, 50, 75, 100]},
        "yaxis": {"range": [-0.02, 1.02], "tickformat": ".2f"},
        "shapes": [{**shade, "layer": "below", "line": {"width": 0}, "fillcolor": "rgba(134,141,154,0.18)"}],
        "annotations": [_name_of_worst(worst, values)],
    }
    # The script takes exact values from the table's rows, one for each point, the last row first.
    rows = tuple(Row(f"{at * 100 / steps:.0f} %", (formats.number(value, 3),)) for at, value in enumerate(values))
    return _chart(id, title, subtitle, {"data": [trace], "layout": layout}, column, rows, is_empty=not values)


def _name_of_worst(worst: str, values: Sequence[float]) -> dict[str, Any]:
    """The name stands where the line is not: above it when the worst are low, else at the bottom."""
    is_low = not values or values[len(values) // 10] < 0.5
    return {
        "text": worst,
        "x": WORST_SHARE,
        "xshift": 4,
        "yref": "paper",
        "y": 1 if is_low else 0,
        "xanchor": "left",
        "yanchor": "top" if is_low else "bottom",
        "showarrow": False,
    }


def _chart(
    id: str, title: str, subtitle: str, figure: dict[str, Any], column: str, rows: tuple[Row, ...], *, is_empty: bool
) -> Chart:
    is_bar = figure["data"][0]["type"] == "bar"
    legend = (LegendEntry(0, column, str(SLOT), "solid", is_bar),)
    backwards = tuple(reversed(rows))
    return Chart(id, title, subtitle, figure, legend, (column,), backwards, is_empty)

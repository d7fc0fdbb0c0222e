"""Charts as values: every figure is one Plotly accepts, unknown is a gap, and names cannot become markup."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import plotly.graph_objects as plotly
import pytest

from apps.core import charts
from apps.core.charts import Event, Series, Target

START = datetime(2026, 11, 22, 15, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(4)]
TOKENS = Path(__file__).parents[2] / "static" / "css" / "tokens.css"


def line(values: list[charts.Value], **overrides: object) -> charts.Chart:
    """A chart of one line."""
    options = {"id": "c", "title": "Why?", "times": HOURS, "unit": charts.MS, "series": [Series("P50", values, 3)]}
    return charts.lines(**{**options, **overrides})  # type: ignore[arg-type]


def bars(series: list[Series], **overrides: object) -> charts.Chart:
    """A chart of stacked bars."""
    options = {"id": "c", "title": "Why?", "times": HOURS, "unit": charts.USD, "series": series}
    return charts.stacked_bars(**{**options, **overrides})  # type: ignore[arg-type]


def test_makes_figures_that_plotly_accepts() -> None:
    targets, events = [Target(6000, "target 6 s")], [Event(HOURS[2], "3.4.1 live")]
    full = line([1, None, 3, 4], targets=targets, events=events, end_labels=True, is_tall=True)
    stacked = bars([Series("a", [1, 2, 3, 4]), Series("b", [1, 2, None, 4], 2)], targets=targets, events=events)
    for chart in (full, stacked, line([], times=[])):
        plotly.Figure(json.loads(json.dumps(chart.figure)))


def test_leaves_a_gap_where_a_value_is_unknown() -> None:
    trace = line([10, None, 30, 40]).figure["data"][0]
    assert trace["y"] == [10, None, 30, 40]
    assert trace["connectgaps"] is False


def test_draws_a_value_between_two_gaps_as_a_dot() -> None:
    trace = line([10, None, 30, None]).figure["data"][0]
    assert trace["mode"] == "lines+markers"
    assert trace["marker"]["size"] == [6, 0, 6, 0]
    assert line([10, 20, None, None]).figure["data"][0]["mode"] == "lines"


@pytest.mark.parametrize("text", ['<a href="https://evil.example">x</a>', "<b>x</b>", "a & b", "&lt;i&gt;"])
def test_escapes_what_people_named(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    chart = line(
        [1, 2, 3, 4],
        series=[Series(text, [1, 2, 3, 4])],
        targets=[Target(3, text)],
        events=[Event(HOURS[1], text)],
        end_labels=True,
    )
    texts = [note["text"] for note in chart.figure["layout"]["annotations"]]
    assert chart.figure["data"][0]["name"] == escaped
    assert bars([Series(text, [1, 2, 3, 4])]).figure["data"][0]["name"] == escaped
    assert texts[:2] == [escaped, escaped]
    assert texts[2].startswith(escaped)


@pytest.mark.parametrize(
    ("unit", "value", "on_axis", "suffix"),
    [
        (charts.MS, 842, 842, " ms"),
        (charts.MS, 5_420, 5.42, " s"),
        (charts.MS, 600_000, 10, " min"),
        (charts.PERCENT, 0.871, 87.1, " %"),
        (charts.COUNT, 9_000, 9_000, ""),
        (charts.COUNT, 38_410, 38.41, " k"),
        (charts.USD, Decimal("142.18"), 142.18, ""),
        (charts.TOKENS, 3_100_000, 3.1, " M"),
    ],
)
def test_scales_an_axis_to_its_largest_value(
    unit: charts.Unit, value: charts.Value, on_axis: float, suffix: str
) -> None:
    figure = line([0, 0, 0, value], unit=unit).figure
    assert figure["data"][0]["y"][-1] == on_axis
    assert figure["layout"]["yaxis"]["ticksuffix"] == suffix


@pytest.mark.parametrize(("dollars", "written"), [(0.25, ",.2f"), (16, ",~f"), (0.004, ",~f")])
def test_writes_cents_on_the_axis_of_small_sums(dollars: float, written: str) -> None:
    assert line([dollars] * 4, unit=charts.USD).figure["layout"]["yaxis"]["tickformat"] == written


def test_counts_the_height_of_a_stack_when_it_scales() -> None:
    figure = bars([Series(name, [6_000] * 4) for name in "ab"]).figure
    assert figure["layout"]["yaxis"]["ticksuffix"] == " k"


def test_keeps_a_target_in_sight() -> None:
    layout = line([100, 200, 300, 250], targets=[Target(6000, "target 6 s")]).figure["layout"]
    assert layout["yaxis"]["autorangeoptions"] == {"include": [6]}
    assert layout["shapes"][0]["y0"] == layout["shapes"][0]["y1"] == 6


def test_writes_a_targets_name_where_no_line_runs() -> None:
    rising = line([900, 950, 990, 1010], targets=[Target(1000, "target")]).figure["layout"]["annotations"][0]
    assert (rising["xanchor"], rising["yanchor"]) == ("left", "bottom")
    above = line([1040, 1040, 1040, 1040], targets=[Target(1000, "target")]).figure["layout"]["annotations"][0]
    assert (above["xanchor"], above["yanchor"]) == ("left", "top")


def test_keeps_labels_at_line_ends_apart() -> None:
    series = [Series(f"P{index}", [0, 0, 0, 1000 + index], index) for index in (1, 2, 3)]
    heights = [note["y"] for note in line([], series=series, end_labels=True).figure["layout"]["annotations"]]
    gaps = [after - before for before, after in zip(heights, heights[1:], strict=False)]
    assert min(gaps) >= 0.99 * charts.LABEL_GAP * 1.003


def test_has_the_same_numbers_in_its_table_newest_first() -> None:
    chart = bars([Series("a", [Decimal("0.0042"), None, Decimal(3), Decimal(4)])])
    assert [row.head for row in chart.rows] == ["Nov 22, 18:00", "Nov 22, 17:00", "Nov 22, 16:00", "Nov 22, 15:00"]
    assert [row.cells for row in chart.rows] == [("$4.00",), ("$3.00",), ("–",), ("$0.0042",)]


def test_names_days_without_a_time() -> None:
    days = [START.replace(hour=0) + timedelta(days=day) for day in range(3)]
    chart = line([1, 2, 3], times=days, series=[Series("a", [1, 2, 3])])
    assert [row.head for row in chart.rows] == ["Nov 24", "Nov 23", "Nov 22"]
    assert chart.figure["layout"]["xaxis"]["tickformat"] == "%b %-d"


def test_is_empty_only_when_nothing_is_known() -> None:
    assert line([None] * 4).is_empty
    assert line([], times=[]).is_empty
    assert not line([None, 0, None, None]).is_empty


def test_gives_a_name_the_same_color_whoever_else_is_shown() -> None:
    known = [f"feature-{index}" for index in range(8)]
    every = charts.slots(known, known)
    assert sorted(every.values()) == list(range(1, 9))
    for name in known:
        assert charts.slots([name], known)[name] == every[name]
    assert charts.slots(known[3:6], known) == {name: every[name] for name in known[3:6]}


def test_gives_different_colors_to_names_that_would_share_one() -> None:
    known = [f"feature-{index}" for index in range(12)]
    chosen = charts.slots(["feature-1", "feature-9"], known)
    assert chosen["feature-1"] == 2
    assert chosen["feature-9"] != 2


def test_adds_up_what_does_not_fit_as_other() -> None:
    series = [Series(f"f{index}", [Decimal(index), None], index % 8 + 1) for index in range(10)]
    kept = charts.with_other(series, most=8)
    assert [each.name for each in kept] == ["f3", "f4", "f5", "f6", "f7", "f8", "f9", "other"]
    assert list(kept[-1].values) == [Decimal(0 + 1 + 2), None]
    assert kept[-1].slot == charts.OTHER_SLOT
    assert charts.with_other(series[:8], most=8) == series[:8]


def test_uses_the_colors_of_the_style_sheet() -> None:
    declared = re.findall(r"--series-\d: (#[0-9a-f]{6});", TOKENS.read_text())
    assert tuple(declared) == charts.PALETTE

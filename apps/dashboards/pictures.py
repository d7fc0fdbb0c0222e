"""The charts of the pages: which figures, as which lines or bars, under which question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from apps.core import charts
from apps.dashboards import words
from apps.dashboards.groups import has_just_begun, spend_layers
from apps.telemetry.addresses import not_said
from apps.telemetry.figures import Dimension, FigureRow, FigureTable, Interval

P50_SLOT, P95_SLOT, P99_SLOT = 3, 2, 1
ANSWERED_SLOT, FAILED_SLOT = 7, 8


def spend(table: FigureTable, *, known: Sequence[str], is_tall: bool = False) -> charts.Chart:
    """Dollars over time, stacked by the one dimension of the table; `known` are its names in a lasting order."""
    (dimension,) = table.request.group_by

    def name(group: tuple[str, ...]) -> str:
        return words.name_of(group, dimension)

    shown = [name(row.group) for row in table.groups]
    slots = charts.slots(shown, known)
    return charts.stacked_bars(
        id="chart-spend",
        title=_("Where does the money go?"),
        subtitle=_("Spend, $ %(by)s") % {"by": words.by_interval(table.request.interval)},
        times=table.request.buckets,
        series=charts.with_other(spend_layers(table, name, slots), name=_("other")),
        unit=charts.USD,
        is_tall=is_tall,
    )


def latency(
    times: Sequence[datetime],
    rows: Sequence[FigureRow],
    interval: Interval,
    *,
    is_tall: bool = False,
    targets: Sequence[charts.Target] = (),
) -> charts.Chart:
    """P50, P95 and P99 over time, with lines where they are promised to stay below."""
    return charts.lines(
        id="chart-latency",
        title=_("How fast do we answer?"),
        subtitle=_("Latency %(by)s") % {"by": words.by_interval(interval)},
        times=times,
        series=[
            charts.Series("P99", _course(rows, "latency", "p99"), P99_SLOT),
            charts.Series("P95", _course(rows, "latency", "p95"), P95_SLOT),
            charts.Series("P50", _course(rows, "latency", "p50"), P50_SLOT),
        ],
        unit=charts.MS,
        targets=targets,
        is_tall=is_tall,
    )


def first_token(
    times: Sequence[datetime],
    rows: Sequence[FigureRow],
    interval: Interval,
    *,
    targets: Sequence[charts.Target] = (),
) -> charts.Chart:
    """The time to the first token over time, with lines where it is promised to stay below."""
    return charts.lines(
        id="chart-ttft",
        title=_("How long is the wait?"),
        subtitle=_("TTFT %(by)s") % {"by": words.by_interval(interval)},
        times=times,
        series=[
            charts.Series("P99", _course(rows, "ttft", "p99"), P99_SLOT),
            charts.Series("P50", _course(rows, "ttft", "p50"), P50_SLOT),
        ],
        unit=charts.MS,
        targets=targets,
    )


def calls(times: Sequence[datetime], rows: Sequence[FigureRow], interval: Interval) -> charts.Chart:
    """Calls over time, those that failed on top."""
    return charts.stacked_bars(
        id="chart-calls",
        title=_("How often does it fail?"),
        subtitle=_("Calls %(by)s") % {"by": words.by_interval(interval)},
        times=times,
        series=[
            charts.Series(_("answered"), [row.calls - row.errors for row in rows], ANSWERED_SLOT),
            charts.Series(_("failed"), [row.errors for row in rows], FAILED_SLOT),
        ],
        unit=charts.COUNT,
    )


def slow_groups(
    table: FigureTable, lines: Sequence[tuple[str, Sequence[int | None]]], percentile: str, *, known: Sequence[str]
) -> charts.Chart:
    """One percentile of each group over time."""
    (dimension,) = table.request.group_by
    names = [words.name_of((value,), dimension) for value, _values in lines]
    slots = charts.slots(names, known)
    return charts.lines(
        id="chart-slow",
        title=_("Who is slow?"),
        subtitle=_("%(percentile)s %(by)s")
        % {"percentile": percentile.upper(), "by": words.by_interval(table.request.interval)},
        times=table.request.buckets,
        series=[charts.Series(name, values, slots[name]) for name, (_value, values) in zip(names, lines, strict=True)],
        unit=charts.MS,
        is_tall=True,
    )


def _course(rows: Sequence[FigureRow], length: str, percentile: str) -> list[int | None]:
    """A percentile over time. An interval that has just begun is left out: its few calls would look like a fall."""
    values = [getattr(getattr(row, length), percentile) for row in rows]
    return [*values[:-1], None] if has_just_begun(rows) else values


def order(dimension: Dimension, features: Sequence[str]) -> list[str]:
    """The names of a dimension in a lasting order, as far as one is known: features, and calls without one last."""
    return [*features, not_said(dimension)] if dimension is Dimension.FEATURE else []

"""The metrics of `/api/v1/metrics`: their names, and how each is read from a row of figures. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter

from apps.core.money import as_json
from apps.telemetry.figures import COUNTS, FigureRow, Percentiles

Value = int | float | str | None
"""Counts and milliseconds are whole numbers, rates floats, money decimal text; None is what is not known."""

LENGTHS = ("latency_ms", "ttft_ms")
PERCENTILES = ("p50", "p95", "p99")
SCORES = "score."


def _length(name: str, percentile: str) -> Callable[[FigureRow], Value]:
    pick: Callable[[FigureRow], Percentiles] = attrgetter(name.removesuffix("_ms"))
    return lambda row: getattr(pick(row), percentile)


METRICS: dict[str, Callable[[FigureRow], Value]] = {
    **{name: attrgetter(name) for name in COUNTS},
    "error_rate": lambda row: row.error_rate,
    "cost_usd": lambda row: as_json(row.cost_usd),
    **{f"{name}.{percentile}": _length(name, percentile) for name in LENGTHS for percentile in PERCENTILES},
}


def is_length(metric: str) -> bool:
    """Whether the metric is a percentile, which costs more to read than a sum."""
    return metric.startswith(LENGTHS)


def values_of(row: FigureRow, metrics: Iterable[str]) -> dict[str, Value]:
    """The row's value of each of these metrics."""
    return {metric: METRICS[metric](row) for metric in metrics}


def why_not(metric: str) -> str | None:
    """What to say of a name that is no metric; None for one that is."""
    if metric in METRICS:
        return None
    known = ", ".join(METRICS)
    if metric.startswith(SCORES):
        return f"Scores cannot be asked for here yet. There are: {known}."
    return f"There is no metric {metric!r}. There are: {known}."

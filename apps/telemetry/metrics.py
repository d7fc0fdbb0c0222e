"""The metrics of `/api/v1/metrics`: their names, and how each is read from a row of figures or from scores. Pure.

`score.<name>` is the mean of a score's numbers, which for thumbs is the share of thumbs up; `score.<name>.count` is how
many scores there are. Calls stand at the time they started, scores at the time they were given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from apps.core.money import as_json
from apps.telemetry.figures import COUNTS, FigureRow, FigureTable, Percentiles
from apps.telemetry.scoring import MAX_NAME_CHARS, ScorePoint

Value = int | float | str | None
"""Counts and milliseconds are whole numbers, rates floats, money decimal text; None is what is not known."""

LENGTHS = ("latency_ms", "ttft_ms")
PERCENTILES = ("p50", "p95", "p99")
SCORES = "score."
COUNT = ".count"


def _length(name: str, percentile: str) -> Callable[[FigureRow], Value]:
    pick: Callable[[FigureRow], Percentiles] = attrgetter(name.removesuffix("_ms"))
    return lambda row: getattr(pick(row), percentile)


METRICS: dict[str, Callable[[FigureRow], Value]] = {
    **{name: attrgetter(name) for name in COUNTS},
    "error_rate": lambda row: row.error_rate,
    "cost_usd": lambda row: as_json(row.cost_usd),
    **{f"{name}.{percentile}": _length(name, percentile) for name in LENGTHS for percentile in PERCENTILES},
}
KNOWN = (*METRICS, f"{SCORES}<name>", f"{SCORES}<name>{COUNT}")
"""What can be asked for, in words."""


def is_length(metric: str) -> bool:
    """Whether the metric is a percentile, which costs more to read than a sum."""
    return metric.startswith(LENGTHS)


def is_score(metric: str) -> bool:
    """Whether the metric is of scores rather than of calls."""
    return metric.startswith(SCORES)


def score_names(metrics: Iterable[str]) -> list[str]:
    """The names of the scores that these metrics are of."""
    asked = (metric.removeprefix(SCORES).removesuffix(COUNT) for metric in metrics if is_score(metric))
    return list(dict.fromkeys(asked))


def why_not(metric: str) -> str | None:
    """What to say of a name that is no metric; None for one that is."""
    if metric in METRICS or (is_score(metric) and 0 < len(score_names([metric])[0]) <= MAX_NAME_CHARS):
        return None
    return f"There is no metric {metric!r}. There are: {', '.join(KNOWN)}."


class _Place(NamedTuple):
    at: datetime | None
    group: tuple[str, ...]


def points(table: FigureTable, scores: Sequence[ScorePoint], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The answer's points, by time and then by group: those of the table, and those where there are only scores."""
    rows = table.rows if table.request.group_by else table.series
    calls = {_Place(row.at, row.group): row for row in rows}
    scored: dict[_Place, dict[str, ScorePoint]] = {}
    for point in scores:
        scored.setdefault(_Place(point.at, point.group), {})[point.name] = point
    silent = FigureTable.of_pieces(table.request, []).total
    places = [*calls, *(place for place in scored if place not in calls)]
    if len(places) > len(calls):
        places.sort(key=lambda place: (place.at is not None, place.at, place.group))
    names = [dimension.value for dimension in table.request.group_by]
    return [
        {
            "at": place.at,
            "group": dict(zip(names, place.group, strict=False)),
            "metrics": {
                metric: _score(metric, scored.get(place, {}))
                if is_score(metric)
                else METRICS[metric](calls.get(place, silent))
                for metric in metrics
            },
        }
        for place in places
    ]


def _score(metric: str, found: dict[str, ScorePoint]) -> Value:
    point = found.get(metric.removeprefix(SCORES).removesuffix(COUNT))
    if metric.endswith(COUNT):
        return point.count if point else 0
    return point.mean if point else None

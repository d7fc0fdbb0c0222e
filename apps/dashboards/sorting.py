"""Tables that can be sorted by an address: `?sort=p99`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.dashboards.groups import GroupRow

SortKey = Callable[[GroupRow], Any]


def _or_last(value: Any) -> tuple[bool, Any]:
    """Unknown values come after all others when the largest comes first."""
    return (value is not None, value if value is not None else 0)


SPEND_SORTS: Mapping[str, SortKey] = {
    "spend": lambda row: _or_last(row.now.cost_usd),
    "calls": lambda row: (True, row.now.calls),
    "per_call": lambda row: _or_last(row.cost_per_call),
    "input": lambda row: (True, row.now.input_tokens),
    "output": lambda row: (True, row.now.output_tokens),
}
LATENCY_SORTS: Mapping[str, SortKey] = {
    "p99": lambda row: _or_last(row.now.latency.p99),
    "p95": lambda row: _or_last(row.now.latency.p95),
    "p50": lambda row: _or_last(row.now.latency.p50),
    "ttft": lambda row: _or_last(row.now.ttft.p99),
    "calls": lambda row: (True, row.now.calls),
}


def ordered(rows: Sequence[GroupRow], sorts: Mapping[str, SortKey], chosen: str) -> list[GroupRow]:
    """The rows with the largest first; what cannot be sorted by falls back to the first of the sorts."""
    return sorted(rows, key=sorts.get(chosen) or next(iter(sorts.values())), reverse=True)


def chosen(sorts: Mapping[str, SortKey], named: str | None) -> str:
    """The sort in force."""
    return named if named is not None and named in sorts else next(iter(sorts))

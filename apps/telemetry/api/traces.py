"""JSON endpoints that read telemetry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from apps.core import clock
from apps.core.clock import zone_named
from apps.core.errors import Invalid
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry.figures import Dimension, FigureRow, FigureTable, Filters, Interval
from apps.telemetry.metrics import is_length, values_of
from apps.telemetry.selectors import traces
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.serializers import (
    MetricsOutput,
    MetricsQuery,
    OneTraceQuery,
    SpanPageOutput,
    SpanQuery,
    TraceOutput,
    TracePageOutput,
    TraceQuery,
)
from apps.telemetry.shapes import span_shape, summary_shape, trace_shape

DEFAULT_RANGE = timedelta(hours=24)
LONGEST_RANGE = timedelta(days=400)
LONGEST_RANGE_OF_MINUTES = timedelta(hours=24)
FIRST_YEAR, LAST_YEAR = 1970, 9999
FILTERS = {
    "environment": "environment",
    "feature": "feature",
    "model": "model",
    "provider": "provider",
    "status": "status",
    "user": "user_id",
    "session": "session_id",
    "prompt": "prompt_name",
    "kind": "kind",
}
"""Query parameters, and the fields of a span that they name."""


class ReadApi(ProjectApi):
    """Reading: any member, and keys with the scope `read`."""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ


def _asked(shape: type[serializers.Serializer[Any]], request: ApiRequest) -> dict[str, Any]:
    """The query in its shape. Raises Invalid's kin for parameters that are wrong or not known."""
    unknown = sorted(set(request.query_params) - set(shape().fields) - {"project"})
    if unknown:
        raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=sorted(shape().fields))
    query = shape(data=request.query_params)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def _range(query: dict[str, Any]) -> tuple[datetime, datetime]:
    end = query.get("to") or clock.now() + traces.TICK
    if not FIRST_YEAR < end.year < LAST_YEAR:
        raise Invalid(f"Times lie between the years {FIRST_YEAR} and {LAST_YEAR}.")
    start = query.get("from") or end - DEFAULT_RANGE
    if start >= end:
        raise Invalid("`from` must lie before `to`.")
    if end - start > LONGEST_RANGE:
        raise Invalid(f"A range may have {LONGEST_RANGE.days} days.")
    return start, end


def _filter(query: dict[str, Any]) -> traces.TraceFilter:
    return traces.TraceFilter(**{field: query[name] for name, field in FILTERS.items() if name in query})


class TracesApi(ReadApi):
    """`GET /api/v1/traces`"""

    @extend_schema(parameters=[TraceQuery], responses=TracePageOutput)
    def get(self, request: ApiRequest) -> Response:
        """Traces with a span that matches, newest first."""
        query = _asked(TraceQuery, request)
        start, end = _range(query)
        page = traces.recent_traces(
            request.project.pk,
            start=start,
            end=end,
            matching=_filter(query),
            limit=query["limit"],
            cursor=query.get("cursor"),
        )
        return Response({"items": [summary_shape(item) for item in page.items], "next": page.next_cursor})


class TraceApi(ReadApi):
    """`GET /api/v1/traces/{trace_id}`"""

    @extend_schema(parameters=[OneTraceQuery], responses=TraceOutput)
    def get(self, request: ApiRequest, trace_id: str) -> Response:
        """One trace with its spans and totals."""
        query = _asked(OneTraceQuery, request)
        return Response(trace_shape(traces.get_trace(request.project.pk, trace_id, at=query.get("at"))))


class SpansApi(ReadApi):
    """`GET /api/v1/spans`"""

    @extend_schema(parameters=[SpanQuery], responses=SpanPageOutput)
    def get(self, request: ApiRequest) -> Response:
        """Spans that match, newest first."""
        query = _asked(SpanQuery, request)
        start, end = _range(query)
        page = traces.recent_spans(
            request.project.pk,
            start=start,
            end=end,
            matching=_filter(query),
            limit=query["limit"],
            cursor=query.get("cursor"),
        )
        return Response({"items": [span_shape(item) for item in page.items], "next": page.next_cursor})


class MetricsApi(ReadApi):
    """`GET /api/v1/metrics`"""

    @extend_schema(parameters=[MetricsQuery], responses=MetricsOutput)
    def get(self, request: ApiRequest) -> Response:
        """Figures of calls (spans of kind llm or embedding that are counted), exact at the moment of asking.

        Percentiles are of the nearest rank, in whole milliseconds, and at most 0.5 % off. A cost is the sum of the
        calls with a known price; `unpriced_calls` says how many have none. At most 10,000 points.
        """
        query = _asked(MetricsQuery, request)
        start, end = _range(query)
        interval = Interval(query["interval"])
        if interval is Interval.MINUTE and end - start > LONGEST_RANGE_OF_MINUTES:
            raise Invalid("A range cut into minutes may have 24 hours; take hours or a shorter range.")
        table = read_figures(
            request.project.pk,
            start=start,
            end=end,
            group_by=tuple(query["group_by"]),
            interval=interval,
            filters=Filters(**{dimension.value: query.get(dimension.value) for dimension in Dimension}),
            timezone=zone_named(request.project.timezone),
            has_lengths=any(map(is_length, query["metric"])),
        )
        return Response({"items": [_point(row, table, query["metric"]) for row in _points(table)], "next": None})


def _points(table: FigureTable) -> tuple[FigureRow, ...]:
    return table.rows if table.request.group_by else table.series


def _point(row: FigureRow, table: FigureTable, metrics: list[str]) -> dict[str, Any]:
    group = {dimension.value: value for dimension, value in zip(table.request.group_by, row.group, strict=False)}
    return {"at": row.at, "group": group, "metrics": values_of(row, metrics)}

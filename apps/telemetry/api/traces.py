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
from apps.telemetry import metrics
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval
from apps.telemetry.filters import TraceFilter, read_prompt, read_score
from apps.telemetry.search_words import read_search
from apps.telemetry.selectors import traces
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.selectors.one_trace import get_trace
from apps.telemetry.selectors.scores import read_points, scores_of_trace
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
    "kind": "kind",
    "tool": "tool_name",
    "agent": "agent_name",
    "tag": "tag",
    "error_type": "error_type",
    "min_latency_ms": "least_latency_ms",
    "max_latency_ms": "most_latency_ms",
    "min_cost_usd": "least_cost_usd",
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


def _filter(query: dict[str, Any]) -> TraceFilter:
    """What the query narrows by. Raises Invalid for a search without a word and for a score that is no comparison."""
    given = {field: query[name] for name, field in FILTERS.items() if name in query}
    prompt_name, prompt_version = read_prompt(query.get("prompt"))
    text, score = read_search(query.get("text")), read_score(query.get("score"))
    if "text" in query and text is None:
        raise Invalid("`text` needs a word: letters or digits.")
    if "score" in query and score is None:
        raise Invalid("`score` compares a name with a number or a label, such as `thumbs<1` or `outcome=ok`.")
    is_flagged = query.get("flagged") or None
    return TraceFilter(
        **given,
        prompt_name=prompt_name,
        prompt_version=prompt_version,
        text=text,
        score=score,
        is_flagged=is_flagged,
    )


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
        """One trace with its spans, scores and totals; of a trace with more than 5,000 spans the first 5,000."""
        query = _asked(OneTraceQuery, request)
        trace = get_trace(request.project.pk, trace_id, at=query.get("at"))
        spans = [span.span_id for span in trace.spans]
        return Response(trace_shape(trace, scores_of_trace(request.project.pk, trace.trace_id, span_ids=spans)))


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
        """Figures of calls (spans of kind llm or embedding that are counted) and means of scores, exact at the moment
        of asking.

        Percentiles are of the nearest rank, in whole milliseconds, and at most 0.5 % off. A cost is the sum of the
        calls with a known price; `unpriced_calls` says how many have none. At most 10,000 points.
        """
        query = _asked(MetricsQuery, request)
        start, end = _range(query)
        interval = Interval(query["interval"])
        if interval is Interval.MINUTE and end - start > LONGEST_RANGE_OF_MINUTES:
            raise Invalid("A range cut into minutes may have 24 hours; take hours or a shorter range.")
        asked: dict[str, Any] = {
            "start": start,
            "end": end,
            "group_by": tuple(query["group_by"]),
            "interval": interval,
            "filters": Filters(**{dimension.value: query.get(dimension.value) for dimension in Dimension}),
            "timezone": zone_named(request.project.timezone),
        }
        wanted = query["metric"]
        table = (
            FigureTable.of_pieces(FigureRequest(**asked), [])
            if all(map(metrics.is_score, wanted))
            else read_figures(request.project.pk, **asked, has_lengths=any(map(metrics.is_length, wanted)))
        )
        names = metrics.score_names(wanted)
        found = read_points(request.project.pk, **asked, names=names) if names else []
        return Response({"items": metrics.points(table, found, wanted), "next": None})

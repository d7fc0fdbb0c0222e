"""The list of traces: what happened lately."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import ngettext

from apps.core import clock
from apps.core.http import wants_fragment
from apps.core.periods import Period, read_moment, read_period
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.selectors import list_features
from apps.telemetry import list_filters
from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors import traces as selectors
from apps.telemetry.selectors.saved_views import list_views
from apps.telemetry.selectors.traces import BadCursor, TracePage, TraceSummary

PAGE_SIZE = 50


@project_page()
def traces(request: ProjectRequest, project: Project) -> HttpResponse:
    """What happened? Recent traces, newest first, narrowed by what is in the address; for htmx the list alone.

    With `live=1` the list asks for itself again and again, and is answered 204 as long as nothing is new.
    """
    now = clock.now()
    params = request.GET.dict()
    period = read_period(params, now=now, default="24h")
    matching = list_filters.read_filter(params)
    is_live = params.get("live") == "1" and not params.get("cursor")
    page = _page(project, period, matching, params.get("cursor"))
    mark = _mark(page.items)
    is_fragment = wants_fragment(request)
    if is_fragment and is_live and request.headers.get("X-Mark") == mark:
        return HttpResponse(status=204)
    context = {
        "project": project,
        "now": now,
        "traces": page.items,
        "next_cursor": page.next_cursor,
        "is_first": not params.get("cursor"),
        "is_filtered": list_filters.is_narrowed(matching),
        "is_live": is_live,
        "mark": mark,
        "newest": page.items[0].started_at.isoformat() if page.items else "",
        "news": _news(page.items, request) if is_fragment and is_live else "",
    }
    if not is_fragment:
        context |= _around(request, project, params, matching, page)
    name = "telemetry/_trace_list.html" if is_fragment else "telemetry/traces.html"
    response = render(request, name, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _page(project: Project, period: Period, matching: TraceFilter, cursor: str | None) -> TracePage:
    try:
        return selectors.recent_traces(
            project.pk, start=period.start, end=period.end, matching=matching, limit=PAGE_SIZE, cursor=cursor
        )
    except BadCursor:
        return selectors.recent_traces(
            project.pk, start=period.start, end=period.end, matching=matching, limit=PAGE_SIZE
        )


def _around(
    request: ProjectRequest, project: Project, params: dict[str, str], matching: TraceFilter, page: TracePage
) -> dict[str, Any]:
    """The filters and the saved views."""
    features = [feature.slug for feature in list_features(project)]
    models = {model for item in page.items for model in item.models}
    return {
        **list_filters.bar(params, matching, features=features, models=models),
        "list_page": "traces",
        "views": list_views(project, request.user, "traces"),
    }


def _mark(items: list[TraceSummary]) -> str:
    """Changes when anything in the list does."""
    return hashlib.blake2b(repr(items).encode(), digest_size=8).hexdigest()


def _news(items: list[TraceSummary], request: ProjectRequest) -> str:
    """How many traces came since the list was last shown, for those who do not see it move."""
    since = read_moment(request.headers.get("X-Newest"))
    count = sum(since is None or item.started_at > since for item in items)
    if not count:
        return ""
    return ngettext("%(count)s new trace", "%(count)s new traces", count) % {"count": count}

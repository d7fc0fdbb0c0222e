"""The list of traces: what happened lately."""

from __future__ import annotations

import hashlib

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import ngettext

from apps.core import clock
from apps.core.http import wants_fragment
from apps.core.periods import read_moment, read_period
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry import list_filters
from apps.telemetry.selectors import traces as selectors
from apps.telemetry.selectors.traces import TraceSummary
from apps.telemetry.views import lists


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
    page = lists.read_page(selectors.recent_traces, project, period, matching, params.get("cursor"))
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
        models = {model for item in page.items for model in item.models}
        context |= lists.around(request, project, matching, list_page="traces", models=models)
    name = "telemetry/_trace_list.html" if is_fragment else "telemetry/traces.html"
    response = render(request, name, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


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

"""Users: who calls, how often and for how much, and one of them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from apps.core import charts, clock
from apps.core.clock import zone_named
from apps.core.periods import Period, read_period
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry import list_filters
from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors import sessions, traces
from apps.telemetry.selectors import users as selectors
from apps.telemetry.views import lists

RECENT = 20
"""So many traces and sessions of one user are shown."""


@project_page()
def users(request: ProjectRequest, project: Project) -> HttpResponse:
    """Who uses it? Users, the one with the newest call first."""
    now = clock.now()
    params = request.GET.dict()
    period = read_period(params, now=now, default="24h")
    matching = list_filters.read_filter(params)
    page = lists.read_page(selectors.recent_users, project, period, matching, params.get("cursor"))
    context = {
        "project": project,
        "users": page.items,
        "next_cursor": page.next_cursor,
        "is_first": not params.get("cursor"),
        **lists.around(request, project, matching, list_page="users"),
    }
    return render(request, "telemetry/users.html", context)


@project_page()
def user(request: ProjectRequest, project: Project) -> HttpResponse:
    """What did this user do, and what did it cost? The user is named by `id`, since the name may have any signs."""
    name = request.GET.get("id", "")
    if not name or "\x00" in name:
        raise Http404
    period = read_period(request.GET.dict(), now=clock.now(), default="30d")
    matching = TraceFilter(user_id=name)
    start, end = period.start, period.end
    context = {
        "project": project,
        "user_id": name,
        "summary": selectors.find_user(project.pk, name, start=period.start, end=period.end),
        "chart": _spend(project, name, period),
        "traces": traces.recent_traces(project.pk, start=start, end=end, matching=matching, limit=RECENT).items,
        "sessions": sessions.recent_sessions(project.pk, start=start, end=end, matching=matching, limit=RECENT).items,
    }
    return render(request, "telemetry/user.html", context)


def _spend(project: Project, name: str, period: Period) -> charts.Chart:
    """What the user's calls cost by day; a day without a call cost nothing."""
    zone = zone_named(project.timezone)
    found = {
        each.day: each
        for each in selectors.days_of_user(
            project.pk, name, start=period.start, end=period.end, timezone=project.timezone
        )
    }
    first, last = period.start.astimezone(zone).date(), period.end.astimezone(zone).date()
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return charts.stacked_bars(
        id="chart-user-spend",
        title=_("What does this user cost?"),
        subtitle=_("Spend, $ a day"),
        times=[datetime.combine(day, time(), zone).astimezone(UTC) for day in days],
        series=[charts.Series(_("cost"), [found[day].cost_usd if day in found else 0 for day in days])],
        unit=charts.USD,
    )

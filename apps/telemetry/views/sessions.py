"""Sessions: who talked with us lately, and one conversation whole."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render

from apps.core import clock
from apps.core.errors import NotFound
from apps.core.periods import read_moment, read_period
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry import conversation, list_filters
from apps.telemetry.selectors import sessions as selectors
from apps.telemetry.selectors.scores import scores_of_session, scores_of_traces
from apps.telemetry.views import lists

TURNS = 20
"""So many traces of a session are shown at once."""


@project_page()
def sessions(request: ProjectRequest, project: Project) -> HttpResponse:
    """Who talked with us, and how did it go? Sessions, the one with the newest call first."""
    now = clock.now()
    params = request.GET.dict()
    period = read_period(params, now=now, default="24h")
    matching = list_filters.read_filter(params)
    page = lists.read_page(selectors.recent_sessions, project, period, matching, params.get("cursor"))
    context = {
        "project": project,
        "sessions": page.items,
        "next_cursor": page.next_cursor,
        "is_first": not params.get("cursor"),
        **lists.around(request, project, matching, list_page="sessions"),
    }
    return render(request, "telemetry/sessions.html", context)


@project_page()
def session(request: ProjectRequest, project: Project) -> HttpResponse:
    """What was said in this session, turn by turn? The session is named by `id`, since its name may have any signs."""
    name = request.GET.get("id", "")
    if not name or "\x00" in name:
        raise Http404
    wish = request.GET.get("turn", "")
    first = int(wish) if wish.isdecimal() and len(wish) < 9 else 0
    try:
        found = selectors.get_session(project.pk, name, at=read_moment(request.GET.get("at")), first=first, limit=TURNS)
    except NotFound as error:
        raise Http404 from error
    scores = scores_of_traces(project.pk, [turn.trace_id for turn in found.turns])
    count = found.summary.traces
    context = {
        "project": project,
        "session": found.summary,
        "has_failed": found.has_failed,
        "turns": [
            (turn, conversation.exchange(turn.root, turn.answer), scores.get(turn.trace_id, [])) for turn in found.turns
        ],
        "scores": scores_of_session(project.pk, name),
        "window": {
            "is_needed": count > TURNS,
            "first": first + 1,
            "last": first + len(found.turns),
            "count": count,
            "previous": str(max(0, first - TURNS)) if first else "",
            "next": str(first + TURNS) if first + TURNS < count else "",
        },
    }
    return render(request, "telemetry/session.html", context)

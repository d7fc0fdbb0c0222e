"""The pages of one trace: how it ended, where the time went, and one of its spans in full."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from apps.core import navigation
from apps.core.errors import NotFound
from apps.core.periods import read_moment
from apps.core.templatetags.ui import changed_query
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.telemetry import conversation, resending, trace_words, waterfall
from apps.telemetry.score_forms import JudgeForm
from apps.telemetry.selectors import one_trace as selectors
from apps.telemetry.selectors.one_trace import Outline
from apps.telemetry.selectors.scores import ScoreView, scores_of_trace
from apps.telemetry.selectors.spans import SpanView

MOST_ROWS = 200
"""So many spans are drawn at once; a longer trace is drawn in stretches of as many."""

MOST_STEPS = 30
"""So many steps of a conversation are shown at once."""

MOST_RAW_CHARS = 60_000


@project_page()
def trace(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponse:
    """One trace: how it ended, where the time went, and one of its spans in full; for htmx the span alone."""
    found = _get(project, trace_id, request.GET.get("at"))
    place = _chosen(found, request.GET.get("span", ""))
    (span,) = found.spans(place, place + 1)
    scores = scores_of_trace(project.pk, found.trace_id, span_ids=[span.span_id])
    is_fragment = _wants_span(request)
    context: dict[str, Any] = {
        "project": project,
        "trace": found,
        "span": span,
        "span_length_ms": waterfall.length_of(span),
        "playground_url": navigation.address("playground", project.slug) if span.kind == "llm" else None,
        **_panel(span, request.GET.get("tab", ""), [score for score in scores if score.span_id == span.span_id]),
        **_neighbors(found, place),
    }
    if not is_fragment:
        context |= _whole(found, place, request, scores)
    response = render(request, "telemetry/_span.html" if is_fragment else "telemetry/trace.html", context)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@project_page()
def trace_json(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponse:
    """The trace as JSON, under the names that the intake takes; it says when it has more spans than are given."""
    found = _get(project, trace_id, request.GET.get("at"))
    spans = found.spans(0, selectors.MOST_SPANS)
    body: dict[str, Any] = {"trace_id": found.trace_id, "spans": [resending.as_json(span) for span in spans]}
    if found.count > len(spans):
        body["truncated"] = True
    response = JsonResponse(body, json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = f'attachment; filename="trace-{found.trace_id}.json"'
    return response


def _get(project: Project, trace_id: str, at: str | None) -> Outline:
    try:
        return selectors.get_outline(project.pk, trace_id, at=read_moment(at))
    except NotFound as error:
        raise Http404 from error


def _wants_span(request: ProjectRequest) -> bool:
    """True when htmx replaces the span's panel, be it through a boosted link."""
    htmx = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and htmx.target == "span" and not htmx.history_restore_request


def _chosen(found: Outline, span_id: str) -> int:
    place = found.place_of(span_id)
    return found.place_to_open() if place is None else place


def _neighbors(found: Outline, place: int) -> dict[str, str]:
    """The spans above and below, for the keys and the buttons that go through them."""
    return {
        "above": _id_at(found, place - 1),
        "below": _id_at(found, place + 1),
    }


def _id_at(found: Outline, place: int) -> str:
    """The id of the span at that place; empty where there is none."""
    return found.places(place, place + 1)[0][2].hex() if 0 <= place < found.count else ""


def _whole(found: Outline, place: int, request: ProjectRequest, scores: list[ScoreView]) -> dict[str, Any]:
    """What stands around the span."""
    length_ms = found.extent.length_ms if found.extent.has_length else None
    is_talk = request.GET.get("view") == "conversation"
    return {
        "head": trace_words.head(found, length_ms),
        "length_ms": length_ms,
        "costs_note": trace_words.costs_note(found),
        "scores": scores,
        "judge": JudgeForm() if request.membership.rank.allows(Role.EDITOR) else None,
        "is_talk": is_talk,
        # The rows' addresses differ in their ends alone.
        "row_address": f"{changed_query(request.GET, {'span': None, 'tab': None})}&span=",
        **(_talk(found, request.GET.get("step", "")) if is_talk else _waterfall(found, place, length_ms)),
    }


def _waterfall(found: Outline, place: int, length_ms: int | None) -> dict[str, Any]:
    """The stretch of the waterfall that holds the place."""
    first = place // MOST_ROWS * MOST_ROWS
    rows = found.rows(first, first + MOST_ROWS)
    calls = [row for row in rows if row.counted]
    share = waterfall.share_of(found.model_ms, length_ms)
    return {
        "picture": waterfall.draw(rows, found.extent),
        "window": _window(found, first),
        "models_note": trace_words.models_note(share, found.totals.model_calls),
        "calls": calls,
        "has_details": any(
            call.cached_input_tokens or call.reasoning_tokens or call.client_cost_usd is not None for call in calls
        ),
    }


def _window(found: Outline, first: int) -> dict[str, Any]:
    """Which stretch of a long trace is drawn, with the spans that lead to its neighbors."""
    return {
        "is_needed": found.count > MOST_ROWS,
        "first": first + 1,
        "last": min(found.count, first + MOST_ROWS),
        "count": found.count,
        "previous": _id_at(found, first - MOST_ROWS),
        "next": _id_at(found, first + MOST_ROWS),
    }


def _talk(found: Outline, step: str) -> dict[str, Any]:
    """Some steps of the trace's conversation."""
    first = int(step) if step.isdecimal() and len(step) < 9 else 0
    first = first if first < len(found.talking) else 0
    spans = found.talking_spans(first, first + MOST_STEPS) or found.spans(0, 1)
    count = len(found.talking)
    return {
        "steps": conversation.thread(spans),
        "steps_window": {
            "is_needed": count > MOST_STEPS,
            "first": first + 1,
            "last": min(count, first + MOST_STEPS),
            "count": count,
            "previous": str(max(0, first - MOST_STEPS)) if first else "",
            "next": str(first + MOST_STEPS) if first + MOST_STEPS < count else "",
        },
    }


# --- The span -----------------------------------------------------------------------------------------------


def _panel(span: SpanView, wish: str, scores: list[ScoreView]) -> dict[str, Any]:
    """The tabs of the panel, and what the chosen one needs."""
    tabs = _tabs(span, scores)
    tab = wish if wish in tabs else next(iter(tabs))
    shown: dict[str, Any] = {}
    if tab == "conversation":
        shown = {"talk": conversation.read(span.input, span.output, kind=span.kind)}
    elif tab == "attributes":
        shown = {
            "facts": _facts(span),
            "attributes": [(name, _short(value)) for name, value in span.attributes.items()],
        }
    elif tab == "raw":
        shown = _raw(span)
    flags, notes = trace_words.flags_of(span), trace_words.quiet_notes(span)
    return {"tabs": tabs, "tab": tab, "span_scores": scores, "flags": flags, "notes": notes, **shown}


def _tabs(span: SpanView, scores: list[ScoreView]) -> dict[str, tuple[str, int]]:
    """The panel's tabs: their words, and how many there are of what they show (0: not counted)."""
    tabs = {"conversation": (_("Tool call") if span.kind == "tool" else _("Conversation"), 0)}
    if span.documents:
        tabs["documents"] = (_("Documents"), len(span.documents))
    if scores:
        tabs["scores"] = (_("Scores"), len(scores))
    tabs["attributes"] = (_("Attributes"), 0)
    tabs["raw"] = (_("Raw"), 0)
    return tabs


def _raw(span: SpanView) -> dict[str, Any]:
    text = json.dumps(resending.as_json(span), ensure_ascii=False, indent=2)
    curl = resending.as_curl(span, address=settings.PUBLIC_URL)
    return {
        "raw": text[:MOST_RAW_CHARS],
        "raw_is_cut": len(text) > MOST_RAW_CHARS,
        "curl": curl if len(curl) <= MOST_RAW_CHARS else "",
    }


FACTS = (
    "kind", "status", "error_type", "error_message", "environment", "feature", "service", "user_id", "session_id",
    "provider", "request_model", "response_model", "prompt_name", "prompt_version", "finish_reason", "streamed",
    "tool_name", "agent_name", "source", "tags", "scope", "response_id", "call_id", "counted", "span_id",
    "parent_span_id", "client_started_at", "received_at", "attempts", "input_tokens",
    "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "service_tier",
    "output_tokens", "reasoning_tokens", "latency_ms", "ttft_ms", "cost_usd", "client_cost_usd", "flags",
)  # fmt: skip
"""The fields of a span that the attributes tab lists before the attributes themselves, if they were said."""


def _facts(span: SpanView) -> list[tuple[str, str]]:
    values = ((name, getattr(span, name)) for name in FACTS)
    said = ((name, value) for name, value in values if value not in (None, "", []) and (name, value) != ("attempts", 1))
    return [(name, _fact(value)) for name, value in said]


def _fact(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return ", ".join(value) if isinstance(value, list) else f"{value:f}" if hasattr(value, "quantize") else str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 2_000 else f"{text[:2_000]}…"

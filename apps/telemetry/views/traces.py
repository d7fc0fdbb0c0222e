"""Pages of traces: what happened lately, and one trace whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import NotFound
from apps.core.periods import read_moment, read_period
from apps.core.shell import ALL_ENVIRONMENTS
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.selectors import list_features
from apps.telemetry import conversation, trace_words, waterfall
from apps.telemetry.addresses import Choice, Option, choice, read_value
from apps.telemetry.figures import Dimension
from apps.telemetry.selectors import traces as selectors
from apps.telemetry.selectors.traces import BadCursor, SpanView, Trace, TraceFilter

PAGE_SIZE = 50
MOST_ROWS = 200
"""So many spans are drawn at once; a longer trace is drawn in stretches of as many."""

MOST_RAW_CHARS = 60_000
TEXT_FILTERS = ("user", "session")


# --- The list -----------------------------------------------------------------------------------------------


@project_page()
def traces(request: ProjectRequest, project: Project) -> HttpResponse:
    """What happened? Recent traces, newest first, narrowed by what is in the address."""
    now = clock.now()
    params = request.GET.dict()
    period = read_period(params, now=now, default="24h")
    matching = _filter(params)
    try:
        page = selectors.recent_traces(
            project.pk,
            start=period.start,
            end=period.end,
            matching=matching,
            limit=PAGE_SIZE,
            cursor=params.get("cursor"),
        )
    except BadCursor:
        page = selectors.recent_traces(
            project.pk, start=period.start, end=period.end, matching=matching, limit=PAGE_SIZE
        )
    seen = {model for item in page.items for model in item.models}
    context = {
        "project": project,
        "now": now,
        "traces": page.items,
        "next_cursor": page.next_cursor,
        "is_first": not params.get("cursor"),
        "filters": _choices(project, matching, seen),
        "texts": [(name, _text_label(name), params.get(name, "")) for name in TEXT_FILTERS],
        "is_filtered": matching != TraceFilter(environment=matching.environment),
    }
    return render(request, "telemetry/traces.html", context)


def _filter(params: dict[str, str]) -> TraceFilter:
    environment = params.get("env") or ALL_ENVIRONMENTS
    status = params.get("status")
    return TraceFilter(
        environment=None if environment == ALL_ENVIRONMENTS else read_value(environment),
        feature=read_value(params.get("feature")),
        model=read_value(params.get("model")),
        status=status if status in {"ok", "error"} else None,
        user_id=read_value(params.get("user")),
        session_id=read_value(params.get("session")),
    )


def _choices(project: Project, matching: TraceFilter, models: set[str]) -> list[Choice]:
    features = [feature.slug for feature in list_features(project)]
    return [
        choice(
            Dimension.FEATURE, label=_("Feature"), every=_("Every feature"), chosen=matching.feature, values=features
        ),
        choice(Dimension.MODEL, label=_("Model"), every=_("Every model"), chosen=matching.model, values=sorted(models)),
        Choice(
            name="status",
            label=_("Status"),
            every=_("Every status"),
            is_set=matching.status is not None,
            options=tuple(
                Option(value, label, value == matching.status)
                for value, label in (("ok", _("OK")), ("error", _("Error")))
            ),
        ),
    ]


def _text_label(name: str) -> str:
    return {"user": _("User"), "session": _("Session")}[name]


# --- One trace ----------------------------------------------------------------------------------------------


@project_page()
def trace(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponse:
    """One trace: how it ended, where the time went, and one of its spans in full."""
    found = _get(project, trace_id, request.GET.get("at"))
    picture = waterfall.draw(found.spans)
    span = _chosen(found, request.GET.get("span", ""))
    place = found.spans.index(span)
    first = place // MOST_ROWS * MOST_ROWS
    tabs = _tabs(span)
    tab = request.GET.get("tab", "")
    tab = tab if tab in tabs else next(iter(tabs))
    context = {
        "project": project,
        "trace": found,
        "head": trace_words.head(found, picture.length_ms),
        "length_ms": picture.length_ms,
        "costs_note": trace_words.costs_note(found),
        "models_note": trace_words.models_note(
            waterfall.share_of_models(found.spans, picture.length_ms), found.totals.model_calls
        ),
        "picture": picture,
        "bars": picture.bars[first : first + MOST_ROWS],
        "window": _window(found, first),
        "span": span,
        "span_length_ms": picture.bars[place].length_ms,
        "flags": trace_words.flags_of(span),
        "tabs": tabs,
        "tab": tab,
        "calls": [each for each in found.spans if each.counted][:MOST_ROWS],
        "has_details": any(each.cached_input_tokens or each.reasoning_tokens for each in found.spans),
        **_panel(found, span, tab),
    }
    return render(request, "telemetry/trace.html", context)


@project_page()
def trace_json(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponse:
    """The whole trace as JSON, under the names that the intake takes."""
    found = _get(project, trace_id, request.GET.get("at"))
    body = {"trace_id": found.trace_id, "spans": [as_json(span) for span in found.spans]}
    response = JsonResponse(body, json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = f'attachment; filename="trace-{found.trace_id}.json"'
    return response


def _get(project: Project, trace_id: str, at: str | None) -> Trace:
    try:
        return selectors.get_trace(project.pk, trace_id, at=read_moment(at))
    except NotFound as error:
        raise Http404 from error


def _chosen(found: Trace, span_id: str) -> SpanView:
    """The span in the address; else the one to look at first: what failed, or the first model call, or the root."""
    wishes: list[Callable[[SpanView], bool]] = [
        lambda span: span.span_id == span_id,
        lambda span: span.status == "error" and span.counted,
        lambda span: span.status == "error",
        lambda span: span.kind == "llm" and (span.input is not None or span.output is not None),
    ]
    hits = (next((span for span in found.spans if wish(span)), None) for wish in wishes)
    return next((hit for hit in hits if hit is not None), found.root)


def _tabs(span: SpanView) -> dict[str, tuple[str, int]]:
    """The panel's tabs: their words, and how many there are of what they show (0: not counted)."""
    tabs = {"conversation": (_("Tool call") if span.kind == "tool" else _("Conversation"), 0)}
    if span.documents:
        tabs["documents"] = (_("Documents"), len(span.documents))
    tabs["attributes"] = (_("Attributes"), 0)
    tabs["raw"] = (_("Raw"), 0)
    return tabs


def _window(found: Trace, first: int) -> dict[str, Any]:
    """Which stretch of a long trace is drawn, with the spans that lead to its neighbours."""
    count = len(found.spans)
    return {
        "is_needed": count > MOST_ROWS,
        "first": first + 1,
        "last": min(count, first + MOST_ROWS),
        "count": count,
        "previous": found.spans[first - MOST_ROWS].span_id if first else "",
        "next": found.spans[first + MOST_ROWS].span_id if first + MOST_ROWS < count else "",
    }


def _panel(found: Trace, span: SpanView, tab: str) -> dict[str, Any]:
    """What the chosen tab needs."""
    if tab == "conversation":
        return {"talk": conversation.read(span.input, span.output, kind=span.kind)}
    if tab == "attributes":
        return {"facts": _facts(span), "attributes": [(name, _short(value)) for name, value in span.attributes.items()]}
    if tab == "raw":
        text = json.dumps(as_json(span), ensure_ascii=False, indent=2)
        return {"raw": text[:MOST_RAW_CHARS], "raw_is_cut": len(text) > MOST_RAW_CHARS}
    return {}


FACTS = (
    "kind", "status", "error_type", "error_message", "environment", "feature", "service", "user_id", "session_id",
    "provider", "request_model", "response_model", "prompt_name", "prompt_version", "finish_reason", "streamed",
    "tool_name", "agent_name", "source", "tags", "span_id", "parent_span_id", "client_started_at", "received_at",
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "latency_ms",
    "ttft_ms", "cost_usd", "client_cost_usd",
)  # fmt: skip
"""The fields of a span that the attributes tab lists before the attributes themselves, if they were said."""


def _facts(span: SpanView) -> list[tuple[str, str]]:
    values = ((name, getattr(span, name)) for name in FACTS)
    return [(name, _fact(value)) for name, value in values if value not in (None, "", [])]


def _fact(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return ", ".join(value) if isinstance(value, list) else f"{value:f}" if hasattr(value, "quantize") else str(value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 2_000 else f"{text[:2_000]}…"


def as_json(span: SpanView) -> dict[str, Any]:
    """The span under the names of the native intake, without what was not said."""
    kept = {
        name: value
        for name, value in span.values.items()
        if name not in {"project_id", "digest", "price_id"} and value not in (None, "", [])
    }
    extra = {name: getattr(span, name) for name in ("input", "output", "documents", "attributes")}
    kept.update({name: value for name, value in extra.items() if value not in (None, [], {})})
    return {name: _plain(value) for name, value in kept.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value:f}" if hasattr(value, "quantize") else value

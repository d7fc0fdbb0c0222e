"""Spans and traces as the read doors write them, under the names that the intake takes. Unknown is null, never 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from apps.core import money
from apps.telemetry.selectors.one_trace import Totals, Trace
from apps.telemetry.selectors.scores import ScoreView
from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.selectors.traces import TraceSummary

SCORE_DIMENSIONS = ("environment", "feature", "provider", "model", "prompt_version")
IDS = ("trace_id", "span_id", "parent_span_id")
TIMES = ("started_at", "ended_at")
TEXTS = (
    "kind", "name", "status", "error_type", "error_message", "environment", "feature", "service", "user_id",
    "session_id", "provider", "request_model", "response_model", "finish_reason", "prompt_name", "prompt_version",
    "tool_name", "agent_name", "source", "response_id", "scope", "service_tier",
)  # fmt: skip
NUMBERS = (
    "latency_ms", "ttft_ms", "streamed", "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens",
)  # fmt: skip


def span_shape(span: SpanView) -> dict[str, Any]:
    """One span. `cost_usd` is the cost as it was frozen, `cost_source` where it is from (`price`, or `client` where no
    price is known), `client_cost_usd` what the client sent, `counted` whether its usage is part of the totals,
    `attempts` how often the provider was asked, `flags` what was noted when it was taken in."""
    return {
        **{name: getattr(span, name) for name in IDS},
        **{name: _time(getattr(span, name)) for name in TIMES},
        "received_at": _time(span.received_at),
        "client_started_at": _time(span.client_started_at),
        **{name: getattr(span, name) or None for name in TEXTS},
        **{name: getattr(span, name) for name in NUMBERS},
        "cost_usd": money.as_json(span.cost_usd),
        "cost_source": _cost_source(span),
        "client_cost_usd": money.as_json(span.client_cost_usd),
        "attempts": span.attempts,
        "counted": span.counted,
        "tags": span.tags,
        "flags": span.flags,
        "input": span.input,
        "output": span.output,
        "documents": span.documents,
        "attributes": span.attributes,
    }


def _cost_source(span: SpanView) -> str | None:
    if span.cost_usd is None:
        return None
    return "client" if span.price_id is None else "price"


def trace_shape(trace: Trace, scores: Sequence[ScoreView]) -> dict[str, Any]:
    """One trace: what it is about, its spans in the order of the tree, its scores and what it adds up to."""
    return {
        "trace_id": trace.trace_id,
        "started_at": _time(trace.started_at),
        "ended_at": _time(trace.ended_at),
        "status": trace.status,
        "environment": trace.first("environment"),
        **{
            name: trace.first(name) or None
            for name in ("user_id", "session_id", "feature", "prompt_name", "prompt_version")
        },
        "spans": [span_shape(span) for span in trace.spans],
        "scores": [score_shape(score) for score in scores],
        "totals": totals_shape(trace.totals),
        "truncated": trace.is_cut,
    }


def totals_shape(totals: Totals) -> dict[str, Any]:
    """The totals of a trace; the cost is null when no call has a known one."""
    return {**dataclasses.asdict(totals), "cost_usd": money.as_json(totals.cost_usd)}


def summary_shape(trace: TraceSummary) -> dict[str, Any]:
    """One line of the list of traces."""
    return {
        **dataclasses.asdict(trace),
        "started_at": _time(trace.started_at),
        **{name: getattr(trace, name) or None for name in ("feature", "user_id", "session_id")},
        "cost_usd": money.as_json(trace.cost_usd),
    }


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def score_shape(score: ScoreView) -> dict[str, Any]:
    """One score; what was not said, and what it is grouped by as long as that is not known, is null."""
    values = dataclasses.asdict(score)
    texts = ("session_id", "label", "comment", "user_id", *SCORE_DIMENSIONS)
    return {
        "id": str(values.pop("score_id")),
        **values,
        **{name: values[name] or None for name in texts},
        **{name: _time(values[name]) for name in ("at", "received_at")},
    }

"""Retrievals and tasks for the pages that show them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from typing import Any

from django.db import connection

from apps.projects.models import Project
from apps.telemetry.services import trace_facts
from tests.dashboards.conftest import NOW, Send

_numbers = count(10**6)
Spans = list[dict[str, Any]]


def a_trace(hours_ago: float, *spans: dict[str, Any], **shared: Any) -> Spans:
    """The spans of one trace, the first one above all others, a second apart."""
    trace = f"{next(_numbers):032x}"
    start = NOW - timedelta(hours=hours_ago)
    root = f"{1:016x}"
    return [
        {
            "trace_id": trace,
            "span_id": f"{place:016x}",
            "parent_span_id": root if place > 1 else None,
            "started_at": (start + timedelta(seconds=place)).isoformat(),
            "name": span["kind"],
            "latency_ms": 100,
            "feature": "answers",
            **shared,
            **span,
        }
        for place, span in enumerate(spans, start=1)
    ]


def a_search(hours_ago: float, *scores: float, answer: str = "", **more: Any) -> Spans:
    """A retrieval that brought documents with these scores, and an answer."""
    documents = [{"id": f"page-{place}", "score": score} for place, score in enumerate(scores, start=1)]
    return a_trace(
        hours_ago,
        {"kind": "chain"},
        {"kind": "retriever", "documents": documents, "attributes": {"index_name": "help"}, **more},
        {"kind": "llm", "output": answer},
    )


def a_task(hours_ago: float, *tools: str, **more: Any) -> Spans:
    """A task with these tools run; a name that ends in `!` failed, one in `?` ran out of time."""
    runs = [
        {
            "kind": "tool",
            "tool_name": tool.rstrip("!?"),
            "input": tool,
            **(
                {"status": "error", "error_type": "timeout" if tool.endswith("?") else "boom"}
                if tool[-1] in "!?"
                else {}
            ),
        }
        for tool in tools
    ]
    return a_trace(
        hours_ago, {"kind": "agent", "agent_name": "desk", **more}, *runs, {"kind": "llm", "cost_usd": "0.02"}
    )


def keep(send: Send, project: Project, traces: Iterable[Spans]) -> None:
    """Store the traces and work out their facts, as the worker does."""
    spans = [span for trace in traces for span in trace]
    send(project, *spans)
    ids = sorted({bytes.fromhex(span["trace_id"]) for span in spans})
    with connection.cursor() as cursor:
        trace_facts.refresh(cursor, project.pk, ids, now=NOW)

"""`GET /api/v1/traces`, `/api/v1/traces/{id}` and `/api/v1/spans`: what went in comes back, and only to its project."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.projects.models import Project, Scope
from tests import factories
from tests.telemetry.conftest import Intake, make_span

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def read(project: Project, alice: Any) -> Any:
    key = factories.make_key(project, Scope.READ, created_by=alice)

    def get(path: str, **query: str) -> Any:
        return Client().get(path, query, headers={"Authorization": f"Bearer {key}"})

    return get


def make_trace(**changes: Any) -> list[dict[str, Any]]:
    """An agent that retrieves, calls a model and a tool, in the order in which it happens."""
    trace_id, start = secrets.token_hex(16), datetime.now(UTC) - timedelta(minutes=5)
    root = secrets.token_hex(8)
    parts = [
        {"span_id": root, "kind": "agent", "name": "desk", "latency_ms": 3000, "agent_name": "desk"},
        {"kind": "retriever", "name": "kb", "latency_ms": 200, "documents": [{"id": "d1", "score": 0.5}]},
        {"kind": "llm", "name": "chat", "latency_ms": 1500, "output": "It is on its way.", "cost_usd": "0.25"},
        {"kind": "tool", "name": "lookup", "latency_ms": 100, "tool_name": "lookup_order", "status": "error"},
        {"kind": "embedding", "name": "embed", "input_tokens": 40, "output_tokens": None, "request_model": "house"},
    ]
    return [
        make_span(
            **{
                "trace_id": trace_id,
                "parent_span_id": None if part.get("span_id") == root else root,
                "started_at": (start + timedelta(milliseconds=10 * number)).isoformat(),
                "request_model": "house-model",
                "user_id": "u_7",
                "prompt_name": "answer",
                "prompt_version": "1.0.0",
            }
            | part
            | changes
        )
        for number, part in enumerate(parts)
    ]


def test_reads_back_what_was_sent(intake: Intake, read: Any) -> None:
    spans = make_trace()
    assert intake.post(list(reversed(spans))).json()["stored"] == 5
    trace = read(f"/api/v1/traces/{spans[0]['trace_id']}").json()
    assert (trace["status"], trace["user_id"], trace["feature"]) == ("error", "u_7", "support-answers")
    assert (trace["prompt_name"], trace["prompt_version"], trace["scores"]) == ("answer", "1.0.0", [])
    assert [span["name"] for span in trace["spans"]] == ["desk", "kb", "chat", "lookup", "embed"]
    chat = trace["spans"][2]
    sent = spans[2]
    for name in (
        "span_id",
        "parent_span_id",
        "kind",
        "latency_ms",
        "feature",
        "request_model",
        "output",
        "input_tokens",
    ):
        assert chat[name] == sent[name], name
    assert (chat["cost_usd"], chat["counted"], trace["spans"][0]["counted"]) == ("0.25", True, False)
    assert (chat["cost_source"], trace["spans"][0]["cost_source"], chat["attempts"]) == ("client", None, 1)
    assert trace["spans"][1]["documents"] == [{"id": "d1", "score": 0.5}]
    assert chat["session_id"] is None
    totals = trace["totals"]
    assert (totals["model_calls"], totals["embedding_calls"], totals["tool_runs"]) == (1, 1, 1)
    assert (totals["retrievals"], totals["agents"], totals["model_errors"]) == (1, 1, 0)
    assert (totals["input_tokens"], totals["output_tokens"], totals["embedding_input_tokens"]) == (800, 90, 40)
    assert (totals["cost_usd"], totals["unpriced_calls"]) == ("0.25", 1)


def test_lists_traces_newest_first_on_pages_that_do_not_overlap(intake: Intake, read: Any) -> None:
    traces = [make_trace() for _ in range(7)]
    for spans in traces:
        intake.post(spans)
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = read("/api/v1/traces", **query).json()
        seen += [item["trace_id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert seen == [spans[0]["trace_id"] for spans in reversed(traces)]


def test_traces_of_the_same_microsecond_are_all_listed(intake: Intake, read: Any) -> None:
    started_at = datetime.now(UTC).isoformat()
    spans = [make_span(started_at=started_at) for _ in range(9)]
    intake.post(spans)
    for path, name in (("/api/v1/traces", "trace_id"), ("/api/v1/spans", "span_id")):
        first = read(path, limit="4").json()
        second = read(path, limit="200", cursor=first["next"]).json()
        listed = [item[name] for item in first["items"] + second["items"]]
        assert sorted(listed) == sorted(span[name] for span in spans)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"feature": "invoice-extract"}, 1),
        ({"feature": "nothing"}, 0),
        ({"model": "house-model", "status": "error"}, 2),
        ({"user": "u_8"}, 1),
        ({"environment": "staging"}, 1),
        ({"prompt": "answer"}, 2),
        ({}, 2),
    ],
)
def test_filters_traces_by_a_span_that_matches(intake: Intake, read: Any, query: dict[str, str], expected: int) -> None:
    intake.post(make_trace())
    intake.post(make_trace(feature="invoice-extract", user_id="u_8", environment="staging"))
    assert len(read("/api/v1/traces", **query).json()["items"]) == expected


def test_lists_spans_by_kind(intake: Intake, read: Any) -> None:
    intake.post(make_trace())
    items = read("/api/v1/spans", kind="tool").json()["items"]
    assert [item["tool_name"] for item in items] == ["lookup_order"]


def test_a_trace_longer_than_the_first_look_does_not_hide_others(intake: Intake, read: Any) -> None:
    old = make_span(started_at=(datetime.now(UTC) - timedelta(minutes=30)).isoformat())
    long_trace = secrets.token_hex(16)
    intake.post([make_span(trace_id=long_trace) for _ in range(1_000)] + [old])
    listed = [item["trace_id"] for item in read("/api/v1/traces").json()["items"]]
    assert listed == [long_trace, old["trace_id"]]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/v1/traces", {"from": "2026-11-23T10:00:00Z", "to": "2026-11-23T09:00:00Z"}, 422),
        ("/api/v1/traces", {"from": "yesterday"}, 422),
        ("/api/v1/traces", {"limit": "0"}, 422),
        ("/api/v1/traces", {"limit": "1000"}, 422),
        ("/api/v1/traces", {"cursor": "nonsense"}, 422),
        ("/api/v1/traces", {"cursor": "2026-11-23T10:00:00~zz"}, 422),
        ("/api/v1/traces", {"status": "fine"}, 422),
        ("/api/v1/traces", {"feture": "typo"}, 422),
        ("/api/v1/spans", {"kind": "magic"}, 422),
        ("/api/v1/traces/zz", {}, 404),
        ("/api/v1/traces/" + "0" * 32, {}, 404),
    ],
)
def test_says_what_is_wrong_with_a_question(read: Any, path: str, query: dict[str, str], status: int) -> None:
    answer = read(path, **query)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_another_projects_trace_is_not_there(intake: Intake, other_project: Project, charlie: Any) -> None:
    spans = make_trace()
    intake.post(spans)
    key = factories.make_key(other_project, Scope.READ, created_by=charlie)
    headers = {"Authorization": f"Bearer {key}"}
    path = f"/api/v1/traces/{spans[0]['trace_id']}"
    missing = Client().get("/api/v1/traces/" + "a" * 32, headers=headers)
    foreign = Client().get(path, headers=headers)
    assert (foreign.status_code, foreign.json()) == (404, missing.json())
    assert Client().get("/api/v1/traces", headers=headers).json()["items"] == []


def test_asks_for_the_read_scope(intake: Intake) -> None:
    answer = Client().get("/api/v1/traces", headers={"Authorization": f"Bearer {intake.key}"})
    assert answer.status_code == 403

"""The list of traces, and one trace whole."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.projects.models import Project
from tests.dashboards.conftest import NOW, Send, a_call, calls
from tests.dashboards.pages import Page
from tests.dashboards.test_overview import HOSTILE

pytestmark = pytest.mark.usefixtures("at_noon")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def listed(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/traces{query}"))


def heads(page: Page) -> list[str]:
    return list(page.table("table-traces")) if 'id="table-traces"' in page.source else []


# --- The list -----------------------------------------------------------------------------------------------


def test_lists_what_happened_newest_first(send: Send, alice_client: Client, project: Project) -> None:
    send(
        project,
        a_call(name="older", started_at="2026-03-04T10:00:00Z"),
        a_call(
            name="newer", status="error", user_id="u_1", session_id="s_1", ttft_ms=300, cost_usd=None, latency_ms=2500
        ),
    )
    rows = listed(alice_client, project).table("table-traces")
    assert list(rows) == ["newersupport-answers · production", "oldersupport-answers · production"]
    newer = rows["newersupport-answers · production"]
    assert newer == {
        "Status": "Error",
        "Model": "atlas-large",
        "User, session": "u_1s_1",
        "Calls": "11 failed",
        "Tokens in, out": "100 · 10",
        "TTFT": "300 ms",
        "Latency": "2.50 s",
        "Cost": "unpriced",
        "Started": "1 h ago",
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?feature=search", {"b"}),
        ("?feature=(none)", {"e"}),
        ("?model=atlas-small", {"c"}),
        ("?env=staging", {"d"}),
        ("?status=error", {"d"}),
        ("?status=ok&user=u_1", {"a", "b"}),
        ("?user=u_1&session=s_2", {"b"}),
        ("?status=nonsense", {"a", "b", "c", "d", "e"}),
        ("?user=nobody", set()),
        ("?range=1h", {"e"}),
    ],
)
def test_narrows_the_list(send: Send, alice_client: Client, project: Project, query: str, names: set[str]) -> None:
    send(
        project,
        *calls(1, hours_ago=5, name="a", user_id="u_1", session_id="s_1"),
        *calls(1, hours_ago=4, name="b", user_id="u_1", session_id="s_2", feature="search"),
        *calls(1, hours_ago=3, name="c", request_model="atlas-small"),
        *calls(1, hours_ago=2, name="d", environment="staging", status="error"),
        *calls(1, hours_ago=0.5, name="e", feature=""),
    )
    assert {head[0] for head in heads(listed(alice_client, project, query))} == names


def test_turns_the_pages_of_a_long_list(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *(call | {"name": f"call {place}"} for place, call in enumerate(calls(120, hours_ago=2))))
    page, seen = listed(alice_client, project), []
    for _ in range(3):
        seen += [int(head.split()[1].split("support")[0]) for head in heads(page)]
        more = [href for words, href in page.links if words == "Older"]
        if not more:
            break
        page = listed(alice_client, project, more[0])
    assert seen == list(range(119, -1, -1))
    assert page.link("Newest").startswith("?")


def test_forgets_a_cursor_that_makes_no_sense(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    assert len(heads(listed(alice_client, project, "?cursor=yesterday"))) == 1


def test_offers_a_way_out_where_nothing_matches(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    page = listed(alice_client, project, "?feature=gone&range=7d")
    assert page.link("Remove the filters") == "?range=7d"


# --- One trace ----------------------------------------------------------------------------------------------


MESSAGES = [
    {"role": "system", "content": "Answer customers."},
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "assistant", "tool_calls": [{"function": {"name": "lookup", "arguments": '{"order": 7}'}}]},
]
DOCUMENTS = [
    {"id": "kb/1", "score": 0.81, "rerank_score": 0.93, "content": "Two days.", "used": True},
    {"id": "kb/2", "content": "Other.", "used": False},
]


def spans_of_one(**changes: Any) -> list[dict[str, Any]]:
    """A chain of 3.42 s around a retriever, a call of 2 s and a tool."""

    def at(ms: int) -> str:
        return (NOW - timedelta(minutes=5) + timedelta(milliseconds=ms)).isoformat()

    root = {"trace_id": TRACE, "name": "answer_ticket", "kind": "chain", "span_id": "a" * 16, "started_at": at(0)}
    inner = {"trace_id": TRACE, "parent_span_id": "a" * 16, "feature": "support-answers"}
    search = {"name": "kb.search", "kind": "retriever", "latency_ms": 200, "documents": DOCUMENTS}
    call = a_call(
        name="chat",
        latency_ms=2000,
        ttft_ms=400,
        cost_usd="0.0187",
        input_tokens=812,
        output_tokens=96,
        input=MESSAGES,
        output="It arrives tomorrow.",
        attributes={"temperature": 0.2},
    )
    tool = {"name": "lookup", "kind": "tool", "latency_ms": 388, "input": {"order": 7}, "output": "sent"}
    return [
        {**root, "latency_ms": 3420, "feature": "support-answers", "user_id": "u_9"},
        {**inner, **search, "span_id": "b" * 16, "started_at": at(10)},
        {**call, **inner, "span_id": "c" * 16, "started_at": at(300), **changes},
        {**inner, **tool, "span_id": "d" * 16, "started_at": at(2400)},
    ]


@pytest.fixture
def one_trace(send: Send, project: Project) -> None:
    """The trace, without a fault."""
    send(project, *spans_of_one())


def opened(client: Client, project: Project, query: str = "", trace_id: str = TRACE) -> Page:
    return Page(client.get(f"/p/{project.slug}/traces/{trace_id}{query}"))


@pytest.mark.usefixtures("one_trace")
def test_opens_with_how_it_ended(alice_client: Client, project: Project) -> None:
    page = opened(alice_client, project)
    assert page.answer == "Answered in 3.42 s for $0.0187."
    assert page.stat("Tokens in, out") == "812 in 96 out"
    assert page.stat("TTFT") == "400 ms"
    assert "The model call took 58 % of the time." in page.text
    assert page.link("u_9") == f"/p/{project.slug}/users/one?id=u_9"


@pytest.mark.parametrize(
    ("changes", "root", "answer"),
    [
        ({}, {"status": "error", "error_type": "Timeout"}, "Failed after 3.42 s: Timeout."),
        ({}, {"status": "error"}, "Failed after 3.42 s: an error."),
        ({"status": "error"}, {}, "Answered in 3.42 s for $0.0187; one step failed."),
        ({"cost_usd": None}, {}, "Answered in 3.42 s."),
    ],
)
def test_says_what_went_wrong(
    send: Send, alice_client: Client, project: Project, changes: Any, root: Any, answer: str
) -> None:
    first, *others = spans_of_one(**changes)
    send(project, first | root, *others)
    assert opened(alice_client, project).answer == answer


@pytest.mark.usefixtures("one_trace")
def test_draws_the_waterfall_with_attributes_alone(alice_client: Client, project: Project) -> None:
    page = opened(alice_client, project)
    rows = re.findall(r'class="wf__row" href="([^"]+)".*?aria-label="([^"]+)"', page.source, re.DOTALL)
    assert [label.replace("\u00a0", " ") for _, label in rows] == [
        "starts at 0 ms, takes 3.42 s",
        "starts at 10 ms, takes 200 ms",
        "starts at 300 ms, takes 2.00 s",
        "starts at 2.40 s, takes 388 ms",
    ]
    assert page.source.count('class="b-wait"') == 1
    assert page.handlers == []


@pytest.mark.usefixtures("one_trace")
def test_opens_the_span_in_the_address(alice_client: Client, project: Project) -> None:
    assert "Where is my parcel?" in opened(alice_client, project).text
    page = opened(alice_client, project, f"?span={'d' * 16}")
    assert "Where is my parcel?" not in page.text
    assert "sent" in page.text
    assert re.search(r'href="[^"]*span=d{16}"\s+aria-current="true"', page.source)
    assert "Where is my parcel?" in opened(alice_client, project, "?span=gone").text


@pytest.mark.usefixtures("one_trace")
def test_shows_messages_as_a_conversation(alice_client: Client, project: Project) -> None:
    page = opened(alice_client, project)
    talk = re.findall(
        r'<div class="msg[^"]*">.*?<b>(\w+)</b>.*?<div class="msg__body">(.*?)</div>', page.source, re.DOTALL
    )
    said = [(who, re.sub(r"<[^>]+>", "", text).strip()) for who, text in talk]
    assert said == [
        ("System", "Answer customers."),
        ("User", "Where is my parcel?"),
        ("Assistant", "lookup(order=7)"),
        ("Assistant", "It arrives tomorrow."),
    ]


@pytest.mark.usefixtures("one_trace")
def test_shows_documents_attributes_and_everything_raw(alice_client: Client, project: Project) -> None:
    documents = opened(alice_client, project, f"?span={'b' * 16}&tab=documents")
    assert "kb/1 score 0.81 reranked 0.93 used Two days." in documents.text
    assert "kb/2 not used Other." in documents.text
    attributes = opened(alice_client, project, "?tab=attributes")
    assert re.search(r"temperature 0.2", attributes.text)
    assert re.search(r"cost_usd 0.0187", attributes.text)
    raw = opened(alice_client, project, "?tab=raw")
    assert "data-copy" in raw.source
    assert "&quot;input_tokens&quot;" in raw.source
    # A call has no documents, so it has no such tab.
    assert "Where is my parcel?" in opened(alice_client, project, "?tab=documents").text


@pytest.mark.usefixtures("one_trace")
def test_gives_the_trace_as_json_that_the_intake_takes(alice_client: Client, project: Project, send: Send) -> None:
    response = alice_client.get(f"/p/{project.slug}/traces/{TRACE}.json")
    assert response["Content-Disposition"] == f'attachment; filename="trace-{TRACE}.json"'
    body = json.loads(response.content)
    assert [span["name"] for span in body["spans"]] == ["answer_ticket", "kb.search", "chat", "lookup"]
    assert body["spans"][2]["cost_usd"].startswith("0.0187")
    assert body["spans"][2]["input"] == MESSAGES


def test_explains_flags_in_words(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(trace_id=TRACE, started_at="1970-01-01T00:00:00Z"), now=NOW - timedelta(minutes=1))
    page = opened(alice_client, project)
    assert "The sender's clock cannot be right" in page.text
    assert page.answer == "Answered in 1.00 s for $0.0100."
    row = listed(alice_client, project).table("table-traces")["chatsupport-answers · production"]
    assert row["Latency"] == "1.00 s"


def test_measures_a_trace_by_the_clocks_that_can_be_right(send: Send, alice_client: Client, project: Project) -> None:
    first, *others = spans_of_one(started_at="1970-01-01T00:00:00Z")
    send(project, first, *others)
    assert opened(alice_client, project).answer == "Answered in 3.42 s for $0.0187."
    (row,) = listed(alice_client, project).table("table-traces").values()
    assert row["Latency"] == "3.42 s"


def test_draws_a_long_trace_in_stretches(send: Send, alice_client: Client, project: Project) -> None:
    send(
        project,
        *(
            call | {"trace_id": TRACE, "span_id": f"{place + 1:016x}", "name": f"step {place}"}
            for place, call in enumerate(calls(450, hours_ago=1))
        ),
    )
    page = opened(alice_client, project)
    assert "Spans 1 to 200 of 450" in page.text
    assert page.source.count('class="wf__row"') == 200
    later = Page(alice_client.get(f"/p/{project.slug}/traces/{TRACE}{page.link('Later')}"))
    assert "Spans 201 to 400 of 450" in later.text
    assert len(page.source) < 250_000


@pytest.mark.parametrize("trace_id", ["a" * 32, "zz", "4bf92f35", "a" * 31, "%00", "..", "a" * 3000])
@pytest.mark.usefixtures("one_trace")
def test_knows_no_other_trace(alice_client: Client, project: Project, trace_id: str) -> None:
    assert alice_client.get(f"/p/{project.slug}/traces/{trace_id}").status_code == 404
    assert alice_client.get(f"/p/{project.slug}/traces/{trace_id}.json").status_code == 404


@pytest.mark.usefixtures("one_trace")
def test_keeps_a_trace_from_other_projects(charlie_client: Client, other_project: Project, project: Project) -> None:
    for path in (TRACE, f"{TRACE}.json"):
        assert charlie_client.get(f"/p/{other_project.slug}/traces/{path}").status_code == 404
        assert charlie_client.get(f"/p/{project.slug}/traces/{path}").status_code == 404


@pytest.mark.usefixtures("one_trace")
@pytest.mark.parametrize("query", ["", "?at=2026-03-04T11:55:00Z", "?at=nonsense", "?at=1999-01-01"])
def test_finds_the_trace_whatever_time_its_address_names(alice_client: Client, project: Project, query: str) -> None:
    alice_client.get(f"/p/{project.slug}/traces")
    with CaptureQueriesContext(connection) as asked:
        assert opened(alice_client, project, query).answer.startswith("Answered")
    assert len([each for each in asked if "SAVEPOINT" not in each["sql"]]) <= 12


@pytest.mark.parametrize("text", HOSTILE)
def test_shows_hostile_content_as_text(send: Send, alice_client: Client, project: Project, text: str) -> None:
    names = ("name", "feature", "provider", "request_model", "user_id", "session_id", "prompt_name", "tool_name")
    hostile = dict.fromkeys((*names, "error_type", "error_message", "agent_name", "finish_reason"), text)
    send(
        project,
        a_call(
            **hostile,
            trace_id=TRACE,
            status="error",
            input=[
                {"role": text, "name": text, "content": [{"type": "text", "text": text}, {"type": text, text: text}]}
            ],
            output={"role": "assistant", "tool_calls": [{"function": {"name": text, "arguments": {text: text}}}]},
            documents=[{"id": text, "score": text, "content": text, "used": text}],
            attributes={text: text, "nested": {text: [text]}},
            tags=[text],
        ),
    )
    for tab in ("conversation", "documents", "attributes", "raw"):
        page = opened(alice_client, project, f"?tab={tab}")
        assert page.handlers == [], tab
        assert all("src" in script for script in page.scripts), tab
        assert "<img" not in page.source, tab
        assert "<b>bold" not in page.source, tab
        assert not [href for _, href in page.links if href.lower().startswith("javascript")], tab

"""The explorer's pages and endpoints: filters, live tail, saved views, sessions, users, and one trace however long."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.projects.models import Project, Role
from apps.telemetry import conversation, resending
from apps.telemetry.list_filters import read_dollars, read_length
from apps.telemetry.log_content import LogRecord, assemble
from apps.telemetry.models import SavedView
from apps.telemetry.selectors import one_trace
from apps.telemetry.selectors.one_trace import get_outline, get_trace
from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.tree import in_tree_order
from tests import factories
from tests.conftest import Api, sign_in
from tests.dashboards.conftest import NOW, Send, a_call, at_noon, calls
from tests.dashboards.conftest import send as send
from tests.dashboards.pages import Page

at_noon = at_noon
pytestmark = pytest.mark.usefixtures("at_noon")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def names_of(page: Page) -> set[str]:
    rows = page.table("table-traces") if 'id="table-traces"' in page.source else {}
    return {head.split("support")[0] for head in rows}


def opened(client: Client, path: str, **headers: str) -> Page:
    return Page(client.get(path, headers=headers))


# --- Filters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=quokka", {"a"}),
        ("q=quok*&status=ok", {"a"}),
        ("q=quokka&status=error", set()),
        ("tool=dig", {"b"}),
        ("agent=desk", {"c"}),
        ("tag=vip", {"d"}),
        ("error_type=Timeout", {"e"}),
        ("provider=other", {"f"}),
        ("prompt=answer@2.0.0", {"g"}),
        ("prompt=answer", {"g", "h"}),
        ("kind=tool", {"b"}),
        ("min_latency=2+s", {"i"}),
        ("max_latency=5+ms", {"j"}),
        ("min_cost=%240.5", {"k"}),
        ("min_latency=soon", set("abcdefghijk")),
        ("q=%3F%21", set("abcdefghijk")),
    ],
)
def test_narrows_by_everything(send: Send, alice_client: Client, project: Project, query: str, names: set[str]) -> None:
    changes: dict[str, dict[str, Any]] = {
        "a": {"input": "a quokka"},
        "b": {"kind": "tool", "tool_name": "dig", "cost_usd": None},
        "c": {"agent_name": "desk"},
        "d": {"tags": ["vip"]},
        "e": {"status": "error", "error_type": "Timeout"},
        "f": {"provider": "other"},
        "g": {"prompt_name": "answer", "prompt_version": "2.0.0"},
        "h": {"prompt_name": "answer", "prompt_version": "1.0.0"},
        "i": {"latency_ms": 2500},
        "j": {"latency_ms": 4},
        "k": {"cost_usd": "0.75"},
    }
    send(project, *(a_call(name=name, **fields) for name, fields in changes.items()))
    assert names_of(opened(alice_client, f"/p/{project.slug}/traces?{query}")) == names


def test_says_when_a_filter_has_no_effect(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    page = opened(alice_client, f"/p/{project.slug}/traces?min_latency=soon&score=bad&q=%3F")
    assert "A search needs letters or digits." in page.text
    assert "write it like 2 s" in page.text
    assert "write it like thumbs<1" in page.text


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("800", 800),
        ("800 ms", 800),
        ("2.5 s", 2500),
        ("1h", 3_600_000),
        ("3min", 180_000),
        ("soon", None),
        ("-1", None),
    ],
)
def test_reads_lengths(text: str, length: int | None) -> None:
    assert read_length(text) == length


def test_reads_dollars() -> None:
    assert str(read_dollars("$0.05")) == "0.05"
    assert [read_dollars(text) for text in ("", "x", "NaN", "-1", "Infinity")] == [None] * 5


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("text=quokka", {"a"}),
        ("text=quokka&environment=production&tag=vip", set()),
        ("tag=vip", {"b"}),
        ("tool=dig&kind=tool", {"c"}),
        ("prompt=answer@2.0.0", {"d"}),
        ("min_latency_ms=2000", {"e"}),
        ("max_latency_ms=5", {"f"}),
        ("min_cost_usd=0.5", {"g"}),
        ("error_type=Timeout", {"h"}),
        ("agent=desk", {"i"}),
        ("score=thumbs%3C1", set()),
        ("flagged=true", set()),
    ],
)
@pytest.mark.parametrize("path", ["traces", "spans"])
def test_narrows_over_the_api(
    send: Send, project: Project, read_key: str, path: str, query: str, names: set[str]
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "a": {"input": "a quokka"},
        "b": {"tags": ["vip"]},
        "c": {"kind": "tool", "tool_name": "dig"},
        "d": {"prompt_name": "answer", "prompt_version": "2.0.0"},
        "e": {"latency_ms": 2500},
        "f": {"latency_ms": 4},
        "g": {"cost_usd": "0.75"},
        "h": {"status": "error", "error_type": "Timeout"},
        "i": {"agent_name": "desk"},
    }
    send(project, *(a_call(name=name, **fields) for name, fields in changes.items()))
    response = Api(read_key).get(f"/api/v1/{path}?{query}")
    assert response.status_code == 200, response.content
    assert {item["name"] for item in response.json()["items"]} == names


@pytest.mark.parametrize("query", ["text=%3F%3F", "score=thumbs", "score=a%3Cb", "kind=nonsense", "min_latency_ms=x"])
def test_refuses_filters_that_make_no_sense(project: Project, read_key: str, query: str) -> None:
    assert Api(read_key).get(f"/api/v1/traces?{query}").status_code == 422


# --- Live tail ----------------------------------------------------------------------------------------------


def test_follows_what_arrives(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(name="first"))
    address = f"/p/{project.slug}/traces?live=1"
    page = opened(alice_client, address)
    assert 'hx-trigger="every 2s, refresh"' in page.source
    assert page.link("Live: pause") == "?"
    headers = dict(re.findall(r'"(X-Mark|X-Newest)": "([^"]+)"', page.source))
    asking = {"HX-Request": "true", **headers}
    assert alice_client.get(address, headers=asking).status_code == 204, "nothing is new"
    send(project, a_call(name="second", started_at=(NOW - timedelta(minutes=1)).isoformat()))
    answer = alice_client.get(address, headers=asking)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert text.lstrip().startswith('<section class="panel" id="trace-list"')
    assert re.search(r'hx-swap-oob="innerHTML:#live-news">1 new trace<', text)
    assert text.index("second") < text.index("first")


def test_does_not_ask_again_when_it_is_not_live(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    page = opened(alice_client, f"/p/{project.slug}/traces")
    assert "every 2s" not in page.source
    assert page.link("Follow live") == "?live=1"


# --- Saved views --------------------------------------------------------------------------------------------


def save(client: Client, project: Project, **changes: str) -> Any:
    form = {"page": "traces", "name": "Slow ones", "query": "?min_latency=2+s&range=7d&cursor=x&csrf=y", **changes}
    return client.post(f"/p/{project.slug}/views", form)


def test_keeps_filters_under_a_name(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    response = save(alice_client, project)
    assert response.status_code == 302
    assert response["Location"] == f"/p/{project.slug}/traces?min_latency=2+s&range=7d"
    page = opened(alice_client, f"/p/{project.slug}/traces")
    assert page.link("Slow ones") == "?min_latency=2+s&range=7d"
    save(alice_client, project, query="?status=error")
    assert [view.query for view in SavedView.objects.all()] == ["status=error"], "one's own view is replaced"


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_asks_for_a_name(alice_client: Client, project: Project, name: str) -> None:
    save(alice_client, project, name=name)
    assert not SavedView.objects.exists()


def test_shows_shared_views_to_members_alone(
    alice_client: Client, bob: Any, charlie_client: Client, project: Project
) -> None:
    save(alice_client, project, name="Mine")
    save(alice_client, project, name="Ours", is_shared="1")
    bob_client = Client()
    sign_in(bob_client, bob)
    page = opened(bob_client, f"/p/{project.slug}/traces")
    assert "Ours" in page.text
    assert "Mine" not in page.text
    assert charlie_client.get(f"/p/{project.slug}/views").status_code == 404


def test_changes_and_deletes_views(alice_client: Client, bob: Any, project: Project) -> None:
    save(alice_client, project, name="Ours", is_shared="1")
    view = SavedView.objects.get()
    bob_client = Client()
    sign_in(bob_client, bob)
    address = f"/p/{project.slug}/views/{view.uuid}"
    assert bob_client.post(f"{address}/change", {"name": "Bob's"}).status_code == 404
    assert bob_client.post(f"{address}/delete").status_code == 404
    alice_client.post(f"{address}/change", {"name": "Everybody's", "is_shared": "1"})
    assert SavedView.objects.get().name == "Everybody's"
    save(alice_client, project, name="Other")
    alice_client.post(f"{address}/change", {"name": "Other"})
    assert {each.name for each in SavedView.objects.all()} == {"Everybody's", "Other"}
    alice_client.post(f"{address}/delete")
    assert [each.name for each in SavedView.objects.all()] == ["Other"]


# --- Sessions and users -------------------------------------------------------------------------------------

ODD = ["plain", "with/slash", "with 'quotes\"", "50%25 & more?x=1#y", "日本語", "<b>bold</b>", "..", "a\\b"]


@pytest.mark.parametrize("name", ODD)
def test_opens_sessions_and_users_of_any_name(send: Send, alice_client: Client, project: Project, name: str) -> None:
    send(project, a_call(user_id=name, session_id=name, name="talk"))
    for kind in ("sessions", "users"):
        page = opened(alice_client, f"/p/{project.slug}/{kind}")
        href = next(href for words, href in page.links if words == name)
        one = opened(alice_client, href)
        assert name in one.text or name in " ".join(one.heads)
        assert one.handlers == []
        assert "<b>bold" not in one.source


def test_lists_sessions_newest_first_with_their_figures(send: Send, alice_client: Client, project: Project) -> None:
    send(
        project,
        *calls(2, hours_ago=3, session_id="s_1", user_id="u_1"),
        *calls(1, hours_ago=2, session_id="s_2", user_id="u_2", status="error"),
        *calls(1, hours_ago=1, session_id="s_1", user_id="u_1", cost_usd=None),
        *calls(1, hours_ago=0.5),
    )
    table = opened(alice_client, f"/p/{project.slug}/sessions").table("table-sessions")
    assert [head.split("support")[0] for head in table] == ["s_1", "s_2"]
    first = table["s_1support-answers · production"]
    assert (first["User"], first["Traces"], first["Calls"]) == ("u_1", "33 spans", "3")
    assert (first["Tokens in, out"], first["Cost"], first["Last"]) == ("300 · 30", "$0.0200plus 1 unpriced", "1 h ago")
    table = opened(alice_client, f"/p/{project.slug}/sessions?status=error").table("table-sessions")
    assert [head.split("support")[0] for head in table] == ["s_2"]


def test_turns_pages_of_sessions(send: Send, alice_client: Client, project: Project) -> None:
    send(
        project,
        *(call | {"session_id": f"s{place % 60}"} for place, call in enumerate(calls(180, hours_ago=2))),
    )
    page = opened(alice_client, f"/p/{project.slug}/sessions")
    first = list(page.table("table-sessions"))
    second = list(opened(alice_client, f"/p/{project.slug}/sessions{page.link('Older')}").table("table-sessions"))
    assert len(first) == 50
    assert len(second) == 10
    assert not set(first) & set(second)


def test_tells_a_session_turn_by_turn(send: Send, alice_client: Client, project: Project) -> None:
    turns = [("Where is my lamp?", "On its way."), ("And when?", "Tomorrow.")]
    for place, (_asked, answered) in enumerate(turns):
        at = (NOW - timedelta(minutes=30 - place)).isoformat()
        call = a_call(session_id="s_1", name=f"turn {place}", started_at=at, output=answered)
        history = [{"role": "user", "content": text} for text, _ in turns[: place + 1]]
        send(project, {**call, "input": [{"role": "system", "content": "Be kind."}, *history]})
    page = opened(alice_client, f"/p/{project.slug}/sessions/one?id=s_1")
    said = re.findall(r'<div class="msg__body">\s*<p>(.*?)</p>', page.source)
    assert said == ["Where is my lamp?", "On its way.", "And when?", "Tomorrow."]
    assert page.stat("Tokens in, out") == "200 in 20 out"
    assert page.stat("Cost") == "$0.0200"


def test_shows_a_long_session_in_stretches(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(45, hours_ago=2, session_id="s_1"))
    page = opened(alice_client, f"/p/{project.slug}/sessions/one?id=s_1")
    assert "Turns 1 to 20 of 45" in page.text
    assert page.stat("Calls") == "45"
    last = opened(alice_client, f"/p/{project.slug}/sessions/one?id=s_1&turn=40")
    assert "Turns 41 to 45 of 45" in last.text


def test_lists_users_and_opens_one(send: Send, alice_client: Client, project: Project) -> None:
    send(
        project,
        *calls(2, hours_ago=30, user_id="u_1", session_id="s_1"),
        *calls(1, hours_ago=1, user_id="u_1", session_id="s_2", status="error"),
        *calls(1, hours_ago=2, user_id="u_2"),
    )
    table = opened(alice_client, f"/p/{project.slug}/users?range=7d").table("table-users")
    assert list(table) == ["u_1", "u_2"]
    assert (table["u_1"]["Sessions"], table["u_1"]["Calls"], table["u_1"]["Cost"]) == ("2", "31 failed", "$0.0300")
    page = opened(alice_client, f"/p/{project.slug}/users/one?id=u_1")
    assert page.stat("Cost") == "$0.0300"
    assert set(page.table("table-sessions")) == {"s_1support-answers · production", "s_2support-answers · production"}
    assert "u_2" not in page.text


@pytest.mark.parametrize("kind", ["sessions", "users"])
def test_keeps_sessions_and_users_from_other_projects(
    send: Send, charlie_client: Client, project: Project, other_project: Project, kind: str
) -> None:
    send(project, a_call(session_id="x_1", user_id="x_1"))
    assert charlie_client.get(f"/p/{project.slug}/{kind}").status_code == 404
    assert charlie_client.get(f"/p/{project.slug}/{kind}/one?id=x_1").status_code == 404
    assert "x_1" not in opened(charlie_client, f"/p/{other_project.slug}/{kind}").text
    response = charlie_client.get(f"/p/{other_project.slug}/{kind}/one?id=x_1")
    assert response.status_code == 404 or b"Nothing in this time." in response.content


@pytest.mark.parametrize("query", ["", "?id=", "?id=%00", "?id=nobody"])
def test_knows_no_other_session(alice_client: Client, project: Project, query: str) -> None:
    assert alice_client.get(f"/p/{project.slug}/sessions/one{query}").status_code == 404


@pytest.mark.parametrize("path", ["traces?q=quokka", "sessions", "users", "sessions/one?id=s_1", "users/one?id=u_1"])
def test_asks_few_questions(send: Send, alice_client: Client, project: Project, path: str) -> None:
    send(project, *calls(60, hours_ago=2, session_id="s_1", user_id="u_1", input="a quokka"))
    alice_client.get(f"/p/{project.slug}/{path}")
    with CaptureQueriesContext(connection) as asked:
        assert alice_client.get(f"/p/{project.slug}/{path}").status_code == 200
    limit = 18 if path.startswith("users/") else 14
    assert len([each for each in asked if "SAVEPOINT" not in each["sql"]]) <= limit


# --- One trace ----------------------------------------------------------------------------------------------


def a_long_trace(count: int) -> list[dict[str, Any]]:
    """A root, and `count` - 1 spans below it: calls and tools in turn, each call at a cent."""
    start = NOW - timedelta(hours=1)
    root = a_call(
        trace_id=TRACE, span_id=f"{1:016x}", kind="chain", name="root", cost_usd=None, started_at=start.isoformat()
    )
    below = [
        a_call(
            trace_id=TRACE,
            span_id=f"{place + 1:016x}",
            parent_span_id=f"{1:016x}",
            name=f"step {place}",
            kind="llm" if place % 2 else "tool",
            cost_usd="0.01" if place % 2 else None,
            input=f"question {place}",
            output=f"answer {place}",
            latency_ms=10,
            started_at=(start + timedelta(milliseconds=place)).isoformat(),
        )
        for place in range(1, count)
    ]
    return [root, *below]


def test_opens_a_long_trace_with_few_rows(
    send: Send, alice_client: Client, project: Project, read_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_trace, "MOST_SPANS", 300)
    send(project, *a_long_trace(1001))
    page = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}")
    assert "1001 spans" in page.text
    assert page.source.count('class="wf__row"') == 200
    assert page.stat("Cost") == "$5.0000" or page.stat("Cost").startswith("$5.00")
    later = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}?span={900:016x}")
    assert "Spans 801 to 1000 of 1001" in later.text
    assert "question 899" in later.text
    body = Api(read_key).get(f"/api/v1/traces/{TRACE}").json()
    assert (len(body["spans"]), body["truncated"]) == (300, True)
    assert (body["totals"]["model_calls"], body["totals"]["tool_runs"], body["totals"]["cost_usd"]) == (
        500,
        500,
        "5",
    )
    with CaptureQueriesContext(connection) as asked:
        opened(alice_client, f"/p/{project.slug}/traces/{TRACE}")
    assert len([each for each in asked if "SAVEPOINT" not in each["sql"]]) <= 12


def test_answers_htmx_with_the_span_alone(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *a_long_trace(5))
    address = f"/p/{project.slug}/traces/{TRACE}?span={3:016x}"
    text = alice_client.get(address, headers={"HX-Request": "true", "HX-Target": "span", "HX-Boosted": "true"})
    part = text.content.decode()
    assert part.lstrip().startswith('<section class="panel c-5" id="span"')
    assert f"span={2:016x}" in part
    assert f"span={4:016x}" in part
    restored = alice_client.get(
        address, headers={"HX-Request": "true", "HX-Target": "span", "HX-History-Restore-Request": "true"}
    )
    assert b"<html" in restored.content


def test_tells_a_trace_as_one_conversation(send: Send, alice_client: Client, project: Project) -> None:
    base = {"trace_id": TRACE}
    asked = [{"role": "user", "content": "Where is 7?"}]
    tool_call = {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": '{"id": 7}'}}]}

    def at(ms: int) -> str:
        return (NOW - timedelta(minutes=5) + timedelta(milliseconds=ms)).isoformat()

    send(
        project,
        a_call(**base, name="one", started_at=at(0), input=asked, output=[tool_call]),
        a_call(**base, name="run", kind="tool", tool_name="find", started_at=at(10), input={"id": 7}, output="in Lyon"),
        a_call(
            **base,
            name="two",
            started_at=at(20),
            input=[*asked, tool_call, {"role": "tool", "content": "in Lyon"}],
            output="It is in Lyon.",
        ),
        a_call(**base, name="kb", kind="retriever", started_at=at(30), documents=[{"id": "d", "content": "Rhône"}]),
    )
    page = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}?view=conversation")
    thread = page.source[page.source.index('id="thread"') : page.source.index('id="span"')]
    said = [re.sub(r"<[^>]+>", "", text).strip() for text in re.findall(r'msg__body">(.*?)</div>', thread, re.DOTALL)]
    assert said == ["Where is 7?", "find(id=7)", "in Lyon", "It is in Lyon.", "Rhône"]
    assert "3 messages as before." in page.text


def test_puts_log_content_beside_its_span(send: Send, alice_client: Client, project: Project) -> None:
    call = a_call(trace_id=TRACE)
    send(project, call)
    for event, body in (
        ("gen_ai.user.message", {"content": "Asked in a log"}),
        ("gen_ai.choice", {"index": 0, "message": {"content": "Answered in a log"}}),
    ):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO telemetry_logpart (project_id, trace_id, span_id, at, digest, event_name, body)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    project.pk,
                    bytes.fromhex(TRACE),
                    bytes.fromhex(call["span_id"]),
                    datetime.fromisoformat(call["started_at"]),
                    event.encode(),
                    event,
                    json.dumps(body),
                ],
            )
    page = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}")
    assert "Asked in a log" in page.text
    assert "Answered in a log" in page.text
    assert "came apart from it, as log records" in page.text
    assert get_trace(project.pk, TRACE).spans[0].output == [{"role": "assistant", "content": "Answered in a log"}]


def test_explains_quiet_facts(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(trace_id=TRACE, cost_usd="0.25"))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE telemetry_span SET flags = '{repeats_usage,user_id_inherited}', counted = false"
            " WHERE trace_id = %s",
            [bytes.fromhex(TRACE)],
        )
    page = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}")
    assert "It repeats the usage of calls that have spans of their own" in page.text
    assert "Taken from the spans above it: user_id." in page.text
    assert "is the one that the sender named." in page.text


def test_sends_a_span_again_by_its_command(send: Send, alice_client: Client, project: Project) -> None:
    call = a_call(
        trace_id=TRACE, name='it\'s $HOME `x` \\ "q"', input={"a": ["'", "$(rm)"]}, tags=["t"], cost_usd="0.25"
    )
    send(project, call)
    page = opened(alice_client, f"/p/{project.slug}/traces/{TRACE}?tab=raw")
    assert "Send it again with curl" in page.text
    span = get_trace(project.pk, TRACE).spans[0]
    command = resending.as_curl(span, address="http://127.0.0.1:8000")
    head, _, rest = command.partition("<<'PRODWORTHY'\n")
    assert shlex.split(head.replace("\\\n", ""))[:2] == ["curl", "http://127.0.0.1:8000/api/v1/telemetry"]
    body = json.loads(rest.partition("\nPRODWORTHY\n")[0])
    (sent,) = body["spans"]
    assert {name: sent[name] for name in call if name not in {"started_at", "cost_usd"}} == {
        name: value for name, value in call.items() if name not in {"started_at", "cost_usd"}
    }
    assert datetime.fromisoformat(sent["started_at"]) == datetime.fromisoformat(call["started_at"])


# --- Pure parts ---------------------------------------------------------------------------------------------


def test_puts_a_tree_in_order() -> None:
    ids = [bytes([place]) * 8 for place in range(1, 8)]
    a, b, c, d, e, f, g = ids
    none = bytes(8)
    #      c is a's child though given first; e and f point at each other; g's parent is missing; d is its own parent.
    order, depths = in_tree_order([c, a, b, d, e, f, g], [a, none, c, d, f, e, b"unknown!"])
    assert order == [1, 0, 2, 3, 6, 4, 5]
    assert [depths[place] for place in order] == [0, 1, 2, 0, 0, 0, 1]


def test_puts_a_deep_tree_in_order() -> None:
    ids = [place.to_bytes(8) for place in range(1, 20_001)]
    order, depths = in_tree_order(ids, [bytes(8), *ids[:-1]])
    assert order == list(range(20_000))
    assert depths[-1] == 19_999


def record(name: str, body: Any = None, at: int = 0, **attributes: Any) -> LogRecord:
    return LogRecord(name, NOW + timedelta(seconds=at), body, attributes)


def test_assembles_messages_from_events() -> None:
    messages = assemble(
        [
            record("gen_ai.choice", {"index": 1, "message": {"content": "second"}}, 5),
            record("gen_ai.choice", {"index": 0, "message": {"role": "assistant", "content": "first"}}, 6),
            record("gen_ai.user.message", {"content": "hello"}, 2),
            record("gen_ai.system.message", "be kind", 1),
            record("gen_ai.tool.message", {"id": "c1", "content": "42"}, 3),
            record("exception", {"content": "not a message"}, 4),
        ]
    )
    assert messages.input == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hello"},
        {"role": "tool", "content": "42", "id": "c1"},
    ]
    assert messages.output == [{"role": "assistant", "content": "first"}, {"role": "assistant", "content": "second"}]


def test_assembles_messages_from_one_event() -> None:
    whole = record(
        "gen_ai.client.inference.operation.details",
        **{
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
            "gen_ai.output.messages": '[{"role": "assistant", "parts": []}]',
            "gen_ai.system_instructions": [{"type": "text", "content": "be kind"}],
        },
    )
    messages = assemble([whole])
    assert messages.input is not None
    assert [message["role"] for message in messages.input] == ["system", "user"]
    assert messages.output == [{"role": "assistant", "parts": []}]
    assert assemble([]).input is None


def a_view(**changes: Any) -> SpanView:
    fields = {"kind": "llm", "name": "x", "tool_name": ""} | {
        name: value for name, value in changes.items() if name not in {"input", "output"}
    }
    return SpanView(
        values=fields, input=changes.get("input"), output=changes.get("output"), documents=[], attributes={}
    )


def test_takes_the_exchange_from_the_root_or_the_last_call() -> None:
    root = a_view(kind="chain")
    call = a_view(input=[{"role": "user", "content": "one"}, {"role": "user", "content": "two"}], output="three")
    assert [message.parts[0].text for message in conversation.exchange(root, call)] == ["two", "three"]
    full = a_view(kind="agent", input="asked", output="told")
    assert [message.parts[0].text for message in conversation.exchange(full, call)] == ["asked", "told"]
    assert conversation.exchange(None, None) == ()
    assert [message.parts[0].text for message in conversation.exchange(a_view(input="only asked"), None)] == [
        "only asked"
    ]


def test_finds_the_outline_whatever_time_is_named(send: Send, project: Project) -> None:
    send(project, *a_long_trace(4))
    for at in (None, NOW - timedelta(hours=1), NOW - timedelta(days=60)):
        outline = get_outline(project.pk, TRACE, at=at)
        assert (outline.count, outline.place_of(f"{3:016x}")) == (4, 2)
        assert outline.place_of("zz") is None


def test_lets_an_admin_tidy_up_shared_views(alice_client: Client, project: Project) -> None:
    member = factories.make_user("dora@example.com", name="Dora")
    factories.make_member(project, member, role=Role.VIEWER)
    dora = Client()
    sign_in(dora, member)
    save(dora, project, name="Dora's", is_shared="1")
    view = SavedView.objects.get()
    alice_client.post(f"/p/{project.slug}/views/{view.uuid}/delete")
    assert not SavedView.objects.exists()


def test_finds_the_session_of_a_quoted_address(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(session_id="a/b c"))
    at = quote((NOW - timedelta(hours=1)).isoformat())
    for tail in ("", f"&at={at}", "&at=1999-01-01", "&turn=99", "&turn=x"):
        assert alice_client.get(f"/p/{project.slug}/sessions/one?id=a%2Fb%20c{tail}").status_code == 200

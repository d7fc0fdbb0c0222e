"""Agents: how tasks end, what they take, which tools let down, and which tasks go in circles."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.projects.models import Project
from tests.dashboards.conftest import Send
from tests.dashboards.facts import a_search, a_task, a_trace, keep
from tests.dashboards.pages import Page
from tests.dashboards.test_overview import HOSTILE

pytestmark = pytest.mark.usefixtures("at_noon")


def agents(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/agents{query}"))


@pytest.fixture
def worked(send: Send, project: Project) -> None:
    """Forty tasks today: thirty well done, six failed, three too late, one in circles. Forty of yesterday, all well."""
    keep(
        send,
        project,
        [
            *(a_task(2, "look_up", "pay") for _ in range(30)),
            *(a_task(3, "look_up!", status="error", error_type="boom") for _ in range(6)),
            *(a_task(3, "pay?", status="error", error_type="TimeoutError") for _ in range(3)),
            a_task(1, "look_up", "look_up", "look_up", "look_up"),
            *(a_task(26, "look_up") for _ in range(40)),
        ],
    )


@pytest.mark.usefixtures("worked")
def test_opens_with_what_got_worse(alice_client: Client, project: Project) -> None:
    page = agents(alice_client, project)
    assert page.answer == "More tasks fail: 22.5 % in the last 24 hours, 0 % in the 24 hours before."
    assert page.stat("Succeeded").startswith("77.5 % −22.5 pt · 15.0 % failed, 7.5 % ran out of time")
    assert page.stat("Steps, P99").startswith("5 +3 · P50 3")
    assert page.stat("Cost per task").startswith("$0.0200")
    assert page.stat("Went in circles").startswith("1 2.5 %")
    assert "is-bad" in page.source


@pytest.mark.usefixtures("worked")
def test_shows_it_over_time_and_by_agent(alice_client: Client, project: Project) -> None:
    page = agents(alice_client, project)
    outcomes = page.table("chart-outcomes-table")
    assert outcomes["Mar 4, 10:00"] == {"succeeded": "30", "failed": "0", "ran out of time": "0"}
    assert outcomes["Mar 4, 09:00"] == {"succeeded": "0", "failed": "6", "ran out of time": "3"}
    assert page.table("chart-steps-table")["Mar 4, 10:00"] == {"P99": "3", "P50": "3"}
    assert page.table("table-agent")["desk"]["Tasks"] == "40"
    assert page.table("table-feature")["answers"]["Succeeded"] == "77.5 %"


@pytest.mark.usefixtures("worked")
def test_names_the_tools_that_let_down(alice_client: Client, project: Project) -> None:
    tools = agents(alice_client, project).table("table-tools")
    assert list(tools) == ["look_up", "pay"]
    assert (tools["look_up"]["Runs"], tools["look_up"]["Share"], tools["look_up"]["Failed"]) == (
        "40",
        "54.8 %",
        "15.0 %",
    )
    assert (tools["pay"]["Failed"], tools["pay"]["Ran out of time"]) == ("0 %", "9.1 %")


@pytest.mark.usefixtures("worked")
def test_leads_to_loops_and_failures(alice_client: Client, project: Project) -> None:
    page = agents(alice_client, project)
    (looped,) = page.table("table-looped").values()
    assert (looped["Steps"], looped["Outcome"]) == ("5", "Succeeded")
    assert "the same call in a row" in page.text
    link = page.link("desk")
    assert "at=2026-03-04T11%3A00" in link
    assert alice_client.get(link).status_code == 200


def test_says_when_tasks_go_in_circles(send: Send, alice_client: Client, project: Project) -> None:
    turns = ["a", "b"] * 3
    keep(send, project, [*(a_task(2, "a") for _ in range(19)), a_task(1, *turns)])
    page = agents(alice_client, project)
    assert page.answer == "1 of 20 tasks went in circles in the last 24 hours."
    assert "the same calls in turn" in page.text


def test_does_not_know_loops_without_arguments(send: Send, alice_client: Client, project: Project) -> None:
    tool = {"kind": "tool", "tool_name": "a"}
    keep(send, project, [a_trace(1, {"kind": "agent"}, tool, tool, tool, {"kind": "llm"}) for _ in range(20)])
    page = agents(alice_client, project)
    assert page.stat("Went in circles") == "– No arguments of tools are sent"
    assert page.answer == "Nothing unusual: 100 % of 20 tasks succeeded in the last 24 hours."


def test_counts_tools_outside_of_tasks(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_trace(1, {"kind": "tool", "tool_name": "alone"}) for _ in range(3)])
    page = agents(alice_client, project)
    assert page.answer == "3 tool runs in the last 24 hours, but no task of an agent."
    assert page.table("table-tools")["alone"]["Runs"] == "3"


def test_shows_tasks_that_have_no_end(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_trace(1, {"kind": "agent", "latency_ms": None}, {"kind": "llm"})])
    page = agents(alice_client, project)
    assert page.answer == "1 task in the last 24 hours, too few to judge."
    assert page.stat("Succeeded").startswith("–")
    assert page.table("chart-outcomes-table")["Mar 4, 11:00"] == {"succeeded": "0", "no end yet": "1"}


def test_teaches_before_the_first(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_search(1, 0.9)])
    page = agents(alice_client, project)
    assert page.answer == "No agent has run yet. This page fills itself when one does."
    assert "gen_ai.tool.call.arguments" in page.text
    assert 'hx-trigger="every 5s, refresh"' in page.source


@pytest.mark.parametrize("text", HOSTILE)
def test_shows_hostile_names_as_text(send: Send, alice_client: Client, project: Project, text: str) -> None:
    named = {"agent_name": text, "feature": text, "status": "error", "error_type": text}
    keep(send, project, [a_trace(1, {"kind": "agent", **named}, {"kind": "tool", "tool_name": text}, {"kind": "llm"})])
    page = agents(alice_client, project)
    assert page.handlers == []
    assert all("src" in script or script.get("type") == "application/json" for script in page.scripts)
    assert "<img" not in page.source


@pytest.mark.usefixtures("worked")
def test_asks_few_queries(alice_client: Client, project: Project) -> None:
    agents(alice_client, project)
    with CaptureQueriesContext(connection) as captured:
        agents(alice_client, project, "?range=30d")
    assert len(captured) <= 12

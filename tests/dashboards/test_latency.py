"""Latency: how fast, who is slow, and on how many calls that rests."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.projects.models import Project
from tests.dashboards.conftest import Send, a_call, calls
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")


def latency(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/latency{query}"))


@pytest.fixture
def measured(send: Send, project: Project) -> None:
    """A quick feature and a slow one; yesterday the slow one was quicker. Lengths below 200 ms are kept exactly."""
    send(
        project,
        *calls(120, hours_ago=2, latency_ms=50, ttft_ms=20),
        *calls(100, hours_ago=3, feature="notes", request_model="atlas-small", latency_ms=180),
        *calls(100, hours_ago=27, feature="notes", request_model="atlas-small", latency_ms=100),
        a_call(feature="notes", latency_ms=None),
    )


@pytest.mark.usefixtures("measured")
def test_opens_with_what_calls_stay_below(alice_client: Client, project: Project) -> None:
    page = latency(alice_client, project)
    assert page.answer == "Half of the calls took at most 50 ms, 99 % at most 180 ms in the last 24 hours."
    assert "220 calls with a latency" in page.text
    assert "nearest rank, within 1 %" in page.text
    assert page.stat("P95").startswith("180 ms +80 ms on the 24 h before")
    assert page.stat("TTFT, P99").startswith("20 ms – · 120 calls")


@pytest.mark.usefixtures("measured")
def test_puts_the_slowest_first_with_its_sample(alice_client: Client, project: Project) -> None:
    page = latency(alice_client, project)
    rows = page.table("table-feature")
    assert list(rows) == ["notes", "support-answers"]
    assert rows["notes"] == {
        "Calls": "100",
        "P50": "180 ms",
        "P95": "180 ms",
        "P99": "180 ms",
        "Change": "+80 ms",
        "TTFT P99": "–",
    }
    assert list(page.table("table-model")) == ["atlas-small", "atlas-large"]


@pytest.mark.usefixtures("measured")
def test_draws_the_chosen_percentile_of_each_group(alice_client: Client, project: Project) -> None:
    rows = latency(alice_client, project, "?by=model&percentile=p50").table("chart-slow-table")
    assert rows["Mar 4, 09:00"] == {"atlas-large": "–", "atlas-small": "180 ms"}
    assert rows["Mar 4, 10:00"] == {"atlas-large": "50 ms", "atlas-small": "–"}


@pytest.mark.usefixtures("measured")
def test_sorts_by_what_is_chosen(alice_client: Client, project: Project) -> None:
    assert list(latency(alice_client, project, "?sort=calls").table("table-feature")) == ["support-answers", "notes"]


def test_calls_no_few_calls_slow(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(19, hours_ago=1), *calls(19, hours_ago=30, latency_ms=10))
    page = latency(alice_client, project)
    assert page.answer == "19 calls in the last 24 hours, too few for percentiles."
    assert "is-bad" not in page.source
    assert "of fewer than 100 calls" in page.source


def test_colors_a_change_of_enough_calls(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(100, hours_ago=1, latency_ms=150), *calls(100, hours_ago=30, latency_ms=100))
    assert "is-bad" in latency(alice_client, project).source


def test_says_when_nothing_was_measured(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(latency_ms=None))
    assert latency(alice_client, project).answer == "No latency was measured in the last 24 hours."

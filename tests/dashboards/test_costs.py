"""Costs: where the money goes, what has no price, and the export."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.projects.models import Project
from tests.dashboards.conftest import Send, a_call, calls
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")


def costs(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/costs{query}"))


@pytest.fixture
def spent(send: Send, project: Project) -> None:
    """Two features, two models, a prompt version, and a model without a price."""
    send(
        project,
        *calls(
            4,
            hours_ago=2,
            cost_usd="0.50",
            cached_input_tokens=40,
            cache_write_tokens=7,
            reasoning_tokens=3,
            prompt_name="greet",
            prompt_version="1.2.0",
        ),
        *calls(1, hours_ago=3, feature="search", request_model="atlas-small", provider="other", cost_usd="0.50"),
        *calls(5, hours_ago=5, feature="search", request_model="house", provider="house", cost_usd=None),
        *calls(4, hours_ago=30, cost_usd="0.25"),
    )


@pytest.mark.usefixtures("spent")
def test_opens_with_where_most_of_it_goes(alice_client: Client, project: Project) -> None:
    page = costs(alice_client, project)
    assert page.answer == "$2.50 in the last 24 hours, 80 % of it on support-answers."
    assert "+150 % on the 24 hours before." in page.text
    assert page.link("The cost of 5 more calls is unknown.") == "#unpriced"


@pytest.mark.usefixtures("spent")
def test_breaks_spend_down_with_tokens_by_class(alice_client: Client, project: Project) -> None:
    rows = costs(alice_client, project).table("table-costs")
    assert rows["support-answers"] == {
        "Calls": "4",
        "Tokens in": "400",
        "cached": "160",
        "cache written": "28",
        "Tokens out": "40",
        "reasoning": "12",
        "Per call": "$0.500",
        "Spend": "$2.00",
        "Share": "80.0 %",
        "Change": "+100 %",
    }
    assert rows["search"]["Spend"] == "5 unpriced, $0.500"
    assert rows["search"]["Per call"] == "$0.500"
    assert (rows["Total"]["Calls"], rows["Total"]["Spend"]) == ("10", "$2.50")


@pytest.mark.usefixtures("spent")
@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("model", {"atlas-large": "4", "atlas-small": "1", "house": "5"}),
        ("provider", {"acme": "4", "other": "1", "house": "5"}),
        ("prompt_version", {"greet@1.2.0": "4", "no prompt": "6"}),
        ("source", {"service": "10"}),
        ("environment", {"production": "10"}),
        ("nonsense", {"support-answers": "4", "search": "6"}),
    ],
)
def test_breaks_spend_down_by_what_is_chosen(
    alice_client: Client, project: Project, by: str, rows: dict[str, str]
) -> None:
    shown = costs(alice_client, project, f"?by={by}").table("table-costs")
    assert {name: row["Calls"] for name, row in shown.items() if name != "Total"} == rows


@pytest.mark.usefixtures("spent")
def test_sorts_by_what_is_chosen(alice_client: Client, project: Project) -> None:
    usual = costs(alice_client, project, "?by=model")
    assert list(usual.table("table-costs"))[:3] == ["atlas-large", "atlas-small", "house"]
    assert 'aria-sort="descending"' in usual.source
    by_calls = costs(alice_client, project, "?by=model&sort=calls")
    assert list(by_calls.table("table-costs"))[:3] == ["house", "atlas-large", "atlas-small"]


@pytest.mark.usefixtures("spent")
def test_lists_models_without_a_price(alice_client: Client, project: Project) -> None:
    page = costs(alice_client, project)
    assert page.table("table-unpriced") == {
        "house": {
            "Unpriced calls": "5",
            "Tokens in": "500",
            "Tokens out": "50",
            "First seen": "5 h ago",
            "Last seen": "5 h ago",
            "Actions": "Set price house",
        }
    }
    inbox = Page(alice_client.get(page.link("Set price house")))
    where = urlsplit(inbox.link("Set price house"))
    assert parse_qs(where.query) == {"model": ["house"], "provider": ["house"], "from": ["2026-03-04"]}


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [("?range=24h", "8 h ago", "2 h ago"), ("?range=7d", "today", "today"), ("?range=30d", "Feb 27", "today")],
)
def test_says_when_as_exactly_as_it_is_known(
    send: Send, alice_client: Client, project: Project, query: str, first: str, last: str
) -> None:
    ago = (24 * 5, 8, 2) if "30d" in query else (8, 2)
    send(project, *(call for hours in ago for call in calls(1, hours_ago=hours, cost_usd=None)))
    row = costs(alice_client, project, query).table("table-unpriced")["atlas-large"]
    assert (row["First seen"], row["Last seen"]) == (first, last)


def test_counts_priced_calls_of_the_same_model_apart(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(3, hours_ago=2, cost_usd=None), *calls(4, hours_ago=8))
    row = costs(alice_client, project).table("table-unpriced")["atlas-large"]
    assert row["Unpriced calls"] == "3 of 7"
    assert row["First seen"] == "2 h ago"


def test_says_so_when_every_call_has_a_price(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call())
    page = costs(alice_client, project)
    assert "Every call in this time has a price." in page.text
    assert page.answer == "$0.0100 in the last 24 hours."


def test_does_not_take_unknown_for_nothing(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(3, hours_ago=1, cost_usd=None))
    page = costs(alice_client, project)
    assert page.answer == "The cost of all 3 calls in the last 24 hours is unknown."
    assert page.table("table-costs")["support-answers"]["Spend"] == "unpriced"
    assert "$0.00" not in page.text


def exported(client: Client, project: Project, query: str = "") -> list[dict[str, str]]:
    response: Any = client.get(f"/p/{project.slug}/costs.csv{query}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment; ")
    return list(csv.DictReader(io.StringIO(response.content.decode())))


@pytest.mark.usefixtures("spent")
def test_exports_the_exact_figures(alice_client: Client, project: Project) -> None:
    first, second = exported(alice_client, project)
    assert first["feature"] == "support-answers"
    assert (first["calls"], first["cost_usd"], first["cached_input_tokens"]) == ("4", "2.00", "160")
    assert (first["cost_before_usd"], first["cost_per_call_usd"], first["cost_share"]) == (
        "1.00",
        "0.500000000000",
        "0.800000",
    )
    assert (second["unpriced_calls"], second["cost_usd"], second["cost_before_usd"]) == ("5", "0.50", "")
    assert [row["model"] for row in exported(alice_client, project, "?by=model")] == [
        "atlas-large",
        "atlas-small",
        "house",
    ]
    assert [row["feature"] for row in exported(alice_client, project, "?feature=search")] == ["search"]


@pytest.mark.parametrize("name", ["=HYPERLINK(A1)", "+1", "-1", "@SUM(1)", "\t=1", "  =1", "\uff1d1"])
def test_exports_no_formula(send: Send, alice_client: Client, project: Project, name: str) -> None:
    send(project, a_call(feature=name))
    (row,) = exported(alice_client, project)
    assert row["feature"] == f"'{name}"


@pytest.mark.usefixtures("spent")
def test_asks_at_most_twelve_questions_of_the_database(alice_client: Client, project: Project) -> None:
    alice_client.get(f"/p/{project.slug}/costs")
    for path in ("costs?range=90d&model=house", "latency?range=90d", "traces", "costs.csv"):
        with CaptureQueriesContext(connection) as asked:
            assert alice_client.get(f"/p/{project.slug}/{path}").status_code == 200
        statements = [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]
        assert len(statements) <= 12, path

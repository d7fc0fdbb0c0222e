"""The Overview shows what the calls add up to, and says what stands out."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.histogram import ERROR
from apps.projects.models import Project
from tests.dashboards.conftest import NOW, Send, a_call, calls
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")

MOST_QUERIES = 12


def overview(client: Client, project: Project, query: str = "", **headers: str) -> Page:
    return Page(client.get(f"/p/{project.slug}/{query}", headers=headers))


@pytest.fixture
def two_days(send: Send, project: Project) -> None:
    """Today 30 calls of two features, the day before 20 of one, one more last month."""
    send(
        project,
        *calls(20, hours_ago=2, cost_usd="0.05", latency_ms=100, ttft_ms=40),
        *calls(10, hours_ago=3, feature="search", request_model="atlas-small", cost_usd="0.001", latency_ms=190),
        *calls(20, hours_ago=26, cost_usd="0.04", latency_ms=120),
        a_call(started_at="2026-02-03T08:00:00Z", cost_usd="0.50"),
    )


@pytest.mark.usefixtures("two_days")
def test_shows_what_the_calls_add_up_to(alice_client: Client, project: Project) -> None:
    page = overview(alice_client, project)
    assert page.answer == "Nothing unusual in the last 24 hours."
    # Today 20 x 0.05 + 10 x 0.001; yesterday by noon 20 x 0.04.
    assert page.stat("Spend today").startswith("$1.01 +26.2 % on yesterday, same time")
    # March so far 1.01 + 0.80; February up to the 4th, noon: 0.50.
    assert page.stat("Spend, Mar").startswith("$1.81 ")
    assert page.stat("Error rate").startswith("0 % 0 of 30")
    assert page.stat("Latency, P99").startswith(
        "190 ms P95 190 ms P50 100 ms · +70 ms at P99 TTFT P50 40 ms, P99 40 ms"
    )
    assert page.stat("Tokens in, out").startswith("3.00 k in 300 out +50.0 % on the 24 h before")


@pytest.mark.usefixtures("two_days")
def test_breaks_the_calls_down(alice_client: Client, project: Project) -> None:
    page = overview(alice_client, project)
    features = page.table("table-feature")
    assert list(features) == ["support-answers", "search"]
    assert features["support-answers"] == {
        "Calls": "20",
        "Errors": "0 %",
        "Spend": "$1.00",
        "Change": "+25.0 %",
        "Share": "99.01 %",
        "P50": "100 ms",
        "P99": "100 ms",
        "Tokens": "2.20 k",
    }
    assert features["search"]["Change"] == "–"
    models = page.table("table-model")
    assert {name: row["Calls"] for name, row in models.items()} == {"atlas-large": "20", "atlas-small": "10"}


@pytest.mark.usefixtures("two_days")
def test_links_each_row_to_the_page_narrowed_to_it(alice_client: Client, project: Project) -> None:
    query = overview(alice_client, project, "?range=7d").link("search")
    assert query == "?range=7d&feature=search"
    page = overview(alice_client, project, query)
    assert list(page.table("table-feature")) == ["search"]
    assert page.stat("Spend today").startswith("$0.0100 ")
    assert page.table("table-model")["atlas-small"]["Calls"] == "10"


@pytest.mark.parametrize(
    ("query", "calls_shown"),
    [
        ("?env=production", 3),
        ("?env=staging", 2),
        ("?env=all", 5),
        ("?feature=(none)", 1),
        ("?model=atlas-large&env=staging", 1),
        ("?range=1h", 1),
        ("?from=2026-03-01&to=2026-03-04", 4),
        ("?from=2026-03-03T10:00:00%2B01:00&to=2026-03-03T09:00", None),
    ],
)
def test_keeps_to_what_the_address_says(
    send: Send, alice_client: Client, project: Project, query: str, calls_shown: int | None
) -> None:
    send(
        project,
        a_call(started_at="2026-03-04T11:30:00Z"),
        *calls(2, hours_ago=5),
        a_call(environment="staging", feature="", started_at="2026-03-04T10:00:00Z"),
        a_call(environment="staging", request_model="atlas-small", started_at="2026-03-04T10:00:00Z"),
        *calls(4, hours_ago=30),
    )
    page = overview(alice_client, project, query)
    shown = page.stat("Error rate").split(" of ")[1].split()[0] if " of " in page.stat("Error rate") else None
    # An impossible range falls back to the usual one.
    assert shown == str(calls_shown if calls_shown is not None else 5)


def test_counts_a_day_of_the_projects_own_zone(send: Send, alice_client: Client, project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(timezone="America/New_York")
    # At noon UTC it is 07:00 in New York, whose day began at 05:00 UTC.
    send(
        project,
        a_call(started_at="2026-03-04T05:00:00Z", cost_usd="1"),
        a_call(started_at="2026-03-04T04:59:59Z", cost_usd="2"),
        a_call(started_at="2026-03-01T04:59:59Z", cost_usd="4"),
    )
    page = overview(alice_client, project)
    assert page.stat("Spend today").startswith("$1.00 ")
    assert page.stat("Spend, Mar").startswith("$3.00 ")


def test_says_unknown_where_no_price_is_known(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(3, hours_ago=1, cost_usd=None), a_call(cost_usd="0.25", feature="search"))
    page = overview(alice_client, project)
    assert page.stat("Spend today").startswith("$0.250 ")
    assert "plus 3 unpriced calls" in page.stat("Spend today")
    assert page.link("plus 3 unpriced calls").startswith(f"/p/{project.slug}/costs")
    assert page.table("table-feature")["support-answers"]["Spend"] == "unpriced"
    assert page.table("table-feature")["search"]["Share"] == "100 %"


def test_answers_with_what_stands_out(send: Send, alice_client: Client, project: Project) -> None:
    failed = {"status": "error", "error_type": "Timeout"}
    send(
        project,
        *calls(180, hours_ago=2),
        *calls(20, hours_ago=3, **failed),
        *calls(200, hours_ago=26),
        *calls(200, hours_ago=4, feature="search"),
        *calls(200, hours_ago=27, feature="search"),
    )
    page = overview(alice_client, project)
    assert page.answer == "Errors rose to 10.0 % on support-answers."
    assert "20 of 200 calls failed; before, 0 % of 200." in page.text
    assert page.table("table-feature")["support-answers"]["Errors"] == "10.0 %"


def test_shows_percentiles_of_the_nearest_rank(send: Send, alice_client: Client, project: Project) -> None:
    lengths = [(place * 7919) % 60_000 + 200 for place in range(400)]
    send(project, *(a_call(latency_ms=length) for length in lengths))
    shown = re.match(r"([\d.]+) s P95 ([\d.]+) s P50 ([\d.]+) s", overview(alice_client, project).stat("Latency, P99"))
    assert shown is not None
    ordered = sorted(lengths)
    for text, rank in zip(shown.groups(), (396, 380, 200), strict=True):
        # Half a per cent by the histogram, and what rounding to three digits adds.
        assert float(text) * 1000 == pytest.approx(ordered[rank - 1], rel=2 * float(ERROR))


@pytest.mark.usefixtures("two_days")
def test_draws_the_same_numbers(alice_client: Client, project: Project) -> None:
    page = overview(alice_client, project)
    spend = page.table("chart-spend-table")
    assert spend["Mar 4, 10:00"] == {"support-answers": "$1.00", "search": "$0.00"}
    assert spend["Mar 4, 09:00"]["search"] == "$0.0100"
    assert len(spend) == 24
    assert page.table("chart-calls-table")["Mar 4, 10:00"] == {"answered": "20", "failed": "0"}
    assert page.table("chart-latency-table")["Mar 4, 11:00"] == {"P99": "–", "P95": "–", "P50": "–"}


def test_lists_the_newest_traces_as_links(send: Send, alice_client: Client, project: Project) -> None:
    late = a_call(name="refund", started_at="2026-03-04T11:59:00Z")
    send(project, *calls(8, hours_ago=2), late)
    page = overview(alice_client, project)
    assert page.link("refund") == (f"/p/{project.slug}/traces/{late['trace_id']}?at=2026-03-04T11%3A59%3A00%2B00%3A00")
    assert len(re.findall(r"/traces/[0-9a-f]{32}", page.source)) == 6


@pytest.mark.usefixtures("two_days")
@pytest.mark.parametrize("query", ["", "?range=1h", "?range=7d", "?range=30d", "?range=90d", "?feature=search&model=x"])
def test_asks_at_most_twelve_questions_of_the_database(alice_client: Client, project: Project, query: str) -> None:
    alice_client.get(f"/p/{project.slug}/")  # the session learns the last project
    with CaptureQueriesContext(connection) as asked:
        overview(alice_client, project, query)
    statements = [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= MOST_QUERIES, "\n".join(statement[:200] for statement in statements)


@pytest.mark.usefixtures("two_days")
def test_refreshes_itself_by_a_fragment_of_the_same_address(alice_client: Client, project: Project) -> None:
    page = overview(alice_client, project, "?range=7d&feature=search")
    assert f'hx-get="/p/{project.slug}/?range=7d&amp;feature=search"' in page.source
    assert 'hx-trigger="every 10s, refresh"' in page.source
    fragment = overview(alice_client, project, "?range=7d&feature=search", **{"HX-Request": "true"})
    assert fragment.source.startswith('<div class="stack" id="overview"')
    assert "<html" not in fragment.source
    assert fragment.table("table-feature") == page.table("table-feature")
    # A chart that is drawn stays in place.
    assert page.source.count("hx-preserve") == page.source.count("data-chart-box") > 0


@pytest.mark.usefixtures("two_days")
def test_does_not_refresh_what_cannot_change(alice_client: Client, project: Project) -> None:
    page = overview(alice_client, project, "?from=2026-03-02&to=2026-03-03")
    assert "hx-trigger" not in page.source


def test_shows_new_calls_at_once(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(2, hours_ago=1))
    assert overview(alice_client, project).stat("Error rate").startswith("0 % 0 of 2")
    send(project, a_call(status="error"))
    assert overview(alice_client, project).stat("Error rate").startswith("33.3 % 1 of 3")


def test_adds_up_a_trace_once(send: Send, alice_client: Client, project: Project) -> None:
    """Only calls count: neither the chain around one, nor a tool."""
    call = a_call()
    chain = a_call(kind="chain", trace_id=call["trace_id"], cost_usd=None)
    tool = a_call(kind="tool", trace_id=call["trace_id"], cost_usd=None)
    send(project, chain, call, tool)
    assert overview(alice_client, project).stat("Error rate").startswith("0 % 0 of 1")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "{{ 7*7 }}{% now 'Y' %}",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "<b>bold</b>&amp;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_shows_hostile_names_as_text(send: Send, alice_client: Client, project: Project, text: str) -> None:
    fields = ("name", "feature", "provider", "request_model", "user_id", "session_id", "environment", "prompt_name")
    send(project, *[a_call(**dict.fromkeys(fields, text[:60])) for _ in range(25)])
    for path in ("", "costs", "costs?by=provider", "costs?by=prompt_version", "latency", "traces"):
        page = Page(alice_client.get(f"/p/{project.slug}/{path}"))
        assert page.handlers == [], path
        assert all("src" in script or script.get("type") == "application/json" for script in page.scripts), path
        assert "<img" not in page.source
        assert "<b>bold" not in page.source
        assert "49" not in re.findall(r">([^<]*)</a>", page.source), path
    shown = overview(alice_client, project)
    assert text[:60] in shown.table("table-feature")


def test_shows_no_call_of_another_project(
    send: Send, alice_client: Client, project: Project, other_project: Project
) -> None:
    send(other_project, *calls(5, hours_ago=1, feature="secret-feature"))
    send(project, a_call())
    page = overview(alice_client, project)
    assert page.stat("Error rate").startswith("0 % 0 of 1")
    assert "secret-feature" not in page.source


@pytest.mark.parametrize(
    "path", ["", "first-call", "costs", "costs.csv", "latency", "palette?q=a", "traces", "traces/" + "a" * 32]
)
def test_is_nothing_to_a_stranger(charlie_client: Client, project: Project, path: str) -> None:
    assert charlie_client.get(f"/p/{project.slug}/{path}").status_code == 404
    anonymous = Client().get(f"/p/{project.slug}/{path}")
    assert anonymous.status_code == 302
    assert anonymous["Location"].startswith("/accounts/login/")


@pytest.mark.usefixtures("two_days")
@pytest.mark.parametrize("path", ["", "costs", "costs.csv", "latency", "traces"])
def test_lets_a_viewer_look(bob_client: Client, project: Project, path: str) -> None:
    assert bob_client.get(f"/p/{project.slug}/{path}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "?range=999d",
        "?from=x&to=y",
        "?from=0001-01-01&to=9999-12-31",
        "?from=2026-03-04T12:00:00%2B99:99",
        "?feature=%00&model=%ff",
        "?env=%00",
        "?sort=;drop&by=;drop&percentile=;drop",
        "?cursor=%00~zz",
        "?" + "&".join(f"x{place}=1" for place in range(500)),
    ],
)
@pytest.mark.usefixtures("two_days")
def test_survives_any_address(alice_client: Client, project: Project, query: str) -> None:
    for path in ("", "costs", "costs.csv", "latency", "traces", "palette"):
        assert alice_client.get(f"/p/{project.slug}/{path}{query}").status_code == 200, path


def test_is_ready_for_a_moment_without_calls(send: Send, alice_client: Client, project: Project) -> None:
    send(project, *calls(3, hours_ago=24 * 20))
    for path in ("", "costs", "latency", "traces"):
        page = Page(alice_client.get(f"/p/{project.slug}/{path}"))
        assert "No " in page.text
    assert overview(alice_client, project).answer == "No calls in the last 24 hours."


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0)


def test_stands_at_the_first_moment_of_a_month(
    send: Send, alice_client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.core import clock

    first: Any = midnight(NOW.replace(day=1))
    send(project, a_call(started_at=(first - timedelta(hours=1)).isoformat(), cost_usd="3"), now=first)
    monkeypatch.setattr(clock, "now", lambda: first)
    page = overview(alice_client, project)
    assert page.stat("Spend, Mar").startswith("$0.00 ")
    assert page.stat("Spend today").startswith("$0.00 ")

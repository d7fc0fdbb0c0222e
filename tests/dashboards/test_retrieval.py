"""Retrieval: what is found, how well it matches, how much is used, and where that is worst."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.dashboards import fact_snippets
from apps.dashboards.snippets import Example
from apps.projects.models import Project
from tests.dashboards.conftest import NOW, Send
from tests.dashboards.facts import a_search, a_task, keep
from tests.dashboards.pages import Page
from tests.dashboards.test_overview import HOSTILE

pytestmark = pytest.mark.usefixtures("at_noon")


def retrieval(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/retrieval{query}"))


@pytest.fixture
def searched(send: Send, project: Project) -> None:
    """Thirty searches of the last hours, three of them empty, and thirty good ones of yesterday."""
    age = {"attributes": {"index_name": "help", "index_age_s": 7200}}
    keep(
        send,
        project,
        [
            *(a_search(2, 0.9, 0.5, answer="It is so [1].") for _ in range(26)),
            *(a_search(3) for _ in range(3)),
            a_search(1, 0.1, answer="[1]", latency_ms=9000, **age),
            *(a_search(26, 0.9, 0.5, answer="It is so [1].") for _ in range(30)),
        ],
    )


@pytest.mark.usefixtures("searched")
def test_opens_with_what_got_worse(alice_client: Client, project: Project) -> None:
    page = retrieval(alice_client, project)
    assert page.answer == ("More retrievals find nothing: 10.0 % in the last 24 hours, 0 % in the 24 hours before.")
    assert page.stat("Retrievals").startswith("30 0.0 % on the 24 h before · 1.8 documents each")
    assert page.stat("Found nothing").startswith("10.0 % 3 of 30 +10.0 pt")
    assert "is-bad" in page.source
    assert page.stat("Used in the answer").startswith("51.9 % +1.9 pt · cited in the answer")


@pytest.mark.usefixtures("searched")
def test_shows_it_over_time_and_by_index(alice_client: Client, project: Project) -> None:
    page = retrieval(alice_client, project)
    assert page.table("chart-found-table")["Mar 4, 09:00"] == {"found documents": "0", "found nothing": "3"}
    assert page.table("chart-found-table")["Mar 4, 10:00"] == {"found documents": "26", "found nothing": "0"}
    assert page.table("chart-score-table")["Mar 4, 10:00"] == {"P90": "0.90", "P50": "0.90", "P10": "0.90"}
    assert page.table("chart-use-table")["Mar 4, 10:00"] == {"cited in the answer": "50.0 %"}
    row = page.table("table-index")["help"]
    assert (row["Retrievals"], row["Nothing"], row["Documents"], row["Used"]) == ("30", "10.0 %", "1.8", "52 %")
    assert row["Updated"] == "2 h ago"
    assert list(page.table("table-feature")) == ["answers"]


@pytest.mark.usefixtures("searched")
def test_leads_to_the_worst_with_their_time(alice_client: Client, project: Project) -> None:
    page = retrieval(alice_client, project)
    assert len(page.table("table-empty")) == 1, "all of the same index and feature"
    slowest = page.source.split('id="table-slow"')[1].split('href="')[1].split('"')[0]
    link = slowest.replace("&amp;", "&")
    assert "at=2026-03-04T11%3A00" in link
    assert link.endswith(f"span={2:016x}")
    assert alice_client.get(link).status_code == 200


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("?feature=nobody", "No retrieval in the last 24 hours."),
        ("?env=staging", "No retrieval in the last 24 hours."),
        ("?range=1h", "1 retrieval in the last hour, too few to judge."),
        ("?range=7d", "Nothing unusual: 5.0 % of 60 retrievals found nothing in the last 7 days."),
        ("?from=2026-03-04T10:30&to=2026-03-04T12:00", "1 retrieval in the chosen time, too few to judge."),
    ],
)
def test_is_about_what_the_address_says(alice_client: Client, project: Project, query: str, answer: str) -> None:
    assert retrieval(alice_client, project, query).answer == answer


def test_says_when_matches_fall(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_search(2, 0.4) for _ in range(20)] + [a_search(30, 0.8) for _ in range(20)])
    answer = retrieval(alice_client, project).answer
    assert answer == "The best documents match less: a score of 0.40 in the middle, 0.80 before."


def test_says_when_nobody_tells_what_was_found(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_search(2, documents=None) for _ in range(20)])
    page = retrieval(alice_client, project)
    assert page.answer == "20 retrievals in the last 24 hours; none says what it found."
    assert page.stat("Found nothing").startswith("–")
    assert page.table("chart-found-table")["Mar 4, 10:00"] == {"found documents": "0", "did not say": "20"}


def test_teaches_before_the_first(send: Send, alice_client: Client, project: Project) -> None:
    keep(send, project, [a_task(1)])
    page = retrieval(alice_client, project)
    assert page.answer == "No retrieval has arrived yet. This page fills itself when one does."
    assert "gen_ai.retrieval.documents" in page.text
    assert "/api/v1/telemetry" in page.text
    assert 'hx-trigger="every 5s, refresh"' in page.source
    keep(send, project, [a_search(1, 0.9)])
    fragment = alice_client.get(f"/p/{project.slug}/retrieval", headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith('<div class="stack" id="retrieval">')
    assert "too few to judge" in fragment


@pytest.mark.parametrize(
    ("path", "write", "answer"),
    [
        ("retrieval", fact_snippets.retrieval, "1 retrieval in the last 24 hours, too few to judge."),
        ("agents", fact_snippets.agent, "1 task in the last 24 hours, too few to judge."),
    ],
)
def test_offers_lines_that_do_what_they_say(
    send: Send, alice_client: Client, project: Project, path: str, write: Callable[[Example], str], answer: str
) -> None:
    lines = write(Example("http://localhost", "KEY", "a" * 32, "f" * 16, NOW))
    spans = json.loads(lines.split("-d '")[1].removesuffix("'"))["spans"]
    keep(send, project, [spans])
    assert Page(alice_client.get(f"/p/{project.slug}/{path}")).answer == answer


@pytest.mark.parametrize("text", HOSTILE)
def test_shows_hostile_names_as_text(send: Send, alice_client: Client, project: Project, text: str) -> None:
    keep(send, project, [a_search(1, 0.9, attributes={"index_name": text}, feature=text) for _ in range(2)])
    page = retrieval(alice_client, project)
    assert page.handlers == []
    assert all("src" in script or script.get("type") == "application/json" for script in page.scripts)
    assert "<img" not in page.source
    assert text.split("\x00")[0][:5] in page.text or not text.strip()


@pytest.mark.usefixtures("searched")
def test_asks_few_queries(alice_client: Client, project: Project) -> None:
    retrieval(alice_client, project)
    with CaptureQueriesContext(connection) as captured:
        retrieval(alice_client, project, "?range=30d")
    assert len(captured) <= 12


def test_is_for_members_alone(project: Project, charlie: object, client: Client) -> None:
    client.force_login(charlie, backend="allauth.account.auth_backends.AuthenticationBackend")  # type: ignore[arg-type]
    assert client.get(f"/p/{project.slug}/retrieval").status_code == 404
    assert client.get(f"/p/{project.slug}/agents").status_code == 404

"""Before the first call: the page that says how to send it, and that turns into the Overview by itself."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime, timedelta

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core import clock
from apps.dashboards import snippets
from apps.projects.models import Project
from apps.telemetry import wire
from tests.dashboards.conftest import NOW, Send, a_call
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def started(alice: User, alice_client: Client) -> Project:
    """A project that Alice has just made in this browser, with its first key."""
    response = alice_client.post("/projects/new", {"name": "Fresh", "timezone": "UTC"})
    assert response.status_code == 302, response.content
    return Project.objects.get(name="Fresh")


def first_run(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/{query}", headers={"host": "127.0.0.1:8031"}))


def snippet(page: Page) -> str:
    found = re.search(r"<pre[^>]*>(.*?)</pre>", page.source, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


def test_fills_in_key_and_address(alice_client: Client, started: Project) -> None:
    page = first_run(alice_client, started)
    assert page.answer == "Send the first call. This page becomes your overview."
    text = snippet(page)
    assert text.startswith("curl http://127.0.0.1:8031/api/v1/telemetry")
    assert re.search(r'"Authorization: Bearer pw_ingest_local_\w+"', text)


def test_gives_a_line_that_the_intake_takes(alice_client: Client, started: Project) -> None:
    text = snippet(first_run(alice_client, started))
    body = re.search(r"-d '(.*)'$", text, re.DOTALL)
    assert body is not None
    items = wire.read_body(body[1].encode(), max_items=10)
    spans, _, rejected = wire.read_spans(
        items.spans, project_id=started.pk, received_at=NOW, keep_since=NOW - timedelta(days=1)
    )
    assert rejected == []
    assert (spans[0].feature, spans[0].model, spans[0].flags) == (
        "support-answers",
        "gpt-4o-mini",
        ["environment_assumed"],
    )
    assert NOW - timedelta(minutes=1) < spans[0].started_at <= NOW


def test_gives_each_visit_ids_of_its_own(alice_client: Client, started: Project) -> None:
    texts = [snippet(first_run(alice_client, started)) for _ in range(2)]
    ids = [re.findall(r'"(?:trace|span)_id": "([0-9a-f]+)"', text) for text in texts]
    assert [len(each) for each in ids[0]] == [32, 16]
    assert not set(ids[0]) & set(ids[1])


@pytest.mark.parametrize("tab", ["curl", "python", "javascript"])
def test_offers_each_way_under_its_own_address(alice_client: Client, started: Project, tab: str) -> None:
    page = first_run(alice_client, started, f"?tab={tab}")
    assert "pw_ingest_local_" in snippet(page)
    assert "/api/v1/telemetry" in snippet(page)
    assert re.search(rf'href="[^"]*"[^>]*aria-current="page">{tab}</a>', page.source, re.IGNORECASE)


def test_offers_only_ways_that_work(alice_client: Client, started: Project) -> None:
    for tab in ("otlp", "openai", "<script>", ""):
        page = first_run(alice_client, started, f"?tab={tab}")
        assert snippet(page).startswith("curl ")
        assert "OTLP" not in page.text


def test_writes_python_that_compiles() -> None:
    example = snippets.Example("http://localhost:8000", "pw_x", "a" * 32, "b" * 16, NOW)
    compile(snippets.python(example), "example", "exec")


def test_asks_for_a_key_where_none_can_be_shown(bob_client: Client, project: Project) -> None:
    page = first_run(bob_client, project)
    assert "YOUR_KEY" in snippet(page)
    assert page.link("Make a key") == f"/p/{project.slug}/settings/keys"


def test_shows_the_key_for_an_hour(alice_client: Client, started: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(minutes=61))
    assert "YOUR_KEY" in snippet(first_run(alice_client, started))


def test_waits_for_the_first_call(alice_client: Client, started: Project) -> None:
    page = first_run(alice_client, started)
    assert f'hx-get="/p/{started.slug}/first-call?since={int(NOW.timestamp())}"' in page.source
    assert 'hx-trigger="every 2s, refresh"' in page.source
    waiting = Page(alice_client.get(f"/p/{started.slug}/first-call", headers=HTMX))
    assert waiting.source.startswith('<div id="waiting"')
    assert "Listening since 12:00." in waiting.text


def test_says_how_long_it_has_listened(alice_client: Client, started: Project) -> None:
    for since, words in ((NOW - timedelta(minutes=2), "Listening since 11:58, 2 min."), (NOW, "since 12:00.")):
        url = f"/p/{started.slug}/first-call?since={int(since.timestamp())}"
        assert words in Page(alice_client.get(url, headers=HTMX)).text
    for nonsense in ("x", "-1", "9" * 30, str(int((NOW + timedelta(days=1)).timestamp()))):
        url = f"/p/{started.slug}/first-call?since={nonsense}"
        assert "Listening since 12:00." in Page(alice_client.get(url, headers=HTMX)).text


def test_turns_into_the_overview_when_a_call_arrives(send: Send, alice_client: Client, started: Project) -> None:
    send(started, a_call(feature="first-feature"))
    response = alice_client.get(f"/p/{started.slug}/first-call?since=1", headers=HTMX)
    assert response["HX-Retarget"] == "#first-run"
    assert response["HX-Reswap"].startswith("outerHTML")
    assert response["HX-Replace-Url"] == f"/p/{started.slug}/"
    page = Page(response)
    assert page.answer == "1 call in the last 24 hours, too few to judge."
    assert "first-feature" in page.table("table-feature")
    # It goes on by itself, at the Overview's own address.
    assert f'hx-get="/p/{started.slug}/"' in page.source
    assert "since=1" not in page.source
    # The bar's time ranges and environments come along.
    assert 'hx-swap-oob="afterend:#bar-here"' in page.source
    assert 'href="?range=7d"' in page.source


def test_stays_when_only_other_projects_are_called(
    send: Send, alice_client: Client, started: Project, other_project: Project
) -> None:
    send(other_project, a_call())
    response = alice_client.get(f"/p/{started.slug}/first-call", headers=HTMX)
    assert "HX-Retarget" not in response


def test_sends_a_browser_without_script_to_the_page(alice_client: Client, started: Project) -> None:
    response = alice_client.get(f"/p/{started.slug}/first-call")
    assert (response.status_code, response["Location"]) == (302, f"/p/{started.slug}/")


def test_shows_why_an_item_was_refused(send: Send, alice_client: Client, started: Project) -> None:
    bad = a_call()
    del bad["started_at"]
    assert len(send(started, bad).rejected) == 1
    page = Page(alice_client.get(f"/p/{started.slug}/first-call", headers=HTMX))
    assert "Refused: spans[0], missing_started_at. The field started_at is required." in page.text
    assert "1 arrived, 0 stored, 1 refused." in page.text


def test_explains_what_answers_mean(alice_client: Client, started: Project) -> None:
    page = first_run(alice_client, started)
    assert 'id="troubles"' in page.source
    assert page.link("Nothing arrives?") == "#troubles"
    for status in ("200", "401", "403", "400, 413, 415"):
        assert f"<dt>{status}</dt>" in page.source


def test_shows_only_steps_that_exist(alice_client: Client, started: Project) -> None:
    page = first_run(alice_client, started)
    assert "Project and key" in page.text
    assert "First call" in page.text
    assert "golden" not in page.text


def test_names_a_hostile_project_as_text(alice_client: Client, alice: User) -> None:
    alice_client.post("/projects/new", {"name": "<script>alert(1)</script>", "timezone": "UTC"})
    project = Project.objects.exclude(name="Support desk").get()
    page = first_run(alice_client, project)
    assert "<script>alert" not in page.source
    assert page.handlers == []


def test_keeps_the_snippets_shape() -> None:
    """The line is one shell word after `-d`: no apostrophe may end it early."""
    example = snippets.Example(
        "http://localhost:8000", "pw_x", "a" * 32, "b" * 16, datetime(2026, 3, 4, tzinfo=NOW.tzinfo)
    )
    body = snippets.curl(example).split("-d '", 1)[1]
    assert body.count("'") == 1
    assert json.loads(body.rstrip("'"))["spans"][0]["started_at"] == "2026-03-03T23:59:58Z"


def test_says_that_a_sample_is_loading(send: Send, alice_client: Client, started: Project) -> None:
    Project.objects.filter(pk=started.pk).update(is_sample=True)
    page = first_run(alice_client, started)
    assert page.answer == "The sample data is on its way. This page becomes its overview."
    waiting = f"/p/{started.slug}/first-call"
    assert alice_client.get(waiting, headers=HTMX).status_code == 204
    send(started, a_call())
    assert alice_client.get(waiting, headers=HTMX)["HX-Retarget"] == "#first-run"

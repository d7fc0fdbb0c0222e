"""The explorer in a browser: spans by keyboard, following live, saved views, and what axe and 400 pixels say."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Route, expect

from apps.projects.models import Project
from apps.telemetry import wire
from apps.telemetry.services import store
from apps.telemetry.types import Batch
from tests.browser import product as running
from tests.browser.looks import LOOKS
from tests.browser.product import set_up
from tests.browser.test_look import findings, overflow

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

product, visit = running.product, running.visit
MARK = "window.wasHereBefore = true"
IS_MARKED = "window.wasHereBefore === true"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def send(*spans: dict[str, Any]) -> None:
    """Store spans as the intake does."""
    now = datetime.now(UTC)
    project = Project.objects.get()
    items = wire.read_body(json.dumps({"spans": spans}).encode(), max_items=5_000)
    records, positions, rejected = wire.read_spans(
        items.spans, project_id=project.pk, received_at=now, keep_since=now - timedelta(days=400)
    )
    assert rejected == []
    store([Batch(project.pk, None, "tests", now, len(spans), records, positions, rejected)])


def a_ticket(trace_id: str = TRACE, *, seconds_ago: int = 60, **changes: Any) -> list[dict[str, Any]]:
    """An agent that searches, asks a model, runs a tool and asks again."""
    start = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    common = {
        "trace_id": trace_id,
        "feature": "support-answers",
        "user_id": "u/1 'x'",
        "session_id": "s/1",
        "request_model": "gpt-4o-mini",
        "latency_ms": 400,
    }
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is order 70-4412?"}]
    parts: list[dict[str, Any]] = [
        {"kind": "agent", "name": "ticket", "latency_ms": 3000, "tags": ["vip"]},
        {"kind": "retriever", "name": "search", "documents": [{"id": "kb/1", "score": 0.8, "content": "Two days."}]},
        {"kind": "llm", "name": "first", "input": messages, "output": "Let me look.", "input_tokens": 90},
        {"kind": "tool", "name": "lookup", "tool_name": "lookup", "input": {"order": "70-4412"}, "output": "Lyon"},
        {"kind": "llm", "name": "second", "input": messages, "output": "It is in Lyon.", "output_tokens": 12},
    ]
    return [
        {
            **common,
            "span_id": f"{place + 1:016x}",
            "parent_span_id": f"{1:016x}" if place else None,
            "started_at": (start + timedelta(milliseconds=500 * place)).isoformat(),
            **part,
            **changes,
        }
        for place, part in enumerate(parts)
    ]


@pytest.fixture
def desk(product: str, visit: Page) -> Iterator[str]:
    """A project with one trace; its address."""
    set_up(visit, product)
    send(*a_ticket())
    yield f"{product}/p/harbor-desk"
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE telemetry_search, telemetry_fresh, telemetry_opentrace")


def expect_shown(page: Page, name: str) -> None:
    """The span beside the waterfall is this one, and so is the row that is marked."""
    expect(page.locator("#span h2")).to_have_text(name)
    expect(page.locator("#wf a[aria-current=true] .wf__name > :first-child")).to_have_text(name)
    # Until then, htmx has not seen to the links of what it just put in.
    expect(page.locator(".htmx-added, .htmx-settling, .htmx-request")).to_have_count(0)


def test_goes_through_the_spans_without_reloading(desk: str, visit: Page) -> None:
    visit.goto(f"{desk}/traces/{TRACE}")
    expect_shown(visit, "first")
    visit.evaluate(MARK)
    for name in ("lookup", "second"):
        visit.keyboard.press("j")
        expect_shown(visit, name)
    visit.locator("#wf a", has_text="search").click()
    expect_shown(visit, "search")
    visit.locator("#span .tabs a", has_text="Documents").click()
    expect(visit.locator("#span .talk")).to_contain_text("Two days.")
    assert visit.evaluate(IS_MARKED), "the page was loaded anew"
    assert "tab=documents" in visit.url
    visit.go_back()
    visit.go_back()
    expect_shown(visit, "second")


def test_going_back_twice_ends_where_the_address_says(desk: str, visit: Page) -> None:
    visit.goto(f"{desk}/traces/{TRACE}")
    expect_shown(visit, "first")
    for name in ("lookup", "second"):
        visit.keyboard.press("j")
        expect_shown(visit, name)
    held: list[Route] = []
    # The span in the middle answers only after the page that was asked for later.
    visit.route(lambda url: f"{TRACE}?span={4:016x}" in url, lambda route: held.append(route))
    visit.evaluate("history.back(); setTimeout(() => history.back(), 100)")
    expect_shown(visit, "first")
    assert held, "the page in the middle was not asked for"
    late = held[0].fetch()
    with contextlib.suppress(PlaywrightError):  # It was taken back meanwhile.
        held[0].fulfill(response=late)
    visit.wait_for_timeout(300)
    expect_shown(visit, "first")


def test_follows_what_arrives_until_it_is_paused(desk: str, visit: Page) -> None:
    visit.goto(f"{desk}/traces")
    visit.get_by_role("link", name="Follow live").click()
    rows = visit.locator("#table-traces tbody tr")
    expect(rows).to_have_count(1)
    visit.evaluate(MARK)
    send(*a_ticket("ab" * 16, seconds_ago=1, name="just now"))
    expect(rows).to_have_count(2, timeout=10_000)
    expect(rows.first).to_contain_text("just now")
    expect(visit.locator("#live-news")).to_have_text("1 new trace")
    assert visit.evaluate(IS_MARKED), "the page was loaded anew"
    rows.first.get_by_role("link").first.click()
    visit.wait_for_url("**/traces/abab*")
    visit.go_back()
    expect(visit.get_by_role("link", name="Live: pause")).to_be_visible()
    visit.get_by_role("link", name="Live: pause").click()
    expect(visit.get_by_role("link", name="Follow live")).to_be_visible()
    assert "live" not in visit.url


def test_searches_and_keeps_the_view(desk: str, visit: Page) -> None:
    visit.goto(f"{desk}/traces")
    visit.fill("[name=q]", "70-4412")
    visit.keyboard.press("Enter")
    visit.wait_for_url("**q=70-4412**")
    expect(visit.locator("#table-traces tbody tr")).to_have_count(1)
    visit.get_by_text("Save this view").click()
    visit.fill("[aria-label='Name of the view']", "That order")
    visit.get_by_role("button", name="Save", exact=True).click()
    expect(visit.locator(".views a[aria-current]")).to_have_text("That order")
    visit.goto(f"{desk}/traces?q=nothing")
    expect(visit.get_by_text("No trace matches")).to_be_visible()
    visit.locator(".views a", has_text="That order").click()
    expect(visit.locator("#table-traces tbody tr")).to_have_count(1)


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_pleases_axe_and_fits_its_window(desk: str, visit: Page, theme: Any, width: int) -> None:
    visit.emulate_media(color_scheme=theme)
    paths = (
        "/traces?live=1",
        "/traces?q=70-4412&score=bad",
        f"/traces/{TRACE}",
        f"/traces/{TRACE}?tab=raw",
        f"/traces/{TRACE}?view=conversation",
        "/sessions",
        "/sessions/one?id=s/1",
        "/users",
        "/users/one?id=u/1%20%27x%27",
        "/views",
    )
    visit.set_viewport_size({"width": width, "height": 900})
    for path in paths:
        visit.goto(f"{desk}{path}")
        assert findings(visit) == [], path
        assert overflow(visit) == 0, path

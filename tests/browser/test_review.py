"""The review queue by keyboard, in place, without script, and to an accessibility checker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.projects.models import Project
from apps.telemetry.models import ReviewItem, TraceNote
from apps.telemetry.services import review as services
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ITEMS = 4


@pytest.fixture
def items(project: Project) -> list[ReviewItem]:
    """Four items with a question and an answer, the first flagged first."""
    made = []
    for number in range(1, ITEMS + 1):
        flagged = services.flag(
            project_id=project.pk,
            trace_id=number.to_bytes(16, "big"),
            reason=f"reason {number}",
            source=ReviewItem.Source.API,
            flagged_by="a key",
            now=datetime.now(UTC) - timedelta(minutes=10 - number),
        )
        copied = {"input": f"Question {number}?", "output": f"Answer {number}.", "name": f"chat {number}"}
        ReviewItem.objects.filter(pk=flagged.item.pk).update(**copied)
        made.append(flagged.item)
    return made


def _context(browser: Browser, server: LiveServer, client: Client, **more: object) -> BrowserContext:
    context = browser.new_context(**more)  # type: ignore[arg-type]
    context.add_cookies([{"name": "sid", "value": client.cookies["sid"].value, "url": server.url}])
    return context


@pytest.fixture
def page(live_server: LiveServer, alice_client: Client, chromium: Browser, items: list[ReviewItem]) -> Iterator[Page]:
    """Alice's browser. What it complains about fails the test."""
    context = _context(chromium, live_server, alice_client, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "status of 422" not in text] == []


def _at(page: Page, item: ReviewItem, query: str = "") -> None:
    expect(page).to_have_url(f"{page.url.split('/p/')[0]}/p/support-desk/review/{item.uuid}{query}")


def test_reviews_by_keyboard_alone(page: Page, live_server: LiveServer, items: list[ReviewItem]) -> None:
    first, second, third, fourth = items
    page.goto(f"{live_server.url}/p/support-desk/review")
    _at(page, first)
    expect(page.locator(".review__talk")).to_contain_text("Answer 1.")

    page.keyboard.press("g")
    page.keyboard.press("Enter")
    _at(page, second)
    expect(page.locator(".review__talk")).to_contain_text("Answer 2.")
    expect(page.get_by_text("1 of 4 done today")).to_be_visible()

    page.keyboard.press("b")
    page.keyboard.press("c")
    page.keyboard.type("On Tuesday, by g and b.")
    page.keyboard.press("Control+Enter")
    _at(page, third)

    page.keyboard.press("s")
    _at(page, fourth)
    page.keyboard.press("k")
    _at(page, third)
    page.keyboard.press("j")
    _at(page, fourth)

    page.keyboard.press("n")
    page.keyboard.type("seen")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".notes__list")).to_contain_text("seen")
    _at(page, fourth)
    page.keyboard.press("t")
    expect(page.locator(".review__case")).to_contain_text("In review")

    page.go_back()
    page.wait_for_load_state()
    assert [item.verdict for item in ReviewItem.objects.order_by("pk")] == ["good", "bad", "", ""]
    assert ReviewItem.objects.get(pk=second.pk).correction == "On Tuesday, by g and b."
    assert ReviewItem.objects.get(pk=fourth.pk).status == "in_review"
    assert bytes(TraceNote.objects.get().trace_id) == bytes(fourth.trace_id)


def test_says_what_is_missing_in_place(page: Page, live_server: LiveServer, items: list[ReviewItem]) -> None:
    page.goto(f"{live_server.url}/p/support-desk/review/{items[0].uuid}")
    page.fill("#id_correction", "Kept.")
    page.click("text=Save and next")
    expect(page.get_by_text("Choose good, bad or unsure.").first).to_be_visible()
    expect(page.locator("#id_correction")).to_have_value("Kept.")


def test_lists_the_keys(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/p/support-desk/review")
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_contain_text("good, bad, unsure")
    page.keyboard.press("g")  # a key of the page under the dialog does nothing
    page.keyboard.press("Escape")
    assert page.locator("[name=verdict]:checked").count() == 0


def test_dismisses_all_that_is_shown(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/p/support-desk/review")
    page.check("[data-choose-all]")
    page.click("text=Dismiss chosen")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert set(ReviewItem.objects.values_list("status", flat=True)) == {"dismissed"}


def test_works_without_script(
    live_server: LiveServer, alice_client: Client, chromium: Browser, items: list[ReviewItem]
) -> None:
    context = _context(chromium, live_server, alice_client, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/p/support-desk/review")
    page.check("[name=verdict][value=bad]")
    page.fill("#id_failure_label", "incomplete")
    page.click("text=Save and next")
    _at(page, items[1])
    page.click("button:has-text('Skip')")
    _at(page, items[2])
    page.click(".review__form button:has-text('Dismiss')")
    _at(page, items[3])
    context.close()
    assert [(item.status, item.failure_label) for item in ReviewItem.objects.order_by("pk")] == [
        ("done", "incomplete"),
        ("open", ""),
        ("dismissed", ""),
        ("open", ""),
    ]


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_pleases_axe_and_fits_its_window(page: Page, live_server: LiveServer, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    for path in ("review", "review/rules", "settings/intake", "traces/00000000000000000000000000000001/review"):
        page.goto(f"{live_server.url}/p/support-desk/{path}")
        assert findings(page) == [], path
        assert overflow(page) == 0, path

"""The playground in a browser, end to end with the test model: streaming, cancelling, and without script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.prompts.models import Draft
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import span_tables as span_tables

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGE = "/p/support-desk/playground"


def _context(browser: Browser, address: str, client: Client, **more: object) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **more)  # type: ignore[arg-type]
    context.add_cookies([{"name": "sid", "value": client.cookies["sid"].value, "url": address}])
    return context


@pytest.fixture
def page(span_tables: None, address: str, alice_client: Client, chromium: Browser) -> Iterator[Page]:
    """Alice's browser. What it complains about fails the test."""
    context = _context(chromium, address, alice_client)
    page = context.new_page()
    complaints: list[str] = []
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address + PAGE)
    yield page
    context.close()
    assert [text for text in complaints if "status of 422" not in text] == []


def _ask(page: Page, text: str) -> None:
    page.get_by_label("Text of message 2").fill(text)


def test_streams_columns_side_by_side(page: Page, address: str) -> None:
    _ask(page, "When will order {{number}} arrive?")
    page.get_by_label("Text of message 1").click()
    page.get_by_label("number", exact=True).fill("70-4412")
    page.get_by_role("button", name="Model", exact=True).click()
    page.get_by_label("Model 2").select_option("test/slow")
    page.keyboard.press("Control+Enter")
    first, second = page.locator("#answer1"), page.locator("#answer2")
    expect(first.get_by_text("Ended with")).to_be_visible()
    expect(second.get_by_text("Answering")).to_be_visible()
    expect(page.locator("[data-progress]")).to_have_text("1 of 2 answers ready")
    expect(second.get_by_text("Ended with")).to_be_visible(timeout=15_000)
    expect(first.get_by_text("$0.00")).to_be_visible()
    expect(first.get_by_text("test model")).to_be_visible()
    run = PlaygroundRun.objects.get()
    expect(page).to_have_url(f"{address}{PAGE}/runs/{run.uuid}")
    assert run.messages[-1]["content"] == "When will order 70-4412 arrive?"
    page.reload()
    expect(page.locator("#answer1 .pg-answer__text")).to_have_text(PlaygroundAnswer.objects.get(column=0).text)
    expect(page.get_by_label("number", exact=True)).to_have_value("70-4412")
    first.get_by_role("link", name="Open as trace").click()
    expect(page.get_by_text("When will order 70-4412 arrive?").first).to_be_visible()
    page.get_by_role("link", name="Open in playground").click()
    expect(page.get_by_label("Text of message 1")).to_have_value("When will order 70-4412 arrive?")


def test_cancels_by_escape_and_keeps_what_came(page: Page) -> None:
    _ask(page, "A long story, please")
    page.get_by_label("Model 1").select_option("test/slow")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer1").get_by_text("Answering")).to_be_visible(timeout=10_000)
    page.keyboard.press("Escape")
    expect(page.locator("#answer1").get_by_text("Cancelled: incomplete")).to_be_visible()
    answer = PlaygroundAnswer.objects.get()
    assert (answer.state, answer.is_complete) == ("cancelled", False)
    assert answer.text
    expect(page.locator("#answer1 .pg-answer__text")).to_have_text(answer.text.strip())


def test_keeps_a_run_whose_tab_was_closed(page: Page, address: str) -> None:
    _ask(page, "A long story, please")
    page.get_by_label("Model 1").select_option("test/slow")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer1").get_by_text("Answering")).to_be_visible(timeout=10_000)
    page.goto(f"{address}{PAGE}")
    page.get_by_role("link", name="A long story, please").click()
    expect(page.locator("#answer1").get_by_text("Cancelled: incomplete")).to_be_visible()


def test_says_what_is_wrong_and_loses_nothing(page: Page) -> None:
    _ask(page, "Kept {{#open}}")
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.get_by_role("alert")).to_contain_text("This was not run.")
    expect(page.get_by_label("Text of message 2")).to_have_value("Kept {{#open}}")
    assert not PlaygroundRun.objects.exists()


def test_adds_and_removes_messages_in_place(page: Page) -> None:
    _ask(page, "One")
    page.get_by_role("button", name="Message", exact=True).click()
    page.get_by_label("Text of message 3").fill("Two")
    page.get_by_role("button", name="Move message 3 up").click()
    expect(page.get_by_label("Text of message 2")).to_have_value("Two")
    page.get_by_role("button", name="Remove message 1").click()
    expect(page.get_by_label("Text of message 1")).to_have_value("Two")
    expect(page.get_by_label("Text of message 2")).to_have_value("One")


def test_lists_its_keys(page: Page) -> None:
    page.get_by_role("heading", name="Playground").click()
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_contain_text("run all columns")


def test_saves_a_draft(page: Page) -> None:
    _ask(page, "Hello")
    page.get_by_text("Save as a prompt").click()
    page.get_by_label("Name").fill("support/hello")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text("From your draft of")).to_be_visible()
    assert Draft.objects.get().prompt.name == "support/hello"


def test_works_without_script(span_tables: None, address: str, alice_client: Client, chromium: Browser) -> None:
    context = _context(chromium, address, alice_client, java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGE)
    _ask(page, "Without a script")
    page.get_by_label("Model 1").select_option("test/echo")
    page.get_by_label("Model 2").select_option("test/json")
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.locator("#answer1 .pg-answer__text")).to_have_text("Without a script")
    expect(page.locator("#answer2").get_by_text("Ended with")).to_be_visible()
    context.close()
    assert [answer.state for answer in PlaygroundAnswer.objects.all()] == ["done", "done"]


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_pleases_axe_and_fits_its_window(page: Page, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    _ask(page, "{{question}}")
    page.get_by_label("Text of message 1").click()
    page.get_by_label("question", exact=True).fill("Where is my order?")
    page.get_by_role("button", name="Model", exact=True).click()
    page.get_by_label("Model 2").select_option("test/flaky")
    page.keyboard.press("Control+Enter")
    for column in ("#answer1", "#answer2"):
        expect(page.locator(column).get_by_text("Ended with")).to_be_visible()
    assert findings(page) == []
    assert overflow(page) == 0

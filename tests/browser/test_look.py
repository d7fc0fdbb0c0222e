"""The look in a real browser: the policy holds, nothing overflows, axe finds nothing, the keyboard suffices."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.looks import LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CHARTS = "/p/harbor-desk/?charts=1"
PAGES = (f"{CHARTS}&toast=1", "/signin", "/missing", "/broken")


def drawn(page: Page) -> Page:
    """The page once its charts are there."""
    expect(page.locator("[data-chart-box] .main-svg").first).to_be_visible()
    return page


def findings(page: Page, part: str | None = None) -> list[str]:
    """What axe holds against the page, or the part of it, as it stands."""
    response: dict[str, Any] = Axe().run(page, context=part).response
    assert response["passes"], "axe looked at nothing"
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in response["violations"]]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_pleases_axe_and_fits_its_window(open_page: OpenPage, theme: str, width: int) -> None:
    for path in PAGES:
        page = open_page(path, width=width, color_scheme=theme)
        assert findings(page) == []
        assert overflow(page) == 0


def test_pleases_axe_with_menus_and_dialogs_open(open_page: OpenPage) -> None:
    page = open_page()
    for menu in ("project-menu", "account-menu", "range-menu"):
        page.locator(f".seg [popovertarget={menu}], .btn[popovertarget={menu}]:visible").first.click()
        expect(page.locator(f"#{menu}")).to_be_visible()
        assert findings(page, f"#{menu}") == []
        page.keyboard.press("Escape")
    for key, dialog in (("Control+k", "#palette"), ("?", "#keys-dialog")):
        page.keyboard.press(key)
        expect(page.locator(dialog)).to_be_visible()
        assert findings(page, dialog) == []
        page.keyboard.press("Escape")
    page.locator("[data-open=rollback]").click()
    expect(page.locator("#rollback")).to_be_visible()
    assert findings(page, "#rollback") == []


def test_jumps_to_a_page_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Control+k")
    page.keyboard.type("laten")
    page.keyboard.press("Enter")
    page.wait_for_url("**/p/harbor-desk/latency")


def test_offers_what_the_server_finds_below_the_pages(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Control+k")
    page.keyboard.type("support")
    expect(page.locator("#palette-found a")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#palette .none")).to_be_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces?feature=support-answers")


def test_searches_the_page_with_a_slash_and_lists_keys_with_a_question_mark(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("/")
    expect(page.locator("main input[type=search]")).to_be_focused()
    page.keyboard.type("a?b")
    expect(page.locator("main input[type=search]")).to_have_value("a?b")
    expect(page.locator("#keys-dialog")).to_be_hidden()
    page.locator("h1").first.click()
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_be_visible()


def test_walks_a_menu_with_arrow_keys_and_returns_to_its_button(open_page: OpenPage) -> None:
    page = open_page()
    button = page.locator("[popovertarget=environment-menu]")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#environment-menu a").nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(page.locator("#environment-menu")).to_be_hidden()


def test_keeps_the_chosen_theme_and_redraws_charts_in_it(open_page: OpenPage) -> None:
    page = drawn(open_page(CHARTS, color_scheme="light"))
    tick = page.locator("#latency .xtick text").first
    before = tick.evaluate("node => getComputedStyle(node).fill")
    page.locator("[popovertarget=theme-menu]").click()
    page.locator("button[data-theme-choice=dark]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(tick).not_to_have_css("fill", before)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("button[data-theme-choice=dark]")).to_have_attribute("aria-pressed", "true")


def test_shows_exact_values_on_hover(open_page: OpenPage) -> None:
    page = drawn(open_page(CHARTS))
    box = page.locator("#latency [data-chart-box]")
    box.scroll_into_view_if_needed()
    box.hover(position={"x": 300, "y": 120})
    hovered = page.locator("#latency .hoverlayer .legendtext").first
    expect(hovered).to_contain_text("P99 : ")
    value = hovered.text_content().removeprefix("P99 : ").strip()  # type: ignore[union-attr]
    assert value in page.locator("#latency tbody td:nth-child(2)").all_text_contents()


def test_filters_a_chart_by_its_legend(open_page: OpenPage) -> None:
    page = drawn(open_page(CHARTS))
    bars = page.locator("#spend .barlayer .trace")
    expect(bars).to_have_count(5)
    entry = page.locator("#spend [data-series='0']")
    entry.click()
    expect(bars).to_have_count(4)
    expect(entry).to_have_attribute("aria-pressed", "false")
    page.locator("#spend [data-series='1']").click(modifiers=["Shift"])
    expect(bars).to_have_count(1)
    page.locator("#spend [data-series='1']").click(modifiers=["Shift"])
    expect(bars).to_have_count(5)


def test_swaps_a_chart_for_its_table_without_moving_the_page(open_page: OpenPage) -> None:
    page = drawn(open_page(CHARTS))
    section = page.locator("#quality")
    height = section.bounding_box()["height"]  # type: ignore[index]
    toggle = section.locator("[data-chart-toggle]")
    expect(section.locator("table")).to_be_hidden()
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    expect(section.locator("table")).to_be_visible()
    expect(section.locator("[data-chart-box]")).to_be_hidden()
    assert abs(section.bounding_box()["height"] - height) <= 16  # type: ignore[index]


def test_shows_names_with_markup_as_they_were_typed(open_page: OpenPage) -> None:
    page = drawn(open_page(CHARTS))
    page.locator("#spend [data-chart-box]").scroll_into_view_if_needed()
    page.locator("#spend [data-chart-box]").hover(position={"x": 200, "y": 120})
    expect(page.locator("#spend .hoverlayer .legendtext").last).to_contain_text("<b>reply</b> & drafts")


def test_shifts_nothing_when_charts_arrive(open_page: OpenPage) -> None:
    page = open_page(CHARTS)
    shift = page.evaluate(
        """() => new Promise((resolve) => {
            let sum = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) sum += entry.value;
            }).observe({ type: "layout-shift", buffered: true });
            setTimeout(() => resolve(sum), 1500);
        })"""
    )
    assert shift < 0.01


def test_copies_code_and_says_so(open_page: OpenPage) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("[data-copy]").first
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl https://")


def test_keeps_errors_until_they_are_dismissed(open_page: OpenPage) -> None:
    page = open_page()
    page.clock.install()
    page.goto(page.url + "?toast=1")
    expect(page.locator(".toast")).to_have_count(2)
    page.clock.run_for(7000)
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".toast")).to_have_attribute("role", "alert")
    page.locator(".toast [data-dismiss]").click()
    expect(page.locator(".toast")).to_have_count(0)


def test_says_when_the_server_is_gone_and_when_it_is_back(open_page: OpenPage) -> None:
    page = open_page()
    gone = "document.body.dispatchEvent(new CustomEvent('htmx:sendError', {bubbles: true, detail: {}}))"
    page.evaluate(gone)
    page.evaluate(gone)
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".toast")).to_contain_text("The server does not answer.")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('htmx:afterOnLoad', {bubbles: true, detail: {}}))")
    expect(page.locator(".toast")).to_have_count(0)


def test_works_without_script(open_page: OpenPage) -> None:
    page = open_page(CHARTS, java_script_enabled=False)
    expect(page.locator("#spend table")).to_be_visible()
    expect(page.locator("#spend [data-chart-box]")).to_be_hidden()
    page.locator("[popovertarget=environment-menu]").click()
    page.locator("#environment-menu a", has_text="staging").click()
    page.wait_for_url("**env=staging**")
    page.locator(".seg a", has_text="7d").click()
    page.wait_for_url("**range=7d**")
    assert "env=staging" in page.url


def test_folds_the_rail_away_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(width=400)
    expect(page.locator("#rail")).to_be_hidden()
    page.locator("[popovertarget=rail]").click()
    page.locator("#rail a", has_text="Costs").click()
    page.wait_for_url("**/p/harbor-desk/costs")

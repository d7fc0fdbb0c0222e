"""From the set-up link to a call on the screen, as a newcomer goes: in a browser, against the product as it is run."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from apps.projects.models import Project
from apps.telemetry.models import Span
from tests.browser import product as running
from tests.browser.looks import LOOKS
from tests.browser.product import set_up
from tests.browser.test_look import findings, overflow

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

product, visit = running.product, running.visit
MARK = "window.wasHereBefore = true"
IS_MARKED = "window.wasHereBefore === true"


def run_line(line: str) -> dict[str, Any]:
    """Run a line of shell as it was copied; the answer it prints."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_shows_the_first_call_without_reloading(product: str, visit: Page) -> None:
    set_up(visit, product)
    visit.click("[data-copy]")
    expect(visit.locator("[data-copy-word]")).to_have_text("Copied")
    line = visit.evaluate("navigator.clipboard.readText()")
    visit.evaluate(MARK)
    expect(visit.get_by_text("Waiting for the first call…")).to_be_visible()

    assert run_line(line)["stored"] == 1

    expect(visit.locator("#overview h1")).to_have_text("1 call in the last 24 hours, too few to judge.", timeout=10_000)
    assert visit.evaluate(IS_MARKED), "the page was loaded anew"
    assert visit.url == f"{product}/p/harbor-desk/"
    expect(visit.locator("#table-feature tbody th")).to_have_text("support-answers")
    # 812 tokens at $0.15 and 96 at $0.60 a million.
    expect(visit.locator("#table-feature tbody td").nth(2)).to_have_text("$0.000179")
    expect(visit.locator("#chart-spend-box svg.main-svg").first).to_be_visible()
    assert Span.objects.filter(project_id=Project.objects.get(slug="harbor-desk").pk).count() == 1


def test_goes_on_by_itself_and_keeps_its_charts(product: str, visit: Page) -> None:
    set_up(visit, product)
    line = visit.inner_text(".code pre")
    assert run_line(line)["stored"] == 1
    expect(visit.locator("#overview h1")).to_be_visible(timeout=10_000)
    expect(visit.locator("#chart-calls-box svg.main-svg").first).to_be_visible()
    visit.evaluate(MARK)
    visit.evaluate("document.querySelector('#chart-calls-box svg.main-svg').wasHereBefore = true")
    visit.click("#chart-calls [data-chart-toggle]")

    assert run_line(_with_other_ids(line))["stored"] == 1

    expect(visit.locator("#overview h1")).to_contain_text("2 calls", timeout=15_000)
    assert visit.evaluate(IS_MARKED)
    assert visit.evaluate("document.querySelector('#chart-calls-box svg.main-svg').wasHereBefore === true")
    # What was chosen stays chosen.
    expect(visit.locator("#chart-calls-table")).to_be_visible()


def _with_other_ids(line: str) -> str:
    """The line as a later visit to the page would show it."""
    line = re.sub(r'"trace_id": "[^"]*"', f'"trace_id": "{"e" * 32}"', line)
    return re.sub(r'"span_id": "[^"]*"', f'"span_id": "{"e" * 16}"', line)


def test_tells_a_newcomer_what_was_refused(product: str, visit: Page) -> None:
    set_up(visit, product)
    line = visit.inner_text(".code pre")
    answer = run_line(line.replace('"started_at"', '"start"'))
    assert answer["rejected"][0]["code"] == "missing_started_at"
    expect(visit.get_by_text("Refused: spans[0], missing_started_at.")).to_be_visible(timeout=10_000)
    visit.click("text=Nothing arrives?")
    expect(visit.get_by_text("The key is wrong or incomplete.")).to_be_visible()
    assert visit.url.endswith("#troubles")


def test_leads_from_the_first_call_to_its_trace(product: str, visit: Page) -> None:
    set_up(visit, product)
    assert run_line(visit.inner_text(".code pre"))["stored"] == 1
    visit.click("#table-traces tbody th a", timeout=15_000)
    expect(visit.locator("h1")).to_contain_text("Answered in 1.84 s")
    expect(visit.get_by_text("Where is my parcel?")).to_be_visible()
    visit.keyboard.press("Control+k")
    visit.fill("#palette input", "support")
    expect(visit.locator("#palette-found a")).to_contain_text("support-answers")
    visit.keyboard.press("Escape")
    visit.click(".tabs >> text=Raw")
    expect(visit.locator("#span .code pre").first).to_contain_text('"input_tokens": 812')


def test_rests_while_nobody_looks(product: str, visit: Page) -> None:
    set_up(visit, product)
    run_line(visit.inner_text(".code pre"))
    expect(visit.locator("#overview h1")).to_be_visible(timeout=10_000)
    asked: list[str] = []
    visit.on("request", lambda request: asked.append(request.url))
    refresh = "htmx.trigger('#overview', 'refresh')"
    visit.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    visit.evaluate(refresh)
    visit.wait_for_timeout(500)
    assert asked == []
    # Back again, it does not wait for its next turn.
    visit.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    with visit.expect_response(f"{product}/p/harbor-desk/"):
        visit.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    # What somebody is selecting is not taken from under their hands.
    visit.evaluate("getSelection().selectAllChildren(document.querySelector('#overview h1'))")
    asked.clear()
    visit.evaluate(refresh)
    visit.wait_for_timeout(500)
    assert asked == []


def fill(address: str, line: str) -> None:
    """Some calls of three features over a day, sent with the key of the copied line."""
    key = re.search(r"Bearer (\w+)", line)
    assert key is not None
    now = datetime.now(UTC)
    spans = [
        {
            "trace_id": f"{place + 1:032x}",
            "span_id": f"{place + 1:016x}",
            "name": "chat",
            "started_at": (now - timedelta(minutes=12 * place)).isoformat(),
            "latency_ms": 300 + 17 * (place % 60),
            "ttft_ms": 90 + place % 40,
            "feature": ("support-answers", "search-rerank", "invoice-extract")[place % 3],
            "provider": "openai",
            "request_model": ("gpt-4o", "gpt-4o-mini", "house-model")[place % 3],
            "status": "error" if place % 17 == 0 else "ok",
            "error_type": "Timeout" if place % 17 == 0 else None,
            "input_tokens": 900,
            "output_tokens": 80,
            "input": [{"role": "user", "content": "Where is my parcel?"}],
            "output": "It arrives tomorrow.",
            "documents": [{"id": "kb/1", "score": 0.8, "content": "Two days.", "used": True}],
        }
        for place in range(200)
    ]
    sent = httpx.post(
        f"{address}/api/v1/telemetry", json={"spans": spans}, headers={"Authorization": f"Bearer {key[1]}"}
    )
    assert sent.json()["stored"] == 200, sent.text


PAGES = (
    "",
    "?range=7d&feature=search-rerank",
    "costs?by=model",
    "latency",
    "traces",
    "traces?user=nobody",
    f"traces/{1:032x}",
    f"traces/{1:032x}?tab=documents",
    f"traces/{1:032x}?tab=attributes",
    f"traces/{1:032x}?tab=raw",
)


def faults(page: Page) -> dict[str, Any]:
    """What axe finds and what is too wide, by width and theme."""
    found = {}
    for theme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.wait_for_timeout(250)  # colors change by a transition
        wrong = findings(page), overflow(page)
        if wrong != ([], 0):
            found[f"{theme} {width}"] = wrong
    return found


def test_pleases_axe_and_fits_its_window_on_every_page(product: str, visit: Page) -> None:
    set_up(visit, product)
    assert faults(visit) == {}
    fill(product, visit.inner_text(".code pre"))
    for path in PAGES:
        visit.goto(f"{product}/p/harbor-desk/{path}")
        assert faults(visit) == {}, path


def test_filters_without_a_button_and_without_empty_words_in_the_address(product: str, visit: Page) -> None:
    set_up(visit, product)
    fill(product, visit.inner_text(".code pre"))
    visit.goto(f"{product}/p/harbor-desk/?range=7d")
    visit.select_option("select[name=feature]", "search-rerank")
    visit.wait_for_url("**/p/harbor-desk/?range=7d&feature=search-rerank")
    expect(visit.locator("#table-feature tbody tr")).to_have_count(1)
    visit.go_back()
    expect(visit.locator("#table-feature tbody tr")).to_have_count(3)
    expect(visit.locator("select[name=feature]")).to_have_value("")
    visit.goto(f"{product}/p/harbor-desk/traces")
    visit.click("text=More filters")
    visit.fill("[name=user]", "u_1")
    visit.press("[name=user]", "Enter")
    visit.wait_for_url("**/p/harbor-desk/traces?user=u_1")

"""Scores in a browser: the page behind a link, the script in a page of another origin, and the Quality page."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.core import clock
from apps.projects.models import Project
from apps.telemetry.models import Score
from apps.telemetry.services import feedback
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.dashboards.test_quality import give

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A browser of nobody. What it complains about fails the test."""
    context = chromium.new_context(viewport={"width": 400, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "favicon" not in text and "status of 404" not in text] == []


class Shop:
    """A page of another origin. It has a server of its own: browsers keep made-up pages from a machine's own ports."""

    def __init__(self) -> None:
        self.html, self.policy = "", "default-src *"
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", shop.policy)
                self.end_headers()
                self.wfile.write(shop.html.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A running shop."""
    found = Shop()
    thread = Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join(5)


def token_for(project: Project, **more: Any) -> str:
    """The token of a new link for a trace."""
    link = feedback.make_link(
        **{
            "project_id": project.pk,
            "trace_id": secrets.token_hex(16),
            "span_id": "",
            "session_id": "",
            "kind": "thumbs",
            "name": "",
            "user_id": "",
            "expires_in": timedelta(hours=1),
            "now": clock.now(),
        }
        | more
    )
    return feedback.token_of(link)


def votes() -> list[tuple[str, float | None, str]]:
    """What is stored."""
    return list(Score.objects.order_by("name").values_list("name", "value", "comment"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_votes_on_the_page_of_a_link_by_keyboard(
    live_server: LiveServer, page: Page, project: Project, theme: Any
) -> None:
    page.emulate_media(color_scheme=theme)
    page.goto(f"{live_server.url}/f/{token_for(project, kind='rating')}")
    assert findings(page) == []
    assert overflow(page) == 0
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("Rather short.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading")).to_have_text("Thank you.")
    assert findings(page) == []
    assert votes() == [("rating", 3.0, "Rather short.")]
    page.get_by_role("link", name="Change it").click()
    page.get_by_label("5", exact=True).check(force=True)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you.")
    assert votes() == [("rating", 5.0, "")]


def test_votes_from_a_page_of_another_origin(live_server: LiveServer, page: Page, project: Project, shop: Shop) -> None:
    thumbs, stars = token_for(project), token_for(project, kind="rating", name="tone")
    script = f'<script src="{live_server.url}/feedback.js" data-token='
    shop.html = f"""<!doctype html><html lang="en"><title>Shop</title><main><h1>Shop</h1>
      {script}"{thumbs}" data-comment></script><div id="here"></div>
      {script}"{stars}" data-kind="rating" data-target="#here" data-question="How was the tone?"></script>
      </main></html>"""
    shop.policy = f"default-src 'none'; script-src {live_server.url}; connect-src {live_server.url}"
    page.goto(shop.address)
    down = page.get_by_role("button", name="No, not helpful")
    down.click()
    expect(page.get_by_role("status").first).to_have_text("Thank you.")
    expect(down).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Anything to add?").first.fill("Came late")
    page.get_by_role("button", name="Send").click()
    group = page.get_by_role("group", name="How was the tone?")
    group.get_by_role("button", name="4 of 5").click()
    expect(group.get_by_role("status")).to_have_text("Thank you.")
    assert votes() == [("thumbs", 0.0, "Came late"), ("tone", 4.0, "")]
    assert not page.context.cookies()


def test_the_script_says_when_a_vote_is_refused(live_server: LiveServer, page: Page, shop: Shop) -> None:
    shop.html = (
        f'<title>Shop</title><p>Hello.<script src="{live_server.url}/feedback.js" data-token="nothing"></script>'
    )
    page.goto(shop.address)
    page.get_by_role("button", name="Yes, helpful").click()
    expect(page.get_by_role("status")).to_have_text("This link does not work any more. Ask for a new one.")


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_quality_pleases_axe_and_fits_its_window(
    live_server: LiveServer, page: Page, project: Project, alice_client: Client, theme: Any, width: int
) -> None:
    page.context.add_cookies([{"name": "sid", "value": alice_client.cookies["sid"].value, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)
    address = f"{live_server.url}/p/{project.slug}/quality"
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_contain_text("No score has arrived yet.")
    assert findings(page) == []
    assert overflow(page) == 0
    give(project, *({"name": "thumbs", "value": number % 2, "comment": "Hm."} for number in range(9)))
    give(project, *({"name": f"score {number}", "value": number} for number in range(7)))
    expect(page.get_by_role("heading", level=1)).to_contain_text("of thumbs are up", timeout=15_000)
    page.goto(address)
    expect(page.locator("#chart-score-box svg.main-svg").first).to_be_visible()
    assert findings(page) == []
    assert overflow(page) == 0

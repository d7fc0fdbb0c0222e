"""Pages of eval sets in a browser: approving what is ticked, and every page in both themes without anything cut off."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.projects.models import Project
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.conftest import sign_in
from tests.evals import making

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUESTIONS = (
    "Where is my parcel?",
    "Can I return boots that I wore once?",
    "Do you ship to Norway?",
    "Is the tent waterproof?",
)
SLICES = ("delivery", "returns", "shipping", "products")
PAGES = (
    "",
    "/-/new",
    "/support-golden",
    "/support-golden/revisions",
    "/support-golden/revisions/2",
    "/support-golden/examples/ticket-001",
    "/support-golden/edit/ticket-001",
    "/support-golden/settings",
    "/empty",
)


def _fill(project: Project) -> None:
    """A set of some examples in three revisions, and an empty one."""
    golden = making.make_set(
        project,
        "support-golden",
        name="Support golden",
        feature="support-answers",
        description="What support must get right.",
    )
    told: list[dict[str, Any]] = [
        {
            "key": f"ticket-{number:03}",
            "variables": {"question": QUESTIONS[number % 4], "shop": "Fernhill Outdoor"},
            "expected": "Ask for the order number, then look the parcel up. Say when it should arrive.",
            "slices": [SLICES[number % 4], "support"],
            "state": "draft" if number % 5 == 0 else "approved",
            "origin": ("import", "trace", "review", "person")[number % 4],
        }
        for number in range(24)
    ]
    making.make_examples(golden, told)
    changed = {**told[1], "expected": "Ask for the order number.\nLook the parcel up, and say when it should arrive."}
    making.make_examples(
        golden, [changed, {"key": "new", "variables": {"question": "Are you a robot?"}}], removed=["ticket-004"]
    )
    making.make_set(project, "empty", name="Returns")


def test_eval_set_pages(
    live_server: LiveServer, chromium: Browser, settings: Any, alice: User, project: Project
) -> None:
    """Approving by ticking works, and no page spills over, breaks the content policy or fails a check of axe."""
    _fill(project)
    client = Client()
    sign_in(client, alice)
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    complaints: list[str] = []
    for scheme, width in LOOKS:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        context.add_cookies([{**cookie, "url": live_server.url}])
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        for path in PAGES:
            page.goto(f"{live_server.url}/p/support-desk/eval-sets{path}")
            expect(page.locator("h1")).to_be_visible()
            assert overflow(page) == 0, (path, width)
            assert findings(page) == [], (path, width)
        context.close()
    assert complaints == []
    page = chromium.new_context().new_page()
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.goto(f"{live_server.url}/p/support-desk/eval-sets/support-golden?state=draft")
    page.get_by_label("ticket-005").check()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("1 example is approved now.")).to_be_visible()
    expect(page.get_by_label("ticket-005")).to_have_count(0)
    page.context.close()

"""A run in a browser: started from the form with its estimate, and read when it is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.evals.scoring.registry import KINDS
from apps.projects.models import Project
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.conftest import sign_in
from tests.evals import making
from tests.evals.run_making import publish_answer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium: Browser, live_server: LiveServer, alice: User, project: Project) -> Iterator[Page]:
    """Alice's browser. What it complains about fails the test."""
    client = Client()
    sign_in(client, alice)
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    complaints: list[str] = []
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "favicon" not in text and "status of 404" not in text] == []


def test_a_run_is_estimated_started_and_read(page: Page, live_server: LiveServer, project: Project) -> None:
    """The estimate follows what is typed; the run's page has its figures, and leads to each result."""
    making.make_set(project, examples=making.CAPITALS)
    making.make_scorer(project, config=KINDS["exact"].read({}))
    publish_answer(project)
    page.goto(f"{live_server.url}/p/{project.slug}/eval-runs")
    page.get_by_role("link", name="Start the first run").click()
    page.get_by_label("Prompt", exact=True).fill("support/answer")
    page.get_by_label("Repetitions").fill("2")
    page.get_by_label("Repetitions").press("Tab")
    expect(page.locator("#run-estimate")).to_contain_text("6")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("run 1")
    expect(page.get_by_role("heading", name="What went wrong?")).to_be_visible()
    page.locator("#run-worst").get_by_role("link", name="fr").first.click()
    expect(page.get_by_role("heading", name="Expected, and what came out")).to_be_visible()
    page.set_viewport_size({"width": 400, "height": 800})
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert page.evaluate(wider) is False

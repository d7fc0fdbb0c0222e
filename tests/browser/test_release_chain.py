"""The whole chain in a browser: refused with reasons, approved by another person, live, rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.promotions.models import Promotion, Rollback
from apps.promotions.services import deciding
from apps.prompts.models import Version
from tests import factories
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.conftest import sign_in
from tests.promotions import making
from tests.telemetry.conftest import span_tables as span_tables

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Opens = Callable[[User], Page]
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def page_of(chromium: Browser, live_server: LiveServer) -> Iterator[Opens]:
    """Opens a signed-in person's own browser. What any of them complains about fails the test."""
    contexts, complaints = [], []

    def open_(person: User) -> Page:
        client = Client()
        sign_in(client, person)
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [text for text in complaints if "favicon" not in text and "status of 404" not in text] == []


def first_live(project: Project) -> Version:
    """A first version that went live in production the one way there is.

    In a thread of its own: its run is executed on the spot, and that needs an event loop where Playwright has one.
    """

    def make() -> Version:
        rita = making.rita(project)
        promotion = making.waiting(project)
        deciding.approve(promotion=promotion, actor=factories.actor_of(rita), person=rita, now=clock.now())
        connection.close()
        return promotion.version

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(make).result()


def live_in_production(version: Version) -> str:
    """What callers of production get of the version's prompt."""
    return str(version.prompt.deployments.get(environment__slug="production", ended_at=None).version.number)


def ask_for(page: Page, version: Version, why: str) -> None:
    """From the prompt's page: ask for the version in production, and come to the promotion's page."""
    page.get_by_label("Version", exact=True).select_option(str(version.number))
    page.get_by_label("Why").fill(why)
    page.get_by_role("button", name=f"Ask for {version.number} in production").click()


def test_refused_then_approved_by_another_live_and_rolled_back(
    span_tables: None, page_of: Opens, live_server: LiveServer, project: Project
) -> None:
    """Nobody types a verdict: the bad one is stopped by its run, the good one by nothing but a second person."""
    rob, rita = making.rob(project), making.rita(project)
    first = first_live(project)
    bad = making.make_version(project, making.BAD)
    good = making.make_version(project, making.GOOD, parameters={"temperature": 0.2})
    home = f"{live_server.url}/p/{project.slug}"

    asker = page_of(rob)
    asker.goto(f"{home}/prompts/{making.NAME}")
    asker.get_by_role("link", name="Ask for a promotion in production").click()
    ask_for(asker, bad, "Says that it does not know")
    expect(asker.get_by_role("heading", level=1)).to_contain_text("Refused:", timeout=20_000)
    expect(asker.get_by_role("button", name="Approve")).to_have_count(0)
    assert Promotion.objects.get(version=bad).reasons
    assert live_in_production(bad) == str(first.number)

    asker.goto(f"{home}/promotions/new?prompt={making.NAME}")
    ask_for(asker, good, "Answers less freely")
    expect(asker.get_by_role("heading", level=1)).to_contain_text("Gate passed", timeout=20_000)
    expect(asker.locator("#decide").get_by_text("Whoever asked for it does not decide on")).to_be_visible()
    expect(asker.get_by_role("button", name="Approve")).to_have_count(0)

    reviewer = page_of(rita)
    reviewer.goto(f"{home}/promotions")
    reviewer.get_by_role("region", name="Waiting for you").get_by_role("link").first.click()
    reviewer.set_viewport_size({"width": 400, "height": 800})
    assert reviewer.evaluate(WIDER) is False
    reviewer.get_by_role("button", name="Approve and go live").click()
    expect(reviewer.get_by_role("heading", level=1)).to_have_text("Live in production.")
    assert live_in_production(good) == str(good.number)
    assert AuditEntry.objects.filter(action="promotions.went_live").count() == 2

    reviewer.goto(f"{home}/prompts/{making.NAME}")
    reviewer.get_by_role("link", name="Roll back… in production").click()
    reviewer.get_by_label("Reason").fill("Too stiff")
    reviewer.get_by_role("button", name="Roll back production").click()
    expect(reviewer.get_by_text("Too stiff")).to_be_visible()
    assert live_in_production(good) == str(first.number)
    assert Rollback.objects.get().reason == "Too stiff"
    assert reviewer.evaluate(WIDER) is False

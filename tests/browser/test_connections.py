"""Adding a connection and testing it in a browser, with and without script; narrow, dark, and to an accessibility
checker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.projects.models import Project
from apps.providers.models import Connection
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.fakes.provider import KEY, FakeProvider

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def contexts(live_server: LiveServer, alice_client: Client, chromium: Browser) -> Iterator[Any]:
    """Makes Alice's browsers. What they complain about fails the test."""
    made: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(**options)
        made.append(context)
        context.add_cookies([{"name": "sid", "value": alice_client.cookies["sid"].value, "url": live_server.url}])
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in made:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("has_script", [True, False])
def test_adds_and_tests_a_connection(
    contexts: Any, live_server: LiveServer, project: Project, provider: FakeProvider, has_script: bool
) -> None:
    page = contexts(java_script_enabled=has_script)
    page.goto(f"{live_server.url}/p/{project.slug}/settings/providers")
    page.get_by_role("link", name="Another server that speaks OpenAI's API").click()
    page.get_by_label("Name", exact=True).fill("Our server")
    page.get_by_role("textbox", name="Address").fill(provider.url)
    page.get_by_role("textbox", name="Key").fill(KEY)
    page.get_by_role("textbox", name="Models").fill("fake-1")
    page.get_by_role("button", name="Add connection").click()
    row = page.get_by_role("row", name="Our server")
    expect(row).to_contain_text("Not tested")
    expect(row).to_contain_text(f"…{KEY[-4:]}")
    page.get_by_role("button", name="Test Our server").click()
    expect(row).to_contain_text("Works")
    expect(page.get_by_text("fake-1 answered after").first).to_be_visible()
    assert KEY not in page.content()
    assert provider.calls[-1].headers["authorization"] == f"Bearer {KEY}"
    assert Connection.objects.get().slug == "our-server"


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_fits_and_can_be_read(
    contexts: Any, live_server: LiveServer, project: Project, scheme: str, width: int
) -> None:
    Connection.objects.create(
        project=project, slug="openai", name="OpenAI", protocol="openai", base_url="https://api.openai.com/v1",
        model_names=["gpt-4o", "a-model-with-a-very-long-name-that-goes-on-and-on-and-on-and-on"],
        last_check_ok=False, last_check_note="The provider does not accept the key of this connection.",
    )  # fmt: skip
    page = contexts(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for rest in ("", "/new?preset=bedrock", "/openai", "/openai/remove"):
        page.goto(f"{live_server.url}/p/{project.slug}/settings/providers{rest}")
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        assert overflow(page) <= 0, rest
        assert findings(page) == [], rest

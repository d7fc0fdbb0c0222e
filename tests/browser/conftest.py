"""The component sheet, served to a real browser under the product's own content policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

TEMPLATES = Path(__file__).parent / "templates"
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} ${event.sample}`))"""

OpenPage = Callable[..., Page]


@pytest.fixture
def sheet_address(live_server: Any, settings: Any) -> str:
    """Where the sheet is served."""
    settings.ROOT_URLCONF = "tests.browser.urls"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], TEMPLATES]}]
    return str(live_server.url)


@pytest.fixture
def open_page(chromium: Browser, sheet_address: str) -> Iterator[OpenPage]:
    """Opens a page of the sheet's site. Whatever a page writes to the console as an error fails the test."""
    contexts, complaints = [], []

    def open_(path: str = "/p/harbor-desk/", *, width: int = 1440, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(sheet_address + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 404" not in text and "status of 500" not in text] == []

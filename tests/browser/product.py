"""The product in a process of its own and a browser before it, for tests that go the way of a newcomer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, expect
from psycopg.conninfo import make_conninfo

from tests.browser.conftest import REPORT_VIOLATIONS

ROOT = Path(__file__).resolve().parents[2]
EMPTY = "TRUNCATE telemetry_span, telemetry_payload, telemetry_skewed"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(port: int) -> dict[str, str]:
    """The product's own settings, on the database and the secrets of the tests."""
    values = connection.settings_dict
    url = make_conninfo(
        dbname=values["NAME"],
        user=values["USER"] or None,
        host=values["HOST"] or None,
        port=values["PORT"] or None,
        password=values["PASSWORD"] or None,
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PRODWORTHY_TEST"))}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "llmops_site.settings",
        "DATABASE_URL": url,
        "PRODWORTHY_VAR": str(settings.VAR_DIR),
        "PRODWORTHY_HOST": "127.0.0.1",
        "PRODWORTHY_PORT": str(port),
    }


@pytest.fixture
def product(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """The product in a process of its own, with prices and static files as the first start has them; its address."""
    port = _free_port()
    environment = _environment(port)
    if not (Path(settings.VAR_DIR) / "static" / "staticfiles.json").exists():
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=environment, check=True, timeout=120)
    call_command("prices", "sync", stdout=StringIO())
    log = (tmp_path / "web.log").open("wb")
    serve = [sys.executable, "-m", "uvicorn", "llmops_site.asgi:application", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, tmp_path / "web.log")
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        with connection.cursor() as cursor:
            cursor.execute(EMPTY)


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if httpx.get(f"{address}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Page]:
    """A browser that may read its clipboard. What it complains about fails the test."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    complaints: list[str] = []
    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def setup_link(address: str) -> str:
    """The link that the first start prints, at the address under test."""
    out = StringIO()
    call_command("setup_link", stdout=out)
    return address + "/setup/" + out.getvalue().strip().rpartition("/")[2]


def set_up(page: Page, address: str) -> None:
    """Follow the link, fill in the form, arrive at the empty Overview."""
    page.goto(setup_link(address))
    page.fill("[name=email]", "ana@example.com")
    page.fill("[name=name]", "Ana Duarte")
    page.fill("[name=password]", "a long and dull sentence")
    page.fill("[name=project_name]", "Harbor Desk")
    page.click("main button[type=submit]")
    expect(page.locator("h1")).to_have_text("Send the first call. This page becomes your overview.")

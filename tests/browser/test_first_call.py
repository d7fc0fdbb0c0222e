"""From the set-up link to a call on the screen, as a newcomer goes: in a browser, against the product as it is run."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, expect
from psycopg.conninfo import make_conninfo

from apps.telemetry.models import Span
from tests.browser.conftest import REPORT_VIOLATIONS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).resolve().parents[2]
EMPTY = "TRUNCATE telemetry_span, telemetry_payload, telemetry_skewed"
MARK = "window.wasHereBefore = true"
IS_MARKED = "window.wasHereBefore === true"


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
    assert Span.objects.count() == 1


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
    expect(visit.locator(".code pre")).to_contain_text('"input_tokens": 812')

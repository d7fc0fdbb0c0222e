"""A pytest plugin: one PostgreSQL and one Valkey of the test session's own, and a Chromium for browser tests.

With DATABASE_URL or REDIS_URL set, tests use the server named there and this starts none in its place. With
PRODWORTHY_FORBID_SKIPS set, as in CI, a skipped test fails the run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, sync_playwright

from apps.core.stack.postgres import Postgres
from apps.core.stack.valkey import Valkey

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FORBIDS_SKIPS = bool(os.environ.get("PRODWORTHY_FORBID_SKIPS"))

STARTED: list[Postgres | Valkey] = []
SKIPPED: list[str] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers once, in the process that hands out tests. Durability stays on, as in production."""
    if _is_worker(session.config) or session.config.option.collectonly:
        return
    log = Path(settings.VAR_DIR) / "log"
    if settings.USES_EMBEDDED_POSTGRES:
        _start(Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, log / "postgres.log", settings.POSTGRES_BIN))
    if settings.USES_EMBEDDED_VALKEY:
        _start(Valkey(settings.VALKEY_DIR, settings.SOCKET_DIR, log / "valkey.log", settings.VALKEY_BIN))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started and remove the session's directory, also after an interrupt."""
    while STARTED:
        STARTED.pop().stop()
    if not _is_worker(config) and "PRODWORTHY_TEST_VAR" in os.environ:
        shutil.rmtree(os.environ.pop("PRODWORTHY_TEST_VAR"), ignore_errors=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium without a window. Where none is installed, tests that ask for it are skipped, loudly.

    It ends with its file: Playwright's event loop would be in the way of other files' tests.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed, so nothing was tried in a browser: apt-get install chromium")
    # Playwright runs an event loop in this thread, which Django takes for an async caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        SKIPPED.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped something where that is forbidden."""
    if SKIPPED and exitstatus == pytest.ExitCode.OK and FORBIDS_SKIPS and not _is_worker(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in so many words what was not tried."""
    if SKIPPED:
        verdict = "FAILED, because skips are forbidden here" if FORBIDS_SKIPS else "not everything was tried"
        terminalreporter.section(f"{len(SKIPPED)} tests were skipped: {verdict}", red=FORBIDS_SKIPS, yellow=True)
        for name in SKIPPED:
            terminalreporter.write_line(name)


def _start(server: Postgres | Valkey) -> None:
    server.prepare()
    STARTED.append(server)
    server.start()
    server.wait_ready()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")

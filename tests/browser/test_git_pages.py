"""The git pages in a real browser: nothing overflows or breaks the content policy, and a decision needs no script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.projects.models import Project
from apps.prompts.models import Draft
from apps.prompts.services import git as git_services
from apps.prompts.services.git_remotes import Wishes
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.factories import NOW, actor_of
from tests.prompts.git_hands import publish
from tests.prompts.git_server import served

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenWindow = Callable[..., Page]
GIT = "/p/support-desk/prompts/-/git"
FILE = "name: %s\nversion: 1.0.0\ntext: |\n  %s to {{who}}.\nvariables:\n  who:\n"


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, settings: Any) -> None:
    """Repositories of this test alone: other workers of the run have projects with the same numbers."""
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def window(live_server: LiveServer, alice_client: Client, chromium: Browser) -> Iterator[OpenWindow]:
    """Opens windows of Alice's browser. What they complain about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(path: str, *, width: int = 1440, **more: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **more)
        context.add_cookies([{"name": "sid", "value": alice_client.cookies["sid"].value, "url": live_server.url}])
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}{path}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def busy_repository(project: Project, alice: User, tmp_path: Path, settings: Any) -> Iterator[None]:
    """A repository with a prompt in each state."""
    with served(tmp_path / "git") as server:
        settings.EGRESS_ALLOW = [f"127.0.0.1:{server.port}"]
        names = ("answers/in-sync", "answers/conflict", "answers/diverged", "answers/missing")
        server.write(
            {f"{name}.prompt.yaml": FILE % (name, "Say hello") for name in names},
            "Begin",
        )
        remote = git_services.connect(
            project=project, wishes=Wishes(url=server.url, edits="versions"), actor=actor_of(alice), now=NOW
        )
        git_services.sync(project.pk, now=NOW)
        publish(
            project,
            alice,
            "answers/a-prompt-with-a-long-name-in-a-folder/and-another",
            "Say hello.",
            minutes=1,
            note="First words, for the new help desk",
        )
        publish(project, alice, "answers/diverged", "Say good day.", minutes=1)
        server.write(
            {
                "answers/conflict.prompt.yaml": (FILE % ("answers/conflict", "Say nothing")).replace("1.0.0", "0.9.0"),
                "answers/diverged.prompt.yaml": "name: answers/diverged\ntext: Say good evening.\n",
                "answers/missing.prompt.yaml": None,
                "half.prompt.yaml": "name: half\ntext: [\n",
            },
            "An evening's work",
        )
        git_services.sync(remote.project_id, now=NOW + timedelta(minutes=2))
        yield


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_fits_every_window(
    window: OpenWindow, busy_repository: None, project: Project, width: int, scheme: str
) -> None:
    for path, words in (
        (GIT, "What happened"),
        (f"{GIT}/compare?name=answers/conflict", "Send ours on a branch"),
        (f"{GIT}/connect", "What opens it"),
        ("/p/support-desk/prompts/answers/diverged", "All prompts in git"),
    ):
        page = window(path, width=width, color_scheme=scheme)
        expect(page.get_by_text(words).first).to_be_visible()
        assert overflow(page) <= 0, path
        assert findings(page) == [], path


def test_decides_without_script(window: OpenWindow, busy_repository: None, project: Project) -> None:
    page = window(GIT, java_script_enabled=False)
    page.get_by_role("link", name="Decide answers/conflict").click()
    expect(page.get_by_text("Say nothing to {{who}}.")).to_be_visible()
    page.get_by_role("button", name="Take git's as a draft").click()
    expect(page.get_by_text("waits as a draft of answers/conflict")).to_be_visible()
    assert Draft.objects.get().body.text == "Say nothing to {{who}}.\n"

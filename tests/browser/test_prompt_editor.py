"""Writing a prompt in a real browser: preview, autosave, keys, publishing, two windows, and no script at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts.content import Content, Message, Variable
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.types import VariableType
from tests import factories
from tests.browser.conftest import REPORT_VIOLATIONS
from tests.browser.looks import LOOKS
from tests.browser.test_look import findings, overflow
from tests.conftest import page_client

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenWindow = Callable[..., Page]
EDIT = "/p/support-desk/prompts/support/answer/-/edit"
SAVED = re.compile(r"Saved \d\d:\d\d:\d\d")


def _context(browser: Browser, server: LiveServer, client: Client, **more: object) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **more)  # type: ignore[arg-type]
    context.add_cookies([{"name": "sid", "value": client.cookies["sid"].value, "url": server.url}])
    return context


@pytest.fixture
def window(live_server: LiveServer, alice_client: Client, chromium: Browser) -> Iterator[OpenWindow]:
    """Opens windows of Alice's browser. What they complain about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(path: str, **more: object) -> Page:
        context = _context(chromium, live_server, alice_client, **more)
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
    assert [text for text in complaints if not re.search("status of (422|409|403)|Error Code 403", text)] == []


@pytest.fixture
def prompt(project: Project, alice: User) -> Prompt:
    """A prompt with one version: two messages, two variables."""
    made = prompts.create_prompt(
        project=project, name="support/answer", actor=factories.actor_of(alice), now=datetime.now(UTC)
    )
    content = Content(
        messages=(Message("system", "You help {{shop}}."), Message("user", "{{question}}")),
        variables=(Variable("shop", sample="Lumen Lamps"), Variable("question", sample="Where is my lamp?")),
        parameters={"temperature": 0.2},
    )
    prompts.publish(prompt=made, content=content, actor=factories.actor_of(alice), author=alice, now=datetime.now(UTC))
    return made


def test_writes_a_prompt_and_publishes_it_by_keyboard(window: OpenWindow, project: Project) -> None:
    page = window("/p/support-desk/prompts")
    page.keyboard.press("n")
    page.get_by_label("Name").fill("support/answer")
    page.get_by_role("button", name="Go on to the text").click()
    expect(page).to_have_url(re.compile(r"/support/answer/-/edit\?kind=chat$"))
    texts = page.locator("[name=message_content]")
    texts.nth(0).fill("You help {{shop}}.")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("You help ‹shop›.")
    expect(preview.locator(".undeclared")).to_contain_text("shop")

    texts.nth(0).press("Alt+v")
    expect(page.locator("[name=variable_name]")).to_have_value("shop")
    expect(page.locator("[name=variable_sample]")).to_be_focused()
    page.keyboard.type("Lumen Lamps")
    texts.nth(1).fill("Hello.")
    expect(preview).to_contain_text("You help Lumen Lamps.")
    expect(preview).to_contain_text("tok")
    expect(page.locator("#draft-state")).to_contain_text(SAVED)

    texts.nth(1).press("Alt+ArrowUp")
    expect(texts.nth(0)).to_have_value("Hello.")
    expect(texts.nth(0)).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    expect(texts.nth(1)).to_have_value("Hello.")

    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="What changes")).to_be_visible()
    page.get_by_label("What changed, and why").fill("The first one.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".notice.is-pass")).to_contain_text("Version 1.0.0 is published.")
    version = Version.objects.get()
    assert [message["content"] for message in version.content["messages"]] == ["You help {{shop}}.", "Hello."]
    assert version.content["variables"][0]["sample"] == "Lumen Lamps"
    assert not Draft.objects.exists()

    page.goto(page.url.partition("?")[0])
    page.keyboard.press("e")
    texts.nth(0).fill("You help {{shop}}, shortly.")
    expect(page.locator("#draft-state")).to_contain_text(SAVED)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".diff ins")).to_contain_text("shortly")
    expect(page.locator("[name=bump]:checked")).to_have_value("patch")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".notice.is-pass")).to_contain_text("Version 1.0.1 is published.")


def test_saves_while_one_types_and_says_why_when_it_cannot(window: OpenWindow, prompt: Prompt) -> None:
    page = window(EDIT)
    page.locator("summary:has-text('Tools')").click()
    page.locator("[name=tools]").fill('[\n  {"type": }\n]')
    expect(page.locator("#draft-state")).to_contain_text("Not saved: This is not JSON. Line 2, column 12")
    expect(page.locator("[name=tools]")).to_have_attribute("aria-invalid", "true")
    assert not Draft.objects.exists()
    page.locator("[name=tools]").fill("")
    expect(page.locator("#draft-state")).to_contain_text(SAVED)
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    page.locator("[name=temperature]").fill("0.9")
    page.keyboard.press("Control+s")
    expect(page.locator("[name=revision]").first).to_have_value("2")
    assert Draft.objects.get().content["parameters"] == {"temperature": 0.9}
    page.reload()
    expect(page.locator("[name=temperature]")).to_have_value("0.9")


def test_loses_neither_text_of_two_windows(window: OpenWindow, prompt: Prompt) -> None:
    one, other = window(EDIT), window(EDIT)
    one.locator("[name=message_content]").first.fill("Written in the first window.")
    expect(one.locator("#draft-state")).to_contain_text(SAVED)
    other.locator("[name=message_content]").first.fill("Written in the second window.")
    expect(other.locator(".conflict")).to_contain_text("This draft was saved elsewhere")
    expect(other.locator(".conflict del")).to_contain_text("first")
    expect(other.locator("#draft-state")).to_contain_text("Not saved")
    expect(other.locator("[name=message_content]").first).to_have_value("Written in the second window.")
    assert Draft.objects.get().content["messages"][0]["content"] == "Written in the first window."

    other.get_by_role("button", name="Keep mine on top").click()
    expect(other.locator("#draft-state")).to_contain_text(SAVED)
    expect(other.locator(".aside")).to_contain_text("The other text is kept here")
    assert Draft.objects.get().content["messages"][0]["content"] == "Written in the second window."
    other.locator(".aside summary").click()
    other.get_by_role("button", name="Put it into the editor instead").click()
    expect(other.locator("[name=message_content]").first).to_have_value("Written in the first window.")
    expect(other.locator("[name=revision]").first).to_have_value("3")
    expect(other.locator(".aside")).to_contain_text("Written in the second window.")

    one.locator("[name=message_content]").first.fill("Written in the first window, again.")
    expect(one.locator(".conflict")).to_be_visible()
    one.get_by_role("button", name="Take theirs").click()
    expect(one.locator("[name=message_content]").first).to_have_value("Written in the first window.")
    expect(one.locator(".aside")).to_contain_text("Written in the first window, again.")


def test_keeps_the_text_of_somebody_who_is_signed_out(
    window: OpenWindow, live_server: LiveServer, prompt: Prompt, alice: User
) -> None:
    page = window(EDIT)
    page.locator("[name=message_content]").first.fill("Before.")
    expect(page.locator("#draft-state")).to_contain_text(SAVED)
    page.context.clear_cookies()
    page.locator("[name=message_content]").first.fill("Typed while signed out.")
    expect(page.locator("#draft-state")).to_contain_text("Not saved: you are signed out.")
    expect(page.locator("[name=message_content]").first).to_have_value("Typed while signed out.")
    again = page_client(alice).cookies["sid"].value
    page.context.add_cookies([{"name": "sid", "value": again, "url": live_server.url}])
    expect(page.locator("#draft-state")).to_contain_text(SAVED, timeout=30_000)
    assert Draft.objects.get().content["messages"][0]["content"] == "Typed while signed out."


def test_tells_that_somebody_published_meanwhile(window: OpenWindow, prompt: Prompt, bob: User) -> None:
    page = window(EDIT)
    page.locator("[name=message_content]").nth(1).fill("{{question}} Be short.")
    expect(page.locator("#draft-state")).to_contain_text(SAVED)
    older = Version.objects.get()
    newer = Content(
        messages=(Message("system", "You help {{shop}} kindly."), Message("user", "{{question}}")),
        variables=older.body.variables,
        parameters={"temperature": 0.2},
    )
    prompts.publish(
        prompt=prompt, content=newer, actor=factories.actor_of(bob), author=bob, now=datetime.now(UTC), base=older
    )
    page.evaluate("htmx.trigger(document.getElementById('draft-news'), 'look')")
    expect(page.locator("#draft-news")).to_contain_text("Bob published 1.0.1")
    page.get_by_role("button", name="Bring my draft onto 1.0.1").click()
    expect(page.locator("[name=message_content]").first).to_have_value("You help {{shop}} kindly.")
    expect(page.locator("[name=message_content]").nth(1)).to_have_value("{{question}} Be short.")
    draft = Draft.objects.get()
    assert draft.base is not None
    assert str(draft.base.number) == "1.0.1"


def test_works_without_script(window: OpenWindow, prompt: Prompt) -> None:
    page = window(EDIT, java_script_enabled=False)
    page.locator("[name=message_content]").first.fill("Typed and not saved.")
    page.get_by_role("button", name="Add a message").click()
    expect(page.locator("[name=message_content]")).to_have_count(3)
    expect(page.locator("[name=message_content]").first).to_have_value("Typed and not saved.")
    page.locator("[name=message_content]").nth(2).fill("{{tone}}")
    page.get_by_role("button", name="Move up, Alt and arrow up").nth(1).click()
    expect(page.locator("[name=message_content]").nth(1)).to_have_value("{{tone}}")
    page.locator("[data-declare]").click()
    expect(page.locator("[name=variable_name]").nth(2)).to_have_value("tone")
    page.locator("[data-save]").click()
    assert [one["content"] for one in Draft.objects.get().content["messages"]] == [
        "Typed and not saved.",
        "{{tone}}",
        "{{question}}",
    ]
    page.locator("[data-publish]").click()
    expect(page.get_by_role("heading", name="What changes")).to_be_visible()
    page.go_back()
    page.locator("[data-try]").click()
    expect(page.locator("[name=text]").first).to_have_value("Typed and not saved.")


@pytest.mark.parametrize("typing_on", [False, True])
@pytest.mark.parametrize("leave", ["try", "publish"])
def test_loses_nothing_on_leaving_at_once(
    window: OpenWindow, prompt: Prompt, monkeypatch: pytest.MonkeyPatch, leave: str, typing_on: bool
) -> None:
    answered: list[tuple[str, str, int]] = []
    answer = BaseHandler.get_response

    def noted(handler: BaseHandler, request: HttpRequest) -> HttpResponse:
        response = answer(handler, request)
        answered.append((str(request.method), request.path, response.status_code))
        return cast(HttpResponse, response)

    page = window(EDIT)
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    monkeypatch.setattr(BaseHandler, "get_response", noted)
    text = page.locator("[name=message_content]").first
    text.fill("The first edit.")
    if typing_on:  # one save is on its way, and its answer brings a new revision
        page.keyboard.press("Control+s")
        text.press_sequentially(" More.")
    if leave == "try":
        page.get_by_role("button", name="Try it").click()
        expect(page.get_by_role("heading", name="Playground")).to_be_visible()
        expect(page.locator("[name=text]").first).to_have_value(re.compile("The first edit."))
    else:
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", name="What changes")).to_be_visible()
    page.wait_for_load_state("networkidle")
    wanted = "The first edit. More." if typing_on else "The first edit."
    assert Draft.objects.get().content["messages"][0]["content"] == wanted
    assert asked == []
    assert [one for one in answered if one[2] >= 400] == []
    edits = [one for one in answered if one[:2] == ("POST", EDIT)]
    after = answered[answered.index(edits[-1]) + 1 :]
    assert [one for one in after if one[1].endswith("/-/draft")] == []


def test_lists_its_keys(window: OpenWindow, prompt: Prompt) -> None:
    page = window(EDIT)
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_contain_text("move the message")


def test_finds_a_prompt_from_the_palette(window: OpenWindow, prompt: Prompt) -> None:
    page = window("/p/support-desk/prompts")
    page.keyboard.press("Control+k")
    page.keyboard.type("suppo ans")
    expect(page.locator("#palette-found")).to_contain_text("support/answer")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/prompts/support/answer$"))


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_pleases_axe_and_fits_its_window(
    window: OpenWindow, live_server: LiveServer, prompt: Prompt, alice: User, theme: str, width: int
) -> None:
    first = Version.objects.get()
    second = Content(
        messages=(
            Message("system", "You help {{shop}}.\nBe short."),
            Message("user", "{{question}} {{#tone}}x{{/tone}}"),
        ),
        variables=(*first.body.variables, Variable("tone", VariableType.BOOLEAN, is_required=False)),
        parameters={"temperature": 0.4, "max_tokens": 300},
        tools=({"type": "function", "function": {"name": "lookup_order", "parameters": {"type": "object"}}},),
        response_schema={"type": "object", "properties": {"answer": {"type": "string"}}},
    )
    prompts.publish(
        prompt=prompt,
        content=second,
        actor=factories.actor_of(alice),
        author=alice,
        now=datetime.now(UTC),
        note="Short",
    )
    prompts.save_draft(
        prompt=prompt, author=alice, content=first.body, revision=None, base=first, now=datetime.now(UTC)
    )
    page = window("/p/support-desk/prompts")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    own = "support/answer"
    for path in ("", "/-/new", f"/{own}", *(f"/{own}/-/{name}" for name in PAGES)):
        page.goto(f"{live_server.url}/p/support-desk/prompts{path}")
        page.wait_for_load_state("networkidle")
        assert findings(page) == [], path
        assert overflow(page) == 0, path


PAGES = ("edit", "publish", "versions", "versions/2.0.0", "diff", "diff?as=split", "settings")

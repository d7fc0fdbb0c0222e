"""The editor over HTTP: what is typed comes back, two people and two windows lose nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django.fixtures import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.projects.models import Project, Role
from apps.prompts import editing
from apps.prompts import services as prompts
from apps.prompts.content import BadContent, Content, Message, Variable, content_as_dict, text_content
from apps.prompts.editing import Typed, TypedMessage, TypedVariable
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.types import Syntax, VariableType
from tests import factories
from tests.conftest import page_client

URL = "/p/support-desk/prompts/support/answer/-/"
HTMX = {"HX-Request": "true"}
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><script>x</script>",
    "{{constructor}}",
]

RICH = Content(
    messages=(
        Message("system", "You help {{shop}}.\n"),
        Message("placeholder", "history"),
        Message("user", "\n  {{question}}", "ann"),
    ),
    variables=(
        Variable("shop", sample="Lumen"),
        Variable("history", VariableType.MESSAGES, is_required=False, sample=[{"role": "user", "content": "Hi"}]),
        Variable("question", default="", is_required=False),
        Variable("quoted", sample='"in quotes"'),
        Variable("count", VariableType.NUMBER, default=0.50, is_required=False),
        Variable("flag", VariableType.BOOLEAN, default=False, is_required=False),
        Variable("facts", VariableType.OBJECT, sample={"a": [1, None, "ü"]}),
    ),
    model="openai/gpt-4o",
    parameters={"temperature": 1.0, "max_tokens": 20, "stop": ["END", "a\nb"], "seed": 7, "nested": {"x": [True]}},
    tools=({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},),
    response_schema={"type": "object", "properties": {"a": {"type": "string"}}},
    extra={"x-team": "support"},
)


@pytest.fixture
def prompt(project: Project, alice: User) -> Prompt:
    """A prompt with one version."""
    made = prompts.create_prompt(
        project=project, name="support/answer", actor=factories.actor_of(alice), now=factories.NOW
    )
    publish(made, text_content("Hello {{name}}.", variables=(Variable("name", sample="Ann"),)), alice)
    return made


@pytest.fixture
def editor(project: Project) -> User:
    """Dora, who may write in the project."""
    dora = factories.make_user("dora@example.com", name="Dora")
    factories.make_member(project, dora, role=Role.EDITOR)
    return dora


def publish(prompt: Prompt, content: Content, user: User, **more: Any) -> Version:
    """Make the content the next version."""
    return prompts.publish(
        prompt=prompt, content=content, actor=factories.actor_of(user), author=user, now=factories.NOW, **more
    )


def form_of(typed: Typed, **more: object) -> dict[str, Any]:
    """The form as a browser sends it."""
    plain = {name: getattr(typed, name) for name in editing.PLAIN_FIELDS}
    rows: dict[str, list[str]] = {}
    for table, parts in editing.ROW_FIELDS.items():
        for part in parts:
            rows[f"{table[:-1]}_{part}"] = [getattr(row, part) for row in getattr(typed, table)]
    browsers = {name: _browsers(value) for name, value in {**plain, **rows}.items()}
    return {**browsers, "base": "1.0.0", "revision": "", **more}


def _browsers(value: Any) -> Any:
    if isinstance(value, list):
        return [_browsers(one) for one in value]
    return value.replace("\n", "\r\n")


def a_form(text: str, **more: object) -> dict[str, Any]:
    """A conversation of one message."""
    return form_of(Typed(messages=(TypedMessage("user", text),)), **more)


# --- Text and content -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        RICH,
        text_content("", syntax=Syntax.JINJA),
        text_content("x", parameters={"stop": "###"}),
        text_content("x", parameters={"stop": '"a"', "temperature": "warm"}),
        text_content("x", parameters={"stop": " [", "max_tokens": True}),
    ],
)
def test_a_content_survives_the_form(content: Content) -> None:
    typed = editing.typed_from_content(content)
    sent = {name: value if isinstance(value, list) else [value] for name, value in form_of(typed).items()}
    assert content_as_dict(editing.content_of(editing.typed_from_form(sent))) == content_as_dict(content)
    assert editing.from_json(editing.as_json(typed)) == typed


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        (Typed(tools='[\n{"a": }]'), "tools", "Line 2, column 7"),
        (Typed(tools='{"a": 1}'), "tools", "Write a list"),
        (Typed(tools="[1]"), "tools", "must be an object"),
        (Typed(response_schema="[]"), "response_schema", "JSON Schema"),
        (Typed(parameters="[" * 100_000), "parameters", "JSON"),
        (Typed(parameters='{"temperature": 1}', temperature="2"), "parameters", "field of its own"),
        (Typed(parameters='{"x": NaN}'), "parameters", "JSON"),
        (Typed(max_tokens="null"), "max_tokens", "a number"),
        (Typed(max_tokens="true"), "max_tokens", "a number"),
        (Typed(stop="[1]"), "stop", "several as"),
        (Typed(kind="poem"), "kind", "Choose one of"),
        (Typed(messages=(TypedMessage("poet", "x"),)), "messages.0.role", "Choose one of"),
        (Typed(messages=(TypedMessage("user", "x" * 300_000),)), "messages.0.content", "262,144 characters"),
        (Typed(messages=(TypedMessage("user", "a\x00b"),)), "messages.0.content", "cannot be stored"),
        (Typed(variables=(TypedVariable("two words"),)), "variables.0.name", "letters, digits"),
        (Typed(variables=(TypedVariable("a"), TypedVariable("a"))), "variables.1.name", "two variables a"),
        (Typed(variables=(TypedVariable("a", "number", sample="x"),)), "variables.0.sample", "a number"),
        (Typed(variables=(TypedVariable("a", "list", default="{}"),)), "variables.0.default", "type list"),
        (Typed(variables=(TypedVariable("a", "poem"),)), "variables.0.type", "Choose one of"),
    ],
)
def test_a_mistake_stands_beside_its_field(typed: Typed, field: str, says: str) -> None:
    with pytest.raises(BadContent) as caught:
        editing.content_of(typed)
    assert says in " ".join(caught.value.details[field])


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        (Typed(temperature="warm"), "temperature", "Write a number, such as 0.7."),
        (Typed(max_tokens="many"), "max_tokens", "Write a number, such as 300."),
        (Typed(variables=(TypedVariable("a", "number", sample="x"),)), "variables.0.sample", "Write a number, such as"),
        (Typed(variables=(TypedVariable("a", "boolean", sample="x"),)), "variables.0.sample", "Write true or false."),
    ],
)
def test_speaks_of_no_json_where_a_number_is_meant(typed: Typed, field: str, says: str) -> None:
    with pytest.raises(BadContent) as caught:
        editing.content_of(typed)
    (sentence,) = caught.value.details[field]
    assert sentence.startswith(says)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"messages": 1}', '{"messages": [], "variables": [], "kind": 1}']
)
def test_takes_no_nonsense_for_a_text_that_was_set_aside(text: str) -> None:
    assert editing.from_json(text) is None


# --- Saving -----------------------------------------------------------------------------------------------------------


def test_saves_a_draft_by_the_form(alice_client: Client, alice: User, prompt: Prompt) -> None:
    typed = editing.typed_from_content(RICH)
    response = alice_client.post(f"{URL}edit", form_of(typed))
    assert (response.status_code, response["Location"]) == (302, f"{URL}edit")
    draft = Draft.objects.get()
    assert (draft.author, draft.revision, draft.content) == (alice, 1, content_as_dict(RICH))
    assert draft.base == Version.objects.get()
    # What the page shows now, sent again, changes nothing.
    alice_client.post(f"{URL}edit", form_of(typed, revision="1"))
    assert Draft.objects.get().revision == 1


def test_saves_and_tries_it(alice_client: Client, prompt: Prompt) -> None:
    response = alice_client.post(f"{URL}edit", a_form("Tried.", do="try"))
    assert response["Location"] == "/p/support-desk/playground?prompt=support/answer&draft=1"
    assert "Tried." in alice_client.get(response["Location"]).content.decode()
    refused = alice_client.post(f"{URL}edit", form_of(Typed(temperature="abc"), revision="1", do="try"))
    assert refused.status_code == 422
    assert 'value="abc"' in refused.content.decode()
    assert Draft.objects.get().content["messages"][0]["content"] == "Tried."


def test_saves_while_one_types(alice_client: Client, prompt: Prompt) -> None:
    response = alice_client.post(f"{URL}draft", a_form("One"), headers=HTMX)
    assert response.status_code == 200
    assert 'name="revision" value="1"' in response.content.decode()
    response = alice_client.post(f"{URL}draft", a_form("Two", revision="1"), headers=HTMX)
    assert 'name="revision" value="2"' in response.content.decode()
    assert Draft.objects.get().content["messages"][0]["content"] == "Two"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (Typed(messages=(TypedMessage("user", "Kept words."),), tools="[oops"), "This is not JSON."),
        (
            Typed(messages=(TypedMessage("user", "Kept words."),), variables=(TypedVariable("1 bad name"),)),
            "letters, digits",
        ),
        (Typed(messages=(TypedMessage("user", "Kept words. " + "x" * 300_000),)), "262,144"),
        (Typed(messages=(TypedMessage("user", "Kept words.\x00"),)), "cannot be stored"),
    ],
)
def test_gives_back_what_cannot_be_saved(alice_client: Client, prompt: Prompt, typed: Typed, says: str) -> None:
    response = alice_client.post(f"{URL}edit", form_of(typed))
    page = response.content.decode()
    assert response.status_code == 422
    assert says in page
    for text in ("Kept words.", typed.tools, *(variable.name for variable in typed.variables)):
        assert escape(text) in page
    assert not Draft.objects.exists()
    fragment = alice_client.post(f"{URL}draft", form_of(typed), headers=HTMX)
    assert (fragment.status_code, says in fragment.content.decode()) == (422, True)
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    ("action", "texts", "names"),
    [
        ("add_message", ["a", "b", ""], ["x"]),
        ("remove_message:0", ["b"], ["x"]),
        ("up:1", ["b", "a"], ["x"]),
        ("down:0", ["b", "a"], ["x"]),
        ("up:0", ["a", "b"], ["x"]),
        ("down:9", ["a", "b"], ["x"]),
        ("remove_message:999999999999", ["a", "b"], ["x"]),
        ("add_variable", ["a", "b"], ["x", ""]),
        ("remove_variable:0", ["a", "b"], []),
        ("declare:x,y,z", ["a", "b"], ["x", "y", "z"]),
        ("kind:text", ["a\n\nb"], ["x"]),
        ("nonsense", ["a", "b"], ["x"]),
    ],
)
def test_adds_and_moves_rows_by_buttons(
    alice_client: Client, prompt: Prompt, action: str, texts: list[str], names: list[str]
) -> None:
    typed = Typed(
        messages=(TypedMessage("system", "a"), TypedMessage("user", "b")),
        variables=(TypedVariable("x"),),
        tools="[half of a list",
    )
    response = alice_client.post(f"{URL}edit", form_of(typed, do=action))
    shown = response.context["typed"]
    assert response.status_code == 200
    assert [message.content for message in shown.messages] == texts
    assert [variable.name for variable in shown.variables] == names
    assert shown.tools == "[half of a list"
    assert not Draft.objects.exists()


def test_mends_a_finding_by_its_button(alice_client: Client, prompt: Prompt) -> None:
    response = alice_client.post(f"{URL}edit", a_form("Hello {{who}}.", do="fix:0:undefined_variable"))
    assert [variable.name for variable in response.context["typed"].variables] == ["who"]
    response = alice_client.post(f"{URL}edit", a_form("Hello {{who}}.", do="fix:0:something_else"))
    assert response.context["typed"].variables == ()


# --- Two windows, two people ----------------------------------------------------------------------------------


def test_two_windows_of_one_person_lose_nothing(alice_client: Client, prompt: Prompt) -> None:
    alice_client.post(f"{URL}edit", a_form("First window."))
    response = alice_client.post(f"{URL}edit", a_form("Second window."))
    page = response.content.decode()
    assert response.status_code == 409
    assert "This draft was saved elsewhere" in page
    assert "Second window." in page
    assert "<del>First</del>" in page
    assert Draft.objects.get().content["messages"][0]["content"] == "First window."

    fragment = alice_client.post(f"{URL}draft", a_form("Second window."), headers=HTMX)
    assert fragment.status_code == 422
    assert 'hx-swap-oob="true"' in fragment.content.decode()

    kept = alice_client.post(f"{URL}edit", a_form("Second window.", do="keep:1"))
    assert kept.status_code == 200
    assert Draft.objects.get().content["messages"][0]["content"] == "Second window."
    assert kept.context["sheet"].aside.messages[0].content == "First window."
    aside = kept.context["aside_json"]
    back = alice_client.post(f"{URL}edit", a_form("Second window.", revision="2", do="swap", aside=aside))
    assert back.context["typed"].messages[0].content == "First window."
    assert back.context["sheet"].aside.messages[0].content == "Second window."

    # Whoever keeps theirs on top of what has changed once more is asked again.
    again = alice_client.post(f"{URL}edit", a_form("Third window.", do="keep:1"))
    assert again.status_code == 409

    taken = alice_client.post(f"{URL}edit", a_form("Third window.", do="theirs"))
    assert taken.context["typed"].messages[0].content == "Second window."
    assert taken.context["sheet"].aside.messages[0].content == "Third window."


def test_the_same_text_from_two_windows_is_no_conflict(alice_client: Client, prompt: Prompt) -> None:
    alice_client.post(f"{URL}edit", a_form("The same."))
    response = alice_client.post(f"{URL}draft", a_form("The same."), headers=HTMX)
    assert (response.status_code, 'name="revision" value="1"' in response.content.decode()) == (200, True)


def test_two_people_have_drafts_of_their_own(alice_client: Client, alice: User, editor: User, prompt: Prompt) -> None:
    alice_client.post(f"{URL}edit", a_form("By Alice."))
    page_client(editor).post(f"{URL}edit", a_form("By Dora."))
    said = {draft.author: draft.content["messages"][0]["content"] for draft in Draft.objects.all()}
    assert said == {alice: "By Alice.", editor: "By Dora."}
    assert "Dora has a draft of this prompt too" in alice_client.get(f"{URL}edit").content.decode()
    draft = Draft.objects.get(author=editor)
    taken = alice_client.get(f"{URL}edit", {"take": str(draft.uuid)})
    assert taken.context["typed"].messages[0].content == "By Alice."  # her own comes first


def test_tells_what_was_published_meanwhile_and_brings_the_draft_onto_it(
    alice_client: Client, editor: User, prompt: Prompt
) -> None:
    base = Version.objects.get()
    mine = text_content("Hello {{name}}!", variables=base.body.variables)
    alice_client.post(f"{URL}edit", form_of(editing.typed_from_content(mine)))
    theirs = text_content("Hello {{name}}.", variables=base.body.variables, parameters={"temperature": 0.5})
    publish(prompt, theirs, editor)
    news = alice_client.get(f"{URL}draft", {"base": "1.0.0", "revision": "1"}, headers=HTMX).content.decode()
    assert "Dora published 1.1.0" in news
    assert "Another window" not in news
    assert "Another window" in alice_client.get(f"{URL}draft", {"base": "1.0.0", "revision": "7"}).content.decode()

    response = alice_client.post(f"{URL}edit", form_of(editing.typed_from_content(mine), revision="1", do="rebase"))
    draft = Draft.objects.get()
    assert response.status_code == 200
    assert (draft.body.text, dict(draft.body.parameters)) == ("Hello {{name}}!", {"temperature": 0.5})
    assert draft.base is not None
    assert str(draft.base.number) == "1.1.0"
    assert response.context["sheet"].aside.messages[0].content == "Hello {{name}}!"


def test_throws_a_draft_away_only_as_it_was_seen(alice_client: Client, prompt: Prompt) -> None:
    alice_client.post(f"{URL}edit", a_form("One"))
    alice_client.post(f"{URL}edit", a_form("Two", revision="1"))
    alice_client.post(f"{URL}draft", {"do": "discard", "revision": "1"})
    assert Draft.objects.get().content["messages"][0]["content"] == "Two"
    response = alice_client.post(f"{URL}draft", {"do": "discard", "revision": "2"})
    assert response["Location"] == "/p/support-desk/prompts/support/answer"
    assert not Draft.objects.exists()


# --- The preview ----------------------------------------------------------------------------------


def test_previews_with_samples_and_says_what_is_missing(alice_client: Client, prompt: Prompt) -> None:
    typed = Typed(
        messages=(TypedMessage("user", "Hello {{name}}, {{who}}, {{old}}."),),
        variables=(TypedVariable("name", sample="Ann"), TypedVariable("old")),
        model="test/echo",
        max_tokens="10",
    )
    response = alice_client.post(f"{URL}preview", form_of(typed), headers=HTMX)
    page = response.content.decode()
    assert "Hello Ann, ‹who›, ‹old›." in page
    assert response.context["preview"].undeclared == ("who",)
    assert response.context["preview"].invented == ("old",)
    assert response.context["preview"].size.tokens > 5
    assert "who is used and not declared" in page
    assert not Draft.objects.exists()


def test_previews_snippets_in_their_places(alice_client: Client, alice: User, project: Project, prompt: Prompt) -> None:
    tone = prompts.create_prompt(project=project, name="tone", actor=factories.actor_of(alice), now=factories.NOW)
    publish(tone, text_content("Be short."), alice)
    page = alice_client.post(f"{URL}preview", a_form("Hello. {{> tone@1.0.0}}")).content.decode()
    assert "Hello. Be short." in page
    assert "tone@1.0.0 is the newest" in alice_client.post(f"{URL}preview", a_form("{{> tone}}")).content.decode()
    assert alice_client.post(f"{URL}preview", a_form("{{> nothing@1.0.0}}")).status_code == 200


@pytest.mark.parametrize("text", ["{{#a}}", "{{", "{{/a}}", "{{a b}}", "\ud800".encode("utf-8", "replace").decode()])
def test_previews_what_is_broken_without_breaking(alice_client: Client, prompt: Prompt, text: str) -> None:
    assert alice_client.post(f"{URL}preview", a_form(text)).status_code == 200
    assert alice_client.post(f"{URL}edit", a_form(text)).status_code == 302


@pytest.mark.parametrize("markup", MARKUP)
def test_shows_markup_as_text(alice_client: Client, prompt: Prompt, markup: str) -> None:
    typed = Typed(
        messages=(TypedMessage("user", markup, markup),),
        variables=(TypedVariable(markup, description=markup, sample=markup, default=markup),),
        model=markup,
        tools=markup,
        parameters=json.dumps({markup: markup}),
    )
    for path, headers in (("edit", {}), ("draft", HTMX), ("preview", HTMX)):
        page = alice_client.post(f"{URL}{path}", form_of(typed, aside=markup), headers=headers).content.decode()
        assert "<script>alert" not in page
        assert "<script>x" not in page
        assert "<img" not in page


# --- Who may ----------------------------------------------------------------------------------


def test_takes_as_many_rows_as_a_prompt_may_have(alice_client: Client, prompt: Prompt) -> None:
    typed = Typed(
        messages=tuple(TypedMessage("user", f"{at}") for at in range(200)),
        variables=tuple(TypedVariable(f"v{at}") for at in range(200)),
    )
    assert alice_client.post(f"{URL}edit", form_of(typed)).status_code == 302
    assert len(Draft.objects.get().content["variables"]) == 200
    more = Typed(messages=(*typed.messages, TypedMessage("user", "One too many.")), variables=typed.variables)
    response = alice_client.post(f"{URL}edit", form_of(more, revision="1"))
    assert (response.status_code, "One too many." in response.content.decode()) == (422, True)


def test_declares_a_placeholder_as_messages(alice_client: Client, prompt: Prompt) -> None:
    typed = Typed(messages=(TypedMessage("placeholder", "history"), TypedMessage("user", "{{who}}")))
    response = alice_client.post(f"{URL}edit", form_of(typed, do="declare:history,who"))
    assert [(one.name, one.type) for one in response.context["typed"].variables] == [
        ("history", "messages"),
        ("who", "text"),
    ]


def test_keeps_the_note_of_a_draft_and_says_which_text_it_shows(
    alice_client: Client, alice: User, prompt: Prompt
) -> None:
    prompts.save_draft(
        prompt=prompt,
        author=alice,
        content=text_content("From the playground."),
        revision=None,
        base=None,
        now=factories.NOW,
        note="Tried with four models",
    )
    page = alice_client.get(f"{URL}edit", {"from": "1.0.0"})
    assert "You have a draft already" in page.content.decode()
    assert page.context["typed"].messages[0].content == "From the playground."
    alice_client.post(f"{URL}edit", a_form("Changed.", revision="1", base="", note=page.context["sheet"].note))
    assert (Draft.objects.get().note, Draft.objects.get().revision) == ("Tried with four models", 2)


@pytest.mark.parametrize("path", ["edit", "draft", "preview", "publish", "settings"])
def test_lets_only_editors_in(bob_client: Client, charlie_client: Client, prompt: Prompt, path: str) -> None:
    assert bob_client.post(f"{URL}{path}", a_form("x")).status_code == 403
    assert charlie_client.post(f"{URL}{path}", a_form("x")).status_code == 404
    assert not Draft.objects.exists()


def test_needs_few_queries(
    alice_client: Client, prompt: Prompt, editor: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    alice_client.get(f"{URL}edit")
    page_client(editor).post(f"{URL}edit", a_form("By Dora."))
    with django_assert_max_num_queries(12):
        assert alice_client.get(f"{URL}edit").status_code == 200
    with django_assert_max_num_queries(12):
        assert alice_client.get(f"{URL}draft", {"base": "1.0.0"}).status_code == 200
    with django_assert_max_num_queries(12):
        assert alice_client.post(f"{URL}preview", a_form("x")).status_code == 200

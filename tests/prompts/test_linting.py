"""Findings about prompts, where they stand, and that their fixes mend them."""

from __future__ import annotations

import time

import pytest

from apps.prompts.content import Content, Message, Variable
from apps.prompts.linting import Finding, Knowledge, Level, fixed, lint, secrets_in
from apps.prompts.types import Kind, Syntax, VariableType

# Keys that nobody has; written in two parts so that no scanner takes this file for a leak.
LEAKS = {
    "a key of Anthropic": "sk-ant-" + "api03-Zk4vT8qLw1xYbN5rJc2mPfG9",
    "a key of OpenAI or another provider": "sk-" + "proj-Zk4vT8qLw1xYbN5rJc2mPfG9hD",
    "a key of this product": "pw_ingest_live_" + "Zk4vT8qLw1xYbN5rJc2mPfG9_a1B2",
    "a key of AWS": "AKIA" + "IOSFODNN7QRSTUVW",
    "a token of GitHub": "ghp_" + "Zk4vT8qLw1xYbN5rJc2mPfG9hDaBcDeFgH12",
    "a token of GitLab": "glpat-" + "Zk4vT8qLw1xYbN5rJc2m",
    "a token of Slack": "xoxb-" + "123456789012-Zk4vT8qLw1xYbN5r",
    "a key of Google": "AIza" + "SyZk4vT8qLw1xYbN5rJc2mPfG9hDaBcDeFg",
    "a token of Hugging Face": "hf_" + "Zk4vT8qLw1xYbN5rJc2mPfG9hDaBcDeF",
    "a key of Stripe": "sk_live_" + "Zk4vT8qLw1xYbN5rJc2m",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a signed token (JWT)": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.Zk4vT8qLw1xYbN5rJc2mPfG9",
    "a bearer token": "Zk4vT8qLw1xYbN5rJc2mPfG9hDaBcDeF",
    "a password in an address": "admin:hunter2Z4q",
}


def _prompt(
    *messages: str | tuple[str, str],
    variables: tuple[Variable, ...] = (),
    syntax: Syntax = Syntax.MUSTACHE,
    **others: object,
) -> Content:
    pairs = [("user", one) if isinstance(one, str) else one for one in messages]
    return Content(Kind.CHAT, syntax, tuple(Message(*pair) for pair in pairs), variables, **others)  # type: ignore[arg-type]


def _codes(content: Content, known: Knowledge | None = None) -> list[str]:
    return [finding.code for finding in lint(content, known or Knowledge())]


def _only(content: Content, known: Knowledge | None = None) -> Finding:
    found = lint(content, known or Knowledge())
    assert len(found) == 1, found
    assert found[0].sentence.endswith((".", "!"))
    return found[0]


def _marked(content: Content, finding: Finding) -> str:
    assert finding.message is not None
    text = content.messages[finding.message].content
    before = text[: finding.start]
    assert (finding.line, finding.column) == (before.count("\n") + 1, finding.start - before.rfind("\n"))
    return text[finding.start : finding.end]


NAME = Variable("name")


def test_says_nothing_about_a_good_prompt() -> None:
    content = _prompt(
        ("system", 'You help customers.\nAnswer as JSON: {"answer": 1}'),
        ("placeholder", "history"),
        (
            "user",
            "{{name}} asks: {{#vip}}(important) {{/vip}}\n\n{{> team/tone@1.0.0}}\n{{mood}} {{#rows}}{{a}}{{/rows}}",
        ),
        variables=(
            NAME,
            Variable("history", VariableType.MESSAGES),
            Variable("vip", VariableType.BOOLEAN),
            Variable("mood"),
            Variable("rows", VariableType.LIST),
        ),
    )
    assert lint(content, Knowledge(10, 100, {("team/tone", "1.0.0"): "{{mood}}"}, {})) == []


@pytest.mark.parametrize("syntax", list(Syntax))
def test_undefined_variable(syntax: Syntax) -> None:
    content = _prompt("fine\nHi {{ nobody }} {{ nobody }}", syntax=syntax)
    finding = _only(content)
    assert (finding.level, finding.code, finding.variable) == (Level.ERROR, "undefined_variable", "nobody")
    assert _marked(content, finding) == "{{ nobody }}"
    mended = fixed(content, finding)
    assert mended.variables == (Variable("nobody"),)
    assert lint(mended) == []


def test_undefined_inside_a_section_over_a_plain_value() -> None:
    vip = Variable("vip", VariableType.BOOLEAN)
    assert _codes(_prompt("{{#vip}}{{nobody}}{{/vip}}", variables=(vip,))) == ["undefined_variable"]
    rows = Variable("vip", VariableType.LIST)
    assert _codes(_prompt("{{#vip}}{{nobody}}{{/vip}}", variables=(rows,))) == []


def test_a_placeholder_needs_a_variable_of_messages() -> None:
    content = _prompt(("placeholder", "history"), "x")
    finding = _only(content)
    assert finding.code == "undefined_variable"
    mended = fixed(content, finding)
    assert mended.variables == (Variable("history", VariableType.MESSAGES),)
    wrong = _prompt(("placeholder", "history"), "x", variables=(Variable("history", default="a"),))
    assert _only(wrong).code == "placeholder_type"
    assert lint(fixed(wrong, _only(wrong))) == []


@pytest.mark.parametrize("syntax", list(Syntax))
def test_unused_variable(syntax: Syntax) -> None:
    content = _prompt("{{ name }}", variables=(NAME, Variable("spare")), syntax=syntax)
    finding = _only(content)
    assert (finding.level, finding.code, finding.variable) == (Level.WARNING, "unused_variable", "spare")
    assert fixed(content, finding).variables == (NAME,)


def test_nothing_is_unused_while_something_cannot_be_read() -> None:
    assert _codes(_prompt("{{> a@1.0.0}}", variables=(NAME,))) == []
    assert _codes(_prompt("{{#a}}", "x", variables=(NAME,))) == ["syntax_error"]
    known = Knowledge(snippets={"a@1.0.0": "no variables"})
    assert _codes(_prompt("{{> a@1.0.0}}", variables=(NAME,)), known) == ["unused_variable"]


def test_undefined_in_a_snippet() -> None:
    finding = _only(_prompt("a {{> a@1.0.0}}"), Knowledge(snippets={("a", "1.0.0"): "{{mood}}"}))
    assert (finding.code, finding.variable, finding.message) == ("undefined_variable", "mood", 0)


@pytest.mark.parametrize("syntax", list(Syntax))
def test_syntax_error(syntax: Syntax) -> None:
    content = _prompt("fine", "one\ntwo {{ name", variables=(NAME,), syntax=syntax)
    finding = _only(content)
    assert (finding.level, finding.code, finding.message, finding.line) == (Level.ERROR, "syntax_error", 1, 2)
    assert _marked(content, finding) == "{{ name"


@pytest.mark.parametrize("what", LEAKS)
def test_leaked_secret(what: str) -> None:
    secret = LEAKS[what]
    surroundings = {
        "a bearer token": "Send Bearer {} along.",
        "a password in an address": "See https://{}@example.org/",
    }
    text = surroundings.get(what, "Use {} for this.").format(secret)
    assert secrets_in(text)[0][0] == what
    content = _prompt(("system", "fine"), text)
    findings = lint(content)
    assert {(finding.level, finding.code) for finding in findings} == {(Level.ERROR, "leaked_secret")}
    assert secret in _marked(content, findings[0]) or what == "a private key"
    mended = fixed(content, findings[0])
    assert secret not in mended.messages[1].content
    assert "[removed]" in mended.messages[1].content


@pytest.mark.parametrize(
    "text",
    [
        "sk-your-api-key-goes-here-please",
        "sk-" + "x" * 40,
        "sk-...",
        "AKIAIOSFODNN7" + "EXAMPLE",  # Amazon's own example
        "Bearer <token>",
        "https://user:password-placeholder@example.com",
        "a task-oriented-assistant-that-helps-people",
        "eyJhbGciOi",
        "Authorization: Bearer {{token}}",
        "-----BEGIN CERTIFICATE-----",
        "desk-1234567890abcdefghijklmnop",
    ],
)
def test_a_stand_in_is_no_secret(text: str) -> None:
    assert secrets_in(text) == []


def test_a_secret_in_a_variable_is_one_too() -> None:
    content = _prompt("{{name}}", variables=(Variable("name", default=LEAKS["a token of GitHub"]),))
    finding = _only(content)
    assert (finding.code, finding.variable, finding.message) == ("leaked_secret", "name", None)


@pytest.mark.parametrize(
    ("tokens", "parameters", "level"),
    [
        (101, {}, Level.ERROR),
        (95, {}, Level.WARNING),
        (50, {"max_tokens": 60}, Level.WARNING),
        (50, {"max_tokens": 40}, None),
        (50, {"max_tokens": "many"}, None),
        (100, {}, Level.WARNING),
    ],
)
def test_overlong(tokens: int, parameters: dict[str, object], level: Level | None) -> None:
    found = lint(_prompt("x", parameters=parameters), Knowledge(tokens=tokens, window=100))
    assert [(finding.level, finding.code) for finding in found] == ([(level, "overlong")] if level else [])


def test_an_unknown_window_is_not_exceeded() -> None:
    assert _codes(_prompt("x"), Knowledge(tokens=10**9)) == []


@pytest.mark.parametrize(
    ("syntax", "tag", "pinned"),
    [
        (Syntax.MUSTACHE, "{{> team/tone}}", "{{> team/tone@1.4.0}}"),
        (Syntax.JINJA, "{%- include 'team/tone' %}", "{%- include 'team/tone@1.4.0' %}"),
    ],
)
def test_unpinned_include(syntax: Syntax, tag: str, pinned: str) -> None:
    content = _prompt(f"a\n{tag}", syntax=syntax)
    finding = _only(content)
    assert (finding.level, finding.code, finding.fix) == (Level.ERROR, "unpinned_include", None)
    assert _marked(content, finding) == tag
    finding = _only(content, Knowledge(newest={"team/tone": "1.4.0"}))
    mended = fixed(content, finding)
    assert mended.messages[0].content == f"a\n{pinned}"
    assert lint(mended) == []


def test_trailing_white_space() -> None:
    content = _prompt("a  \nb\t\r\n  c\n ")
    finding = _only(content)
    assert (finding.level, finding.code) == (Level.HINT, "trailing_space")
    assert fixed(content, finding).messages[0].content == "a\nb\r\n  c\n"


def test_empty_message() -> None:
    content = _prompt("x", ("assistant", " \n"))
    finding = _only(content)
    assert (finding.level, finding.code, finding.message) == (Level.WARNING, "empty_message", 1)
    assert fixed(content, finding).messages == content.messages[:1]
    assert _only(_prompt("")).fix is None


def test_system_message_not_first() -> None:
    content = _prompt("x", ("system", "y"))
    finding = _only(content)
    assert (finding.level, finding.code) == (Level.WARNING, "system_not_first")
    assert [message.role for message in fixed(content, finding).messages] == ["system", "user"]
    assert _codes(_prompt(("system", "a"), ("developer", "b"), "c")) == []


@pytest.mark.parametrize(
    ("text", "marked", "level", "mended"),
    [
        ("Hi ${name}", "${name}", Level.WARNING, "Hi {{name}}"),
        ("Hi {name}!", "{name}", Level.WARNING, "Hi {{name}}!"),
        ("{{name}} {other}", "{other}", Level.HINT, "{{name}} {{other}}"),
        ("{{name}} ${other}", "${other}", Level.WARNING, "{{name}} {{other}}"),
    ],
)
@pytest.mark.parametrize("syntax", list(Syntax))
def test_variables_of_other_languages(syntax: Syntax, text: str, marked: str, level: Level, mended: str) -> None:
    content = _prompt(text, variables=(NAME,), syntax=syntax)
    finding = next(one for one in lint(content) if one.code == "foreign_variable")
    assert finding.level is level
    assert _marked(content, finding) == marked
    assert fixed(content, finding).messages[0].content == mended


@pytest.mark.parametrize(
    "text", ['{"a": {"b": [1]}}', "{ name }", "f(x) = {x, y}", "$name", "a{1,2}", "{{name}}", "{}"]
)
def test_other_braces_are_text(text: str) -> None:
    assert "foreign_variable" not in _codes(_prompt(text, variables=(NAME,)))


def test_jinja_in_a_mustache_prompt() -> None:
    content = _prompt("{% if vip %}x{% endif %}", variables=(Variable("vip", VariableType.BOOLEAN),))
    assert _codes(content) == ["foreign_tag", "unused_variable"]
    assert lint(fixed(content, lint(content)[0])) == []


@pytest.mark.parametrize("sign", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u00ad", "\U000e0041\U000e0042", "\u2062"])
def test_invisible_characters(sign: str) -> None:
    content = _prompt(f"a{sign}b")
    finding = _only(content)
    assert (finding.level, finding.code) == (Level.WARNING, "invisible_character")
    assert _marked(content, finding) == sign
    assert f"U+{ord(sign[0]):04X}" in finding.sentence
    assert fixed(content, finding).messages[0].content == "ab"


@pytest.mark.parametrize("text", ["👩\u200d👧", "می\u200cخواهم", "שלום\u200f", "日本語", "naïve"])
def test_characters_that_scripts_need_are_fine(text: str) -> None:
    assert _codes(_prompt(text)) == []


@pytest.mark.parametrize("syntax", list(Syntax))
def test_a_value_among_the_instructions(syntax: Syntax) -> None:
    content = _prompt(("system", "Help {{ name }}, {{ name }}."), variables=(NAME,), syntax=syntax)
    finding = _only(content)
    assert (finding.level, finding.code, finding.variable) == (Level.HINT, "value_in_instructions", "name")
    assert _marked(content, finding) == "{{ name }}"
    number = Variable("name", VariableType.NUMBER)
    assert _codes(_prompt(("system", "Help {{ name }}."), variables=(number,), syntax=syntax)) == []


def test_errors_come_first() -> None:
    content = _prompt("a ", ("system", "\u200b{{nobody}}"), variables=(Variable("spare"),))
    levels = [finding.level for finding in lint(content)]
    assert levels == sorted(levels, key=list(Level).index)
    assert set(levels) == set(Level)


def test_a_fix_that_no_longer_fits_changes_nothing() -> None:
    content = _prompt("x", ("assistant", ""))
    finding = lint(content)[0]
    shorter = _prompt("x")
    assert fixed(shorter, finding) == shorter


@pytest.mark.parametrize("syntax", list(Syntax))
@pytest.mark.parametrize(
    "source",
    ["{a} " * 60_000, " \n" * 120_000, "\u200b " * 60_000, "sk-" * 80_000, "eyJ" * 80_000 + ".", "://a:" * 50_000,
     "".join(f"{{{{a{number}}}}}" for number in range(24_000)), "Bearer " * 36_000 + "a" * 100, " \t" * 120_000 + "x"],
    ids=lambda source: source[:8],
)  # fmt: skip
def test_no_text_takes_long(syntax: Syntax, source: str) -> None:
    begun = time.process_time()
    found = lint(_prompt(("system", source), syntax=syntax))
    assert time.process_time() - begun < 10  # at most some 2 s
    assert len(found) <= 200

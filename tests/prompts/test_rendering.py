"""Rendering prompts: values against variables, both languages alike, and errors that say where and what to do."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.prompts import highlighting
from apps.prompts.content import Content, Message, Variable
from apps.prompts.templating import jinja
from apps.prompts.templating.rendering import (
    RenderFailed,
    check,
    expand,
    includes,
    names_possible,
    names_used,
    render,
    render_for_call,
)
from apps.prompts.types import Kind, Syntax, VariableType

BOTH = pytest.mark.parametrize("syntax", list(Syntax))
MUSTACHE, JINJA = Syntax.MUSTACHE, Syntax.JINJA


def _chat(*messages: tuple[str, str], variables: tuple[Variable, ...] = (), syntax: Syntax = MUSTACHE) -> Content:
    return Content(Kind.CHAT, syntax, tuple(Message(*message) for message in messages), variables)


NAME = Variable("name")
HISTORY = Variable("history", VariableType.MESSAGES, is_required=False)
SUPPORT = (("system", "You help {{ name }}."), ("placeholder", "history"), ("user", "{{ question }}"))
SUPPORT_VARIABLES = (NAME, HISTORY, Variable("question"))


@BOTH
def test_puts_values_and_messages_in_their_places(syntax: Syntax) -> None:
    content = _chat(*SUPPORT, variables=SUPPORT_VARIABLES, syntax=syntax)
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello {{ name }}", "name": "bot"}]
    assert render(content, {"name": "Ann", "question": "Why <b>?", "history": history}) == (
        Message("system", "You help Ann."),
        Message("user", "Hi"),
        Message("assistant", "Hello {{ name }}", "bot"),
        Message("user", "Why <b>?"),
    )
    assert [one.role for one in render(content, {"name": "Ann", "question": "?"})] == ["system", "user"]


@BOTH
def test_messages_for_a_call_go_through_as_given(syntax: Syntax) -> None:
    content = _chat(*SUPPORT, variables=SUPPORT_VARIABLES, syntax=syntax)
    asked = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
    seen = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    values = {"name": "Ann", "question": "?", "history": [asked, seen]}
    assert list(render_for_call(content, values))[1:3] == [asked, seen]
    for strange in (asked, seen):
        with pytest.raises(RenderFailed, match="more than text"):
            render(content, {**values, "history": [strange]})


def test_text_parts_of_a_given_message_are_joined() -> None:
    content = _chat(("placeholder", "history"), variables=(HISTORY,))
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert render(content, {"history": [{"role": "user", "content": parts}]}) == (Message("user", "one\ntwo"),)


@BOTH
@pytest.mark.parametrize(
    ("variable", "values", "text"),
    [
        (Variable("a"), {"a": "x"}, "x"),
        (Variable("a"), {"a": 3}, "3"),
        (Variable("a"), {"a": ""}, ""),
        (Variable("a", default="d", is_required=False), {}, "d"),
        (Variable("a", default="d", is_required=False), {"a": None}, "d"),
        (Variable("a", default="d"), {}, "d"),
        (Variable("a", is_required=False), {}, ""),
        (Variable("a", is_required=False), {"a": None}, ""),
        (Variable("a", VariableType.NUMBER), {"a": 1.5}, "1.5"),
        (Variable("a", VariableType.NUMBER, is_required=False), {}, ""),
        (Variable("a", VariableType.BOOLEAN), {"a": True}, "true"),
        (Variable("a", VariableType.BOOLEAN, is_required=False), {}, "false"),
        (Variable("a", VariableType.LIST), {"a": ["é", 1, None]}, '["é", 1, null]'),
        (Variable("a", VariableType.LIST, is_required=False), {}, "[]"),
        (Variable("a", VariableType.OBJECT), {"a": {"b": False}}, '{"b": false}'),
        (Variable("a", VariableType.OBJECT, is_required=False), {}, "{}"),
    ],
)
def test_values_appear_alike_in_both_languages(
    syntax: Syntax, variable: Variable, values: dict[str, Any], text: str
) -> None:
    assert render(_chat(("user", "{{ a }}"), variables=(variable,), syntax=syntax), values)[0].content == text


@pytest.mark.parametrize(
    ("variable", "values", "words"),
    [
        (Variable("a"), {}, "required"),
        (Variable("a"), {"a": None}, "required"),
        (Variable("a"), {"a": True}, "of type text"),
        (Variable("a"), {"a": ["x"]}, "of type text"),
        (Variable("a", VariableType.NUMBER), {"a": "3"}, "of type number"),
        (Variable("a", VariableType.NUMBER), {"a": True}, "of type number"),
        (Variable("a", VariableType.BOOLEAN), {"a": 1}, "of type boolean"),
        (Variable("a", VariableType.LIST), {"a": "x"}, "of type list"),
        (Variable("a", VariableType.OBJECT), {"a": []}, "of type object"),
        (Variable("a", VariableType.MESSAGES), {"a": [{"role": "user"}]}, "a list of messages"),
    ],
)
def test_refuses_values_that_do_not_fit(variable: Variable, values: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderFailed, match=words) as failed:
        render(_chat(("user", "x"), variables=(variable,)), values)
    assert failed.value.http_status == 422
    assert failed.value.as_dict()["error"]["code"] == "template_error"
    assert failed.value.details["variable"] == "a"


@BOTH
def test_values_of_no_variable_are_passed_on(syntax: Syntax) -> None:
    """A caller may give more than a version uses; removing a variable must not break it."""
    content = _chat(("user", "{{ name }}"), variables=(NAME,), syntax=syntax)
    assert render(content, {"name": "Ann", "other": [1]})[0].content == "Ann"


@BOTH
@pytest.mark.parametrize(
    "strange", [{1, 2}, b"bytes", object(), float("nan"), float("inf"), 1j], ids=lambda one: type(one).__name__
)
def test_refuses_values_that_are_no_json(syntax: Syntax, strange: object) -> None:
    content = _chat(("user", "{{ a }}"), variables=(Variable("a", VariableType.LIST),), syntax=syntax)
    with pytest.raises(RenderFailed, match="must be JSON"):
        render(content, {"a": [strange]})


def _nested(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth - 1):
        deep = [deep]
    return deep


@BOTH
def test_deep_and_huge_values_are_refused(syntax: Syntax) -> None:
    content = _chat(("user", "{{ a }}"), variables=(Variable("a", VariableType.LIST),), syntax=syntax)
    for depth in (100_000, 2_000, 1_000):
        with pytest.raises(RenderFailed, match="nested too deep"):
            render(content, {"a": _nested(depth)})
    for depth in range(880, 1000, 7):  # somewhere here one of the steps gives up
        with contextlib.suppress(RenderFailed):
            render(content, {"a": _nested(depth)})
    assert render(content, {"a": _nested(50)})[0].content == "[" * 50 + "]" * 50
    with pytest.raises(RenderFailed, match="4 MiB"):
        render(content, {"a": ["x" * 5_000_000]})


@BOTH
def test_says_in_which_message_and_line(syntax: Syntax) -> None:
    content = _chat(("system", "fine"), ("user", "one\ntwo {{ nobody }}"), syntax=syntax)
    with pytest.raises(RenderFailed) as failed:
        render(content, {})
    assert failed.value.details == {"message_index": 1, "line": 2, "column": 5, "variable": None}
    assert failed.value.text.startswith("Message 2, line 2: ")
    assert "nobody" in failed.value.text


@BOTH
@pytest.mark.parametrize("index", [0, 1, 2])
def test_counts_placeholders_among_the_messages(syntax: Syntax, index: int) -> None:
    messages = [("user", "x"), ("placeholder", "history"), ("user", "x")]
    messages[index] = ("user", "{{ nobody }}")
    with pytest.raises(RenderFailed) as failed:
        render(_chat(*messages, variables=(HISTORY,), syntax=syntax), {})
    assert failed.value.details["message_index"] == index


def test_all_messages_together_are_bounded() -> None:
    content = _chat(("user", "{{ name }}"), ("user", "{{ name }}"), variables=(NAME,))
    with pytest.raises(RenderFailed, match="larger than 1 MiB"):
        render(content, {"name": "x" * 600_000})


# --- Reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "syntax", "certain", "possible"),
    [
        ("{{b}} {{a.c}} {{#rows}}{{x}}{{/rows}}", MUSTACHE, ["b", "a", "rows"], ["b", "a", "rows", "x"]),
        ("{{ b|upper }}{% for x in rows %}{{ x }}{% endfor %}{{ a.c }}", JINJA, ["b", "rows", "a"], ["b", "rows", "a"]),
        ("{% set x = y %}{{ x }}{{ range(3) }}{{ z if w else 'v' }}", JINJA, ["y", "z", "w"], ["y", "z", "w"]),
        ("{{ a", JINJA, [], []),
        ("nothing", JINJA, [], []),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}{{ c }}", JINJA, ["c"], ["c"]),
    ],
)
def test_names_the_variables(source: str, syntax: Syntax, certain: list[str], possible: list[str]) -> None:
    # Jinja keeps the order of the source, but for conditions, whose test may be read first.
    assert sorted(names_used(source, syntax)) == sorted(certain)
    assert sorted(names_possible(source, syntax)) == sorted(possible)


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("{{ a", 1, "Unexpected end"),
        ("a\n{% if x %}\nb", 2, "endif"),
        ("{{ a|nofilter }}", 1, "no filter nofilter"),
        ("{% if a is notest %}{% endif %}", 1, "no test notest"),
        ("x\n\n{% unknown %}", 3, "unknown tag"),
        ("{% include name %}", 1, "name@1.2.0"),
        ("{{ a }} {{ 1 +  }}", 1, "Unexpected"),
        ("x\n{% endif %}", 2, "unknown tag"),
    ],
)
def test_checks_jinja_with_places(source: str, line: int, words: str) -> None:
    problems = check(source, JINJA)
    assert words in problems[0].sentence
    assert problems[0].line == line


@pytest.mark.parametrize(
    "source", ["", "plain", "{{ a.b[0] }}", "{% for x in y %}{{ loop.index }}{% endfor %}", "{# c #}"]
)
def test_finds_nothing_wrong_with_good_jinja(source: str) -> None:
    assert check(source, JINJA) == []


SNIPPETS = {("team/tone", "1.2.0"): "Be {{ mood }}.\n"}


@BOTH
@pytest.mark.parametrize("by_reference", [False, True])
def test_puts_snippets_in(syntax: Syntax, by_reference: bool) -> None:
    tag = "{{> team/tone@1.2.0}}" if syntax is MUSTACHE else '{% include "team/tone@1.2.0" %}'
    texts = {"team/tone@1.2.0": "Be {{ mood }}.\n"} if by_reference else SNIPPETS
    source = f"One.\n{tag}\nTwo."
    found = includes(source, syntax)
    assert [(one.name, one.version) for one in found] == [("team/tone", "1.2.0")]
    assert source[found[0].start : found[0].end] == tag
    assert check(source, syntax) == []
    whole = expand(source, syntax, texts)
    assert whole == "One.\nBe {{ mood }}.\nTwo."
    assert names_used(whole, syntax) == {"mood"}
    content = _chat(("user", whole), variables=(Variable("mood"),), syntax=syntax)
    assert render(content, {"mood": "kind"})[0].content == "One.\nBe kind.\nTwo."


@BOTH
def test_a_snippet_that_was_not_put_in_is_an_error(syntax: Syntax) -> None:
    tag = "{{> tone@1.0.0}}" if syntax is MUSTACHE else "{% include 'tone@1.0.0' %}"
    with pytest.raises(RenderFailed, match="was not put in") as failed:
        render(_chat(("user", f"a\n{tag}"), syntax=syntax), {})
    assert failed.value.details["line"] == 2
    with pytest.raises(RenderFailed, match="published version"):
        expand(tag, syntax, {})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a \n {%- include 'x@1.0.0' -%} \n b", "a-b"),
        ("a {%- include 'x@1.0.0' %} b", "a- b"),
        ("a {%include 'x@1.0.0'%}\nb", "a -\nb"),
        ("{% raw %}{% include 'x@1.0.0' %}{% endraw %}", "{% raw %}{% include 'x@1.0.0' %}{% endraw %}"),
        ("{# {% include 'x@1.0.0' %} #}", "{# {% include 'x@1.0.0' %} #}"),
        ("{{ \"{% include 'x@1.0.0' %}\" }}", "{{ \"{% include 'x@1.0.0' %}\" }}"),
    ],
)
def test_jinja_includes_trim_as_jinja_does(source: str, text: str) -> None:
    assert expand(source, JINJA, {("x", "1.0.0"): "-\n"}) == text


@pytest.mark.parametrize(
    "source",
    [
        '{{ "' + '\\"' * 131_000,
        "{{" * 131_072,
        "{% raw %}" * 29_000,
        "{#" * 131_072,
        "{{ a }}" * 37_000,
        "{{ " + "{" * 250_000,
        "{{ " + "-" * 250_000,
        "{%include 'a@1.0.0'%}" * 12_000,
        "{%" + " " * 262_000,
        "{% include 'a@1.0.0' -%}" + (" " * 50 + "{% include 'a@1.0.0' -%}") * 3_000,
        "'\"" * 131_072,
    ],
    ids=lambda source: source[:10],
)
def test_finds_tags_of_jinja_in_proportional_time(source: str) -> None:
    begun = time.process_time()
    found = jinja.tokens(source)
    assert "".join(source[token.start : token.end] for token in found) == source
    expand(source, JINJA, {("a", "1.0.0"): "b"})
    assert time.process_time() - begun < 5


# --- Showing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "syntax", "kinds"),
    [
        (
            "Hi {{a}}{{b}}{{#rows}}{{c}}{{/rows}}{{! no}}{{> x@1.0.0}}{{",
            MUSTACHE,
            "text variable unknown section variable section comment include error",
        ),
        (
            "Hi {{ a }}{% if b %}{# no #}{% include 'x@1.0.0' %}{% raw %}{{ a }}{% endraw %}{{ 'a",
            JINJA,
            "text variable section comment include text error",
        ),
    ],
)
def test_shows_text_in_pieces(source: str, syntax: Syntax, kinds: str) -> None:
    found = highlighting.pieces(source, syntax, {"a"})
    assert "".join(piece.text for piece in found) == source
    assert [piece.kind for piece in found] == kinds.split()
    assert [piece.name for piece in found if piece.kind == "include"] == ["x@1.0.0"]
    assert found[-1].message.endswith(".")


JINJA_SIGNS = st.lists(
    st.sampled_from(
        [
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-",
            "+",
            " ",
            "\n",
            "\r\n",
            "raw",
            "endraw",
            "include",
            "'x@1.0.0'",
            '"',
            "'",
        ]
        + ["\\", "{", "}", "(", ")", "[", "]", "a", ".", "|", "é"]
    )
).map("".join)


@settings(max_examples=400, deadline=None)
@given(JINJA_SIGNS | st.text())
def test_tags_of_jinja_are_found_in_any_text(source: str) -> None:
    found = jinja.tokens(source)
    assert "".join(source[token.start : token.end] for token in found) == source
    for token in found:
        before = source[: token.start]
        assert (token.line, token.column) == (before.count("\n") + 1, token.start - before.rfind("\n"))
    assert "".join(piece.text for piece in highlighting.pieces(source, JINJA)) == source
    for include in jinja.includes(source):
        assert re.fullmatch(r"\{%[-+]?\s*include\s+'x@1.0.0'\s*[-+]?%\}", source[include.start : include.end])
    if "include" not in source:
        assert jinja.expand(source, {}) == source

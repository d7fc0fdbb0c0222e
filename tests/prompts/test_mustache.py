"""Mustache: what the public specification demands, where this product differs, and that no source can do harm."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.prompts.templating import mustache
from apps.prompts.templating.tokens import MAX_OUTPUT_BYTES, MAX_SOURCE_BYTES, TemplateError, TokenKind

PEOPLE = {"people": [{"name": "Ann"}, {"name": "Bo"}]}

# What the specification says, in our own examples: source, values, text.
SPECIFIED: list[tuple[str, dict[str, Any], str]] = [
    # Comments
    ("ab{{! gone }}cd", {}, "abcd"),
    ("ab{{!\n gone\n over lines }}cd", {}, "abcd"),
    ("one\n{{! alone }}\ntwo\n", {}, "one\ntwo\n"),
    ("one\n  {{! indented }}\t\ntwo\n", {}, "one\ntwo\n"),
    ("one\r\n{{! alone }}\r\ntwo", {}, "one\r\ntwo"),
    ("  {{! no line before }}\nend", {}, "end"),
    ("!\n  {{! no line after }}", {}, "!\n"),
    ("one\n{{!\n over lines\n}}\ntwo\n", {}, "one\ntwo\n"),
    ("  12 {{! beside text }}\n", {}, "  12 \n"),
    ("1 {{! kept blanks }} 2", {}, "1  2"),
    # Interpolation
    ("no tags at all", {}, "no tags at all"),
    ("Hello, {{who}}!", {"who": "world"}, "Hello, world!"),
    ("{{{who}}} {{&who}} {{& who }}", {"who": "x"}, "x x x"),
    ("{{n}} {{{n}}} {{&n}}", {"n": 85}, "85 85 85"),
    ("{{n}}", {"n": 1.21}, "1.21"),
    ("({{x}})", {"x": None}, "()"),
    ("{{a.b.c}}", {"a": {"b": {"c": "deep"}}}, "deep"),
    ("{{a.b.n}}", {"a": {"b": {"n": 100}}}, "100"),
    ("{{#a}}{{b.c}}{{/a}}", {"a": {"b": {"c": 1}}, "b": {"c": 2}}, "1"),
    ("{{#list}}({{.}}){{/list}}", {"list": ["a", "b"]}, "(a)(b)"),
    ("| {{x}} |", {"x": "y"}, "| y |"),
    ("  {{x}}\n", {"x": "---"}, "  ---\n"),
    ("|{{ x }}|{{{ x }}}|", {"x": "y"}, "|y|y|"),
    ("{{\n x \n}}", {"x": "y"}, "y"),
    # Sections
    ("{{#yes}}shown{{/yes}}", {"yes": True}, "shown"),
    ("{{#no}}hidden{{/no}}", {"no": False}, ""),
    ("{{#no}}hidden{{/no}}", {"no": None}, ""),
    ("{{#person}}Hi {{name}}.{{/person}}", {"person": {"name": "Joe"}}, "Hi Joe."),
    ("{{#a}}{{b}}{{#c}}{{b}}{{d}}{{/c}}{{/a}}", {"a": {"b": 1, "c": {"d": 2}}}, "112"),
    ("{{#list}}{{item}}{{/list}}", {"list": [{"item": 1}, {"item": 2}, {"item": 3}]}, "123"),
    ("{{#list}}never{{/list}}", {"list": []}, ""),
    ("{{#a}}1{{/a}}{{b}}{{#a}}2{{/a}}", {"a": True, "b": "-"}, "1-2"),
    ("{{#a}}A{{#a}}B{{/a}}C{{/a}}", {"a": True}, "ABC"),
    ("{{#a}}A{{#b}}B{{/b}}C{{/a}}", {"a": True, "b": False}, "AC"),
    ("{{#list}}{{#.}}{{.}}{{/.}}{{/list}}", {"list": [[1, 2], ["a"]]}, "12a"),
    ("{{#a.b.c}}here{{/a.b.c}}", {"a": {"b": {"c": True}}}, "here"),
    ("{{#text}}<{{.}}>{{/text}}", {"text": "some"}, "<some>"),
    ("{{#people}}{{name}},{{/people}}", PEOPLE, "Ann,Bo,"),
    ("{{#people}}{{#nick}}!{{/nick}}{{name}}{{/people}}", PEOPLE, "AnnBo"),
    (" | {{#yes}}\t|\t{{/yes}} | \n", {"yes": True}, " | \t|\t | \n"),
    (" {{#yes}}YES{{/yes}}\n {{#yes}}GOOD{{/yes}}\n", {"yes": True}, " YES\n GOOD\n"),
    ("one\n{{#yes}}\ntwo\n{{/yes}}\nthree", {"yes": True}, "one\ntwo\nthree"),
    ("one\n  {{#yes}}\n  two\n  {{/yes}}\nthree", {"yes": True}, "one\n  two\nthree"),
    ("one\n{{#no}}\ntwo\n{{/no}}\nthree", {"no": False}, "one\nthree"),
    ("|\r\n{{#yes}}\r\n{{/yes}}\r\n|", {"yes": True}, "|\r\n|"),
    ("  {{#yes}}\n#{{/yes}}\n/", {"yes": True}, "#\n/"),
    ("#{{#yes}}\n/\n  {{/yes}}", {"yes": True}, "#\n/\n"),
    ("{{#people}}\n- {{name}}\n{{/people}}\n", PEOPLE, "- Ann\n- Bo\n"),
    ("|{{# yes }}={{/ yes }}|", {"yes": True}, "|=|"),
    # Inverted sections
    ("{{^no}}shown{{/no}}", {"no": False}, "shown"),
    ("{{^yes}}hidden{{/yes}}", {"yes": True}, ""),
    ("{{^x}}shown{{/x}}", {"x": None}, "shown"),
    ("{{^list}}empty{{/list}}", {"list": []}, "empty"),
    ("{{^list}}empty{{/list}}", {"list": [1]}, ""),
    ("{{^person}}nobody{{/person}}", {"person": {"name": "Joe"}}, ""),
    ("{{^a}}A{{^a}}B{{/a}}C{{/a}}", {"a": False}, "ABC"),
    ("{{#a}}{{^b.c}}none{{/b.c}}{{/a}}", {"a": {"b": {}}}, "none"),
    ("one\n{{^no}}\ntwo\n{{/no}}\nthree", {"no": False}, "one\ntwo\nthree"),
    (" {{^no}}A{{/no}}\n {{^no}}B{{/no}}\n", {"no": False}, " A\n B\n"),
]


@pytest.mark.parametrize(("source", "values", "text"), SPECIFIED)
def test_renders_as_specified(source: str, values: dict[str, Any], text: str) -> None:
    assert mustache.check(source) == []
    assert mustache.render(source, values) == text


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        ("{{x}} {{{x}}} {{&x}}", {"x": '<b> & "q"'}, '<b> & "q" <b> & "q" <b> & "q"'),
        ("{{x}}", {"x": {"a": [1, True, None, "é"]}}, '{"a": [1, true, null, "é"]}'),
        ("{{x}} {{y}}", {"x": True, "y": []}, "true []"),
        ("{{#x}}a{{/x}}{{^x}}b{{/x}}", {"x": ""}, "b"),
        ("{{#x}}a{{/x}}{{^x}}b{{/x}}", {"x": 0}, "b"),
        ("{{x}}", {"x": "{{y}}", "y": "never"}, "{{y}}"),
        ("{{#x}}{{y}}{{/x}}", {"x": "{{y}}", "y": "outer"}, "outer"),
        ('{"a": {"b": 1}} }} { { x', {}, '{"a": {"b": 1}} }} { { x'),
    ],
)
def test_differs_on_purpose(source: str, values: dict[str, Any], text: str) -> None:
    assert mustache.render(source, values) == text


@pytest.mark.parametrize(
    ("source", "values", "line", "column"),
    [
        ("{{missing}}", {}, 1, 1),
        ("a\n b {{a.c}}", {"a": {"b": 1}}, 2, 4),
        ("{{#missing}}x{{/missing}}", {}, 1, 1),
        ("{{^missing}}x{{/missing}}", {}, 1, 1),
        ("x\n\n{{#people}}{{age}}{{/people}}", PEOPLE, 3, 12),
        ("{{a.b}}", {"a": "text"}, 1, 1),
        ("{{a.length}}", {"a": [1]}, 1, 1),
        ("{{a.__class__}}", {"a": {}}, 1, 1),
        ("{{a}} {{> x@1.0.0}}", {"a": 1}, 1, 7),
    ],
)
def test_a_missing_value_is_an_error_with_its_place(
    source: str, values: dict[str, Any], line: int, column: int
) -> None:
    with pytest.raises(TemplateError) as failed:
        mustache.render(source, values)
    assert (failed.value.problem.line, failed.value.problem.column) == (line, column)
    assert failed.value.problem.sentence.endswith(".")


@pytest.mark.parametrize(
    ("source", "line", "column", "words"),
    [
        ("{{#a}}", 1, 1, "not closed"),
        ("a\n{{/a}}", 2, 1, "Nothing is open"),
        ("{{#a}}{{/b}}", 1, 7, "a of line 1 is open"),
        ("{{#a}}{{#b}}{{/a}}{{/b}}", 1, 13, "b of line 1 is open"),
        ("{{a", 1, 1, "not closed"),
        ("x {{{a}}", 1, 3, "not closed"),
        ("{{}}", 1, 1, "no name"),
        ("{{ }}", 1, 1, "no name"),
        ("{{=<% %>=}}", 1, 1, "delimiters"),
        ("{{a b}}", 1, 1, "no name"),
        ("{{a|upper}}", 1, 1, "Jinja"),
        ("{{f(x)}}", 1, 1, "Jinja"),
        ("{{#each rows}}x{{/each}}", 1, 1, "Handlebars"),
        ('{{role "system"}}', 1, 1, "Handlebars"),
        ("{{$input}}", 1, 1, "snippet"),
        ("{{<parent}}", 1, 1, "snippet"),
        ("{{>}}", 1, 1, "name@1.2.0"),
        ("{{> *dynamic}}", 1, 1, "name@1.2.0"),
        ("{{a..b}}", 1, 1, "no name"),
        ("{{.a}}", 1, 1, "no name"),
        ("{{#a}}" * 33 + "{{/a}}" * 33, 1, 193, "32 deep"),
        ("{{" + "a." * 20 + "a}}", 1, 1, "no name"),
    ],
)
def test_says_what_is_wrong_and_where(source: str, line: int, column: int, words: str) -> None:
    problem = mustache.check(source)[0]
    assert words in problem.sentence
    assert (problem.line, problem.column) == (line, column)
    with pytest.raises(TemplateError):
        mustache.render(source, {"a": 1, "b": 1})


def test_tells_all_problems_at_once() -> None:
    assert [problem.line for problem in mustache.check("{{}}\n{{/a}}\n{{#b}}\n{{a b}}")] == [1, 2, 4, 3]


# --- Includes ------------------------------------------------------------------------------------------------------

TONE = {("team/tone", "1.2.0"): "Be kind.\nBe brief.\n", ("x", "1.0.0"): "x", ("empty", "1.0.0"): ""}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a {{> x@1.0.0}} b", "a x b"),
        ("a {{>x@1.0.0}}{{> x@1.0.0 }} b", "a xx b"),
        # Alone on its line: a line stays a line, whether or not the text ends one.
        ("a\n{{> x@1.0.0}}\nb", "a\nx\nb"),
        ("a\n{{> team/tone@1.2.0}}\nb", "a\nBe kind.\nBe brief.\nb"),
        ("a\r\n{{> team/tone@1.2.0}}\r\nb", "a\r\nBe kind.\nBe brief.\nb"),
        ("{{> team/tone@1.2.0}}", "Be kind.\nBe brief.\n"),
        # Its indent goes before every line.
        ("- a\n  {{> team/tone@1.2.0}}\n- b", "- a\n  Be kind.\n  Be brief.\n- b"),
        ("a\n  {{> empty@1.0.0}}\nb", "a\n\nb"),
        ("no includes", "no includes"),
    ],
)
def test_puts_snippets_in(source: str, text: str) -> None:
    assert mustache.expand(source, TONE) == text


def test_finds_includes_with_and_without_version() -> None:
    found = mustache.includes("{{> a/b@1.2.0}} {{! {{> c@1.0.0}} {{>d}}")
    assert [(one.name, one.version, one.reference) for one in found] == [
        ("a/b", "1.2.0", "a/b@1.2.0"),
        ("d", None, "d"),
    ]


@pytest.mark.parametrize("source", ["{{> x}}", "{{> x@9.0.0}}", "{{> nothing@1.0.0}}"])
def test_refuses_a_snippet_that_is_not_there(source: str) -> None:
    with pytest.raises(TemplateError, match="published version"):
        mustache.expand(source, TONE)


def test_refuses_what_grows_too_large_by_snippets() -> None:
    with pytest.raises(TemplateError, match="256 KiB"):
        mustache.expand("{{> x@1.0.0}} " * 100, {("x", "1.0.0"): "a" * 10_000})
    with pytest.raises(TemplateError, match="256 KiB"):
        mustache.expand(" " * 100_000 + "{{> x@1.0.0}}", {("x", "1.0.0"): "\n" * 100_000})


# --- Names ---------------------------------------------------------------------------------------------------------


def test_names_what_callers_must_give() -> None:
    source = "{{b}} {{a.x}} {{#rows}}{{field}}{{#deep}}{{.}}{{/deep}}{{/rows}}{{^none}}{{c}}{{/none}}{{! {{d}} {{b}}"
    assert mustache.names_used(source) == ["b", "a", "rows", "none", "c"]
    assert mustache.names_possible(source) == ["b", "a", "rows", "field", "deep", "none", "c"]


def test_a_section_over_a_plain_value_has_no_fields() -> None:
    source = "{{#vip}}{{name}}{{/vip}}"
    assert mustache.names_used(source) == ["vip"]
    assert mustache.names_used(source, {"vip"}) == ["vip", "name"]


# --- Bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{{" * 131_072,
        "{{{" * 87_000,
        "{{a}}" * 52_000,
        "{{#a}}" * 43_000,
        "{{#a}}{{/a}}" * 21_000,
        "{{#a}}" * 32 + "x" * 1000 + "{{/a}}" * 32,
        "{{!}} " * 43_000,
        "\n{{!}}" * 43_000,
        " \t" * 131_072,
        "{{" + "a." * 131_000 + "}}",
        "{{" + " " * 262_000 + "}}",
        "{{#" + "a" * 262_000 + "}}",
        "}}" * 131_072,
        "{{> " + "a/" * 131_000 + "}}",
        "{{a|" + "b" * 262_000 + "}}",
    ],
    ids=lambda source: source[:12],
)
def test_no_source_takes_long(source: str) -> None:
    values = {"a": [{"b": 1}] * 10_000}
    begun = time.process_time()
    problems = mustache.check(source)
    mustache.names_used(source)
    mustache.includes(source)
    with contextlib.suppress(TemplateError):
        mustache.render(source, values)
    assert time.process_time() - begun < 5  # some 1 s; a quadratic step would take minutes
    assert all(len(problem.sentence) < 300 for problem in problems)


def test_sections_repeat_within_bounds() -> None:
    begun = time.process_time()
    with pytest.raises(TemplateError, match="repeats more than 200,000 parts"):
        mustache.render("{{#a}}" * 8 + "{{/a}}" * 8, {"a": list(range(1, 1000))})
    with pytest.raises(TemplateError, match="larger than 1 MiB"):
        mustache.render("{{#a}}" + "x" * 1000 + "{{/a}}", {"a": [1] * 10_000})
    with pytest.raises(TemplateError, match="larger than 1 MiB"):
        mustache.render("{{#a}}{{b}}{{/a}}", {"a": [1] * 1000, "b": [0] * 10_000})
    assert time.process_time() - begun < 5


def test_sizes_are_exact() -> None:
    assert len(mustache.render("{{a}}", {"a": "x" * MAX_OUTPUT_BYTES})) == MAX_OUTPUT_BYTES
    with pytest.raises(TemplateError, match="1 MiB"):
        mustache.render("{{a}}.", {"a": "x" * MAX_OUTPUT_BYTES})
    with pytest.raises(TemplateError, match="1 MiB"):
        mustache.render("{{a}}", {"a": "é" * (MAX_OUTPUT_BYTES // 2 + 1)})
    assert mustache.check("x" * MAX_SOURCE_BYTES) == []
    assert "256 KiB" in mustache.check("é" * (MAX_SOURCE_BYTES // 2 + 1))[0].sentence


SIGNS = st.lists(
    st.sampled_from(
        ["{{", "}}", "{{{", "}}}", "#", "/", "^", ">", "!", "=", "&", "a", "b", ".", " ", "\n", "\r\n", "é", "@1"]
    )
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(SIGNS | st.text(), st.dictionaries(st.sampled_from("ab"), JSON, max_size=2))
def test_never_crashes_and_loses_nothing(source: str, values: dict[str, Any]) -> None:
    found = mustache.tokens(source)
    assert "".join(source[token.start : token.end] for token in found) == source
    for token in found:
        before = source[: token.start]
        assert (token.line, token.column) == (before.count("\n") + 1, token.start - before.rfind("\n"))
        assert (token.kind is TokenKind.ERROR) == bool(token.message)
    problems = mustache.check(source)
    mustache.names_used(source)
    try:
        mustache.render(source, values)
    except TemplateError:
        return
    assert problems == []


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_values_come_back_as_they_are(text: str) -> None:
    """Nothing in a value is taken for a template or escaped; as JSON it is read back equal."""
    assert mustache.render("<{{a}}>", {"a": text}) == f"<{text}>"
    assert json.loads(mustache.render("{{a}}", {"a": {"b": text}})) == {"b": text}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["text ", "\n", "  "]), max_size=6).map("".join))
def test_text_without_tags_is_untouched(text: str) -> None:
    assert mustache.render(text, {}) == text
    assert mustache.expand(text, {}) == text

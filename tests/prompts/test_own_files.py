"""Our own prompt files: read and written back, changed in place, refused with line and column."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.prompts.content import Content, Message, Variable, content_as_dict, content_hash, text_content
from apps.prompts.files import own, yaml_text
from apps.prompts.files.own import PromptFile
from apps.prompts.files.problems import BadFile
from apps.prompts.types import Kind, Syntax, VariableType

FILE = """\
# Answers the help desk's mail.
name: support/answer   # also its path
description: 'Answers, politely'
owner: support-team
tags: [support, english]
version: 1.2.0
kind: chat
syntax: mustache

# checked in October
model: openai/gpt-4o-mini
parameters:
    temperature: 0.20   # low
    logit_bias: {50256: -100}
x-review: {by: anna, at: 2026-11-23}
variables:
  question:
    type: text
    unit: words
    sample: "How do I reset it?"
  history: {type: messages, required: false}
  tone:
messages:
- role: system  # first
  content: |  # what we are
     You answer for {{tone}} people.

     {{> support/rules@1.0.0}}

# what was said before
- role: placeholder
  content: history
- role: user
  cache: true
  content: >-
    {{question}}
    Answer in one line.
"""


def changed(text: str, **changes: Any) -> str:
    """The file after the content or the fields about the prompt changed."""
    prompt = own.read(text)
    fields = {field.name for field in dataclasses.fields(PromptFile)}
    about = {key: value for key, value in changes.items() if key in fields}
    inside = {key: value for key, value in changes.items() if key not in fields}
    return own.write(dataclasses.replace(prompt, content=dataclasses.replace(prompt.content, **inside), **about), text)


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and the lines that came."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_reads_what_the_file_tells() -> None:
    prompt = own.read(FILE)
    assert (prompt.name, prompt.version, prompt.owner) == ("support/answer", "1.2.0", "support-team")
    assert (prompt.description, prompt.tags) == ("Answers, politely", ("support", "english"))
    content = prompt.content
    assert (content.kind, content.syntax, content.model) == (Kind.CHAT, Syntax.MUSTACHE, "openai/gpt-4o-mini")
    assert content.parameters == {"temperature": 0.2, "logit_bias": {"50256": -100}}
    assert content.variables == (
        Variable("question", sample="How do I reset it?"),
        Variable("history", VariableType.MESSAGES, is_required=False),
        Variable("tone"),
    )
    assert content.messages == (
        Message("system", "You answer for {{tone}} people.\n\n{{> support/rules@1.0.0}}\n"),
        Message("placeholder", "history"),
        Message("user", "{{question}} Answer in one line."),
    )
    assert content.extra["x-review"] == {"by": "anna", "at": "2026-11-23"}


@pytest.mark.parametrize("text", [FILE, FILE[:-1], FILE.replace("\n", "\r\n"), "\ufeff" + FILE, "---\n" + FILE])
def test_an_unchanged_prompt_gives_back_every_byte(text: str) -> None:
    assert own.write(own.read(text), text) == text


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last_break", [True, False])
def test_a_change_touches_only_its_lines(ending: str, last_break: bool) -> None:
    text = FILE.replace("\n", ending)
    text = text if last_break else text.removesuffix(ending)
    after = changed(text, version="1.3.0", model="openai/gpt-5.1", description="It's new")
    gone, come = lines_changed(text, after)
    assert gone == ["description: 'Answers, politely'", "version: 1.2.0", "model: openai/gpt-4o-mini"]
    assert come == ["description: 'It''s new'", "version: 1.3.0", "model: openai/gpt-5.1"]
    assert after.endswith(ending) is last_break
    assert ("\r\n" in after) is (ending == "\r\n")
    assert after.count("\n") == text.count("\n")


def test_a_message_is_changed_in_its_own_indent_with_its_comment() -> None:
    messages = own.read(FILE).content.messages
    after = changed(FILE, messages=(Message("system", "Be brief.\n"), *messages[1:]))
    assert "  content: |  # what we are\n     Be brief.\n\n# what was said before\n" in after
    assert own.read(after).content.messages[0].content == "Be brief.\n"


def test_messages_come_and_go_between_the_others() -> None:
    first, second, third = own.read(FILE).content.messages
    more = changed(FILE, messages=(first, second, third, Message("assistant", "Yes.")))
    assert more.startswith(FILE)
    assert own.read(more).content.messages[3] == Message("assistant", "Yes.")
    fewer = changed(FILE, messages=(first, third), extra={"x-review": {"by": "anna", "at": "2026-11-23"}})
    assert "placeholder" not in fewer
    assert "# first" in fewer


def test_keys_are_added_in_their_place_and_taken_away() -> None:
    text = "name: a\n# why\nkind: text\ntext: |\n  Hello\n"
    after = changed(text, model="openai/gpt-5.1", description="Greets")
    assert after == "name: a\ndescription: Greets\n# why\nkind: text\nmodel: openai/gpt-5.1\ntext: |\n  Hello\n"
    assert changed(after, model="", description="") == text


def test_the_documented_example_is_what_is_written() -> None:
    page = (Path(__file__).parents[2] / "docs/prompt-files.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    prompt = own.read(example)
    assert "# Comments stay where they are.\n" + own.write(prompt) == example


def test_true_is_not_one() -> None:
    text = "name: a\nparameters:\n  logprobs: true\ntext: |\n  Hello\n"
    assert "logprobs: 1\n" in changed(text, parameters={"logprobs": 1})


def test_writes_a_file_that_is_good_to_read() -> None:
    content = Content(
        messages=(Message("system", "Be kind.\n\nAlways: yes\n"), Message("user", "{{question}}")),
        variables=(Variable("question", sample="no"), Variable("n", VariableType.NUMBER, is_required=False, default=3)),
        parameters={"temperature": 0.2, "stop": ["\n", "END"]},
        response_schema={"type": "object"},
        extra={"x": {"since": "2026-11-23"}},
    )
    written = own.write(PromptFile("support/answer", content, version="1.0.0", tags=("a", "1.0")))
    assert (
        written
        == """\
name: support/answer
tags: [a, "1.0"]
version: 1.0.0
kind: chat
syntax: mustache
parameters:
  temperature: 0.2
  stop:
    - "\\n"
    - END
variables:
  question:
    type: text
    sample: "no"
  n:
    type: number
    default: 3
messages:
  - role: system
    content: |
      Be kind.

      Always: yes
  - role: user
    content: |-
      {{question}}
response_schema:
  type: object
x:
  since: "2026-11-23"
"""
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "The file is empty"),
        ("text: hi\n", 1, 1, "The name is missing"),
        ("name: a\ntext: hi\nname: b\n", 3, 1, "stands twice; the first is on line 1"),
        ("name: a\nparameters:\n  x: 1\n  x: 2\ntext: hi\n", 4, 3, "stands twice"),
        ("name: &n a\ntext: *n\n", 1, 7, "Anchors and aliases"),
        ("name: !!python/object:os.system a\n", 1, 7, "Tags such as"),
        ("name: a\ntext: hi\n---\nname: b\ntext: ho\n", 3, 1, "second document"),
        ("name: a\ntext: hi\nversion: 1.2\n", 3, 10, "three numbers"),
        ("name: 12\ntext: hi\n", 1, 7, "must be text"),
        ("name: a\ntext: hi\nmessages: []\n", 2, 1, "either 'text' or 'messages'"),
        ("name: a\nmessages: hi\n", 2, 11, "is a list"),
        ("name: a\nmessages:\n  - role: boss\n    content: hi\n", 3, 11, "Choose one of"),
        ("name: a\nmessages:\n  - role: user\n    content: 7\n", 4, 14, "content"),
        ("name: a\ntext: hi\nvariables:\n  n:\n    type: float\n", 5, 11, "Choose one of"),
        ("name: a\ntext: hi\nvariables: [n]\n", 3, 12, "a line for each variable"),
        ("name: a\ntext: hi\ntags: [1]\n", 3, 8, "A tag must be a text"),
        ("name: a\n\ttext: hi\n", 2, 1, "not YAML"),
        ("name: a\nparameters: {t: .nan}\ntext: hi\n", 2, 17, "NaN"),
        ("name: a\nparameters: " + "[" * 40 + "]" * 40 + "\ntext: hi\n", 2, 45, "32 levels"),
    ],
)
def test_says_where_and_what(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(BadFile) as caught:
        own.read(text)
    assert words in caught.value.text
    assert (caught.value.line, caught.value.column) == (line, column)


def test_too_large_is_refused_and_the_largest_is_read_in_time() -> None:
    with pytest.raises(BadFile, match="larger than 256 KiB"):
        own.read("name: a\ntext: |\n  " + "x" * yaml_text.MAX_CHARACTERS)
    most = "name: a\ntext: |\n" + "  word word word word\n" * 11_000
    begun = time.monotonic()
    assert own.read(most).content.text.count("\n") == 11_000
    assert time.monotonic() - begun < 20


def test_the_hash_does_not_hear_of_comments_and_unknown_keys() -> None:
    text = "name: a\ntext: |\n  Hello\n"
    with_more = "# hi\nname: a\nunknown: {a: 1}\ntext: |\n  Hello\n"
    assert content_hash(own.read(text).content) == content_hash(own.read(with_more).content)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
texts = st.one_of(
    words,
    st.lists(words, max_size=6).map("\n".join),
    st.text("ab #:-|>'\"{}[]&*!%@`\t\n\r \\", max_size=40),
    st.sampled_from(
        ["no", "1.0", "0x1f", "null", "~", "2026-11-23", "1.2.0", " a\n b", "\n\na\n\n", "a\n \n", "---", "-"]
    ),
)
scalars = st.one_of(
    texts, st.booleans(), st.none(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False)
)
keys = st.text(min_size=1, max_size=8).filter(lambda key: "\x00" not in key and key.isprintable())
jsons = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(keys, jsons, max_size=3)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts, st.sampled_from(["", "anna"]))
variables = st.lists(
    st.builds(
        Variable,
        st.from_regex(r"[a-z_]{1,6}", fullmatch=True),
        st.just(VariableType.LIST),
        st.booleans(),
        st.none() | st.lists(jsons, max_size=2),
        texts,
        st.none() | st.lists(jsons, max_size=2),
    ),
    max_size=3,
    unique_by=lambda variable: variable.name,
).map(tuple)
contents = st.one_of(
    st.builds(
        Content,
        messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
        syntax=st.sampled_from(Syntax),
        variables=variables,
        parameters=objects,
        model=words,
        response_schema=st.none() | objects.filter(bool),
        extra=st.dictionaries(keys.filter(lambda key: key not in own.KNOWN), jsons, max_size=2),
    ),
    texts.map(text_content),
)
prompts = st.builds(
    PromptFile,
    st.sampled_from(["a", "support/answer"]),
    contents,
    st.sampled_from(["", "1.2.0"]),
    texts,
    st.lists(words.filter(bool), max_size=3).map(tuple),
    words,
)


def told(prompt: PromptFile) -> str:
    """Everything the prompt says, `true` apart from 1."""
    about = [prompt.name, prompt.version, prompt.description, list(prompt.tags), prompt.owner]
    return json.dumps([about, content_as_dict(prompt.content)], sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(prompts)
def test_what_is_written_reads_the_same(prompt: PromptFile) -> None:
    text = own.write(prompt)
    assert told(own.read(text)) == told(prompt)
    assert own.write(own.read(text)) == text
    assert own.write(own.read(text), text) == text


@settings(max_examples=60, deadline=None)
@given(prompts, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_change_to_a_file_reads_as_the_change(prompt: PromptFile, ending: str, last_break: bool) -> None:
    text = FILE.replace("\n", ending)
    text = text if last_break else text.removesuffix(ending)
    after = own.write(prompt, text)
    assert told(own.read(after)) == told(prompt)
    # A text that begins with blank lines may cost the file its comments; it is written anew then.
    if not any(message.content.startswith("\n") for message in prompt.content.messages):
        assert after.splitlines()[0] == "# Answers the help desk's mail."
    back = own.write(own.read(FILE), after)
    assert told(own.read(back)) == told(own.read(FILE))

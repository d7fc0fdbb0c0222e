"""Differences of prompts: true, fine where it can be, and never slow."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.prompts.content import Content, Message, Variable, content_from_dict
from apps.prompts.diffing import Change, Piece, PieceKind, difference, text_pieces, unified
from apps.prompts.types import Kind, Syntax, VariableType

EQUAL, INSERT, DELETE = PieceKind.EQUAL, PieceKind.INSERT, PieceKind.DELETE


def _chat(*messages: str | tuple[str, str], **others: Any) -> Content:
    pairs = [("user", one) if isinstance(one, str) else one for one in messages]
    return Content(messages=tuple(Message(*pair) for pair in pairs), **others)


def _changes(old: Content, new: Content) -> list[tuple[str, int | None, int | None]]:
    return [(one.change.value, one.old_index, one.new_index) for one in difference(old, new).messages]


def _holds(old: str, new: str, pieces: tuple[Piece, ...]) -> bool:
    is_old = "".join(piece.text for piece in pieces if piece.kind is not INSERT) == old
    is_new = "".join(piece.text for piece in pieces if piece.kind is not DELETE) == new
    is_tidy = all(one.kind is not other.kind for one, other in zip(pieces, pieces[1:], strict=False))
    return is_old and is_new and is_tidy and all(piece.text for piece in pieces)


# --- Text ----------------------------------------------------------------------------------------------------------


def test_marks_the_words_that_changed() -> None:
    old = "You are kind.\nAnswer in English.\nBe brief."
    new = "You are very kind.\nAnswer in French.\nBe brief."
    assert text_pieces(old, new) == (
        (EQUAL, "You are "),
        (INSERT, "very "),
        (EQUAL, "kind.\nAnswer in "),
        (DELETE, "English"),
        (INSERT, "French"),
        (EQUAL, ".\nBe brief."),
    )


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("", "", []),
        ("", "a", [INSERT]),
        ("a", "", [DELETE]),
        ("same", "same", [EQUAL]),
        ("a\nb\n", "a\nb", [EQUAL, DELETE]),
        ("a\r\n", "a\n", [EQUAL, DELETE, EQUAL]),
        ("{{name}}", "{{names}}", [EQUAL, DELETE, INSERT, EQUAL]),
        # Texts that share hardly a word are shown as replaced, not as patches.
        ("the cat sat on a mat", "we went to the sea", [DELETE, INSERT]),
        # A blank between two changed words changes with them.
        ("keep all this: one two. End.", "keep all this: three four. End.", [EQUAL, DELETE, INSERT, EQUAL]),
    ],
)
def test_pieces(old: str, new: str, kinds: list[PieceKind]) -> None:
    pieces = text_pieces(old, new)
    assert _holds(old, new, pieces)
    assert [piece.kind for piece in pieces] == kinds


TEXT = st.lists(st.sampled_from(["a", "b", "word", " ", "\n", ".", "é", "\r\n", "{{x}}"]), max_size=25).map("".join)


@settings(max_examples=500, deadline=None)
@given(TEXT | st.text(), TEXT | st.text())
def test_pieces_always_hold_both_texts(old: str, new: str) -> None:
    assert _holds(old, new, text_pieces(old, new))


def _random_text(seed: int, signs: str, length: int) -> str:
    return "".join(random.Random(seed).choices(signs, k=length))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\n" * 128_000, "a\nb\n" * 64_000),
        ("a " * 128_000, "a b " * 64_000),
        (_random_text(1, "ab\n", 256_000), _random_text(2, "ab\n", 256_000)),
        (_random_text(1, "abcdefgh ", 256_000), _random_text(2, "abcdefgh ", 256_000)),
        ("x" * 256_000, "y" * 256_000),
        ("a\n" * 128_000, "b\n" * 128_000),
        ("ab" * 64_000 + "\n" * 64_000, "\n" * 64_000 + "ab" * 64_000),
    ],
    ids=["repeated lines", "repeated words", "random lines", "random words", "one word", "other lines", "swapped"],
)
def test_large_texts_take_bounded_time(old: str, new: str) -> None:
    begun = time.process_time()
    pieces = text_pieces(old, new)
    assert time.process_time() - begun < 8  # some 1 s; the plain algorithm would take hours
    assert _holds(old, new, pieces)


def test_many_small_changes_in_a_long_text_are_found_one_by_one() -> None:
    lines = [f"Rule {number}: be good to everybody." for number in range(5_000)]
    old = "\n".join(lines)
    new = "\n".join(line.replace("good", "kind") if number % 10 == 0 else line for number, line in enumerate(lines))
    pieces = text_pieces(old, new)
    assert [piece.text for piece in pieces if piece.kind is INSERT] == ["kind"] * 500
    assert _holds(old, new, pieces)


# --- Messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (["a", "b"], ["a", "b"], [("equal", 0, 0), ("equal", 1, 1)]),
        (["a"], ["a", "new one"], [("equal", 0, 0), ("added", None, 1)]),
        ([("system", "s"), "u"], ["u"], [("removed", 0, None), ("equal", 1, 0)]),
        (["first", ("assistant", "second")], [("assistant", "second"), "first"], [("moved", 1, 0), ("equal", 0, 1)]),
        (["one two three", "x"], ["one two four", "x"], [("changed", 0, 0), ("equal", 1, 1)]),
        (["hello there"], [("assistant", "hello there")], [("changed", 0, 0)]),
        ([("system", "a b c")], ["d e f"], [("added", None, 0), ("removed", 0, None)]),
        (
            ["alpha beta gamma", "delta epsilon zeta"],
            ["new", "alpha beta gamme", "delta epsilon zeto"],
            [("added", None, 0), ("changed", 0, 1), ("changed", 1, 2)],
        ),
        (["a", "a"], ["a"], [("equal", 0, 0), ("removed", 1, None)]),
        ([], ["a"], [("added", None, 0)]),
    ],
)
def test_messages(old: list[Any], new: list[Any], changes: list[Any]) -> None:
    found = _changes(_chat(*old), _chat(*new))
    assert sorted(found, key=str) == sorted(changes, key=str)
    assert [new_index for _, _, new_index in found if new_index is not None] == list(range(len(new)))


def test_every_message_is_told_once() -> None:
    rng = random.Random(7)
    for _ in range(200):
        texts = [
            rng.choice(["a b c", "a b d", "x", "y z", "", "long text with words"]) for _ in range(rng.randint(0, 8))
        ]
        others = [rng.choice([*texts, "new", "a b c d"]) for _ in range(rng.randint(0, 8))]
        old, new = _chat(*texts), _chat(*others)
        found = difference(old, new).messages
        assert sorted(one.old_index for one in found if one.old_index is not None) == list(range(len(texts)))
        assert [one.new_index for one in found if one.new_index is not None] == list(range(len(others)))
        for one in found:
            assert _holds(one.old.content if one.old else "", one.new.content if one.new else "", one.pieces) or (
                one.change in (Change.EQUAL, Change.MOVED, Change.ADDED, Change.REMOVED)
            )
            assert one.change is not Change.EQUAL or one.old == one.new


def test_a_change_of_role_or_name_is_a_change() -> None:
    old = Content(messages=(Message("user", "hi there", "ann"),))
    new = Content(messages=(Message("assistant", "hi there", "ann"),))
    change = difference(old, new).messages[0]
    assert (change.change, change.role) == (Change.CHANGED, "user → assistant")
    assert _changes(old, Content(messages=(Message("user", "hi there", "bo"),)))[0][0] == "changed"


def test_two_hundred_messages_take_bounded_time() -> None:
    rng = random.Random(3)

    def chat() -> Content:
        return _chat(*(" ".join(str(rng.randint(0, 5000)) for _ in range(500)) for _ in range(200)))

    begun = time.process_time()
    difference(chat(), chat())
    unified(chat(), chat())
    assert time.process_time() - begun < 15  # some 1.5 s


# --- Structure -----------------------------------------------------------------------------------------------------

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
BASE: dict[str, Any] = {
    "messages": [{"role": "user", "content": "x"}],
    "variables": [{"name": "a", "type": "text"}, {"name": "b", "type": "list"}],
    "model": "gpt-4o",
    "parameters": {"temperature": 0.5, "stop": ["a", "b"]},
    "tools": [WEATHER],
    "response_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
}


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        ({}, []),
        ({"model": "gpt-5"}, [("model", "changed", "gpt-4o", "gpt-5")]),
        ({"model": ""}, [("model", "changed", "gpt-4o", None)]),
        ({"syntax": "jinja"}, [("syntax", "changed", "mustache", "jinja")]),
        (
            {"parameters": {"temperature": 1, "top_p": 0.9, "stop": ["a", "c"]}},
            [
                ("parameters.temperature", "changed", 0.5, 1),
                ("parameters.stop.1", "changed", "b", "c"),
                ("parameters.top_p", "added", None, 0.9),
            ],
        ),
        (
            {"parameters": {"stop": ["a"]}},
            [
                ("parameters.temperature", "removed", 0.5, None),
                ("parameters.stop", "changed", ["a", "b"], ["a"]),
            ],
        ),
        (
            {"parameters": {"temperature": None, "stop": ["a", "b"]}},
            [("parameters.temperature", "changed", 0.5, None)],
        ),
        (
            {"variables": [{"name": "b", "type": "list"}, {"name": "a", "type": "number"}]},
            [("variables.a.type", "changed", "text", "number")],
        ),
        (
            {"variables": [{"name": "a", "type": "text", "required": False}, {"name": "c"}]},
            [
                ("variables.a.required", "changed", True, False),
                ("variables.b", "removed", {"type": "list", "required": True}, None),
                ("variables.c", "added", None, {"type": "text", "required": True}),
            ],
        ),
        ({"tools": []}, [("tools.weather", "removed", WEATHER, None)]),
        (
            {"response_schema": None},
            [("response_schema", "removed", BASE["response_schema"], None)],
        ),
        (
            {"response_schema": {"type": "object", "properties": {"answer": {"type": "integer"}}}},
            [("response_schema.properties.answer.type", "changed", "string", "integer")],
        ),
        ({"extra": {"team": "support"}}, [("extra.team", "added", None, "support")]),
    ],
)
def test_structure_by_path(told: dict[str, Any], changes: list[Any]) -> None:
    found = difference(content_from_dict(BASE), content_from_dict({**BASE, **told}))
    assert [(one.path, one.change.value, one.old, one.new) for one in found.fields] == changes
    assert all(one.path.split(".")[0] == one.section for one in found.fields)
    assert found.is_same == (not changes)


def test_true_is_not_one() -> None:
    old, new = _chat("x", parameters={"a": True, "b": 1}), _chat("x", parameters={"a": 1, "b": 1.0})
    assert [one.path for one in difference(old, new).fields] == ["parameters.a", "parameters.b"]


# --- Plain text ----------------------------------------------------------------------------------------------------


def test_plain_form_for_a_pull_request() -> None:
    lines = [f"line {number}" for number in range(20)]
    changed = ["line 0 is new", *lines[1:]]
    old = _chat(("system", "\n".join(lines)), "same", ("assistant", "gone"), model="gpt-4o", variables=(Variable("a"),))
    new = _chat(
        ("system", "\n".join(changed)),
        "same",
        ("tool", "two\nlines"),
        model="gpt-5",
        parameters={"temperature": 0},
        kind=Kind.CHAT,
        syntax=Syntax.MUSTACHE,
        variables=(Variable("a", VariableType.NUMBER, default=3, is_required=False),),
    )
    assert unified(old, new, "greeting 1.0.0", "greeting 2.0.0") == (
        "--- greeting 1.0.0\n"
        "+++ greeting 2.0.0\n"
        "~ model: gpt-4o → gpt-5\n"
        "~ variables.a.type: text → number\n"
        "~ variables.a.required: true → false\n"
        "+ variables.a.default: 3\n"
        "+ parameters.temperature: 0\n"
        "@@ message 1 (system): changed @@\n"
        "-line 0\n"
        "+line 0 is new\n"
        " line 1\n"
        " line 2\n"
        " line 3\n"
        "@@ 16 equal lines @@\n"
        "@@ message 3 (tool): added @@\n"
        "+two\n"
        "+lines\n"
        "@@ old message 3 (assistant): removed @@\n"
        "-gone\n"
    )


def test_nothing_to_tell() -> None:
    assert unified(_chat("x"), _chat("x")) == ""


def test_values_stay_short() -> None:
    text = unified(_chat("x"), _chat("x", parameters={"stop": "a" * 10_000}))
    assert len(text) < 400
    assert "…" in text

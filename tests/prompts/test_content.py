"""Reading contents: what is wrong is named by field, and what is right comes back equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.prompts.content import BadContent, content_as_dict, content_from_dict, content_hash, text_content
from apps.prompts.types import Kind
from tests.prompts.conftest import content, told

TOOL = {"type": "function", "function": {"name": "find_order"}}


def test_reads_what_it_writes() -> None:
    body = content(tools=[TOOL], response_schema={"type": "object"}, extra={"team": ["desk", 4]}, syntax="jinja")
    assert content_from_dict(content_as_dict(body)) == body


def test_takes_a_text_for_a_text_prompt() -> None:
    body = content_from_dict({"text": "Sort {{mail}}.", "variables": [{"name": "mail"}]})
    assert (body.kind, body.text) == (Kind.TEXT, "Sort {{mail}}.")
    assert body == text_content("Sort {{mail}}.", variables=body.variables)


def deep(levels: int) -> dict[str, Any]:
    """An object in an object in an object."""
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"a": made}
    return made


BAD = [
    ({"colour": "red"}, "colour"),
    ({"message": "hello"}, "message"),
    ({"kind": "song"}, "kind"),
    ({"syntax": "handlebars"}, "syntax"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": ["hello"]}, "messages.0"),
    ({"messages": [{"role": "user"}] * 201}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "x" * 262_145}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "a\ud800b"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "x", "image": "y"}]}, "messages.0.image"),
    ({"messages": [{"role": "placeholder", "content": "not a name"}]}, "messages.0.content"),
    ({"kind": "text", "messages": [{"role": "system", "content": "x"}]}, "messages"),
    ({"kind": "text", "text": "x"}, "text"),
    ({"text": 4, "messages": None}, "text"),
    ({"variables": [{"name": "two words"}]}, "variables.0.name"),
    ({"variables": [{"name": "a"}, {"name": "a"}]}, "variables.1.name"),
    ({"variables": [{"name": "a", "type": "date"}]}, "variables.0.type"),
    ({"variables": [{"name": "a", "required": "yes"}]}, "variables.0.required"),
    ({"variables": [{"name": "a", "type": "number", "default": "four"}]}, "variables.0.default"),
    ({"variables": [{"name": "a", "type": "messages", "sample": [{"role": "user"}]}]}, "variables.0.sample"),
    ({"variables": [{"name": "a", "kind": "text"}]}, "variables.0.kind"),
    ({"model": 4}, "model"),
    ({"parameters": [1]}, "parameters"),
    ({"parameters": {"temperature": float("inf")}}, "parameters.temperature"),
    ({"parameters": {"seed": 2**70}}, "parameters.seed"),
    ({"parameters": deep(40)}, None),
    ({"tools": [{"name": "find"}]}, "tools.0"),
    ({"response_schema": "object"}, "response_schema"),
    ({"extra": {"notes": ["x" * 100_000] * 6}}, None),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=[f"{row[1]}-{number}" for number, row in enumerate(BAD)])
def test_names_the_field_that_is_wrong(changes: dict[str, Any], field: str | None) -> None:
    with pytest.raises(BadContent) as caught:
        content_from_dict(told(**changes))
    assert caught.value.details
    assert field is None or field in caught.value.details, caught.value.details
    assert caught.value.text == "One or more fields need a change."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
fields = st.sampled_from(
    [
        "kind",
        "syntax",
        "messages",
        "text",
        "variables",
        "model",
        "parameters",
        "tools",
        "response_schema",
        "extra",
        "other",
    ]
)


@given(st.dictionaries(fields, json_values, max_size=6))
def test_refuses_in_words_or_reads(anything: dict[str, Any]) -> None:
    try:
        body = content_from_dict(anything)
    except BadContent as error:
        refused = error.details
        body = None
    else:
        refused = {}
    if body is None:
        assert refused
        return
    assert content_from_dict(content_as_dict(body)) == body
    assert len(content_hash(body)) == 64

"""Numbers of versions, and which step a change needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.prompts import bumping, semver
from apps.prompts.content import content_hash
from apps.prompts.semver import Number
from apps.prompts.types import Bump
from tests.prompts.conftest import content, told

numbers = st.builds(Number, *(st.integers(0, semver.MOST - 1) for _ in range(3)))


@given(numbers)
def test_reads_what_it_writes(number: Number) -> None:
    assert semver.parse(str(number)) == semver.parse(f"v{number}") == number


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc", "1.2.x", "-1.0.0", "1.2.3\n", "١.٢.٣", "1.2.1000000"]
)
def test_knows_what_is_no_version(text: str) -> None:
    assert semver.parse(text) is None


@given(numbers, st.sampled_from(list(Bump)))
def test_steps_up_by_the_size_asked_for(number: Number, bump: Bump) -> None:
    following = number.after(bump)
    assert following > number
    assert following.step_from(number) is bump
    assert number.step_from(following) is None


def variables(*extra: dict[str, Any], without: str = "", **changes: Any) -> list[dict[str, Any]]:
    """The usual variables without one, with changes to `shop`, and with more."""
    usual = [{**one, **changes} if one["name"] == "shop" else one for one in told()["variables"]]
    return [*(one for one in usual if one["name"] != without), *extra]


def schema(**properties: str) -> dict[str, Any]:
    """A schema of an object with these fields, all of them required."""
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": sorted(properties),
    }


def answering(**properties: str) -> dict[str, Any]:
    """A change that gives the prompt such a schema."""
    return {"response_schema": schema(**properties)}


def saying(*texts: str) -> dict[str, Any]:
    """A change that gives the prompt these messages of the user."""
    return {"messages": [{"role": "user", "content": text} for text in texts]}


TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}
OTHER_TOOL = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}},
}

STEPS = [
    # what it was, what it is, the step, words of its reason
    ({}, {"variables": variables(without="shop")}, Bump.MAJOR, "shop was removed or renamed"),
    ({}, {"variables": variables({"name": "tone"})}, Bump.MAJOR, "tone is new and required"),
    ({}, {"variables": variables({"name": "tone", "required": False})}, Bump.MINOR, "Optional variable tone"),
    ({}, {"variables": variables({"name": "tone", "default": "warm"})}, Bump.MINOR, "Optional variable tone"),
    ({}, {"variables": variables(type="list", sample=None)}, Bump.MAJOR, "shop is of type list, was text"),
    ({}, {"variables": variables(required=False)}, Bump.MINOR, "shop is optional now"),
    ({"variables": variables(required=False)}, {}, Bump.MAJOR, "shop is required now"),
    ({"variables": variables(default="a")}, {"variables": variables(default="b")}, Bump.MINOR, "another default"),
    (answering(city="string"), {}, Bump.MAJOR, "no schema any more"),
    ({}, answering(city="string"), Bump.MAJOR, "a schema now"),
    (
        answering(city="string", zip="string"),
        answering(city="string"),
        Bump.MAJOR,
        "Field zip",
    ),
    (
        answering(city="string"),
        answering(city="number"),
        Bump.MAJOR,
        "of another type",
    ),
    (
        answering(city="string"),
        answering(city="string", zip="string"),
        Bump.MINOR,
        "Field zip of the answer was added",
    ),
    (
        answering(city="string"),
        {"response_schema": {**schema(city="string"), "required": []}},
        Bump.MAJOR,
        "city of the answer may be missing",
    ),
    (
        {},
        {"kind": "text", "messages": [{"role": "user", "content": "{{shop}} {{question}}"}]},
        Bump.MAJOR,
        "is a text prompt",
    ),
    ({}, {"model": "test/steady"}, Bump.MINOR, "Model: test/echo → test/steady"),
    ({}, {"model": ""}, Bump.MINOR, "Model: test/echo → none"),
    ({}, {"parameters": {"temperature": 0.9}}, Bump.MINOR, "Parameter temperature was changed"),
    ({}, {"parameters": {}}, Bump.MINOR, "Parameter temperature was removed"),
    ({}, {"tools": [TOOL]}, Bump.MINOR, "Tool find_order was added"),
    ({"tools": [TOOL]}, {"tools": [OTHER_TOOL]}, Bump.MINOR, "Tool find_order was changed"),
    ({}, {"syntax": "jinja"}, Bump.MINOR, "jinja instead of mustache"),
    (
        {},
        {"messages": [told()["messages"][0], {"role": "user", "content": "Q: {{question}}"}]},
        Bump.PATCH,
        "Wording of message 2",
    ),
    ({}, saying("{{shop}} {{question}}"), Bump.PATCH, "2 before, 1 now"),
]


@pytest.mark.parametrize(("was", "now", "bump", "words"), STEPS, ids=[row[3] for row in STEPS])
def test_suggests_the_step_with_its_reason(was: Any, now: Any, bump: Bump, words: str) -> None:
    suggestion = bumping.suggest(content(**was), content(**now))
    assert suggestion.bump is bump
    assert words in " ".join(reason.sentence for reason in suggestion.reasons)
    assert not suggestion.is_same
    assert content_hash(content(**was)) != content_hash(content(**now))


def test_takes_the_largest_of_several_steps_and_names_it_first() -> None:
    suggestion = bumping.suggest(content(), content(model="test/steady", variables=variables(without="shop")))
    assert suggestion.bump is Bump.MAJOR
    assert [reason.bump for reason in suggestion.reasons] == [Bump.MAJOR, Bump.MINOR]


@pytest.mark.parametrize(
    "changes",
    [{}, {"variables": variables(sample="Elsewhere", description="the shop's name")}, {"extra": {"team": "desk"}}],
)
def test_knows_what_no_model_could_notice(changes: Any) -> None:
    suggestion = bumping.suggest(content(), content(**changes))
    assert suggestion.is_same
    assert content_hash(content()) == content_hash(content(**changes))


def test_gives_the_order_of_variables_no_meaning() -> None:
    assert content_hash(content()) == content_hash(content(variables=list(reversed(told()["variables"]))))

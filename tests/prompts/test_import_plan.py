"""What importing would do: tables of cases without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from apps.prompts.content import Content, Message, Variable, content_hash, text_content
from apps.prompts.files.found import Found, Reading
from apps.prompts.files.plan import OWN, Action, Known, Step, plan
from apps.prompts.files.templates import UNPINNED
from apps.prompts.semver import Number
from apps.prompts.types import Bump, Syntax

ONE, TWO = text_content("One."), text_content("Two.")
WITH_X = text_content("One {{x}}.", variables=(Variable("x"),))


def found(name: str = "a", content: Content = ONE, **others: object) -> Found:
    """Something that was found; its format is foreign unless told."""
    base = Found(name, content, "Text", (f"{name}.txt",))
    return replace(base, **others)  # type: ignore[arg-type]


def known(content: Content | None = ONE, number: str = "1.2.3", name: str = "a") -> Known:
    """A prompt that is here."""
    if content is None:
        return Known(name)
    parsed = Number(*(int(part) for part in number.split(".")))
    return Known(name, parsed, content, {content_hash(content): parsed})


def steps(*things: Found, here: Mapping[str, Known] | None = None, **others: object) -> tuple[Step, ...]:
    """The steps of a plan in which everything can be published."""
    return plan(Reading(things), here or {}, check=lambda content: [], **others).steps  # type: ignore[arg-type]


def only(*things: Found, here: Mapping[str, Known] | None = None, **others: object) -> Step:
    """The one step."""
    (step,) = steps(*things, here=here, **others)
    return step


@pytest.mark.parametrize(
    ("thing", "here", "action", "number"),
    [
        (found(), {}, Action.NEW, "1.0.0"),
        (found(version="0.1.1"), {}, Action.NEW, "0.1.1"),
        (found(), {"a": known(None)}, Action.NEW_VERSION, "1.0.0"),
        (found(), {"a": known()}, Action.SAME, "1.2.3"),
        (found(content=TWO), {"a": known()}, Action.NEW_VERSION, "1.2.4"),
        (found(content=replace(ONE, model="m")), {"a": known()}, Action.NEW_VERSION, "1.3.0"),
        (found(content=WITH_X), {"a": known()}, Action.NEW_VERSION, "2.0.0"),
        # A number of another home does not bind us.
        (found(content=TWO, version="0.1.1"), {"a": known()}, Action.NEW_VERSION, "1.2.4"),
        (found(content=TWO, version="1.2.3", format=OWN), {"a": known()}, Action.NEW_VERSION, "1.2.4"),
        (found(content=TWO, version="1.9.0", format=OWN), {"a": known()}, Action.NEW_VERSION, "1.9.0"),
        (found(content=TWO, version="1.2.2", format=OWN), {"a": known()}, Action.CONFLICT, None),
        (found(content=WITH_X, version="1.3.0", format=OWN), {"a": known()}, Action.CONFLICT, None),
        (found(content=WITH_X, version="3.0.0", format=OWN), {"a": known()}, Action.NEW_VERSION, "3.0.0"),
        (found("versions"), {}, Action.CONFLICT, None),
    ],
)
def test_one_prompt(thing: Found, here: dict[str, Known], action: Action, number: str | None) -> None:
    step = only(thing, here=here)
    assert (step.action, None if step.number is None else str(step.number)) == (action, number)
    assert step.sentence


def test_says_why_the_step_is_so_large() -> None:
    step = only(found(content=WITH_X), here={"a": known()})
    assert step.bump is Bump.MAJOR
    assert step.reasons[0] == "Variable x is new and required."


def test_a_renamed_prompt_is_found_under_its_former_name() -> None:
    step = only(found("old", TWO), here={"old": known(name="new")})
    assert (step.name, step.action) == ("new", Action.NEW_VERSION)
    assert "(old was renamed to it)" in step.sentence


def test_two_files_with_one_name_are_both_left_out() -> None:
    first, second, third = steps(found("a"), found("A", TWO), found("b"))
    assert (first.action, second.action, third.action) == (Action.CONFLICT, Action.CONFLICT, Action.NEW)
    assert first.sentence == "a.txt defines the name A, too. Rename one, or leave one out."


def test_versions_of_one_export_follow_each_other() -> None:
    history = [
        found("a", content, order=order, paths=("x.json",)) for order, content in ((3, WITH_X), (1, ONE), (2, ONE))
    ]
    assert [(step.found.order, step.action, str(step.number)) for step in steps(*history)] == [
        (1, Action.NEW, "1.0.0"),
        (2, Action.SAME, "1.0.0"),
        (3, Action.NEW_VERSION, "2.0.0"),
    ]


def test_a_base_that_is_not_the_newest_is_a_conflict() -> None:
    here = {"a": known()}
    assert only(found(content=TWO), here=here, bases={"a.txt": Number(1, 2, 3)}).action is Action.NEW_VERSION
    step = only(found(content=TWO), here=here, bases={"a.txt": Number(1, 2, 2)})
    assert (step.action, step.code) == (Action.CONFLICT, "moved_on")


def test_includes_are_pinned_to_what_is_made_or_here_and_bring_their_variables() -> None:
    talk = found("talk", Content(messages=(Message("user", f"{{{{> a@{UNPINNED}}}}} {{{{> b@{UNPINNED}}}}}"),)))
    first, second = steps(talk, found("a", WITH_X), here={"b": known(TWO, "4.0.0", "b")})
    assert (first.name, second.name) == ("a", "talk")
    assert second.found.content.messages[0].content == "{{> a@1.0.0}} {{> b@4.0.0}}"
    assert [variable.name for variable in second.found.content.variables] == ["x"]


def test_an_include_in_another_language_is_said_before() -> None:
    talk = found("talk", text_content(f'{{% include "a@{UNPINNED}" %}}', syntax=Syntax.JINJA))
    _, step = steps(talk, found("a", WITH_X))
    assert step.problems == ("It includes a, which is no text prompt in jinja.",)


@pytest.mark.parametrize("syntax", Syntax)
def test_an_include_of_what_is_nowhere_can_be_a_draft_only(syntax: Syntax) -> None:
    text = f"{{{{> gone@{UNPINNED}}}}}" if syntax is Syntax.MUSTACHE else f'{{% include "gone@{UNPINNED}" %}}'
    step = only(found(content=text_content(text, syntax=syntax)))
    assert step.action is Action.NEW
    assert "It includes gone, which is not here." in step.problems[0]
    assert UNPINNED not in step.found.content.text


def test_a_circle_of_includes_ends() -> None:
    things = [found(one, text_content(f"{{{{> {other}@{UNPINNED}}}}}")) for one, other in (("a", "b"), ("b", "a"))]
    first, second = steps(*things)
    assert first.problems
    assert second.found.content.text in ("{{> a}}", "{{> b}}", "{{> a@1.0.0}}")


def test_what_cannot_be_published_counts_up_nothing() -> None:
    made = plan(
        Reading((found("a", TWO, order=1, paths=("x",)), found("a", WITH_X, order=2, paths=("x",)))),
        {"a": known()},
        check=lambda content: ["no"] if content == TWO else [],
    )
    assert [(step.problems, str(step.number)) for step in made.steps] == [(("no",), "1.2.4"), ((), "2.0.0")]
    assert made.count(Action.NEW_VERSION) == 2

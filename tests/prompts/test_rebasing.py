"""Bringing a draft onto a newer version keeps what either side changed."""

from __future__ import annotations

from dataclasses import replace

from apps.prompts import rebasing
from apps.prompts.content import Content, Message, Variable
from apps.prompts.types import Kind

TOOL = {"type": "function", "function": {"name": "look"}}
BASE = Content(
    messages=(Message("system", "Be kind."), Message("user", "{{question}}")),
    variables=(Variable("question"), Variable("shop")),
    model="small",
    parameters={"temperature": 0.2, "top_p": 1},
    tools=(TOOL,),
)


def test_keeps_what_either_side_changed() -> None:
    mine = replace(
        BASE,
        messages=(Message("system", "Be brief."), BASE.messages[1]),
        variables=(Variable("question"), Variable("shop"), Variable("tone")),
        parameters={"temperature": 0.9, "top_p": 1},
    )
    theirs = replace(
        BASE,
        messages=(BASE.messages[0], Message("user", "{{question}}!")),
        variables=(Variable("question", description="What is asked"),),
        model="large",
        parameters={"temperature": 0.2, "seed": 1},
        tools=(),
        response_schema={"type": "object"},
    )
    merged = rebasing.rebase(BASE, mine, theirs)
    assert merged.clashes == ()
    assert merged.content == Content(
        messages=(Message("system", "Be brief."), Message("user", "{{question}}!")),
        variables=(Variable("question", description="What is asked"), Variable("tone")),
        model="large",
        parameters={"temperature": 0.9, "seed": 1},
        response_schema={"type": "object"},
    )


def test_names_what_both_sides_changed_and_keeps_mine() -> None:
    mine = replace(BASE, model="mine", messages=(Message("system", "Mine."), BASE.messages[1]), parameters={"top_p": 2})
    theirs = replace(
        BASE,
        model="theirs",
        messages=(Message("system", "Theirs."), BASE.messages[1]),
        parameters={"temperature": 0.5, "top_p": 3},
    )
    merged = rebasing.rebase(BASE, mine, theirs)
    assert merged.content.model == "mine"
    assert merged.content.messages[0].content == "Mine."
    assert dict(merged.content.parameters) == {"top_p": 2}
    assert merged.clashes == ("model", "parameter top_p", "parameter temperature", "message 1")


def test_takes_the_same_change_once() -> None:
    both = replace(BASE, model="large", parameters={})
    assert rebasing.rebase(BASE, both, both) == rebasing.Rebased(both, ())


def test_merges_messages_as_a_whole_when_there_are_more_or_fewer() -> None:
    longer = replace(BASE, messages=(*BASE.messages, Message("assistant", "Yes?")))
    assert rebasing.rebase(BASE, BASE, longer).content.messages == longer.messages
    mine = replace(BASE, messages=(Message("user", "Only this."),))
    merged = rebasing.rebase(BASE, mine, longer)
    assert (merged.content.messages, merged.clashes) == (mine.messages, ("messages",))


def test_gives_a_content_that_can_be_stored_when_the_kind_changed() -> None:
    text = replace(BASE, kind=Kind.TEXT, messages=(Message("user", "One text."),))
    assert rebasing.rebase(BASE, BASE, text) == rebasing.Rebased(text, ())
    mine = replace(BASE, messages=(Message("system", "Mine."), BASE.messages[1]))
    merged = rebasing.rebase(BASE, mine, text)
    assert (merged.content.kind, merged.content.messages) == (mine.kind, mine.messages)
    assert "messages" in merged.clashes

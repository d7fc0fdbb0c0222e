"""A case: a conversation, the values of its variables, and all that goes with it to a model. Pure.

The content is a prompt's (`apps.prompts.content`). What a recorded message has beyond text, such as calls of tools or
images, is kept beside it in `more`, and goes out with it unchanged. The texts of a literal case are no templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.prompts.content import Content, Message, content_as_dict, content_from_dict

Json = Any
MORE = frozenset({"content", "tool_calls", "tool_call_id", "function_call", "refusal", "name"})
"""What a message may have beyond its text; `content` stands for content in parts."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is run. `more` has one entry for each message of the content."""

    content: Content
    values: Mapping[str, Json] = field(default_factory=dict)
    more: tuple[Mapping[str, Json], ...] = ()
    is_literal: bool = False

    def more_of(self, index: int) -> Mapping[str, Json]:
        """What the message has beyond its text."""
        return self.more[index] if index < len(self.more) else {}

    @property
    def has_more(self) -> bool:
        """True when a message has something that a prompt cannot hold."""
        return any(self.more)


def case_as_dict(case: Case) -> dict[str, Json]:
    """The case as JSON values; `case_from_dict` gives it back equal."""
    return {
        "content": content_as_dict(case.content),
        "values": dict(case.values),
        "more": [dict(one) for one in case.more],
        "is_literal": case.is_literal,
    }


def case_from_dict(told: Mapping[str, Json]) -> Case:
    """The case that the JSON object tells. Raises BadContent."""
    return Case(
        content=content_from_dict(told["content"]),
        values=dict(told["values"]),
        more=tuple(dict(one) for one in told["more"]),
        is_literal=bool(told["is_literal"]),
    )


def literal_messages(case: Case) -> list[dict[str, Json]]:
    """The messages as they stand, without any template being rendered."""
    return [_whole(as_sent(message), case.more_of(index)) for index, message in enumerate(case.content.messages)]


def with_more(case: Case, rendered: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """The rendered messages, each with what it has beyond its text; those given for a placeholder are whole already."""
    whole: list[dict[str, Json]] = []
    rest = list(rendered)
    after = sum(message.role != "placeholder" for message in case.content.messages)
    given = len(rest) - after
    for index, message in enumerate(case.content.messages):
        if message.role == "placeholder":
            # With one placeholder all messages that are left over are its own; with several each says how many.
            count = _given_count(case, message.content, given)
            whole += [dict(one) for one in rest[:count]]
            rest = rest[count:]
        else:
            whole.append(_whole(dict(rest.pop(0)), case.more_of(index)))
    return whole


def _given_count(case: Case, name: str, otherwise: int) -> int:
    holders = [message for message in case.content.messages if message.role == "placeholder"]
    if len(holders) == 1:
        return otherwise
    variable = case.content.variable(name)
    value = case.values.get(name)
    if value is None and variable is not None:
        value = variable.default
    return len(value) if isinstance(value, list | tuple) else 0


def as_sent(message: Message) -> dict[str, Json]:
    """The message in the shape of OpenAI's."""
    told: dict[str, Json] = {"role": message.role, "content": message.content}
    return {**told, "name": message.name} if message.name else told


def _whole(message: dict[str, Json], more: Mapping[str, Json]) -> dict[str, Json]:
    whole = {**message, **{name: value for name, value in more.items() if name in MORE}}
    if whole.get("content") == "" and whole.get("tool_calls"):
        whole["content"] = None
    return whole


def without_blank_messages(case: Case) -> Case:
    """The case without messages that say nothing at all."""
    kept = [
        (message, case.more_of(index))
        for index, message in enumerate(case.content.messages)
        if message.content.strip() or case.more_of(index)
    ]
    content = replace(case.content, messages=tuple(message for message, _more in kept))
    return replace(case, content=content, more=tuple(more for _message, more in kept))


def value_as_text(value: Json) -> str:
    """A value as it is typed: text as it is, anything else as JSON; empty for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)

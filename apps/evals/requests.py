"""What is sent to a model for an example: the frozen prompt with the example's values, messages and tools in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.evals.types import Json
from apps.prompts.content import Content
from apps.prompts.templating.rendering import render_for_call
from apps.prompts.types import VariableType
from apps.providers.calls import ModelRequest

CONTEXT = "context"
"""A variable of this name gets the example's documents when the example does not give it itself."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an example gives to a call."""

    variables: Mapping[str, Json]
    messages: Sequence[Mapping[str, Json]] | None = None
    tools: Sequence[Mapping[str, Json]] | None = None
    context: Sequence[Mapping[str, Json]] = ()


def request_for(content: Content, parameters: Mapping[str, Json], given: Given) -> ModelRequest:
    """The request. Raises RenderFailed, and TemplatesBusy for Jinja, whose templates another process renders.

    The example's messages take the place of the prompt's first placeholder that no variable fills; without one they
    follow the prompt's messages. Its tools stand in for the prompt's.
    """
    values, has_placed = _values(content, given)
    messages = list(render_for_call(content, values))
    if given.messages is not None and not has_placed:
        messages += [dict(one) for one in given.messages]
    return ModelRequest(
        messages=tuple(messages),
        parameters=parameters,
        tools=content.tools if given.tools is None else tuple(given.tools),
        response_schema=content.response_schema,
    )


def _values(content: Content, given: Given) -> tuple[dict[str, Any], bool]:
    """The values of the variables, and whether the example's messages are among them."""
    values, has_placed = dict(given.variables), False
    for variable in content.variables:
        if values.get(variable.name) is not None:
            continue
        if variable.type is VariableType.MESSAGES and given.messages is not None and not has_placed:
            values[variable.name], has_placed = [dict(one) for one in given.messages], True
        elif variable.name == CONTEXT and given.context:
            values[CONTEXT] = documents_for(given.context, variable.type)
    return values, has_placed


def documents_for(context: Sequence[Mapping[str, Json]], kind: VariableType) -> Json:
    """The documents as a variable of this type takes them: the list, or their texts with an empty line between."""
    if kind is VariableType.LIST:
        return [dict(one) for one in context]
    return "\n\n".join(str(one.get("content", "")) for one in context)


def needed_names(content: Content) -> tuple[tuple[str, bool, bool], ...]:
    """Each variable that an example must give, with whether the example's messages and its documents can stand in."""
    return tuple(
        (one.name, one.type is VariableType.MESSAGES, one.name == CONTEXT)
        for one in content.variables
        if one.is_required and one.default is None
    )

"""What callers ask of templates: render a prompt with values, check a source, find and put in its includes.

The syntax decides who answers: Mustache in this process, Jinja in a child of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from apps.core.errors import DomainError
from apps.prompts.content import Content, Message, Variable, fits
from apps.prompts.templating import jinja, mustache
from apps.prompts.templating.tokens import MAX_OUTPUT_BYTES, Include, Problem, TemplateError, Token, split_reference
from apps.prompts.types import Syntax, VariableType

MAX_VALUES_BYTES = 4 * 1024 * 1024
"""All values of one rendering, as JSON."""

Texts = Mapping[tuple[str, str], str] | Mapping[str, str]
"""Texts of snippets, by name and version or by reference (`name@1.2.0`)."""
EMPTY: Mapping[VariableType, Any] = {
    VariableType.TEXT: "",
    VariableType.NUMBER: "",
    VariableType.BOOLEAN: False,
    VariableType.LIST: [],
    VariableType.OBJECT: {},
    VariableType.MESSAGES: [],
}
"""What stands in for an optional variable that was not given."""
PLAIN = frozenset({VariableType.TEXT, VariableType.NUMBER, VariableType.BOOLEAN})


class RenderFailed(DomainError):
    """A template that cannot be rendered. `details` has `message_index` (from 0), `line` and `column` (from 1), and
    `variable`; each is None when it is not about one."""

    code, http_status, message = "template_error", 422, "This prompt cannot be rendered."


# --- Rendering ------------------------------------------------------------------------------------------------------


def render(content: Content, values: Mapping[str, Any]) -> tuple[Message, ...]:
    """The messages with the values in their places, placeholders replaced by the messages given for them.

    Includes must have been put in before (`Version.resolved`, or `expand`). Raises RenderFailed. A message given for a
    placeholder must be text; `render_for_call` takes any.
    """
    return tuple(_as_message(message, index) for index, message in enumerate(render_for_call(content, values)))


def render_for_call(content: Content, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """As `render`, in the shape of OpenAI's chat messages; messages given for a placeholder go through as they are."""
    known = checked_values(content, values)
    templates = [index for index, message in enumerate(content.messages) if message.role != "placeholder"]
    texts = dict(zip(templates, _render_all(content, templates, known), strict=True))
    rendered: list[Mapping[str, Any]] = []
    for index, message in enumerate(content.messages):
        if index not in texts:
            rendered += _given_messages(message.content, known, index)
            continue
        told = {"role": message.role, "content": texts[index]}
        rendered.append({**told, "name": message.name} if message.name else told)
    return tuple(rendered)


def _render_all(content: Content, indexes: Sequence[int], values: Mapping[str, Any]) -> list[str]:
    sources = [content.messages[index].content for index in indexes]
    if content.syntax is Syntax.JINJA:
        try:
            return jinja.render(sources, values)
        except jinja.SourceError as error:
            raise _failed(error.problem, indexes[error.index]) from error
    texts: list[str] = []
    size = 0
    for index, source in zip(indexes, sources, strict=True):
        try:
            texts.append(mustache.render(source, values))
        except TemplateError as error:
            raise _failed(error.problem, index) from error
        except RecursionError as error:
            raise _failed(Problem("The values are nested too deep. Make them flatter."), index) from error
        size += len(texts[-1].encode("utf-8", "surrogatepass"))
        if size > MAX_OUTPUT_BYTES:
            raise _failed(Problem("The rendered messages are larger than 1 MiB. Give smaller values."), index)
    return texts


def _failed(problem: Problem, index: int | None) -> RenderFailed:
    where = "" if index is None else f"Message {index + 1}"
    if where and problem.line:
        where += f", line {problem.line}"
    text = f"{where}: {problem.sentence}" if where else problem.sentence
    return _refusal(text, index, problem.line or None, problem.column or None)


def _refusal(
    text: str, index: int | None = None, line: int | None = None, column: int | None = None, variable: str | None = None
) -> RenderFailed:
    return RenderFailed(text, message_index=index, line=line, column=column, variable=variable)


def _given_messages(name: str, values: Mapping[str, Any], index: int) -> list[Mapping[str, Any]]:
    given = values.get(name, [])
    if not fits(given, VariableType.MESSAGES):
        raise _failed(Problem(f"{name} must be a list of messages, each with a role and a content."), index)
    return [dict(message) for message in given]


def _as_message(told: Mapping[str, Any], index: int) -> Message:
    content = told.get("content")
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        content = "\n".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) or told.get("tool_calls"):
        text = "A message given for a placeholder holds more than text, which is not shown here. Give text."
        raise _failed(Problem(text), index)
    return Message(str(told["role"]), content, str(told.get("name") or ""))


def checked_values(content: Content, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with defaults put in, and optional ones that were not given empty.

    Raises RenderFailed for a missing or unfitting one. Values for names that are no variable are passed on.
    """
    known = dict(values)
    for variable in content.variables:
        known[variable.name] = _value(variable, values.get(variable.name))
    try:
        size = len(json.dumps(known, allow_nan=False, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise _refusal(
            "The values must be JSON: text, numbers, true, false, null, lists and objects, and not nested too deep."
        ) from error
    if size > MAX_VALUES_BYTES:
        raise _refusal("All values together may have at most 4 MiB. Give smaller ones.")
    return known


def _value(variable: Variable, given: Any) -> Any:
    value = variable.default if given is None else given
    if value is None:
        if variable.is_required:
            text = f"There is no value for {variable.name}, which is required. Give one."
            raise _refusal(text, variable=variable.name)
        return EMPTY[variable.type]
    if not fits(value, variable.type):
        kind = "a list of messages" if variable.type is VariableType.MESSAGES else f"of type {variable.type.value}"
        text = f"The value of {variable.name} must be {kind}. Give one that is."
        raise _refusal(text, variable=variable.name)
    return value


# --- Reading --------------------------------------------------------------------------------------------------------


def read_ahead(content: Content) -> None:
    """Read all messages at once, so that what is asked about each of them next is known. Changes nothing else."""
    if content.syntax is Syntax.JINJA:
        jinja.read_ahead([message.content for message in content.messages if message.role != "placeholder"])


def check(source: str, syntax: Syntax) -> list[Problem]:
    """What keeps the source from being rendered, whatever the values; empty when it is well formed."""
    return jinja.check(source) if syntax is Syntax.JINJA else mustache.check(source)


def names_used(source: str, syntax: Syntax, variables: Collection[Variable] = ()) -> AbstractSet[str]:
    """The variables that the source surely asks for, in order of first use; `names_possible` has the others too.

    Knowing the variables' types makes more of them sure. Empty for what cannot be read.
    """
    if syntax is Syntax.JINJA:
        return dict.fromkeys(jinja.names_used(source)).keys()
    plain = {one.name for one in variables if one.type in PLAIN}
    return dict.fromkeys(mustache.names_used(source, plain)).keys()


def names_possible(source: str, syntax: Syntax) -> AbstractSet[str]:
    """Every variable that the source could use. One that is not here is not used."""
    names = jinja.names_used(source) if syntax is Syntax.JINJA else mustache.names_possible(source)
    return dict.fromkeys(names).keys()


def includes(source: str, syntax: Syntax) -> list[Include]:
    """The snippets that the source asks for, in their order."""
    return jinja.includes(source) if syntax is Syntax.JINJA else mustache.includes(source)


def expand(source: str, syntax: Syntax, texts: Texts) -> str:
    """The source with each include replaced by its text.

    Raises RenderFailed for an include that has no text, and for a result that is too large. Texts are put in as they
    are: expand them first.
    """
    by_version = {_name_and_version(key): text for key, text in texts.items()}
    try:
        return jinja.expand(source, by_version) if syntax is Syntax.JINJA else mustache.expand(source, by_version)
    except TemplateError as error:
        raise _failed(error.problem, None) from error


def _name_and_version(key: str | tuple[str, str]) -> tuple[str, str]:
    name, version = key if isinstance(key, tuple) else split_reference(key)
    return name, version or ""


def tokens(source: str, syntax: Syntax) -> list[Token]:
    """The source as tokens that together are the whole of it; never raises."""
    return jinja.tokens(source) if syntax is Syntax.JINJA else mustache.tokens(source)

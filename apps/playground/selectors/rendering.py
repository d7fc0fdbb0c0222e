"""What a case becomes: its snippets put in, its variables filled. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from apps.core.errors import DomainError
from apps.playground.case import Case, literal_messages, with_more
from apps.projects.models import Project
from apps.prompts.content import Content, Message, Variable
from apps.prompts.selectors.versions import published_texts
from apps.prompts.templating import rendering
from apps.prompts.templating.rendering import RenderFailed
from apps.prompts.templating.tokens import Include, TokenKind
from apps.prompts.types import Syntax, VariableType


class SnippetMissing(DomainError):
    """A message asks for a snippet that is not there."""

    code, http_status = "snippet_missing", 422
    message = "There is no published text prompt {reference} in this template language. Write a name and its version."


def require_readable(case: Case) -> None:
    """Raise RenderFailed for the first message whose template cannot be read, whatever the values."""
    if case.is_literal:
        return
    for index, message in enumerate(case.content.messages):
        problems = [] if message.role == "placeholder" else rendering.check(message.content, case.content.syntax)
        for problem in problems[:1]:
            where = f"Line {problem.line}: " if problem.line else ""
            raise RenderFailed(where + problem.sentence, message_index=index)


def rendered_messages(project: Project, case: Case) -> list[dict[str, Any]]:
    """The messages as they go out, in OpenAI's shape. Raises SnippetMissing or RenderFailed."""
    if case.is_literal:
        return literal_messages(case)
    content = _expanded(project, case.content)
    used = _names_possible(content)
    asked = tuple(one for one in content.variables if one.name in used or one.name in case.values)
    # A variable that no message uses any more keeps nothing from being sent.
    return with_more(case, rendering.render_for_call(replace(content, variables=asked), case.values))


def unused_variables(project: Project, case: Case) -> set[str]:
    """The declared variables that no message could use; none while a message cannot be read."""
    declared = {variable.name for variable in case.content.variables}
    if case.is_literal or not declared:
        return declared
    try:
        require_readable(case)
        return declared - _names_possible(_expanded(project, case.content))
    except DomainError:
        return set()


def _names_possible(content: Content) -> set[str]:
    """Every name that the expanded messages could take a variable's value by."""
    found: set[str] = set()
    for message in content.messages:
        is_place = message.role == "placeholder"
        found |= {message.content} if is_place else rendering.names_possible(message.content, content.syntax)
    return found


def undeclared_variables(project: Project, case: Case) -> list[Variable]:
    """The variables that the messages use and nobody has declared, in the order of their first use."""
    if case.is_literal:
        return []
    try:
        messages = _expanded(project, case.content).messages
    except DomainError:
        messages = case.content.messages  # what cannot be put in is said when it is run
    known = {variable.name for variable in case.content.variables}
    found: dict[str, Variable] = {}
    for message in messages:
        for variable in _used(message, case.content.syntax):
            if variable.name not in known:
                found.setdefault(variable.name, variable)
    return list(found.values())


def _used(message: Message, syntax: Syntax) -> Iterator[Variable]:
    if message.role == "placeholder":
        yield Variable(message.content, VariableType.MESSAGES)
        return
    repeated = {token.name for token in rendering.tokens(message.content, syntax) if token.kind is TokenKind.SECTION}
    for name in rendering.names_used(message.content, syntax):
        is_list = syntax is Syntax.MUSTACHE and name in repeated
        yield Variable(name, VariableType.LIST if is_list else VariableType.TEXT)


def _expanded(project: Project, content: Content) -> Content:
    """The content with every snippet in its place."""
    wanted: dict[str, Include] = {}
    for message in content.messages:
        if message.role != "placeholder":
            wanted |= {one.reference: one for one in rendering.includes(message.content, content.syntax)}
    if not wanted:
        return content
    pairs = {(one.name, one.version) for one in wanted.values() if one.version is not None}
    texts = published_texts(project.pk, pairs, content.syntax)
    for reference, one in wanted.items():
        if (one.name, one.version) not in texts:
            raise SnippetMissing(reference=reference)
    messages = tuple(
        message
        if message.role == "placeholder"
        else replace(message, content=rendering.expand(message.content, content.syntax, texts))
        for message in content.messages
    )
    return replace(content, messages=messages)

"""Putting a content together: its templates are read, its snippets are found and put in place.

What a published snippet says never changes, so all this can be done before anything is locked; templates are read in a
process of their own, which takes its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from apps.prompts import content as contents
from apps.prompts.content import BadContent, Content, Message
from apps.prompts.selectors.versions import newest_number_of, published_texts
from apps.prompts.templating import rendering


@dataclass(frozen=True, slots=True)
class Resolved:
    """A content that can be rendered: its messages with every snippet in place, and which snippets those are."""

    content: Content
    messages: tuple[Message, ...]
    includes: tuple[tuple[str, str], ...]


def resolve(*, project_id: int, content: Content) -> Resolved:
    """The content with its snippets in place. Raises BadContent, naming each message that cannot work."""
    if not content.messages:
        raise BadContent({"messages": ["A prompt needs at least one message."]})
    rendering.read_ahead(content)
    problems: dict[str, list[str]] = {}
    wanted = _snippets(project_id, content, problems)
    texts = published_texts(project_id, wanted.keys(), content.syntax)
    for (name, version), where in wanted.items():
        if (name, version) not in texts:
            sentence = f"There is no published text prompt {name}@{version} in {content.syntax.value}."
            problems.setdefault(where, []).append(sentence)
    if problems:
        raise BadContent(problems)
    expanded = tuple(_expanded(message, content, texts) for message in content.messages)
    rendering.read_ahead(replace(content, messages=expanded))
    problems = _undeclared(content, expanded)
    if problems:
        raise BadContent(problems)
    if sum(len(message.content) for message in expanded) > contents.MAX_JSON:
        raise BadContent({"messages": [f"With its snippets, a prompt may hold {contents.MAX_JSON // 1024} KiB."]})
    return Resolved(content, expanded, tuple(sorted(wanted)))


def _snippets(project_id: int, content: Content, problems: dict[str, list[str]]) -> dict[tuple[str, str], str]:
    """The snippets asked for, as (name, version), each with the place that asks for it."""
    wanted: dict[tuple[str, str], str] = {}
    for place, message in enumerate(content.messages):
        if message.role == "placeholder":
            continue
        where = f"messages.{place}.content"
        faults = [problem.sentence for problem in rendering.check(message.content, content.syntax)]
        if not faults:
            for include in rendering.includes(message.content, content.syntax):
                if include.version is None:
                    faults.append(_unpinned(project_id, include.name))
                else:
                    wanted[include.name, include.version] = where
        if faults:
            problems[where] = faults
    return wanted


def _unpinned(project_id: int, name: str) -> str:
    """What to write instead of a snippet without a version."""
    newest = newest_number_of(project_id, name)
    if newest is None:
        return f"There is no published text prompt {name} to include."
    return f"Name the version of the snippet: {name}@{newest} is the newest."


def _expanded(message: Message, content: Content, texts: Mapping[tuple[str, str], str]) -> Message:
    if message.role == "placeholder":
        return message
    return replace(message, content=rendering.expand(message.content, content.syntax, texts))


def _undeclared(content: Content, expanded: tuple[Message, ...]) -> dict[str, list[str]]:
    """Variables that the messages use and nobody declares."""
    declared = {variable.name for variable in content.variables}
    problems: dict[str, list[str]] = {}
    for place, message in enumerate(expanded):
        used = (
            [message.content]
            if message.role == "placeholder"
            else rendering.names_used(message.content, content.syntax, content.variables)
        )
        for name in sorted(set(used) - declared):
            sentence = f"The variable {name} is used and not declared. Add it to the variables."
            problems.setdefault(f"messages.{place}.content", []).append(sentence)
    return problems

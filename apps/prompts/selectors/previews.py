"""What a content looks like with its sample values, before anybody publishes it: rendered, counted, looked over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.projects.models import Project
from apps.prompts.content import Content, Message, Variable
from apps.prompts.linting import Finding, Knowledge, lint
from apps.prompts.selectors.versions import newest_number_of, published_texts
from apps.prompts.templating import rendering
from apps.prompts.templating.rendering import RenderFailed
from apps.prompts.templating.tokens import Include
from apps.prompts.types import VariableType
from apps.providers import tokens
from apps.providers.selectors.estimates import estimate_cost

MOST_SNIPPETS_LOOKED_UP = 20


@dataclass(frozen=True, slots=True)
class Size:
    """How large the rendered prompt is. The cost is in dollars, None without a known price; `most_usd` is with an
    answer of `max_tokens`."""

    tokens: int
    is_exact: bool
    window: int | None
    input_usd: Decimal | None
    most_usd: Decimal | None
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The rendered messages, or the problem why there are none; and what is to be said about the content.

    `undeclared` are variables that the text uses and nobody declares, `invented` those without a sample, whose values
    here are made up.
    """

    messages: tuple[Message, ...]
    problem: str
    undeclared: tuple[str, ...]
    invented: tuple[str, ...]
    size: Size | None = None
    findings: list[Finding] = field(default_factory=list)


def preview(project: Project, content: Content, *, now: datetime) -> Preview:
    """The content with its snippets, samples and defaults in place. Never raises for what is typed."""
    includes = _includes(content)
    texts = _snippets(project, content, includes)
    known = Knowledge(snippets=texts, newest=_newest(project, includes))
    findings = lint(content, known)
    undeclared = _undeclared(content, findings)
    values, invented = _values(content, undeclared)
    try:
        messages = rendering.render(_expanded(content, texts) if includes else content, values)
    except RenderFailed as error:
        return Preview((), error.text, undeclared, invented, None, findings)
    size = _size(project, content, messages, now)
    if size.window is not None and size.tokens > size.window // 2:
        findings = lint(content, known._replace(tokens=size.tokens, window=size.window))
    return Preview(messages, "", undeclared, invented, size, findings)


def findings_of(project: Project, content: Content) -> list[Finding]:
    """What a careful colleague would say about the content."""
    includes = _includes(content)
    known = Knowledge(snippets=_snippets(project, content, includes), newest=_newest(project, includes))
    return lint(content, known)


def _newest(project: Project, includes: Sequence[Include]) -> dict[str, str]:
    """The newest versions of the snippets that are asked for without one."""
    names = [include.name for include in includes if include.version is None]
    found = {name: newest_number_of(project.pk, name) for name in sorted(set(names))[:MOST_SNIPPETS_LOOKED_UP]}
    return {name: str(number) for name, number in found.items() if number is not None}


def _templates(content: Content) -> list[Message]:
    return [message for message in content.messages if message.role != "placeholder"]


def _includes(content: Content) -> list[Include]:
    return [one for message in _templates(content) for one in rendering.includes(message.content, content.syntax)]


def _snippets(project: Project, content: Content, includes: Sequence[Include]) -> dict[tuple[str, str], str]:
    """The texts of the snippets in use, by name and version. One that is not there stays away."""
    wanted = sorted({(one.name, one.version) for one in includes if one.version is not None})
    return published_texts(project.pk, wanted[:MOST_SNIPPETS_LOOKED_UP], content.syntax) if wanted else {}


def _expanded(content: Content, texts: Mapping[tuple[str, str], str]) -> Content:
    """The content with its snippets in place. Raises RenderFailed."""
    messages = (
        one if one.role == "placeholder" else replace(one, content=rendering.expand(one.content, content.syntax, texts))
        for one in content.messages
    )
    return replace(content, messages=tuple(messages))


def _undeclared(content: Content, findings: list[Finding]) -> tuple[str, ...]:
    """Names that are used and not declared, in the order of the text."""
    found = dict.fromkeys(one.variable for one in findings if one.code == "undefined_variable" and one.variable)
    return tuple(found)


def _values(content: Content, undeclared: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A value for every variable: its sample, its default, or one that is made up."""
    values = content.samples
    invented = []
    for variable in content.variables:
        if variable.name not in values and variable.default is None and variable.is_required:
            values[variable.name] = _made_up(variable)
            invented.append(variable.name)
    placeholders = {message.content for message in content.messages if message.role == "placeholder"}
    for name in undeclared:
        values[name] = [] if name in placeholders else f"‹{name}›"
    return values, tuple(invented)


def _made_up(variable: Variable) -> Any:
    stand_ins: dict[VariableType, Any] = {
        VariableType.TEXT: f"‹{variable.name}›",
        VariableType.NUMBER: 1,
        VariableType.BOOLEAN: True,
        VariableType.LIST: [f"‹{variable.name}›"],
        VariableType.OBJECT: {},
        VariableType.MESSAGES: [],
    }
    return stand_ins[variable.type]


def _size(project: Project, content: Content, messages: tuple[Message, ...], now: datetime) -> Size:
    told = [{"role": one.role, "content": one.content} for one in messages]
    counted = tokens.count_messages(told, content.model, tools=content.tools)
    given = content.parameters.get("max_tokens")
    most = given if isinstance(given, int) and not isinstance(given, bool) and 0 < given < 10**9 else None
    return Size(
        tokens=counted.tokens,
        is_exact=counted.method is tokens.Method.EXACT,
        window=tokens.context_window(content.model) if content.model else None,
        input_usd=_cost(project, content, counted.tokens, 0, now),
        most_usd=None if most is None else _cost(project, content, counted.tokens, most, now),
        max_tokens=most,
    )


def _cost(project: Project, content: Content, input_tokens: int, output_tokens: int, now: datetime) -> Decimal | None:
    return estimate_cost(
        project_id=project.pk, model=content.model, input_tokens=input_tokens, output_tokens=output_tokens, now=now
    )

"""What the page begins with: nothing, a version, a draft, or a recorded call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.playground import recorded
from apps.playground.case import Case
from apps.playground.types import Origin
from apps.projects.models import Project
from apps.prompts import selectors as prompts
from apps.prompts.content import Content, Message
from apps.prompts.models import Draft, Prompt, Version
from apps.providers.types import OfferedModel
from apps.telemetry.selectors import one_trace


@dataclass(frozen=True, slots=True)
class Start:
    """A case, the models it is meant for, and where it came from. `revision` is the draft's when it was opened."""

    case: Case
    models: tuple[str, ...] = ()
    origin: Origin = Origin.EMPTY
    prompt_name: str = ""
    prompt_version: str = ""
    revision: int | None = None
    trace_id: str = ""
    span_id: str = ""


EMPTY = Case(content=Content(messages=(Message("system", ""), Message("user", ""))))


def empty_start() -> Start:
    """Two blank messages."""
    return Start(EMPTY)


def from_prompt(project: Project, name: str, user: User) -> Start:
    """What one would want to try of a prompt: one's own draft, or else its newest version. Raises NotFound."""
    prompt = prompts.get_prompt(project, name)
    draft = prompts.get_draft(prompt, user)
    if draft is not None:
        return _of_draft(prompt, draft)
    latest = prompts.latest_version(prompt)
    # Origin.EMPTY with a name: the page says that the prompt has no text yet.
    return Start(EMPTY, prompt_name=prompt.name) if latest is None else _of_version(prompt, latest)


def from_version(project: Project, name: str, number: str) -> Start:
    """A published version with its sample values. Raises NotFound."""
    prompt = prompts.get_prompt(project, name)
    return _of_version(prompt, prompts.get_version(prompt, number))


def from_draft(project: Project, name: str, user: User) -> Start:
    """This person's draft with its sample values; without one, what `from_prompt` begins with. Raises NotFound."""
    return from_prompt(project, name, user)


def _of_version(prompt: Prompt, version: Version) -> Start:
    content = version.body
    return Start(_sampled(content), _models(content), Origin.VERSION, prompt.name, prompt_version=str(version.number))


def _of_draft(prompt: Prompt, draft: Draft) -> Start:
    content = draft.body
    base = "" if draft.base is None else str(draft.base.number)
    return Start(_sampled(content), _models(content), Origin.DRAFT, prompt.name, base, draft.revision)


def _sampled(content: Content) -> Case:
    return Case(content=content, values=content.samples)


def _models(content: Content) -> tuple[str, ...]:
    return (content.model,) if content.model else ()


def from_trace(project: Project, trace_id: str, span_id: str) -> Start:
    """A recorded call: its messages, tools, parameters and model. Raises NotFound."""
    outline = one_trace.get_outline(project.pk, trace_id)
    place = outline.place_of(span_id) if span_id else outline.place_to_open()
    if place is None:
        raise NotFound
    (span,) = outline.spans(place, place + 1)
    found = recorded.read(
        input_=span.input,
        attributes=span.attributes or {},
        request_model=span.request_model,
        response_model=span.response_model,
        provider=span.provider,
    )
    return Start(
        found.case,
        (f"{found.provider}/{found.model}" if found.provider else found.model,) if found.model else (),
        Origin.TRACE,
        span.prompt_name,
        span.prompt_version,
        trace_id=outline.trace_id,
        span_id=span.span_id,
    )


def fitting_model(wanted: str, offered: Sequence[OfferedModel]) -> str:
    """The offered model that is meant: by its name, provider and model, or model alone; else what was said."""
    for model in offered:
        if wanted in (model.name, f"{model.provider}/{model.model}"):
            return model.name
    for model in offered:
        if wanted.rpartition("/")[2] == model.model or wanted == model.model:
            return model.name
    return wanted

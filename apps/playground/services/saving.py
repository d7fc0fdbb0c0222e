"""A case as somebody's draft of a prompt."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import DomainError, NotFound
from apps.playground.case import Case, without_blank_messages
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.prompts import selectors, services
from apps.prompts.content import Content, Variable, fits
from apps.prompts.models import Draft, Version
from apps.prompts.types import Kind, Origin


class NotAPrompt(DomainError):
    """The case holds what a prompt cannot hold."""

    code, http_status = "not_a_prompt", 422


@transaction.atomic
def save_as_draft(
    *,
    project: Project,
    user: User,
    actor: Actor,
    case: Case,
    name: str,
    is_new: bool,
    model: str,
    base: str,
    revision: int | None,
    overwrites: bool,
    now: datetime,
) -> Draft:
    """Save the case as this person's draft of the prompt `name`, which is made when `is_new`.

    `base` is the version it began with, `revision` the draft's as it was opened. Raises DraftConflict when another
    draft of theirs is stored, unless `overwrites`; NotAPrompt, NotFound, and what creating a prompt raises.
    """
    content = _content(case, model)
    if is_new:
        prompt = services.create_prompt(project=project, name=name.strip(), actor=actor, now=now)
    else:
        prompt = selectors.get_prompt(project, name)
    stored = selectors.get_draft(prompt, user)
    if overwrites:
        revision = None if stored is None else stored.revision
    return services.save_draft(
        prompt=prompt,
        author=user,
        content=content,
        revision=revision,
        base=None if is_new else _base(project, prompt.name, base),
        now=now,
        note="" if stored is None else stored.note,
        origin=Origin.PLAYGROUND,
    )


def _base(project: Project, name: str, number: str) -> Version | None:
    if not number:
        return None
    try:
        return selectors.get_version(selectors.get_prompt(project, name), number)
    except NotFound:
        return None


def _content(case: Case, model: str) -> Content:
    case = without_blank_messages(case)
    if case.has_more:
        place = next(index for index in range(len(case.more)) if case.more[index])
        raise NotAPrompt(
            f"Message {place + 1} holds more than text (calls of tools, or images), which a prompt does not keep. "
            "Remove it, or write what it says as text."
        )
    if case.is_literal and any("{{" in message.content for message in case.content.messages):
        raise NotAPrompt("The texts hold {{, which would be a variable in a prompt. Choose a template language first.")
    content = replace(case.content, model=model, variables=tuple(_sampled(one, case) for one in case.content.variables))
    is_text = content.kind is Kind.TEXT and [message.role for message in content.messages] == ["user"]
    return replace(content, kind=Kind.TEXT if is_text else Kind.CHAT)


def _sampled(variable: Variable, case: Case) -> Variable:
    """The variable with the value it has here as its sample."""
    value = case.values.get(variable.name)
    return replace(variable, sample=value) if value is not None and fits(value, variable.type) else variable

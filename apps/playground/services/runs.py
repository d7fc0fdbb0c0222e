"""Beginning a run: its row, and one row for each answer it shall get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import DomainError, Invalid, NotFound
from apps.playground.case import Case, case_as_dict, without_blank_messages
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.selectors.rendering import rendered_messages
from apps.playground.types import MOST_COLUMNS, OPEN, AnswerState, Origin
from apps.projects.models import Project
from apps.prompts import selectors as prompts
from apps.prompts.content import content_hash

MOST_RUNNING = 16
"""Answers of one project that may be on their way at once."""

OPEN_FOR = timedelta(minutes=10)
"""Open answers that are older do not count against that: their deadline closes them."""


class TooManyRunning(DomainError):
    """The project, or this process, has as many calls on their way as it may have."""

    code, http_status = "too_many_running", 429
    message = (
        "{running} answers are on their way already, and {most} are the most at once. Wait for them, or cancel some."
    )
    retry_after_seconds = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Where the case of a run came from, as the page says it."""

    origin: Origin = Origin.EMPTY
    prompt_name: str = ""
    prompt_version: str = ""
    trace_id: str = ""
    span_id: str = ""


def create_run(
    *, project: Project, actor: User, case: Case, models: Sequence[str], source: Source, now: datetime
) -> PlaygroundRun:
    """A run whose answers are queued, one for each model, left to right.

    Raises Invalid, RenderFailed or SnippetMissing for a case that cannot go out, and TooManyRunning.
    """
    chosen = [model.strip() for model in models if model.strip()]
    if not 1 <= len(chosen) <= MOST_COLUMNS:
        raise Invalid(models=[f"Choose one to {MOST_COLUMNS} models."])
    case = without_blank_messages(case)
    if not case.content.messages:
        raise Invalid(messages=["Write at least one message."])
    # Before the transaction: a template in Jinja is rendered by another process.
    messages = rendered_messages(project, case)
    is_edited = _is_edited(project, case, source)
    with transaction.atomic():
        _require_room(project, len(chosen), now)
        run = PlaygroundRun.objects.create(
            project=project,
            actor=actor,
            actor_name=str(actor)[:254],
            origin=source.origin,
            prompt_name=source.prompt_name,
            prompt_version=source.prompt_version,
            is_edited=is_edited,
            trace_id=source.trace_id,
            span_id=source.span_id,
            case=case_as_dict(case),
            messages=messages,
            created_at=now,
        )
        PlaygroundAnswer.objects.bulk_create(
            PlaygroundAnswer(project=project, run=run, column=column, model=model[:300], created_at=now)
            for column, model in enumerate(chosen)
        )
    return run


def _is_edited(project: Project, case: Case, source: Source) -> bool:
    """True unless the case is what the version says; the model is chosen here and is no edit."""
    if source.origin is not Origin.VERSION:
        return source.origin is Origin.DRAFT
    try:
        version = prompts.get_version(prompts.get_prompt(project, source.prompt_name), source.prompt_version)
    except NotFound:
        return True
    published = version.body
    same_model = replace(case.content, model=published.model)
    return case.is_literal or content_hash(same_model) != content_hash(published)


def _require_room(project: Project, more: int, now: datetime) -> None:
    """Raise TooManyRunning when the project has no room for so many more. Locks the project's row, so that two runs do
    not count the same room."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    open_now = PlaygroundAnswer.objects.filter(project=project, state__in=OPEN, created_at__gt=now - OPEN_FOR).count()
    if open_now + more > MOST_RUNNING:
        raise TooManyRunning(running=open_now, most=MOST_RUNNING)


def refuse_answer(*, answer_id: int, error: DomainError, now: datetime) -> None:
    """Note on a queued answer that it could not begin, and why."""
    PlaygroundAnswer.objects.filter(pk=answer_id, state=AnswerState.QUEUED).update(
        state=AnswerState.FAILED, error_code=error.code[:64], error=error.text, ended_at=now
    )

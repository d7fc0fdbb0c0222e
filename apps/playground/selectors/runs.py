"""Runs and their answers, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.playground.case import Case, case_from_dict
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.types import OPEN, AnswerState
from apps.projects.models import Project
from apps.providers.presets import TEST

LISTED = 20


@dataclass(frozen=True, slots=True)
class ToolCallView:
    """A call of a tool: its arguments are the JSON text as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer. Numbers that are not known are None."""

    id: int
    uuid: UUID
    column: int
    model: str
    connection: str
    response_model: str
    state: AnswerState
    text: str
    tool_calls: tuple[ToolCallView, ...]
    finish_reason: str
    is_complete: bool
    ttft_ms: int | None
    total_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    error: str
    trace_id: str
    span_id: str
    is_traced: bool
    started_at: datetime | None

    @property
    def is_open(self) -> bool:
        """True while something may still come."""
        return self.state in OPEN

    @property
    def is_test(self) -> bool:
        """True for the test model that is shipped."""
        return self.model.startswith(f"{TEST}/")

    @property
    def number(self) -> int:
        """The column as people count."""
        return self.column + 1


@dataclass(frozen=True, slots=True)
class RunView:
    """One run with its answers, left to right."""

    run: PlaygroundRun
    case: Case
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list. The cost is what is known of it; `unpriced` answers are not in it."""

    uuid: UUID
    actor_name: str
    origin: str
    prompt_name: str
    prompt_version: str
    is_edited: bool
    gist: str
    answers: tuple[AnswerView, ...]
    cost_usd: Decimal | None
    unpriced: int
    created_at: datetime


def get_run(project: Project, uuid: UUID) -> RunView:
    """The run with its answers. Raises NotFound."""
    run = PlaygroundRun.objects.prefetch_related("answers").filter(project=project, uuid=uuid).first()
    if run is None:
        raise NotFound
    return RunView(run, case_from_dict(run.case), _views(run.answers.all()))


def get_answer(project: Project, uuid: UUID) -> AnswerView:
    """One answer of the project. Raises NotFound."""
    answer = PlaygroundAnswer.objects.filter(project=project, uuid=uuid).first()
    if answer is None:
        raise NotFound
    return _view(answer)


def list_runs(project: Project, *, actor: User | None = None, limit: int = LISTED) -> list[RunLine]:
    """The newest runs of the project, or of one person in it."""
    rows = PlaygroundRun.objects.filter(project=project).prefetch_related("answers").order_by("-created_at", "-pk")
    if actor is not None:
        rows = rows.filter(actor=actor)
    return [_line(run) for run in rows[:limit]]


def _line(run: PlaygroundRun) -> RunLine:
    answers = _views(run.answers.all())
    known = [answer.cost_usd for answer in answers if answer.cost_usd is not None]
    return RunLine(
        uuid=run.uuid,
        actor_name=run.actor_name,
        origin=run.origin,
        prompt_name=run.prompt_name,
        prompt_version=run.prompt_version,
        is_edited=run.is_edited,
        gist=_gist(run.messages),
        answers=answers,
        cost_usd=sum(known, Decimal(0)) if known else None,
        unpriced=len(answers) - len(known),
        created_at=run.created_at,
    )


def _gist(messages: list[dict[str, object]]) -> str:
    """The beginning of the last message of the user, or else of the last one that has a text."""
    asked = [message for message in messages if message.get("role") == "user"]
    for message in [*reversed(asked), *reversed(messages)]:
        content = message.get("content")
        if isinstance(content, str) and content.strip():
            return " ".join(content.split())[:120]
    return ""


def _views(rows: Iterable[PlaygroundAnswer]) -> tuple[AnswerView, ...]:
    return tuple(_view(row) for row in rows)


def _view(row: PlaygroundAnswer) -> AnswerView:
    return AnswerView(
        id=row.pk,
        uuid=row.uuid,
        column=row.column,
        model=row.model,
        connection=row.connection,
        response_model=row.response_model,
        state=AnswerState(row.state),
        text=row.text,
        tool_calls=tuple(ToolCallView(str(one["name"]), str(one["arguments"])) for one in row.tool_calls),
        finish_reason=row.finish_reason,
        is_complete=row.is_complete,
        ttft_ms=row.ttft_ms,
        total_ms=row.total_ms,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=row.cost_usd,
        error=row.error,
        trace_id=row.trace_id,
        span_id=row.span_id,
        is_traced=row.is_traced,
        started_at=row.started_at,
    )

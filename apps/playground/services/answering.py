"""One answer: claimed once, asked for by a door or a page, and kept with what it cost. The call itself is not here."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.core.errors import Conflict, DomainError
from apps.playground.case import case_from_dict
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.playground.receiving import Outcome
from apps.playground.services import telling
from apps.playground.types import AnswerState
from apps.projects.models import Membership, Project
from apps.projects.types import Role
from apps.providers.calls import ModelRequest, Target
from apps.providers.selectors.connections import target_for

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=1)
MOST_KEPT = 1_000_000
"""So many characters of an answer are kept."""


class AlreadyRun(Conflict):
    """The answer is on its way, or done; a link to it works once."""

    code, message = "already_run", "This answer was asked for already. Run it again."


class NotYours(DomainError):
    """Somebody else's run, or a role that does not allow it any more."""

    code, http_status, message = "forbidden", 403, "This run is not yours."


@dataclass(frozen=True, slots=True)
class Call:
    """A claimed answer: what to send, and where. `target` is None when there is nowhere to send it."""

    answer_id: int
    request: ModelRequest
    target: Target | None
    refusal: DomainError | None = None


def claim(*, answer_id: int, user_id: int, now: datetime) -> Call:
    """Take the queued answer, so that nobody else does. Raises AlreadyRun, and NotYours for anybody but its person.

    The key of the connection is unsealed here and goes nowhere but into the call.
    """
    answer = PlaygroundAnswer.objects.select_related("run", "project").filter(pk=answer_id).first()
    if answer is None or answer.run.actor_id != user_id or not _may_run(answer.project, user_id):
        raise NotYours
    target: Target | None = None
    refusal: DomainError | None = None
    try:
        target = target_for(answer.project, answer.model)
    except DomainError as error:
        refusal = error
    longest = timedelta(seconds=target.limits.total_seconds if target is not None else 0)
    taken = PlaygroundAnswer.objects.filter(pk=answer.pk, state=AnswerState.QUEUED).update(
        state=AnswerState.RUNNING,
        started_at=now,
        deadline_at=now + longest + GRACE,
        connection=target.connection if target is not None else "",
        provider=target.provider if target is not None else "",
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
    )
    if taken != 1:
        raise AlreadyRun
    return Call(answer.pk, _request(answer.run), target, refusal)


def _may_run(project: Project, user_id: int) -> bool:
    membership = Membership.objects.filter(project=project, user_id=user_id, user__is_active=True).first()
    return membership is not None and membership.rank.allows(Role.EDITOR)


def _request(run: PlaygroundRun) -> ModelRequest:
    content = case_from_dict(run.case).content
    return ModelRequest(
        messages=tuple(run.messages),
        parameters=content.parameters,
        tools=content.tools,
        response_schema=content.response_schema,
    )


def finish(*, answer_id: int, outcome: Outcome, now: datetime) -> None:
    """Keep how the call ended, once, and tell telemetry. What telemetry does not take is logged and loses no answer."""
    values = _values(outcome)
    with transaction.atomic():
        ended = PlaygroundAnswer.objects.filter(pk=answer_id, state=AnswerState.RUNNING).update(**values, ended_at=now)
    if ended != 1:
        return
    answer = PlaygroundAnswer.objects.select_related("run", "run__project").get(pk=answer_id)
    try:
        cost_usd = telling.tell(answer, now=now)
    except Exception:
        # The answer is kept and shown; only its span is missing, and the page says so.
        log.exception("a run of the playground could not be stored as telemetry")
        return
    PlaygroundAnswer.objects.filter(pk=answer_id).update(is_traced=True, cost_usd=cost_usd)


def _values(outcome: Outcome) -> dict[str, object]:
    reply = outcome.reply
    if reply is None:
        return {
            "state": outcome.state,
            "text": _clean(outcome.text),
            "tool_calls": [dict(call) for call in outcome.tool_calls],
            "finish_reason": "",
            "is_complete": False,
            "ttft_ms": outcome.ttft_ms,
            "total_ms": outcome.total_ms,
            "error_code": outcome.error_code[:64],
            "error": _clean(outcome.error),
        }
    return {
        "state": outcome.state,
        "text": _clean(reply.text),
        "tool_calls": [
            {"id": call.id, "name": _clean(call.name), "arguments": _clean(call.arguments)} for call in reply.tool_calls
        ],
        "finish_reason": (reply.finish_reason or "")[:64] if reply.is_complete else "",
        "is_complete": reply.is_complete and outcome.state is AnswerState.DONE,
        "response_model": reply.model[:200],
        "ttft_ms": reply.ttft_ms,
        "total_ms": reply.total_ms,
        "input_tokens": reply.usage.input_tokens,
        "output_tokens": reply.usage.output_tokens,
        "cached_input_tokens": reply.usage.cached_input_tokens,
        "reasoning_tokens": reply.usage.reasoning_tokens,
        "error_code": outcome.error_code[:64],
        "error": _clean(outcome.error),
    }


def _clean(text: str) -> str:
    """The text as PostgreSQL can hold it."""
    held = text[:MOST_KEPT].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return held.encode("utf-8", "replace").decode("utf-8")

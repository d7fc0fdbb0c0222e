"""Running all columns of a run at once for a page without script, which waits for the whole answers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic

from apps.core import egress
from apps.core.errors import DomainError
from apps.playground.models import PlaygroundRun
from apps.playground.receiving import Outcome, Received
from apps.playground.services.answering import Call, claim, finish
from apps.playground.services.runs import TooManyRunning, refuse_answer
from apps.providers import client

log = logging.getLogger(__name__)

MOST_WAITING = 2
"""So many threads of this process may wait for answers; the others serve pages."""

_room = threading.BoundedSemaphore(MOST_WAITING)


def run_plainly(*, run: PlaygroundRun, user_id: int, now: datetime) -> None:
    """Ask all models of the run and keep their answers. Raises TooManyRunning when too many threads wait already."""
    answers = list(run.answers.all())
    if not _room.acquire(blocking=False):
        refusal = TooManyRunning(running=MOST_WAITING, most=MOST_WAITING)
        for answer in answers:
            refuse_answer(answer_id=answer.pk, error=refusal, now=now)
        raise refusal
    try:
        began = monotonic()
        calls = [claim(answer_id=answer.pk, user_id=user_id, now=now) for answer in answers]
        outcomes = egress.run_in_loop(_ask_all(calls))
        for call, outcome in zip(calls, outcomes, strict=True):
            finish(answer_id=call.answer_id, outcome=outcome, now=now + timedelta(seconds=monotonic() - began))
    finally:
        _room.release()


async def _ask_all(calls: Sequence[Call]) -> list[Outcome]:
    return list(await asyncio.gather(*(_ask(call) for call in calls)))


async def _ask(call: Call) -> Outcome:
    received = Received()
    try:
        if call.target is None:
            assert call.refusal is not None
            raise call.refusal
        return received.done(await client.complete(call.target, call.request))
    except DomainError as error:
        return received.failed(error)
    except Exception:
        # One column's surprise must not take the others' answers with it.
        log.exception("a call of the playground failed")
        return received.broken("Something failed on our side. The log has it.")

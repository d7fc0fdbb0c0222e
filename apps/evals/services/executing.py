"""The worker of runs: leases those that are due and drives them all in one loop, until nothing is due or time is up.

What it holds it holds by leases that it renews each second. A worker that dies or hangs lets them run out, and another
goes on from the rows.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from apps.core import clock, egress, jobs
from apps.evals.models import EvalRun
from apps.evals.pacing import Throttle
from apps.evals.selectors.due_runs import is_anything_due
from apps.evals.services import executing_plan, run_ending
from apps.evals.services import executing_rows as rows
from apps.evals.services.executing_office import Office
from apps.evals.services.executing_plan import Plan
from apps.evals.services.executing_rows import LeaseLost, Write
from apps.evals.services.executing_run import CANCELED, HANDED_BACK, LOST, Drive, Verdict
from apps.evals.services.executing_teller import Teller
from apps.evals.services.telling import Told
from apps.evals.types import RunState

log = logging.getLogger(__name__)

WAKE_UP = "evals.work"
MOST_RUNS = 8
"""So many runs are driven by one worker at once."""
WORK_SECONDS = 200.0
"""Then the worker hands on: less than a task may take."""
TICK_SECONDS = 1.0

_shared = mmap.mmap(-1, 1)
"""A byte that a process shares with those it forks: not zero when the workers are to stop."""


def ask_workers_to_stop() -> None:
    """Begin no further call in this process and those it has forked; what is on its way gets some seconds."""
    _shared[0] = 1


def are_workers_to_stop() -> bool:
    """True after `ask_workers_to_stop`."""
    return _shared[0] != 0


def work(*, seconds: float = WORK_SECONDS) -> int:
    """Execute what is due, for so many seconds at most; how many runs were taken. For a thread without a loop."""
    worker = Worker(monotonic() + seconds)
    asyncio.run(worker.run())
    if is_anything_due(clock.now()) and not are_workers_to_stop():
        jobs.enqueue(WAKE_UP)
    return worker.taken


def wake_up() -> None:
    """Have a worker look, when something is due: the schedule's part, which needs nothing but the rows."""
    if is_anything_due(clock.now()):
        jobs.enqueue(WAKE_UP)


@dataclass(slots=True)
class Worker:
    """One turn of work."""

    until: float
    taken: int = 0
    drives: dict[int, Drive] = field(default_factory=dict)
    driving: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    is_idle: bool = False

    async def run(self) -> None:
        """Until nothing is due, time is up or the process is to stop."""
        office = Office()
        writing = asyncio.create_task(office.writer.run())
        try:
            while not self._is_over(office, writing):
                await self._tick(office)
                if self.driving:
                    await asyncio.wait(self.driving.values(), timeout=TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await self._hand_back(office)
        finally:
            writing.cancel()
            await asyncio.gather(writing, *self.driving.values(), return_exceptions=True)
            await egress.finish()
            await asyncio.to_thread(office.close)

    def _is_over(self, office: Office, writing: asyncio.Task[None]) -> bool:
        if writing.done() or office.writer.broke is not None:
            log.error("the database stays away; runs are left to whoever comes next")
            return True
        return monotonic() >= self.until or are_workers_to_stop() or self.is_idle

    async def _tick(self, office: Office) -> None:
        """Renew the leases, hear who is to be canceled and who paused, and take what is due."""
        for run_id in [run_id for run_id, task in self.driving.items() if task.done()]:
            self._forget(office, run_id)
        held = await office.thread("leases", rows.renew, dict(office.leases), now=clock.now())
        for run_id in [run_id for run_id in office.leases if run_id in self.drives]:
            if run_id not in held:
                self.drives[run_id].stop(LOST)
            elif held[run_id]:
                self.drives[run_id].stop(CANCELED)
        await self._hear(office)
        if (room := MOST_RUNS - len(self.driving)) > 0:
            taken = await office.thread("leases", rows.take_due, now=clock.now(), most=room)
            for run_id, token in taken.items():
                self._take(office, run_id, token)
        self.is_idle = not self.driving

    def _take(self, office: Office, run_id: int, token: uuid.UUID) -> None:
        self.taken += 1
        office.leases[run_id] = token
        self.driving[run_id] = asyncio.create_task(self._drive(office, run_id, token))

    def _forget(self, office: Office, run_id: int) -> None:
        task = self.driving.pop(run_id)
        self.drives.pop(run_id, None)
        office.leases.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("run %s could not be worked on", run_id, exc_info=error)

    async def _hear(self, office: Office) -> None:
        """What other workers found out about connections."""
        places = {place for place in office.lines if place[1]}
        if not places:
            return
        for place, (until, per_minute) in (await office.thread("leases", rows.pauses, places)).items():
            office.heard(place, until, per_minute, share=1.0)

    async def _hand_back(self, office: Office) -> None:
        """Stop what is still driven, and let somebody else go on at once."""
        for run_id, task in list(self.driving.items()):
            if run_id in self.drives:
                self.drives[run_id].stop(HANDED_BACK)
            elif not task.done():
                task.cancel()
        if self.driving:
            await asyncio.wait(self.driving.values(), timeout=20)
        for run_id, token in list(office.leases.items()):
            if office.writer.broke is None:
                await office.thread("leases", rows.give_back, run_id, token)

    async def _drive(self, office: Office, run_id: int, token: uuid.UUID) -> None:
        """One run, from the plan to its end. A fault of ours ends the run with a sentence, not the worker."""
        drive: Drive | None = None

        async def before(model: str) -> None:
            assert drive is not None
            await drive.before_asking(model)

        try:
            plan = await office.thread("reads", executing_plan.plan_for, run_id, before=before, now=clock.now())
            teller = Teller(office, plan.run, _model_of(plan), plan.retention_days)
            drive = Drive(office, plan, token, Throttle(plan.run.concurrency), teller)
            self.drives[run_id] = drive
            await _drive_to_end(office, drive)
        except LeaseLost:
            log.warning("run %s is another worker's now", run_id)
        except Exception:
            if office.writer.broke is not None:
                return
            log.exception("run %s failed", run_id)
            verdict = Verdict(
                RunState.FAILED, "internal", "Something failed on our side. The log of the worker has it."
            )
            await _end(office, run_id, token, verdict)


def _model_of(plan: Plan) -> str:
    return plan.run.model if plan.target is None else plan.target.model


async def _drive_to_end(office: Office, drive: Drive) -> None:
    run = drive.plan.run
    if run.cancel_asked_at is not None:
        drive.stop(CANCELED)
    telling = asyncio.create_task(drive.teller.run())
    try:
        verdict = await drive.drive()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    if verdict is LOST:
        raise LeaseLost
    await drive.teller.finish()
    if verdict is HANDED_BACK:
        await office.writer.put(Write(run.pk))
        await office.thread("leases", rows.give_back, run.pk, drive.token)
        return
    if run.leases > 1:
        await _tell_left(office, drive)
    await office.writer.put(Write(run.pk))
    await _end(office, run.pk, drive.token, verdict)


async def _end(office: Office, run_id: int, token: uuid.UUID, verdict: Verdict) -> None:
    assert verdict.state is not None
    ending: Callable[[], EvalRun | None] = partial(
        run_ending.end_run,
        run_id,
        token,
        state=verdict.state,
        reason=verdict.reason,
        sentence=verdict.sentence,
        now=clock.now(),
    )
    if await office.thread("reads", ending) is None:
        raise LeaseLost


async def _tell_left(office: Office, drive: Drive) -> None:
    """Tell telemetry of calls whose worker ended before it did."""
    after, plan = 0, drive.plan
    while page := await office.thread("reads", rows.load_page, plan.run.pk, after, wanted=rows.TO_TELL):
        after = page[-1]["id"]
        told = []
        for item in await office.thread("reads", executing_plan.prepared, plan, page):
            row = item.row
            if item.request is None or row["is_from_cache"]:
                continue
            settled = {**row, "started_at": row["started_at"].isoformat()}
            tries = row["tries"] - row["interrupted"]
            told.append(Told(item.id, row["key"], row["repetition"], tries, settled, item.request))
        if told:
            await drive.teller.tell_now(told)

"""Telling telemetry behind the calls, in batches. Trouble there is counted and logged, and costs no result."""

from __future__ import annotations

import asyncio
import logging

from apps.core import clock
from apps.evals.models import EvalRun
from apps.evals.services import asking, telling
from apps.evals.services.asking import ModelAsker
from apps.evals.services.executing_office import Office
from apps.evals.services.executing_rows import Write
from apps.evals.services.telling import Told

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
GATHER_SECONDS = 0.3


class Teller:
    """The spans of one run. `finish` tells what is left."""

    def __init__(self, office: Office, run: EvalRun, model: str, retention_days: int) -> None:
        self._office, self._run, self._model, self._retention = office, run, model, retention_days
        self._told: list[Told] = []
        self._askers: list[ModelAsker] = []
        self._is_wanted = asyncio.Event()
        self.untold = 0

    def add(self, told: Told) -> None:
        """Tell this soon."""
        self._told.append(told)
        self._is_wanted.set()

    def add_askers(self, askers: tuple[ModelAsker, ...]) -> None:
        """Tell what scorers asked."""
        self._askers += askers
        self._is_wanted.set()

    async def run(self) -> None:
        """Tell until canceled."""
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            if len(self._told) < MOST_AT_ONCE:
                await asyncio.sleep(GATHER_SECONDS)
            await asyncio.shield(self._tell())

    async def finish(self) -> None:
        """Tell what is left."""
        while self._told or self._askers:
            await self._tell()

    async def _tell(self) -> None:
        told, self._told = self._told[:MOST_AT_ONCE], self._told[MOST_AT_ONCE:]
        askers, self._askers = self._askers[:MOST_AT_ONCE], self._askers[MOST_AT_ONCE:]
        if self._told or self._askers:
            self._is_wanted.set()
        if told:
            await self.tell_now(told)
        if askers:
            calls = sum(len(asker.spans) for asker in askers)
            try:
                await self._office.thread("tells", asking.tell, self._run.project, askers, now=clock.now())
            except Exception:
                log.exception("calls of scorers could not be stored as telemetry")
                self._miss(calls)

    async def tell_now(self, told: list[Told]) -> None:
        """Store these spans, and note on the results that they are."""
        try:
            stored = await self._office.thread(
                "tells",
                telling.tell,
                self._run,
                told,
                model=self._model,
                retention_days=self._retention,
                now=clock.now(),
            )
        except Exception:
            # The results are kept and shown; only their spans are missing, and the run says so.
            log.exception("calls of a run could not be stored as telemetry")
            self._miss(len(told))
            return
        self._office.writer.put(Write(self._run.pk, traced=stored))
        if len(stored) < len(told):
            self._miss(len(told) - len(stored))

    def _miss(self, calls: int) -> None:
        self.untold += calls
        self._office.writer.put(Write(self._run.pk, counts={"untraced_calls": calls}))

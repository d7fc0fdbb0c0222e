"""Writing results behind the loop that makes them: what comes while a transaction runs goes into the next one."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from apps.core import clock
from apps.evals.services import executing_rows as rows
from apps.evals.services.executing_rows import Write

MOST_AT_ONCE = 100


class Writer:
    """One transaction at a time, in a thread of its own; the loop never waits for the database.

    `leases` are the runs this worker holds. A write for any other is refused with LeaseLost.
    """

    def __init__(self, thread: ThreadPoolExecutor, leases: dict[int, uuid.UUID]) -> None:
        self._thread, self._leases = thread, leases
        self._waiting: list[tuple[Write, asyncio.Future[None]]] = []
        self._is_wanted = asyncio.Event()
        self.broke: Exception | None = None

    def put(self, write: Write) -> asyncio.Future[None]:
        """Write it soon. The future is done when it is committed; it raises LeaseLost or the database's error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Nobody has to look at it: what is lost is found again from the rows.
        future.add_done_callback(_seen)
        self._waiting.append((write, future))
        self._is_wanted.set()
        return future

    async def run(self) -> None:
        """Write until canceled. A database that stays away ends it, with `broke` set."""
        loop = asyncio.get_running_loop()
        while self.broke is None:
            await self._is_wanted.wait()
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            if not self._waiting:
                self._is_wanted.clear()
            job = partial(rows.flush, [write for write, _ in batch], dict(self._leases), now=clock.now())
            refused: dict[int, Exception] = {}
            try:
                refused = await loop.run_in_executor(self._thread, job)
            except Exception as error:
                self.broke = error
                raise
            finally:
                for place, (_, future) in enumerate(batch):
                    if future.done():
                        continue
                    if self.broke is not None:
                        future.set_exception(self.broke)
                    elif place in refused:
                        future.set_exception(refused[place])
                    else:
                        future.set_result(None)


def _seen(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()

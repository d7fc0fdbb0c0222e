"""What the runs of one worker share: threads, the writer, the leases, how fast each connection may be asked."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from apps.core import clock
from apps.core.threads import end_pool
from apps.evals.pacing import Bucket, Gate
from apps.evals.services.executing_writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

READERS, SCORERS, RENDERERS = 2, 2, 3
SIZES = {"writes": 1, "leases": 1, "reads": READERS, "tells": 1, "scores": SCORERS, "renders": RENDERERS}


@dataclass(slots=True)
class Line:
    """A connection of a project: its pauses, its calls a minute, and how many calls are on their way."""

    gate: Gate = field(default_factory=Gate)
    bucket: Bucket = field(default_factory=Bucket)
    in_flight: int = 0


class Office:
    """Made within the loop that executes; `close` ends its threads."""

    def __init__(self) -> None:
        self.pools = {name: ThreadPoolExecutor(size, f"evals-{name}") for name, size in SIZES.items()}
        self.leases: dict[int, uuid.UUID] = {}
        self.writer = Writer(self.pools["writes"], self.leases)
        self.lines: dict[tuple[int, str], Line] = {}
        self.is_stopping = False
        self.process = os.getpid()

    async def thread(self, pool: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work gives, done by one of these threads."""
        return await asyncio.get_running_loop().run_in_executor(self.pools[pool], lambda: work(*args, **kwargs))

    def line(self, project_id: int, connection: str) -> Line:
        """The connection as this worker sees it."""
        return self.lines.setdefault((project_id, connection), Line())

    def heard(self, place: tuple[int, str], until: datetime | None, per_minute: int | None, share: float) -> None:
        """What all workers know of a connection: its pause, and this worker's share of its calls a minute."""
        line = self.lines[place]
        line.bucket.per_minute = None if per_minute is None else max(1.0, per_minute * share)
        left = (until - clock.now()).total_seconds() if until is not None else 0.0
        at = asyncio.get_running_loop().time()
        if left > 0 and at + left > line.gate.paused_until + 0.2:
            line.gate.pause(at + left)

    @staticmethod
    def until(seconds: float) -> datetime:
        """The moment in so many seconds."""
        return clock.now() + timedelta(seconds=seconds)

    def close(self) -> None:
        """End the threads and their connections to the database."""
        for name, pool in self.pools.items():
            end_pool(pool, workers=SIZES[name])

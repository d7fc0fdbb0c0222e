"""Pools of threads that talk to the database, and how they end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

GIVE_UP_SECONDS = 5


def end_pool(pool: ThreadPoolExecutor, *, workers: int) -> None:
    """Close every worker's database connections and end the pool. Workers that are busy for too long are left.

    A pool that has ended already is left alone.
    """
    together = threading.Barrier(workers)

    def close() -> None:
        connections.close_all()
        try:
            # Each worker waits for the others, so that none of them takes two of these jobs.
            together.wait(GIVE_UP_SECONDS)
        except threading.BrokenBarrierError:
            return

    try:
        for _ in range(workers):
            pool.submit(close)
    except RuntimeError:
        return  # it has ended before
    pool.shutdown(wait=True)

"""Group commit: requests that arrive while a transaction is under way share the next one.

A commit waits for the disk; the wait is the same for one span and for a thousand. A few threads therefore take whatever
has been handed in, store it in one transaction and answer every request in it. Nothing is acknowledged before its
commit, and a request that the database refuses is stored apart, and its items apart, so that it spoils no other.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from concurrent.futures import Future

from django.db import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from apps.core.errors import DomainError, Unavailable
from apps.telemetry.services import masking, storing
from apps.telemetry.services.partitions import forget_known
from apps.telemetry.types import Batch, Outcome

log = logging.getLogger(__name__)

GROUP_SPANS = 2_000
"""A transaction takes further requests until it has this many spans."""

MAX_WAITING_SPANS = 60_000
MAX_WAITING_SPANS_PER_PROJECT = 30_000


class Overloaded(DomainError):
    """More is waiting to be stored than memory should hold."""

    code, http_status = "overloaded", 503
    message = "More telemetry is waiting than can be stored at once. Nothing of this request was stored; send it again."
    retry_after_seconds = 2


class ProjectOverloaded(DomainError):
    """One project sends more than its share; the others go on."""

    code, http_status = "too_many_spans_waiting", 429
    message = (
        "This project has {waiting} spans waiting to be stored. Nothing of this request was stored; send it again."
    )
    retry_after_seconds = 2


class Writer:
    """Threads that store batches. One per process; made by the door that needs it."""

    def __init__(self, threads: int) -> None:
        self._queue: deque[tuple[Batch, Future[Outcome]]] = deque()
        self._ready = threading.Condition()
        self._waiting: Counter[int] = Counter()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"intake-writer-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Batch) -> Future[Outcome]:
        """Hand in a batch; the future has its outcome after the commit, or the error that kept it from being stored.

        Raises Overloaded or ProjectOverloaded at once when too much is waiting.
        """
        size = _size(batch)
        with self._ready:
            if self._closing or self._waiting.total() + size > MAX_WAITING_SPANS:
                raise Overloaded()
            if self._waiting[batch.project_id] + size > MAX_WAITING_SPANS_PER_PROJECT:
                raise ProjectOverloaded(waiting=self._waiting[batch.project_id])
            self._waiting[batch.project_id] += size
            future: Future[Outcome] = Future()
            self._queue.append((batch, future))
            self._ready.notify()
        return future

    def close(self, *, timeout: float) -> None:
        """Store what is waiting, then stop; takes no further batches."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._closing:
                    self._ready.wait()
                if not self._queue:
                    connection.close()
                    return
                group = self._take()
            try:
                _store_group(_masked(group))
            finally:
                with self._ready:
                    for batch, _future in group:
                        self._waiting[batch.project_id] -= _size(batch)

    def _take(self) -> list[tuple[Batch, Future[Outcome]]]:
        group = [self._queue.popleft()]
        size = _size(group[0][0])
        while self._queue and size + _size(self._queue[0][0]) <= GROUP_SPANS:
            group.append(self._queue.popleft())
            size += _size(group[-1][0])
        return group


def _size(batch: Batch) -> int:
    return max(batch.received, 1)


def _masked(group: list[tuple[Batch, Future[Outcome]]]) -> list[tuple[Batch, Future[Outcome]]]:
    """The group with its batches masked, whichever door they came through; one that cannot be is not stored."""
    masked = []
    for batch, future in group:
        try:
            masking.mask(batch)
        except Exception as error:
            if not isinstance(error, DomainError):
                log.exception("masking telemetry failed")
            future.set_exception(error)
        else:
            masked.append((batch, future))
    return masked


def _store_group(group: list[tuple[Batch, Future[Outcome]]]) -> None:
    if not group:
        return
    try:
        outcomes = _store_or_reconnect([batch for batch, _future in group])
    except (DataError, IntegrityError) as error:
        if len(group) == 1:
            _answer(*group[0], error)
        else:
            for entry in group:
                _store_group([entry])
    except (OperationalError, InterfaceError) as error:
        log.warning("telemetry could not be stored: %s", error)
        for _batch, future in group:
            future.set_exception(Unavailable())
    except Exception as error:
        # Whatever it was, the clients are told and the thread lives on.
        log.exception("storing telemetry failed")
        for _batch, future in group:
            future.set_exception(error)
    else:
        for (_batch, future), outcome in zip(group, outcomes, strict=True):
            future.set_result(outcome)


def _answer(batch: Batch, future: Future[Outcome], error: DatabaseError) -> None:
    """Store a batch of which at least one item is refused by the database, without that item."""
    try:
        future.set_result(_store_narrowing(batch, error))
    except Exception as failure:
        log.exception("storing telemetry failed")
        future.set_exception(Unavailable() if isinstance(failure, Error) else failure)


def _store_narrowing(batch: Batch, error: DatabaseError) -> Outcome:
    """Find the items that the database refuses by halving, and store all others."""
    poison = set(_refused_positions(batch, error))
    keep = [(span, at) for span, at in zip(batch.spans, batch.positions, strict=True) if at not in poison]
    batch.spans, batch.positions = [span for span, _at in keep], [at for _span, at in keep]
    batch.rejected.extend(storing.not_storable(position, error) for position in sorted(poison))
    return _store_or_reconnect([batch])[0]


def _refused_positions(batch: Batch, error: DatabaseError) -> list[int]:
    if len(batch.spans) == 1:
        return list(batch.positions)
    refused: list[int] = []
    middle = len(batch.spans) // 2
    for part in (slice(None, middle), slice(middle, None)):
        half = storing.part_of(batch, part)
        try:
            storing.try_spans(half.spans)
        except (DataError, IntegrityError) as reason:
            refused.extend(_refused_positions(half, reason))
    return refused


def _store_or_reconnect(batches: list[Batch]) -> list[Outcome]:
    """Store; once more with a new connection when the old one turns out to be dead, or a partition was dropped."""
    try:
        return storing.store(batches)
    except (OperationalError, InterfaceError):
        connection.close()
        return storing.store(batches)
    except IntegrityError as error:
        if "no partition of relation" not in str(error):
            raise
        forget_known()
        return storing.store(batches)

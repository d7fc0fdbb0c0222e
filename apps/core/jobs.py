"""Jobs are queued by name, after the transaction commits, with ids only.

A Celery message is a wake-up call: the row it points to is the work. A name that no task has fails in the caller.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


class UnknownJob(LookupError):
    """No task is registered under this name."""


def enqueue(name: str, /, **kwargs: int | str) -> None:
    """Hand the named task to the broker when the current transaction commits (at once if there is none).

    A broker that is down is logged and not raised: every queued thing has a row, and a schedule looks for rows that
    are overdue. Raises UnknownJob for a name that is not registered.
    """
    task = current_app.tasks.get(name)
    if task is None:
        raise UnknownJob(f"no task is called {name!r}; tasks are named <app>.<verb>")

    def send() -> None:
        try:
            task.apply_async(kwargs=kwargs, retry=False)
        except OperationalError:
            log.warning("the broker is down; %s waits for its schedule", name)

    transaction.on_commit(send)


def is_registered(name: str) -> bool:
    """True when a task has this name. For a job that belongs to an app above the caller's, which may be absent."""
    return name in current_app.tasks

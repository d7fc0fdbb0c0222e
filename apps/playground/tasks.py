"""Jobs of the playground. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.playground import services


@shared_task(name="playground.close_lost")
def close_lost(**_newer: object) -> None:
    """Close answers that nobody finishes any more."""
    services.close_lost(now=clock.now())


@shared_task(name="playground.purge")
def purge(**_newer: object) -> None:
    """Delete runs that are older than their project keeps contents."""
    services.purge(now=clock.now())

"""Jobs of the playground. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.playground import services


@shared_task(name="playground.close_lost")
def close_lost(**_newer: object) -> None:
    """Close answers that nobody finishes, and delete runs that are too old."""
    services.close_lost(now=clock.now())
    services.purge(now=clock.now())

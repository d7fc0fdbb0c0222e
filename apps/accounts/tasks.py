"""Scheduled work for accounts."""

from celery import shared_task

from apps.accounts import services
from apps.core import clock


@shared_task(name="accounts.forget_expired")
def forget_expired(**_newer: object) -> None:
    """Delete expired sessions and links."""
    services.forget_expired(now=clock.now())

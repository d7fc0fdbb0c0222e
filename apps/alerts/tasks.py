"""Jobs of alerts. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.alerts.services import notices
from apps.core import clock


@shared_task(name="alerts.mail_notices")
def mail_notices(**_newer: object) -> None:
    """Mail the notices that are due."""
    notices.send_due(now=clock.now())

"""Jobs of prompts. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.prompts.services import sample


@shared_task(name="prompts.fill_samples")
def fill_samples(**_newer: object) -> None:
    """Give sample projects their prompts."""
    sample.fill_samples()

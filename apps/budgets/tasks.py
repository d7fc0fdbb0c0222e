"""Jobs of budgets. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.budgets.services import evaluating, latency_watching, projections
from apps.core import clock

# Each part of the app adds its own below its heading.

# --- Spend budgets


@shared_task(name="budgets.evaluate")
def evaluate(**_newer: object) -> None:
    """Look at every spend budget."""
    evaluating.evaluate_all(now=clock.now())


# --- Alert rules

# --- Latency targets


@shared_task(name="budgets.watch_latency")
def watch_latency(**_newer: object) -> None:
    """Look at the budgets of latency targets."""
    latency_watching.look(now=clock.now())


# --- Projections


@shared_task(name="budgets.tell_projection_drift")
def tell_projection_drift(**_newer: object) -> None:
    """Tell of approved projections whose interval actual spend has left."""
    projections.tell_drift(now=clock.now())

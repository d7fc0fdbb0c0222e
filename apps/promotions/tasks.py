"""Jobs of promotions. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.promotions.services import (
    checking,
    drills,
    experiments,
    exposing,
    looking,
    merging,
    reminding,
    stopwatch,
    watching,
)
from apps.prompts.services import live_seen

# Each part of the app adds its own below its heading.

# --- Promotions: checks, reminders, merges


@shared_task(name="promotions.settle_checks")
def settle_checks(**_newer: object) -> None:
    """Take up promotions whose runs ended."""
    checking.settle_checks(now=clock.now())


@shared_task(name="promotions.ask_for_merges")
def ask_for_merges(**_newer: object) -> None:
    """Ask for versions that came from git, where their rule says so."""
    merging.ask_for_merges(now=clock.now())


# --- Rollbacks and drills


@shared_task(name="promotions.measure_rollbacks")
def measure_rollbacks(**_newer: object) -> None:
    """Look at the rollbacks whose stopwatch runs."""
    stopwatch.measure_all(now=clock.now())


@shared_task(name="promotions.look_at_drills")
def look_at_drills(**_newer: object) -> None:
    """Go on with the drills that are not over."""
    drills.look_at_all(now=clock.now())


@shared_task(name="promotions.forget_acknowledgements")
def forget_acknowledgements(**_newer: object) -> None:
    """Delete what was written down of processes that are gone, and of states that are long over."""
    live_seen.forget_old(now=clock.now())


# --- Watches


@shared_task(name="promotions.watch")
def watch(**_newer: object) -> None:
    """Look at what went live, and go back where a guardrail broke."""
    watching.look(now=clock.now())


@shared_task(name="promotions.remind")
def remind(**_newer: object) -> None:
    """Remind of what waits too long."""
    reminding.remind(now=clock.now())


# --- Experiments


@shared_task(name="promotions.measure_experiments")
def measure_experiments(**_newer: object) -> None:
    """Count what subjects of experiments got, and look at what it says."""
    exposing.expose(now=clock.now())
    looking.look_all(now=clock.now())


@shared_task(name="promotions.end_unserved_experiments")
def end_unserved_experiments(**_newer: object) -> None:
    """Stop experiments whose split ended because something else went live."""
    experiments.end_unserved(now=clock.now())

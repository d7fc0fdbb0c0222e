"""Jobs of telemetry. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.telemetry.services import (
    digesting,
    erasing,
    fact_summaries,
    forgetting,
    intake_hours,
    partitions,
    repricing,
    retention,
    review_rules,
    rollups,
    sample,
    scores,
    settling,
)


@shared_task(name="telemetry.load_sample")
def load_sample(*, project_id: int, **_newer: object) -> None:
    """Fill a sample project to its end."""
    while sample.load_next(project_id, now=clock.now()):
        pass


@shared_task(name="telemetry.resume_samples")
def resume_samples(**_newer: object) -> None:
    """Go on with samples whose loading was cut off."""
    sample.resume_samples(now=clock.now())


@shared_task(name="telemetry.forget_project")
def forget_project(*, project_id: int, **_newer: object) -> None:
    """Delete the telemetry of a project that was deleted."""
    forgetting.forget_project(project_id)


@shared_task(name="telemetry.forget_orphans")
def forget_orphans(**_newer: object) -> None:
    """Delete telemetry that a deleted project left behind."""
    forgetting.forget_orphans()


@shared_task(name="telemetry.keep_partitions")
def keep_partitions(**_newer: object) -> None:
    """Make the day partitions of the coming week."""
    partitions.keep_ahead(now=clock.now())


@shared_task(name="telemetry.roll_up")
def roll_up(**_newer: object) -> None:
    """Write the cost records of hours whose spans changed; the next run goes on where this one stops."""
    rollups.roll_up()


@shared_task(name="telemetry.settle")
def settle(**_newer: object) -> None:
    """Settle traces once more that got spans a minute ago, and forget those that got none for days."""
    settling.settle_due(now=clock.now())
    settling.forget_marks(now=clock.now())


@shared_task(name="telemetry.digest")
def digest(**_newer: object) -> None:
    """Look through what was stored since the last time: the search index, and facts of whole traces."""
    digesting.digest(now=clock.now())


@shared_task(name="telemetry.summarise_facts")
def summarise_facts(**_newer: object) -> None:
    """Add up the facts of retrievals, tasks and tool runs of hours and days in which some changed."""
    fact_summaries.summarise(now=clock.now())


@shared_task(name="telemetry.retain")
def retain(**_newer: object) -> None:
    """Delete what is older than its project keeps it; the next run goes on where this one stops."""
    retention.run(now=clock.now())


@shared_task(name="telemetry.erase_user")
def erase_user(*, erasure_id: int, **_newer: object) -> None:
    """Erase what names a user; the schedule goes on with what takes longer than a task may."""
    erasing.erase(erasure_id, now=clock.now())


@shared_task(name="telemetry.resume_erasures")
def resume_erasures(**_newer: object) -> None:
    """Go on with erasures that were cut off."""
    erasing.resume_erasures(now=clock.now())


@shared_task(name="telemetry.reprice")
def reprice(*, reprice_id: int, **_newer: object) -> None:
    """Work costs of past calls out anew; the schedule goes on with what takes longer than a task may."""
    repricing.run(reprice_id, now=clock.now())


@shared_task(name="telemetry.resume_reprices")
def resume_reprices(**_newer: object) -> None:
    """Go on with reprices that were cut off."""
    repricing.resume(now=clock.now())


@shared_task(name="telemetry.queue_reviews")
def queue_reviews(**_newer: object) -> None:
    """Queue what rules about scores choose among the scores that came since the last time."""
    review_rules.queue_scores(now=clock.now())


@shared_task(name="telemetry.place_scores")
def place_scores(**_newer: object) -> None:
    """Find the traces of scores that were not found at once."""
    scores.place_pending(now=clock.now())


@shared_task(name="telemetry.close_intake_hours")
def close_intake_hours(**_newer: object) -> None:
    """Add up the requests of hours that are over; the next run goes on where this one stops."""
    intake_hours.close_hours(now=clock.now())

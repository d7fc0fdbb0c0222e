"""Jobs of evals. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import current_app, shared_task
from celery.bootsteps import StartStopStep

from apps.core import clock
from apps.evals.services import (
    calibrations,
    comparisons,
    executing,
    gates,
    keeping_answers,
    online_scoring,
    runs,
    sample,
    set_health,
    set_imports,
)

# --- Imports, exports, health


@shared_task(name="evals.read_import")
def read_import(*, import_id: int, **_newer: object) -> None:
    """Read the rows of an upload, unless somebody is at it or it was done."""
    set_imports.read(import_id, now=clock.now())
    set_imports.find_duplicates(import_id)


@shared_task(name="evals.find_import_duplicates")
def find_import_duplicates(*, import_id: int, **_newer: object) -> None:
    """Look for near duplicates in an upload that was read."""
    set_imports.find_duplicates(import_id)


@shared_task(name="evals.resume_imports")
def resume_imports(**_newer: object) -> None:
    """Take up uploads and readings whose process is gone."""
    set_imports.resume(now=clock.now())


@shared_task(name="evals.work_out_health")
def work_out_health(*, set_id: int, **_newer: object) -> None:
    """Work out the figures of a set's health, unless somebody is at it or nobody asked."""
    set_health.work_out(set_id, now=clock.now())


@shared_task(name="evals.resume_health")
def resume_health(**_newer: object) -> None:
    """Take up figures that were asked for and are not being worked out."""
    set_health.resume(now=clock.now())


@shared_task(name="evals.forget_imports")
def forget_imports(**_newer: object) -> None:
    """Let go of uploads that nobody confirmed."""
    set_imports.forget(now=clock.now())


# --- Scorers and calibration


@shared_task(name="evals.calibrate")
def calibrate(*, calibration_id: int, **_newer: object) -> None:
    """Judge what waits of a calibration, unless somebody is at it or it ended."""
    calibrations.calibrate(calibration_id)


@shared_task(name="evals.resume_calibrations")
def resume_calibrations(**_newer: object) -> None:
    """Queue calibrations that lost their worker."""
    calibrations.wake_due(now=clock.now())


# --- Runs


@shared_task(name="evals.work")
def work(**_newer: object) -> None:
    """Execute the runs that nobody works on, for as long as a task may."""
    executing.work()


@shared_task(name="evals.wake_up")
def wake_up(**_newer: object) -> None:
    """Have a worker look, when a run waits or has lost its worker."""
    executing.wake_up()
    runs.abandon_waiting(now=clock.now())


@shared_task(name="evals.judge_gates")
def judge_gates(**_newer: object) -> None:
    """Judge runs that were started for a gate and have ended."""
    gates.judge_ended(now=clock.now())


@shared_task(name="evals.forget_answers")
def forget_answers(**_newer: object) -> None:
    """Delete answers that were kept for other runs and are old."""
    keeping_answers.forget_answers(now=clock.now())


# --- Comparisons


@shared_task(name="evals.compare")
def compare(*, comparison_id: int, margin: str, tail_margin: str, **_newer: object) -> None:
    """Compare two large runs, unless that was done."""
    comparisons.compute_kept(comparison_id, margin, tail_margin, clock.now())


class StopWorking(StartStopStep):
    """Passes the end of the worker on to the processes that it has forked, which hear of it in no other way."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: object) -> None:
        """Nothing: the processes work until they are told not to."""

    def stop(self, parent: object) -> None:
        """Before the pool waits for its processes."""
        executing.ask_workers_to_stop()


current_app.steps["worker"].add(StopWorking)


# --- The sample


@shared_task(name="evals.fill_samples")
def fill_samples(**_newer: object) -> None:
    """Give sample projects their evals, and judge what came of them."""
    sample.fill_samples(now=clock.now())


# --- Online evals


@shared_task(name="evals.score_online")
def score_online(**_newer: object) -> None:
    """Sample what arrived and score it, but for what another worker holds."""
    online_scoring.work()

"""Jobs of evals. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.evals.services import calibrations, set_imports

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

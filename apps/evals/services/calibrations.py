"""Setting a judge beside people's labels: begun by a person or a program, carried out by a job, resumed after a crash.

An item is judged once: what a worker found is written only while it holds the lease, and only to items that wait.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q

from apps.core import clock, egress, jobs
from apps.core.errors import Conflict, Invalid
from apps.evals.calibrating import DEFAULT_FLOOR, figures, license_of
from apps.evals.calibration_rows import LabeledCase, case_of
from apps.evals.models import Calibration, CalibrationItem, ScorerVersion
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import calibrations as selectors
from apps.evals.services import asking
from apps.evals.types import Score, ScoreState, scorer_failed
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

log = logging.getLogger(__name__)

JOB = "evals.calibrate"
PORTION = 20
ITEM_SECONDS = 300
LEASE = timedelta(seconds=2 * ITEM_SECONDS)
MOST_OPEN = 5
MOST_IN_A_JOB = timedelta(minutes=8)
"""After so long, a job ends and queues the next one, so that no job holds a worker for hours."""


class TooManyCalibrations(Conflict):
    """The project already calibrates as many judges at once as it may."""

    code = "too_many_calibrations"
    message = "{most} calibrations are under way already. Wait until one of them ended."


@transaction.atomic
def start_calibration(
    *,
    project: Project,
    version: ScorerVersion,
    items: Sequence[LabeledCase],
    labels_from: str,
    actor: Actor,
    now: datetime,
    name: str = "",
    floor: float = DEFAULT_FLOOR,
) -> Calibration:
    """Queue a calibration of this version of a judge. Raises Invalid for a scorer that is no judge, a floor outside
    0..1 or no items, and TooManyCalibrations."""
    kind = KINDS.get(version.scorer.kind)
    if kind is None or not kind.is_judge:
        raise Invalid(scorer=["This scorer computes; only judges are calibrated."])
    if not 0.0 <= floor <= 1.0:
        raise Invalid(floor=["The floor lies between 0 and 1."])
    if not items:
        raise Invalid(labels=["There are no labels of people to compare with."])
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if Calibration.objects.filter(project=project, state__in=selectors.OPEN).count() >= MOST_OPEN:
        raise TooManyCalibrations(most=MOST_OPEN)
    calibration = Calibration.objects.create(
        project=project,
        version=version,
        name=" ".join(name.split())[:200] or f"{version.scorer.name} {now:%Y-%m-%d}",
        labels_from=labels_from,
        floor_kappa=floor,
        items_total=len(items),
        actor_name=actor.name[:254],
        created_at=now,
    )
    CalibrationItem.objects.bulk_create(
        [
            CalibrationItem(
                project=project,
                calibration=calibration,
                position=position,
                case=dict(item.case),
                human_labels=list(item.labels),
            )
            for position, item in enumerate(items, start=1)
        ],
        batch_size=500,
    )
    audit.record(
        actor=actor,
        action="evals.calibration_started",
        project=project,
        target=calibration,
        at=now,
        details={"scorer": version.scorer.slug, "version": version.number, "items": len(items)},
    )
    jobs.enqueue(JOB, calibration_id=calibration.pk)
    return calibration


@transaction.atomic
def retry_failed(*, calibration: Calibration, actor: Actor, now: datetime) -> Calibration:
    """Judge again what got no verdict. Nothing happens while it is under way, or when every item got one."""
    row = Calibration.objects.select_for_update(of=("self",)).select_related("project").get(pk=calibration.pk)
    failed = CalibrationItem.objects.filter(calibration=row, state="failed")
    waiting = CalibrationItem.objects.filter(calibration=row, state="waiting")
    if row.state in selectors.OPEN or not (failed.exists() or waiting.exists()):
        return row
    failed.update(state="waiting", reason="")
    row.state, row.error, row.figures, row.is_licensed, row.ended_at = "queued", "", None, False, None
    row.save(update_fields=["state", "error", "figures", "is_licensed", "ended_at"])
    audit.record(actor=actor, action="evals.calibration_retried", project=row.project, target=row, at=now)
    jobs.enqueue(JOB, calibration_id=row.pk)
    return row


@transaction.atomic
def cancel(*, calibration: Calibration, actor: Actor, now: datetime) -> Calibration:
    """End a calibration that is under way; a worker notices before its next portion, and writes nothing more."""
    row = Calibration.objects.select_for_update(of=("self",)).select_related("project").get(pk=calibration.pk)
    if row.state in selectors.OPEN:
        row.state, row.error, row.ended_at, row.lease_token, row.lease_until = "canceled", "Canceled.", now, None, None
        row.save(update_fields=["state", "error", "ended_at", "lease_token", "lease_until"])
        audit.record(actor=actor, action="evals.calibration_canceled", project=row.project, target=row, at=now)
    return row


def calibrate(calibration_id: int) -> None:
    """Judge what waits, portion by portion, and end with the figures. Does nothing while another worker does.

    It reads the clock itself, because it may take minutes.
    """
    began = clock.now()
    token = uuid.uuid4()
    calibration = _lease(calibration_id, token, now=began)
    if calibration is None:
        return
    while True:
        portion = _waiting(calibration)
        if not portion:
            _finish(calibration, token, now=clock.now())
            return
        found = _judge(calibration, portion, now=clock.now())
        if not _keep(calibration, token, found, now=clock.now()):
            return
        if all(one.score.state is ScoreState.ERROR for one in found) and not _has_verdicts(calibration):
            _give_up(calibration, token, found[0].score.reason, now=clock.now())
            return
        if clock.now() - began > MOST_IN_A_JOB:
            Calibration.objects.filter(pk=calibration.pk, lease_token=token).update(lease_token=None, lease_until=None)
            jobs.enqueue(JOB, calibration_id=calibration.pk)
            return


def _lease(calibration_id: int, token: uuid.UUID, *, now: datetime) -> Calibration | None:
    """The calibration, ours until the lease ends; None when it is somebody else's, or over."""
    is_free = Q(lease_until=None) | Q(lease_until__lt=now)
    taken = Calibration.objects.filter(is_free, pk=calibration_id, state__in=selectors.OPEN).update(
        state="running", lease_token=token, lease_until=now + LEASE
    )
    if taken != 1:
        return None
    return Calibration.objects.select_related("project", "version", "version__scorer").get(pk=calibration_id)


def _waiting(calibration: Calibration) -> list[CalibrationItem]:
    rows = CalibrationItem.objects.filter(calibration=calibration, state="waiting")
    return list(rows.order_by("position")[:PORTION])


@dataclass(frozen=True, slots=True)
class _Found:
    """What the judge said of an item, and what that cost."""

    item: CalibrationItem
    score: Score
    cost_usd: Decimal | None
    spent_usd: Decimal


def _judge(calibration: Calibration, portion: Sequence[CalibrationItem], *, now: datetime) -> list[_Found]:
    """Ask the judge about each item, all at the same time; no transaction is open."""
    version = calibration.version
    kind = KINDS.get(version.scorer.kind)
    told = {"calibration": str(calibration.uuid), "scorer": str(version)}
    desk = asking.desk_for(calibration.project, [version], now=now, attributes=told)
    askers = [desk.asker() for _ in portion]
    scores = egress.run_in_loop(_all(kind, version, portion, askers))
    try:
        asking.tell(calibration.project, askers, now=clock.now())
    except Exception:
        # The verdicts are worth keeping; only their spans are missing.
        log.exception("the calls of a calibration could not be stored as telemetry")
    return [
        _Found(item, score, None if asker.spent.unpriced else asker.spent.usd, asker.spent.usd)
        for item, score, asker in zip(portion, scores, askers, strict=True)
    ]


async def _all(
    kind: ScorerKind | None,
    version: ScorerVersion,
    portion: Sequence[CalibrationItem],
    askers: Sequence[asking.ModelAsker],
) -> list[Score]:
    pairs = zip(portion, askers, strict=True)
    return list(await asyncio.gather(*(_one(kind, version, item, asker) for item, asker in pairs)))


async def _one(
    kind: ScorerKind | None, version: ScorerVersion, item: CalibrationItem, asker: asking.ModelAsker
) -> Score:
    if kind is None or kind.ask is None:
        return scorer_failed(f"The kind {version.scorer.kind} is not installed here.")
    try:
        async with asyncio.timeout(ITEM_SECONDS):
            return await kind.ask(case_of(item.case), version.config, asker)
    except TimeoutError:
        return scorer_failed(f"The judge took longer than {ITEM_SECONDS} s.")
    except Exception as error:
        log.exception("a judge raised in a calibration")
        return scorer_failed(f"The judge failed: {type(error).__name__}.")


@transaction.atomic
def _keep(calibration: Calibration, token: uuid.UUID, found: Sequence[_Found], *, now: datetime) -> bool:
    """Write what was found and hold on to the lease; False, and nothing written, when it is ours no more."""
    spent = sum((one.spent_usd for one in found), Decimal(0))
    still_ours = Calibration.objects.filter(pk=calibration.pk, lease_token=token, state="running")
    if still_ours.update(spent_usd=F("spent_usd") + spent, lease_until=now + LEASE) != 1:
        return False
    for one in found:
        score = one.score
        CalibrationItem.objects.filter(pk=one.item.pk, state="waiting").update(
            state="judged" if score.state is ScoreState.SCORED else "failed",
            judge_label=score.label[:200],
            judge_value=score.value,
            reason=score.reason,
            details=_details(score),
            cost_usd=one.cost_usd,
        )
    return True


def _details(score: Score) -> dict[str, object]:
    """What is shown beside the reason, and a pairwise judge's winners in both orders."""
    details = dict(score.details)
    judges = details.get("judges")
    if isinstance(judges, list) and judges and "first_order" in judges[0]:
        details["orders"] = [judges[0]["first_order"], judges[0]["second_order"]]
    return details


def _has_verdicts(calibration: Calibration) -> bool:
    return CalibrationItem.objects.filter(calibration=calibration, state="judged").exists()


@transaction.atomic
def _give_up(calibration: Calibration, token: uuid.UUID, reason: str, *, now: datetime) -> None:
    """End it without figures, so that a judge which cannot be asked is not asked thousands of times."""
    Calibration.objects.filter(pk=calibration.pk, lease_token=token).update(
        state="failed",
        error=f"The judge gave no verdict on the first {PORTION} items. {reason}"[:2000],
        ended_at=now,
        lease_token=None,
        lease_until=None,
    )


@transaction.atomic
def _finish(calibration: Calibration, token: uuid.UUID, *, now: datetime) -> None:
    """Freeze the figures, once."""
    row = Calibration.objects.select_for_update(of=("self",)).filter(pk=calibration.pk, lease_token=token).first()
    if row is None:
        return
    grading = selectors.grading_of(calibration.version)
    found = figures(selectors.judged_items(row, grading), grading.categories, is_ordinal=grading.is_ordinal)
    row.figures, row.is_licensed = found.as_dict(), license_of(found, row.floor_kappa)[0]
    row.state, row.ended_at, row.lease_token, row.lease_until = "finished", now, None, None
    row.save(update_fields=["figures", "is_licensed", "state", "ended_at", "lease_token", "lease_until"])


def wake_due(*, now: datetime) -> None:
    """Queue what waits for a worker, or lost the one it had."""
    for calibration_id in selectors.due(now=now):
        jobs.enqueue(JOB, calibration_id=calibration_id)

"""Counting what the subjects of experiments got, from the calls in telemetry.

Nothing is ever added to a count: a subject that something new is known of is worked out anew from all its calls, so
counting again changes nothing, and a span that arrives late, twice or in parts counts once. Each round takes up the
calls and scores that arrived since the last one, and goes over a page of all calls once more from the beginning, which
finds what was changed without arriving: a call that ended long after it was first told of, a score that was corrected.

The arm of a subject is drawn from the split that was served, not read from the call: who was given one version and
called another is counted with the arm it belongs to, as a stray call. A call counts from when its subject took part.
What was counted of spans that were erased since stays; only figures are kept, under a hash of the subject.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from apps.promotions.models import Experiment, ExperimentArm, ExperimentCount, Exposure
from apps.promotions.selectors import exposures
from apps.promotions.selectors.exposures import CallSums, Place, ScoreSums
from apps.promotions.types import ExperimentState
from apps.prompts.models import Split
from apps.prompts.splitting import Splitting, choose

log = logging.getLogger(__name__)

LAG = timedelta(seconds=20)
"""A span may be committed a little after it was received; what is younger is looked at the next time."""

LATE = timedelta(hours=1)
"""How long after an experiment ended late calls are still counted."""

SWEEP_EVERY = timedelta(minutes=5)
SETTLED = timedelta(minutes=1)
PAGE = 5_000
MOST_PAGES = 20
DIGEST_SIZE = 16


def expose(*, now: datetime) -> int:
    """Count every experiment that runs or ended a short while ago; how many subjects were worked out."""
    recent = Q(state=ExperimentState.RUNNING.value) | Q(started_at__isnull=False, ended_at__gte=now - LATE)
    done = 0
    for pk in Experiment.objects.filter(recent).order_by("pk").values_list("pk", flat=True):
        try:
            done += count(pk, now=now)
        except Exception:
            # The others are not to wait for what is wrong with this one; the next round tries it again.
            log.exception("an experiment could not be counted", extra={"experiment": pk})
    return done


def count(experiment_id: int, *, now: datetime) -> int:
    """Take up what arrived of one experiment, page by page; how many subjects were worked out. Nothing when another
    worker is at it."""
    done = 0
    for _ in range(MOST_PAGES):
        found, is_all = _take_page(experiment_id, now)
        done += found
        if is_all:
            break
    return done + _sweep(experiment_id, now)


def subject_key(experiment: Experiment, subject: str) -> bytes:
    """What a subject is kept under: a hash with the experiment's salt."""
    told = f"{experiment.salt}\0{subject}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=DIGEST_SIZE).digest()


def _locked(experiment_id: int) -> tuple[Experiment, ExperimentCount] | None:
    """The experiment and its count, whose lock the caller then holds; None while another worker holds it."""
    experiment = Experiment.objects.select_related("environment", "prompt").filter(pk=experiment_id).first()
    if experiment is None or experiment.started_at is None:
        return None
    row = {"experiment": experiment, "planned": experiment.planned_subjects}
    ExperimentCount.objects.bulk_create([ExperimentCount(**row)], ignore_conflicts=True)
    held = ExperimentCount.objects.select_for_update(skip_locked=True).filter(experiment=experiment).first()
    return None if held is None else (experiment, held)


@transaction.atomic
def _take_page(experiment_id: int, now: datetime) -> tuple[int, bool]:
    """Take up a page of what arrived; how many subjects, and whether that was all."""
    found = _locked(experiment_id)
    if found is None:
        return 0, True
    experiment, _held = found
    assert experiment.started_at is not None
    # Read again under the lock: another worker may have got further meanwhile.
    counted = Experiment.objects.values_list("counted_until", flat=True).get(pk=experiment.pk)
    after, until = counted or experiment.started_at - LAG, now - LAG
    if after >= until:
        return 0, True
    calls = exposures.arrived(experiment, after=after, until=until, limit=PAGE)
    scores = exposures.scored(experiment, after=after, until=until, limit=PAGE)
    reached = min(_reached(calls, until), _reached(scores, until))
    subjects = {subject for at, subject in (*calls, *scores) if at <= reached}
    done = _work_out(experiment, subjects, now)
    Experiment.objects.filter(pk=experiment.pk).update(counted_until=reached, counted_at=now)
    return done, reached == until


def _reached(places: Sequence[Place], until: datetime) -> datetime:
    """Up to when a page tells of everything: a full one ends before its last moment, of which it may hold a part."""
    if len(places) < PAGE:
        return until
    last = places[-1][0]
    return max((at for at, _ in places if at < last), default=last)


@transaction.atomic
def _sweep(experiment_id: int, now: datetime) -> int:
    """Work out a page of all subjects once more; begin again some time after the last one."""
    found = _locked(experiment_id)
    if found is None:
        return 0
    experiment, held = found
    assert experiment.started_at is not None
    if held.swept_until is None and held.swept_at is not None and held.swept_at > now - SWEEP_EVERY:
        return 0
    since, until = held.swept_until or experiment.started_at, now - SETTLED
    calls = exposures.started(experiment, since=since, until=until, limit=PAGE)
    done = _work_out(experiment, {subject for _at, subject in calls}, now)
    is_full = len(calls) == PAGE
    # Calls of one moment may be spread over two pages; going over them twice does no harm, standing still would.
    following = max(calls[-1][0], since + timedelta(microseconds=1)) if is_full else None
    ExperimentCount.objects.filter(pk=held.pk).update(swept_until=following, swept_at=now)
    return done


# --- One subject -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Which split was served when: piece `n` begins at `bounds[n - 1]`, and `pieces[n]` is what was served then."""

    bounds: tuple[datetime, ...]
    pieces: dict[int, Split]

    def arms_of(self, subject: str) -> dict[int, str]:
        """The subject's arm in each piece of time in which it took part."""
        arms = {}
        for piece, split in self.pieces.items():
            drawn = choose(_splitting(split), subject)
            if drawn is not None:
                arms[piece] = list(split.arms.all())[drawn].name
        return arms


@dataclass(slots=True)
class _Sums:
    """What a subject got while it took part."""

    arm: ExperimentArm
    first_at: datetime
    last_at: datetime
    calls: int = 0
    stray_calls: int = 0
    errors: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0
    latency_ms: int = 0
    timed: int = 0
    scores: dict[str, list[float]] = field(default_factory=dict)

    def add(self, row: CallSums, *, is_stray: bool) -> None:
        """Some more of its calls."""
        self.first_at, self.last_at = min(self.first_at, row.first_at), max(self.last_at, row.last_at)
        self.calls += row.calls
        self.stray_calls += row.calls if is_stray else 0
        self.errors += row.errors
        self.cost_usd += row.cost_usd
        self.unpriced += row.unpriced
        self.latency_ms += row.latency_ms
        self.timed += row.timed


SUMMED = (
    "arm",
    "first_at",
    "last_at",
    "calls",
    "stray_calls",
    "errors",
    "cost_usd",
    "unpriced",
    "latency_ms",
    "timed",
    "scores",
)


def _work_out(experiment: Experiment, subjects: Iterable[str | None], now: datetime) -> int:
    """Write these subjects' figures anew; how many of them took part."""
    wanted = sorted({subject for subject in subjects if subject})
    timeline = _timeline(exposures.served_splits(experiment))
    if not wanted or not timeline.pieces:
        return 0
    drawn = {subject: arms for subject in wanted if (arms := timeline.arms_of(subject))}
    bounds = timeline.bounds
    calls = exposures.call_sums(experiment, list(drawn), bounds=bounds, now=now)
    scores = exposures.score_sums(experiment, list(drawn), bounds=bounds, now=now) if calls else []
    added = _added_up(experiment, drawn, calls, scores)
    rows = [
        Exposure(
            experiment=experiment,
            subject=subject_key(experiment, subject),
            **{name: getattr(sums, name) for name in SUMMED},
        )
        for subject, sums in added.items()
    ]
    Exposure.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["experiment", "subject"],
        update_fields=SUMMED,
        batch_size=1_000,
    )
    return len(rows)


def _added_up(
    experiment: Experiment,
    drawn: dict[str, dict[int, str]],
    calls: Sequence[CallSums],
    scores: Sequence[ScoreSums],
) -> dict[str, _Sums]:
    arms = {arm.name: arm for arm in experiment.arms.select_related("version")}
    strays = _Strays(list(arms.values()))
    found: dict[str, _Sums] = {}
    for row in sorted(calls, key=lambda one: one.first_at):
        name = drawn[row.subject].get(row.piece)
        if name is None or name not in arms:
            continue
        if row.subject not in found:
            found[row.subject] = _Sums(arms[name], row.first_at, row.last_at)
        sums = found[row.subject]
        sums.add(row, is_stray=strays.is_stray(sums.arm, row))
    for score in scores:
        if score.subject in found and score.piece in drawn[score.subject]:
            told = found[score.subject].scores.setdefault(score.name, [0.0, 0])
            told[0] += score.total
            told[1] += score.count
    return found


class _Strays:
    """Which calls are not of the arm's version, or not on its model."""

    def __init__(self, arms: Sequence[ExperimentArm]) -> None:
        versions: defaultdict[int, list[ExperimentArm]] = defaultdict(list)
        for arm in arms:
            versions[arm.version_id].append(arm)
        self._numbers = {arm.pk: str(arm.version.number) for arm in arms}
        # The version's own model is a wish unless another arm differs in nothing else.
        self._models = {
            arm.pk: arm.model or (_own_model(arm) if len(versions[arm.version_id]) > 1 else "") for arm in arms
        }

    def is_stray(self, arm: ExperimentArm, row: CallSums) -> bool:
        """True for a call that the arm did not ask for."""
        if row.prompt_version != self._numbers[arm.pk]:
            return True
        wanted = self._models[arm.pk]
        if not wanted:
            return False
        bare = wanted.partition("/")[2] or wanted
        told = {row.model, row.request_model, f"{row.provider}/{row.model}", f"{row.provider}/{row.request_model}"}
        return not told & {wanted, bare}


def _own_model(arm: ExperimentArm) -> str:
    told = arm.version.content.get("model", "") if isinstance(arm.version.content, dict) else ""
    return str(told or "")


def _timeline(splits: Sequence[Split]) -> _Timeline:
    bounds = sorted({moment for split in splits for moment in (split.started_at, split.ended_at) if moment is not None})
    pieces = {}
    for place, moment in enumerate(bounds, start=1):
        for split in splits:
            if split.started_at <= moment and (split.ended_at is None or moment < split.ended_at):
                pieces[place] = split
    return _Timeline(tuple(bounds), pieces)


def _splitting(split: Split) -> Splitting:
    return Splitting(
        salt=split.salt,
        share=split.share,
        weights=tuple(arm.weight for arm in split.arms.all()),
        excluded=frozenset(split.excluded),
        layer=split.layer,
        layer_from=split.layer_from,
    )

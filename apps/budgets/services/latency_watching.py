"""Looking at the budgets of latency targets each minute, and telling once when one burns too fast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from django.db import transaction

from apps.alerts.services.notices import notify
from apps.budgets.latency_burning import Burn, Speed
from apps.budgets.models import LatencyIncident, LatencyTarget
from apps.budgets.selectors import latency as selectors
from apps.core import formats
from apps.core.navigation import address

EVERY = timedelta(seconds=50)


def look(*, now: datetime) -> int:
    """Look at each target that is due; how many were looked at.

    Any number of processes may do so at once: each look is claimed by a conditional update, and an incident is a row of
    which there is one open at most.
    """
    due = selectors.list_due(now - EVERY)
    return sum(_look_at(list(targets), now) for _, targets in groupby(due, key=lambda target: target.project_id))


def _look_at(targets: Sequence[LatencyTarget], now: datetime) -> int:
    """The targets of one project, measured together."""
    mine = [target for target in targets if _claimed(target, now)]
    if mine:
        for state in selectors.read_states(mine[0].project, mine, now):
            burns = [burn for goal in state.goals for burn in goal.burns]
            _settle(state.target, burns, now)
    return len(mine)


def _claimed(target: LatencyTarget, now: datetime) -> bool:
    rows = LatencyTarget.objects.filter(pk=target.pk, looked_at=target.looked_at, changed_at=target.changed_at)
    return bool(rows.update(looked_at=now))


@transaction.atomic
def _settle(target: LatencyTarget, burns: Sequence[Burn], now: datetime) -> None:
    """Open and close incidents. A look that another one, or a change of the target, overtook leaves nothing."""
    current = LatencyTarget.objects.select_for_update(no_key=True).get(pk=target.pk)
    if current.looked_at != now or current.changed_at != target.changed_at or current.removed_at is not None:
        return
    is_open = {(one.goal, one.speed): one for one in target.incidents.filter(ended_at=None)}
    for burn in burns:
        known = is_open.get((burn.goal.key, burn.alarm.speed.value))
        if known is None and burn.rings:
            _open(target, burn, now)
        elif known is not None and burn.is_over:
            LatencyIncident.objects.filter(pk=known.pk, ended_at=None).update(ended_at=now)


def _open(target: LatencyTarget, burn: Burn, now: datetime) -> None:
    incident = LatencyIncident.objects.create(
        project=target.project,
        target=target,
        goal=burn.goal.key,
        speed=burn.alarm.speed.value,
        opened_at=now,
        sentence=sentence_of(burn),
        figures={
            "threshold": burn.threshold,
            "long": {"calls": burn.long.calls, "slow": burn.long.slow, "rate": burn.long_rate},
            "short": {"calls": burn.short.calls, "slow": burn.short.slow, "rate": burn.short_rate},
        },
    )
    place = address("latency_targets", target.project.slug)
    notify(
        project=target.project,
        key=f"latency:{incident.uuid}",
        kind="latency",
        title=f"{target.feature} in {target.environment} is slower than promised",
        text=incident.sentence,
        path=f"{place}/{target.uuid}" if place else "",
        level="bad" if burn.alarm.speed is Speed.FAST else "warn",
        now=now,
    )


def sentence_of(burn: Burn) -> str:
    """What happened, with its numbers."""
    hours = burn.alarm.long // timedelta(hours=1)
    within = "the last hour" if hours == 1 else f"the last {hours} hours"
    return (
        f"{burn.goal.name} ≤ {formats.milliseconds(burn.goal.most_ms)}: in {within} {burn.long.slow:,} of "
        f"{burn.long.calls:,} calls were slower, so the budget burns {burn.long_rate:.1f} times as fast as it may "
        f"(told from {burn.threshold:.1f} on)."
    )

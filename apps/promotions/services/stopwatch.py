"""The stopwatch of a rollback: which processes have it, and what calls say. Anybody may look at any time."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.promotions.models import Rollback
from apps.promotions.rollback_words import MEASURED_FOR, ack_from_dict, everywhere, merged
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.types import MeasureState

LOOKED = timedelta(seconds=0.9)


def measure(rollback: Rollback, *, now: datetime) -> Rollback:
    """Look once, and keep what is known; after a quarter of an hour the figures stay as they are."""
    if rollback.state != MeasureState.MEASURING.value:
        return rollback
    before = tuple(ack_from_dict(one) for one in rollback.processes)
    acks = merged(before, selectors.acknowledgements(rollback, now=now))
    calls = selectors.calls_since(rollback)
    is_over = now >= rollback.asked_at + MEASURED_FOR
    rollback.processes = [ack.as_dict() for ack in acks]
    rollback.everywhere_at = everywhere(acks)
    rollback.first_call_at, rollback.last_bad_call_at, rollback.bad_calls_after = calls
    rollback.measured_at = now
    rollback.state = (MeasureState.MEASURED if is_over else MeasureState.MEASURING).value
    Rollback.objects.filter(pk=rollback.pk, state=MeasureState.MEASURING.value).update(
        processes=rollback.processes,
        everywhere_at=rollback.everywhere_at,
        first_call_at=rollback.first_call_at,
        last_bad_call_at=rollback.last_bad_call_at,
        bad_calls_after=rollback.bad_calls_after,
        measured_at=now,
        state=rollback.state,
    )
    return rollback


def measure_again(rollback: Rollback, *, now: datetime) -> Rollback:
    """As `measure`, unless somebody looked within the last second: many may have the page open."""
    if rollback.measured_at is not None and now - rollback.measured_at < LOOKED:
        return rollback
    return measure(rollback, now=now)


def measure_all(*, now: datetime) -> int:
    """Look at every rollback whose stopwatch runs; how many there were."""
    found = selectors.measuring()
    for rollback in found:
        measure(rollback, now=now)
    return len(found)

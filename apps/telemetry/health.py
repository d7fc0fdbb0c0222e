"""What readiness asks of telemetry: does somebody still roll up?"""

from __future__ import annotations

from datetime import timedelta

from apps.core import clock
from apps.core.readiness import Finding
from apps.telemetry.selectors.rollups import roll_up_delay

LONGEST_DELAY = timedelta(seconds=50)
"""The schedule looks every ten seconds, and one pass over a busy hour takes about five."""


def roll_ups() -> Finding:
    """Well while no changed hour waits too long for its cost records; then a worker or the schedule has stopped."""
    delay = roll_up_delay(now=clock.now())
    if delay is None:
        return Finding("roll-ups", True, "nothing waits", waits_for_broker=True)
    seconds = int(delay.total_seconds())
    if delay <= LONGEST_DELAY:
        return Finding("roll-ups", True, f"the oldest waits for {seconds} s", waits_for_broker=True)
    says = f"the oldest waits for {seconds} s: is a worker running, and beat? Figures stay exact but pages get slow"
    return Finding("roll-ups", False, says, waits_for_broker=True)

"""What readiness asks of budgets: does somebody still evaluate them?"""

from __future__ import annotations

from datetime import timedelta

from apps.budgets.selectors.budgets import has_budgets, last_look
from apps.core import clock
from apps.core.readiness import Finding

LONGEST = timedelta(minutes=10)


def evaluations() -> Finding:
    """Well while budgets were evaluated within ten minutes, or there are none."""
    if not has_budgets():
        return Finding("budgets", True, "no budget to evaluate", is_needed=False)
    last = last_look()
    if last is not None and clock.now() - last <= LONGEST:
        return Finding("budgets", True, f"evaluated {int((clock.now() - last).total_seconds())} s ago", is_needed=False)
    since = "never" if last is None else f"last at {last:%Y-%m-%d %H:%M} UTC"
    return Finding("budgets", False, f"not evaluated ({since}): is a worker running, and beat?", is_needed=False)

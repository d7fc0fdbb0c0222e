"""What the gateway asks before it lets a call through: the hard budgets of the call, and what is left of each.

Reading alone cannot keep a limit among many callers at once; the gateway reserves on top of it.
"""

from __future__ import annotations

from datetime import datetime

from apps.budgets.models import Budget
from apps.budgets.scopes import SpendScope
from apps.budgets.selectors.budgets import Status, read_statuses
from apps.projects.models import Project


def hard_budgets(project: Project, call: SpendScope, *, now: datetime) -> list[Status]:
    """The hard budgets that a call of these dimensions counts against, the one with least left first."""
    rows = Budget.objects.filter(project=project, is_hard=True, archived_at=None)
    mine = [budget for budget in rows if budget.scope.holds(call)]
    return sorted(read_statuses(project, mine, now=now), key=lambda status: status.left_usd)

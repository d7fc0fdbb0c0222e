"""The tables of budgets."""

from apps.budgets.models.latency import LatencyEvidence, LatencyIncident, LatencyTarget
from apps.budgets.models.projections import Projection
from apps.budgets.models.spend import Budget, BudgetAlert, BudgetLook

__all__ = [
    "Budget",
    "BudgetAlert",
    "BudgetLook",
    "LatencyEvidence",
    "LatencyIncident",
    "LatencyTarget",
    "Projection",
]

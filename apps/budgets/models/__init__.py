"""The tables of budgets."""

from apps.budgets.models.latency import LatencyEvidence, LatencyIncident, LatencyTarget
from apps.budgets.models.projections import Projection

__all__ = ["LatencyEvidence", "LatencyIncident", "LatencyTarget", "Projection"]

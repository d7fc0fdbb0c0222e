"""Reads of the pages about costs."""

from __future__ import annotations

from apps.dashboards.scope import Scope
from apps.telemetry.figures import Dimension, FigureRequest, Interval
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.unpriced import Unpriced, unpriced_models


def read_unpriced(project_id: int, scope: Scope) -> list[Unpriced]:
    """The models of the scope with calls that have no price, by number of these; seen by UTC day. In two queries."""
    request = FigureRequest(
        scope.period.start,
        scope.period.end,
        (Dimension.PROVIDER, Dimension.MODEL),
        Interval.DAY,
        scope.filters,
        has_lengths=False,
    )
    return unpriced_models(read_tables(project_id, [request])[0])
